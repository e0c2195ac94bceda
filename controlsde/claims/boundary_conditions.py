"""One problem between reflecting, periodic and absorbing walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controlsde.claims.harness.claim import Claim, Findings, Setting, report
from controlsde.claims.harness.optimised import small_budget
from controlsde.claims.harness.variants import compare_variants
from controlsde.fokker_planck.mesh import WALLS
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result


@dataclass(frozen=True)
class Parameters:
    """walls; data: two bumps on [−half, half], heat with D₀ = 1 for a time T; noise η; pieces and random starts."""

    walls: tuple[str, ...] = WALLS
    weights: tuple[float, ...] = (0.3, 0.7)
    means: tuple[float, ...] = (-0.4, 0.35)
    deviations: tuple[float, ...] = (0.12, 0.12)
    half: float = 1.0
    horizon: float = 0.15
    noise: tuple[float, ...] = (0.25, 1.0)
    pieces: int = 8
    seeds: int = 3


def problem_text(parameters: Parameters, walls: str, noise: float) -> str:
    """The same data, forward process and network between these walls."""
    return f"""
domain: {{box: [[{-parameters.half!r}, {parameters.half!r}]], walls: {walls}}}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: {parameters.horizon!r}
  data:
    kind: mixture
    weights: {list(parameters.weights)}
    means: {list(parameters.means)}
    stds: {list(parameters.deviations)}
noise: {noise!r}
{small_budget(parameters.pieces)}
"""


def mass_left(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Times, and ∫ρ at each: one, but where walls absorb."""
    return result.fields.times, np.asarray(result.fields.density @ result.fields.mesh.weights)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every kind of wall at every noise level, from the same seeds."""
    variants = compare_variants(
        parameters.walls,
        parameters.noise,
        lambda walls, noise: problem_text(parameters, walls, noise),
        range(parameters.seeds),
        setting.progress,
    )
    rows = variants.rows(("l2", "l2_rms"))
    last = parameters.noise[-1]
    curves, left = [], []
    for series, walls in enumerate(parameters.walls):
        for noise in parameters.noise:
            best = variants.found[walls, noise].best
            if best is None:
                continue
            times, masses = mass_left(best)
            rows.append(report(f"{walls}, η = {noise:g}: mass at T, best", float(masses[-1])))
            if noise == last:
                curves.append(Curve(times, masses, walls, "line", series=series))
            if walls == "absorbing":
                left.append(f"{masses[-1]:.2f} of the mass at η = {noise:g}")
    note = variants.sentence()
    if left:
        note += f" Absorbing walls leave {', '.join(left)}."
    return Findings(
        tuple(rows),
        (
            variants.panel("error in L²", "l2"),
            variants.panel("error on the way", "l2_rms"),
            Panel(f"mass that is left, η = {last:g}", "t", "∫ρ(t) dx", tuple(curves)),
            variants.picture(f"the best controls, η = {last:g}", last),
        ),
        note,
    )


CLAIM = Claim(
    id="boundary-conditions",
    source="P1",
    title="Reflecting, periodic or absorbing walls",
    statement=(
        "The theory lives on a bounded domain with reflecting walls. What if the walls are joined to a circle, or let "
        "mass out for good? The same two bumps, the same heat flow, the same network and budget between three kinds of "
        "walls. There is no expected winner."
    ),
    formulas=(
        "reflecting:  D∂ₓρ − vρ = 0 at the walls;   periodic:  both ends are one point;   absorbing:  ρ = 0 there",
        "the reference keeps its mass: between absorbing walls it is that of reflecting ones, and only the controlled\n"
        "process loses mass",
    ),
    parameters=Parameters(),
    fast=Parameters(walls=("reflecting", "absorbing"), noise=(1.0,), pieces=2, seeds=1),
    experiment=experiment,
    meaning=(
        "Reflecting walls and a circle lead to the same errors within the spread of the starts, for the walls are felt "
        "at the noise end alone. Absorbing walls end worse in the mean: mass that is out cannot be fetched back, and "
        "the controls first of all pull it away from the walls. On the way no order shows. None of it is a theorem: "
        "the spread of the local minima is as large as most of the differences."
    ),
    further="Let the walls be felt longer: `--set horizon=0.4`; more starts narrow the bars: `--set seeds=12`.",
    expects="open",
)

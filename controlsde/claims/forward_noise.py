"""Deterministic against stochastic forward: the same two ends, joined by a diffusion, a mixing and straight lines."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from controlsde.claims.harness.claim import Claim, Findings, Setting, report
from controlsde.claims.harness.optimised import small_budget
from controlsde.claims.harness.references import reference_of
from controlsde.claims.harness.variants import compare_variants
from controlsde.foundation.progress import Step
from controlsde.gaussians import noised_variance
from controlsde.reference import Reference
from controlsde.report.panels import Curve, Panel

HALF = 5.0  # of the box
PATHS = ("diffusion", "moser", "displacement")
POINTS = 4001
NODES = 24  # of Gauss, in time


@dataclass(frozen=True)
class Parameters:
    """paths; data: two bumps N(±mean, deviation²), a share `floor` of N(0, 1); T; noise η; pieces and random starts."""

    paths: tuple[str, ...] = PATHS
    mean: float = 1.5
    deviation: float = 0.3
    floor: float = 0.1
    horizon: float = 1.5
    noise: tuple[float, ...] = (0.0, 1.0)
    pieces: int = 8
    seeds: int = 3


def bumps(parameters: Parameters, mean: float, deviation: float) -> str:
    """Two bumps on a broad floor N(0, 1), which noise leaves as it is, as a problem file has them."""
    side = 0.5 * (1 - parameters.floor)
    return (
        f"{{kind: mixture, weights: [{side!r}, {side!r}, {parameters.floor!r}], means: [{-mean!r}, {mean!r}, 0], "
        f"stds: [{deviation!r}, {deviation!r}, 1]}}"
    )


def noised(parameters: Parameters) -> tuple[float, float]:
    """Mean and deviation of the bumps after the Ornstein–Uhlenbeck process: e^{−T}m, (e^{−2T}s² + 1 − e^{−2T})^½."""
    variance = noised_variance(parameters.deviation**2, parameters.horizon)
    return exp(-parameters.horizon) * parameters.mean, variance**0.5


def problem_text(parameters: Parameters, path: str, noise: float) -> str:
    """The problem that goes from noised data to data along this path. Raises ValueError for another."""
    start, end = (bumps(parameters, *ends) for ends in (noised(parameters), (parameters.mean, parameters.deviation)))
    if path == "diffusion":
        reference = f"kind: reversed-diffusion, forward: ornstein-uhlenbeck, data: {end}"
    elif path in PATHS:
        reference = f"kind: {path}, from: {start}, to: {end}, diffusivity: 1"
    else:
        raise ValueError(f"{path} is not a path of this claim; there are {', '.join(PATHS)}")
    return f"""
domain: {{box: [[{-HALF}, {HALF}]]}}
reference: {{{reference}, horizon: {parameters.horizon!r}}}
noise: {noise!r}
{small_budget(parameters.pieces)}
"""


def work(reference: Reference, noise: float) -> float:
    """∫₀ᵀ∫ |v*_η|² p dx dt of the exact drift, by quadrature."""
    x = np.linspace(-HALF, HALF, POINTS)[:, None]
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    times = 0.5 * reference.horizon * (nodes + 1)
    powers = [
        np.trapezoid(reference.exact_drift(t, x, noise)[:, 0] ** 2 * reference.density(t, x), x[:, 0]) for t in times
    ]
    return float(0.5 * reference.horizon * weights @ np.array(powers))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every path at every noise level, from the same seeds, and what the exact drifts have to do."""
    rows = []
    works = {}
    halfway = []
    x = np.linspace(-HALF, HALF, 401)[:, None]
    for series, path in enumerate(parameters.paths):
        setting.progress(Step(f"{path}, exact drift"))
        reference = reference_of(problem_text(parameters, path, 0.0))
        halfway.append(Curve(x[:, 0], reference.density(0.5 * reference.horizon, x), path, "line", series=series))
        for noise in parameters.noise:
            works[path, noise] = work(reference, noise)
            rows.append(report(f"{path}, η = {noise:g}: work of the exact drift ∫∫|v*|²p", works[path, noise]))
    variants = compare_variants(
        parameters.paths,
        parameters.noise,
        lambda path, noise: problem_text(parameters, path, noise),
        range(parameters.seeds),
        setting.progress,
    )
    rows += variants.rows(("l2", "l2_rms", "w2"))
    last = parameters.noise[-1]
    panels = (
        Panel("three ways, halfway", "x", "p(T/2)", tuple(halfway)),
        variants.panel("error at the end, L²", "l2"),
        variants.panel("error at the end, transport", "w2"),
        variants.panel("error on the way", "l2_rms"),
        Panel(
            "work of the exact drift",
            "",
            "∫∫|v*|²p dx dt",
            tuple(
                Curve(
                    range(len(parameters.paths)),
                    [works[path, noise] for path in parameters.paths],
                    f"η = {noise:g}",
                    series=series,
                )
                for series, noise in enumerate(parameters.noise)
            ),
            ticks=parameters.paths,
        ),
        variants.picture(f"the best controls, η = {last:g}", last),
    )
    return Findings(tuple(rows), panels, variants.sentence())


CLAIM = Claim(
    id="forward-noise",
    source="P1",
    title="A deterministic or a stochastic way forward",
    statement=(
        "A diffusion makes the way from data to noise, and the controls follow it back. The way could be made without "
        "noise, too, between the same two ends: by mixing the densities (Moser), or by moving mass on straight lines "
        "(displacement). Which way does a narrow network follow best, with and without noise on the way back? There is "
        "no expected winner."
    ),
    formulas=(
        "ends: p(T) = 0.45 N(±m, s²) + 0.1 N(0, 1);  p(0) with e^{−T}m, e^{−2T}s² + 1 − e^{−2T};\n"
        "the broad floor keeps Moser's field bounded, which divides by p",
        "diffusion: p(t) = q(T − t) of dX = −X ds + √2 dW;   moser: (1 − t/T) p(0) + (t/T) p(T);\n"
        "displacement: the law of (1 − t/T) X + (t/T) F_T⁻¹(F₀(X)), X ~ p(0)",
        "with noise η every path has its own exact drift w + η∂ₓlog p, D₀ = 1 for all;   least ∫∫|w|²p is W₂²/T",
    ),
    parameters=Parameters(),
    fast=Parameters(paths=("diffusion", "displacement"), noise=(1.0,), pieces=2, seeds=1),
    experiment=experiment,
    meaning=(
        "Without noise on the way back the straight lines of the displacement need the least work and are followed "
        "best, and the diffusion asks for the most: its mass first gathers in the middle and parts late. With noise on "
        "the way back the order of the work is reversed, since a path that keeps sharp bumps all along has a steep "
        "score to hold against the diffusion; on the way the diffusion's path is then followed much better than the "
        "other two. At the end the three differ by no more than the spread: the last pieces decide there. On this "
        "problem, then, the way forward is best made as the way back is: with noise for noise, without for none."
    ),
    further="With a little noise the two orders meet: try `--set noise=[0,0.1,0.25]`.",
    expects="open",
)

"""Two bumps that move apart: the density between them goes to zero, and what that does to drifts and to errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad, solve_ivp

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, density_after, line, piece_at
from controlsde.claims.harness.optimised import Optimised, optimise, small_budget, spread_curve
from controlsde.claims.harness.references import exact, reference_of
from controlsde.control.drift import Drift, network_drift
from controlsde.foundation.progress import Step
from controlsde.reference import Reference
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result
from controlsde.tracking.tracking_problem import build_network

Array = NDArray[np.float64]

BOX = (-5.0, 5.0)
STEP = 1e-4  # of differences in the middle


@dataclass(frozen=True)
class Parameters:
    """half: distances a of the bumps N(±a, σ²) from the middle, in σ; horizon T; noise η; a budget for the controls."""

    half: tuple[float, ...] = (2.0, 3.0, 4.5, 6.0)
    deviation: float = 0.3
    horizon: float = 1.5
    noise: tuple[float, ...] = (0.0, 1.0)
    pieces: int = 8
    seeds: int = 3
    elements: int = 24
    steps: int = 48


def problem_text(parameters: Parameters, half: float, noise: float) -> str:
    """Two bumps by the reversed Ornstein–Uhlenbeck process."""
    centre = half * parameters.deviation
    return f"""
domain: {{box: [[{BOX[0]}, {BOX[1]}]]}}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, means: [{-centre!r}, {centre!r}], stds: [{parameters.deviation!r}, {parameters.deviation!r}]}}
noise: {noise!r}
{small_budget(parameters.pieces)}
"""


def middle_slope(half: float, deviation: float, noise: float) -> float:
    """∂ₓv* at x = 0, t = T: 1 + (1+η)(a² − σ²)/σ⁴."""
    return 1 + (1 + noise) * (half**2 - 1) / deviation**2


def carried(drift: Drift, reference: Reference, x: float) -> float:
    """ρ(T, x) without noise along its characteristic: ρ₀(X₀) e^{−∫∇·v dt}, X₀ where the flow ends in x."""

    def backwards(piece: int, _: float, y: Array) -> Array:
        point = y[:1, None]
        return np.array([drift.values(piece, 0.0, point)[0, 0], drift.divergence(piece, 0.0, point)[0]])

    y = np.array([x, 0.0])
    for piece in reversed(range(len(drift.edges) - 1)):
        length = float(drift.edges[piece + 1] - drift.edges[piece])
        y = solve_ivp(partial(backwards, piece), (length, 0.0), y, rtol=1e-11, atol=1e-13).y[:, -1]
    return float(reference.initial_density(y[:1, None])[0] * np.exp(y[1]))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every distance: the exact drift, and controls from several seeds, with and without noise."""
    rows: list[Row] = []
    found: dict[tuple[float, float], Optimised] = {}
    middle: dict[tuple[float, float], float] = {}
    for half in parameters.half:
        for noise in parameters.noise:
            name = f"a = {half:g}σ, η = {noise:g}"
            setting.progress(Step(f"{name}, exact drift"))
            reference = reference_of(problem_text(parameters, half, 0.0))
            rows += exact_rows(parameters, half, noise, reference)
            answers = optimise(
                problem_text(parameters, half, noise), range(parameters.seeds), setting.progress, f"{name}, controls"
            )
            found[half, noise] = answers
            rows += answers.rows(f"{name}, controls")
            if answers.best is not None:
                found_there = middle_rows(parameters, f"{name}, controls", noise, answers.best, reference)
                middle[half, noise] = found_there[0].measured
                rows += found_there
    return Findings(tuple(rows), panels_of(parameters, found, middle), note_of(parameters, found, middle))


def exact_rows(parameters: Parameters, half: float, noise: float, reference: Reference) -> list[Row]:
    """The exact drift keeps tracking, but its slope in the middle grows as the square of the distance."""
    name = f"a = {half:g}σ, η = {noise:g}, exact drift"

    def error(more: int) -> float:
        state = density_after(
            line(*BOX, more * parameters.elements // 2),
            partial(exact, reference, noise),
            noise,
            partial(reference.density, 0.0),
            np.linspace(0.0, parameters.horizon, more * parameters.steps // 2 + 1),
        )
        return state.l2(partial(reference.density, parameters.horizon))

    def slope(t: float, step: float = STEP) -> float:
        return float(exact(reference, noise, t, np.array([[step]]))[0, 0] / step)  # v* is odd

    rough, fine = error(1), error(2)
    narrow, wide = slope(parameters.horizon), slope(parameters.horizon, 2 * STEP)
    rows = [
        equal(f"{name}: ‖ρ(T) − p(T)‖", 0.0, fine, allowance(fine, rough), REFINEMENT),
        equal(
            f"{name}: its slope in the middle at T",
            middle_slope(half, parameters.deviation, noise),
            narrow,
            allowance(narrow, wide),
            "four times the change when the slope is taken over twice the distance",
        ),
    ]
    if noise == 0:
        opened, coarser = (quad(partial(slope, step=step), 0.0, parameters.horizon)[0] for step in (STEP, 2 * STEP))
        first, last = (float(reference.density(t, np.zeros((1, 1)))[0]) for t in (0.0, parameters.horizon))
        rows.append(
            equal(
                f"{name}: its slope in the middle, integrated over time",
                float(np.log(first / last)),
                opened,
                allowance(opened, coarser),
                "four times the change when the slope is taken over twice the distance",
            )
        )
    return rows


def middle_rows(parameters: Parameters, name: str, noise: float, best: Result, reference: Reference) -> list[Row]:
    """What the best controls leave in the middle; without noise that is known along the characteristic, too."""
    peak = float(np.max(reference.density(reference.horizon, np.linspace(*BOX, 4001)[:, None])))
    drift = drift_of(best, reference)
    measured, rough = (middle_density(parameters, drift, noise, reference, more) for more in (2, 1))
    rows = [report(f"{name}: ρ(T, 0) over the peak of p(T)", measured / peak)]
    if noise == 0:
        expected = carried(drift, reference, 0.0)
        tolerance = allowance(measured, rough)
        rows.append(equal(f"{name}: ρ(T, 0) along its characteristic", expected, measured, tolerance, REFINEMENT))
    return rows


def drift_of(best: Result, reference: Reference) -> Drift:
    """The network drift of an answer."""
    if best.controls is None:
        raise ValueError("an optimised answer has controls")
    return network_drift(build_network(best.problem), best.controls, reference.horizon)


def middle_density(parameters: Parameters, drift: Drift, noise: float, reference: Reference, more: int) -> float:
    """ρ(T, 0) by the state equation."""
    edges = drift.edges
    steps = more * max(2, parameters.steps // (2 * parameters.pieces))
    times = np.interp(np.arange(steps * (len(edges) - 1) + 1) / steps, np.arange(len(edges)), edges)

    def field(t: float, x: Array) -> Array:
        return drift.values(piece_at(edges, t), t, x)

    mesh = line(*BOX, more * parameters.elements)
    state = density_after(mesh, field, noise, partial(reference.density, 0.0), times)
    return float(state.on((np.zeros(1),))[0])


def depth(half: float) -> float:
    """p(T, 0) over the peak of one bump: 2e^{−a²/2σ²}, a in σ."""
    return float(2 * np.exp(-0.5 * half**2))


def panels_of(
    parameters: Parameters, found: dict[tuple[float, float], Optimised], middle: dict[tuple[float, float], float]
) -> tuple[Panel, ...]:
    """Errors against the distance; what lies in the middle; the widest gap."""
    errors: list[Curve] = []
    transports: list[Curve] = []
    for series, noise in enumerate(parameters.noise):
        for name, curves in (("l2", errors), ("w2", transports)):
            spreads = [found[half, noise].spread(name) for half in parameters.half]
            label = f"η = {noise:g}, mean and deviation of the seeds"
            curves.append(spread_curve(parameters.half, spreads, label, series))
    left = [
        Curve(
            [half for half in parameters.half if (half, noise) in middle],
            [middle[half, noise] for half in parameters.half if (half, noise) in middle],
            f"η = {noise:g}, best controls",
            series=series,
        )
        for series, noise in enumerate(parameters.noise)
    ]
    halves = np.linspace(parameters.half[0], parameters.half[-1], 41)
    left.append(Curve(halves, [depth(half) for half in halves], "target: 2 exp(−a²/2σ²)", "theory"))
    widest = parameters.half[-1]
    pictures = []
    for series, noise in enumerate(parameters.noise):
        best = found[widest, noise].best
        if best is not None:
            pictures.append(
                Curve(best.fields.axes[0], best.fields.density[-1], f"η = {noise:g}, best", "line", series=series)
            )
            reference = Curve(best.fields.axes[0], best.fields.reference[-1], "target p(T)", "theory")
    if pictures:
        pictures.append(reference)
    return (
        Panel("error at the end", "half the distance a/σ", "‖ρ(T) − p(T)‖", tuple(errors)),
        Panel("the same in transport", "half the distance a/σ", "W₂(ρ(T), p(T))", tuple(transports)),
        Panel(
            "density in the middle", "half the distance a/σ", "ρ(T, 0) over the peak of p(T)", tuple(left), y_log=True
        ),
        Panel(f"the widest gap, a = {widest:g}σ", "x", "density at T", tuple(pictures)),
    )


def note_of(
    parameters: Parameters, found: dict[tuple[float, float], Optimised], middle: dict[tuple[float, float], float]
) -> str:
    """The narrowest and the widest gap in two sentences."""
    near, far = parameters.half[0], parameters.half[-1]
    errors, left = [], []
    for noise in parameters.noise:
        first, last = (found[half, noise].spread("l2") for half in (near, far))
        errors.append(f"from {first.mean:.3f} to {last.mean:.3f} at η = {noise:g}")
        if (far, noise) in middle:
            left.append(f"{middle[far, noise]:.2g} at η = {noise:g}")
    return (
        "The exact drift tracks across every gap, and its slope in the middle is that of the formula. From "
        f"a = {near:g}σ to a = {far:g}σ the error ‖ρ(T) − p(T)‖ of optimised controls goes {', '.join(errors)} (means "
        f"over the seeds). In the widest gap, where the target has {depth(far):.1g} of its peak, the best controls "
        f"leave {', '.join(left)}."
    )


CLAIM = Claim(
    id="disconnected-support",
    source="P1",
    title="Two bumps with a gap: what a vanishing density costs",
    statement=(
        "Two bumps move apart, and the density between them goes to zero: in the limit the support is no longer "
        "connected. The exact drift still does its work, but it has to tear the mass apart in the middle, and its "
        "slope there grows as the square of the distance. How does the error of a narrow network with few pieces grow, "
        "with and without noise?"
    ),
    formulas=(
        "p(T) = ½N(−a, σ²) + ½N(a, σ²), reversed Ornstein–Uhlenbeck process;  all derived here",
        "v*_η has the slope 1 + (1+η)(a² − σ²)/σ⁴ at x = 0, t = T",
        "η = 0:  ∫₀ᵀ ∂ₓw(t, 0) dt = log p(0, 0) − log p(T, 0) ~ a²/2σ²:  the price of the gap, for any flow",
        "η = 0:  ρ(T, X(T)) = ρ₀(X(0)) exp(−∫∇·v dt) along a characteristic X, also for the controls that were found",
    ),
    parameters=Parameters(),
    fast=Parameters(half=(3.0,), pieces=4, seeds=1, elements=16, steps=24),
    experiment=experiment,
    meaning=(
        "A gap is no obstacle to the exact drift, and none to the equation: it is one to drifts of limited slope. What "
        "has to be torn apart must be torn at a rate that grows as the square of the distance, and few pieces of one "
        "neuron cannot: without noise they leave a thin bridge. With noise the diffusion refills the gap for as long "
        "as it lasts, so the bridge is thicker by far, and one of two bumps stays too broad. So the failure that P1 "
        "names shows on both sides; noise does not heal it."
    ),
    further="More pieces tear better: try `--set pieces=32`; or a wider gap still, `--set half=[6,8]`.",
)

"""A wrong start, with noise and without: what an exact drift forgets, what controls leave of it, what feedback does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import exp, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_least, at_most, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, density_after, line
from controlsde.claims.harness.optimised import optimise
from controlsde.claims.harness.references import exact, gaussian, reversed_diffusion
from controlsde.fokker_planck.density_field import DensityField
from controlsde.foundation.progress import Step
from controlsde.gaussians import kept, noised_variance
from controlsde.reference import Reference
from controlsde.report.panels import Curve, Panel
from controlsde.workflow.feedback import Feedback, feedbacks

Array = NDArray[np.float64]

BOX = (-6.0, 6.0)  # of the controls
WIDE = (-8.0, 8.0)  # for closed forms in free space: the start has no mass beyond it that rounding sees
OF_THE_START = 0.1  # of what controls leave of a start: by so much it may not be what the exact drift leaves
MARGIN = "a margin that the numbers seen keep twice over, or more"
BACK, BACK_BY_LAW = 2.0, 6.0  # times the error from the right start, with which feedback has brought a density back
GAIN = 5.0  # the least that feedback gains without noise,
LESS = 1.5  # and how many times less it gains with noise


@dataclass(frozen=True)
class Parameters:
    """data N(mean, deviation²), horizon T, the wrong start N(start, start_deviation²), noise levels η;

    elements and steps of the runs of exact drifts; pieces, starts and hops of the solves for one neuron.
    """

    mean: float = 1.0
    deviation: float = 0.5
    horizon: float = 1.0
    start: float = 0.0
    start_deviation: float = 1.0
    noise: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0, 2.0)
    elements: int = 32
    steps: int = 96
    pieces: int = 8
    starts: int = 8
    hops: int = 64


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Exact drifts against closed forms at every noise level; then controls, in open loop and with feedback."""
    rows: list[Row] = []
    left = []
    for noise in parameters.noise:
        setting.progress(Step(f"exact drift, η = {noise:g}"))
        left.append(_exactly(parameters, noise, rows))
    loops: dict[float, tuple[Feedback, Feedback]] = {}
    for noise in parameters.noise:
        best = optimise(_problem(parameters, noise), [0], setting.progress, f"controls, η = {noise:g}").best
        if best is not None and best.controls is not None:
            setting.progress(Step(f"feedback, η = {noise:g}"))
            law, plans = feedbacks(best, _start(parameters), ("riccati", "replan"))
            loops[noise] = law, plans
            rows += _rows_of_loops(parameters, noise, law, plans)
    rows += _with_and_without(loops)
    return Findings(tuple(rows), tuple(_panels(parameters, left, loops)), _note(parameters, loops))


def left_of_start(parameters: Parameters, noise: float) -> tuple[float, float]:
    """Mean and variance of ρ(T) − those of the data: κ(a − e^{−T}m) and κ²(s² − v_T)."""
    variance, horizon = parameters.deviation**2, parameters.horizon
    share = kept(variance, horizon, noise)
    shift = parameters.start - exp(-horizon) * parameters.mean
    return share * shift, share**2 * (parameters.start_deviation**2 - noised_variance(variance, horizon))


def l2_of(shift: float, first: float, second: float) -> float:
    """‖N(m, S) − N(m + shift, R)‖, from ∫N(m, S)N(n, R) = N(m − n; 0, S + R)."""
    both = first + second
    cross = exp(-0.5 * shift**2 / both) / sqrt(2 * pi * both)
    return sqrt(max(0.5 / sqrt(pi * first) + 0.5 / sqrt(pi * second) - 2 * cross, 0.0))


def closed_error(parameters: Parameters, noise: float) -> float:
    """‖ρ(T) − p(T)‖ of the exact drift."""
    shift, spread = left_of_start(parameters, noise)
    return l2_of(shift, parameters.deviation**2, parameters.deviation**2 + spread)


def _exactly(parameters: Parameters, noise: float, rows: list[Row]) -> float:
    """Rows of an exact drift at one noise level; returns ‖ρ(T) − p(T)‖."""
    reference = reversed_diffusion(gaussian(parameters.mean, parameters.deviation), (WIDE,), parameters.horizon)
    coarse, fine = (_run(parameters, reference, noise, halves) for halves in (1, 2))
    shift, spread = left_of_start(parameters, noise)
    (mean, variance), (rough_mean, rough_variance) = _moments(fine), _moments(coarse)
    named = f"exact drift, η = {noise:g}"
    expected_mean, expected_variance = parameters.mean + shift, parameters.deviation**2 + spread
    rows.append(equal(f"{named}: mean at T", expected_mean, mean, allowance(mean, rough_mean), REFINEMENT))
    rows.append(
        equal(f"{named}: variance at T", expected_variance, variance, allowance(variance, rough_variance), REFINEMENT)
    )

    def target(x: Array) -> Array:
        return np.asarray(norm.pdf(x[:, 0], parameters.mean, parameters.deviation))

    error, rough = fine.l2(target), coarse.l2(target)
    rows.append(
        equal(f"{named}: ‖ρ(T) − p(T)‖", closed_error(parameters, noise), error, allowance(error, rough), REFINEMENT)
    )
    before = abs(parameters.start - exp(-parameters.horizon) * parameters.mean)
    if before > 0:
        ratio = sqrt(parameters.deviation**2 / noised_variance(parameters.deviation**2, parameters.horizon))
        expected = (exp(-parameters.horizon) * ratio) ** noise
        scale = 1.0 / (before * ratio)
        rows.append(
            equal(
                f"{named}: distance of the means in standard deviations, at T over t = 0",
                expected,
                scale * abs(mean - parameters.mean),
                scale * allowance(mean, rough_mean),
                REFINEMENT,
            )
        )
    return error


def _run(parameters: Parameters, reference: Reference, noise: float, halves: int) -> DensityField:
    """ρ(T) of v*_η from the wrong start, on so many halves of the elements and steps."""
    times = np.linspace(0.0, parameters.horizon, halves * parameters.steps // 2 + 1)
    mesh = line(*WIDE, halves * parameters.elements // 2)

    def start(x: Array) -> Array:
        return np.asarray(norm.pdf(x[:, 0], parameters.start, parameters.start_deviation))

    return density_after(mesh, partial(exact, reference, noise), noise, start, times)


def _moments(state: DensityField) -> tuple[float, float]:
    mean = state.mean_of(lambda x: x[:, 0])
    return mean, state.mean_of(lambda x: (x[:, 0] - mean) ** 2)


def _start(parameters: Parameters) -> str:
    return gaussian(parameters.start, parameters.start_deviation)


def _problem(parameters: Parameters, noise: float) -> str:
    """One neuron that tracks the reversed process from the right start."""
    return f"""
domain: {{box: [{list(BOX)}]}}
reference:
  kind: reversed-diffusion
  horizon: {parameters.horizon!r}
  data: {gaussian(parameters.mean, parameters.deviation)}
noise: {noise!r}
network: {{width: 1}}
controls: {{pieces: {parameters.pieces}}}
solver: {{kind: shooting, starts: {parameters.starts}, hops: {parameters.hops}}}
monte_carlo: {{particles: 20000, steps_per_piece: 32}}
"""


def _rows_of_loops(parameters: Parameters, noise: float, law: Feedback, plans: Feedback) -> list[Row]:
    """Rows of one noise level: what is seen, and what is expected whatever the noise."""
    right, opened = law.nominal.l2_final, law.open_loop.l2_final
    named = f"one neuron, η = {noise:g}: ‖ρ(T) − p(T)‖"
    return [
        report(f"{named} from the right start", right),
        equal(
            f"{named} in open loop", closed_error(parameters, noise), opened, right + OF_THE_START * opened, OPEN_LOOP
        ),
        at_most(f"{named} with the linear law", BACK_BY_LAW * right, law.closed_loop.l2_final, 0.0, MARGIN),
        at_most(f"{named} re-planned", BACK * right, plans.closed_loop.l2_final, 0.0, MARGIN),
        at_least(f"one neuron, η = {noise:g}: loops that verified", 2.0, float(law.verified + plans.verified), 0.0, ""),
    ]


OPEN_LOOP = "what the controls miss from the right start, and a tenth: they are not the exact drift"


def _with_and_without(loops: dict[float, tuple[Feedback, Feedback]]) -> list[Row]:
    """Rows that set no noise against noise of η = 1."""
    if not {0.0, 1.0} <= set(loops):
        return []
    without, noisy = loops[0.0], loops[1.0]
    rows = [
        at_least(
            "open loop: error over that from the right start, without noise over η = 1",
            2.0,
            _loss(without[0]) / _loss(noisy[0]),
            0.0,
            MARGIN,
        )
    ]
    for name, still, moved in zip(("linear law", "re-planned"), without, noisy, strict=True):
        rows.append(at_least(f"{name}: what feedback gains without noise", GAIN, _gain(still), 0.0, MARGIN))
        rows.append(report(f"{name}: what feedback gains at η = 1", _gain(moved)))
        ratio = _gain(still) / _gain(moved)
        rows.append(at_least(f"{name}: gain without noise over gain at η = 1", LESS, ratio, 0.0, MARGIN))
    return rows


def _loss(one: Feedback) -> float:
    return one.open_loop.l2_final / one.nominal.l2_final


def _gain(one: Feedback) -> float:
    return one.open_loop.l2_final / one.closed_loop.l2_final


def _panels(
    parameters: Parameters, left: Sequence[float], loops: dict[float, tuple[Feedback, Feedback]]
) -> list[Panel]:
    levels = np.linspace(min(parameters.noise), max(parameters.noise), 61)
    curves = [
        Curve(levels, [closed_error(parameters, float(one)) for one in levels], "exact drift, closed form", "theory"),
        Curve(parameters.noise, left, "exact drift", series=0),
    ]
    if loops:
        seen = list(loops.values())
        courses = {
            "open loop": [law.open_loop for law, _ in seen],
            "linear law": [law.closed_loop for law, _ in seen],
            "re-planned": [plans.closed_loop for _, plans in seen],
            "right start": [law.nominal for law, _ in seen],
        }
        for number, (name, found) in enumerate(courses.items(), 1):
            curves.append(Curve(list(loops), [one.l2_final for one in found], name, series=number))
    panels = [Panel("from a wrong start", "noise η", "‖ρ(T) − p(T)‖", tuple(curves), y_log=True)]
    for noise in (0.0, 1.0):
        if noise in loops:
            law, plans = loops[noise]
            against = {"open loop": law.open_loop, "linear law": law.closed_loop, "re-planned": plans.closed_loop}
            lines = tuple(
                Curve(course.times, course.l2, name, "line", series=number)
                for number, (name, course) in enumerate({**against, "right start": law.nominal}.items(), 1)
            )
            panels.append(Panel(f"one neuron, η = {noise:g}", "t", "‖ρ − p‖", lines))
    return panels


def _note(parameters: Parameters, loops: dict[float, tuple[Feedback, Feedback]]) -> str:
    exact_words = ", ".join(f"{closed_error(parameters, noise):.3g} at η = {noise:g}" for noise in parameters.noise)
    words = f"With the exact drift the wrong start leaves {exact_words}."
    for noise, (law, plans) in loops.items():
        if noise in (0.0, 1.0):
            words += (
                f" One neuron at η = {noise:g}: {law.nominal.l2_final:.3g} from the right start, "
                f"{law.open_loop.l2_final:.3g} in open loop, {law.closed_loop.l2_final:.3g} with the linear law, "
                f"{plans.closed_loop.l2_final:.3g} re-planned."
            )
    return words


CLAIM = Claim(
    id="feedback-and-forgetting",
    source="P2",
    title="Noise forgets a wrong start; without noise only feedback helps",
    statement=(
        "The process starts from another Gaussian than its drift was made for. With the exact drift the distance is "
        "forgotten with noise, and not at all without, measured in standard deviations: in closed form at every noise "
        "level. Controls of one neuron, computed for the right start, do the same in open loop. Feedback on the "
        "density, linear or by solving the rest anew, brings ρ back: essential without noise, of little use with it."
    ),
    formulas=(
        "data N(m, S), v_s = e^{−2s}S + 1 − e^{−2s},  v*_η = x − (1 + η)(x − e^{−s}m)/v_s,  s = T − t; derived here:",
        "start N(a, s²):  ρ(T) = N(m + κ(a − e^{−T}m), S + κ²(s² − v_T)),  κ = e^{−ηT}(S/v_T)^{(1+η)/2}",
        "distance of the means in standard deviations, at T over t = 0:  (e^{−T}√(S/v_T))^η,  1 without noise",
        "linear law: δθ_k = −L_k (ρ(t_k) − ρ̄(t_k)), discrete Riccati recursion of the linearised state equation",
        "re-planned: the pieces that are left, solved anew before every piece (model-predictive control)",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(0.0, 1.0), elements=24, steps=48, starts=4, hops=8),
    experiment=experiment,
    meaning=(
        "Without noise paths of the flow never meet: whatever was wrong at the start is carried to the end, stretched "
        "as the reference is. Noise makes every path lose its memory, at the price of the larger drift that works "
        "against it. A result without noise is a recipe for one start; it must be computed for the start there is, or "
        "the loop must be closed. The model is exact here, so that re-planning finds its way at once."
    ),
    further=(
        "Start farther away (`--set start=-1`): the linear law suffers first. A longer horizon (`--set horizon=2`) "
        "forgets more, but only with noise."
    ),
)

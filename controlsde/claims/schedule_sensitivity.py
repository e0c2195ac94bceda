"""Beyond σ = β = 1: what the schedule of the noise does to the start, to the controls and to their effort."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, Values, allowance
from controlsde.claims.harness.optimised import Optimised, optimise, small_budget, spread_curve
from controlsde.claims.harness.references import exact
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator
from controlsde.foundation.progress import Step
from controlsde.problem import parse_problem
from controlsde.problem.schema import VarianceExploding, VariancePreserving
from controlsde.reference import Reference, build_reference
from controlsde.reference.reference_building import build_schedule
from controlsde.reference.semigroup import ornstein_uhlenbeck_semigroup
from controlsde.report.panels import Curve, Panel

Array = NDArray[np.float64]

NODES = 200  # of Gauss and Hermite


@dataclass(frozen=True)
class Case:
    """One forward process on [0, 1]: what it is, its lines in a problem file, half the box that it does not feel."""

    words: str
    forward: str
    half: float


CASES = {
    "flat": Case("VP, β = 2", '{kind: vp, schedule: "2"}', 6.5),
    "linear": Case("VP, β linear 0.1 … 3.9", "{kind: vp, beta_min: 0.1, beta_max: 3.9}", 6.5),
    "cosine": Case("VP, β cosine 0.1 … 10", "{kind: vp, schedule: cosine, beta_min: 0.1, beta_max: 10}", 6.5),
    "slow": Case("VP, β = 1", '{kind: vp, schedule: "1"}', 6.5),
    "fast": Case("VP, β = 4", '{kind: vp, schedule: "4"}', 6.5),
    "thin": Case("VP, β = 2, σ = ½", '{kind: vp, schedule: "2", sigma: 0.5}', 5.0),
    "wide": Case("VP, β = 2, σ = 2", '{kind: vp, schedule: "2", sigma: 2}', 11.0),
    "ve": Case("VE, 0.05 … 2", "{kind: ve, sigma_min: 0.05, sigma_max: 2}", 11.5),
}


@dataclass(frozen=True)
class Parameters:
    """schedules: names of CASES; data ½N(±mean, deviation²); noise η; a budget; elements and steps per unit."""

    schedules: tuple[str, ...] = ("flat", "linear", "cosine", "fast", "thin", "wide", "ve")
    mean: float = 1.0
    deviation: float = 0.4
    noise: tuple[float, ...] = (0.0, 1.0)
    pieces: int = 8
    seeds: int = 2
    elements: int = 6
    steps: int = 96


def problem_text(parameters: Parameters, case: Case, noise: float) -> str:
    """The same two bumps under any schedule, T = 1."""
    return f"""
domain: {{box: [[{-case.half}, {case.half}]]}}
reference:
  kind: reversed-diffusion
  forward: {case.forward}
  horizon: 1
  data:
    {{kind: mixture, means: [{-parameters.mean!r}, {parameters.mean!r}], stds: {[parameters.deviation] * 2}}}
noise: {noise!r}
{small_budget(parameters.pieces)}
"""


@dataclass(frozen=True, eq=False)
class Forward:
    """A reference with its schedule: elapsed = ∫β (VP) or half the variance that is added (VE)."""

    reference: Reference
    elapsed: float
    preserving: bool
    deviation: float  # of the usual start

    def usual_start(self, x: Array) -> Array:
        """N(0, σ²), VP's stationary density; N(0, σ_max²) for VE, which has none."""
        return np.asarray(norm.pdf(x[:, 0], 0.0, self.deviation))

    def semigroup(self, function: Values, x: Array) -> Array:
        """P_T f at x (n,), for f on points (n, 1)."""

        def on_line(y: Array) -> Array:
            return function(y.reshape(-1, 1)).reshape(y.shape)

        if self.preserving:
            return ornstein_uhlenbeck_semigroup(on_line, self.elapsed, x, self.deviation, NODES)
        z, weights = np.polynomial.hermite_e.hermegauss(NODES)
        spread = np.sqrt(2.0 * self.elapsed)
        return np.asarray(on_line(x[:, None] + spread * z[None, :]) @ weights / np.sqrt(2 * np.pi))

    def from_usual_start(self, x: Array) -> Array:
        """ρ(T) of the exact reverse SDE, η = 1: q(0) P_T[ρ₀/q(T)]."""

        def ratio(y: Array) -> Array:
            return self.usual_start(y) / self.reference.density(0.0, y)

        return np.asarray(self.reference.density(self.reference.horizon, x) * self.semigroup(ratio, x[:, 0]))


def forward_of(parameters: Parameters, case: Case) -> Forward:
    """The reference of a case."""
    problem = parse_problem(problem_text(parameters, case, 0.0))
    reference = build_reference(problem.reference, problem.domain)
    spec = getattr(problem.reference, "forward", None)
    if not isinstance(spec, VariancePreserving | VarianceExploding):
        raise TypeError(f"not a process with a schedule: {case.forward}")
    elapsed = build_schedule(spec, reference.horizon).elapsed(reference.horizon)
    if isinstance(spec, VariancePreserving):
        return Forward(reference, elapsed, True, spec.sigma)
    return Forward(reference, elapsed, False, spec.limits[1])


def tracked(
    parameters: Parameters, case: Case, reference: Reference, noise: float, start: Values, more: int
) -> DensityField:
    """The state at T of the exact drift from a start, D = ηD₀(t)."""
    elements = round(more * parameters.elements * case.half / 2)
    mesh = Mesh.build(((-case.half, case.half),), "reflecting", (elements,), 8)
    operator = Operator.build(mesh, noise)
    points, diffusivity = operator.drift_points, reference.diffusivity.scaled(noise)
    times = np.linspace(0.0, reference.horizon, more * parameters.steps // 2 + 1)
    initial = mesh.unit_mass(start(mesh.points))
    stages = evolve(operator, lambda t: exact(reference, noise, t, points), initial, times, diffusivity=diffusivity.at)
    return DensityField(mesh, mesh.to_grid(stages[-1, -1]))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every schedule: the exact drift from the right start and from the usual one, and controls from several seeds."""
    rows: list[Row] = []
    found: dict[tuple[str, float], Optimised] = {}
    starts: dict[tuple[str, float], float] = {}
    for name in parameters.schedules:
        case = case_named(name)
        forward = forward_of(parameters, case)
        rows.append(report(f"{case.words}: ∫β, or half the variance added", forward.elapsed))
        for noise in parameters.noise:
            label = f"{case.words}, η = {noise:g}"
            setting.progress(Step(f"{label}, exact drift"))
            rows += exact_rows(parameters, case, forward, noise, label)
            starts[name, noise], more = start_rows(parameters, case, forward, noise, label)
            rows += more
            answers = optimise(
                problem_text(parameters, case, noise), range(parameters.seeds), setting.progress, f"{label}, controls"
            )
            found[name, noise] = answers
            rows += answers.rows(f"{label}, controls", ("l2", "w2", "effort"))
    return Findings(tuple(rows), panels_of(parameters, found, starts), note_of(parameters, found, starts))


def case_named(name: str) -> Case:
    """One of CASES. Raises ValueError, with their names, for another."""
    if name not in CASES:
        raise ValueError(f"{name} is not a schedule of this claim; there are {', '.join(CASES)}")
    return CASES[name]


def exact_rows(parameters: Parameters, case: Case, forward: Forward, noise: float, label: str) -> list[Row]:
    """The exact drift tracks under every schedule."""
    reference = forward.reference
    start, goal = partial(reference.density, 0.0), partial(reference.density, reference.horizon)
    rough, fine = (tracked(parameters, case, reference, noise, start, more).l2(goal) for more in (1, 2))
    return [equal(f"{label}, exact drift: ‖ρ(T) − p(T)‖", 0.0, fine, allowance(fine, rough), REFINEMENT)]


def start_rows(
    parameters: Parameters, case: Case, forward: Forward, noise: float, label: str
) -> tuple[float, list[Row]]:
    """What the usual start leaves at T, by the closed form where there is one, and rows that compare the two."""
    reference, name = forward.reference, f"{label}, exact drift from the usual start"
    states = [tracked(parameters, case, reference, noise, forward.usual_start, more) for more in (1, 2)]
    goal = partial(reference.density, reference.horizon)
    rough, left = (state.l2(goal) for state in states)
    if noise != 1.0:
        return left, [report(f"{name}: ‖ρ(T) − p(T)‖", left)]
    mesh = states[1].mesh
    known = forward.from_usual_start(mesh.points)
    expected = float(np.sqrt((known - goal(mesh.points)) ** 2 @ mesh.weights))
    return expected, [equal(f"{name}: ‖ρ(T) − p(T)‖", expected, left, allowance(left, rough), REFINEMENT)]


def panels_of(
    parameters: Parameters, found: dict[tuple[str, float], Optimised], starts: dict[tuple[str, float], float]
) -> tuple[Panel, ...]:
    """Errors, transport, starts and efforts, schedule by schedule."""
    places = range(len(parameters.schedules))

    def curves(quantity: str) -> tuple[Curve, ...]:
        result = []
        for series, noise in enumerate(parameters.noise):
            spreads = [found[name, noise].spread(quantity) for name in parameters.schedules]
            result.append(spread_curve(places, spreads, f"η = {noise:g}, mean and deviation", series))
        return tuple(result)

    left = tuple(
        Curve(places, [starts[name, noise] for name in parameters.schedules], f"η = {noise:g}", series=series)
        for series, noise in enumerate(parameters.noise)
    )
    ticks = parameters.schedules
    words = "flat: β = 2, fast: β = 4, thin: σ = ½, wide: σ = 2"
    return (
        Panel("controls: error in L²", words, "‖ρ(T) − p(T)‖", curves("l2"), ticks=ticks),
        Panel("controls: error in transport", words, "W₂(ρ(T), p(T))", curves("w2"), ticks=ticks),
        Panel("exact drift from the usual start", words, "‖ρ(T) − p(T)‖", left, y_log=True, ticks=ticks),
        Panel("controls: effort", words, "½∫|θ|² dt", curves("effort"), y_log=True, ticks=ticks),
    )


def note_of(
    parameters: Parameters, found: dict[tuple[str, float], Optimised], starts: dict[tuple[str, float], float]
) -> str:
    """The best and the worst schedule at each noise level."""
    words = []
    for noise in parameters.noise:
        means = {name: found[name, noise].spread("l2").mean for name in parameters.schedules}
        low, high = (pick(means, key=lambda name: means[name]) for pick in (min, max))
        words.append(
            f"at η = {noise:g} they end between {means[low]:.3f} ({CASES[low].words}) and {means[high]:.3f} "
            f"({CASES[high].words}) from the target"
        )
    noise = parameters.noise[-1]
    least, most = (pick(parameters.schedules, key=lambda name: starts[name, noise]) for pick in (min, max))
    return (
        "The exact drift tracks under every schedule, and what a start costs is its closed form. Controls feel it: "
        f"{'; '.join(words)} (means over the seeds). The usual start costs an exact drift at η = {noise:g} between "
        f"{starts[least, noise]:.1e} ({CASES[least].words}) and {starts[most, noise]:.1e} ({CASES[most].words})."
    )


CLAIM = Claim(
    id="schedule-sensitivity",
    source="P2",
    title="Beyond σ = β = 1: how much hangs on the schedule",
    statement=(
        "The theory is written for one Ornstein–Uhlenbeck process. Others noise the same data at another pace (VP with "
        "constant, linear or cosine β), to another width (σ) or without pulling it in (VE). A schedule is a change of "
        "time, so an exact drift loses nothing by it; what the start at a Gaussian costs, and what a narrow network "
        "with equal pieces can follow, depends on it."
    ),
    formulas=(
        "VP:  dX = −β(s)X ds + σ√(2β(s)) dW, data by the bumps ½N(±1, 0.4²), T = 1;   VE:  dX = √(dσ²/ds) dW",
        "usual start: N(0, σ²) in place of p(0), N(0, σ_max²) for VE",
        "η = 1, exact drift:  ρ(T) = q(0) · P_T[ρ₀/q(T)], P the semigroup at the time ∫β;  derived here, so that the\n"
        "start costs the same under every schedule with the same ∫β and σ",
    ),
    parameters=Parameters(),
    fast=Parameters(schedules=("flat",), noise=(1.0,), pieces=2, seeds=1, elements=4, steps=48),
    experiment=experiment,
    meaning=(
        "To an exact drift a schedule is a change of time, and its start is forgotten by ∫β alone. To controls on "
        "equal pieces it is more: linear and cosine schedules move little at the data end, where the work is, and so "
        "give it more of the pieces. A narrow stationary density is the easiest to come from, and a wide one asks for "
        "the most effort with noise, since its mass has to be fetched from farther away. VE has small errors in L² and "
        "large ones in transport: its start is far wider than the target, and what is left out there is thin but far. "
        "The boxes are as wide as the noise needs, and the random starts of the controls with them."
    ),
    further=(
        "Slower noise, `--set schedules=[slow,flat,fast]`, leaves more of a wrong start and less for the drift to "
        "fight; more seeds narrow the bars: `--set seeds=8`."
    ),
)

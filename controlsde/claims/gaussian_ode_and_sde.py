"""From a Gaussian to a Gaussian in few pieces: the best linear drifts and narrow networks, with and without noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, equal, report
from controlsde.claims.harness.evolution import REFINEMENT, allowance, density_after, line, piece_at
from controlsde.claims.harness.fitting import Slope, order_row, power_law
from controlsde.claims.harness.optimised import effort_of
from controlsde.control.controls import Controls
from controlsde.foundation.progress import Step
from controlsde.gaussians.linear_tracking import LinearTracking
from controlsde.problem import Problem, parse_problem
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result
from controlsde.workflow.solving import evaluate, solve

Array = NDArray[np.float64]

BOX = (-5.0, 5.0)  # of the networks
FREE = (-9.0, 9.0)  # beyond which the Gaussians have no mass that a number could show
LAST = 3  # of the numbers of pieces give the order
EFFORT = 1e-9  # its price: too low to be felt before 1e-7 in J
FLATTEST = 0.02  # of |a|: a neuron cannot start from no slope at all
STEPS = 32  # of time in all, at least


@dataclass(frozen=True)
class Parameters:
    """data N(m, 1/α), horizon T, noise η; pieces for linear drifts and for networks; steepness κ of the start."""

    mean: float = 1.0
    precision: float = 4.0
    horizon: float = 1.5
    noise: tuple[float, ...] = (0.0, 1.0)
    pieces: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    network_pieces: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    steepness: float = 0.05
    elements: int = 24


def tracking_of(parameters: Parameters, noise: float, pieces: int) -> LinearTracking:
    """The reversed Ornstein–Uhlenbeck process of N(m, 1/α)."""
    horizon = parameters.horizon

    def variance(t: Array) -> Array:
        left = horizon - t
        return np.asarray(np.exp(-2 * left) / parameters.precision - np.expm1(-2 * left))

    return LinearTracking(
        lambda t: np.asarray(np.exp(-(horizon - t)) * parameters.mean), variance, noise, horizon, pieces
    )


def problem_of(parameters: Parameters, noise: float, pieces: int) -> Problem:
    """The same for networks of one neuron."""
    return parse_problem(
        f"""
domain: {{box: [[{BOX[0]}, {BOX[1]}]]}}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, weights: [1], means: [[{parameters.mean!r}]], stds: [{parameters.precision**-0.5!r}]}}
noise: {noise!r}
network: {{width: 1, activation: tanh}}
controls: {{pieces: {pieces}, bounds: 1000}}
objective: {{effort: {EFFORT!r}}}
mesh: {{elements: [8], degree: 8, steps_per_piece: {max(2, STEPS // pieces)}}}
solver: {{kind: shooting, starts: 1, hops: 0}}
monte_carlo: {{particles: 20000}}
"""
    )


def neurons_like(parameters: Parameters, tracking: LinearTracking, drifts: Array) -> Controls:
    """A tanh(κ(x − c) + β) with the value and the slope of ax + b where the reference is centred, by piece."""
    edges = np.linspace(0.0, tracking.horizon, tracking.pieces + 1)
    centre = tracking.mean(0.5 * (edges[1:] + edges[:-1]))
    slope = np.where(np.abs(drifts[:, 0]) < FLATTEST, FLATTEST, drifts[:, 0])
    kappa = np.full(tracking.pieces, parameters.steepness)
    outer = slope / kappa
    bias = (drifts[:, 0] * centre + drifts[:, 1]) / outer - kappa * centre
    return Controls(outer[:, None, None], kappa[:, None, None], bias[:, None], edges)


def objective_of(result: Result, horizon: float) -> float:
    """½∫‖ρ − p‖² dt + ½‖ρ(T) − p(T)‖² from the verified errors."""
    return 0.5 * horizon * result.tracking.l2_rms**2 + 0.5 * result.tracking.l2_final**2


def size_of(objective: float, horizon: float) -> float:
    """√(2J/T): an error in L², as a mean over time."""
    return float((2.0 * objective / horizon) ** 0.5)


def final_of_linear(parameters: Parameters, tracking: LinearTracking, drifts: Array, more: int) -> float:
    """‖ρ(T) − p(T)‖ of linear drifts by the state equation."""
    steps = 8 * more
    edges = np.linspace(0.0, tracking.horizon, tracking.pieces + 1)
    times = np.linspace(0.0, tracking.horizon, steps * tracking.pieces + 1)

    def drift(t: float, x: Array) -> Array:
        piece = piece_at(edges, t)
        return np.asarray(drifts[piece, 0] * x + drifts[piece, 1])

    def density(t: float, x: Array) -> Array:
        at = np.array([t])
        return np.asarray(norm.pdf(x[:, 0], tracking.mean(at)[0], tracking.variance(at)[0] ** 0.5))

    mesh = line(*FREE, more * parameters.elements // 2)
    state = density_after(mesh, drift, tracking.diffusivity, partial(density, 0.0), times)
    return state.l2(partial(density, tracking.horizon))


@dataclass(frozen=True, eq=False)
class Linear:
    """The best linear drifts on some pieces: the problem, the drifts (K, 2), and J of them and of matched moments."""

    tracking: LinearTracking
    drifts: Array
    objective: float
    matched: float

    @staticmethod
    def of(tracking: LinearTracking) -> Linear:
        """Solve one problem."""
        drifts = tracking.optimum()
        return Linear(tracking, drifts, tracking.objective(drifts), tracking.objective(tracking.matching()))


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every noise level: linear drifts by the moments, one of them by the state equation, networks by shooting."""
    rows: list[Row] = []
    tracked: list[Curve] = []
    ended: list[Curve] = []
    found: dict[float, dict[int, Linear]] = {}
    for series, noise in enumerate(parameters.noise):
        name = f"η = {noise:g}"
        found[noise] = {}
        for pieces in parameters.pieces:
            setting.progress(Step(f"{name}, {pieces} pieces, linear drifts"))
            found[noise][pieces] = Linear.of(tracking_of(parameters, noise, pieces))
        slope = _linear_rows(parameters, name, found[noise], rows)
        counts = [pieces for pieces in parameters.network_pieces if pieces in found[noise]]
        networks = [_network(parameters, noise, found[noise][pieces], rows, setting) for pieces in counts]
        tracked += _tracking_curves(parameters, name, found[noise], slope, series)
        size = partial(size_of, horizon=parameters.horizon)
        sizes = [size(objective_of(result, parameters.horizon)) for result in networks]
        tracked.append(Curve(counts, sizes, f"{name}, network of width 1", series=series))
        transports = [one.tracking.errors(one.drifts)[1] for one in found[noise].values()]
        ended.append(Curve(parameters.pieces, transports, f"{name}, linear", "theory", series=series))
        distances = [float(result.tracking.w2_final or np.nan) for result in networks]
        ended.append(Curve(counts, distances, f"{name}, network", series=series))
    return Findings(
        tuple(rows + _ratio_rows(parameters, found)),
        (
            Panel("tracking error", "pieces", "√(2J/T)", tuple(tracked), True, True),
            Panel("at the end", "pieces", "W₂(ρ(T), p(T))", tuple(ended), True, True),
        ),
        "Linear drifts track to second order in the length of a piece, at every noise level. "
        + ". ".join(
            f"{row.parameter[0].upper()}{row.parameter[1:]}: {row.measured:.2f}"
            for row in _ratio_rows(parameters, found)
        )
        + ".",
    )


def _linear_rows(parameters: Parameters, name: str, found: dict[int, Linear], rows: list[Row]) -> Slope:
    """Rows of the linear drifts; returns the order of those that match the moments."""
    for pieces, one in found.items():
        label = f"{name}, linear, {pieces} pieces: √(2J/T) by that of matched moments"
        matched, best = (size_of(value, parameters.horizon) for value in (one.matched, one.objective))
        rows.append(at_most(label, matched, best, 0.0, "a minimum is no larger than its first guess"))
    last = list(found)[-LAST:]
    slope = power_law(last, [size_of(found[pieces].matched, parameters.horizon) for pieces in last])
    rows.append(order_row(f"{name}, linear, matched moments: order of √(2J/T) in the pieces", -2.0, slope))
    few = next(iter(found.values()))
    rough, fine = (final_of_linear(parameters, few.tracking, few.drifts, more) for more in (1, 2))
    label = f"{name}, linear, {few.tracking.pieces} pieces: ‖ρ(T) − p(T)‖ by the state equation"
    expected = few.tracking.errors(few.drifts)[0]
    rows.append(equal(label, expected, fine, allowance(fine, rough), REFINEMENT))
    return slope


def _tracking_curves(
    parameters: Parameters, name: str, found: dict[int, Linear], slope: Slope, series: int
) -> tuple[Curve, Curve]:
    matched = [size_of(one.matched, parameters.horizon) for one in found.values()]
    best = [size_of(one.objective, parameters.horizon) for one in found.values()]
    return (
        Curve(parameters.pieces, matched, f"{name}, moments matched: slope {slope}", "line", series=series),
        Curve(parameters.pieces, best, f"{name}, best linear", "theory", series=series),
    )


def _ratio_rows(parameters: Parameters, found: dict[float, dict[int, Linear]]) -> list[Row]:
    """How much larger the error is at the last noise level than at the first, with few pieces and with many."""
    first, last = parameters.noise[0], parameters.noise[-1]
    if first == last:
        return []
    return [
        report(
            f"linear, {pieces} pieces: √J at η = {last:g} over that at η = {first:g}",
            (found[last][pieces].objective / found[first][pieces].objective) ** 0.5,
        )
        for pieces in (parameters.pieces[0], parameters.pieces[-1])
    ]


def _network(
    parameters: Parameters,
    noise: float,
    linear: Linear,
    rows: list[Row],
    setting: Setting,
) -> Result:
    """The network found from a start that is all but linear, and rows of it."""
    pieces, bound = linear.tracking.pieces, linear.objective
    setting.progress(Step(f"η = {noise:g}, {pieces} pieces, network"))
    problem = problem_of(parameters, noise, pieces)
    start = neurons_like(parameters, linear.tracking, linear.drifts)
    begun = objective_of(evaluate(problem, start), parameters.horizon)
    result = solve(problem, initial=start, executor=setting.executor)
    found = objective_of(result, parameters.horizon)
    rows.append(
        at_most(
            f"η = {noise:g}, network, {pieces} pieces: J by that of linear drifts",
            bound,
            found,
            max(begun - bound, 0.0) + EFFORT * effort_of(start),
            "what a neuron in place of a linear drift costs the start, and its effort",
        )
    )
    rows.append(report(f"η = {noise:g}, network, {pieces} pieces: ‖ρ(T) − p(T)‖", result.tracking.l2_final))
    return result


CLAIM = Claim(
    id="gaussian-ode-and-sde",
    source="P1",
    title="The simplest target: from a Gaussian to a Gaussian, with and without noise",
    statement=(
        "One neuron moves a Gaussian to a Gaussian, with weights that are constant on a few pieces of time. Linear "
        "drifts do so in formulas, a neuron can do what they do and more: what is reached with how many pieces, in L² "
        "and in W₂, with and without noise?"
    ),
    formulas=(
        "v = aₖx + bₖ on piece k:  m' = am + b,  S' = 2aS + 2D, and the density stays Gaussian",
        "J = ½∫‖ρ − p‖² dt + ½‖ρ(T) − p(T)‖²,  minimised over aₖ, bₖ without any mesh;  derived here",
        "mean and variance can be met at the ends of the pieces: √J ~ K^{−2} for K pieces, and the best is no worse",
        "A tanh(κ(x − c) + β) → ax + b as κ → 0:  the best neuron is no worse",
    ),
    parameters=Parameters(),
    fast=Parameters(pieces=(2, 16, 32, 64), network_pieces=(2,)),
    experiment=experiment,
    meaning=(
        "On the simplest target noise helps nothing: the rate is the same, and the error is larger by a factor, for "
        "the drift has to fight the diffusion as well. With many pieces a network stops short of the linear optimum, "
        "because a neuron that is all but linear needs large weights, and these have a price."
    ),
    further="Take narrower data (`--set precision=16`): what becomes of the factor between the noise levels?",
)

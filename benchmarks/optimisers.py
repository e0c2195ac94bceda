"""Second-order shooting against L-BFGS on the same gradient, and against one cold collocation solve.

From each start Newton runs until it converges, to J_N, and L-BFGS until it converges, to the same tolerance, or to a
cap. Both may end in different valleys, so there are three clocks, each L-BFGS over Newton:

    ≤ 1.001 J_N     until J is within 1e-3 of Newton's optimum, from above; only where both are in the same valley
    bottom + 1e-3   until J is within 1e-3 of the bottom of the method's own valley
    bottom + 1e-6   the same within 1e-6: what it takes to have an optimum, and not only a good value

"Priced" is the same run of L-BFGS, with each of its evaluations at the price of plain autograd (see `gradient`), which
is what one would write without this package: the numbers that L-BFGS sees are the same to 1e-13, so the run is, too.
Newton goes on from where L-BFGS stopped, which tells the valley it was in, and its bottom. Where L-BFGS did not
arrive, the time it ran is a lower bound. Starts are random, as the solvers draw them, or near: Newton's optimum from
the first random start with every weight off by a random part, from where both mostly stay in one valley.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.gradient import PlainAutograd
from benchmarks.problems import sizes, two_bumps
from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.timing import interleaved, ratio
from controlsde.solvers.collocation.solver import WarmStart, solve_nlp
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.shooting.first_order import minimise_l_bfgs
from controlsde.solvers.shooting.trust_region import Iterate, minimise
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]
Method = Literal["newton", "gauss-newton"]

LEAST_TIMES_L_BFGS = 20.0
CLOSE, TIGHT = 1e-3, 1e-6  # relative excess of J at which a method has arrived
ITERATIONS = 500
TOLERANCE = 1e-6
COLLOCATION_TOLERANCE = 1e-8
UNLIMITED = 10**7


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    random: int
    near: tuple[float, ...]  # relative size of the disturbance
    rounds: int  # of the second-order methods; L-BFGS and collocation, the longest, run once, in the middle round
    cap: float  # seconds for L-BFGS


FULL = Effort(random=3, near=(0.05, 0.2), rounds=3, cap=40.0)
FAST = Effort(random=1, near=(0.05,), rounds=1, cap=3.0)


@dataclass(frozen=True, eq=False)
class Trace:
    """Seconds since the start and J of every accepted point, and the last point; `seconds` until the method ended."""

    marks: tuple[tuple[float, float], ...]
    point: Array
    seconds: float
    converged: bool

    @property
    def value(self) -> float:
        """The least J."""
        return min(value for _, value in self.marks)

    def reached(self, value: float) -> float | None:
        """Seconds until J ≤ value; None if never."""
        return next((at for at, found in self.marks if found <= value), None)


class _CapError(Exception):
    """Raised from a callback to end L-BFGS."""


def second_order(tracking: TrackingProblem, start: Array, method: Method) -> Trace:
    """Build the objective and minimise to the end."""
    began = time.perf_counter()
    objective = Objective(tracking)
    shape = tracking.weight_shape
    marks: list[tuple[float, float]] = []
    last: Iterate | None = None
    for iterate in minimise(
        lambda point: objective.evaluate(point.reshape(shape)),
        start.ravel(),
        tracking.bounds,
        ITERATIONS,
        TOLERANCE,
        method,
    ):
        marks.append((time.perf_counter() - began, iterate.value))
        last = iterate
    assert last is not None
    return Trace(tuple(marks), last.point, time.perf_counter() - began, last.converged)


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """A run of L-BFGS, and the bottom of the valley it was in: where Newton ends that goes on from there.

    evaluating: seconds spent on values with gradients until each mark of the trace, and last those of the whole run.
    """

    trace: Trace
    evaluating: tuple[float, ...]
    valley: float

    def priced(self, factor: float) -> FirstOrder:
        """The same run where each evaluation takes `factor` times as long."""
        more = [(factor - 1.0) * spent for spent in self.evaluating]
        marks = tuple((at + extra, value) for (at, value), extra in zip(self.trace.marks, more, strict=False))
        return replace(self, trace=replace(self.trace, marks=marks, seconds=self.trace.seconds + more[-1]))


class _Timed:
    """An objective that adds up the seconds of its evaluations."""

    def __init__(self, objective: Objective) -> None:
        self.tracking = objective.tracking
        self.shape, self.bounds = objective.shape, objective.bounds
        self.seconds = 0.0
        self._objective = objective

    def value_and_gradient(self, weights: Array) -> tuple[float, Array]:
        """As the objective's own."""
        began = time.perf_counter()
        try:
            return self._objective.value_and_gradient(weights)
        finally:
            self.seconds += time.perf_counter() - began


def l_bfgs(tracking: TrackingProblem, start: Array, cap: float) -> FirstOrder:
    """Build the objective, and run L-BFGS to the cap or its own end."""
    began = time.perf_counter()
    objective = _Timed(Objective(tracking))
    marks: list[tuple[float, float]] = []
    evaluating: list[float] = []
    point, converged = start.ravel(), False

    def accept(iterate: Iterate) -> None:
        nonlocal point, converged
        marks.append((time.perf_counter() - began, iterate.value))
        evaluating.append(objective.seconds)
        point, converged = iterate.point, iterate.converged
        if converged or marks[-1][0] > cap:
            raise _CapError

    with suppress(_CapError):
        minimise_l_bfgs(cast(Objective, objective), start.ravel(), UNLIMITED, TOLERANCE, accept)
    trace = Trace(tuple(marks), point, time.perf_counter() - began, converged)
    return FirstOrder(trace, (*evaluating, objective.seconds), second_order(tracking, point, "newton").value)


def price_of_autograd(tracking: TrackingProblem, rounds: int) -> float:
    """How many times as long as ours a value with gradient takes by plain autograd."""
    weights = random_starts(tracking, 1, 0)[0]
    ours, plain = Objective(tracking), PlainAutograd(tracking, once_a_piece=False)
    timing = interleaved(
        {
            "ours": lambda: ours.value_and_gradient(weights),
            "plain": lambda: plain.value_and_gradient(weights),
        },
        rounds,
    )
    return ratio(timing["plain"], timing["ours"])


@dataclass(frozen=True)
class Collocated:
    """One cold collocation solve: seconds with the build, J, IPOPT's verdict."""

    seconds: float
    value: float
    success: bool


def collocate(tracking: TrackingProblem, start: Array) -> Collocated:
    """Build the program and solve it once, with the states on the reference."""
    began = time.perf_counter()
    solution = solve_nlp(transcribe(tracking), WarmStart(start, tracking.targets), ITERATIONS, COLLOCATION_TOLERANCE)
    return Collocated(time.perf_counter() - began, solution.objective, solution.success)


@dataclass(frozen=True)
class Lead:
    """L-BFGS over Newton; `bounded` where L-BFGS did not arrive and its time is a lower bound."""

    newton: float
    l_bfgs: float
    bounded: bool

    @property
    def ratio(self) -> float:
        """How many times faster Newton was."""
        return self.l_bfgs / self.newton

    def text(self) -> str:
        """The ratio, marked where it is a bound."""
        return ("≥ " if self.bounded else "") + times(self.ratio)


@dataclass(frozen=True, eq=False)
class Race:
    """All methods from one start."""

    start: str
    newton: Sequence[Trace]
    gauss_newton: Sequence[Trace]
    l_bfgs: FirstOrder
    autograd: FirstOrder  # the same run, priced as with plain autograd
    collocation: Collocated

    @property
    def optimum(self) -> float:
        """J_N."""
        return self.newton[0].value

    def same_valley(self, run: FirstOrder) -> bool:
        """Whether L-BFGS was in Newton's valley when it stopped."""
        return abs(run.valley / self.optimum - 1.0) <= CLOSE

    def to_newtons_optimum(self, run: FirstOrder) -> Lead:
        """Until J ≤ 1.001 J_N; L-BFGS may get there in another valley, too."""
        return self._lead(run, self.optimum, CLOSE)

    def to_own_bottom(self, run: FirstOrder, excess: float) -> Lead:
        """Until each is within a relative excess of the bottom of its own valley."""
        return self._lead(run, self.optimum if self.same_valley(run) else run.valley, excess)

    def _lead(self, run: FirstOrder, bottom: float, excess: float) -> Lead:
        newton = _median_reached(self.newton, self.optimum * (1.0 + excess))
        assert newton is not None  # its own optimum
        reached = run.trace.reached(bottom * (1.0 + excess))
        return Lead(newton, run.trace.seconds if reached is None else reached, reached is None)


def _median_reached(traces: Sequence[Trace], value: float) -> float | None:
    found = [trace.reached(value) for trace in traces]
    return None if None in found else statistics.median(at for at in found if at is not None)


def run(fast: bool) -> Report:
    """Measure at η = 1 and η = 0."""
    effort = FAST if fast else FULL
    tables, goals, notes = [], [], []
    for noise in (1.0, 0.0):
        tracking = two_bumps(noise)
        races = _races(tracking, effort)
        title = f"η = {noise:g}: Newton (left) and L-BFGS, cap {effort.cap:g} s; ratios of times"
        tables += [
            _l_bfgs_table(title, [(race, race.l_bfgs) for race in races], effort.cap),
            _l_bfgs_table(
                title + "; priced as on plain autograd", [(race, race.autograd) for race in races], effort.cap
            ),
            _others_table(noise, races),
        ]
        goals += _goals(noise, races)
        notes += _notes(noise, races)
    return Report(f"Optimisers: {sizes(tracking)}", tables, goals, notes)


def _races(tracking: TrackingProblem, effort: Effort) -> list[Race]:
    rng = np.random.default_rng(0)
    price = price_of_autograd(tracking, 3 * effort.rounds)
    races: list[Race] = []
    for number, start in enumerate(random_starts(tracking, effort.random, 0)):
        races.append(_race(tracking, f"random {number}", start, effort, price))
    optimum = races[0].newton[0].point.reshape(tracking.weight_shape)
    for size in effort.near:
        start = np.clip(optimum * (1.0 + size * rng.standard_normal(optimum.shape)), -tracking.bound, tracking.bound)
        races.append(_race(tracking, f"near, {size:.0%}", start, effort, price))
    return races


def _race(tracking: TrackingProblem, name: str, start: Array, effort: Effort, price: float) -> Race:
    newton: list[Trace] = []
    gauss_newton: list[Trace] = []
    ours: FirstOrder | None = None
    collocation: Collocated | None = None
    for number in range(effort.rounds):  # in turn: load that comes and goes meets all of them
        newton.append(second_order(tracking, start, "newton"))
        gauss_newton.append(second_order(tracking, start, "gauss-newton"))
        if number == effort.rounds // 2:
            collocation = collocate(tracking, start)
            ours = l_bfgs(tracking, start, effort.cap)
    assert ours is not None
    assert collocation is not None
    return Race(name, newton, gauss_newton, ours, ours.priced(price), collocation)


def _l_bfgs_table(title: str, pairs: Sequence[tuple[Race, FirstOrder]], cap: float) -> Table:
    rows = []
    for race, run in pairs:
        trace, lead = run.trace, race.to_newtons_optimum(run)
        rows.append(
            (
                race.start,
                f"{race.optimum:.5f}",
                seconds(lead.newton),
                f"{trace.value:.5f}",
                seconds(trace.seconds),
                f"{len(trace.marks)}",
                "converged" if trace.converged else "capped" if race.l_bfgs.trace.seconds > cap else "stalled",
                "same" if race.same_valley(run) else f"other, {run.valley:.5f}",
                "never" if lead.bounded else seconds(lead.l_bfgs),
                lead.text() if race.same_valley(run) or not lead.bounded else "-",
                race.to_own_bottom(run, CLOSE).text(),
                race.to_own_bottom(run, TIGHT).text(),
            )
        )
    columns = (
        "start",
        "J_N",
        "≤ 1.001 J_N",
        "J L-BFGS",
        "ended",
        "iterations",
        "how",
        "valley",
        "≤ 1.001 J_N",
        "ratio",
        "bottom + 1e-3",
        "bottom + 1e-6",
    )
    return Table(title, columns, rows)


def _others_table(noise: float, races: Sequence[Race]) -> Table:
    rows = []
    for race in races:
        gauss = race.gauss_newton[0]
        to_target = _median_reached(race.gauss_newton, race.optimum * (1.0 + CLOSE))
        to_own = _median_reached(race.gauss_newton, gauss.value * (1.0 + CLOSE)) or float("nan")
        newton = statistics.median(trace.seconds for trace in race.newton)
        program = race.collocation.seconds
        rows.append(
            (
                race.start,
                seconds(newton),
                f"{race.optimum:.5f}" + _mark(race.newton[0].converged),
                seconds(to_target) if to_target else "never",
                seconds(to_own),
                f"{gauss.value:.5f}" + _mark(gauss.converged),
                seconds(program),
                f"{race.collocation.value:.5f}" + _mark(race.collocation.success),
                times(program / newton),
            )
        )
    columns = (
        "start",
        "Newton, all",
        "J",
        "Gauss-Newton ≤ 1.001 J_N",
        "own bottom",
        "J",
        "collocation",
        "J",
        "over Newton",
    )
    title = (
        f"η = {noise:g}: Newton to convergence, Gauss-Newton, one cold collocation solve (build + solve; * no success)"
    )
    return Table(title, columns, rows)


def _mark(success: bool) -> str:
    return "" if success else "*"


def _goals(noise: float, races: Sequence[Race]) -> list[Goal]:
    label = f"η = {noise:g}: "
    same = [race for race in races if race.same_valley(race.l_bfgs)]
    goals = [
        _lead_goal(
            label + "Newton over L-BFGS, ≤ 1.001 J_N, same valley",
            [race.to_newtons_optimum(race.l_bfgs) for race in same],
        ),
    ]
    for excess in (CLOSE, TIGHT):
        words = label + f"Newton over L-BFGS, own bottom + {excess:.0e}".replace("e-0", "e-")
        goals += [
            _lead_goal(words, [race.to_own_bottom(race.l_bfgs, excess) for race in races]),
            _lead_goal(
                words + ", priced as plain autograd", [race.to_own_bottom(race.autograd, excess) for race in races]
            ),
        ]
    gains = [race.collocation.seconds / statistics.median(trace.seconds for trace in race.newton) for race in races]
    middle = statistics.median(gains)
    goals.append(
        Goal(
            label + "Newton faster than cold collocation",
            "> 1×",
            f"median {times(middle)}, {times(min(gains))} to {times(max(gains))}",
            middle > 1.0,
        )
    )
    return goals


def _lead_goal(what: str, leads: Sequence[Lead]) -> Goal:
    wanted = f"≥ {LEAST_TIMES_L_BFGS:g}×"
    if not leads:
        return Goal(what, wanted, "no start", None)
    middle = statistics.median(lead.ratio for lead in leads)
    bounded = sum(lead.bounded for lead in leads)
    words = f"median {times(middle)} of {len(leads)}" + (f", {bounded} lower bounds" if bounded else "")
    # were every bound infinite, could the median still reach the goal?
    best = statistics.median(math.inf if lead.bounded else lead.ratio for lead in leads)
    undecided = middle < LEAST_TIMES_L_BFGS <= best
    return Goal(what, wanted, words, None if undecided else middle >= LEAST_TIMES_L_BFGS)


def _notes(noise: float, races: Sequence[Race]) -> list[str]:
    notes = [
        f"η = {noise:g}, {race.start}: L-BFGS ended in another valley: {race.l_bfgs.trace.value:.5f} after "
        f"{race.l_bfgs.trace.seconds:.0f} s, its bottom {race.l_bfgs.valley:.5f}, Newton's {race.optimum:.5f}"
        for race in races
        if not race.same_valley(race.l_bfgs)
    ]
    agree = [
        race.start
        for race in races
        if race.collocation.success and abs(race.collocation.value / race.optimum - 1.0) <= CLOSE
    ]
    notes.append(
        f"η = {noise:g}: collocation ends in Newton's valley from {', '.join(agree) or 'none'} "
        f"of the {len(races)} starts"
    )
    return notes

"""The least J whose error at T is no larger than ε: a search for the multiplier of that constraint.

    min J(θ)  subject to  ½ ‖ρ(T) − p(T)‖² ≤ ½ ε²:   ∇J + λ ∇ ½‖ρ(T) − p(T)‖² = 0,  λ ≥ 0,  and λ = 0 or equality.

The multiplier λ adds to the terminal weight, so each λ is a problem that every solver can solve, started at the answer
to the one before. The error falls as λ grows. The search begins where the end counts for far more than all else: where
it counts little, the weights vanish, and from no weights at all nothing leads back. Then λ is lowered tenfold until the
limit is passed, and found by the secant of log error against log λ, kept away from the ends of its bracket.

The error that is to meet the limit need not be the one that the solver's own mesh shows: a caller may measure it on a
finer one. Each λ still is a problem on the solver's mesh, and its answer an optimum there; which λ is the right one is
then decided where the error can be trusted.

Comes in: a solver, the objective of a tracking problem with an end limit, and a measure of the error. Goes out: an
`Outcome` that meets the limit, or one that says how close it came. Whatever is told, on the way and at the end, is J
itself, without what the multiplier adds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.progress import Progress, Step
from controlsde.solvers.outcome import Iteration, Outcome, Termination
from controlsde.solvers.starts import starts_from
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]
Solve = Callable[..., Outcome]
EndError = Callable[[Array], float]

DOMINANT = 1e3  # how many times more than all else the end counts at first
FACTOR = 10.0  # between multipliers, until the limit lies between two of them
RANGE = 1e12  # times the first multiplier, either way, in which one is looked for
INSIDE = 5e-3  # of the limit: so far within it the search aims, for what even a finer mesh does not show of the error
MET = 1e-4  # relative distance from that aim at which the constraint counts as active
BLIND = 0.1  # of that aim: an error on the solver's mesh with which the one that is measured should not miss it
FLOOR = 1e-3  # relative fall of the errors, of either, below which a larger multiplier is no help any more
HIDDEN = 0.5  # of the limit: more than that between the two errors, and a finer mesh is what is missing
NARROW = 1e-6  # of a bracket of log λ, below which the error jumps across the limit
MOST_SOLVES = 60


@dataclass(frozen=True, eq=False)
class _Tried:
    """The answer for one multiplier: its J without the multiplier, and its error at T.

    error: as the caller measures it. own: as the solver's mesh shows it.
    """

    multiplier: float
    outcome: Outcome
    objective: float
    error: float = math.inf
    own: float = math.inf

    def excess(self, aim: float) -> float:
        """log(error / aim): positive where the limit is missed."""
        return math.log(max(self.error, 1e-300) / aim)


class _Attempts:
    """Solves for one multiplier after the other, with all that they cost and a history of J: a row for each."""

    def __init__(self, solve: Solve, objective: Objective, progress: Progress, end_error: EndError | None) -> None:
        self._solve, self._objective, self._progress, self._end_error = solve, objective, progress, end_error
        self.history: list[Iteration] = []
        self.hidden = 0.0  # the most that the solver's own mesh hid of an error, or added to it
        self.iterations = 0
        self.build_seconds = 0.0
        self.solve_seconds = 0.0

    def __call__(self, multiplier: float, start: Sequence[Array], options: Any) -> _Tried:
        outcome = self._solve(self._objective.pressed(multiplier), options, self._unpriced, start)
        self.build_seconds += outcome.build_seconds
        self.solve_seconds += outcome.solve_seconds
        self.iterations += outcome.iterations
        if not np.isfinite(outcome.objective):
            return _Tried(multiplier, outcome, math.nan)
        tracking = self._objective.tracking
        stages = self._objective.stages(outcome.weights)
        value = float(tracking.objective(stages, outcome.weights))
        own = tracking.end_error(stages)
        error = own if self._end_error is None else self._end_error(outcome.weights)
        self.hidden = max(self.hidden, abs(error - own))
        self._record(value, outcome)
        limit = tracking.end_limit
        words = f"multiplier {multiplier:.3g}: error {error:.4g} at T, at most {limit:.4g} wanted"
        self._progress(Step(words, None, value))
        return _Tried(multiplier, outcome, value, error, own)

    def answer(self, found: _Tried) -> Outcome:
        """The outcome of this attempt, with J in place of what was minimised, and with all that was spent."""
        if np.isfinite(found.objective) and self.history[-1].objective != found.objective:
            self._record(found.objective, found.outcome)  # the history ends in the answer
        return replace(
            found.outcome,
            objective=found.objective,
            history=tuple(self.history),
            others=(),
            iterations=self.iterations,
            build_seconds=self.build_seconds,
            solve_seconds=self.solve_seconds,
        )

    def _record(self, value: float, outcome: Outcome) -> None:
        self.history.append(Iteration(self.iterations, value, outcome.gradient_norm))

    def _unpriced(self, step: Step) -> None:
        """Progress without an objective: what is minimised here is not J."""
        self._progress(replace(step, objective=None))


def solve_within_limit(
    solve: Solve,
    objective: Objective,
    options: Any,
    progress: Progress,
    initial: Sequence[Array] = (),
    end_error: EndError | None = None,
) -> Outcome:
    """The outcome of least J, among those of `solve`, whose error at T is within the limit.

    end_error: ‖ρ(T) − p(T)‖ of weights (K, P), measured where it can be trusted, inf where it cannot be measured; on
    the solver's own mesh if not given. Of several starts one is brought to the limit: the one that is best where the
    end counts most. Its J stands among `starts`, which are nan for the others.
    """
    limit = objective.tracking.end_limit
    assert limit is not None  # callers ask for this only then
    attempt = _Attempts(solve, objective, progress, end_error)
    first = attempt(_dominant(objective, options, initial), initial, options)
    aim = (1 - INSIDE) * limit
    found = _search(first, lambda multiplier, start: attempt(multiplier, [start], options.going_on(1)), aim)
    outcome = attempt.answer(found)
    met = _met(found, aim)
    if not met and not outcome.interrupted and np.isfinite(outcome.objective):
        words, unseen = _words(found, limit), found.error > limit and attempt.hidden > HIDDEN * limit
        outcome = replace(outcome, message=words, termination=Termination("unseen-error" if unseen else "limit", words))
    starts = [math.nan] * len(first.outcome.starts)
    if starts:
        starts[first.outcome.start] = outcome.objective
    return replace(outcome, converged=outcome.converged and met, start=first.outcome.start, starts=tuple(starts))


def _dominant(objective: Objective, options: Any, initial: Sequence[Array]) -> float:
    """A multiplier with which the end counts for far more than the first start's weights and energy, and the way."""
    tracking = objective.tracking
    start = starts_from(objective, initial, 1, options.seed, options.start)[0]
    scale = 0.5 * float(np.sum(tracking.metric.root(tracking.targets[-1, -1, -1]) ** 2))
    running = float(tracking.time_weight.sum())
    return DOMINANT * ((tracking.regularisation(start) + _energy(objective, start)) / scale + running + 1e-12)


def _energy(objective: Objective, weights: Array) -> float:
    """What the energy of these weights costs; nothing where they cannot be evaluated."""
    if objective.tracking.energy_price == 0.0:
        return 0.0
    try:
        stages = objective.stages(weights)
    except NonFiniteError:
        return 0.0
    settled, own = objective.tracking.settled(weights)
    return settled.priced_energy(stages, own)


def _search(first: _Tried, attempt: Callable[[float, Array], _Tried], aim: float) -> _Tried:
    """The multiplier at which the error is what is aimed at; the best that was tried where there is none."""
    inside = first if first.error <= aim else None
    outside = None if inside else first
    last = closest = first
    floor = False
    for _ in range(MOST_SOLVES):
        if last.outcome.interrupted or not np.isfinite(last.outcome.objective) or _met(last, aim):
            return last
        multiplier = _next(inside, outside, aim)
        if multiplier is None or multiplier > RANGE * first.multiplier:
            break
        if inside is None and (last.own <= BLIND * aim or floor):  # what is left of the error, no multiplier lowers
            break
        if multiplier < first.multiplier / RANGE:
            if outside is not None:
                break
            multiplier = 0.0
        before, last = last, attempt(multiplier, (inside or last).outcome.weights)
        floor = last.error > (1 - FLOOR) * before.error and last.own > (1 - FLOOR) * before.own
        closest = min((closest, last), key=lambda one: one.error)
        if last.error <= aim:
            inside = last
        else:
            outside = last
    return inside or closest


def _next(inside: _Tried | None, outside: _Tried | None, aim: float) -> float | None:
    """The multiplier to try next; None where the error jumps across the limit."""
    if inside is None:
        assert outside is not None  # the first answer lies on one side
        return outside.multiplier * FACTOR
    if outside is None or outside.multiplier == 0.0:
        return inside.multiplier / FACTOR
    low, high = math.log(outside.multiplier), math.log(inside.multiplier)
    if abs(high - low) <= NARROW:
        return None
    above, below = outside.excess(aim), inside.excess(aim)
    share = above / (above - below) if math.isfinite(above) and above > below else 0.5
    return math.exp(low + min(max(share, 0.1), 0.9) * (high - low))


def _met(tried: _Tried, aim: float) -> bool:
    """Whether the aim is met: as an equality, or with room to spare and no multiplier."""
    if not math.isfinite(tried.error):
        return False
    return abs(tried.excess(aim)) <= MET or (tried.multiplier == 0.0 and tried.error <= aim)


def _words(found: _Tried, limit: float) -> str:
    """How far from the limit the search ended."""
    if found.error <= limit:
        return (
            f"the error at T jumps across the limit {limit:g} as its multiplier grows; kept an answer within it, "
            f"{found.error:.4g}, which need not be the cheapest"
        )
    words = f"no controls were found whose error at T is at most {limit:g}; the closest reached {found.error:.4g}"
    differs = abs(found.error - found.own) > HIDDEN * limit
    return f"{words} on a finer mesh, {found.own:.4g} on the solver's own" if differs else words

"""The least J whose error at T is no larger than ε: a search for the multiplier of that constraint.

    min J(θ)  subject to  ½ ‖ρ(T) − p(T)‖² ≤ ½ ε²:   ∇J + λ ∇ ½‖ρ(T) − p(T)‖² = 0,  λ ≥ 0,  and λ = 0 or equality.

The multiplier λ adds to the terminal weight, so each λ is a problem that every solver can solve, started at the answer
to the one before. The error falls as λ grows. The search begins where the end counts for far more than all else: where
it counts little, the weights vanish, and from no weights at all nothing leads back. Then λ is lowered tenfold until the
limit is passed, and found by the secant of log error against log λ, kept away from the ends of its bracket.

Comes in: a solver, and a tracking problem with an end limit. Goes out: an `Outcome` that meets the limit to `MET`, or
one that says how close it came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.progress import Progress, Step
from controlsde.solvers.outcome import Ending, Outcome
from controlsde.solvers.reduced import ReducedObjective
from controlsde.solvers.starts import starts_from
from controlsde.tracking import TrackingProblem

Array = NDArray[np.float64]
Solve = Callable[..., Outcome]

DOMINANT = 1e3  # how many times more than all else the end counts at first
FACTOR = 10.0  # between multipliers, until the limit lies between two of them
RANGE = 1e12  # times the first multiplier, either way, in which one is looked for
MET = 1e-4  # relative distance from the limit at which the constraint counts as active
NARROW = 1e-6  # of a bracket of log λ, below which the error jumps across the limit
MOST_SOLVES = 60


@dataclass(frozen=True, eq=False)
class _Tried:
    """The answer for one multiplier."""

    multiplier: float
    outcome: Outcome
    error: float  # ‖ρ(T) − p(T)‖

    def excess(self, limit: float) -> float:
        """log(error / ε): positive where the limit is missed."""
        return math.log(max(self.error, 1e-300) / limit)


def solve_within_limit(
    solve: Solve, tracking: TrackingProblem, options: Any, progress: Progress, initial: Sequence[Array] = ()
) -> Outcome:
    """The outcome of least J, among those of `solve`, whose error at T is within `tracking.end_limit`."""
    limit = tracking.end_limit
    assert limit is not None  # callers ask for this only then
    objective = ReducedObjective(tracking)
    spent = [0.0, 0.0, 0]

    def attempt(multiplier: float, start: Sequence[Array], run: Any) -> _Tried:
        outcome = solve(tracking.pressed(multiplier), run, progress, start)
        spent[0] += outcome.build_seconds
        spent[1] += outcome.solve_seconds
        spent[2] += outcome.iterations
        error = math.inf
        if np.isfinite(outcome.objective):
            error = tracking.end_error(objective.stages(outcome.weights))
        progress(Step(f"multiplier {multiplier:.3g}: error {error:.4g} at T, at most {limit:.4g} wanted"))
        return _Tried(multiplier, outcome, error)

    first = attempt(_dominant(tracking, options, initial), initial, options)
    found = _search(first, lambda multiplier, start: attempt(multiplier, [start], options.going_on(1)), limit)
    outcome = found.outcome
    if np.isfinite(outcome.objective):
        value = float(objective.value(outcome.weights))  # without what the multiplier adds
        outcome = replace(outcome, objective=value)
    met = _met(found, limit)
    if not met and not outcome.interrupted:
        words = _words(found, limit)
        outcome = replace(outcome, message=words, ending=Ending("limit", words))
    return replace(
        outcome,
        converged=outcome.converged and met,
        starts=first.outcome.starts,
        others=(),
        iterations=int(spent[2]),
        build_seconds=spent[0],
        solve_seconds=spent[1],
    )


def _dominant(tracking: TrackingProblem, options: Any, initial: Sequence[Array]) -> float:
    """A multiplier with which the end counts for far more than the weights of the first start and the running term."""
    start = starts_from(tracking, initial, 1, options.seed, options.start)[0]
    scale = 0.5 * float(np.sum(tracking.metric.root(tracking.targets[-1, -1, -1]) ** 2))
    running = float(tracking.time_weight.sum())
    return DOMINANT * (tracking.price(start) / scale + running + 1e-12)


def _search(first: _Tried, attempt: Callable[[float, Array], _Tried], limit: float) -> _Tried:
    """The multiplier at which the error meets the limit; the best that was tried where none does."""
    inside = first if first.error <= limit else None
    outside = None if inside else first
    last = first
    for _ in range(MOST_SOLVES):
        if last.outcome.interrupted or not np.isfinite(last.outcome.objective) or _met(last, limit):
            return last
        multiplier = _next(inside, outside, limit)
        if multiplier is None or multiplier > RANGE * first.multiplier:
            break
        if multiplier < first.multiplier / RANGE:
            if outside is not None:
                break
            multiplier = 0.0
        last = attempt(multiplier, (inside or last).outcome.weights)
        if last.error <= limit:
            inside = last
        else:
            outside = last
    return inside or min((outside or last, last), key=lambda one: one.error)


def _next(inside: _Tried | None, outside: _Tried | None, limit: float) -> float | None:
    """The multiplier to try next; None where the error jumps across the limit."""
    if inside is None:
        assert outside is not None  # the first answer lies on one side
        return outside.multiplier * FACTOR
    if outside is None or outside.multiplier == 0.0:
        return inside.multiplier / FACTOR
    low, high = math.log(outside.multiplier), math.log(inside.multiplier)
    if abs(high - low) <= NARROW:
        return None
    above, below = outside.excess(limit), inside.excess(limit)
    share = above / (above - below) if math.isfinite(above) and above > below else 0.5
    return math.exp(low + min(max(share, 0.1), 0.9) * (high - low))


def _met(tried: _Tried, limit: float) -> bool:
    """Whether the limit is met: as an equality, or with room to spare and no multiplier."""
    if not math.isfinite(tried.error):
        return False
    return abs(tried.excess(limit)) <= MET or (tried.multiplier == 0.0 and tried.error <= limit)


def _words(found: _Tried, limit: float) -> str:
    """How far from the limit the search ended."""
    if found.error <= limit:
        return (
            f"the error at T jumps across the limit {limit:g} as its multiplier grows; kept an answer within it, "
            f"{found.error:.4g}, which need not be the cheapest"
        )
    return f"no controls were found whose error at T is at most {limit:g}; the closest reached {found.error:.4g}"

"""What every solver returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SAME = 1e-9  # relative difference of J that rounding explains

Reason = Literal[
    "converged",
    "interrupted",
    "iterations",  # there were no more
    "pruned",  # other starts looked more promising after the first iterations
    "no-descent",  # no step lowered J any further
    "stalled",  # J stopped falling although the gradient is not small: a kink
    "non-finite",  # a number stopped being finite
    "infeasible",  # the state equation could not be met
    "loose",  # the conditions hold, but not to the tolerance
    "limit",  # the error at T could not be brought to its limit
    "unseen-error",  # nor that, and the solver's own mesh does not show it as it is
    "disagrees",  # the solver's J is not that of its weights through the state equation
    "unknown",
]


Beginning = Literal["", "hop", "finer mesh"]  # files count them in this order


@dataclass(frozen=True)
class Iteration:
    """One row of a solver's history: J and the largest entry of the (projected) gradient.

    begins: what begins here. A hop: its first iteration after the disturbance. A finer mesh: J there of the weights
    reached so far, under the same number.
    """

    number: int
    objective: float
    gradient_norm: float
    begins: Beginning = ""


def rows_that_begin(beginnings: Sequence[Beginning], kind: Beginning) -> NDArray[np.int64]:
    """With which rows of a history a hop, or a finer mesh, begins."""
    return np.array([row for row, one in enumerate(beginnings) if one == kind], dtype=np.int64)


def carried_on(before: tuple[Iteration, ...], later: tuple[Iteration, ...]) -> tuple[Iteration, ...]:
    """A history and what followed on a finer mesh, as one; iterations are counted through."""
    if not before or not later:
        return before + later
    count = before[-1].number
    shifted = [replace(row, number=row.number + count) for row in later]
    return (*before, replace(shifted[0], begins="finer mesh"), *shifted[1:])


@dataclass(frozen=True)
class Violation:
    """The equation of a collocation program that is violated most: its size, and where, all counted from 0.

    stage: of the step of the piece. unknown: of the density at that stage.
    """

    size: float
    piece: int
    step: int
    stage: int
    unknown: int


@dataclass(frozen=True)
class Termination:
    """Why a solver stopped, as plain data for a diagnosis.

    words: the solver's own, where it has any. what, piece: what stopped being finite, and in which piece (from 0).
    violation: of the last iterate, None where the solver meets the state equation by construction.
    regularisation: what was added to the Hessian in each iteration, where the solver says so.
    """

    reason: Reason = "unknown"
    words: str = ""
    what: str = ""
    piece: int | None = None
    violation: Violation | None = None
    regularisation: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """The weights that a solver found from one start, and what to think of them.

    weights: (K, P), flattened as in `network`. objective: J there, re-evaluated through the state equation.
    converged: the first-order conditions hold to the tolerance. message: what happened, in one line; termination: the
    same as plain data. history: its last objective is J of the weights, where the solver converged.
    What a solver returns is the start with the least objective; it also carries
    starts: J reached from each start, in order (nan for one that broke down, or was not brought to a limit at the end),
    start: which of them this is, from 0, and
    others: the outcomes of the other starts, least objective first.
    known: J that a search by another solver reached on the same discrete problem, where there was one.
    loss: of a fit to points, ∫E|v − v*|² dt at those points themselves, beside which a verification puts fresh ones.
    """

    weights: Array
    objective: float
    gradient_norm: float
    converged: bool
    interrupted: bool
    message: str
    iterations: int
    history: tuple[Iteration, ...]
    starts: tuple[float, ...] = ()
    start: int = 0
    others: tuple[Outcome, ...] = ()
    known: float | None = None
    loss: float | None = None
    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    termination: Termination = field(default_factory=Termination)


def history_of(outcome: Outcome) -> Array:
    """Number, objective and gradient norm of every iteration, (iterations, 3)."""
    rows = [(row.number, row.objective, row.gradient_norm) for row in outcome.history]
    return np.array(rows, dtype=float).reshape(-1, 3)


@dataclass(frozen=True)
class Reached:
    """What the starts of an answer with some objective reached, each sorted: `kept`, the answer's own among them,

    `set_aside`, which are lower, and the number of those that have no objective.
    """

    kept: tuple[float, ...]
    set_aside: tuple[float, ...]
    lost: int


def reached(starts: Sequence[float], objective: float) -> Reached:
    """Tell starts with a lower objective than the answer's from the others: there was a reason to set those aside."""
    values = sorted(value for value in starts if np.isfinite(value))
    least = objective - SAME * abs(objective) if np.isfinite(objective) else -np.inf
    kept = tuple(value for value in values if value >= least)
    return Reached(kept, tuple(values[: len(values) - len(kept)]), len(starts) - len(values))

"""What every solver returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Reason = Literal[
    "converged",
    "interrupted",
    "iterations",  # there were no more
    "screened",  # other starts looked more promising after the first iterations
    "no-descent",  # no step lowered J any further
    "non-finite",  # a number stopped being finite
    "infeasible",  # the state equation could not be met
    "loose",  # the conditions hold, but not to the tolerance
    "limit",  # the error at T could not be brought to its limit
    "disagrees",  # the solver's J is not that of its weights through the state equation
    "unknown",
]


@dataclass(frozen=True)
class Iteration:
    """One row of a solver's history: J and the largest entry of the (projected) gradient."""

    number: int
    objective: float
    gradient_norm: float


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
class Ending:
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
    converged: the first-order conditions hold to the tolerance. message: what happened, in one line; ending: the
    same as plain data. What a solver returns is the start with the least objective; it also carries
    starts: J reached from each start, in order (nan for one that broke down), and
    others: the outcomes of the other starts, least objective first.
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
    others: tuple[Outcome, ...] = ()
    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    ending: Ending = field(default_factory=Ending)

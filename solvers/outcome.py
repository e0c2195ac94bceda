"""What every solver returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Iteration:
    """One row of a solver's history: J and the largest entry of the (projected) gradient."""

    number: int
    objective: float
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """The weights that a solver found from one start, and what to think of them.

    weights: (K, P), flattened as in `network`. objective: J there, re-evaluated through the state equation.
    converged: the first-order conditions hold to the tolerance. message: what happened, and what to try if it
    did not converge. What a solver returns is the start with the least objective; it also carries
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

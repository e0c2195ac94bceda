"""What a solve takes that has one processor for itself: as one of many that run side by side.

Comes in: a problem of either space. Goes out: `Cost`, predicted as `check` does.
"""

from __future__ import annotations

from dataclasses import dataclass

import loky

from controlsde.problem import Problem
from controlsde.tracking.free_posed import FreePosed
from controlsde.workflow.expectation import expected_time
from controlsde.workflow.free_prediction import expected_in_free_space, predict_free
from controlsde.workflow.prediction import predict


@dataclass(frozen=True)
class Cost:
    """Seconds on one processor, with verification and pictures; bytes of memory."""

    seconds: float
    memory: int


def cost_alone(problem: Problem) -> Cost:
    """The cost of a solve of this problem. What is expected in a box is with its starts on all processors."""
    if problem.domain.free:
        posed = FreePosed.of(problem)
        return Cost(expected_in_free_space(posed).whole, predict_free(posed).solver_memory_bytes)
    found = expected_time(problem)
    return Cost(found.whole + (loky.cpu_count() - 1) * found.solver, predict(problem).solver_memory_bytes)

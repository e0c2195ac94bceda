"""What the solvers of the collocation program have in common: where they start, what they return, how they are stopped.

Comes in: the layout of a program's variables. Goes out: starting points, solutions, and a record of the iterates.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, Step
from controlsde.solvers.outcome import Iteration, Violation

Array = NDArray[np.float64]

LAST_ITERATES = 20  # kept, to choose from when a solve is cut short

_CASADI = threading.RLock()


class SolverUnavailableError(ControlsdeError, RuntimeError):
    """A solver that the installed CasADi does not bring; one line with the cure."""


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A point to start from: weights (K, P), stages (K, S, s, n), and multipliers of the constraints (or None)."""

    weights: Array
    stages: Array
    multipliers: Array | None = None


@dataclass(frozen=True, eq=False)
class NlpSolution:
    """What a solver of the program returned: weights, stages, multipliers λ_g, costates (K, n), and its own words."""

    weights: Array
    stages: Array
    multipliers: Array
    costates: Array
    objective: float
    iterations: int
    success: bool
    status: str
    history: tuple[Iteration, ...]
    last_weights: tuple[Array, ...]  # of the last iterates, for a solve that was cut short
    solver: str = "IPOPT"
    violation: Violation | None = None  # at the last iterate, where the solver hands it out
    regularisation: tuple[float, ...] = ()  # of the Hessian, by iteration


class IterateLog:
    """The iterates of one solve: their history, the last few weights, and whether the user wants to stop."""

    def __init__(self, progress: Progress, task: str) -> None:
        self.history: list[Iteration] = []
        self.weights: deque[Array] = deque(maxlen=LAST_ITERATES)
        self.interrupted = False
        self._progress = progress
        self._task = task

    def record(self, value: float, weights: Array) -> None:
        """Take down one iterate: J and the weights (K, P)."""
        self.history.append(Iteration(len(self.history), value, float("nan")))
        self.weights.append(weights)
        self._progress(Step(self._task, len(self.history) - 1, value))


@contextmanager
def casadi_alone() -> Iterator[None]:
    """Let one thread at a time build and solve programs, and let go of them; for a function, use it as a decorator.

    CasADi counts the references to its expressions without a lock, and shares some of them among all: two threads that
    build programs side by side crash now and then. Nothing is lost, for MUMPS, which IPOPT calls, takes turns anyway.
    """
    with _CASADI:
        yield


@contextmanager
def interrupt_sets(log: IterateLog) -> Iterator[None]:
    """Turn Ctrl-C into a request to stop at the next iteration: an exception would not survive the solver."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(_signal: int, _frame: object) -> None:
        log.interrupted = True

    before = signal.signal(signal.SIGINT, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

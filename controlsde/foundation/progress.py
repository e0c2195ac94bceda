"""Progress of long work: what runs, how far it is. Solvers and evaluators report, the command line shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One line of progress: what is running, its iteration, and the objective there where there is one."""

    task: str
    iteration: int | None = None
    objective: float | None = None
    fraction: float | None = None  # of the task, 0 … 1, where it is known


Progress = Callable[[Step], None]


def silent(_: Step) -> None:
    """Report nothing."""

"""What `--executor` and `--workers` ask for, and who speaks where several processes were started together.

Comes in: what a user types. Goes out: an executor, or None where nobody asked for one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from controlsde.cli.exits import UsageError

if TYPE_CHECKING:
    from controlsde.workflow.cost_alone import Cost

RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")


@dataclass(frozen=True)
class SideBySide:
    """Where work runs that can run side by side, by name, and how many workers; None where nobody says."""

    executor: str | None = None
    workers: int | None = None

    @staticmethod
    def asked(executor: str | None, workers: int | None) -> SideBySide:
        """What the options say. Raises UsageError or ExecutorError, in one line, before anything is loaded."""
        if workers is not None and workers < 1:
            raise UsageError(f"--workers must be at least 1 (got {workers})")
        if executor is not None:
            from controlsde.execution.executors import check_name

            check_name(executor)
        return SideBySide(executor, workers)

    def together(self, count: int, one: Cost) -> int:
        """How many of so many jobs will run at a time, as far as that is known before workers are there."""
        import loky

        from controlsde.workflow.jobs import at_a_time

        if self.executor is None and self.workers is None:
            return at_a_time(count, None, lambda: one)
        room = self.workers or loky.cpu_count()
        ours = self.executor in (None, "processes")
        return 1 if ours and count < room else min(count, room)

    @contextmanager
    def started(self) -> Iterator[Executor | None]:
        """The executor, for as long as the block lasts; None where nobody asked for one.

        Where another process leads, this one has worked for it, and its command ends here. Raises ExecutorError.
        """
        if self.executor is None and self.workers is None:
            yield None
            return
        from controlsde.execution.executors import executor_of

        with executor_of(self.executor, self.workers) as pool:
            if pool is None:
                raise typer.Exit
            yield pool


def leads(executor: str | None) -> bool:
    """Whether this is the first of the processes that were started together, where they work together at all."""
    return executor != "mpi" or all(os.environ.get(name, "0") == "0" for name in RANKS)

"""How many runs an executor is given before the first of them has ended: enough for all of its workers, and few else.

Comes in: an executor, one of ours or a caller's own. Goes out: a number, to be asked for again as work goes on, since a
cluster grows and shrinks. What is given is held in memory, and given up when the sweep is interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

LEAST = 64  # also where nobody can tell how many workers there are
EACH = 2  # runs a worker: one that it is at, one that is there when that has ended
ASKED_AGAIN = 10.0  # seconds after which workers are counted once more
COUNTS = ("workers", "_max_workers", "num_workers")  # of our processes, of the standard library's and loky's, of MPI's


def workers_of(executor: Executor) -> int:
    """How many tasks an executor does at a time as of now; 0 where it does not say."""
    for name in COUNTS:
        count = getattr(executor, name, None)
        if isinstance(count, int) and not isinstance(count, bool):
            return count
    client: Any = getattr(executor, "_client", None)  # of Dask's, which has no other way to its scheduler
    with suppress(Exception):  # a scheduler that does not answer is told where work is given to it
        return sum(client.nthreads().values())
    return 0


class Ahead:
    """The number to be given, counted again every few seconds.

    workers: how many there are at least, of an executor that does not say.
    """

    def __init__(
        self, executor: Executor, workers: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._executor, self._told, self._clock = executor, workers or 0, clock
        self._asked = -ASKED_AGAIN
        self._count = 0

    def count(self) -> int:
        """How many runs may be under way."""
        now = self._clock()
        if not self._count or now - self._asked >= ASKED_AGAIN:
            self._asked = now
            self._count = max(LEAST, EACH * max(workers_of(self._executor), self._told))
        return self._count

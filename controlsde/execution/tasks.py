"""Tasks on an executor: given out a few at a time, tried again where a worker died, told as they end.

Comes in: tasks, each a function of a module with plain data, and any `concurrent.futures.Executor`. Goes out: how each
ended, in whatever order they end.
"""

from __future__ import annotations

import math
import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from controlsde.execution.executors import ExecutorError, died, room_of
from controlsde.execution.here import Here

R = TypeVar("R")

LOOK = 1.0  # seconds between two looks, when nothing ends
LEAST_AHEAD = 64  # tasks that are given out before the first has ended
AHEAD = 2  # tasks for every worker, so that none waits for the next one
ASK_AGAIN = 10.0  # seconds after which an executor is asked again how many it has
TRIES = 2


@dataclass(frozen=True)
class Task(Generic[R]):
    """Work, and what messages call it."""

    name: str
    work: Callable[..., R]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Ended(Generic[R]):
    """How the task of this number ended: with a result, or an error. attempts: how often it was begun."""

    number: int
    result: R | None = None
    error: BaseException | None = None
    attempts: int = 1

    @property
    def lost(self) -> bool:
        """Whether the worker died each time."""
        return self.error is not None and died(self.error)

    def in_words(self) -> str:
        """Why there is no result, in a line."""
        words = str(self.error).splitlines()[0] if str(self.error) else type(self.error).__name__
        if self.lost:
            return f"the worker died {self.attempts} times at it ({words}): it may lack memory; try fewer --workers"
        return words


class Tasks(Generic[R]):
    """Tasks under way on an executor. Ask for what has ended until none is left, and give up the rest in any case.

    workers: how many there are at least, of an executor that does not say so itself.
    """

    def __init__(self, tasks: Sequence[Task[R]], executor: Executor, workers: int | None = None) -> None:
        self._tasks, self._executor, self._workers = tasks, executor, workers or 1
        self._next = 0  # the first that was never given out
        self._again: deque[tuple[int, int]] = deque()  # those that wait once more, and which attempt it will be
        self._under_way: dict[Future[R], tuple[int, int]] = {}
        # `wait` looks at every future each time that one ends; they tell of themselves, so that thousands cost no more.
        self._told: queue.SimpleQueue[Future[R]] = queue.SimpleQueue()
        self._room, self._asked = 1, -math.inf

    @property
    def waiting(self) -> int:
        """How many have not been begun."""
        return len(self._again) + len(self._tasks) - self._next

    @property
    def under_way(self) -> tuple[int, ...]:
        """The numbers of those that were given out, and have not ended."""
        return tuple(number for number, _ in self._under_way.values())

    def ended(self, *, begin: bool = True) -> list[Ended[R]]:
        """What has ended since the last time; nothing, where nothing does for a second.

        begin: whether more may be given out; else what was, and is not begun, waits again. Raises ExecutorError where
        the executor takes no more work.
        """
        if begin:
            self._give_out()
        else:
            self._take_back()
        if not self._under_way:
            return []
        told = []
        for future in self._done():
            number, attempt = self._under_way.pop(future, (-1, 0))
            if number < 0:  # taken back
                continue
            error = ExecutorError("the executor dropped it unasked") if future.cancelled() else future.exception()
            if error is None:
                told.append(Ended(number, future.result(), None, attempt))
            elif died(error) and attempt < TRIES:
                self._again.append((number, attempt + 1))
            else:
                told.append(Ended(number, None, error, attempt))
        return told

    def give_up(self) -> None:
        """Leave what has not ended."""
        for future in self._under_way:
            future.cancel()
        self._under_way.clear()
        self._again.clear()
        self._next = len(self._tasks)

    def _take_back(self) -> None:
        """Let what no worker has begun wait again. Dask does not tell whether one has."""
        if hasattr(self._executor, "_client"):
            return
        for future, begun in list(self._under_way.items()):
            if future.cancel():
                del self._under_way[future]
                self._again.append(begun)

    def _done(self) -> Iterator[Future[R]]:
        """The futures that have ended by now; the first is waited for a moment."""
        with suppress(queue.Empty):
            yield self._told.get(timeout=LOOK)
            while True:
                yield self._told.get_nowait()

    def _give_out(self) -> None:
        now = time.monotonic()
        if now - self._asked > ASK_AGAIN:
            self._room, self._asked = max(room_of(self._executor), self._workers), now
        # Here they are done as they are given out: one, and then whoever waits is told of it.
        most = 1 if isinstance(self._executor, Here) else max(LEAST_AHEAD, AHEAD * self._room)
        while self.waiting and len(self._under_way) < most:
            number, attempt = self._again[0] if self._again else (self._next, 1)
            task = self._tasks[number]
            try:
                future = self._executor.submit(task.work, *task.arguments)
            except RuntimeError as error:
                raise ExecutorError(
                    f"the executor takes no more work ({error}); give another one: what has ended is kept"
                ) from None
            if self._again:
                self._again.popleft()
            else:
                self._next += 1
            self._under_way[future] = number, attempt
            future.add_done_callback(self._told.put)

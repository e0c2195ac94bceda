"""Independent starts of one solve: one after the other, in threads, or on an executor when that pays.

Comes in: what to do with one start, and perhaps an executor. Goes out: the results in order, as far as a keyboard
interrupt let them come.

Threads cost nothing to start, but take turns wherever they are in Python: they are for what spends most of its time in
compiled loops, and for few of them. A process takes seconds to import the library.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from typing import Protocol, TypeVar

import loky

from controlsde.execution.executors import ExecutorError, room_of
from controlsde.execution.processes import Processes
from controlsde.execution.tasks import Task, Tasks
from controlsde.foundation.surroundings import own_settings
from controlsde.foundation.threads import MOST_THREADS

POOL_PAYS_ABOVE = 6.0  # seconds of remaining work below which starting processes costs more than it saves
THREADS_PAY_ABOVE = 0.1  # the same for threads


class Interruptible(Protocol):
    """A result that knows whether it was cut short."""

    @property
    def interrupted(self) -> bool:
        """Whether a keyboard interrupt stopped it."""
        ...


S = TypeVar("S")
R = TypeVar("R", bound=Interruptible)


Stopped = Callable[[], bool]  # whether to come to an end
Work = Callable[[S, Stopped], R]  # what is done elsewhere with a start
Finished = Callable[[int, R], None]  # told of the count of what has ended, and of each result


def never() -> bool:
    """Work that nobody stops."""
    return False


class Workers:
    """The threads or processes of one solve, started when first worth it. Use it as a context, which ends them.

    executor: where starts run that do not run here; of this machine's processes, if it is not given. A given one is
    left as it was. threads: whether the work may be done in threads.
    """

    def __init__(self, executor: Executor | None = None, *, threads: bool = False) -> None:
        self._given = executor
        self._own: Processes | None = None
        self._count = loky.cpu_count() if executor is None else room_of(executor)
        self._threads = threads

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.shutdown(kill=True)  # who wanted an answer has it; what still runs was given up

    def run(
        self,
        starts: Sequence[S],
        here: Callable[[int, S], R],
        elsewhere: Work[S, R],
        finished: Finished[R],
        expected: float | None = None,
    ) -> list[R | None]:
        """Results of the starts, in order; None for those that a keyboard interrupt kept from termination.

        here(number, start) runs in this thread; the first start does, to see how long one takes, unless `expected`
        gives these seconds. elsewhere(start, stopped) runs in another thread, where it ends soon after `stopped` says
        so, or in another process, and must survive the way there.
        finished(count, result) is told of each result that comes from elsewhere.
        """
        results: list[R | None] = []
        began = time.perf_counter()
        for number, start in enumerate(starts):
            left = len(starts) - number
            one = (time.perf_counter() - began) / number if number else expected
            if one is not None and min(self._count, left) > 1:
                rest = starts[number:]
                if self._threads and one * left > THREADS_PAY_ABOVE and not self._long(one * left):
                    return [*results, *self._in_threads(rest, elsewhere, finished, number)]
                if self._started or one * left > POOL_PAYS_ABOVE:  # what has started costs nothing more
                    return [*results, *self._on_the_executor(rest, elsewhere, finished, number)]
            result = here(number, start)
            results.append(result)
            if result.interrupted:
                return [*results, *(None for _ in range(left - 1))]
        return results

    @property
    def _started(self) -> bool:
        """Whether there are workers already: processes of this machine start with their first work."""
        executor = self._given or self._own
        return executor is not None and getattr(executor, "started", True)

    def _long(self, seconds: float) -> bool:
        """Whether work is so long that processes beat as many threads as can work side by side."""
        return self._count > MOST_THREADS and seconds / MOST_THREADS > POOL_PAYS_ABOVE

    def _in_threads(self, starts: Sequence[S], work: Work[S, R], finished: Finished[R], before: int) -> list[R | None]:
        stop = threading.Event()

        def in_own_settings(start: S) -> R:
            with own_settings():
                return work(start, stop.is_set)

        with ThreadPoolExecutor(min(self._count, loky.cpu_count(), MOST_THREADS, len(starts))) as pool:
            futures = {pool.submit(in_own_settings, start): number for number, start in enumerate(starts)}
            try:
                for count, future in enumerate(as_completed(futures), before + 1):
                    finished(count, future.result())
            except KeyboardInterrupt:
                pass
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                stop.set()
        ended = {number: future.result() for future, number in futures.items() if not future.cancelled()}
        return [ended.get(number) for number in range(len(starts))]

    def _on_the_executor(
        self, starts: Sequence[S], work: Work[S, R], finished: Finished[R], before: int
    ) -> list[R | None]:
        if self._given is None:
            self._own = self._own or Processes(self._count)
        executor = self._given or self._own
        assert executor is not None
        results: dict[int, R] = {}
        numbered = enumerate(starts, before + 1)
        tasks = Tasks([Task(f"start {number}", work, (start, never)) for number, start in numbered], executor)
        try:
            while tasks.waiting or tasks.under_way:
                for one in tasks.ended():
                    if one.lost:
                        raise ExecutorError(f"start {before + one.number + 1}: {one.in_words()}")
                    if one.error is not None:
                        raise one.error
                    results[one.number] = one.result  # type: ignore[assignment]
                    finished(before + len(results), results[one.number])
        except KeyboardInterrupt:
            pass  # what has ended is kept
        finally:
            tasks.give_up()
        return [results.get(number) for number in range(len(starts))]

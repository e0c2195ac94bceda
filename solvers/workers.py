"""Independent starts of one solve: one after the other, in threads, or in processes of their own when that pays.

Comes in: what to do with one start. Goes out: the results in order, as far as a keyboard interrupt let them come.

Threads cost nothing to start, but take turns wherever they are in Python: they are for what spends most of its time in
compiled loops, and for few of them. A process takes seconds to import the library.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Protocol, TypeVar

import loky
import numpy as np

from controlsde.foundation.surroundings import FLOATING_POINT, own_settings
from controlsde.foundation.threads import MOST_THREADS

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PARENT_WATCH = 1.0  # seconds between two looks of a worker at its parent
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

    threads: whether the work may be done in threads.
    """

    def __init__(self, *, threads: bool = False) -> None:
        self._pool: loky.ProcessPoolExecutor | None = None
        self._count = loky.cpu_count()
        self._threads = threads

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._end(kill=error is not None)

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
                if self._pool is not None or one * left > POOL_PAYS_ABOVE:  # what has started costs nothing more
                    return [*results, *self._in_processes(rest, elsewhere, finished, number)]
            result = here(number, start)
            results.append(result)
            if result.interrupted:
                return [*results, *(None for _ in range(left - 1))]
        return results

    def _long(self, seconds: float) -> bool:
        """Whether work is so long that processes beat as many threads as can work side by side."""
        return self._count > MOST_THREADS and seconds / MOST_THREADS > POOL_PAYS_ABOVE

    def _in_threads(self, starts: Sequence[S], work: Work[S, R], finished: Finished[R], before: int) -> list[R | None]:
        stop = threading.Event()

        def in_own_settings(start: S) -> R:
            with own_settings():
                return work(start, stop.is_set)

        with ThreadPoolExecutor(min(self._count, MOST_THREADS, len(starts))) as pool:
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

    def _in_processes(
        self, starts: Sequence[S], work: Work[S, R], finished: Finished[R], before: int
    ) -> list[R | None]:
        results: dict[int, R] = {}
        if self._pool is None:
            # Unlike the standard library's pool, this one does not run the caller's main module in every worker.
            self._pool = loky.ProcessPoolExecutor(
                min(self._count, len(starts)), initializer=start_worker, initargs=(os.getpid(),), env=ONE_THREAD
            )
        try:
            with interrupts_held_back():  # workers inherit that, and never see a Ctrl-C at all
                futures: dict[Future[R], int] = {
                    self._pool.submit(work, start, never): number for number, start in enumerate(starts)
                }
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                finished(before + len(results), future.result())
        except KeyboardInterrupt:
            self._end(kill=True)
        return [results.get(number) for number in range(len(starts))]

    def _end(self, kill: bool) -> None:
        if self._pool is not None:
            self._pool.shutdown(kill_workers=kill)
            self._pool = None


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Keep a keyboard interrupt waiting until the block has ended; where a system cannot, do nothing."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    np.seterr(**FLOATING_POINT)  # type: ignore[arg-type]
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process soon after its parent has ended, however that came about."""
    while os.getppid() == parent:
        time.sleep(PARENT_WATCH)
    os._exit(1)

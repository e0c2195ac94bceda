"""Particles in a stream: cell after cell is started, moved, summed and forgotten, until enough are counted.

Comes in: a process, where particles start, how many are wanted, and perhaps an executor. Goes out: their sums, how
many there are, and why it stopped. Memory does not depend on the number of particles. A cell's particles depend on its
number alone, and sums are integers: neither threads, workers nor the size of a batch change a result.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import loky
import numpy as np
from numpy.typing import NDArray

from controlsde.execution.executors import ExecutorError, died, room_of
from controlsde.foundation.surroundings import one_thread, own_settings
from controlsde.monte_carlo.backends.choice import Backend
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process
from controlsde.monte_carlo.sums import CELL, Layout, Sums, count

Array = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Array]

MOST_CELLS = 256  # of one wave: 4 million particles between two looks at what is known
MOST_OF_A_TASK = 64  # cells that a worker elsewhere is given at a time
FEWEST = 2  # particles of which anything can be said
AHEAD = 2  # chunks that wait for every thread

TIME_BUDGET, TARGET_SE, INTERRUPTED = "time-budget", "target-se", "interrupted"


@dataclass(frozen=True)
class Effort:
    """How many particles, and what ends it before: seconds of wall clock, or a standard error that is small enough."""

    particles: int
    seconds: float | None = None
    target_se: float | None = None


@dataclass(frozen=True)
class Simulated:
    """The sums, what stopped it early (None: all particles are counted), seconds, and remarks for the user."""

    sums: Sums
    stopped: str | None
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Workers that move particles, and what each does with a chunk of cells, which must survive the way there."""

    executor: Executor
    work: Callable[[range], Sums]


@dataclass(frozen=True, eq=False)
class Starts:
    """Where particles start: cell by cell from the stream's own generators, in box coordinates.

    draw(n, rng) gives n independent points (n, d) of the box.
    """

    draw: Draw
    process: Process
    stream: Stream

    def cell(self, number: int) -> Array:
        """Particles number·CELL … (number + 1)·CELL − 1: (CELL, d)."""
        return self.process.inward(self.draw(CELL, self.stream.generator(number)))


@dataclass(eq=False)
class _Worker:
    """What a thread does with a chunk of cells; halves the chunk where a device has no memory for it."""

    starts: Starts
    layout: Layout
    backend: Backend
    particles: int
    stop: threading.Event
    notes: list[str] = field(default_factory=list)

    @own_settings()  # a thread begins with settings of its own
    def sums(self, cells: range) -> Sums:
        """The sums of neighbouring cells, as many moved together as the device can hold; the last counted in part."""
        total = Sums.zero(self.layout)
        while cells:
            group = cells[: self.backend.cells]
            total, cells = total + self._summed(group), cells[len(group) :]
        return total

    def _summed(self, group: range) -> Sums:
        process, stream = self.starts.process, self.starts.stream
        start = np.concatenate([self.starts.cell(number) for number in group])
        first = group[0] * CELL
        counted = min(len(start), self.particles - first)
        try:
            if self.backend.sums:
                return self.backend.sums(process, stream, first, start[:counted], self.layout)
            moved = self.backend.advance(process, stream, first, start[:counted], self.stop.is_set)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error) or len(group) == 1:
                raise
            half = len(group) // 2
            note = f"{self.backend.device}: out of memory, went on with {half * CELL:,} particles at a time"
            self.backend = replace(self.backend, cells=half)
            self.notes.append(note)
            return self.sums(group)
        total = Sums.zero(self.layout)
        for begin in range(0, counted, CELL):
            part = slice(begin, min(begin + CELL, counted))
            total += count(self.layout, Positions(moved.z[part], moved.alive[part]))
        return total


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def stream_particles(
    process: Process,
    stream: Stream,
    draw: Draw,
    layout: Layout,
    backend: Backend,
    effort: Effort,
    *,
    standard_error: Callable[[Sums], float] | None = None,
    report: Callable[[int], None] = lambda _count: None,
    elsewhere: Elsewhere | None = None,
) -> Simulated:
    """Move and count particles until they are enough.

    standard_error tells what `effort.target_se` is compared with. report receives how many particles are counted
    so far. elsewhere: workers that move them, by default threads of this process. An interruption (KeyboardInterrupt)
    ends it with what was counted; where nothing was, it goes on its way.
    """
    began = time.perf_counter()
    cells = -(-effort.particles // CELL)
    stop = threading.Event()
    worker = _Worker(Starts(draw, process, stream), layout, backend, effort.particles, stop)
    total = Sums.zero(layout)
    stopped: str | None = None
    done, wave = 0, 1

    def late() -> bool:
        return effort.seconds is not None and time.perf_counter() - began >= effort.seconds

    with ExitStack() as stack:
        if elsewhere is None:
            pool, threads = stack.enter_context(threads_for(backend))
            hands = _Hands(pool, worker.sums, AHEAD * threads, backend.cells)
        else:
            hands = _Hands(elsewhere.executor, elsewhere.work, AHEAD * room_of(elsewhere.executor), None)
        try:
            while done < cells and stopped is None:
                end = min(cells, done + wave)
                for part in hands.sums_in_order(range(done, end)):
                    total += part
                    report(total.count)
                    if total.count < effort.particles and late():
                        stopped = TIME_BUDGET
                        break
                done, wave = end, min(2 * wave, MOST_CELLS)
                if done < cells and stopped is None:
                    stopped = _precise(total, effort, standard_error)
        except KeyboardInterrupt:
            if total.count < FEWEST:
                raise
            stopped = INTERRUPTED
        finally:
            stop.set()
    notes = (*((backend.note,) if backend.note else ()), *worker.notes)
    return Simulated(total, stopped, time.perf_counter() - began, notes)


def sums_of_cells(
    process: Process, stream: Stream, draw: Draw, layout: Layout, backend: Backend, particles: int, cells: range
) -> Sums:
    """The sums of neighbouring cells among so many particles, as a worker finds them."""
    with one_thread():
        return _Worker(Starts(draw, process, stream), layout, backend, particles, threading.Event()).sums(cells)


def _precise(total: Sums, effort: Effort, standard_error: Callable[[Sums], float] | None) -> str | None:
    if effort.target_se is None or standard_error is None or total.count < FEWEST:
        return None
    return TARGET_SE if standard_error(total) <= effort.target_se else None


@contextmanager
def threads_for(backend: Backend) -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """One thread for every processor, each with a cell of its own, and one BLAS and PyTorch thread in each."""
    count = loky.cpu_count() if backend.device == "cpu" else 1
    with one_thread():
        pool = ThreadPoolExecutor(count)
        try:
            yield pool, count
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Hands:
    """Who sums chunks of cells, and how: `ahead` chunks are under way at a time, each of so many cells.

    cells: None for chunks of which every worker gets some.
    """

    executor: Executor
    work: Callable[[range], Sums]
    ahead: int
    cells: int | None

    def sums_in_order(self, cells: range) -> Iterator[Sums]:
        """The sums of chunk after chunk. A chunk whose worker died is given out once more."""
        size = self.cells or min(MOST_OF_A_TASK, -(-len(cells) // self.ahead))
        chunks = deque(cells[first : first + size] for first in range(0, len(cells), size))
        waiting: deque[tuple[range, Future[Sums]]] = deque()
        try:
            while chunks or waiting:
                while chunks and len(waiting) < self.ahead:
                    chunk = chunks.popleft()
                    waiting.append((chunk, self.executor.submit(self.work, chunk)))
                chunk, future = waiting.popleft()
                try:
                    yield future.result()
                except Exception as error:
                    if not died(error):
                        raise
                    yield self._once_more(chunk)
        finally:
            for _, future in waiting:
                future.cancel()

    def _once_more(self, chunk: range) -> Sums:
        try:
            return self.executor.submit(self.work, chunk).result()
        except Exception as error:
            if not died(error):
                raise
            words = f"a worker died twice at particles {chunk[0] * CELL:,} and on ({error}): try fewer --workers"
            raise ExecutorError(words) from None

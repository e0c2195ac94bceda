"""Processes of this machine as an executor: one worker for each task at a time, and each worker on its own.

A pool that loses a worker is broken as a whole, and nobody knows whose task it was. Here every worker is a pool of one:
a worker that dies fails the task that it had, with `WorkerDiedError`, and no other; the next task gets a new worker.
Workers see no Ctrl-C, use one thread, and end when their parent does, however that comes about.

Comes in: how many workers. Goes out: `Processes`, a `concurrent.futures.Executor`.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import loky
import numpy as np
from loky.process_executor import ShutdownExecutorError, TerminatedWorkerError

from controlsde.foundation.devices import device_may_be_here
from controlsde.foundation.surroundings import FLOATING_POINT

T = TypeVar("T")

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ALONE = {**ONE_THREAD, "LOKY_MAX_CPU_COUNT": "1"}  # of a worker, which shares the machine with others
PARENT_WATCH = 1.0  # seconds between two looks of a worker at its parent


class WorkerDiedError(RuntimeError):
    """A worker process ended while it was at a task: killed, out of memory, or by a fault of compiled code."""


class Processes(Executor):
    """Worker processes, started as there is work for them. Use it as a context, which ends them."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or loky.cpu_count()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._pools: set[loky.ProcessPoolExecutor] = set()
        self._idle = 0  # threads that wait for a task, less the tasks that wait for a thread
        self._closed = self._killed = False

    @property
    def started(self) -> bool:
        """Whether a worker is there already, so that more work costs no start."""
        return bool(self._pools)

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """The future of function(*arguments, **named), all of which must survive the way to another process."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("these processes have ended: no work can be given to them")
            self._tasks.put(_Task(future, partial(function, *arguments, **named)))
            self._idle -= 1
            if self._idle < 0 and len(self._threads) < self.workers:
                self._idle += 1
                self._threads.append(threading.Thread(target=self._serve, args=(len(self._threads),), daemon=True))
                self._threads[-1].start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False, kill: bool = False) -> None:
        """Take no more work. kill: what runs is not awaited but ended."""
        with self._lock:
            closed, self._closed = self._closed, True
            self._killed |= kill
            threads, pools = list(self._threads), list(self._pools)
        if cancel_futures or kill:
            self._cancel()
        if not closed:
            for _ in threads:
                self._tasks.put(None)
        if kill:
            for pool in pools:
                pool.shutdown(kill_workers=True)
        if wait:
            for thread in threads:
                thread.join()

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self.shutdown(kill=error is not None)

    def _cancel(self) -> None:
        """Drop what nobody has begun; the words that end threads stay."""
        ends = 0
        while True:
            try:
                task = self._tasks.get_nowait()
            except queue.Empty:
                break
            ends += task is None
            if task is not None:
                task.future.cancel()
                task.future.set_running_or_notify_cancel()
        for _ in range(ends):
            self._tasks.put(None)

    def _serve(self, number: int) -> None:
        """One worker after another, for as long as there are tasks."""
        pool: loky.ProcessPoolExecutor | None = None
        while (task := self._tasks.get()) is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    pool = pool or self._started(number)
                except Exception as error:  # noqa: BLE001 - such as too many open files: whoever waits is told
                    task.future.set_exception(error)
                    pool = None
                if pool is not None and not task.done_by(pool):
                    self._end(pool, kill=True)
                    pool = None
            with self._lock:
                self._idle += 1
        if pool is not None:
            self._end(pool, kill=False)

    def _started(self, number: int) -> loky.ProcessPoolExecutor:
        pool = loky.ProcessPoolExecutor(1, initializer=start_worker, initargs=(os.getpid(), number), env=ALONE)
        with self._lock:
            self._pools.add(pool)
            too_late = self._killed  # who ends them all has not seen this one
        if too_late:
            pool.shutdown(kill_workers=True)
        return pool

    def _end(self, pool: loky.ProcessPoolExecutor, *, kill: bool) -> None:
        pool.shutdown(kill_workers=kill)
        with self._lock:
            self._pools.discard(pool)


@dataclass(frozen=True, eq=False)
class _Task:
    """Work, and the future that tells of it."""

    future: Future[Any]
    work: Callable[[], Any]

    def done_by(self, pool: loky.ProcessPoolExecutor) -> bool:
        """Whether a pool of one is of further use after this."""
        try:
            with interrupts_held_back():  # workers inherit that, and never see a Ctrl-C at all
                inner = pool.submit(self.work)
            result = inner.result()
        except (TerminatedWorkerError, ShutdownExecutorError) as error:
            words = f"its worker process ended unexpectedly ({type(error).__name__})"
            self.future.set_exception(WorkerDiedError(words))
            return False
        except BrokenExecutor as error:  # what was sent could not be read there
            self.future.set_exception(RuntimeError(f"the work did not survive the way to a process: {error}"))
            return False
        except BaseException as error:  # noqa: BLE001 - it is told to whoever waits for the future
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        return True


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


def start_worker(parent: int, number: int = 0) -> None:
    """What a worker process does before its first task.

    number: among the workers of this machine, who share its devices.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    np.seterr(**FLOATING_POINT)  # type: ignore[arg-type]
    if device_may_be_here():
        import torch

        if torch.cuda.is_available() and torch.cuda.device_count() > 1:
            torch.cuda.set_device(number % torch.cuda.device_count())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process soon after its parent has ended, however that came about."""
    while os.getppid() == parent:
        time.sleep(PARENT_WATCH)
    os._exit(1)

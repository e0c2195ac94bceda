"""What one explorer remembers: the problems that were opened, the solve that runs, the answers that were kept.

Comes in: questions from the page, messages from the worker. Goes out: what the page is told, as plain data. One lock
guards the state; previews have one of their own, for they take turns. A solve that is asked for while another runs is
refused.
"""

from __future__ import annotations

import multiprocessing
import queue
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controlsde.explore import question
from controlsde.explore.question import Opened, QuestionError, Settings
from controlsde.explore.worker import CANCEL, END, Cancelled, Failed, Job, Kept, Ready, Told, main

MOST_RUNS = 40
HEARTBEAT = 10.0  # seconds between signs of life where nothing happens
MOST_HISTORY = 400


class BusyError(QuestionError):
    """A second solve while one runs."""


@dataclass(frozen=True)
class Status:
    """What the worker does. state: loading | idle | solving | cancelling | broken.

    message: what became of the last solve.
    """

    state: str = "loading"
    number: int = 0
    task: str = "loading the libraries"
    iteration: int | None = None
    objective: float | None = None
    fraction: float | None = None
    began: float = 0.0
    message: str = ""
    alarm: bool = False
    history: tuple[float, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """For the page."""
        seconds = time.monotonic() - self.began if self.state in ("solving", "cancelling") else 0.0
        plain = {name: getattr(self, name) for name in ("state", "number", "task", "iteration", "message", "alarm")}
        return {**plain, "objective": self.objective, "fraction": self.fraction, "seconds": round(seconds, 1),
                "history": list(self.history)}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """An answer that was kept: its number, its files, what to call it, what a quick solve changed."""

    number: int
    folder: Path
    label: str
    lessened: str

    @property
    def key(self) -> str:
        """By which the page knows it."""
        return f"r{self.number}"


class Session:
    """Use it as a context, from a thread that lives as long as it does: the worker begins and ends with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.previewing = threading.Lock()
        self._lock = threading.Lock()
        self._opened: dict[str, Opened] = {}
        self._status = Status()
        self._runs: dict[int, Run] = {}
        self._listeners: set[queue.SimpleQueue[None]] = set()
        self._ending = False
        self._asked: dict[int, tuple[Job, str]] = {}

    def __enter__(self) -> Session:
        self._start_worker()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        with suppress(OSError):
            self._connection.send(END)  # upon which the worker ends itself and what it started
        self._worker.join(2.0)
        if self._worker.is_alive():
            self._worker.kill()
            self._worker.join(2.0)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._tell()

    # Problems

    def open(self, opened: Opened) -> str:
        """Remember a problem file; its key comes back. Raises ProblemError where it is not valid."""
        question.problem_of(opened, Settings())
        key = f"{opened.name}-{abs(hash(opened)):x}"
        with self._lock:
            self._opened[key] = opened
        return key

    def opened(self, key: Any) -> Opened:
        """A problem that was opened. Raises QuestionError for others."""
        with self._lock:
            found = self._opened.get(str(key))
        if found is None:
            raise QuestionError("this problem is not open here any more; choose it again")
        return found

    # Solving

    @property
    def status(self) -> Status:
        """What the worker does now."""
        with self._lock:
            return self._status

    def solve(
        self, problem: str, label: str, *, solver: str = "", quick: bool = True, initial: dict[str, Any] | None = None
    ) -> int:
        """Have a problem, resolved, solved; the number of the run comes back. Raises BusyError while another runs."""
        with self._lock:
            if self._status.state in ("solving", "cancelling"):
                raise BusyError("a solve is running; cancel it, or wait until it has ended")
            if self._status.state == "broken":
                raise QuestionError(f"{self._status.message}; start the explorer again")
            if len(self._runs) >= MOST_RUNS:
                raise QuestionError(f"{MOST_RUNS} answers are kept already; start the explorer again")
            number = max([*self._runs, *self._asked, 0]) + 1
            job = Job(number, problem, solver, quick, initial, self.folder / f"run-{number}")
            self._asked[number] = (job, label)
            self._status = Status("solving", number, "starting", began=time.monotonic())
            self._connection.send(job)
        self._tell()
        return number

    def cancel(self) -> None:
        """Interrupt the solve that runs; the best point so far is verified and kept, unless cancelled once more."""
        with self._lock:
            if self._status.state not in ("solving", "cancelling"):
                raise QuestionError("no solve is running")
            self._status = replace(self._status, state="cancelling", task="stopping at the best point so far")
            self._connection.send(CANCEL)
        self._tell()

    def runs(self) -> tuple[Run, ...]:
        """The answers that were kept, first to last."""
        with self._lock:
            return tuple(self._runs.values())

    def run(self, number: int) -> Run:
        """One of them. Raises QuestionError where there is none of that number."""
        with self._lock:
            found = self._runs.get(number)
        if found is None:
            raise QuestionError(f"there is no run {number}")
        return found

    # Telling

    @contextmanager
    def listening(self) -> Iterator[queue.SimpleQueue[None]]:
        """A queue in which something stands whenever there is news."""
        news: queue.SimpleQueue[None] = queue.SimpleQueue()
        with self._lock:
            self._listeners.add(news)
        try:
            yield news
        finally:
            with self._lock:
                self._listeners.discard(news)

    @property
    def ending(self) -> bool:
        """Whether the explorer is ending."""
        return self._ending

    def _tell(self) -> None:
        with self._lock:
            listeners: Sequence[queue.SimpleQueue[None]] = tuple(self._listeners)
        for news in listeners:
            news.put(None)

    # The worker

    def _start_worker(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._worker = context.Process(target=main, args=(theirs, self.folder))
        self._worker.start()
        theirs.close()
        threading.Thread(target=self._listen, args=(self._connection,), daemon=True).start()

    def _listen(self, connection: Any) -> None:
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                break
            self._hear(message)
            self._tell()
        if not self._ending:
            with self._lock:
                loading = self._status.state == "loading"
                gone = "the process that solves ended unexpectedly; there may have been too little memory"
                self._status = Status("broken" if loading else "loading", message=gone, alarm=True)
            self._tell()
            if not loading:  # one that cannot even begin would end again and again
                self._start_worker()

    def _hear(self, message: object) -> None:
        with self._lock:
            status = self._status
            if isinstance(message, Ready):
                if status.state == "loading":
                    self._status = replace(status, state="idle", task="")
            elif isinstance(message, Told):
                history = status.history
                if message.objective is not None:
                    history = (*history, message.objective)[-MOST_HISTORY:]
                task = message.task if status.state == "solving" or "verif" in message.task else status.task
                self._status = replace(
                    status,
                    task=task,
                    iteration=message.iteration,
                    objective=message.objective if message.objective is not None else status.objective,
                    fraction=message.fraction,
                    history=history,
                )
            elif isinstance(message, Kept):
                job, label = self._asked[message.number]
                self._runs[message.number] = Run(message.number, job.folder, label, message.lessened)
                self._status = Status("idle", message.number, "", message=f"run {message.number} is kept")
            elif isinstance(message, Failed):
                self._status = Status("idle", message.number, "", message=message.message, alarm=True)
            elif isinstance(message, Cancelled):
                self._status = Status("idle", message.number, "", message="cancelled; nothing was kept")

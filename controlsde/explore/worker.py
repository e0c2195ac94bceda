"""The process that solves: warm from the start, one job at a time, cancelled by a message, gone with its parent.

Comes in, over a pipe: `Job`s, `CANCEL` and `END`. Goes out: `Ready`, `Told` while it works, and in the end `Kept`,
`Failed` or `Cancelled`. Whatever ends the parent ends this process, those that it started, and the folder of the
session.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from controlsde.foundation.progress import Step

CANCEL, END = "cancel", "end"
MOST_A_SECOND = 12  # messages of progress


@dataclass(frozen=True)
class Job:
    """A solve: the resolved problem as YAML, weights to start from or None, and where the answer is written."""

    number: int
    problem: str
    solver: str
    quick: bool
    initial: dict[str, Any] | None
    folder: Path


@dataclass(frozen=True)
class Ready:
    """The libraries are loaded."""


@dataclass(frozen=True)
class Told:
    """How far a job is."""

    number: int
    task: str
    iteration: int | None
    objective: float | None
    fraction: float | None


@dataclass(frozen=True)
class Kept:
    """An answer that is written and verified, or not: `result.nc` and `report.html` in the job's folder.

    lessened: what a quick solve changed, in words.
    """

    number: int
    lessened: str


@dataclass(frozen=True)
class Failed:
    """A job that left nothing: why, in one line."""

    number: int
    message: str


@dataclass(frozen=True)
class Cancelled:
    """A job that was cancelled before there was anything to keep."""

    number: int


def main(connection: Connection, folder: Path) -> None:
    """Work until the parent is gone, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C on a terminal is for the parent
    with suppress(OSError, AttributeError):
        os.setsid()  # so that all that is started here can be ended at once
    jobs: list[Job] = []
    changing = threading.Condition()  # guards the jobs, and whether one runs
    busy = threading.Event()
    sending = threading.Lock()

    def send(message: object) -> None:
        with sending, suppress(OSError):
            connection.send(message)

    def cancel() -> None:
        with changing:
            waiting, jobs[:] = list(jobs), []
            if busy.is_set():
                _interrupt_main()
        for job in waiting:
            send(Cancelled(job.number))

    def listen() -> None:
        try:
            while True:
                message = connection.recv()
                if message == END:
                    _end(folder)
                elif message == CANCEL:
                    cancel()
                else:
                    with changing:
                        jobs.append(message)
                        changing.notify()
        except (EOFError, OSError):
            _end(folder)

    threading.Thread(target=listen, daemon=True).start()
    _load()
    send(Ready())
    while True:
        with changing:
            while not jobs:
                changing.wait()
            job = jobs.pop(0)
            busy.set()
        outcome = _interruptible(job, send)
        busy.clear()
        send(outcome)


def _interruptible(job: Job, send: Callable[[object], None]) -> Kept | Failed | Cancelled:
    """What becomes of a job, which alone hears interruptions: one that comes too late is not heard.

    They are switched on here whatever was inherited: what a shell starts with `&` ignores them.
    """
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return _outcome(job, send)
    except KeyboardInterrupt:
        return Cancelled(job.number)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _outcome(job: Job, send: Callable[[object], None]) -> Kept | Failed | Cancelled:
    from controlsde.foundation.errors import ControlsdeError

    try:
        return Kept(job.number, _solved(job, _reporter(job.number, send)))
    except ControlsdeError as error:
        return Failed(job.number, " ".join(error.lines))
    except MemoryError:
        return Failed(job.number, "there is not enough memory for this; use fewer mesh.elements, or fewer pieces")
    except Exception as error:  # noqa: BLE001 - the server goes on, and the page says what happened
        return Failed(job.number, f"this should not have happened: {type(error).__name__}: {error}")


def _solved(job: Job, progress: Callable[[Step], None]) -> str:
    """Solve, verify, and write the result and its report. What a quick solve changed comes back."""
    from controlsde.control.controls import Controls
    from controlsde.problem.loading import parse_problem
    from controlsde.workflow.first_look import in_words, little_effort
    from controlsde.workflow.prediction import refusals
    from controlsde.workflow.solving import SolveError, solve

    problem = parse_problem(job.problem, set={"solver": job.solver} if job.solver else None)
    lessened = ""
    if job.quick:
        kept = ("controls", "mesh", "monte_carlo.steps_per_piece")
        changes = little_effort(problem, kept)
        lessened = in_words(problem, changes)
        problem = parse_problem(problem.to_yaml(), set=changes)
    if reasons := refusals(problem):
        raise SolveError("; ".join(reasons))
    initial = None if job.initial is None else Controls(**job.initial)
    result = solve(problem, progress=progress, initial=initial)
    progress(Step("writing the result"))
    job.folder.mkdir(parents=True, exist_ok=True)
    result = result.save(job.folder / "result.nc")
    progress(Step("writing the report"))
    result.report(job.folder / "report.html")
    return lessened


def _reporter(number: int, send: Callable[[object], None]) -> Callable[[Step], None]:
    """Progress as messages, not too many a second; another task is always told."""
    last: dict[str, float] = {}  # when each task was last told of

    def report(step: Step) -> None:
        now = time.perf_counter()
        if now - last.get(step.task, -1.0) > 1.0 / MOST_A_SECOND:
            last[step.task] = now
            send(Told(number, step.task, step.iteration, step.objective, step.fraction))

    return report


def _load() -> None:
    """Import what a solve needs, and run through a small one of everything that is compiled on first use."""
    import controlsde.workflow.solving  # noqa: F401
    from controlsde.problem import load_problem
    from controlsde.workflow.solving import evaluate

    small = {
        "controls.pieces": 1,
        "mesh.elements": [8],
        "drift": {"kind": "formula", "expressions": ["-x"]},
        "monte_carlo.particles": 1000,
    }
    evaluate(load_problem("two-bumps", set=small))


def _interrupt_main() -> None:
    """Interrupt the main thread, also where it waits for something."""
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()


def _end(folder: Path) -> None:
    """The parent is gone: leave no file, no process."""
    shutil.rmtree(folder, ignore_errors=True)
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)

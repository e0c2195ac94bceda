"""How a command ends: exit codes, errors in the user's words, interruptions.

Messages go to stderr. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

from controlsde.foundation.errors import (
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_NOT_CONVERGED,
    EXIT_NOT_VERIFIED,
    EXIT_UNEXPECTED,
    ControlsdeError,
)
from controlsde.foundation.memory import MemoryLimitError, is_lack_of_memory
from controlsde.foundation.wording import LONGEST_LINE, shown

if TYPE_CHECKING:
    from controlsde.cli.console import Console
    from controlsde.diagnosis import Diagnosis
    from controlsde.foundation.progress import Progress
    from controlsde.result.answer import Answer
    from controlsde.workflow.feedback import Feedback
    from controlsde.workflow.free_simulation import FreeSimulation
    from controlsde.workflow.reaching import Reach
    from controlsde.workflow.simulation import Simulation

SOON = 0.05  # seconds


class UsageError(ControlsdeError, ValueError):
    """Something on the command line that cannot be used; one line with the cure."""


@contextmanager
def ending_gently() -> Iterator[None]:
    """Treat a request to end, or a closed terminal, like Ctrl-C: keep what there is, and leave no process behind.

    Only the main thread may say so. Afterwards signals are handled as before.
    """

    if threading.current_thread() is not threading.main_thread():
        names = []
    elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        names = ["SIGTERM", "SIGHUP", "SIGINT"]
    else:  # a shell lets what it runs in the background ignore Ctrl-C
        names = ["SIGTERM", "SIGHUP"]
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {one: signal.signal(one, _interrupt) for one in signals}
    hook, sys.unraisablehook = sys.unraisablehook, _interrupt_again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for one, handler in before.items():
            signal.signal(one, handler)


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    """Interrupt what runs; an import first comes to its end, for compiled libraries abort where theirs is cut off."""
    if _importing(frame):
        _interrupt_soon()
    else:
        raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _interrupt_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat an interruption that fell into a clean-up, such as a callback of a weak reference, from where it is lost.

    Python would show its trace and go on as if nobody had asked to end. Not at once, for it would fall into this.
    """
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _interrupt_soon()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt_soon() -> None:
    again = threading.Timer(SOON, _interrupt_the_main_thread)
    again.daemon = True
    again.start()


def _interrupt_the_main_thread() -> None:
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill") and signal.getsignal(signal.SIGTERM) is _interrupt:
        signal.pthread_kill(main, signal.SIGTERM)  # also where it waits for something
    else:
        _thread.interrupt_main()


def explain(error: BaseException) -> int:
    """Print an error in the user's words, and return the exit code; a failure nobody foresaw shows its trace."""
    kind = type(error).__name__
    if isinstance(error, ControlsdeError):
        for line in error.lines:
            say(_with_option(line, error.argument))
        if diagnosis := getattr(error, "diagnosis", ()):
            _say_why(diagnosis)
        return error.exit_code
    if kind != "OutOfMemoryError" and is_lack_of_memory(error):
        say(_about_memory(error))
        return EXIT_UNEXPECTED
    if isinstance(error, OSError):
        say(f"{error.filename or 'output'}: {error.strerror or error}")
        return EXIT_INVALID if error.filename else EXIT_UNEXPECTED  # a path that was given, or a full disk
    if kind == "OutOfMemoryError":
        say("the device has no memory for the smallest chunk of particles; use --device cpu")
        return EXIT_INVALID
    import traceback

    for line in "".join(traceback.format_exception(error)).splitlines():
        say(line)
    say("this should not have happened; please report it with the lines above")
    return EXIT_UNEXPECTED


def _with_option(line: str, argument: str) -> str:
    """A line about an argument of the library as one about the option that gave it."""
    return f"--{argument.replace('_', '-')}{line.removeprefix(argument)}" if argument else line


def _about_memory(error: BaseException) -> str:
    if isinstance(error, MemoryLimitError):
        return str(error)
    if isinstance(error, ImportError):
        return "not enough memory to load the libraries; raise the limit (ulimit -v), or end other programs"
    return "out of memory; `controlsde check PROBLEM` predicts how much a problem needs"


def _say_why(diagnosis: tuple[Diagnosis, ...]) -> None:
    from controlsde.cli.console import explained

    for line in explained(diagnosis):
        say(f"  {line}")


def refuse(problem: str, reasons: tuple[str, ...]) -> None:
    """Stop before anything large is built."""
    if reasons:
        fail([f"{problem}: {reason}" for reason in reasons], EXIT_INVALID)


@contextmanager
def placed(problem: str) -> Iterator[None]:
    """Errors about a problem's parts that do not fit say which problem that was."""
    try:
        yield
    except ControlsdeError as error:
        if error.of_problem:
            raise UsageError(f"{problem}: {_with_option(str(error), error.argument)}") from None
        raise


@contextmanager
def running(console: Console, problem: str, first: str = "starting") -> Iterator[Progress]:
    """Progress of the work inside; an interruption that no solver turned into a result ends the command.

    first: what runs until something is reported.
    """
    try:
        with placed(problem), console.progress(first) as progress:
            yield progress
    except KeyboardInterrupt:
        fail(["interrupted; what was not yet written is lost"], EXIT_INTERRUPTED)


def finish(results: Sequence[Answer]) -> None:
    """Leave with the exit code that the results deserve."""
    if any(result.status == "interrupted" or (result.retry and result.retry.interrupted) for result in results):
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(result.status == "not-converged" for result in results):
        raise typer.Exit(EXIT_NOT_CONVERGED)
    if not all(result.verified for result in results):
        raise typer.Exit(EXIT_NOT_VERIFIED)


def finish_reach(found: Sequence[Reach]) -> None:
    """Leave with the exit code that answers to `reach` deserve: an impossibility that is proved is an answer."""
    if any(one.interrupted for one in found):
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(one.verdict == "not found" for one in found):
        raise typer.Exit(EXIT_NOT_CONVERGED)


def finish_simulation(simulation: Simulation | FreeSimulation) -> None:
    """Leave with the exit code that a simulation deserves."""
    if simulation.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    if not simulation.verified:
        raise typer.Exit(EXIT_NOT_VERIFIED)


def finish_feedback(found: Sequence[Feedback]) -> None:
    """Leave with the exit code that closed loops deserve."""
    if not all(one.verified for one in found):
        raise typer.Exit(EXIT_NOT_VERIFIED)


def say(line: str) -> None:
    """One line on stderr, of which a terminal obeys nothing."""
    typer.echo(shown(line, LONGEST_LINE), err=True)


def fail(lines: list[str], code: int) -> None:
    for line in lines:
        say(line)
    raise typer.Exit(code)

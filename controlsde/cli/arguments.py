"""What the words of the command line mean: numbers, keys that are set, and where what is wrong is written.

Comes in: words, and what went wrong with the problem that they name. Goes out: numbers, or one line with the place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from controlsde.cli.exits import UsageError, say
from controlsde.foundation.errors import EXIT_INVALID
from controlsde.foundation.wording import unreadable, unsafe

if TYPE_CHECKING:
    from controlsde.problem import Problem
    from controlsde.problem.values import Location

# As in files, a number on the command line is one in plain digits: Python would take other scripts' and underscores.
PLAIN_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|nan|[-+]?inf", re.ASCII)
PLAIN_COUNT = re.compile(r"[-+]?[0-9]{1,40}", re.ASCII)


def plain_number(word: str | float) -> float:
    """A number of the command line."""
    if isinstance(word, str) and not PLAIN_NUMBER.fullmatch(word.strip()):
        raise typer.BadParameter(f"{word!r} is not a number in plain digits, such as 0.5 or 1e-3")
    return float(word)


def plain_count(word: str | int) -> int:
    """A whole number of the command line."""
    if isinstance(word, str) and not PLAIN_COUNT.fullmatch(word.strip()):
        raise typer.BadParameter(f"{word!r} is not a whole number in plain digits, such as 1000")
    return int(word)


def refuse_controls(words: Sequence[str]) -> None:
    """Typer repeats words that it does not know as they are: none that a terminal would obey gets that far."""
    for number, word in enumerate(words, 1):
        text = word.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        option = text.partition("=")[0] if text.startswith("-") else ""
        character = unreadable(text) or unsafe(option)
        if character:
            say(f"argument {number} of the command line holds the character {character}; leave it out")
            sys.exit(EXIT_INVALID)


@contextmanager
def located(source: str, overrides: list[str] | None, loaded: Problem) -> Iterator[None]:
    """Errors about what cannot be built of a problem say which of its keys that is, and where it is written."""
    from controlsde.control.controls import ControlsError
    from controlsde.reference import ReferenceError  # noqa: A004

    try:
        yield
    except ReferenceError as error:
        from controlsde.workflow.faults import fault_of
        from controlsde.workflow.prediction import affordable

        fault = fault_of(loaded, error, affordable(loaded))
        where, reason = fault.where, fault.reason
    except ControlsError as error:
        if loaded.drift is None:
            raise
        where, reason = ("drift", "expressions"), str(error)
    else:
        return
    raise UsageError(f"{place_in(source, overrides, where)}: {reason}")


def place_in(source: str, overrides: list[str] | None, where: Location) -> str:
    """Where a key is written, and its name."""
    from controlsde.problem import ProblemError, parse_override, place_of
    from controlsde.problem.values import dotted

    try:
        place = place_of(source, where, set=dict(parse_override(text) for text in overrides or []))
    except ProblemError:  # the file is another one by now
        place = source
    return f"{place}: {dotted(where)}"

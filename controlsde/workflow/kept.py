"""Answers that a command keeps in files: one that was killed goes on, and one that is extended repeats nothing.

Comes in: where the file of an answer is, and of which problem it is to be. Goes out: the answer that is there, where it
is of that very problem, by this very program; and the file, as soon as there is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from controlsde.foundation.versions import versions
from controlsde.problem import Problem
from controlsde.result.answer import Answer
from controlsde.result.result_file import ResultError

Kind = TypeVar("Kind", bound=Answer)


@dataclass(frozen=True)
class Kept(Generic[Kind]):
    """The file of an answer to a problem, with its solver's options. load: `Result.load`, or `FreeResult.load`."""

    path: Path
    problem: Problem
    load: Callable[[Path], Kind]

    def read(self) -> Kind | None:
        """The answer, where it is there.

        None for one of another problem, by another version or other solver, cut short by an interruption, or found with
        a remedy; and for a damaged file, which the next answer replaces. What `--retry` tried beside it is left out.
        """
        if not self.path.is_file():
            return None
        try:
            found = self.load(self.path)
        except ResultError:
            return None
        if (found.problem, found.versions) != (self.problem, versions()) or cut_short(found):
            return None
        if found.retry is None:
            return found
        return None if found.retry.kept or found.retry.interrupted else replace(found, retry=None)

    def write(self, answer: Kind) -> Kind:
        """The answer with its file. Raises OSError, in one line with the cure."""
        return answer.save(self.path)


def cut_short(answer: Answer) -> bool:
    """Whether an interruption ended its search: it is the best point so far."""
    return answer.status == "interrupted"


def file_name(level: float) -> str:
    """The name of what belongs to a noise level, without an ending: that of no other level."""
    short = f"{level:g}"
    return f"noise-{short if float(short) == level else repr(level)}"

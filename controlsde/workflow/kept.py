"""Answers that a command keeps in files: one that was killed goes on, and one that is extended repeats nothing.

Comes in: where the file of an answer is, and of which problem it is to be. Goes out: the answer that is there, where it
is of that very problem, by this very program; and the file, as soon as there is an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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

        None for one of another problem, by another version or other solver, cut short by an interruption, or made with
        a remedy; and for a damaged file, which the next answer replaces.
        """
        if not self.path.is_file():
            return None
        try:
            found = self.load(self.path)
        except ResultError:
            return None
        same = found.problem == self.problem and found.versions == versions()
        return found if same and found.retry is None and not cut_short(found) else None

    def write(self, answer: Kind) -> Kind:
        """The answer with its file. Raises OSError, in one line with the cure."""
        return answer.save(self.path)


def cut_short(answer: Answer) -> bool:
    """Whether an interruption ended its search: it is the best point so far."""
    return answer.status == "interrupted"


def file_names(levels: Sequence[float]) -> dict[float, str]:
    """The name of what belongs to each noise level, without an ending: as short as tells them apart."""
    short = {level: f"noise-{level:g}" for level in levels}
    return short if len(set(short.values())) == len(levels) else {level: f"noise-{level!r}" for level in levels}

"""What a student hands in: a file of JSON with the answers to a lesson, which anybody can check again.

    {"lesson": "one_neuron", "answers": {"squeeze": "-a*w", …}, "versions": {"controlsde": "0.1.0", …}}

Comes in: answers. Goes out: text, and back. A file says nothing of who was right: it is checked again where it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from controlsde.foundation.errors import ControlsdeError
from controlsde.lessons.contents import Lesson, lesson_called
from controlsde.lessons.verdicts import Verdict

NAME_OF_FILE = "{}.json"  # as the browser saves it
MOST_CHARACTERS = 200_000  # of a file
VERSIONED = ("controlsde", "numpy", "asteval", "marimo")


class HandInError(ControlsdeError, ValueError):
    """A file that is no hand-in: which, and what is wrong with it, in one line."""


@dataclass(frozen=True)
class HandIn:
    """The answers to a lesson, by the keys of its exercises; None where nothing was answered."""

    lesson: Lesson
    answers: Mapping[str, str | None]
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, lesson: Lesson, answers: Mapping[str, str | None]) -> HandIn:
        """As given in a notebook. Raises ValueError where an exercise has no answer, or an answer no exercise."""
        keys = [one.key for one in lesson.exercises]
        if set(keys) != set(answers):
            raise ValueError(f"the exercises of {lesson.name} are {', '.join(keys)} (got {', '.join(answers)})")
        return cls(lesson, {key: answers[key] for key in keys}, _versions())

    @classmethod
    def read(cls, path: Path) -> HandIn:
        """A hand-in from its file. Raises HandInError in one line, OSError where there is no such file."""
        if path.stat().st_size > 4 * MOST_CHARACTERS:
            raise HandInError(f"{path}: is too large for a hand-in")
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            raise HandInError(f"{path}: is no hand-in: not JSON") from None
        try:
            lesson = lesson_called(str(told["lesson"]))
            given = {str(key): _text(one) for key, one in told["answers"].items()}
            versions = {str(name): str(one) for name, one in told.get("versions", {}).items()}
        except (KeyError, TypeError, AttributeError):
            raise HandInError(f"{path}: is no hand-in: it wants a lesson and answers") from None
        except ValueError as error:
            raise HandInError(f"{path}: {error}") from None
        return cls(lesson, {one.key: given.get(one.key) for one in lesson.exercises}, versions)

    def verdicts(self) -> dict[str, Verdict]:
        """What is to be said of every answer, by the keys of the exercises."""
        return {one.key: one.check(self.answers.get(one.key)) for one in self.lesson.exercises}

    def to_json(self) -> str:
        """The text of the file."""
        told = {"lesson": self.lesson.name, "answers": dict(self.answers), "versions": dict(self.versions)}
        return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def _text(answer: Any) -> str | None:
    if answer is not None and not isinstance(answer, str):
        raise ValueError("is no hand-in: an answer is text")
    return answer


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

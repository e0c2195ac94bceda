"""What was handed in, checked again: a table for each lesson, and a line for each answer that is not right.

Comes in: hand-ins with the files that they came from. Goes out: tables, lines, entries for JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.lessons.hand_in import HandIn
from controlsde.lessons.verdicts import State, Verdict

if TYPE_CHECKING:
    from rich.table import Table

WORDS: dict[State, str] = {
    "right": "solved",
    "known mistake": "mistake",
    "wrong": "wrong",
    "not understood": "unreadable",
    "untouched": "—",
}


@dataclass(frozen=True)
class Marked:
    """A hand-in with what is to be said of it. who: the name of its file."""

    who: str
    handed: HandIn
    verdicts: dict[str, Verdict]

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(verdict.solved for verdict in self.verdicts.values())

    def to_json(self) -> dict[str, Any]:
        """An entry of `learn --marks --json`."""
        said = {key: {"state": one.state, "says": one.says} for key, one in self.verdicts.items()}
        return {
            "who": self.who,
            "lesson": self.handed.lesson.name,
            "solved": self.solved,
            "exercises": said,
            "versions": dict(self.handed.versions),
        }


def marked(path: Path) -> Marked:
    """A file that was handed in. Raises HandInError in one line, OSError where there is none."""
    handed = HandIn.read(path)
    return Marked(path.name, handed, handed.verdicts())


def marks_tables(found: Sequence[Marked]) -> list[Table]:
    """A table for each lesson: a row for each file, a column for each exercise."""
    from rich import box
    from rich.table import Table

    made = []
    for lesson in sorted({one.handed.lesson for one in found}, key=lambda one: one.number):
        table = Table(
            title=f"{lesson.number}. {lesson.title}", title_justify="left", box=box.SIMPLE_HEAD, show_edge=False,
            pad_edge=False,
        )  # fmt: skip
        table.add_column("who")
        table.add_column("solved", justify="right")
        for exercise in lesson.exercises:
            table.add_column(exercise.key)
        for one in found:
            if one.handed.lesson == lesson:
                words = [WORDS[verdict.state] for verdict in one.verdicts.values()]
                table.add_row(one.who, f"{one.solved}/{len(words)}", *words)
        made.append(table)
    return made


def explained(found: Sequence[Marked]) -> list[str]:
    """A line for each answer that is neither right nor missing."""
    return [
        f"{one.who}, {key}: {verdict.says}"
        for one in found
        for key, verdict in one.verdicts.items()
        if verdict.state not in ("right", "untouched")
    ]

"""One cause of a failure: what was seen, and one thing to try."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from controlsde.foundation.stored_json import TEXT, Form, Maybe
from controlsde.problem import Problem, parse_override, parse_problem
from controlsde.solvers.shooting.options import Shooting

Value = bool | int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Remedy:
    """One key of the problem, and the value to try in it."""

    key: str
    value: Value

    @property
    def setting(self) -> str:
        """The change as KEY=VALUE."""
        return f"{self.key}={_written(self.value)}"

    @property
    def option(self) -> str:
        """The option to paste behind the command; a shell may want quotes around the brackets of a list."""
        return f"--set {self.setting}"

    def to_json(self) -> dict[str, Any]:
        """The change as a mapping from the key to the value."""
        return {self.key: list(self.value) if isinstance(self.value, tuple) else self.value}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Remedy:
        """What `to_json` wrote."""
        ((key, value),) = stored.items()
        return Remedy(key, tuple(value) if isinstance(value, list) else value)

    def applied_to(self, problem: Problem) -> Problem:
        """The problem with this change, checked as if it had been pasted. Raises ProblemError where it does not fit."""
        key, value = parse_override(self.setting)
        changed = parse_problem(problem.to_yaml(), set={key: value})
        before, after, dimension = problem.solver, changed.solver, problem.dimension
        if not isinstance(before, Shooting) or not isinstance(after, Shooting):
            return changed
        if before != before.with_usual_hops(dimension):
            return changed
        return changed.model_copy(update={"solver": after.with_usual_hops(dimension)})  # nobody gave them


@dataclass(frozen=True)
class Diagnosis:
    """A cause by name, the evidence for it in one line, and one thing to try; None where nothing can be set."""

    cause: str
    evidence: str
    remedy: Remedy | None = None

    FORM: ClassVar[dict[str, Form]] = {"cause": TEXT, "message": TEXT, "try": Maybe(TEXT)}

    def to_json(self) -> dict[str, Any]:
        """The cause as the JSON of a result holds it."""
        return {
            "cause": self.cause,
            "message": self.evidence,
            "try": self.remedy.option if self.remedy else None,
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Diagnosis:
        """What `to_json` wrote."""
        remedy = None
        if stored["try"] is not None:
            remedy = Remedy.from_json(dict([parse_override(stored["try"].removeprefix("--set "))]))
        return Diagnosis(stored["cause"], stored["message"], remedy)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{','.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def rounded_up(value: float) -> float:
    """The next of …, 1, 2, 5, 10, 20, 50, … that is at least this positive number."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (1, 2, 5, 10) if step * decade >= value * (1 - 1e-12))


def rounded_down(value: float) -> float:
    """The last of …, 1, 2, 5, 10, 20, 50, … that is at most this positive number."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (10, 5, 2, 1) if step * decade <= value * (1 + 1e-12))


def listed(numbers: list[int]) -> str:
    """Numbers for people, neighbours as ranges: `1–3, 7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)

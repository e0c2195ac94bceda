"""Exercises that check themselves: a choice, a number, a formula, a function.

Comes in: an answer as a student gives it, text in every case. Goes out: a `Verdict`. Whoever writes a lesson gives the
right answers and the known mistakes in the student's own language, so that the tests, the pages for teachers and the
checker read the same lines. What counts is the values: any answer that gives the right ones is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.lessons.students_code import NotUnderstoodError, function_of, value_of
from controlsde.lessons.verdicts import UNTOUCHED, Mistake, Verdict, compared

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """What all exercises have in common.

    key: by which the lesson and a hand-in name it. question: Markdown, with formulas between dollars. right: right
    answers, each as a student may write it, the first as the solution for teachers. mistakes: with what to say of
    each. explanation: what is said of a right answer: why it is right, and what follows. start: what stands in the
    field before anything was answered.
    """

    key: str
    title: str
    question: str
    right: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    explanation: str
    start: str = ""

    def check(self, answer: str | None) -> Verdict:
        """The verdict on an answer; an empty one, or the text that stood there, is untouched."""
        if answer is None or answer.strip() in ("", self.start.strip()):
            return UNTOUCHED
        try:
            return self._checked(answer)
        except NotUnderstoodError as error:
            return Verdict("not understood", str(error))

    def _checked(self, answer: str) -> Verdict:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Choice(Exercise):
    """One of several options; `right` is one of them, and every other one is a known mistake."""

    options: tuple[str, ...]

    def _checked(self, answer: str) -> Verdict:
        if answer in self.right:
            return Verdict("right", self.explanation)
        for mistake in self.mistakes:
            if answer == mistake.answer:
                return Verdict("known mistake", mistake.says)
        return Verdict("not understood", "That is none of the options.")


@dataclass(frozen=True, kw_only=True)
class _Valued(Exercise):
    """An exercise whose answers are compared by the values that they give. tolerance: relative to the largest."""

    tolerance: float = 1e-6

    def _values(self, answer: str) -> Sequence[Array]:
        """What an answer gives on every probe. Raises NotUnderstoodError."""
        raise NotImplementedError

    def _checked(self, answer: str) -> Verdict:
        return compared(
            self._values(answer),
            self._values(self.right[0]),
            [(mistake, self._values(mistake.answer)) for mistake in self.mistakes],
            self.tolerance,
            self.explanation,
        )


@dataclass(frozen=True, kw_only=True)
class Number(_Valued):
    """A number, written as such or as a formula of numbers: `0.5*log(2)`."""

    tolerance: float = 5e-3

    def _values(self, answer: str) -> Sequence[Array]:
        value = value_of(answer.replace(",", ".") if answer.count(",") == 1 and "(" not in answer else answer)
        if value.size != 1:
            raise NotUnderstoodError("One number is wanted.")
        return [value.reshape(())]


@dataclass(frozen=True, kw_only=True)
class Formula(_Valued):
    """A formula in named variables; `probes` are the values at which it is compared, one mapping a try."""

    probes: tuple[Mapping[str, Any], ...] = field(default=())

    def _values(self, answer: str) -> Sequence[Array]:
        found = []
        for probe in self.probes:
            variables = {name: np.asarray(value, dtype=float) for name, value in probe.items()}
            shape = np.broadcast_shapes(*(value.shape for value in variables.values()))
            value = value_of(answer, variables)
            found.append(np.broadcast_to(value, shape) if value.shape == () else value)
        return found


@dataclass(frozen=True, kw_only=True)
class Function(_Valued):
    """A function of a few lines, called `name`, compared on the arguments of `probes`."""

    name: str
    probes: tuple[tuple[Any, ...], ...]

    def _values(self, answer: str) -> Sequence[Array]:
        function = function_of(answer, self.name)
        return [function(*probe) for probe in self.probes]

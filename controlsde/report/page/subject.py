"""What a page is about: one result, several, a comparison, or a simulation of one; and how each is drawn throughout.

Comes in: results. Goes out: a `Subject` of results in a box, a `FreeSubject` of those in free space, both `About`
results of one kind; or a PageError in one line where results do not belong on one page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.problem import Problem
from controlsde.report.canvas import SERIES, noise_colour
from controlsde.report.page.chart import DASHES, Ink, on_black
from controlsde.result.answer import Answer
from controlsde.result.free_result import FreeResult
from controlsde.result.result import Result
from controlsde.verification.certificate import Check
from controlsde.workflow.free_comparison import FreeComparison
from controlsde.workflow.free_simulation import FreeSimulation

if TYPE_CHECKING:
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.simulation import Simulation

Array = NDArray[np.float64]
Kind = TypeVar("Kind", bound=Answer, covariant=True)

SHAPES = ("circle", "square", "triangle", "diamond")
MOST_RESULTS = 12


class PageError(ControlsdeError, ValueError):
    """Results that cannot be shown on one page; one line with the cure."""


@dataclass(frozen=True, eq=False)
class Shown(Generic[Kind]):
    """One result, what it is called on the page, and its colour, dashes and mark in every chart.

    others: what other seeds of the same search reached, in a comparison in free space.
    """

    result: Kind
    label: str
    ink: Ink
    mark: str
    others: tuple[Kind, ...] = ()

    @property
    def of_seeds(self) -> tuple[Kind, ...]:
        """The result, and those of other seeds."""
        return (self.result, *self.others)


class Simulated(Protocol):
    """What a page tells of a simulation of either kind."""

    @property
    def particles(self) -> int:
        """How many were moved."""
        ...

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every value beside its limit."""
        ...

    @property
    def verified(self) -> bool:
        """Whether the particles agree with the result."""
        ...

    @property
    def requested(self) -> int:
        """How many were asked for."""
        ...

    @property
    def seed(self) -> int:
        """Of their noise."""
        ...


@dataclass(frozen=True, eq=False)
class About(Generic[Kind]):
    """All that a page is about.

    cross[i][j] (n, n): the final error of controls i under noise j, where they were applied; note: what a comparison
    found; interrupted: before all of it was there. simulation: particles of the only result.
    """

    shown: tuple[Shown[Kind], ...]
    cross: Array | None = None
    note: str = ""
    interrupted: bool = False
    simulation: Simulated | None = None

    @property
    def results(self) -> tuple[Kind, ...]:
        """The results, in order."""
        return tuple(one.result for one in self.shown)

    @property
    def problem(self) -> Problem:
        """The problem of the first result; the others differ from it in noise, network, controls or solver alone."""
        return self.shown[0].result.problem

    @property
    def several(self) -> bool:
        """Whether more than one result is shown."""
        return len(self.shown) > 1


@dataclass(frozen=True, eq=False)
class Subject(About[Result]):
    """A page about results in a box. cross: of L² errors."""

    simulation: Simulation | None = None

    @staticmethod
    def of_results(results: Sequence[Result]) -> Subject:
        """One result, or several of the same domain and reference. Raises PageError for others, and for too many."""
        _belong_together(results)
        return Subject(_shown(results))

    @staticmethod
    def of_comparison(comparison: Comparison) -> Subject:
        """Everything about a comparison. Raises PageError for too many noise levels."""
        plain = Subject.of_results(comparison.results)
        return Subject(plain.shown, comparison.cross, comparison.note, comparison.interrupted)

    @staticmethod
    def of_simulation(simulation: Simulation) -> Subject:
        """A result, and the particles that were moved by it."""
        return Subject(_shown([simulation.result]), simulation=simulation)


@dataclass(frozen=True, eq=False)
class FreeSubject(About[FreeResult]):
    """A page about results in free space. cross: of mollified distances."""

    simulation: FreeSimulation | None = None

    @staticmethod
    def of_results(results: Sequence[FreeResult]) -> FreeSubject:
        """One result, or several of the same reference. Raises PageError for others, and for too many."""
        _belong_together(results)
        return FreeSubject(_shown(results))

    @staticmethod
    def of_comparison(comparison: FreeComparison) -> FreeSubject:
        """Everything about a comparison, seeds included. Raises PageError for too many noise levels."""
        plain = FreeSubject.of_results(comparison.results)
        shown = tuple(replace(one, others=others) for one, others in zip(plain.shown, comparison.others, strict=True))
        return FreeSubject(shown, comparison.cross, comparison.note, comparison.interrupted)

    @staticmethod
    def of_simulation(simulation: FreeSimulation) -> FreeSubject:
        """A result, and other particles that were moved by it."""
        return FreeSubject(_shown([simulation.result]), simulation=simulation)

    @property
    def levels(self) -> tuple[tuple[FreeResult, ...], ...]:
        """What is shown, with the results of other seeds."""
        return tuple(one.of_seeds for one in self.shown)


def subject_of_results(results: Sequence[Answer]) -> Subject | FreeSubject:
    """The subject of either kind. Raises PageError for both on one page, and as they do."""
    free = [result for result in results if isinstance(result, FreeResult)]
    boxes = [result for result in results if isinstance(result, Result)]
    if free and boxes:
        raise PageError(
            f"{_place(free[0])}: lives in free space and {_place(boxes[0])} in a box, and no page shows both; give "
            "results of one problem"
        )
    return FreeSubject.of_results(free) if free else Subject.of_results(boxes)


def _belong_together(results: Sequence[Answer]) -> None:
    if not 1 <= len(results) <= MOST_RESULTS:
        raise PageError(f"a page shows between 1 and {MOST_RESULTS} results (got {len(results)}); give fewer")
    first = results[0]
    for other in results[1:]:
        if (other.problem.domain, other.problem.reference) != (first.problem.domain, first.problem.reference):
            raise PageError(
                f"{_place(other)}: has another domain or reference than {_place(first)}, and cannot be compared "
                "with it; give results of one problem"
            )


_Kind = TypeVar("_Kind", bound=Answer)


def _shown(results: Sequence[_Kind]) -> tuple[Shown[_Kind], ...]:
    by_noise = len({result.noise for result in results}) == len(results)
    shown = []
    for number, (result, label) in enumerate(zip(results, _labels(results), strict=True)):
        colour = noise_colour(result.noise) if by_noise else SERIES[number % len(SERIES)]
        dash = DASHES[(number + number // len(SERIES)) % len(DASHES)] if len(results) > 1 else ""
        shown.append(Shown(result, label, Ink(colour, on_black(colour), dash), SHAPES[number % len(SHAPES)]))
    return tuple(shown)


def _labels(results: Sequence[Answer]) -> list[str]:
    """The noise level, and where that is not enough what else tells results apart: width, solver, or the file."""
    labels = [f"noise {result.noise:g}" for result in results]
    if len(set(labels)) < len({result.noise for result in results}):
        labels = [f"noise {result.noise!r}" for result in results]
    for more in (_width, _solver, _place, lambda result: str(id(result))):
        if len(set(labels)) == len(labels):
            break
        labels = [f"{label}, {more(result)}" for label, result in zip(labels, results, strict=True)]
    return labels


def _width(result: Answer) -> str:
    return f"width {result.problem.network.width}"


def _solver(result: Answer) -> str:
    return result.solver


def _place(result: Answer) -> str:
    return Path(result.path).name if result.path else result.problem.name

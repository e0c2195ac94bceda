"""What a page is about: one result, several, a comparison, or a simulation of one; and how each is drawn throughout.

Comes in: results. Goes out: a `Subject`; or a PageError in one line where results do not belong on one page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.problem import Problem
from controlsde.report.canvas import SERIES, noise_colour
from controlsde.report.page.chart import DASHES, Ink, on_black
from controlsde.result.result import Result

if TYPE_CHECKING:
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.simulation import Simulation

Array = NDArray[np.float64]

SHAPES = ("circle", "square", "triangle", "diamond")
MOST_RESULTS = 12


class PageError(ControlsdeError, ValueError):
    """Results that cannot be shown on one page; one line with the cure."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One result, what it is called on the page, and its colour, dashes and mark in every chart."""

    result: Result
    label: str
    ink: Ink
    mark: str


@dataclass(frozen=True, eq=False)
class Subject:
    """All that a page is about.

    cross[i][j] (n, n): the final L² error of controls i under noise j, where they were applied; note: what a comparison
    found; interrupted: before all of it was there. simulation: particles of the only result.
    """

    shown: tuple[Shown, ...]
    cross: Array | None = None
    note: str = ""
    interrupted: bool = False
    simulation: Simulation | None = None

    @property
    def results(self) -> tuple[Result, ...]:
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

    @staticmethod
    def of_results(results: Sequence[Result]) -> Subject:
        """One result, or several of the same domain and reference. Raises PageError for others, and for too many."""
        if not 1 <= len(results) <= MOST_RESULTS:
            raise PageError(f"a page shows between 1 and {MOST_RESULTS} results (got {len(results)}); give fewer")
        first = results[0]
        for other in results[1:]:
            if (other.problem.domain, other.problem.reference) != (first.problem.domain, first.problem.reference):
                raise PageError(
                    f"{_place(other)}: has another domain or reference than {_place(first)}, and cannot be compared "
                    "with it; give results of one problem"
                )
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


def _shown(results: Sequence[Result]) -> tuple[Shown, ...]:
    by_noise = len({result.noise for result in results}) == len(results)
    shown = []
    for number, (result, label) in enumerate(zip(results, _labels(results), strict=True)):
        colour = noise_colour(result.noise) if by_noise else SERIES[number % len(SERIES)]
        dash = DASHES[(number + number // len(SERIES)) % len(DASHES)] if len(results) > 1 else ""
        shown.append(Shown(result, label, Ink(colour, on_black(colour), dash), SHAPES[number % len(SHAPES)]))
    return tuple(shown)


def _labels(results: Sequence[Result]) -> list[str]:
    """The noise level, and where that is not enough what else tells results apart: width, solver, or the file."""
    labels = [f"noise {result.noise:g}" for result in results]
    if len(set(labels)) < len({result.noise for result in results}):
        labels = [f"noise {result.noise!r}" for result in results]
    for more in (_width, _solver, _place, lambda result: str(id(result))):
        if len(set(labels)) == len(labels):
            break
        labels = [f"{label}, {more(result)}" for label, result in zip(labels, results, strict=True)]
    return labels


def _width(result: Result) -> str:
    return f"width {result.problem.network.width}"


def _solver(result: Result) -> str:
    return result.solver


def _place(result: Result) -> str:
    return Path(result.path).name if result.path else result.problem.name

"""Least energies of any drift at several noise levels and distances, without solving anything.

Comes in: a problem, noise levels, distances ε. Goes out: a bound for each, and for a picture the curve of the bound
against ε at each noise level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.controllability.energy_bound import EnergyBound, check_distances, energy_bounds, uncontrolled_distance
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.result.result import Result
from controlsde.result.result_file import ResultError
from controlsde.tracking.posed import Posed
from controlsde.workflow.comparison import check_levels

Array = NDArray[np.float64]

CURVE_POINTS = 24
NEAREST = 0.07  # squared, of ‖ρ(T) − p(T)‖ without a drift: where a curve begins


@dataclass(frozen=True, eq=False)
class Frontier:
    """The least energy of any drift at one noise level: at distances (m,), of which the last needs no drift at all."""

    noise: float
    within: Array
    energy: Array


@dataclass(frozen=True)
class Answer:
    """What a network of some width reached, and the energy that it spent on it, in the clock of the noise."""

    noise: float
    width: int
    pieces: int
    within: float
    energy: float


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds by noise level and, within a level, by distance; frontiers: their curves, where they were asked for.

    answers: of networks, to stand above the curves.
    """

    problem: Problem
    bounds: tuple[EnergyBound, ...]
    frontiers: tuple[Frontier, ...] = ()
    steady: bool = True  # whether the diffusivity is the same at all times
    answers: tuple[Answer, ...] = ()

    def to_json(self) -> list[dict[str, Any]]:
        """The JSON of `bound`."""
        return [bound.to_json() for bound in self.bounds]


@own_settings()
def bound(
    problem: Problem,
    within: Sequence[float],
    noise: Sequence[float] = (),
    progress: Progress = silent,
    *,
    frontiers: bool = False,
    answers: Sequence[Result] = (),
) -> Bounds:
    """The least energy of any drift at every noise level (the problem's own if none is given) and every ε = within.

    frontiers: whether to compute the curves, too. answers: results of the same reference on the same domain, whose
    energies are set against the curves. Raises EnergyBoundError, NoiseLevelsError, ReferenceError, and ResultError for
    a result of another reference, or without an energy.
    """
    check_distances(within)
    reached = tuple(_answer(problem, one) for one in answers)
    levels = check_levels(noise) if noise else (problem.noise,)
    progress(Step("building the reference"))
    posed = Posed.of(problem)
    found: list[EnergyBound] = []
    curves: list[Frontier] = []
    for level in levels:
        here = posed.changed(noise=level)
        progress(Step(f"bounding the energy at noise {level:g}"))
        found += energy_bounds(here, within)
        if frontiers:
            progress(Step(f"the frontier at noise {level:g}"))
            curves.append(frontier_of(here))
    return Bounds(problem, tuple(found), tuple(curves), posed.reference.diffusivity.steady, reached)


def _answer(problem: Problem, result: Result) -> Answer:
    other, name = result.problem, result.path or result.problem.name
    if (other.domain, other.reference) != (problem.domain, problem.reference):
        raise ResultError(f"{name}: is of another domain or reference than {problem.name}; give a result of that")
    if result.energy is None:
        raise ResultError(f"{name}: has no energy, as results of older versions; evaluate its controls again")
    width, pieces = int(other.network.width), other.controls.pieces
    return Answer(result.noise, width, pieces, result.energy.within, result.energy.weighted)


def frontier_of(posed: Posed) -> Frontier:
    """The curve of the least energy of any drift, at the noise of the problem. Raises EnergyBoundError."""
    furthest = uncontrolled_distance(posed)
    within = furthest * np.linspace(NEAREST, 1.0, CURVE_POINTS) ** 2  # closer where the curve is steeper
    energies = [one.value for one in energy_bounds(posed, [float(each) for each in within[:-1]])]
    return Frontier(posed.problem.noise, within, np.array([*energies, 0.0]))

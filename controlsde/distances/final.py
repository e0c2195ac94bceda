"""The distances between ρ(T) and p(T) that every result tells, one value of `Distance` for each.

Comes in: both densities on one grid of cells. Goes out: a number, or None where the distance says nothing: between
unequal masses, where walls absorb, or beyond one dimension where it has no exact formula.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.distances.pointwise import kullback_leibler, total_variation
from controlsde.distances.transport import sobolev_minus_1, wasserstein_1, wasserstein_2

Array = NDArray[np.float64]
Box = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class FinalPair:
    """ρ(T) and p(T) at the centres of equal cells over the box, (n,) each, the last axis running fastest.

    edges: of the cells on every axis; weights: their volumes, (n,). transport: W₂ where it was estimated otherwise.
    """

    box: Box
    walls: str
    edges: tuple[Array, ...]
    weights: Array
    density: Array
    target: Array
    transport: float | None = None

    @property
    def closed(self) -> bool:
        """Whether the walls keep the mass."""
        return self.walls != "absorbing"

    @property
    def on_a_line(self) -> bool:
        """Whether mass can only move on an interval, where transport has a formula."""
        return len(self.box) == 1 and self.walls == "reflecting"


@dataclass(frozen=True)
class Distance:
    """title: in tables. measure: the number, or None where it says nothing."""

    title: str
    measure: Callable[[FinalPair], float | None]


def _total_variation(pair: FinalPair) -> float:
    return total_variation(pair.weights, pair.density, pair.target)


def _kullback_leibler(pair: FinalPair) -> float | None:
    return kullback_leibler(pair.weights, pair.density, pair.target) if pair.closed else None


def _wasserstein_1(pair: FinalPair) -> float | None:
    return wasserstein_1(pair.edges[0], pair.density, pair.target) if pair.on_a_line else None


def _wasserstein_2(pair: FinalPair) -> float | None:
    if pair.transport is not None:
        return pair.transport
    return wasserstein_2(pair.edges[0], pair.density, pair.target) if pair.on_a_line else None


def _sobolev(pair: FinalPair) -> float | None:
    if not pair.closed:
        return None
    shape = tuple(len(edge) - 1 for edge in pair.edges)
    return sobolev_minus_1(pair.box, pair.walls, (pair.density - pair.target).reshape(shape))


TOTAL_VARIATION = Distance("total variation at T", _total_variation)
KULLBACK_LEIBLER = Distance("KL(ρ‖p) at T", _kullback_leibler)
WASSERSTEIN_1 = Distance("Wasserstein-1 at T", _wasserstein_1)
WASSERSTEIN_2 = Distance("Wasserstein-2 at T", _wasserstein_2)
SOBOLEV = Distance("Ḣ⁻¹ at T", _sobolev)

"""Particles as distances of pairs see them: squared distances in blocks, of which no two are n × n.

Comes in: points. Goes out: |x_i − x_j|² for every pair i < j, and |x_i − y_j|² to another set, block by block. For a
few thousand particles the pairs are kept, so that several distances share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

Array = NDArray[np.float64]

ROWS = 128  # of a block
COLUMNS = 2048
KEPT = 4_000_000  # pairs: 32 MB


@dataclass(frozen=True, eq=False)
class Cloud:
    """Particles (n, d)."""

    points: Array

    def __len__(self) -> int:
        return len(self.points)

    @property
    def pairs(self) -> int:
        """Number of pairs i < j."""
        return len(self) * (len(self) - 1) // 2

    def squared_distances(self) -> Iterator[Array]:
        """|x_i − x_j|² of all pairs i < j, in blocks of any shape, which must not be changed."""
        yield from self._kept if self.pairs <= KEPT else self._blocks()

    @cached_property
    def _kept(self) -> tuple[Array, ...]:
        return tuple(self._blocks())

    def _blocks(self) -> Iterator[Array]:
        for rows in parts(len(self), ROWS):
            if rows.stop - rows.start > 1:
                yield pdist(self.points[rows], "sqeuclidean")
            yield from between(self.points[rows], self.points[rows.stop :])


def between(first: Array, second: Array) -> Iterator[Array]:
    """|x_i − y_j|² for points (n, d) and (N, d), in blocks."""
    for rows in parts(len(first), ROWS):
        for columns in parts(len(second), COLUMNS):
            yield squared_distances(first[rows], second[columns])


def squared_distances(first: Array, second: Array) -> Array:
    """|x_i − y_j|² = |x_i|² + |y_j|² − 2x_i·y_j about the middle of the second, not below zero, shape (n, N)."""
    centre = second.mean(axis=0)
    x, y = first - centre, second - centre
    found = x @ y.T
    found *= -2.0
    found += np.einsum("nd,nd->n", x, x)[:, None]
    found += np.einsum("nd,nd->n", y, y)
    return np.asarray(np.maximum(found, 0.0, out=found))


def parts(count: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that make up `count`."""
    for begin in range(0, count, size):
        yield slice(begin, min(begin + size, count))

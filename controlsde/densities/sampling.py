"""Samples of any density on a box, from its values on a grid of cells.

Inside a cell the density is replaced by the multilinear interpolant of its corner values, and that is sampled
exactly. In 1-D this is inversion of a piecewise quadratic distribution function. For a density with two
derivatives the law of the samples is off by O(h²), h the cell size; a jump is smeared over one cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, Box

DEFAULT_CELLS = {1: 16384, 2: 512, 3: 96}  # an axis


@dataclass(frozen=True, eq=False)
class GridSampler:
    """Draws points of a density from its values at the corners of `cells` equal cells on each axis of a box.

    cumulative: sums of the values over all corners of all cells, which do not depend on how many points are drawn.
    """

    box: Box
    cells: int
    cumulative: Array

    @staticmethod
    def of(pdf: Callable[[Array], Array], box: Box, cells: int | None = None) -> GridSampler:
        """A sampler of a density `pdf` ((m, d) → (m,), any scale) on a box with d = 1..3.

        `cells` is the number of grid cells an axis; without it 16384, 512 or 96 for d = 1, 2, 3. Negative
        values count as zero. Raises ValueError when the density is zero on the whole grid or not finite.
        """
        dimension = len(box)
        count = DEFAULT_CELLS[dimension] if cells is None else cells
        axes = [np.linspace(low, high, count + 1) for low, high in box]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dimension)
        values = np.maximum(pdf(grid), 0.0).reshape((count + 1,) * dimension)
        if not np.all(np.isfinite(values)) or not np.any(values > 0.0):
            raise ValueError("the density has no finite positive values on the box to draw samples from")
        at_corners = np.stack([_corner(values, corner).ravel() for corner in _corners(dimension)], axis=1)
        return GridSampler(box, count, np.cumsum(at_corners.ravel()))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n points, shape (n, d)."""
        dimension = len(self.box)
        corners = np.array(_corners(dimension))
        drawn = np.searchsorted(self.cumulative, rng.random(n) * self.cumulative[-1], side="right")
        cell, corner = np.divmod(np.minimum(drawn, self.cumulative.size - 1), len(corners))
        # The hat function of corner 1 is u on an axis, of corner 0 it is 1 - u: √U and 1 - √U invert them.
        rise = np.sqrt(rng.random((n, dimension)))
        local = np.where(corners[corner] == 1, rise, 1.0 - rise)
        index = np.stack(np.unravel_index(cell, (self.cells,) * dimension), axis=1)
        low, high = np.array(self.box, dtype=np.float64).T
        return np.asarray(low + (high - low) * (index + local) / self.cells)


def _corners(dimension: int) -> list[tuple[int, ...]]:
    return list(itertools.product((0, 1), repeat=dimension))


def _corner(values: Array, corner: tuple[int, ...]) -> Array:
    return values[tuple(slice(1, None) if side else slice(None, -1) for side in corner)]

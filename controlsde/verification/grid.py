"""The grid of cells on which final densities are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FINE_CELLS = {1: 4096, 2: 192, 3: 48}  # per axis


@dataclass(frozen=True, eq=False)
class FinalGrid:
    """Cell-centred uniform grid over the box: edges and centres by axis, all centres (n, d), weights (n,)."""

    edges: tuple[Array, ...]
    centres: tuple[Array, ...]
    points: Array
    weights: Array

    @staticmethod
    def over(box: tuple[tuple[float, float], ...], cells: int | None = None) -> FinalGrid:
        """cells: on each axis, FINE_CELLS if not given."""
        cells = FINE_CELLS[len(box)] if cells is None else cells
        edges = tuple(np.linspace(low, high, cells + 1) for low, high in box)
        centres = tuple(0.5 * (edge[1:] + edge[:-1]) for edge in edges)
        points = np.stack([g.ravel() for g in np.meshgrid(*centres, indexing="ij")], axis=1)
        volume = math.prod(edge[1] - edge[0] for edge in edges)
        return FinalGrid(edges, centres, points, np.full(len(points), volume))

"""Where on one axis modes are evaluated, and the way from there to the points at which they are wanted.

Points of a grid share their coordinates, so that a few places serve them all; scattered points lie between those of
a table. Comes in: coordinates. Goes out: rows of values and slopes there, from those at the places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.density import Array

TABLE = 4097  # places of an axis, between which scattered points lie

# Modes, or sums of them, and their derivatives on one axis, each (rows, places) or (rows, n).
AxisModes = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Between:
    """Cubics through values and slopes at equally spaced places: the cell of each point (n,), and its share of it."""

    cell: NDArray[np.intp]
    share: Array
    spacing: float

    @staticmethod
    def on(low: float, high: float, x: Array) -> tuple[Array, Between]:
        """The places (TABLE,) on an interval, and the way to points x (n,) of it."""
        places, spacing = np.linspace(low, high, TABLE, retstep=True)
        position = (x - low) / float(spacing)
        cell = np.clip(position.astype(np.intp), 0, TABLE - 2)
        return places, Between(cell, position - cell, float(spacing))

    def interpolate(self, value: Array, slope: Array) -> AxisModes:
        """Values and slopes at the points, each (rows, n), from those at the places.

        In error by h⁴/384 and h³/125 of the fourth derivative: 1e-10, 2e-7 of a Gaussian an eightieth of the box wide.
        """
        s, h = self.share, self.spacing
        left, first, last = value[:, self.cell], h * slope[:, self.cell], h * slope[:, self.cell + 1]
        rise = value[:, self.cell + 1] - left
        square, cube = 3.0 * rise - 2.0 * first - last, first + last - 2.0 * rise
        values = left + s * (first + s * (square + s * cube))
        return np.asarray(values), np.asarray((first + s * (2.0 * square + 3.0 * s * cube)) / h)


# Which of the places each point has, or how it lies between them.
Places: TypeAlias = NDArray[np.intp] | slice | Between


def at_points(places: Places, value: Array, slope: Array) -> AxisModes:
    """Rows of values and slopes at the points, from those at the places."""
    if isinstance(places, Between):
        return places.interpolate(value, slope)
    return value[:, places], slope[:, places]

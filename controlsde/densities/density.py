"""What every density can do: the one interface that references, solvers and particles use.

Points are arrays of shape (n, d), d = 1..3, in the units of the problem's box.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Box = tuple[tuple[float, float], ...]


@runtime_checkable
class Density(Protocol):
    """A probability density on R^d."""

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        ...

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,)."""
        ...

    def grad(self, x: Array) -> Array:
        """The gradient of the density at points (n, d), shape (n, d); 0 where it has none."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        ...


@runtime_checkable
class LineDensity(Density, Protocol):
    """A density with distribution functions; they are defined for d = 1 only."""

    def cdf(self, x: Array) -> Array:
        """The mass to the left of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        ...

    def survival(self, x: Array) -> Array:
        """The mass to the right of points (n, 1), shape (n,), accurate also where it is tiny."""
        ...


def as_points(x: Array, dimension: int) -> Array:
    """Return x as float64 of shape (n, d). Raises ValueError for any other shape."""
    points = np.asarray(x, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != dimension:
        raise ValueError(f"points must have shape (n, {dimension}) (got {points.shape})")
    return points


def line_points(x: Array, dimension: int) -> Array:
    """Return the coordinates (n,) of points (n, 1). Raises ValueError unless d = 1."""
    if dimension != 1:
        raise ValueError(f"distribution functions are defined for d = 1 only (got d = {dimension})")
    return as_points(x, 1)[:, 0]

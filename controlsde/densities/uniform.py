"""The uniform density on a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controlsde.densities.gaussian import Flats
from controlsde.densities.products import Products
from controlsde.densities.protocol import Array, Box, as_points, line_points


@dataclass(frozen=True)
class UniformDensity:
    """1 / volume on `box` (one (low, high) a dimension), 0 outside. Raises ValueError for an empty box."""

    box: Box

    def __post_init__(self) -> None:
        if not all(low < high for low, high in self.box):
            raise ValueError(f"a uniform density needs low < high on every axis (got {self.box})")

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return len(self.box)

    @property
    def products(self) -> Products:
        """The density as one product of flat factors."""
        return Products(np.ones(1), tuple(Flats(np.array([low]), np.array([high])) for low, high in self.box))

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,); the box is closed."""
        return self.products.density(x)

    def grad(self, x: Array) -> Array:
        """0 of shape (n, d): it has no gradient at the edge, and none elsewhere."""
        return np.zeros_like(as_points(x, self.dimension))

    def cdf(self, x: Array) -> Array:
        """The mass to the left of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        low, high = self.box[0]
        return np.clip((line_points(x, self.dimension) - low) / (high - low), 0.0, 1.0)

    def survival(self, x: Array) -> Array:
        """The mass to the right of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        low, high = self.box[0]
        return np.clip((high - line_points(x, self.dimension)) / (high - low), 0.0, 1.0)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        low, high = np.array(self.box).T
        return np.asarray(low + (high - low) * rng.random((n, self.dimension)))

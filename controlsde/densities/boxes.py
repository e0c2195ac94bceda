"""Densities that are flat on one box, or on each of several, and vanish between them: disconnected supports.

p(x) = Σ_k w_k 1[x in box k] / volume of box k
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, Box, as_points, line_points
from controlsde.densities.gaussian import Flats
from controlsde.densities.products import Products


@dataclass(frozen=True)
class BoxesDensity:
    """`weights` (K,), which sum to one, spread evenly over K boxes; where boxes overlap, they add.

    Raises ValueError for an empty box.
    """

    boxes: tuple[Box, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        for box in self.boxes:
            if not all(low < high for low, high in box):
                raise ValueError(f"a flat density needs low < high on every axis (got {box})")

    @staticmethod
    def uniform(box: Box) -> BoxesDensity:
        """1 / volume on one box. Raises ValueError for an empty one."""
        return BoxesDensity((box,), (1.0,))

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return len(self.boxes[0])

    @property
    def box(self) -> Box:
        """The smallest box that holds them all."""
        low, high = self._limits
        return tuple(zip(low.min(axis=0).tolist(), high.max(axis=0).tolist(), strict=True))

    @property
    def products(self) -> Products:
        """The density as a weighted sum of products of flat factors."""
        low, high = self._limits
        return Products(np.array(self.weights), tuple(Flats(a, b) for a, b in zip(low.T, high.T, strict=True)))

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,); the boxes are closed."""
        return self.products.density(x)

    def grad(self, x: Array) -> Array:
        """0 of shape (n, d): it has no gradient at the edges, and none elsewhere."""
        return np.zeros_like(as_points(x, self.dimension))

    def cdf(self, x: Array) -> Array:
        """The mass to the left of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tail(x, left=True)

    def survival(self, x: Array) -> Array:
        """The mass to the right of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tail(x, left=False)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        low, high = self._limits
        many = len(self.boxes) > 1  # of one box there is nothing to choose
        chosen = rng.choice(len(self.boxes), size=n, p=self.weights) if many else np.zeros(n, dtype=int)
        return np.asarray(low[chosen] + (high - low)[chosen] * rng.random((n, self.dimension)))

    @property
    def _limits(self) -> tuple[Array, Array]:
        """Lower and upper limits, both (K, d)."""
        limits = np.array(self.boxes)
        return limits[..., 0], limits[..., 1]

    def _tail(self, x: Array, left: bool) -> Array:
        low, high = (limit[:, :1] for limit in self._limits)
        point = line_points(x, self.dimension)[None, :]
        part = (point - low) if left else (high - point)
        return np.asarray(np.array(self.weights) @ np.clip(part / (high - low), 0.0, 1.0))

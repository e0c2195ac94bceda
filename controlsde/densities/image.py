"""A grey picture as a density: pixels of even mass, blurred between mirrors.

Pixel (i, j) is the rectangle [a_i, a_{i+1}] x [b_j, b_{j+1}] of the box, M_ij its mass. With u_i the density of one
that is spread evenly over [a_i, a_{i+1}] and then diffuses to a variance h² between reflecting walls,

    u_i(x) = Σ_c ± Φ((y_c(x) - a) / h) |_{a = a_{i+1}}^{a_i} / (a_{i+1} - a_i),   y_c(x) the mirror images of x,
    p(x, y) = (1 - floor) Σ_ij u_i(x) M_ij v_j(y) + floor / area.

The mirrors keep all mass in the box, and p flat across its walls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from controlsde.densities.density import Array, Box, as_points
from controlsde.densities.gaussian import LOG_ROOT_2PI, REACH
from controlsde.densities.products import CHUNK


@dataclass(frozen=True)
class ImageDensity:
    """The p above: `masses` M (columns, rows upwards), `bandwidth` h for each axis, `floor` a share of the mass.

    Masses are divided by their sum. Raises ValueError when there is nothing positive in them, or the box is
    not two-dimensional.
    """

    masses: Array
    box: Box
    bandwidth: tuple[float, float]
    floor: float

    def __post_init__(self) -> None:
        masses = np.asarray(self.masses, dtype=np.float64)
        if masses.ndim != 2 or len(self.box) != 2:
            raise ValueError(f"a picture needs two dimensions (got a box of {len(self.box)})")
        if not (np.all(np.isfinite(masses)) and np.all(masses >= 0.0) and np.any(masses > 0.0)):
            raise ValueError("a picture needs nonnegative masses that are not all zero")
        object.__setattr__(self, "masses", masses / np.sum(masses))

    @property
    def dimension(self) -> int:
        """2: columns and rows."""
        return 2

    def pdf(self, x: Array) -> Array:
        """The density at points (n, 2), shape (n,); 0 outside the box."""
        return self._evaluate(x)[0]

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, 2); 0 outside the box."""
        return self._evaluate(x)[1]

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points: a pixel, a place in it, the blur, and back into the box, shape (n, 2)."""
        low, high = np.array(self.box).T
        chosen = rng.choice(self.masses.size, size=n, p=self.masses.ravel())
        pixel = np.stack(np.unravel_index(chosen, self.masses.shape), axis=1)
        pixel_size = (high - low) / self.masses.shape
        whole = (pixel + rng.random((n, 2))) * pixel_size + rng.standard_normal((n, 2)) * self.bandwidth
        folded = high - low - np.abs(np.mod(whole, 2.0 * (high - low)) - (high - low))
        even = rng.random(n) < self.floor
        return np.asarray(low + np.where(even[:, None], rng.random((n, 2)) * (high - low), folded))

    def _evaluate(self, x: Array) -> tuple[Array, Array]:
        points = as_points(x, 2)
        step = max(1, CHUNK // max(self.masses.shape))
        parts = [self._chunk(points[i : i + step]) for i in range(0, max(len(points), 1), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _chunk(self, points: Array) -> tuple[Array, Array]:
        low, high = np.array(self.box).T
        inside = np.all((points >= low) & (points <= high), axis=1)
        (across, along), (up, upward) = (self._axis(axis, points[:, axis]) for axis in (0, 1))
        columns = self.masses @ up
        value = np.sum(across * columns, axis=0)
        slope = np.stack([np.sum(along * columns, axis=0), np.sum(across * (self.masses @ upward), axis=0)], axis=1)
        even = self.floor / math.prod(high - low)
        return (
            np.where(inside, (1.0 - self.floor) * value + even, 0.0),
            np.where(inside[:, None], (1.0 - self.floor) * slope, 0.0),
        )

    def _axis(self, axis: int, x: Array) -> tuple[Array, Array]:
        """The densities u_i of an axis's pixels and their slopes at x (n,), each (pixels, n)."""
        (low, high), blur, count = self.box[axis], self.bandwidth[axis], self.masses.shape[axis]
        length = high - low
        places, back = np.unique(x, return_inverse=True)  # points of grids share their coordinates
        edges = np.linspace(low, high, count + 1)[:, None]
        value, slope = np.zeros((count, places.size)), np.zeros((count, places.size))
        images = math.ceil(REACH * blur / length)
        for c in range(-images, images + 1):
            sign, image = (1.0, places + c * length) if c % 2 == 0 else (-1.0, low + high + c * length - places)
            z = (image - edges) / blur
            value -= np.diff(ndtr(z), axis=0)
            slope -= sign / blur * np.diff(np.exp(-0.5 * z**2 - LOG_ROOT_2PI), axis=0)
        size = length / count
        return value[:, back] / size, slope[:, back] / size

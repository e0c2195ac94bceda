"""Orthonormal modes of a box, and the sums over particles from which their means and all covariances follow.

φ_k are cosines between walls, cosines and sines when periodic, damped by w_k = exp(−λ_k ε²), ε one thousandth of the
box in 1-D (a mollifier). A product of two modes of an axis is a sum of two waves,

    cos a cos b = ½ (cos(a − b) + cos(a + b)),   sin a sin b = ½ (cos(a − b) − cos(a + b)),
    sin a cos b = ½ (sin(a + b) + sin(a − b)),

so that sums of waves up to twice the highest mode hold every covariance: 255 numbers in 1-D instead of 128².
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MODES = {1: 128, 2: 20, 3: 7}  # per axis
MOLLIFIER = {1: 0.001, 2: 0.01, 3: 0.03}  # ε as a share of the box
CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class CosineModes:
    """The orthonormal modes of a box: wave numbers (m, d), and damping weights (m,)."""

    box: tuple[tuple[float, float], ...]
    periodic: bool
    numbers: NDArray[np.int64]
    weights: Array

    @staticmethod
    def of_box(box: tuple[tuple[float, float], ...], walls: str) -> CosineModes:
        """All modes with at most `MODES[d]` waves on each axis."""
        dimension = len(box)
        numbers = np.array(list(product(range(MODES[dimension]), repeat=dimension)))
        epsilon = MOLLIFIER[dimension]
        waves = 2.0 * np.ceil(numbers / 2) if walls == "periodic" else numbers
        return CosineModes(box, walls == "periodic", numbers, np.exp(-np.sum((np.pi * waves * epsilon) ** 2, axis=1)))

    @property
    def peaks(self) -> Array:
        """Largest |φ| of each mode, (m,)."""
        return self._scale

    def __call__(self, x: Array) -> Array:
        """φ at points (n, d): shape (n, m)."""
        values = np.ones((len(x), len(self.numbers)))
        for axis, (low, high) in enumerate(self.box):
            one = self._axis(x[:, axis], low, high, int(self.numbers[:, axis].max()) + 1)
            values *= one[:, self.numbers[:, axis]]
        return values

    def _axis(self, x: Array, low: float, high: float, count: int) -> Array:
        """1-D modes 0 … count−1: (n, count)."""
        k = np.arange(count)
        phase = (x - low)[:, None] / (high - low)
        scale = np.where(k == 0, 1.0, math.sqrt(2.0)) / math.sqrt(high - low)
        if not self.periodic:
            return np.asarray(scale * np.cos(np.pi * k * phase))
        angle = 2.0 * np.pi * np.ceil(k / 2) * phase
        return np.asarray(scale * np.where(k % 2 == 0, np.cos(angle), np.sin(angle)))

    def of_density(self, points: Array, weights: Array, values: Array) -> Array:
        """c_k = ∫ φ_k ρ by quadrature over points (n, d): shape (m,)."""
        total = np.zeros(len(self.numbers))
        for first in range(0, len(points), CHUNK):
            part = slice(first, first + CHUNK)
            total += (weights[part] * values[part]) @ self(points[part])
        return total

    @cached_property
    def per_axis(self) -> int:
        """CosineModes of one axis."""
        return int(self.numbers.max()) + 1

    @cached_property
    def waves(self) -> int:
        """Waves of one axis, R: products of two of its modes need no others."""
        highest = math.ceil((self.per_axis - 1) / 2) * 2 if self.periodic else self.per_axis - 1
        return 2 * highest + 1

    @cached_property
    def _scale(self) -> Array:
        """φ_k over the product of plain waves, (m,): √2 for every axis on which it has waves, over √volume."""
        volume = math.prod(high - low for low, high in self.box)
        return np.asarray(np.sqrt(2.0 ** np.count_nonzero(self.numbers, axis=1) / volume))

    def means(self, waves: Array) -> Array:
        """Means of the modes (m,) from means of the waves (R, …, R)."""
        return np.asarray(self._scale * waves[tuple(self.numbers.T)])

    def products(self, waves: Array) -> Array:
        """Means of φ_j φ_k (m, m) from means of the waves (R, …, R)."""
        terms = [self._product_of_waves(self.numbers[:, axis]) for axis in range(len(self.box))]
        total = np.zeros((len(self.numbers), len(self.numbers)))
        for choice in product((0, 1), repeat=len(terms)):
            factor = np.ones_like(total)
            for term, which in zip(terms, choice, strict=True):
                factor *= term[which][1]
            total += factor * waves[tuple(term[which][0] for term, which in zip(terms, choice, strict=True))]
        return np.asarray(np.outer(self._scale, self._scale) * total)

    def _product_of_waves(self, numbers: NDArray[np.int64]) -> tuple[tuple[NDArray[np.int64], Array], ...]:
        """Index and factor, (m, m) each, of the two waves whose sum is wave j times wave k."""
        j, k = numbers[:, None], numbers[None, :]
        if not self.periodic:
            half = np.full((len(numbers), len(numbers)), 0.5)
            return (abs(j - k), half), (j + k, half)
        a, b = (j + 1) // 2, (k + 1) // 2  # whole turns; an odd number is a sine, an even one a cosine
        sine_j, sine_k = j % 2 == 1, k % 2 == 1
        mixed = sine_j != sine_k
        turns = np.where(sine_j, a - b, b - a)  # of the sine less those of the cosine, where they differ
        low = np.where(mixed, 2 * abs(turns) - 1, 2 * abs(a - b))
        high = np.where(mixed, 2 * (a + b) - 1, 2 * (a + b))
        low_factor = np.where(mixed, 0.5 * np.sign(turns), 0.5)
        high_factor = np.where(sine_j & sine_k, -0.5, 0.5)
        return (np.maximum(low, 0), low_factor), (np.maximum(high, 0), high_factor)

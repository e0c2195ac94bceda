"""One-dimensional marginals of a mixture along many directions: densities, distribution functions and quantiles.

Comes in: a mixture and directions u. Goes out: what Σ_k w_k N(u·m_k, uᵀS_k u) says, in closed form but for the inverse
of the distribution function, which is taken between points of a table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from controlsde.densities.density import Array
from controlsde.densities.free_mixture import ComponentMixture, FreeMixture, KernelMixture
from controlsde.tracking.cloud import parts

CHUNK = 1_000_000  # numbers in one temporary array
REACH = 8.0  # deviations of a component beyond which nothing is left of it
FINENESS = 4.0  # points of a table in one deviation of the narrowest component
POINTS = (192, 1024)  # of a table, whatever its components: more for few of them, for which they cost little
MOST = 4096
NUMBERS = 300_000  # points times components from which a table has no more points than it must
TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Lines:
    """Marginals in L directions: weights (K,), means (K, L), deviations (K, L)."""

    weights: Array
    means: Array
    deviations: Array

    @staticmethod
    def of(mixture: FreeMixture, directions: Array) -> Lines:
        """Along unit columns of directions (d, L), orthogonal or not."""
        means = mixture.means @ directions
        if isinstance(mixture, KernelMixture):
            return Lines(mixture.weights, means, np.full(means.shape, math.sqrt(mixture.variance)))
        if not isinstance(mixture, ComponentMixture):
            raise TypeError(f"a {type(mixture).__name__} is not one of the mixtures of free space")
        if mixture.vectors is None:
            return Lines(mixture.weights, means, np.sqrt(mixture.values @ directions**2))
        along = directions.T @ mixture.vectors  # (K, L, d)
        return Lines(mixture.weights, means, np.sqrt(np.einsum("kli,ki->kl", along**2, mixture.values)))

    def __len__(self) -> int:
        return int(self.means.shape[1])

    def distribution(self, line: int, x: Array) -> Array:
        """F at x (n,) of one of the lines, shape (n,)."""
        found = np.empty(x.size)
        for part in parts(x.size, max(1, CHUNK // self.weights.size)):
            found[part] = ndtr((x[part, None] - self.means[:, line]) / self.deviations[:, line]) @ self.weights
        return found

    def quantiles(self, n: int) -> Array:
        """Q((i − ½)/n) of every line, i = 1 … n, shape (n, L).

        x is interpolated as a function of Φ⁻¹(F(x)), of which it is a linear one for a single Gaussian.
        """
        wanted = ndtri((np.arange(n) + 0.5) / n)
        found = np.empty((n, len(self)))
        for line in range(len(self)):
            table = self.table(line)
            levels = np.clip(self.distribution(line, table), TINY, 1.0 - np.finfo(float).epsneg)
            found[:, line] = np.interp(wanted, ndtri(levels), table)
        return found

    def table(self, line: int) -> Array:
        """Equally spaced points over all of a line that has any mass, close enough for its narrowest component."""
        mean, deviation = self.means[:, line], self.deviations[:, line]
        low, high = float((mean - REACH * deviation).min()), float((mean + REACH * deviation).max())
        needed = math.ceil(min(FINENESS * (high - low) / float(deviation.min()), MOST))
        return np.linspace(low, high, max(needed, min(max(NUMBERS // mean.size, POINTS[0]), POINTS[1])))

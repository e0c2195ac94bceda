"""Weighted sums of products of one-dimensional factors, and how they shrink, blur and fold at walls.

    p(x) = Σ_k w_k Π_i u_ki(x_i)

Mixtures, uniform and truncated densities all are of this form, and keep it under every forward process that
acts on each axis alone. Densities and scores go through logarithms: no 0/0 in the tails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, as_points
from controlsde.densities.gaussian import AxisFactors

CHUNK = 2_000_000  # numbers in one temporary array
MANY = 16  # components, from which on it pays to look for coordinates that points share,
FEW = 4  # times or more, on average

# (axis, x (n,)) -> logarithms and logarithmic derivatives (K, n) of that axis's factors
AxisLogs = Callable[[int, Array], tuple[Array, Array]]


def log_sum(logs: Array) -> tuple[Array, Array]:
    """log Σ_k e^{l_k} and the shares e^{l_k} / Σ, over the first axis; -inf and 0 where all are -inf."""
    top = np.max(logs, axis=0)
    shares = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
    total = np.sum(shares, axis=0)
    with np.errstate(divide="ignore"):
        result = np.log(total) + top
    shares /= np.where(total > 0.0, total, 1.0)
    return result, shares


def _once_a_coordinate(points: Array, logs: AxisLogs, most: int) -> AxisLogs:
    """The same logarithms, taken once of every coordinate: the points of a mesh have few, and each many times.

    most: coordinates of an axis, beyond which they would fill the memory, and are taken point by point.
    """
    axes = [np.unique(coordinates) for coordinates in points.T]
    few = min(most, len(points) // FEW)
    known = [logs(axis, x) if len(x) <= few else None for axis, x in enumerate(axes)]

    def looked_up(axis: int, x: Array) -> tuple[Array, Array]:
        found = known[axis]
        if found is None:
            return logs(axis, x)
        places = np.searchsorted(axes[axis], x)
        return found[0][:, places], found[1][:, places]

    return looked_up


@dataclass(frozen=True)
class Products:
    """Σ_k w_k Π_i u_ki: weights (K,), and one family of K factors (or of one, shared) an axis."""

    weights: Array
    axes: tuple[AxisFactors, ...]

    @property
    def dimension(self) -> int:
        """The number of axes d."""
        return len(self.axes)

    def density(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,)."""
        return np.exp(self.log_density_and_score(x, self._unspread)[0])

    def gradient(self, x: Array) -> Array:
        """The gradient at points (n, d), shape (n, d)."""
        log_density, score = self.log_density_and_score(x, self._unspread)
        return np.asarray(np.exp(log_density)[:, None] * score)

    def log_density(self, x: Array) -> tuple[Array, Array]:
        """log p (n,) and its gradient (n, d) at points (n, d), right also where p underflows."""
        return self.log_density_and_score(x, self._unspread)

    def _unspread(self, axis: int, x: Array) -> tuple[Array, Array]:
        return self.axes[axis].spread(x, 1.0, 0.0)

    def log_density_and_score(self, x: Array, logs: AxisLogs) -> tuple[Array, Array]:
        """log p (n,) and ∇ log p (n, d) at points (n, d), from `logs` of each axis's factors.

        Where p = 0 the logarithm is -inf and the score 0.
        """
        points = as_points(x, self.dimension)
        step = max(1, CHUNK // self.weights.size)
        if self.dimension > 1 and self.weights.size >= MANY:
            logs = _once_a_coordinate(points, logs, step)
        parts = [self._chunk(points[i : i + step], logs) for i in range(0, max(len(points), 1), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _chunk(self, points: Array, logs: AxisLogs) -> tuple[Array, Array]:
        with np.errstate(divide="ignore"):
            total = np.log(self.weights)[:, None]
        slopes = []
        for axis in range(self.dimension):
            log_factor, slope = logs(axis, points[:, axis])
            total = total + log_factor
            slopes.append(slope)
        log_density, shares = log_sum(total)
        score = np.stack([np.sum(shares * slope, axis=0) for slope in slopes], axis=1)
        return log_density, score

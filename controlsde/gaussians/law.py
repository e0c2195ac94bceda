"""A Gaussian law and distances between two of them, in closed form.

Comes in: means and covariances. Goes out: numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Law:
    """N(mean, covariance): (d,) and (d, d), symmetric and nonnegative."""

    mean: Array
    covariance: Array

    @staticmethod
    def isotropic(mean: ArrayLike, variance: float) -> Law:
        """N(mean, variance · I)."""
        centre = np.atleast_1d(np.asarray(mean, dtype=float))
        return Law(centre, variance * np.eye(len(centre)))

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.mean)


def wasserstein_2(first: Law, second: Law) -> float:
    """W₂² = |m₁ − m₂|² + tr(S₁ + S₂ − 2(S₁^½ S₂ S₁^½)^½)   (Dowson & Landau 1982)."""
    root = _root(first.covariance)
    shared = np.linalg.eigvalsh(root @ second.covariance @ root)
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2.0 * np.sqrt(np.maximum(shared, 0.0)).sum()
    return math.sqrt(float(np.sum((first.mean - second.mean) ** 2)) + max(float(spread), 0.0))


def kullback_leibler(first: Law, second: Law) -> float:
    """KL(first‖second) = ½[tr(S₂⁻¹S₁) + |m₁ − m₂|²_{S₂⁻¹} − d + log(det S₂/det S₁)]; both covariances regular."""
    gap = second.mean - first.mean
    inverse = np.linalg.inv(second.covariance)
    logarithms = np.linalg.slogdet(second.covariance)[1] - np.linalg.slogdet(first.covariance)[1]
    return 0.5 * float(np.trace(inverse @ first.covariance) + gap @ inverse @ gap - first.dimension + logarithms)


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)

"""The Wasserstein-2 distance of two Gaussians, of which only means and covariances are asked (Bures).

    W₂² = |m₁ − m₂|² + tr(S₁ + S₂ − 2(S₁^½ S₂ S₁^½)^½)        (Dowson & Landau 1982).

For particles it is set between their first two moments and those of a mixture, which are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def bures_wasserstein(first_mean: Array, first_root: Array, second_mean: Array, second_covariance: Array) -> float:
    """W₂ of means (d,), of S₁^½ (d, d) by `root` and of S₂ (d, d)."""
    shared = np.linalg.eigvalsh(first_root @ second_covariance @ first_root)
    spread = float(np.sum(first_root**2) + np.trace(second_covariance))
    spread -= 2.0 * float(np.sqrt(np.maximum(shared, 0.0)).sum())
    return math.sqrt(float(np.sum((first_mean - second_mean) ** 2)) + max(spread, 0.0))


def root(covariance: Array) -> Array:
    """S^½ of a symmetric, nonnegative S (d, d)."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def moments_against(mean: Array, covariance: Array) -> Callable[[Array], float]:
    """What takes at least two points (n, d) to W₂ between their moments and a mean (d,) and a covariance (d, d)."""
    half = root(covariance)

    def distance(points: Array) -> float:
        own = np.atleast_2d(np.cov(points, rowvar=False))
        return bures_wasserstein(mean, half, points.mean(axis=0), own)

    return distance

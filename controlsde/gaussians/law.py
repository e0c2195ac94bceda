"""A Gaussian law and distances between two of them, in closed form.

Comes in: means and covariances. Goes out: numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from controlsde.distances.bures import bures_wasserstein, root

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
    return bures_wasserstein(first.mean, root(first.covariance), second.mean, second.covariance)


def kullback_leibler(first: Law, second: Law) -> float:
    """KL(first‖second) = ½[tr(S₂⁻¹S₁) + |m₁ − m₂|²_{S₂⁻¹} − d + log(det S₂/det S₁)]; both covariances regular."""
    gap = second.mean - first.mean
    inverse = np.linalg.inv(second.covariance)
    logarithms = np.linalg.slogdet(second.covariance)[1] - np.linalg.slogdet(first.covariance)[1]
    return 0.5 * float(np.trace(inverse @ first.covariance) + gap @ inverse @ gap - first.dimension + logarithms)

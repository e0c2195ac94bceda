"""Mixtures of Gaussians with full covariances.

p(x) = Σ_k w_k N(x; m_k, S_k)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from controlsde.densities.density import Array, Box, as_points
from controlsde.densities.gaussian import LOG_ROOT_2PI
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.products import CHUNK, log_sum


@dataclass(frozen=True)
class CorrelatedMixture:
    """Σ_k w_k N(m_k, S_k): weights (K,), means (K, d), covariances (K, d, d).

    Weights are divided by their sum, covariances made symmetric. Raises ValueError when shapes differ or a
    covariance is not positive definite.
    """

    weights: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        means = np.asarray(self.means, dtype=np.float64)
        covariances = np.asarray(self.covariances, dtype=np.float64)
        if means.ndim != 2 or covariances.shape != (*means.shape, means.shape[1]) or weights.shape != means.shape[:1]:
            raise ValueError(
                "a mixture needs weights (K,), means (K, d), covariances (K, d, d) "
                f"(got {weights.shape}, {means.shape}, {covariances.shape})"
            )
        if not (np.all(weights >= 0.0) and np.sum(weights) > 0.0):
            raise ValueError("a mixture needs positive weights")
        object.__setattr__(self, "weights", weights / np.sum(weights))
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "covariances", 0.5 * (covariances + covariances.transpose(0, 2, 1)))
        if not np.all(self._eigenvalues > 0.0):
            raise ValueError("a mixture needs positive definite covariances")

    @classmethod
    def from_independent(cls, mixture: GaussianMixture) -> CorrelatedMixture:
        """The same density, of a mixture with diagonal covariances."""
        return cls(mixture.weights, mixture.means, mixture.variances[:, :, None] * np.eye(mixture.dimension))

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return int(self.means.shape[1])

    @property
    def variances(self) -> Array:
        """The variance of each coordinate of each component, shape (K, d)."""
        return np.diagonal(self.covariances, axis1=1, axis2=2)

    @cached_property
    def _eigenvalues(self) -> Array:
        return np.asarray(np.linalg.eigvalsh(self.covariances))

    @cached_property
    def _precisions(self) -> Array:
        return np.asarray(np.linalg.inv(self.covariances))

    def log_density(self, x: Array) -> tuple[Array, Array]:
        """log p (n,) and its gradient (n, d) at points (n, d), right also where p underflows."""
        points = as_points(x, self.dimension)
        step = max(1, CHUNK // (self.weights.size * self.dimension))
        parts = [self._chunk(points[i : i + step]) for i in range(0, max(len(points), 1), step)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _chunk(self, points: Array) -> tuple[Array, Array]:
        # log N(x; m, S) = -½ (x - m)ᵀ S⁻¹ (x - m) - ½ log det S - (d/2) log 2π, its gradient -S⁻¹ (x - m)
        offset = points[None, :, :] - self.means[:, None, :]
        slopes = -offset @ self._precisions
        scale = 0.5 * np.sum(np.log(self._eigenvalues), axis=1) + self.dimension * LOG_ROOT_2PI
        with np.errstate(divide="ignore"):
            level = np.log(self.weights) - scale
        log_density, shares = log_sum(level[:, None] + 0.5 * np.sum(offset * slopes, axis=2))
        return log_density, np.einsum("kn,kni->ni", shares, slopes)

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,)."""
        return np.exp(self.log_density(x)[0])

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d)."""
        log_density, score = self.log_density(x)
        return np.asarray(np.exp(log_density)[:, None] * score)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        chosen = rng.choice(self.weights.size, size=n, p=self.weights)
        factors = np.linalg.cholesky(self.covariances)
        noise = rng.standard_normal((n, self.dimension))
        return np.asarray(self.means[chosen] + np.einsum("nij,nj->ni", factors[chosen], noise))

    def mass_outside(self, box: Box) -> float:
        """A bound of the mass outside a box: the sum of that beyond each pair of walls, right if it is small.

        (What is beyond two pairs counts twice.)
        """
        low, high = np.array(box, dtype=np.float64).T
        std = np.sqrt(self.variances)
        beyond = ndtr((low - self.means) / std) + ndtr((self.means - high) / std)
        return min(1.0, float(self.weights @ np.sum(beyond, axis=1)))

    def spread(self, shrink: float, blur: float) -> CorrelatedMixture:
        """The density of aY + √v ξ when Y has this one: N(a m_k, a² S_k + v I), for `shrink` a, `blur` v."""
        blurred = shrink**2 * self.covariances + blur * np.eye(self.dimension)
        return CorrelatedMixture(self.weights, shrink * self.means, blurred)

"""Mixtures of Gaussians with diagonal covariances; a sample set with a bandwidth is one of them.

p(x) = Σ_k w_k Π_i N(x_i; m_ki, v_ki)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtr

from controlsde.densities.density import Array, Box, line_points
from controlsde.densities.gaussian import Gaussians
from controlsde.densities.products import Products, log_sum


@dataclass(frozen=True)
class GaussianMixture:
    """Σ_k w_k N(m_k, diag v_k): weights (K,), means (K, d), variances (K, d).

    Weights are divided by their sum. Raises ValueError when shapes differ or a variance is not positive.
    """

    weights: Array
    means: Array
    variances: Array

    def __post_init__(self) -> None:
        weights = np.asarray(self.weights, dtype=np.float64)
        means = np.asarray(self.means, dtype=np.float64)
        variances = np.asarray(self.variances, dtype=np.float64)
        if means.ndim != 2 or variances.shape != means.shape or weights.shape != means.shape[:1]:
            raise ValueError(
                "a mixture needs weights (K,), means (K, d), variances (K, d) "
                f"(got {weights.shape}, {means.shape}, {variances.shape})"
            )
        if not (np.all(variances > 0.0) and np.all(weights >= 0.0) and np.sum(weights) > 0.0):
            raise ValueError("a mixture needs positive variances and weights")
        object.__setattr__(self, "weights", weights / np.sum(weights))
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "variances", variances)

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return int(self.means.shape[1])

    @property
    def products(self) -> Products:
        """The mixture as a weighted sum of products of factors, one an axis."""
        axes = (Gaussians(m, v) for m, v in zip(self.means.T, self.variances.T, strict=True))
        return Products(self.weights, tuple(axes))

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,)."""
        return self.products.density(x)

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d)."""
        return self.products.gradient(x)

    def cdf(self, x: Array) -> Array:
        """Σ w_k Φ((x - m_k)/σ_k) at points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tail(line_points(x, self.dimension), 1.0)

    def survival(self, x: Array) -> Array:
        """Σ w_k Φ((m_k - x)/σ_k) at points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tail(line_points(x, self.dimension), -1.0)

    def _tail(self, x: Array, sign: float) -> Array:
        z = sign * (x[None, :] - self.means) / np.sqrt(self.variances)
        return np.asarray(self.weights @ ndtr(z))

    def log_tails(self, x: Array) -> tuple[Array, Array]:
        """log F and log(1 − F) at points (n, 1), each (n,), right also where they underflow.

        Raises ValueError unless d = 1.
        """
        z = (line_points(x, self.dimension)[None, :] - self.means) / np.sqrt(self.variances)
        with np.errstate(divide="ignore"):
            shares = np.log(self.weights)[:, None]
        return log_sum(shares + log_ndtr(z))[0], log_sum(shares + log_ndtr(-z))[0]

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        chosen = rng.choice(self.weights.size, size=n, p=self.weights)
        noise = rng.standard_normal((n, self.dimension))
        return np.asarray(self.means[chosen] + np.sqrt(self.variances[chosen]) * noise)

    def mass_outside(self, box: Box) -> float:
        """The mass outside a box, accurate also when it is tiny."""
        return float(self.weights @ mass_outside_components(self.means, self.variances, box))

    def spread(self, shrink: float, blur: float) -> GaussianMixture:
        """The density of aY + √v ξ when Y has this one: N(a m_k, a² v_k + v), for `shrink` a, `blur` v."""
        return GaussianMixture(self.weights, shrink * self.means, shrink**2 * self.variances + blur)


def mass_outside_components(means: Array, variances: Array, box: Box) -> Array:
    """Mass of each Gaussian component outside a box, shape (K,): 1 - Π_i (1 - o_i), o_i that of axis i."""
    low, high = np.array(box, dtype=np.float64).T
    std = np.sqrt(variances)
    outside = ndtr((low - means) / std) + ndtr((means - high) / std)
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(np.sum(np.log1p(-outside), axis=1)))

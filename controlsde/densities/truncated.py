"""Mixtures of Gaussians conditioned on a box; a truncated Gaussian is one with a single component.

p(x) = Σ_k w_k N(x; m_k, v_k) / Σ_k w_k Z_k  on [low, high],   Z_k = P(N(m_k, v_k) in [low, high])
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from controlsde.densities.density import Array, Box, line_points
from controlsde.densities.gaussian import CutGaussians, log_interval, sample_cut_gaussian
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.products import Products


@dataclass(frozen=True)
class TruncatedMixture:
    """`whole`, conditioned on `box` (one (low, high) a dimension), however little mass the box holds."""

    whole: GaussianMixture
    box: Box

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.whole.dimension

    @cached_property
    def products(self) -> Products:
        """The density as a weighted sum of products of cut factors, one an axis."""
        axes = tuple(
            CutGaussians(m, v, low, high)
            for m, v, (low, high) in zip(self.whole.means.T, self.whole.variances.T, self.box, strict=True)
        )
        log_mass = np.sum([axis.log_mass for axis in axes], axis=0)
        share = self.whole.weights * np.exp(log_mass - np.max(log_mass))
        return Products(share / np.sum(share), axes)

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,); 0 outside the box."""
        return self.products.density(x)

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d); 0 outside the box."""
        return self.products.gradient(x)

    def cdf(self, x: Array) -> Array:
        """The mass to the left of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tail(line_points(x, self.dimension), left=True)

    def survival(self, x: Array) -> Array:
        """The mass to the right of points (n, 1), shape (n,). Raises ValueError unless d = 1."""
        return self._tail(line_points(x, self.dimension), left=False)

    def _tail(self, x: Array, left: bool) -> Array:
        # of each component, P(Y between start and stop) / P(Y in the box), in logarithms
        (low, high) = self.box[0]
        inner = np.clip(x, low, high)
        start, stop = (np.full_like(inner, low), inner) if left else (inner, np.full_like(inner, high))
        means, std = self.whole.means, np.sqrt(self.whole.variances)
        part = log_interval((start - means) / std, (stop - means) / std)[0]
        total = log_interval((low - means) / std, (high - means) / std)[0]
        return np.minimum(self.products.weights @ np.exp(part - total), 1.0)

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points by inversion, shape (n, d)."""
        chosen = rng.choice(self.whole.weights.size, size=n, p=self.products.weights)
        std = np.sqrt(self.whole.variances)
        columns = [
            sample_cut_gaussian(self.whole.means[chosen, i], std[chosen, i], low, high, rng)
            for i, (low, high) in enumerate(self.box)
        ]
        return np.stack(columns, axis=1)

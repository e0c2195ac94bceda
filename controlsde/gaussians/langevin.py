"""Stochastic gradient Langevin dynamics for the unknown mean of a Gaussian, by denoising score matching.

Data X₀ ~ N(μ, I), noised as X_t = mX₀ + σZ with m = e^{−t}, σ² = 1 − e^{−2t}, and the score model −(x − mθ). Its
denoising loss with the weight κ(t) = σ² and t uniform on [ε, T], at one draw of (t, X₀, Z):

    κ |−(X_t − mθ) + Z/σ|²,    gradient in θ:  H = 2κm²(θ − X₀ + (m/σ)Z),   for Z/σ − σZ = (m²/σ)Z;

    θ_{n+1} = θ_n − λH + √(2λ/β) ξ.

E|θ_n − μ|² is known exactly, derived here: with u = θ − μ and G = X₀ − μ − (m/σ)Z, which has variance 1 + m²/σ²,

    u_{n+1} = (1 − 2λκm²)u_n + 2λκm²G + √(2λ/β)ξ     ⇒    E|u_n|² = ϱⁿ|u₀|² + c(1 − ϱⁿ)/(1 − ϱ),
    ϱ = E(1 − 2λκm²)²,    c = 4λ²d E[κ²m⁴(1 + m²/σ²)] + 2λd/β.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NODES = 200  # of Gauss and Legendre, for expectations over t


@dataclass(frozen=True)
class MeanChain:
    """step λ, inverse temperature β, the interval [ε, T] of noising times."""

    step: float = 0.1
    inverse_temperature: float = 100.0
    earliest: float = 0.01
    horizon: float = 1.0

    def expectation(self, function: Callable[[Array], Array]) -> float:
        """E function(t), t uniform on [ε, T]."""
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        t = 0.5 * (self.earliest + self.horizon) + 0.5 * (self.horizon - self.earliest) * nodes
        return float(0.5 * weights @ function(t))

    def forgetting(self) -> float:
        """ϱ: what a step leaves of |u|²."""
        return self.expectation(lambda t: (1.0 - 2.0 * self.step * weight(t) * np.exp(-2.0 * t)) ** 2)

    def drift(self) -> float:
        """E(1 − 2λκm²): what a step leaves of E u."""
        return self.expectation(lambda t: 1.0 - 2.0 * self.step * weight(t) * np.exp(-2.0 * t))

    def second_moment(self, start: float, iterations: int, dimension: int) -> float:
        """E|θ_n − μ|² from |θ₀ − μ|² = start."""
        stays, added = self.forgetting(), self._added(dimension)
        if stays == 1.0:
            return start + added * iterations
        left = stays**iterations
        return left * start + added * (1.0 - left) / (1.0 - stays)

    def first_moment(self, start: Array, iterations: int) -> Array:
        """E θ_n − μ from θ₀ − μ = start (d,)."""
        return np.asarray(self.drift() ** iterations * start)

    def run(self, start: Array, mean: Array, iterations: int, rng: np.random.Generator) -> Array:
        """Independent chains from `start` (chains, d) with data of mean μ (d,): θ_n, (chains, d)."""
        theta = np.array(start, dtype=float)
        for _ in range(iterations):
            theta = theta - self.step * self.gradient(theta, mean, rng)
            theta += math.sqrt(2.0 * self.step / self.inverse_temperature) * rng.standard_normal(theta.shape)
        return theta

    def gradient(self, theta: Array, mean: Array, rng: np.random.Generator) -> Array:
        """H at θ (chains, d), one draw of t, X₀ and Z for each chain."""
        t = rng.uniform(self.earliest, self.horizon, (len(theta), 1))
        data = mean + rng.standard_normal(theta.shape)
        noise = rng.standard_normal(theta.shape)
        m, sigma = np.exp(-t), np.sqrt(weight(t))
        return np.asarray(2.0 * weight(t) * m**2 * (theta - data + m / sigma * noise))

    def _added(self, dimension: int) -> float:
        # κ²m⁴(1 + m²/σ²) = σ²m⁴(σ² + m²) = σ²m⁴ for κ = σ²
        spread = self.expectation(lambda t: weight(t) * np.exp(-4.0 * t))
        return 4.0 * self.step**2 * dimension * spread + 2.0 * self.step * dimension / self.inverse_temperature


def weight(t: Array) -> Array:
    """κ = σ² = 1 − e^{−2t}."""
    return np.asarray(-np.expm1(-2.0 * t))

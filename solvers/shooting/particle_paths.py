"""Paths of particles under a network drift, with the exact derivative of what is measured of them at ends of pieces.

    dX = v(X; θ_k) dt + √(2D) dW on piece k, in S equal steps of Heun's method, of the length h of the piece:

    X′ = X + h v(X) + ξ,        X⁺ = X + ½h (v(X) + v(X′)) + ξ,        ξ = √(2∫D dt) z.

v does not depend on t within a piece, so the noise is additive and Heun's method is of order two where there is none.
The derivative is that of these very formulas, backwards (a discrete adjoint): with λ = ∂J/∂X⁺,

    μ′ = ½h λ at X′,    μ = ½h λ + h (λ′ at X′) at X,        λ′ = (∂v/∂x)ᵀ μ′,
    ∂J/∂X = λ + λ′ + (∂v/∂x)ᵀ μ at X,        ∂J/∂θ += μ′·∂v/∂θ at X′ + μ·∂v/∂θ at X,

and by the length of the step, of which ξ is the root where D is steady, so that ∂ξ/∂h = ξ/2h,

    ∂J/∂h = (1/h) Σ [ λ·(X⁺ − X − ½ξ) + λ′·(X′ − X − ½ξ) ].

On the way there only the state at the beginning of every piece is kept; on the way back its steps are taken once more.

Comes in: starts (n, d), normal increments z (K, S, n, d) or how to draw them, weights (K, P). Goes out: the states at
the ends of the pieces, one by one; and ∂J/∂θ and ∂J/∂Δt of the ∂J/∂X there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import Network, activate, activation_slope_given

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ParticlePaths:
    """edges: of the pieces (K+1,). variances: 2∫D dt of a step of each piece (K,). seed: of the increments."""

    network: Network
    edges: Array
    variances: Array
    steps: int
    starts: Array
    seed: tuple[int, ...]

    def increments(self, k: int) -> Array:
        """√(2∫D dt) z of piece k, (S, n, d); the same whenever they are asked for; zeros (S, 1, 1) without noise."""
        shape = (self.steps, *self.starts.shape)
        if not self.variances[k]:
            return np.zeros((self.steps, 1, 1))
        return np.asarray(np.sqrt(self.variances[k]) * np.random.default_rng([*self.seed, k]).standard_normal(shape))

    def states(self, weights: Array) -> Iterator[Array]:
        """X at the ends of the pieces, (n, d) each."""
        x = self.starts
        for k in range(len(weights)):
            *_, (_, x) = self._steps(k, weights[k], x, self.increments(k))
            yield x

    def gradient(self, weights: Array, states: Sequence[Array], slopes: Sequence[Array]) -> tuple[Array, Array]:
        """∂J/∂θ (K, P) and ∂J/∂Δt (K,), for a steady D, where J depends on the states by `slopes`, (n, d) each."""
        gradient, lengths = np.zeros_like(weights), np.zeros(len(weights))
        costate = np.zeros_like(self.starts)
        for k in reversed(range(len(weights))):
            start = states[k - 1] if k else self.starts
            costate, lengths[k] = self._back(k, weights[k], start, costate + slopes[k], gradient[k])
        return gradient, lengths

    def _steps(self, k: int, weights: Array, x: Array, increments: Array) -> Iterator[tuple[Array, Array]]:
        """X′ and X⁺ of every step of a piece."""
        parts, h = self.network.split(weights), self._step(k)
        for noise in increments:
            drift = self.network.drift(x, *parts)
            predicted = x + h * drift + noise
            x = x + 0.5 * h * (drift + self.network.drift(predicted, *parts)) + noise
            yield predicted, x

    def _back(self, k: int, weights: Array, x: Array, costate: Array, gradient: Array) -> tuple[Array, float]:
        """∂J/∂X at the beginning of a piece of that at its end, and ∂J/∂Δt; ∂J/∂θ is added to `gradient`."""
        parts, h = self.network.split(weights), self._step(k)
        increments = self.increments(k)
        path = [(x, x), *self._steps(k, weights, x, increments)]
        by_length = 0.0
        for (_, start), (predicted, end), noise in zip(path[-2::-1], path[:0:-1], increments[::-1], strict=True):
            by_length += float(np.vdot(costate, end - start - 0.5 * noise))
            multiplier = 0.5 * h * costate
            through, by_weights = self._pulled(predicted, parts, multiplier)
            gradient += by_weights
            by_length += float(np.vdot(through, predicted - start - 0.5 * noise))
            multiplier = multiplier + h * through
            again, by_weights = self._pulled(start, parts, multiplier)
            gradient += by_weights
            costate = costate + through + again
        return costate, by_length / (h * self.steps)

    def _pulled(self, points: Array, parts: tuple[Array, Array, Array], multiplier: Array) -> tuple[Array, Array]:
        """(∂v/∂x)ᵀ μ (n, d), and Σ μ·∂v/∂θ (P,)."""
        a, w, b = parts
        z = points @ w.T + b
        value = activate(self.network.activation, z)
        inner = (multiplier @ a) * activation_slope_given(self.network.activation, z, value)
        return inner @ w, self.network.join(multiplier.T @ value, inner.T @ points, inner.sum(axis=0))

    def _step(self, k: int) -> float:
        return float(self.edges[k + 1] - self.edges[k]) / self.steps

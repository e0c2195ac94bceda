"""Paths of particles under a network drift, with the exact derivative of what is measured of them at ends of pieces.

    dX = v(X; θ_k) dt + √(2D) dW on piece k, in S equal steps of Heun's method, of the length h of the piece:

    X′ = X + h v(X) + ξ,        X⁺ = X + ½h (v(X) + v(X′)) + ξ,        ξ = √(2∫D dt) z.

v does not depend on t within a piece, so the noise is additive and Heun's method is of order two where there is none.
The derivative is that of these very formulas, backwards (a discrete adjoint): with λ = ∂J/∂X⁺,

    μ′ = ½h λ at X′,    μ = ½h λ + h (λ′ at X′) at X,        λ′ = (∂v/∂x)ᵀ μ′,
    ∂J/∂X = λ + λ′ + (∂v/∂x)ᵀ μ at X,        ∂J/∂θ += μ′·∂v/∂θ at X′ + μ·∂v/∂θ at X.

On the way there only the state at the beginning of every piece is kept; on the way back its steps are taken once more.

Comes in: starts (n, d), normal increments z (K, S, n, d) or how to draw them, weights (K, P). Goes out: the states at
the ends of the pieces, one by one; and ∂J/∂θ of the ∂J/∂X there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import Network, activate, activation_slope_given

Array = NDArray[np.float64]
Measure = Callable[[Sequence[Array]], Sequence[tuple[float, Array]]]  # states at the ends → parts of J and their ∂/∂X


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
        """√(2∫D dt) z of piece k, (S, n, d); the same whenever they are asked for. None where there is no noise."""
        shape = (self.steps, *self.starts.shape)
        if not self.variances[k]:
            return np.zeros((self.steps, 1, 1))
        return np.asarray(np.sqrt(self.variances[k]) * np.random.default_rng([*self.seed, k]).standard_normal(shape))

    def states(self, weights: Array) -> Iterator[Array]:
        """X at the ends of the pieces, (n, d) each."""
        x = self.starts
        for k in range(len(weights)):
            *_, (_, x) = self._steps(k, weights[k], x)
            yield x

    def value_and_gradient(self, weights: Array, measure: Measure) -> tuple[float, Array]:
        """Σ_k of what is measured at the end of piece k, and its derivative by the weights (K, P)."""
        kept = list(self.states(weights))
        measured = measure(kept)
        gradient = np.zeros_like(weights)
        costate = np.zeros_like(self.starts)
        for k in reversed(range(len(weights))):
            costate = costate + measured[k][1]
            costate = self._back(k, weights[k], kept[k - 1] if k else self.starts, costate, gradient[k])
        return float(sum(value for value, _ in measured)), gradient

    def _steps(self, k: int, weights: Array, x: Array) -> Iterator[tuple[Array, Array]]:
        """X′ and X⁺ of every step of a piece."""
        parts, h = self.network.split(weights), self._step(k)
        for noise in self.increments(k):
            drift = self.network.drift(x, *parts)
            predicted = x + h * drift + noise
            x = x + 0.5 * h * (drift + self.network.drift(predicted, *parts)) + noise
            yield predicted, x

    def _back(self, k: int, weights: Array, x: Array, costate: Array, gradient: Array) -> Array:
        """∂J/∂X at the beginning of a piece of that at its end; ∂J/∂θ of the piece is added to `gradient`."""
        parts, h = self.network.split(weights), self._step(k)
        path = [(x, x), *self._steps(k, weights, x)]
        for (_, start), (predicted, _) in zip(path[-2::-1], path[:0:-1], strict=True):
            multiplier = 0.5 * h * costate
            through, by_weights = self._pulled(predicted, parts, multiplier)
            gradient += by_weights
            multiplier = multiplier + h * through
            again, by_weights = self._pulled(start, parts, multiplier)
            gradient += by_weights
            costate = costate + through + again
        return costate

    def _pulled(self, points: Array, parts: tuple[Array, Array, Array], multiplier: Array) -> tuple[Array, Array]:
        """(∂v/∂x)ᵀ μ (n, d), and Σ μ·∂v/∂θ (P,)."""
        a, w, b = parts
        z = points @ w.T + b
        value = activate(self.network.activation, z)
        inner = (multiplier @ a) * activation_slope_given(self.network.activation, z, value)
        return inner @ w, self.network.join(multiplier.T @ value, inner.T @ points, inner.sum(axis=0))

    def _step(self, k: int) -> float:
        return float(self.edges[k + 1] - self.edges[k]) / self.steps

"""What the weights of a result can change of the density at T, to first order about them: singular values, directions.

    X = M^½ G R^−½,      G = ∂ρ(T)/∂θ,      R the metric of the weights (see `weight_metric`)

Changes δθ that cost δθᵀR δθ ≤ 1 change the density by what X makes of the unit ball: an ellipsoid whose half-axes are
the singular values σ_i, in directions u_i = M^−½(left singular vector) with ∫u_i² dx = 1. X Xᵀ is the Gramian of these
controls. A change δ = Σ c_i u_i needs Σ (c_i/σ_i)² at least.

All of this is the first derivative at these controls. What it does not reach, other controls may, or these with larger
changes.

Comes in: a linearisation and a metric. Goes out: the singular value decomposition, dense up to `MOST_DENSE` weights and
otherwise by randomised subspace iteration with tangent and adjoint sweeps (Halko, Martinsson and Tropp 2011).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import WeightMetric
from controlsde.foundation.surroundings import methods_in_own_arithmetic

Array = NDArray[np.float64]

MOST_DENSE = 2000  # weights of all pieces
RANDOM, MORE, ITERATIONS = 100, 10, 2  # directions that are looked for, some more to find them, iterations
REACHED = 1e-6  # relative to the largest singular value: smaller ones reach nothing


@dataclass(frozen=True, eq=False)
class LeastEnergy:
    """The least that a change of density costs, to first order.

    energy: δθᵀR δθ of the cheapest change of the weights (K, P) that makes the part `reached` (n,) of it. missed: the
    share of its squared L² norm that is no part of that.
    """

    energy: float
    weights: Array
    reached: Array
    missed: float


@methods_in_own_arithmetic
@dataclass(frozen=True, eq=False)
class Gramian:
    """The singular value decomposition of X, σ descending; build it with `of`.

    left: (n, r) in M^½ coordinates. right: (Σ r_k, r) in those of the metric. complete: whether these are all.
    """

    linearisation: Linearisation
    metric: WeightMetric
    singular_values: Array
    left: Array
    right: Array
    complete: bool = True

    @staticmethod
    def of(linearisation: Linearisation, metric: WeightMetric, rng: np.random.Generator | None = None) -> Gramian:
        """rng: of the random probes, for networks with more than `MOST_DENSE` weights."""
        roots = np.sqrt(linearisation.tracking.mesh.mass)
        if linearisation.shape[1] <= MOST_DENSE:
            return _dense(linearisation, metric, roots)
        return randomised(linearisation, metric, RANDOM, rng or np.random.default_rng(0))

    @property
    def directions(self) -> Array:
        """u_i (n, r), the changes of density of norm one, as unknowns of the mesh."""
        return np.asarray(self.left / self._roots[:, None])

    def rank(self, tolerance: float) -> int:
        """How many singular values are larger than so many times the largest."""
        largest = self.singular_values.max(initial=0.0)
        return int(np.sum(self.singular_values > tolerance * largest)) if largest > 0.0 else 0

    def least_energy(self, change: Array, tolerance: float = REACHED) -> LeastEnergy:
        """Of a change of density δ (n,), as far as directions within `tolerance` of the largest reach it."""
        count = self.rank(tolerance)
        wanted = self._roots * np.asarray(change, dtype=float)
        along = self.left[:, :count].T @ wanted
        steps = along / self.singular_values[:count]
        reached = self.left[:, :count] @ along
        size = float(wanted @ wanted)
        missed = float(np.sum((wanted - reached) ** 2)) / size if size > 0.0 else 0.0
        weights = self.metric.spread((self.right[:, :count] @ steps)[:, None])[..., 0]
        return LeastEnergy(float(steps @ steps), weights, reached / self._roots, missed)

    @property
    def _roots(self) -> Array:
        return np.sqrt(self.linearisation.tracking.mesh.mass)


def _dense(linearisation: Linearisation, metric: WeightMetric, roots: Array) -> Gramian:
    pieces, size = linearisation.tracking.weight_shape
    columns = (roots[:, None] * linearisation.matrix).reshape(-1, pieces, size)
    whole = np.concatenate([columns[:, piece] @ one for piece, one in enumerate(metric.whitening)], axis=1)
    left, values, right = np.linalg.svd(whole, full_matrices=False)
    return Gramian(linearisation, metric, values, *_signed(left, right.T))


def randomised(linearisation: Linearisation, metric: WeightMetric, count: int, rng: np.random.Generator) -> Gramian:
    """The `count` largest, by sweeps alone; the largest are exact to many digits, the last ones are lower bounds."""
    roots = np.sqrt(linearisation.tracking.mesh.mass)[:, None]

    def forward(coordinates: Array) -> Array:
        return roots * linearisation.tangent(metric.spread(coordinates))

    def back(values: Array) -> Array:
        return metric.gathered(linearisation.adjoint(roots * values))

    total, size = sum(metric.counts), linearisation.shape[0]
    probes = min(count + MORE, total, size)
    basis, _ = np.linalg.qr(forward(rng.standard_normal((total, probes))))
    for _ in range(ITERATIONS):
        inner, _ = np.linalg.qr(back(basis))
        basis, _ = np.linalg.qr(forward(inner))
    right, values, left = np.linalg.svd(back(basis), full_matrices=False)
    kept = min(count, probes)
    signed = _signed(basis @ left.T[:, :kept], right[:, :kept])
    return Gramian(linearisation, metric, values[:kept], *signed, complete=kept == min(total, size))


def _signed(left: Array, right: Array) -> tuple[Array, Array]:
    """Every pair of vectors with the sign that makes the largest entry of the left one positive."""
    largest = np.take_along_axis(left, np.abs(left).argmax(axis=0)[None], axis=0)[0]
    signs = np.where(largest < 0.0, -1.0, 1.0)
    return left * signs, right * signs

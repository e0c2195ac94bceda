"""Where fits in free space may start: neurons along the independent components of the reference.

Principal axes say how p is spread and nothing of its shape; where spreads are alike, they are any axes. Independent
components are the axes R of whitened coordinates z along which p is least like a Gaussian, the fixed points of

    R ← (RRᵀ)^−½ R,      R_j ← E[z tanh(R_j z)] − E[1 − tanh²(R_j z)] R_j

(FastICA, symmetric: Hyvärinen 1999). Any d axes make the same linear drifts; along these ones bends are of most use,
and of a product the drift is a sum of what single coordinates ask for. So one neuron is nearly straight along each
axis, and each one more bends in the middle of p along one of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.free_mixture import FreeMixture
from controlsde.solvers.drift_fitting.principal_start import JITTER, OFFSET, STEEPNESS, principal_start

Array = NDArray[np.float64]

DRAWS, ROUNDS, STILL = 5000, 100, 1e-4  # of p; rounds, at most; how little the axes may turn when they have settled


def independent_start(mixture: FreeMixture, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """W (m, d) and b (m,): see the head; as `principal_start` where there are fewer neurons than axes."""
    d = mixture.dimension
    if width < d:
        return principal_start(mixture, width, rng)
    axes = independent_axes(mixture, rng)
    steepness = np.exp(0.5 * rng.standard_normal(width))
    offset = np.full(width, 2.0 * OFFSET)
    steepness[:d], offset[:d] = STEEPNESS, OFFSET
    w = steepness[:, None] * axes[np.arange(width) % d]
    w += JITTER * rng.standard_normal(w.shape) / np.sqrt(np.trace(mixture.covariance) / d)
    return w, offset * rng.standard_normal(width) - w @ mixture.mean


def independent_axes(mixture: FreeMixture, rng: np.random.Generator) -> Array:
    """(d, d): rows a_j, such that the coordinates a_j·(x − mean) have variance one and are as independent as can be."""
    variances, axes = np.linalg.eigh(mixture.covariance)
    whitening = (axes / np.sqrt(np.maximum(variances, 1e-12))).T
    z = (mixture.sample(DRAWS, rng) - mixture.mean) @ whitening.T
    turn = np.eye(mixture.dimension)
    for _ in range(ROUNDS):
        bent = np.tanh(z @ turn.T)
        left, _, right = np.linalg.svd(bent.T @ z / DRAWS - np.mean(1.0 - bent**2, axis=0)[:, None] * turn)
        before, turn = turn, left @ right
        if np.abs(np.abs((turn * before).sum(axis=1)) - 1.0).max() < STILL:
            break
    return np.asarray(turn @ whitening)

"""Where fits in free space start: neurons along the principal axes of the reference, or anywhere.

Comes in: p at one time, as a mixture. Goes out: inner weights W (m, d) and b (m,). A neuron that is nearly straight
where p is has next to no bend, and a linear drift is what the score is to first order: with one neuron along each axis
the fit begins near the best linear drift, and is left to find the bends. Neurons beyond the d axes bend anywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.free_mixture import FreeMixture

Array = NDArray[np.float64]

STEEPNESS = 0.25  # of a neuron along an axis, for each standard deviation there
OFFSET = 0.15  # standard deviation of its argument in the middle, so that no two are alike
JITTER = 0.02  # standard deviation of each weight, in mean standard deviations of p


def principal_start(mixture: FreeMixture, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """W_j = .35 u_j/√λ_j for the eigenpairs (λ_j, u_j) of the covariance, largest first; others bend anywhere."""
    d = mixture.dimension
    variances, axes = np.linalg.eigh(mixture.covariance)
    spreads = np.sqrt(np.maximum(variances, 1e-12))[::-1]
    straight = min(width, d)
    w, b = random_start(mixture, width, rng)
    w[:straight] = STEEPNESS * (axes[:, ::-1] / spreads).T[:straight]
    w += JITTER * rng.standard_normal(w.shape) / np.sqrt(np.mean(spreads**2))
    b[:straight] = OFFSET * rng.standard_normal(straight) - w[:straight] @ mixture.mean
    return w, b


def random_start(mixture: FreeMixture, width: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random directions u_j, as steep as p is wide along each, times e^{ξ/2}; each bends at a draw of p."""
    d = mixture.dimension
    direction = rng.standard_normal((width, d))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    along = np.einsum("md,de,me->m", direction, mixture.covariance, direction)
    steepness = np.exp(0.5 * rng.standard_normal(width)) / np.sqrt(np.maximum(along, 1e-12))
    w = steepness[:, None] * direction
    return w, -np.einsum("md,md->m", w, mixture.sample(width, rng))

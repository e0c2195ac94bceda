"""The mass that correlated Gaussians have in a box, by quadrature of a smooth integrand however narrow they are.

With S = LLᵀ, x = m + Ly, the coordinates are taken one after the other, each given those before it:

    P = ∫_{[0,1]^{d−1}} Π_i (e_i − d_i) dw,     d_i, e_i = Φ((a_i − m_i − Σ_{j<i} L_ij y_j)/L_ii), the same with b_i,
    y_i = Φ⁻¹(d_i + w_i (e_i − d_i))

(Genz, Numerical computation of multivariate normal probabilities, J. Comput. Graph. Stat. 1, 1992), by Gauss–Legendre
nodes in w.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.special import ndtr, ndtri

from controlsde.densities.density import Array, Box

NODES = {1: 1, 2: 200, 3: 40}  # in each w, by dimension: 1e-3 at worst, where a corner cuts an all but flat Gaussian
ROUNDING = 1e-13  # of the largest variance, added to all: keeps a covariance positive that rounding made indefinite
CERTAIN = 9.0  # standard deviations from all walls, within which the mass is 1


def masses_in_box(means: Array, covariances: Array, box: Box) -> Array:
    """The mass in a box, one (low, high) a dimension, of N(m, S): means (n, d), covariances (n, d, d) → (n,)."""
    low, high = np.array(box, dtype=float).T
    std = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    inside = np.all((means - low > CERTAIN * std) & (high - means > CERTAIN * std), axis=1)
    outside = np.any((means - high > CERTAIN * std) | (low - means > CERTAIN * std), axis=1)
    masses = np.where(inside, 1.0, 0.0)
    cut = ~inside & ~outside
    if np.any(cut):
        masses[cut] = _by_quadrature(low - means[cut], high - means[cut], _factors(covariances[cut]))
    return masses


def _factors(covariances: Array) -> Array:
    size = np.trace(covariances, axis1=1, axis2=2)[:, None, None]
    return np.asarray(np.linalg.cholesky(covariances + ROUNDING * size * np.eye(covariances.shape[1])))


def _by_quadrature(low: Array, high: Array, factors: Array) -> Array:
    dimension = low.shape[1]
    nodes, weights = np.polynomial.legendre.leggauss(NODES[dimension])
    nodes, weights = 0.5 * (1.0 + nodes), 0.5 * weights
    total = np.zeros(len(low))
    for choice in itertools.product(range(len(nodes)), repeat=dimension - 1):
        mass = np.full(len(low), float(np.prod(weights[list(choice)])))
        drawn: list[Array] = []
        for i in range(dimension):
            shift = sum((factors[:, i, j] * y for j, y in enumerate(drawn)), np.zeros(len(low)))
            lower, upper = (ndtr((wall[:, i] - shift) / factors[:, i, i]) for wall in (low, high))
            mass = mass * (upper - lower)
            if i < dimension - 1:
                share = lower + nodes[choice[i]] * (upper - lower)
                drawn.append(ndtri(np.clip(share, 1e-300, 1.0 - 1e-16)))
        total += mass
    return total

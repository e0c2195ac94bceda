"""K Gaussians with full covariances, fitted to points by expectation and maximisation.

    maximise  F = Σ_n log Σ_k w_k N(x_n; m_k, S_k) − ½ (εN/K) Σ_k tr S_k⁻¹

    r_nk ∝ w_k N(x_n; m_k, S_k),    N_k = Σ_n r_nk,    w_k = N_k/N,    m_k = Σ_n r_nk x_n / N_k,
    S_k = (Σ_n r_nk (x_n − m_k)(x_n − m_k)ᵀ + (εN/K) I) / N_k

The ridge ε is what a component of average size is broadened by, and a smaller one by more: no covariance is singular,
and none shrinks onto a few points. F never decreases, since the second line maximises its bound exactly. Of several
starts, each by seeds that are far from each other (k-means++), the one that is highest after a few rounds is taken to
its maximum.

Comes in: points (N, d), K, ε, a generator. Goes out: a `Fit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from controlsde.densities.density import Array, as_points
from controlsde.densities.free_mixture import ComponentMixture
from controlsde.densities.gaussian import LOG_ROOT_2PI

STARTS = 5
FIRST_ROUNDS = 10  # of every start
ROUNDS = 300
TOLERANCE = 1e-7  # gain of F a point, in nats
SLIGHT, NOTHING = 1e-3, 1e-12  # of the variance within clusters, and of the whole: what a start is broadened by
SINGULAR = 1e-13  # of a variance: what is left of it given the coordinates before it, where that is rounding
LEAST_SHARE = 1e-10  # of the points, of a component: what is less is taken for that


@dataclass(frozen=True, eq=False)
class Fit:
    """A mixture of K Gaussians, and how it was found.

    gains: F, a point, after every round of the start that was kept; it never decreases. converged: whether the last
    gain was below the tolerance. starts: F, a point, of every start after its first rounds.
    """

    mixture: ComponentMixture
    gains: tuple[float, ...]
    converged: bool
    starts: tuple[float, ...]


@dataclass(frozen=True)
class _Components:
    weights: Array  # (K,)
    means: Array  # (K, d)
    covariances: Array  # (K, d, d)


def fit_gaussians(points: Array, count: int, ridge: float, rng: np.random.Generator) -> Fit:
    """`count` Gaussians for points (N, d), with the `ridge` ε ≥ 0 in the units of the points, squared.

    Raises ValueError, with the cure, for fewer points than components, and where a covariance is singular.
    """
    data = as_points(points, np.shape(points)[1])
    if not 1 <= count <= len(data):
        raise ValueError(f"{count} Gaussians need at least as many points (got {len(data)})")
    begun = [
        _rounds(data, _start(data, count, ridge, rng), ridge, FIRST_ROUNDS) for _ in range(STARTS if count > 1 else 1)
    ]
    starts = tuple(gains[-1] for _, gains in begun)
    components, first = begun[int(np.argmax(starts))]
    components, then = _rounds(data, components, ridge, ROUNDS - FIRST_ROUNDS)
    gains = (*first, *then)
    mixture = ComponentMixture.of_covariances(components.weights, components.means, components.covariances)
    return Fit(mixture, gains, gains[-1] - gains[-2] < TOLERANCE, starts)


def _rounds(data: Array, components: _Components, ridge: float, most: int) -> tuple[_Components, tuple[float, ...]]:
    """The components after at most so many rounds, and F a point of those before each round."""
    gains: list[float] = []
    for _ in range(most):
        shares, gain = _expect(data, components, ridge)
        gains.append(gain)
        if len(gains) > 1 and gains[-1] - gains[-2] < TOLERANCE:
            break
        components = _maximise(data, shares, ridge)
    return components, tuple(gains)


def _expect(data: Array, components: _Components, ridge: float) -> tuple[Array, float]:
    """r (N, K), and F a point."""
    count, dimension = data.shape
    logs = np.empty((len(components.weights), count))
    penalty = 0.0
    for k, (weight, mean, covariance) in enumerate(
        zip(components.weights, components.means, components.covariances, strict=True)
    ):
        factor = _factor(covariance, k)
        y = solve_triangular(factor, (data - mean).T, lower=True, check_finite=False)  # S = LLᵀ, y = L⁻¹(x − m)
        inverse = solve_triangular(factor, np.eye(dimension), lower=True, check_finite=False)
        penalty += float(np.sum(inverse**2))  # tr S⁻¹ = ‖L⁻¹‖²
        scale = dimension * LOG_ROOT_2PI + float(np.log(np.diagonal(factor)).sum())
        logs[k] = np.log(weight) - scale - 0.5 * np.einsum("dn,dn->n", y, y)
    top = logs.max(axis=0)
    logs -= top
    np.exp(logs, out=logs)
    total = logs.sum(axis=0)
    likelihood = float(np.mean(top + np.log(total)))
    return np.asarray((logs / total).T), likelihood - 0.5 * ridge / len(components.weights) * penalty


def _maximise(data: Array, shares: Array, ridge: float) -> _Components:
    """Weights, means and covariances of given responsibilities (N, K)."""
    count, dimension = data.shape
    sizes = np.maximum(shares.sum(axis=0), LEAST_SHARE * count)
    means = (shares.T @ data) / sizes[:, None]
    covariances = np.empty((len(sizes), dimension, dimension))
    for k, mean in enumerate(means):
        offset = data - mean
        covariances[k] = (shares[:, k, None] * offset).T @ offset
        covariances[k] += ridge * count / len(sizes) * np.eye(dimension)
        covariances[k] /= sizes[k]
    return _Components(sizes / sizes.sum(), means, covariances)


def _factor(covariance: Array, number: int) -> Array:
    """The Cholesky factor. Raises ValueError, with the cure, where the covariance is singular."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        factor = np.zeros_like(covariance)
    # what is left of a variance given the coordinates before it: at rounding, a column follows from others
    if not np.all(np.diagonal(factor) ** 2 > SINGULAR * np.diagonal(covariance)):
        raise ValueError(
            f"the covariance of component {number + 1} is singular: its points lie in a plane, or are fewer than the "
            "columns; give a ridge such as 0.01, or fewer components"
        )
    return np.asarray(factor)


def _start(data: Array, count: int, ridge: float, rng: np.random.Generator) -> _Components:
    """Components about seeds that are far from each other: each point belongs to the nearest of them (k-means++).

    D. Arthur and S. Vassilvitskii, k-means++: the advantages of careful seeding, 2007: the next seed is a point drawn
    with probability ∝ its squared distance to the nearest seed so far. Three rounds of Lloyd's follow.
    """
    seeds = data[rng.integers(len(data))][None]
    for _ in range(1, count):
        nearest = _squared_distances(data, seeds).min(axis=1)
        total = float(nearest.sum())
        chance = nearest / total if total > 0.0 else np.full(len(data), 1.0 / len(data))
        seeds = np.vstack([seeds, data[rng.choice(len(data), p=chance)]])
    for _ in range(3):
        belongs = np.eye(count)[_squared_distances(data, seeds).argmin(axis=1)]
        sizes = belongs.sum(axis=0)
        seeds = np.where(sizes[:, None] > 0, belongs.T @ data / np.maximum(sizes, 1.0)[:, None], seeds)
    # a few clusters may have fewer points than dimensions: all begin with the covariance within clusters
    offset = data - belongs @ seeds
    within = offset.T @ offset / len(data)
    least = SLIGHT * float(np.trace(within)) / len(within) + NOTHING * float(np.mean(np.var(data, axis=0)))
    within += (ridge + least) * np.eye(len(within))
    weights = np.maximum(sizes, 1.0)
    return _Components(weights / weights.sum(), seeds, np.repeat(within[None], count, axis=0))


def _squared_distances(data: Array, seeds: Array) -> Array:
    """(N, K)."""
    centre = data.mean(axis=0)
    x, y = data - centre, seeds - centre
    distances = np.einsum("nd,nd->n", x, x)[:, None] + np.einsum("kd,kd->k", y, y) - 2.0 * x @ y.T
    return np.asarray(np.maximum(distances, 0.0))

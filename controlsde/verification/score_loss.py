"""How far a drift is from the exact one along the reference, on fresh exact samples, and what that bounds.

    loss = ∫₀ᵀ E_p |v − v*_η|² dt,        KL(p‖ρ_T) ≤ KL(P*‖P^v) = KL(p_0‖ρ_0) + ∫₀ᵀ E_p |v − v*_η|²/(4ηD₀) dt  (η > 0),

P* and P^v being the laws of whole paths of dX = v dt + √(2ηD₀) dW with the exact drift and with this one (Girsanov).

Time is stratified: each piece is cut into equal strata, and each of them has two moments of its own by chance, with
points of p(t) of their own. So the mean of the two is unbiased, and their difference tells the standard error, the
choice of moments included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.foundation.threads import side_by_side
from controlsde.monte_carlo.statistics import Estimate
from controlsde.reference.free_space import FreeReference
from controlsde.verification.likelihood import mean_of

Array = NDArray[np.float64]

STRATA = 16  # of a piece
POINTS = 256  # of p at each moment


@dataclass(frozen=True, eq=False)
class ScoreLoss:
    """total and per_piece of ∫E|v − v*|² dt; exact: ∫E|v*|² dt over the same points."""

    total: Estimate
    per_piece: tuple[Estimate, ...]
    exact: Estimate

    @property
    def relative(self) -> float:
        """√ of the loss as a share of the size of the exact drift: 0 for the exact drift, 1 for none at all."""
        return math.sqrt(max(self.total.value, 0.0) / self.exact.value)


def score_loss(
    reference: FreeReference,
    drift: Drift,
    noise: float,
    rng: np.random.Generator,
    strata: int = STRATA,
    points: int = POINTS,
) -> ScoreLoss:
    """Of a drift at noise level η ≥ 0, with 2·strata·points points a piece."""

    def integrand(piece: int, t: float, x: Array) -> Array:
        exact = reference.exact_drift(t, x, noise)
        gap = drift.values(piece, t, x) - exact
        return np.array([np.sum(gap**2), np.sum(exact**2)]) / len(x)

    values, errors = stratified(reference, drift.edges, integrand, rng, strata, points)
    whole, spread = values.sum(axis=0), np.sqrt((errors**2).sum(axis=0))
    pieces = tuple(Estimate(float(v), float(e)) for v, e in zip(values[:, 0], errors[:, 0], strict=True))
    return ScoreLoss(Estimate(float(whole[0]), float(spread[0])), pieces, Estimate(float(whole[1]), float(spread[1])))


def path_divergence(
    reference: FreeReference,
    drift: Drift,
    noise: float,
    rng: np.random.Generator,
    strata: int = STRATA,
    points: int = POINTS,
) -> Estimate:
    """KL(P*‖P^v), which KL(p‖ρ_T) cannot exceed, at noise level η > 0; infinite where D₀ vanishes and drifts differ."""

    def integrand(piece: int, t: float, x: Array) -> Array:
        gap = drift.values(piece, t, x) - reference.exact_drift(t, x, noise)
        diffusivity = noise * reference.diffusivity.at(t)
        square = float(np.sum(gap**2)) / len(x)
        return np.array([square / (4.0 * diffusivity) if diffusivity else math.inf * bool(square)])

    values, errors = stratified(reference, drift.edges, integrand, rng, strata, points)
    start = start_divergence(reference, rng, 2 * strata * points)
    error = math.hypot(start.standard_error, float(np.sqrt((errors**2).sum())))
    return Estimate(start.value + float(values.sum()), error)


def start_divergence(reference: FreeReference, rng: np.random.Generator, points: int) -> Estimate:
    """KL(p_0‖ρ_0): nothing where the process starts from p_0."""
    if reference.start is None:
        return Estimate(0.0, 0.0)
    exact = reference.mixture(0.0)
    x = exact.sample(points, rng)
    return mean_of(exact.log_density(x) - reference.start.log_density(x))


def stratified(
    reference: FreeReference,
    edges: Array,
    integrand: Callable[[int, float, Array], Array],
    rng: np.random.Generator,
    strata: int,
    points: int,
) -> tuple[Array, Array]:
    """∫ of means over p(t) in each piece and their standard errors, (K, q) each, of q integrands (piece, t, x) → (q,).

    Of two independent values a, b of a stratum of length Δ the integral is Δ(a + b)/2, of variance Δ²(a − b)²/4.
    """
    seeds = rng.integers(2**63, size=len(edges) - 1).tolist()

    def of_piece(piece: int) -> tuple[Array, Array]:
        own = np.random.default_rng(seeds[piece])
        length = float(edges[piece + 1] - edges[piece]) / strata
        pairs = []
        for stratum in range(strata):
            times = float(edges[piece]) + length * (stratum + own.uniform(size=2))
            pairs.append([integrand(piece, t, reference.sample(t, points, own)) for t in times.tolist()])
        found = np.array(pairs)  # (strata, 2, q)
        with np.errstate(invalid="ignore"):  # the difference of two infinite ones
            error = 0.5 * length * np.sqrt((np.diff(found, axis=1)[:, 0] ** 2).sum(axis=0))
        return 0.5 * length * found.sum(axis=(0, 1)), error

    values, errors = zip(*side_by_side(of_piece, range(len(edges) - 1)), strict=True)
    return np.array(values), np.array(errors)

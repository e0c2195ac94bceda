"""The one Gaussian with the mean and covariance of the data: what any answer must beat.

Its divergence from p is known in two ways that share nothing but p: by likelihoods, and by scores along the forward
process, under which p and the Gaussian G approach each other,

    KL(p‖G) = E_p[log p − log G] = KL(p(0)‖G(0)) + ∫₀ᵀ D₀(t) E_{p(t)} |∇log p(t) − ∇log G(t)|² dt,

G(t) being noised as p(t) is, so that it has the moments of p(t) at every time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.free_mixture import gaussian_with_moments_of
from controlsde.monte_carlo.statistics import Estimate
from controlsde.reference.free_space import FreeReference
from controlsde.verification.likelihood import divergence_from, mean_of
from controlsde.verification.score_loss import POINTS, STRATA, stratified

Array = NDArray[np.float64]


def gaussian_likelihood(reference: FreeReference, points: Array) -> Estimate:
    """The mean log-density of points (n, d), such as those held out, under the Gaussian; in nats."""
    return mean_of(gaussian_with_moments_of(reference.data).log_density(points))


def gaussian_divergence(reference: FreeReference, rng: np.random.Generator, points: int = 20_000) -> Estimate:
    """KL(p‖G) in nats, by the likelihoods of draws of p."""
    return _divergence_at(reference, reference.horizon, rng, points)


def gaussian_divergence_by_scores(
    reference: FreeReference, rng: np.random.Generator, edges: Array, strata: int = STRATA, points: int = POINTS
) -> Estimate:
    """KL(p‖G) in nats, by the scores along the forward process; edges (K+1,) from 0 to T, between them strata of time.

    The scores differ most next to the data, where edges should be close.
    """

    def integrand(piece: int, t: float, x: Array) -> Array:  # noqa: ARG001
        mixture = reference.mixture(t)
        gap = mixture.log_density_and_score(x)[1] - gaussian_with_moments_of(mixture).log_density_and_score(x)[1]
        return np.array([reference.diffusivity.at(t) * np.sum(gap**2) / len(x)])

    values, errors = stratified(reference, edges, integrand, rng, strata, points)
    start = _divergence_at(reference, 0.0, rng, 2 * strata * points)
    error = math.hypot(start.standard_error, float(np.sqrt((errors**2).sum())))
    return Estimate(start.value + float(values.sum()), error)


def _divergence_at(reference: FreeReference, t: float, rng: np.random.Generator, points: int) -> Estimate:
    mixture = reference.mixture(t)
    x = mixture.sample(points, rng)
    return divergence_from(mixture, x, gaussian_with_moments_of(mixture).log_density(x))

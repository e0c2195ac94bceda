"""What an answer makes of data: their log-likelihood, exact without noise and a bound with it, and KL(p‖ρ).

Comes in: a problem with its reference, a drift. Goes out: `LogLikelihood`, and the values of the checks about it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.densities.free_mixture import gaussian_with_moments_of
from controlsde.monte_carlo.statistics import Estimate
from controlsde.tracking.free_posed import FreePosed
from controlsde.verification.evidence_bound import evidence_bound
from controlsde.verification.free_evidence import LogLikelihood
from controlsde.verification.likelihood import bits_per_dimension, divergence_from, flow_likelihood, mean_of
from controlsde.verification.score_loss import path_divergence

Array = NDArray[np.float64]

DRAWS = 800  # of p, where nothing is held out, and for KL(p‖ρ)
STEPS = 128  # of paths back from the data, on all pieces together, and
STEPS_A_PIECE = 8  # the fewest on one
FEWEST = 2  # rows that are held out, of which a mean has an error


def likelihood_of(
    posed: FreePosed, drift: Drift, rng: np.random.Generator
) -> tuple[LogLikelihood, float | None, float | None]:
    """The likelihood; by how much a dimension it moves with the steps (η = 0); how two bounds agree (η > 0).

    Of rows that had no part in p, where there are any, else of draws from p; KL(p‖ρ) always at draws from p.
    """
    mixture, held_out = posed.data.mixture, posed.data.held_out
    given = held_out is not None and len(held_out) >= FEWEST
    draws = mixture.sample(DRAWS, rng)
    points = held_out if held_out is not None and given else draws
    steps = max(STEPS_A_PIECE, 2 * math.ceil(STEPS / (2 * (len(drift.edges) - 1))))
    if posed.problem.noise == 0.0:
        found = flow_likelihood(drift, posed.reference.initial, points, steps)
        at_draws = found.values if not given else flow_likelihood(drift, posed.reference.initial, draws, steps).values
        divergence = divergence_from(mixture, draws, at_draws)
        told = _told(posed, points, found.values, divergence, "exact", given=given)
        return told, abs(found.refinement) / posed.data.dimension, None
    noise = posed.problem.noise
    bound = evidence_bound(posed.reference, drift, noise, points, rng, steps)
    gap = bound.gap if not given else evidence_bound(posed.reference, drift, noise, draws, rng, steps).gap
    paths = path_divergence(posed.reference, drift, noise, rng)
    told = _told(posed, points, bound.values, gap, "bound", given=given, paths=paths)
    return told, None, _deviations(gap, paths)


def _told(
    posed: FreePosed,
    points: Array,
    values: Array,
    divergence: Estimate,
    kind: str,
    *,
    given: bool,
    paths: Estimate | None = None,
) -> LogLikelihood:
    data = posed.data
    mean = mean_of(values)
    reference = mean_of(data.mixture.log_density(points))
    gaussian = mean_of(gaussian_with_moments_of(data.mixture).log_density(points))
    own, of_p, of_gaussian = (
        bits_per_dimension(one, data.dimension, data.log_scale).value for one in (mean, reference, gaussian)
    )
    return LogLikelihood(
        value=mean.value,
        se=mean.standard_error,
        kind="exact" if kind == "exact" else "bound",
        points=len(points),
        held_out=given,
        reference=reference.value,
        gaussian=gaussian.value,
        bits=own,
        bits_reference=of_p,
        bits_gaussian=of_gaussian,
        kl=divergence.value,
        kl_se=divergence.standard_error,
        path_kl=None if paths is None else paths.value,
        path_kl_se=None if paths is None else paths.standard_error,
    )


def _deviations(first: Estimate, second: Estimate) -> float:
    """The difference of two estimates of one number, in its standard errors; 0 where both are the same, or infinite."""
    if first.value == second.value:
        return 0.0
    error = math.hypot(first.standard_error, second.standard_error)
    return abs(first.value - second.value) / error if error > 0.0 else math.inf

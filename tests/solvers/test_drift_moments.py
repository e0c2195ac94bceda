"""Mass, mean and spread of the exact drift: what they say of ∫∫ |v − v*|² p, and where there is nothing to say."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.solvers.drift_fitting.drift_moments import DriftMoments
from controlsde.solvers.starts import random_starts


def loss(tracking, weights):
    """∫∫ |v − v*|² p dx dt on every piece (K,), straight from its definition."""
    mesh, grid = tracking.mesh, tracking.grid
    density = mesh.to_grid(tracking.targets.reshape(grid.quadrature.size, -1)).reshape(*grid.quadrature.shape, -1)
    total = np.zeros(grid.pieces)
    for k, s, i in np.ndindex(grid.quadrature.shape):
        drift = tracking.network.drift(mesh.points, *tracking.network.split(weights[k]))
        error = drift - tracking.exact_drift(float(grid.stage_times[k, s, i]), mesh.points)
        total[k] += grid.quadrature[k, s, i] * float(mesh.weights @ (density[k, s, i] * (error**2).sum(axis=1)))
    return total


@pytest.mark.parametrize("name", ["two-bumps", "circle", "tilted-bumps"])
def test_the_loss_is_a_regression_on_the_mean_drift_plus_its_spread(name, small_tracking):
    size = {"mesh.elements": [3, 3], "mesh.degree": 5} if name == "tilted-bumps" else {}
    tracking = small_tracking(name, **{"controls.pieces": 3, "noise": 0.5, **size})
    (weights,) = random_starts(tracking, 1, seed=0)
    moments = DriftMoments.of(tracking)
    drift = tracking.network.drift(moments.points, *tracking.network.split(weights))
    misfit = np.einsum("kn,knd->k", moments.mass, (drift - moments.mean) ** 2)
    np.testing.assert_allclose(misfit + moments.spread, loss(tracking, weights), rtol=1e-10)
    assert moments.square == pytest.approx(loss(tracking, 0 * weights).sum(), rel=1e-10)


def test_merged_pieces_have_the_moments_of_one_longer_piece(small_tracking):
    fine = DriftMoments.of(small_tracking(**{"controls.pieces": 4, "mesh.steps_per_piece": 2})).merged(2)
    long = DriftMoments.of(small_tracking(**{"controls.pieces": 2, "mesh.steps_per_piece": 4}))
    for name in ("mass", "mean", "spread", "durations"):
        np.testing.assert_allclose(getattr(fine, name), getattr(long, name), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("nonsense", [np.nan, np.inf])
def test_where_the_drift_is_undefined_or_the_density_zero_nothing_is_asked(nonsense, small_tracking):
    tracking = small_tracking(**{"controls.pieces": 2})
    empty = tracking.mesh.points[:, 0] > 1.0
    exact = tracking.exact_drift
    targets = np.where(tracking.mesh.restrict(empty.astype(float)) > 0, 0.0, tracking.targets)
    everywhere = replace(tracking, targets=targets, exact_drift=exact)
    partly = replace(everywhere, exact_drift=lambda t, x: np.where(empty[:, None], nonsense, exact(t, x)))
    undefined = replace(tracking, exact_drift=partly.exact_drift)
    wanted = DriftMoments.of(everywhere)
    for other in (DriftMoments.of(partly), DriftMoments.of(undefined)):
        np.testing.assert_array_equal(other.mass, wanted.mass)
        np.testing.assert_array_equal(other.mean, wanted.mean)
        np.testing.assert_array_equal(other.spread, wanted.spread)


def test_a_tracking_problem_of_another_process_has_no_exact_drift(small_tracking):
    tracking = small_tracking()
    with pytest.raises(ValueError, match="does not know its exact drift"):
        DriftMoments.of(replace(tracking, exact_drift=None))

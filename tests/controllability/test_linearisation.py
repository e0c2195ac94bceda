"""The tangent and the adjoint: mass, differences, transposes, and closed forms of their singular values."""

import numpy as np
import pytest

from controlsde.controllability.gramian import Gramian
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import WeightMetric
from controlsde.tracking.objective import Objective

from .cases import gaussian, linear_drift, uniform

VARYING = {"reference.forward": {"kind": "vp", "schedule": "0.2 + s"}, "mesh.steps_per_piece": 3}
CLOSED = {
    "noisy": {},
    "noise-free": {"noise": 0.0},
    "noise-free and tangential": {"noise": 0.0, "network.tangential": True},
    "varying diffusivity": VARYING,
    "periodic": {"domain.walls": "periodic", "reference.forward": "heat"},
    "two stages, wide": {"mesh.stages": 2, "network": {"width": 3, "activation": "softplus"}},
}
OPEN = {
    "absorbing": {"domain.walls": "absorbing", "network.activation": "sigmoid"},
    "outflow": {"domain.walls": "absorbing", "noise": 0.0},
}
PLANE = {"controls.pieces": 3, "mesh.elements": [2, 2], "mesh.degree": 5}


def about_random(tracking, seed=1):
    """At random weights, half as large as those of a random start.

    Of this seed the drift at the walls is never nearly zero, where at D = 0 there is no derivative.
    """
    weights = 0.5 * tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(seed))
    return Linearisation.about(tracking, weights)


def built(case, small_tracking):
    if case == "plane":
        return small_tracking("iris-plane", **PLANE)
    return small_tracking(**{**CLOSED, **OPEN}[case])


@pytest.mark.parametrize("case", [*CLOSED, "plane"])
def test_every_column_has_the_mass_zero_to_1e_14(case, small_tracking):
    tracking = built(case, small_tracking)
    found = about_random(tracking).matrix
    sizes = tracking.mesh.mass @ np.abs(found)
    assert sizes.max() > 1e-4
    assert np.abs(tracking.mesh.mass @ found).max() < 1e-14 * max(sizes.max(), 1.0)


@pytest.mark.parametrize("case", [*CLOSED, *OPEN, "plane"])
def test_every_column_is_the_central_difference_to_1e_8(case, small_tracking):
    tracking = built(case, small_tracking)
    linearisation = about_random(tracking)
    objective, weights = Objective(tracking), linearisation.weights
    step = 5e-4

    def final(change):
        return objective.stages(weights + change)[-1, -1, -1]

    for number in range(0, weights.size, 1 if case != "plane" else 4):
        change = np.zeros(weights.size)
        change[number] = step
        change = change.reshape(weights.shape)
        near, far = final(change) - final(-change), final(2 * change) - final(-2 * change)
        assert np.abs((8 * near - far) / (12 * step) - linearisation.matrix[:, number]).max() < 1e-8


@pytest.mark.parametrize("case", [*CLOSED, *OPEN, "plane"])
def test_the_sweeps_back_are_the_transposes_of_those_forward(case, small_tracking):
    tracking = built(case, small_tracking)
    linearisation, rng = about_random(tracking), np.random.default_rng(1)
    changes, multipliers = (
        rng.normal(size=(*linearisation.weights.shape, 3)),
        rng.normal(size=(linearisation.shape[0], 3)),
    )
    moved = linearisation.tangent(changes)
    flat = changes.reshape(-1, 3)
    np.testing.assert_allclose(moved, linearisation.matrix @ flat, atol=1e-13 * np.abs(moved).max())
    pulled = linearisation.adjoint(multipliers).reshape(-1, 3)
    np.testing.assert_allclose(pulled, linearisation.matrix.T @ multipliers, atol=1e-12 * np.abs(pulled).max())
    drifts = rng.normal(size=(*linearisation.passes.shape, 2))
    forward = multipliers[:, :2].T @ linearisation.of_drift(drifts)
    back = np.einsum("kvc,kvd->cd", linearisation.drift_adjoint(multipliers[:, :2]), drifts)
    np.testing.assert_allclose(back, forward, atol=1e-11 * np.abs(forward).max())
    starts = rng.normal(size=multipliers.shape)
    forward = multipliers.T @ linearisation.of_start(starts)
    back = linearisation.start_adjoint(multipliers).T @ starts
    np.testing.assert_allclose(back, forward, atol=1e-11 * np.abs(forward).max())


@pytest.mark.parametrize("case", [*CLOSED, *OPEN])
def test_the_gradient_of_the_objective_goes_through_it(case, small_tracking):
    tracking = built(case, small_tracking)
    linearisation = about_random(tracking)
    _, expected = Objective(tracking).value_and_gradient(linearisation.weights)
    found = np.einsum("kvp,kv->kp", linearisation.slopes, linearisation.objective_gradient())
    found += tracking.regularisation_matrix @ linearisation.weights
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_faces_of_walls_at_which_nothing_flows_out_feel_no_change(small_tracking):
    linearisation = about_random(small_tracking(noise=0.0))
    outward = linearisation.tracking.operator.outward.ravel() != 0
    assert set(np.unique(linearisation.passes[:, outward])) == {0.0, 1.0}
    assert np.all(linearisation.passes[:, ~outward] == 1.0)


def test_a_gain_of_amplitude_on_a_uniform_density_is_the_closed_form():
    """σ = nπ√½ {Σ_k [e^{−λ(T−t_{k+1})}(1 − e^{−λh})/λ]²/h}^½ for v = A sin(nπx) about A = 0, λ = Dn²π²."""
    for n, known in ((1, 0.90292355), (2, None)):
        tracking = uniform()
        pieces, horizon, noise = tracking.grid.pieces, 0.2, 0.1
        weights = np.tile([0.0, n * np.pi, 0.0], (pieces, 1))
        linearisation = Linearisation.about(tracking, weights)
        h, rate = horizon / pieces, noise * (n * np.pi) ** 2
        ends = h * np.arange(1, pieces + 1)
        answers = np.exp(-rate * (horizon - ends)) * (1 - np.exp(-rate * h)) / rate
        expected = n * np.pi * np.sqrt(0.5 * np.sum(answers**2) / h)
        assert known is None or expected == pytest.approx(known, abs=5e-9)
        found = Gramian.of(linearisation, WeightMetric.of(linearisation, "effort"))
        assert found.singular_values[0] == pytest.approx(expected, rel=1e-8)
        assert found.rank(1e-10) == 1
        cosine = np.sqrt(2) * np.cos(n * np.pi * tracking.mesh.points[:, 0])
        assert np.abs(np.abs(found.directions[:, 0]) - np.abs(cosine)).max() < 1e-7
        # in the energy of the change of the drift, ∫sin² = ½
        found = Gramian.of(linearisation, WeightMetric.of(linearisation, "energy"))
        assert found.singular_values[0] == pytest.approx(np.sqrt(2) * expected, rel=1e-8)


def moments(tracking, slopes, offsets, mean, variance, diffusivity):
    """Mean and variance at T under v = slope x + offset, in closed form piece by piece."""
    for slope, offset, h in zip(slopes, offsets, tracking.grid.durations, strict=True):
        growth = np.exp(slope * h)
        mean = growth * mean + offset * (growth - 1) / slope
        variance = growth**2 * variance + diffusivity * (growth**2 - 1) / slope
    return mean, variance


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_of_a_gaussian_under_neurons_that_are_all_active_only_mean_and_variance_change(noise):
    """Rank 2, and columns −∂ₓρ δm + ½∂ₓₓρ δS."""
    tracking = gaussian(pieces=4, noise=noise, mean=0.4, deviation=0.9, half=7.0, elements=14)
    slopes, offsets = np.array([-0.8, -1.2, -0.5, -1.1]), np.array([0.3, -0.2, 0.1, 0.4])
    linearisation = Linearisation.about(tracking, linear_drift(tracking, slopes, offsets))
    for metric in ("energy", "effort"):
        gramian = Gramian.of(linearisation, WeightMetric.of(linearisation, metric))
        assert [gramian.rank(tolerance) for tolerance in (1e-2, 1e-3, 1e-6)] == [2, 2, 2]
    x = tracking.mesh.points[:, 0]
    decay = np.exp(-0.5)
    start = 0.4 * decay, (0.81 - 1) * decay**2 + 1
    mean, variance = moments(tracking, slopes, offsets, *start, noise)
    density = np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    assert np.abs(linearisation.final - density).max() < 1e-6
    of_mean = (x - mean) / variance * density  # −∂ₓρ
    of_variance = 0.5 * (((x - mean) / variance) ** 2 - 1 / variance) * density
    for piece in range(4):
        for number, kind in enumerate(("slope", "offset")):
            step = 1e-20j * (np.arange(4) == piece)
            changed = (slopes + step, offsets + 0j) if kind == "slope" else (slopes + 0j, offsets + step)
            d_mean, d_variance = (each.imag / 1e-20 for each in moments(tracking, *changed, *start, noise))
            # A of the first neuron is slope and 20·offset, A of the second 20·offset alone
            columns = linearisation.matrix.reshape(-1, 4, tracking.network.weights_per_piece)[:, piece, :2]
            found = columns[:, 0] - columns[:, 1] if number == 0 else columns[:, 1] / 20.0
            expected = d_mean * of_mean + d_variance * of_variance
            np.testing.assert_allclose(found, expected, atol=1e-6)

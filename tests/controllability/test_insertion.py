"""The insertion map: what a neuron that is put in does to J, and that no neuron does more than any drift."""

import numpy as np
import pytest

from controlsde.controllability.any_drift import AnyDrift
from controlsde.controllability.insertion import insertion_map
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import WeightMetric
from controlsde.tracking.objective import Objective

from .test_linearisation import PLANE, about_random

CASES = {
    "line": ("two-bumps", {"objective.effort": 0.0}),
    "line, without noise": ("two-bumps", {"objective.effort": 0.0, "noise": 0.0, "network.tangential": True}),
    "line, priced energy": ("two-bumps", {"objective.effort": 0.0, "objective.energy": 0.2}),
    "line, softplus": ("two-bumps", {"objective.effort": 0.0, "network.activation": "softplus"}),
    "plane": ("iris-plane", {"objective.effort": 0.0, **PLANE}),
}


def mapped(linearisation, seed=0):
    return insertion_map(linearisation, AnyDrift.about(linearisation), np.random.default_rng(seed))


@pytest.mark.parametrize("case", CASES)
def test_a_neuron_that_is_put_in_lowers_j_as_fast_as_the_map_says(case, small_tracking):
    name, changes = CASES[case]
    tracking = small_tracking(name, **changes)
    linearisation = about_random(tracking)
    found = mapped(linearisation)
    width = tracking.network.width
    wider = small_tracking(name, **{**changes, "network.width": width + 1})
    objective, dimension = Objective(wider), tracking.mesh.dimension
    a, w, b = tracking.network.split(linearisation.weights)
    piece = found.best[0]
    for candidate in (found.best[1], int(found.speeds[piece].argsort()[len(found.b) // 2])):
        neuron_w = np.broadcast_to(found.W[candidate], (*w.shape[:1], 1, dimension))
        joined = (
            np.concatenate([a, np.zeros((*a.shape[:2], 1))], axis=2),
            np.concatenate([w, neuron_w], axis=1),
            np.concatenate([b, np.full((len(b), 1), found.b[candidate])], axis=1),
        )
        weights = wider.network.join(*joined)
        _, gradient = objective.value_and_gradient(weights)
        slope = wider.network.split(gradient)[0][piece, :, -1]
        rows = [component * (width + 1) + width for component in range(dimension)]
        energy = np.diagonal(WeightMetric.of(Linearisation.about(wider, weights)).matrices[piece])[rows]
        assert found.speeds[piece, candidate] == pytest.approx(np.sqrt(np.sum(slope**2 / energy)), rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_no_neuron_lowers_j_faster_than_the_best_drift(case, small_tracking):
    name, changes = CASES[case]
    found = mapped(about_random(small_tracking(name, **changes)))
    assert np.all(found.speeds <= found.any_drift[:, None] * (1 + 1e-12))
    assert np.all(found.best_of_pieces > 0.05 * found.any_drift)
    assert found.map_of(0).shape == (len(found.steepnesses), len(found.centres))
    assert found.map_of(found.best[0]).max() == found.speeds.max()


def test_the_fastest_drift_lowers_j_at_its_speed(small_tracking):
    """δv = −Q⁻¹v̄ in one piece, of the energy s_any², by differences of J."""
    tracking = small_tracking(**{"objective.effort": 0.0})
    linearisation = about_random(tracking)
    drifts = AnyDrift.about(linearisation)
    gradient = linearisation.objective_gradient()
    direction = drifts.controls_of(gradient[..., None])[..., 0] * drifts.inverse_roots
    piece, step = 3, 1e-4
    change = np.zeros_like(direction)
    change[piece] = direction[piece]
    sweeps = linearisation.sweeps
    values = tracking.drift_values(linearisation.weights)

    def objective(size):
        drift = sweeps.tensor(values + size * change.reshape(values.shape))
        stages = sweeps.forward(drift, sweeps.tensor(tracking.initial)).stages.numpy()
        return tracking.objective(stages, linearisation.weights)

    found = mapped(linearisation).any_drift[piece]
    assert (objective(step) - objective(-step)) / (2 * step) / found == pytest.approx(found, rel=1e-5)


def test_in_one_dimension_candidates_bend_at_their_centres(small_tracking):
    for activation in ("tanh", "relu"):
        found = mapped(about_random(small_tracking(**{"network.activation": activation})))
        signs = 1 if activation == "tanh" else 2
        assert len(found.b) == signs * len(found.steepnesses) * len(found.centres)
        bends = (-found.b / found.W[:, 0]).reshape(signs, len(found.steepnesses), -1)
        np.testing.assert_allclose(bends, np.broadcast_to(found.centres, bends.shape), atol=1e-12)
        assert set(np.sign(found.W[:, 0])) == ({1.0} if signs == 1 else {-1.0, 1.0})


def test_what_the_bounds_of_the_weights_forbid_is_left_out(small_tracking):
    found = mapped(about_random(small_tracking(**{"controls.bounds": 1.5})))
    beyond = (np.abs(found.W[:, 0]) > 1.5) | (np.abs(found.b) > 1.5)
    assert 0 < beyond.sum() < len(beyond)
    assert np.all(found.speeds[:, beyond] == 0.0)
    assert np.all(found.speeds[:, ~beyond] > 0.0)

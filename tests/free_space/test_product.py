"""Independent coordinates: what particles say of eight of them is eight times what a mesh says of one."""

import numpy as np
import pytest

import controlsde as cs
from controlsde.control.drift import network_drift
from controlsde.tracking.free_posed import FreePosed
from controlsde.verification.likelihood import divergence_from, flow_log_density
from controlsde.verification.score_loss import score_loss

PIECES, COPIES = 4, 8


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["flow", "noisy"])
def noise(request):
    return request.param


@pytest.fixture(scope="module")
def line(noise):
    """One coordinate on a mesh, under controls that tell left from right a little."""
    weights = np.linspace(0.5, 1.5, PIECES)
    controls = cs.Controls(
        weights[:, None, None], weights[:, None, None], 0.1 * weights[:, None], np.linspace(0, 1.5, 5)
    )
    few = {"controls.pieces": PIECES, "noise": noise, "monte_carlo.particles": 500}
    return cs.evaluate(cs.load_problem("two-bumps", set=few), controls)


@pytest.fixture(scope="module")
def space(line, noise):
    """Eight of them in free space, each with a neuron of its own."""
    posed = FreePosed.of(cs.load_problem("product-bumps", set={"controls.pieces": PIECES, "noise": noise}))
    one, eye = line.controls, np.eye(COPIES)
    controls = cs.Controls(one.A * eye, one.W * eye, np.repeat(one.b, COPIES, axis=1), one.times)
    return posed, network_drift(posed.network, controls, posed.reference.horizon)


def test_the_loss_is_eight_times_that_of_a_line(line, space, noise):
    posed, drift = space
    found = score_loss(posed.reference, drift, noise, np.random.default_rng(0)).total
    assert found.value == pytest.approx(COPIES * line.promises.loss, abs=4.0 * found.standard_error)
    assert found.standard_error < 0.05 * found.value


def test_the_divergence_is_eight_times_that_of_a_line(line, space, noise):
    if noise > 0.0:
        pytest.skip("with noise the density of particles has no closed form")
    posed, drift = space
    density, target = np.maximum(line.fields.final.values, 1e-300), np.maximum(line.fields.target.values, 1e-300)
    on_mesh = float(line.fields.mesh.weights @ (target * np.log(target / density)))
    points = posed.data.mixture.sample(4000, np.random.default_rng(1))
    found = divergence_from(posed.data.mixture, points, flow_log_density(drift, posed.reference.initial, points, 8))
    assert found.value == pytest.approx(COPIES * on_mesh, abs=4.0 * found.standard_error + 0.02 * found.value)
    assert found.standard_error < 0.05 * found.value

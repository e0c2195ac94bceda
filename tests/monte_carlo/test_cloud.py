"""Particles in free space: laws, orders, and that they do not depend on how many move together."""

import math

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.cloud import BATCH, FreeExperiment
from controlsde.monte_carlo.philox import Stream

D, M, PIECES = 5, 4, 3


def drift(scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    a, w, b = (scale * rng.standard_normal(shape) for shape in ((PIECES, D, M), (PIECES, M, D), (PIECES, M)))
    return NetworkDrift(Network(D, M, "tanh", False, ()), Controls(a, w, b, np.linspace(0.0, 0.6, PIECES + 1)))


def start(n, rng):
    return rng.standard_normal((n, D))


def experiment(noise, steps=8, scheme="heun", **keys):
    return FreeExperiment(
        keys.get("drift", drift()), Steady(noise), D, start, steps, scheme, Stream.of(0, "cloud", noise)
    )


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_particles_depend_on_their_number_alone(noise):
    few, many = experiment(noise).run(50, 50), experiment(noise).run(BATCH + 100, 50)
    np.testing.assert_array_equal(few.final, many.final[:50])
    np.testing.assert_array_equal(few.positions, many.positions[:, :50])


def test_without_a_drift_the_variance_grows_as_it_must():
    still = drift(scale=0.0)
    cloud = experiment(0.5, drift=still).run(20_000, 100)
    expected = 1.0 + 2.0 * 0.5 * 0.6
    error = expected * math.sqrt(2.0 / len(cloud.final))
    np.testing.assert_allclose(cloud.final.var(axis=0), expected, atol=4.0 * error)


def test_what_is_kept_ends_where_the_particles_do():
    cloud = experiment(0.3).run(200, 40)
    assert cloud.positions.shape == (PIECES + 1, 40, D)
    np.testing.assert_array_equal(cloud.positions[-1], cloud.final[:40])


def test_half_steps_follow_the_same_path_and_the_flow_is_of_fourth_order():
    errors = []
    exact = experiment(0.0, steps=256).run(64, 0).final
    for steps in (8, 16, 32):
        errors.append(np.abs(experiment(0.0, steps=steps).run(64, 0).final - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(orders > 3.5)
    coarse, fine = experiment(0.3).run(64, 0, along=1).final, experiment(0.3).run(64, 0, halvings=1).final
    independent = experiment(0.3).run(64, 0).final
    assert np.abs(coarse - fine).max() < 0.2 * np.abs(coarse - independent).max()


def test_the_energy_of_a_steady_flow_is_that_of_its_velocity():
    constant = Controls(
        np.full((PIECES, D, 1), 2.0),
        np.zeros((PIECES, 1, D)),
        np.full((PIECES, 1), 20.0),
        np.linspace(0.0, 0.6, PIECES + 1),
    )
    steady = NetworkDrift(Network(D, 1, "tanh", False, ()), constant)
    energy = experiment(0.4, drift=steady).energy(100)
    assert energy.value == pytest.approx(D * 4.0 * 0.6, rel=1e-6)

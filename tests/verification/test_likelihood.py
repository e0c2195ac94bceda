"""Likelihoods of flows against closed forms, autograd and the mass that a density must have."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.linalg import expm

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.free_exact import FreeExactDrift
from controlsde.control.network import ACTIVATIONS, Network
from controlsde.densities.free_mixture import ComponentMixture
from controlsde.monte_carlo.statistics import Estimate
from controlsde.verification.likelihood import (
    bits_per_dimension,
    divergence_from,
    flow_likelihood,
    flow_log_density,
)
from tests.distances.free_mixtures import KINDS, components, standard_normal
from tests.verification.free_references import LinearDrift, agree, ornstein_uhlenbeck


def fitted_order(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_the_log_density_of_a_linear_flow_in_64_dimensions_is_reached_with_order_four():
    """dx/dt = Mx from N(0, I): ρ_T = N(0, e^M e^Mᵀ)."""
    d, rng = 64, np.random.default_rng(0)
    matrix = 0.5 * rng.standard_normal((d, d)) / math.sqrt(d)
    drift = LinearDrift(matrix, np.zeros(d), np.array([0.0, 1.0]))
    start = standard_normal(d)
    points = start.sample(20, rng) @ expm(matrix).T
    exact = start.log_density(points @ expm(-matrix).T) - np.trace(matrix)
    steps = np.array([2, 4, 8, 16])
    errors = [np.abs(flow_log_density(drift, start, points, n) - exact).mean() for n in steps]
    assert errors[0] < 2e-2
    assert errors[-1] < 1e-6
    assert 3.8 < fitted_order(steps, errors) < 4.2


def test_a_contraction_in_64_dimensions_has_the_errors_that_its_own_steps_have():
    """dx/dt = −.38x: the factor of a step is 1 + z + z²/2 + z³/6 + z⁴/24 at z = .38h, the trace has no error."""
    start = standard_normal(64)
    drift = LinearDrift(-0.38 * np.eye(64), np.zeros(64), np.array([0.0, 1.0]))
    origins = start.sample(200, np.random.default_rng(0))
    exact = start.log_density(origins) + 64 * 0.38
    square = np.mean(np.sum(origins**2, axis=1))
    for steps, measured in ((2, 2.24e-4), (4, 1.52e-5), (8, 9.9e-7), (16, 6.3e-8)):
        error = np.mean(flow_log_density(drift, start, math.exp(-0.38) * origins, steps) - exact)
        z = 0.38 / steps
        factor = math.exp(-0.38) * (1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24) ** steps
        assert_allclose(error, 0.5 * (1 - factor**2) * square, rtol=1e-3)
        assert_allclose(error, measured, rtol=0.02)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("tangential", [False, True])
def test_the_divergence_of_a_wide_network_in_64_dimensions_is_that_of_autograd(activation, tangential):
    d, m, rng = 64, 128, np.random.default_rng(1)
    box = ((-4.0, 4.0),) * d if tangential else ()
    network = Network(d, m, activation, tangential, box)
    a, w, b = rng.standard_normal((d, m)) / m, rng.standard_normal((m, d)), rng.standard_normal(m)
    x = rng.standard_normal((5, d))
    parts = [torch.from_numpy(part) for part in (a, w, b)]

    def summed(points):
        return network.drift(points, *parts).sum(dim=0)

    jacobians = torch.autograd.functional.jacobian(summed, torch.from_numpy(x))  # (d, n, d)
    expected = torch.einsum("cnc->n", jacobians).numpy()
    assert np.abs(network.divergence(x, a, w, b) - expected).max() < 1e-12


def test_the_density_of_a_network_flow_has_mass_one():
    """Over a grid, in two dimensions and over pieces of unequal lengths: any error of the divergence would show."""
    rng = np.random.default_rng(3)
    controls = Controls(
        0.5 * rng.standard_normal((3, 2, 4)), rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 4)),
        [0.0, 0.2, 0.7, 1.0],
    )  # fmt: skip
    drift = NetworkDrift(Network(2, 4, "tanh", False, ()), controls)
    line = np.linspace(-9, 9, 121)
    points = np.stack([axis.ravel() for axis in np.meshgrid(line, line)], axis=1)
    density = np.exp(flow_log_density(drift, standard_normal(2), points, 8))
    assert_allclose(density.sum() * (line[1] - line[0]) ** 2, 1.0, atol=1e-5)
    assert density.max() > 1.2 / (2 * math.pi)  # it is not the one from which it started


@pytest.mark.parametrize("kind", KINDS)
def test_the_flow_of_the_exact_drift_has_the_density_of_the_data(kind):
    reference = ornstein_uhlenbeck(kind(8))
    edges = 2.0 - np.array([2.0, 1.2, 0.7, 0.4, 0.2, 0.1, 0.05, 0.0])
    points = reference.data.sample(50, np.random.default_rng(0))
    found = flow_likelihood(FreeExactDrift(reference, 0.0, edges), reference.initial, points, 8)
    assert_allclose(found.values, reference.data.log_density(points), atol=2e-3)
    assert abs(found.refinement) < 1e-2


def test_the_divergence_of_a_gaussian_from_another_is_that_of_the_closed_form():
    """x ↦ e^{t}x from N(0, I) against p of variances s²: KL = ½Σ[s²/e² − 1 + 2 − log s²]."""
    variances = np.array([2.0, 4.0, 12.0])
    p = ComponentMixture(np.ones(1), np.zeros((1, 3)), variances[None], None)
    drift = LinearDrift(np.eye(3), np.zeros(3), np.array([0.0, 0.4, 1.0]))
    points = p.sample(4000, np.random.default_rng(2))
    found = divergence_from(p, points, flow_log_density(drift, standard_normal(3), points, 8))
    exact = 0.5 * np.sum(variances / math.e**2 - 1 + 2 - np.log(variances))
    assert agree(found, Estimate(exact, 0.0))
    assert found.standard_error < 0.05 * exact


def test_bits_are_those_of_the_density_in_the_units_of_the_data():
    """A density that is flat over 16 measured units is one of four bits, whatever the scale that it is computed in."""
    scale = np.array([2.0, 0.5])
    in_own_units = math.log(1.0 / 16.0**2) + np.log(scale).sum()
    found = bits_per_dimension(Estimate(in_own_units, 0.2), 2, float(np.log(scale).sum()))
    assert_allclose((found.value, found.standard_error), (4.0, 0.1 / math.log(2.0)))


def test_more_points_than_travel_together_have_the_same_densities(monkeypatch):
    drift = LinearDrift(0.1 * np.eye(4), np.ones(4), np.array([0.0, 1.0]))
    points = components(4).sample(10, np.random.default_rng(0))
    whole = flow_log_density(drift, standard_normal(4), points, 2)
    monkeypatch.setattr("controlsde.verification.likelihood.ROWS", 3)
    assert_allclose(flow_log_density(drift, standard_normal(4), points, 2), whole, rtol=1e-14)

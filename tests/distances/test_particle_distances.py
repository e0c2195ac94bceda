"""Distances of particles to a mixture against closed forms, and the level of what gives a p-value."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import cdist, pdist
from scipy.stats import binom, norm

from controlsde.densities.free_mixture import ComponentMixture
from controlsde.distances import particle_distances
from controlsde.distances.bures import moments_against
from controlsde.distances.energy_distance import energy_distance
from controlsde.distances.lines import Lines
from controlsde.distances.marginals import (
    compare_marginals,
    looked_at,
    marginal_curve,
    planar_marginal,
    principal_axes,
)
from controlsde.distances.nulls import null_test
from controlsde.distances.particle_distances import measure
from controlsde.distances.sliced_wasserstein import random_directions, sliced_against
from controlsde.gaussians import Law, wasserstein_2
from controlsde.registry import PARTICLE_DISTANCES
from controlsde.tracking.cloud import Cloud
from tests.distances.free_mixtures import KINDS, components, diagonal, kernels, standard_normal

SEEDS = 200


def test_the_energy_distance_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 3)), rng.standard_normal((150, 3)) + 1
    expected = 2 * cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean()
    assert_allclose(energy_distance(Cloud(x), Cloud(y)), expected, rtol=1e-12)


def test_the_energy_distance_of_two_moved_gaussians_on_a_line_is_twice_the_square_of_their_distribution_functions():
    rng = np.random.default_rng(1)
    z = np.linspace(-10, 11, 20001)
    expected = 2 * np.sum((norm.cdf(z) - norm.cdf(z - 1)) ** 2) * (z[1] - z[0])
    values = [
        energy_distance(Cloud(rng.standard_normal((200, 1))), Cloud(rng.standard_normal((200, 1)) + 1))
        for _ in range(50)
    ]
    assert abs(np.mean(values) - expected) < 3 * np.std(values) / math.sqrt(50)


@pytest.mark.parametrize("kind", KINDS)
def test_quantiles_in_any_direction_are_those_of_the_marginal(kind):
    mixture = kind(5)
    directions = random_directions(5, 7, np.random.default_rng(2))
    quantiles = Lines.of(mixture, directions).quantiles(99)
    for direction, found in zip(directions.T, quantiles.T, strict=True):
        marginal = mixture.marginal(direction[:, None])
        levels = [
            sum(
                w * norm.cdf(x, m[0], math.sqrt(v))
                for w, m, v in zip(marginal.weights, marginal.means, variances_of(marginal), strict=True)
            )
            for x in found
        ]
        assert_allclose(levels, (np.arange(99) + 0.5) / 99, atol=2e-5)


def variances_of(line):
    return line.values[:, 0] if isinstance(line, ComponentMixture) else [line.variance] * len(line.weights)


def test_quantiles_of_one_gaussian_are_exact_far_out():
    found = Lines.of(standard_normal(2), np.eye(2)).quantiles(1000)[:, 0]
    assert_allclose(found, norm.ppf((np.arange(1000) + 0.5) / 1000), rtol=1e-11)


def test_the_sliced_distance_of_moved_quantiles_is_the_mean_of_projected_shifts():
    """Points that are p's own quantiles along every coordinate, moved by μ: W₂² is the mean of (u·μ)²."""
    mixture, mu = diagonal(2), np.array([0.3, -1.1])
    own = Lines.of(mixture, np.eye(2)).quantiles(500)
    assert_allclose(sliced_against(mixture, 500, np.eye(2))(own + mu), math.sqrt(np.mean(mu**2)), rtol=1e-12)


def test_the_sliced_distance_of_a_moved_gaussian_tends_to_its_closed_form():
    rng = np.random.default_rng(4)
    mu = np.array([2.0, 0.0, 0.0])
    directions = random_directions(3, 64, rng)
    x = rng.standard_normal((20_000, 3)) + mu
    expected = math.sqrt(np.mean((directions.T @ mu) ** 2))
    assert_allclose(sliced_against(standard_normal(3), 20_000, directions)(x), expected, rtol=0.01)


def test_bures_is_the_gaussian_distance_of_moments():
    mixture = components(4)
    x = np.random.default_rng(5).standard_normal((60, 4)) * [1, 2, 0.5, 1]
    found = moments_against(mixture.mean, mixture.covariance)(x)
    expected = wasserstein_2(Law(mixture.mean, mixture.covariance), Law(x.mean(axis=0), np.cov(x.T)))
    assert_allclose(found, expected, rtol=1e-12)
    spread = np.sqrt(np.sort(np.linalg.eigvalsh(np.cov(x.T))))
    to_a_round_one = math.sqrt(np.sum(x.mean(axis=0) ** 2) + np.sum((spread - 3) ** 2))
    assert_allclose(moments_against(np.zeros(4), 9 * np.eye(4))(x), to_a_round_one, rtol=1e-12)


def test_bures_is_defined_on_a_line():
    expected = math.hypot(2.0, math.sqrt(2.0) - 1.0)  # mean 2 and variance 2 against N(0, 1)
    assert_allclose(moments_against(np.zeros(1), np.eye(1))(np.array([[1.0], [3.0]])), expected, rtol=1e-12)


def test_p_counts_the_value_among_its_nulls():
    found = null_test(2.0, np.array([0.0, 1.0, 2.0, 3.0]))
    assert (found.value, found.null_mean, found.p) == (2.0, 1.5, 3 / 5)
    assert null_test(9.0, np.zeros(19)).p == 1 / 20


def test_every_distance_sees_particles_of_another_density():
    rng = np.random.default_rng(0)
    mixture = kernels(4)
    found = measure(1.3 * mixture.sample(300, rng) + 0.3, mixture, rng, nulls=19)
    assert list(found) == list(PARTICLE_DISTANCES)
    assert all(test.p == 1 / 20 for test in found.values()), found
    assert all(test.z > 3 for test in found.values()), found
    for signed in ("mollified", "energy_distance"):  # unbiased: zero on average for exact draws
        assert abs(found[signed].null_mean) < 0.1 * found[signed].value


@pytest.mark.slow
def test_the_rejections_of_exact_draws_are_a_tenth_at_level_a_tenth(monkeypatch):
    """9 nulls: p = 1/10 exactly where the value is above all of them. Bounds hold with probability .998 each."""
    monkeypatch.setattr(particle_distances, "DIRECTIONS", 4)  # for speed: the level is that of any directions
    mixture = components(2)
    low, high = binom.ppf([0.001, 0.999], SEEDS, 0.1)
    rejected, of_marginals = np.zeros(len(PARTICLE_DISTANCES)), 0
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        particles = mixture.sample(30, rng)
        rejected += [test.p <= 0.1 for test in measure(particles, mixture, rng, nulls=9).values()]
        of_marginals += compare_marginals(particles, mixture, rng, nulls=9).test.p <= 0.1
    assert np.all((rejected >= low) & (rejected <= high)), rejected
    assert low <= of_marginals <= high


def test_distances_of_pairs_look_at_no_more_particles_than_they_may():
    rng = np.random.default_rng(0)
    mixture = standard_normal(2)
    few = measure(mixture.sample(50, rng), mixture, rng, nulls=20)
    many = measure(mixture.sample(2000, rng), mixture, rng, nulls=20, most=50)
    assert 0.3 < many["energy_distance"].null_deviation / few["energy_distance"].null_deviation < 3  # both of 50
    assert many["sliced_w2"].null_mean < 0.5 * few["sliced_w2"].null_mean  # of 500 and of 50


@pytest.mark.parametrize("wrong", [np.zeros((1, 2)), np.array([[0.0, np.nan], [0.0, 1.0]])])
def test_too_few_or_lost_particles_are_refused(wrong):
    with pytest.raises(ValueError, match="at least two particles, all of them finite"):
        measure(wrong, standard_normal(2), np.random.default_rng(0))


def test_the_worst_marginal_is_the_one_that_was_moved():
    rng = np.random.default_rng(3)
    mixture = diagonal(5)
    particles = mixture.sample(500, rng)
    particles[:, 3] += 0.8
    found = compare_marginals(particles, mixture, rng)
    directions = looked_at(mixture)
    shifts = 0.8 * np.abs(directions[3]) / np.sqrt(np.diag(directions.T @ mixture.covariance @ directions))
    assert found.worst == np.argmax(shifts)
    assert found.test.p < 0.05
    assert_allclose(found.distances, shifts, atol=0.2)  # W₁ of a shift is the shift
    assert_allclose(found.test.value, shifts.max(), rtol=0.1)


def test_a_marginal_that_only_a_principal_axis_shows_is_found_there():
    """Along (1, 1)/√2 the variance is 1.9, along (1, −1)/√2 it is .1: a shift along the second is small in x and y."""
    tilted = ComponentMixture.of_covariances(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, 0.9], [0.9, 1.0]]]))
    rng = np.random.default_rng(3)
    shift = 0.3 * np.array([1.0, -1.0]) / math.sqrt(2)
    found = compare_marginals(tilted.sample(1000, rng) + shift, tilted, rng)
    assert found.worst == 3
    assert found.test.p < 0.05


def test_marginal_curves_and_planes_hold_the_same_mass_as_particles_and_density():
    rng = np.random.default_rng(6)
    mixture = components(3)
    particles = mixture.sample(40_000, rng)
    axes = principal_axes(mixture)
    assert_allclose(axes.T @ axes, np.eye(3), atol=1e-14)
    variances = np.diag(axes.T @ mixture.covariance @ axes)
    assert np.all(np.diff(variances) < 0)
    curve = marginal_curve(particles, mixture, axes[:, 0], bins=40)
    cell = curve.edges[1] - curve.edges[0]
    assert_allclose(curve.density.sum() * cell, 1.0, atol=5e-3)
    assert np.abs(curve.histogram - curve.density).max() < 5 * math.sqrt(curve.density.max() / (40_000 * cell)) + 5e-3
    plane = planar_marginal(particles, mixture, axes[:, :2], cells=24)
    area = (plane.first[1] - plane.first[0]) * (plane.second[1] - plane.second[0])
    assert_allclose([plane.density.sum() * area, plane.histogram.sum() * area], 1.0, atol=5e-3)
    assert np.abs(plane.histogram - plane.density).sum() * area < 0.15
    assert np.abs(plane.histogram.T - plane.density).sum() * area > 0.3

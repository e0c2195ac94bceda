"""Bounds of noisy processes, losses along the reference and the one Gaussian, against closed forms and each other."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from controlsde.control.free_exact import FreeExactDrift
from controlsde.densities.free_mixture import KernelMixture
from controlsde.monte_carlo.statistics import Estimate
from controlsde.verification.evidence_bound import evidence_bound
from controlsde.verification.one_gaussian import (
    gaussian_divergence,
    gaussian_divergence_by_scores,
    gaussian_likelihood,
)
from controlsde.verification.score_loss import path_divergence, score_loss
from tests.distances.free_mixtures import KINDS, components, kernels, standard_normal
from tests.verification.free_references import MovedDrift, agree, ornstein_uhlenbeck

EDGES = 2.0 - np.array([2.0, 1.2, 0.7, 0.4, 0.2, 0.1, 0.05, 0.0])  # close where the score is steep


@pytest.mark.parametrize("noise", [0.25, 1.0, 2.0])
def test_the_bound_of_the_exact_drift_is_log_p(noise):
    """Without the control variate, whose own answer is exact: every path's value is log p plus a martingale."""
    reference = ornstein_uhlenbeck(kernels(8))
    rng = np.random.default_rng(4)
    points = reference.data.sample(3000, rng)
    found = evidence_bound(reference, FreeExactDrift(reference, noise, EDGES), noise, points, rng, steps=16)
    exact = reference.data.log_density(points)
    gaps = found.plain - exact
    error = gaps.std(ddof=1) / math.sqrt(len(gaps))
    assert abs(gaps.mean()) < 3 * error
    assert error < 0.03 * abs(exact.mean())
    assert_allclose(found.values, exact, rtol=1e-12)


def test_the_control_variate_changes_no_mean_and_takes_out_most_of_the_error():
    reference, noise = ornstein_uhlenbeck(components(5)), 1.0
    rng = np.random.default_rng(5)
    drift = MovedDrift(FreeExactDrift(reference, noise, EDGES), 0.05, np.full(5, 0.2))
    points = reference.data.sample(1500, rng)
    found = evidence_bound(reference, drift, noise, points, rng)
    difference = found.values - found.plain
    assert abs(difference.mean()) < 3 * difference.std(ddof=1) / math.sqrt(len(points))
    exact = reference.data.log_density(points)
    assert (found.values - exact).std() < 0.5 * (found.plain - exact).std()


def test_the_mean_gap_is_the_divergence_of_paths():
    reference, noise = ornstein_uhlenbeck(kernels(4)), 0.5
    rng = np.random.default_rng(6)
    drift = MovedDrift(FreeExactDrift(reference, noise, EDGES), 0.2, np.full(4, 0.1))
    gap = evidence_bound(reference, drift, noise, reference.data.sample(3000, rng), rng).gap
    paths = path_divergence(reference, drift, noise, rng)
    assert agree(gap, paths), (gap, paths)
    assert paths.standard_error < 0.1 * paths.value


def test_the_bound_lies_below_the_density_that_a_constant_push_makes_and_above_nothing_more():
    """δ = c moves p = N(0, I) under OU: m' = −η m + c, so that ρ_T = N(m, I), and path KL is |c|²T/(4η) exactly."""
    noise, shift = 1.0, np.array([2.0, -0.8, 0.4])
    reference = ornstein_uhlenbeck(standard_normal(3), 1.0)
    edges = np.linspace(0, 1, 5)
    drift = MovedDrift(FreeExactDrift(reference, noise, edges), 0.0, shift)
    rng = np.random.default_rng(7)
    points = reference.data.sample(2000, rng)
    bound = evidence_bound(reference, drift, noise, points, rng)
    closed = float(shift @ shift) / (4 * noise)
    assert agree(bound.gap, Estimate(closed, 0.0))
    paths = path_divergence(reference, drift, noise, rng)
    assert_allclose(paths.value, closed, rtol=1e-12)
    moved = shift * (1 - math.exp(-noise)) / noise
    true = multivariate_normal.logpdf(points, moved)
    assert np.mean(true - bound.values) > 3 * np.std(true - bound.values) / math.sqrt(2000)
    # point by point, over many paths of one point
    one = evidence_bound(reference, drift, noise, points[:2], rng, paths=2000)
    assert np.all(one.values < true[:2])


def mean_of_steps(noise, steps):
    """E of the plain bound for v*_η of N(0, ¼) under OU at x = .7, T = 1, by the second moment of every Heun step."""

    def variance(s):
        return 1 - 0.75 * math.exp(-2 * s)

    def slope(s):  # f_η = slope · y
        return -1 - (noise - 1) / variance(s)

    def integrand(s, square):  # η|∇log p|² + ∇·v*
        return noise * square / variance(s) ** 2 - (1 + noise) / variance(s) + 1

    h, square, total = 1 / steps, 0.49, 0.0
    for i in range(steps):
        before, after = i * h, (i + 1) * h
        total += 0.5 * h * integrand(before, square)
        factor = 1 + 0.5 * h * (slope(before) + slope(after) * (1 + h * slope(before)))
        square = factor**2 * square + 2 * noise * h * (1 + 0.5 * h * slope(after)) ** 2
        total += 0.5 * h * integrand(after, square)
    return -0.5 * square / variance(1) - 0.5 * math.log(2 * math.pi * variance(1)) - total


@pytest.mark.parametrize("noise", [1.0, 2.0])
def test_paths_are_heun_steps_whose_bias_falls_with_order_two(noise):
    reference = ornstein_uhlenbeck(KernelMixture(np.ones(1), np.zeros((1, 1)), 0.25), 1.0)
    drift = FreeExactDrift(reference, noise, np.array([0.0, 1.0]))
    points = np.full((20_000, 1), 0.7)
    exact = float(reference.data.log_density(points[:1])[0])
    found = evidence_bound(reference, drift, noise, points, np.random.default_rng(8), steps=4).plain
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean() - mean_of_steps(noise, 4)) < 3 * error
    assert abs(mean_of_steps(noise, 4) - exact) > 4 * error  # so that the test sees the bias of steps
    steps = np.array([32, 64, 128])
    biases = [abs(mean_of_steps(noise, n) - exact) for n in steps]
    assert 1.9 < -np.polyfit(np.log(steps), np.log(biases), 1)[0] < 2.1


def test_a_start_that_is_not_the_reference_costs_its_divergence():
    wrong = KernelMixture(np.ones(1), np.array([[0.5, 0.0]]), 1.0)
    reference = ornstein_uhlenbeck(standard_normal(2), 1.0, wrong)
    drift = FreeExactDrift(reference, 1.0, np.linspace(0, 1, 3))
    rng = np.random.default_rng(9)
    closed = Estimate(0.5 * 0.25, 0.0)  # KL(N(0, I)‖N(m, I)) = ½|m|²
    assert agree(path_divergence(reference, drift, 1.0, rng), closed)
    assert agree(evidence_bound(reference, drift, 1.0, standard_normal(2).sample(2000, rng), rng).gap, closed)


def test_without_noise_there_is_no_bound():
    reference = ornstein_uhlenbeck(standard_normal(2))
    with pytest.raises(ValueError, match="flow_likelihood"):
        evidence_bound(reference, FreeExactDrift(reference, 0.0, EDGES), 0.0, np.zeros((2, 2)), np.random.default_rng())


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_score_loss_of_a_constant_push_is_exact_in_every_piece(noise):
    reference = ornstein_uhlenbeck(components(3))
    drift = MovedDrift(FreeExactDrift(reference, noise, EDGES), 0.0, np.array([1.0, 2.0, 0.0]))
    found = score_loss(reference, drift, noise, np.random.default_rng(0), strata=2, points=10)
    assert_allclose([piece.value for piece in found.per_piece], 5.0 * np.diff(EDGES), rtol=1e-12)
    assert_allclose(found.total.value, 10.0, rtol=1e-12)
    assert found.total.standard_error < 1e-12


def test_the_score_loss_of_a_linear_gap_is_that_of_moments_with_an_honest_error():
    """δ = εx: ∫ε² E|x|² dt, E|x|² = e^{−2s}(tr C + |m|²) + (1 − e^{−2s})d; over 200 seeds the errors fit."""
    reference = ornstein_uhlenbeck(components(3), 1.0)
    drift = MovedDrift(FreeExactDrift(reference, 0.0, np.array([0.0, 1.0])), 0.7, np.zeros(3))
    p = reference.data
    square = np.trace(p.covariance) + p.mean @ p.mean
    decay = 0.5 * (1 - math.exp(-2.0))
    exact = 0.49 * (decay * square + (1 - decay) * 3)
    found = [score_loss(reference, drift, 0.0, np.random.default_rng(i), 8, 8).total for i in range(200)]
    standard = np.array([(one.value - exact) / one.standard_error for one in found])
    assert abs(standard.mean()) < 3.5 / math.sqrt(200)
    assert 0.85 < standard.std() < 1.3


def test_the_relative_loss_of_no_drift_at_all_is_one():
    reference = ornstein_uhlenbeck(components(3), 1.0)

    class Still(MovedDrift):
        def values(self, piece, t, x):  # noqa: ARG002
            return np.zeros_like(x)

    still = Still(FreeExactDrift(reference, 1.0, np.linspace(0, 1, 3)), 0.0, np.zeros(3))
    assert_allclose(score_loss(reference, still, 1.0, np.random.default_rng(0)).relative, 1.0, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_divergence_of_the_one_gaussian_is_the_same_by_likelihoods_and_by_scores(kind):
    reference = ornstein_uhlenbeck(kind(3).spread(1.0, -0.05), 3.0)
    rng = np.random.default_rng(1)
    edges = 3.0 - np.array([3.0, 1.5, 0.8, 0.4, 0.2, 0.1, 0.05, 0.02, 0.0])
    by_likelihoods = gaussian_divergence(reference, rng, 100_000)
    by_scores = gaussian_divergence_by_scores(reference, rng, edges)
    assert agree(by_likelihoods, by_scores), (by_likelihoods, by_scores)
    assert max(by_likelihoods.standard_error, by_scores.standard_error) < 0.06 * by_likelihoods.value


def test_the_likelihood_of_the_one_gaussian_is_that_of_its_moments():
    mixture = components(3)
    points = mixture.sample(100, np.random.default_rng(0))
    expected = multivariate_normal.logpdf(points, mixture.mean, mixture.covariance)
    found = gaussian_likelihood(ornstein_uhlenbeck(mixture), points)
    assert_allclose((found.value, found.standard_error), (expected.mean(), expected.std(ddof=1) / 10), rtol=1e-12)

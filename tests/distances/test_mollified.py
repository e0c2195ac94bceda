"""The mollified distance of particles against closed forms, double sums, differences and its own nulls."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal, norm

from controlsde.densities.free_mixture import KernelMixture
from controlsde.tracking.cloud import Cloud
from controlsde.tracking.mollified import (
    Mollified,
    automatic_scales,
    least_scale,
    mollified_value_and_gradient,
    reason_against,
)
from tests.distances.free_mixtures import KINDS, components, kernels, standard_normal
from tests.quick import slow

SCALES = (1.2, 0.6, 0.45)  # the second is half the first, the third is not half of any


def covariances_of(mixture):
    if isinstance(mixture, KernelMixture):
        return np.array([mixture.variance * np.eye(mixture.dimension)] * len(mixture.weights))
    return mixture.covariances


def pairs_of(mixture, g):
    """‖K_g * p‖² by a double loop over components."""
    covariances, d = covariances_of(mixture), mixture.dimension
    return sum(
        w * u * multivariate_normal.pdf(m - n, np.zeros(d), s + r + 2 * g**2 * np.eye(d))
        for w, m, s in zip(mixture.weights, mixture.means, covariances, strict=True)
        for u, n, r in zip(mixture.weights, mixture.means, covariances, strict=True)
    )


def by_double_sums(mixture, g, x):
    n, d = x.shape
    near = np.array([[multivariate_normal.pdf(a - b, np.zeros(d), 2 * g**2 * np.eye(d)) for b in x] for a in x])
    with_p = sum(
        w * multivariate_normal.pdf(x, m, s + 2 * g**2 * np.eye(d))
        for w, m, s in zip(mixture.weights, mixture.means, covariances_of(mixture), strict=True)
    )
    own = pairs_of(mixture, g)
    return ((near.sum() - np.trace(near)) / (n * (n - 1)) - 2 * with_p.mean() + own) / own


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_double_sums(kind):
    mixture = kind(3)
    x = np.random.default_rng(0).standard_normal((30, 3))
    expected = [by_double_sums(mixture, g, x) for g in SCALES]
    assert_allclose(Mollified.of(mixture, SCALES).values(Cloud(x)), expected, rtol=1e-11)


def test_blocks_of_many_particles_miss_no_pair_and_count_none_twice():
    x = np.random.default_rng(0).standard_normal((300, 2))
    gaps = ((x[:, None] - x) ** 2).sum(axis=2)
    found = np.concatenate([block.ravel() for block in Cloud(x).squared_distances()])
    assert_allclose(np.sort(found), np.sort(gaps[np.triu_indices(300, 1)]), atol=1e-13)


@pytest.mark.parametrize(("mu", "g", "expected"), [(0.5, 4.0, 0.00734), (0.5, 2.0, None), (3.0, 1.0, None)])
def test_a_moved_gaussian_is_2_minus_2_exp_in_64_dimensions(mu, g, expected):
    """E T = E k(X, X′) − 2E k(X, p) + 1 for X of N(μ, I), each a Gaussian integral: 1 − 2 N(μ; 0, 2 + 2g²)/norm + 1."""
    statistic = Mollified.of(standard_normal(64), [g])
    place = np.zeros((1, 64))
    place[0, 0] = mu
    # k(x, p) at a Gaussian about μ is that at μ with the variance once more
    wider = standard_normal(64).spread(1.0, 1.0 + 2 * g**2).log_density(place)
    value = 2.0 - 2.0 * np.exp(wider - statistic.log_norms)
    closed = 2.0 * (1.0 - np.exp(-(mu**2) / (4 * g**2 + 4)))
    assert_allclose(value, closed, rtol=1e-11)
    if expected is not None:
        assert abs(closed - expected) < 5e-6


def test_the_statistic_of_a_moved_gaussian_is_unbiased_in_64_dimensions():
    statistic = Mollified.of(standard_normal(64), [4.0, 2.0])
    rng = np.random.default_rng(5)
    mu = np.full(64, 0.5 / 8)
    values = np.array([statistic.values(Cloud(mu + rng.standard_normal((300, 64)))) for _ in range(40)])
    errors = values.std(axis=0, ddof=1) / np.sqrt(40)
    expected = 2 * (1 - np.exp(-0.25 / np.array([68.0, 20.0])))
    assert np.all(np.abs(values.mean(axis=0) - expected) < 3 * errors)
    assert np.all(errors < 0.1 * expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_differences(kind):
    mixture, scales, weights = kind(3), SCALES, np.array([2.0, 1.0, 0.3])
    x = np.random.default_rng(3).standard_normal((150, 3))  # more than a block
    value, gradient = mollified_value_and_gradient(x, mixture, scales, weights)
    statistic = Mollified.of(mixture, scales)
    assert_allclose(value, weights @ statistic.values(Cloud(x)), rtol=1e-12)
    step = 1e-4
    for i, c in ((0, 0), (70, 1), (128, 2), (149, 0)):
        ahead = []
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[i, c] += k * step
            ahead.append(weights @ statistic.values(Cloud(moved)))
        difference = np.dot([1, -8, 8, -1], ahead) / (12 * step)
        assert abs(gradient[i, c] - difference) < 1e-7 * np.abs(gradient).max()


@pytest.mark.parametrize(("g", "d"), [(0.5, 8), *map(slow, ((1.0, 8), (5.0, 8))), (2.0, 64)])
def test_the_null_deviation_of_a_gaussian_is_that_of_quadrature(g, d):
    """E k² and E k(X, p)² are d-th powers of integrals on a line."""
    x = np.linspace(-12, 12, 4001)
    cell, p = x[1] - x[0], norm.pdf(x)
    own = norm.pdf(0, 0, np.sqrt(2 + 2 * g**2))
    squares = (cell * np.sum(p * norm.pdf(x, 0, np.sqrt(1 + 2 * g**2)) ** 2) / own**2) ** d
    kernel = norm.pdf(x[:, None] - x, 0, np.sqrt(2) * g) ** 2
    second = (cell**2 * (p @ kernel @ p) / own**2) ** d
    n = 100
    assert_allclose(second, (1 + 1 / (g**2 * (g**2 + 2))) ** (d / 2), rtol=1e-9)  # the closed form of the head
    statistic = Mollified.of(standard_normal(d), [g])
    assert_allclose(statistic.deviation_bounds(n), np.sqrt(2 * (second - 1) / (n * (n - 1))), rtol=1e-6)
    exact = np.sqrt(2 * (second - 2 * squares + 1) / (n * (n - 1)))
    assert_allclose(statistic.null_deviations(n, np.random.default_rng(0)), exact, rtol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_null_deviations_are_those_of_draws(kind):
    mixture, n = kind(4), 40
    statistic = Mollified.of(mixture, SCALES)
    rng = np.random.default_rng(8)
    values = np.array([statistic.values(Cloud(mixture.sample(n, rng))) for _ in range(400)])
    assert np.all(np.abs(values.mean(axis=0)) < 3.5 * values.std(axis=0) / 20)
    assert_allclose(statistic.null_deviations(n, rng), values.std(axis=0), rtol=0.15)


def test_a_narrow_scale_is_refused_in_64_dimensions_and_a_wider_one_is_not():
    mixture = standard_normal(64)
    told = reason_against(mixture, 0.5, 1000)
    assert "scale 0.5 nothing is seen by 1000 particles" in told
    assert "use scales from" in told
    assert "\n" not in told
    assert reason_against(mixture, 2.0, 1000) is None
    least = least_scale(mixture, 1000)
    assert reason_against(mixture, 0.98 * least, 1000) is not None
    assert reason_against(mixture, least, 1000) is None
    assert "cancel in rounding" in reason_against(mixture, 1e5, 1000)


def test_scales_that_are_not_positive_are_refused():
    for wrong in ([], [0.0], [-1.0], [np.inf], [np.nan]):
        with pytest.raises(ValueError, match="scales must be positive"):
            Mollified.of(standard_normal(2), wrong)


@pytest.mark.parametrize("d", [1, 2, 8, 64])
def test_automatic_scales_go_down_by_halves_from_half_the_distance_of_two_points_as_long_as_something_is_seen(d):
    scales = automatic_scales(standard_normal(d), 1000)
    assert_allclose(scales, scales[0] * 0.5 ** np.arange(len(scales)))
    assert_allclose(scales[0], np.sqrt(d / 2))
    assert all(reason_against(standard_normal(d), g, 1000) is None for g in scales)
    assert len(scales) == 4 or reason_against(standard_normal(d), scales[-1] / 2, 1000) is not None


def test_automatic_scales_follow_the_units_of_the_data():
    mixture = kernels(3)
    assert_allclose(automatic_scales(mixture.spread(10.0, 0.0), 500), 10 * np.array(automatic_scales(mixture, 500)))


def test_values_do_not_depend_on_the_units_of_the_data():
    mixture = components(4)
    x = mixture.sample(50, np.random.default_rng(1))
    ours = Mollified.of(mixture, SCALES).values(Cloud(x))
    in_other_units = Mollified.of(mixture.spread(1e-3, 0.0), 1e-3 * np.array(SCALES)).values(Cloud(1e-3 * x))
    assert_allclose(in_other_units, ours, rtol=1e-9)


def test_memory_stays_bounded_where_all_pairs_would_take_hundreds_of_megabytes():
    x = np.random.default_rng(0).standard_normal((6000, 2))
    statistic = Mollified.of(standard_normal(2), [1.0])
    tracemalloc.start()
    statistic.values(Cloud(x))
    mollified_value_and_gradient(x[:4000], standard_normal(2), [1.0], np.ones(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64e6

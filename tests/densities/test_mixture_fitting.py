"""Gaussians fitted by expectation and maximisation: against other libraries, one Gaussian in closed form, its bound."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from controlsde.densities.free_mixture import ComponentMixture
from controlsde.densities.mixture_fitting import fit_gaussians


def clusters(count=300, dimension=3, seed=0):
    """Points of three Gaussians that overlap a little."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((3, dimension, dimension)) * 0.4
    means = 2.0 * rng.standard_normal((3, dimension))
    kinds = rng.integers(0, 3, count)
    return means[kinds] + np.einsum("nij,nj->ni", factors[kinds], rng.standard_normal((count, dimension)))


def random_mixture(count=4, dimension=6, seed=1):
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((count, dimension, dimension))
    weights = rng.random(count) + 0.1
    covariances = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(dimension)
    return weights / weights.sum(), rng.standard_normal((count, dimension)), covariances


def test_log_densities_agree_with_scipy_to_rounding():
    weights, means, covariances = random_mixture()
    x = 3.0 * np.random.default_rng(2).standard_normal((200, 6))
    own = ComponentMixture.of_covariances(weights, means, covariances).log_density(x)
    logs = [multivariate_normal(mean, cov).logpdf(x) for mean, cov in zip(means, covariances, strict=True)]
    np.testing.assert_allclose(own, logsumexp(np.array(logs).T + np.log(weights), axis=1), rtol=1e-12)


def test_log_densities_agree_with_scikit_learn_to_rounding():
    mixture = pytest.importorskip("sklearn.mixture")
    weights, means, covariances = random_mixture()
    x = 3.0 * np.random.default_rng(3).standard_normal((200, 6))
    theirs = mixture.GaussianMixture(len(weights))
    theirs.weights_, theirs.means_, theirs.covariances_ = weights, means, covariances
    theirs.precisions_cholesky_ = np.array([np.linalg.inv(np.linalg.cholesky(cov)).T for cov in covariances])
    own = ComponentMixture.of_covariances(weights, means, covariances).log_density(x)
    np.testing.assert_allclose(own, theirs.score_samples(x), rtol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_maximised_never_decreases(ridge, seed):
    fit = fit_gaussians(clusters(seed=seed), 3, ridge, np.random.default_rng(seed))
    gains = np.array(fit.gains)
    assert len(gains) > 5
    assert np.diff(gains).min() > -1e-12 * abs(gains[-1])


@pytest.mark.parametrize("ridge", [0.0, 0.02])
def test_what_is_maximised_is_the_likelihood_less_the_price_of_narrow_components(ridge):
    points = clusters()
    fit = fit_gaussians(points, 3, ridge, np.random.default_rng(0))
    precisions = [np.trace(np.linalg.inv(cov)) for cov in fit.mixture.covariances]
    expected = fit.mixture.log_density(points).mean() - 0.5 * ridge / 3 * np.sum(precisions)
    assert fit.converged
    assert fit.gains[-1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 0.02])
def test_one_gaussian_has_the_mean_of_the_points_and_their_covariance_with_the_ridge(ridge):
    points = clusters()
    fit = fit_gaussians(points, 1, ridge, np.random.default_rng(0))
    np.testing.assert_allclose(fit.mixture.mean, points.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(fit.mixture.covariance, np.cov(points.T, bias=True) + ridge * np.eye(3), atol=1e-12)


def test_no_small_change_of_a_fit_is_likelier():
    points, rng = clusters(), np.random.default_rng(0)
    fit = fit_gaussians(points, 3, 0.0, rng).mixture
    best = fit.log_density(points).mean()
    for _ in range(20):
        weights = fit.weights * (1.0 + 0.02 * rng.standard_normal(3))
        roots = np.eye(3) + 0.02 * rng.standard_normal((3, 3, 3))
        changed = ComponentMixture.of_covariances(
            weights / weights.sum(),
            fit.means + 0.02 * rng.standard_normal(fit.means.shape),
            roots @ fit.covariances @ roots.transpose(0, 2, 1),
        )
        assert changed.log_density(points).mean() < best


def test_the_fit_is_as_likely_as_the_best_of_scikit_learn():
    mixture = pytest.importorskip("sklearn.mixture")
    points = clusters()
    theirs = mixture.GaussianMixture(3, reg_covar=0.0, n_init=10, tol=1e-9, max_iter=1000, random_state=0).fit(points)
    own = fit_gaussians(points, 3, 0.0, np.random.default_rng(0)).mixture
    assert own.log_density(points).mean() >= theirs.score(points) - 1e-6


def test_the_components_that_made_the_points_are_found():
    points = np.vstack([clusters(2000, seed=3)[:, :2] * 0.05 + centre for centre in ([-3, 0], [3, 0], [0, 4])])
    fit = fit_gaussians(points, 3, 0.0, np.random.default_rng(0)).mixture
    np.testing.assert_allclose(fit.weights, 1 / 3, atol=1e-3)
    centres = [points[i * 2000 : (i + 1) * 2000].mean(axis=0) for i in range(3)]
    nearest = np.linalg.norm(fit.means[:, None] - np.array(centres)[None], axis=2).min(axis=0)
    assert nearest.max() < 1e-3


def test_the_same_generator_makes_the_same_fit():
    points = clusters()
    first, second = (fit_gaussians(points, 3, 0.01, np.random.default_rng(5)).mixture for _ in range(2))
    np.testing.assert_array_equal(first.means, second.means)
    np.testing.assert_array_equal(first.values, second.values)


def test_points_in_a_plane_need_a_ridge_and_are_told_so():
    points = np.hstack([clusters(100, 2), np.zeros((100, 1))])
    with pytest.raises(ValueError, match=r"is singular: .* give a ridge such as 0.01, or fewer components"):
        fit_gaussians(points, 2, 0.0, np.random.default_rng(0))
    flat = fit_gaussians(points, 2, 0.01, np.random.default_rng(0)).mixture
    np.testing.assert_allclose(flat.values.min(axis=1), 0.01 / (2 * flat.weights), rtol=1e-9)  # εN/(K N_k) across


def test_more_components_than_points_are_refused():
    with pytest.raises(ValueError, match="4 Gaussians need at least as many points"):
        fit_gaussians(np.eye(3), 4, 0.1, np.random.default_rng(0))


def test_many_components_for_few_points_have_no_singular_covariance():
    points = np.random.default_rng(0).standard_normal((60, 5))
    fit = fit_gaussians(points, 10, 0.01, np.random.default_rng(1))
    assert fit.mixture.values.min() > 0.002
    assert np.diff(fit.gains).min() > -1e-10

"""Gaussian laws, what schemes end in, and Langevin chains: against closed forms, quadrature and simulation."""

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm, ortho_group

from controlsde.gaussians import (
    SCHEMES,
    Law,
    LinearProcess,
    MeanChain,
    contraction,
    kept,
    kullback_leibler,
    law_after,
    noised,
    noised_variance,
    reverse_process,
    wasserstein_2,
)


def covariance(seed, d=3):
    rng = np.random.default_rng(seed)
    q = ortho_group.rvs(d, random_state=seed)
    return q @ np.diag(rng.uniform(0.2, 2.0, d)) @ q.T


def test_wasserstein_of_commuting_and_of_general_gaussians():
    first, second = Law.isotropic([1.0, 0.0], 4.0), Law.isotropic([0.0, 2.0], 0.25)
    assert wasserstein_2(first, second) == pytest.approx(np.sqrt(5 + 2 * 1.5**2))
    # the optimal map T = S₁^{-½}(S₁^½ S₂ S₁^½)^½ S₁^{-½} carries S₁ to S₂: the cost is that of the map
    one, two = Law(np.zeros(3), covariance(1)), Law(np.ones(3), covariance(2))
    values, vectors = np.linalg.eigh(one.covariance)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    inner, basis = np.linalg.eigh(root @ two.covariance @ root)
    transport = np.linalg.inv(root) @ basis @ np.diag(np.sqrt(inner)) @ basis.T @ np.linalg.inv(root)
    np.testing.assert_allclose(transport @ one.covariance @ transport.T, two.covariance, atol=1e-12)
    moved = transport - np.eye(3)
    assert wasserstein_2(one, two) == pytest.approx(np.sqrt(3 + np.trace(moved @ one.covariance @ moved.T)))
    assert wasserstein_2(one, one) == pytest.approx(0.0, abs=1e-7)


def test_kullback_leibler_against_quadrature():
    first, second = Law.isotropic([0.5], 0.7), Law.isotropic([-0.2], 1.3)
    p, q = norm(0.5, np.sqrt(0.7)), norm(-0.2, np.sqrt(1.3))
    expected = integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -10, 10)[0]
    assert kullback_leibler(first, second) == pytest.approx(expected, rel=1e-9)
    assert kullback_leibler(Law(np.zeros(3), covariance(1)), Law(np.zeros(3), covariance(1))) == pytest.approx(0.0)


def turning():
    """A process whose matrix turns, shears and changes with time."""
    return LinearProcess(
        lambda t: np.array([[-1.0 - t, 0.5], [-0.3, 0.2 * t]]),
        lambda t: np.array([np.sin(t), 1.0]),
        lambda t: 0.3 + 0.2 * t,
        rate=-0.7,
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_law_of_a_scheme_is_that_of_its_particles(scheme):
    process, h, n = turning(), 0.25, 400_000
    times = np.arange(4) * h
    law = law_after(process, Law(np.array([1.0, -1.0]), np.diag([0.5, 2.0])), times, scheme)
    rng = np.random.default_rng(0)
    x = np.array([1.0, -1.0]) + rng.standard_normal((n, 2)) * np.sqrt([0.5, 2.0])
    fine = 40 if scheme == "exact" else 1
    for t in np.arange(3 * fine) * h / fine:
        step = h / fine
        v = lambda s, y: y @ process.matrix(s).T + process.offset(s)  # noqa: E731
        xi = rng.standard_normal(x.shape) * np.sqrt(2 * (0.3 + 0.2 * (t + step / 2)) * step)
        if scheme in ("euler-maruyama", "exact"):
            x = x + step * v(t, x) + xi
        elif scheme == "heun":
            x = x + 0.5 * step * (v(t, x) + v(t + step, x + step * v(t, x) + xi)) + xi
        else:
            r = process.rate
            xi *= np.sqrt(np.expm1(2 * r * step) / (2 * r * step))
            x = np.exp(r * step) * x + np.expm1(r * step) / r * (v(t, x) - r * x) + xi
    bias = 0.02 if scheme == "exact" else 0.0  # of the short Euler steps
    np.testing.assert_allclose(x.mean(axis=0), law.mean, atol=bias + 5 * np.sqrt(2.0 / n))
    np.testing.assert_allclose(np.cov(x.T), law.covariance, atol=bias + 5 * np.sqrt(2 * 4.0 / n))


@pytest.mark.parametrize(("scheme", "order"), [("euler-maruyama", 1), ("exponential", 1), ("heun", 2)])
def test_the_orders_of_the_schemes(scheme, order):
    start = Law(np.array([1.0, -1.0]), np.diag([0.5, 2.0]))
    exact = law_after(turning(), start, [0.0, 1.0], "exact")
    errors = [
        wasserstein_2(law_after(turning(), start, np.linspace(0, 1, n + 1), scheme), exact) for n in (64, 128, 256)
    ]
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx(order, abs=0.05)


def test_an_exponential_step_is_exact_for_its_linear_part():
    process = LinearProcess(lambda _: -np.eye(1), lambda _: np.zeros(1), lambda _: 1.0, rate=-1.0)
    law = law_after(process, Law.isotropic([2.0], 0.5), [0.0, 1.5], "exponential")
    assert law.mean[0] == pytest.approx(2 * np.exp(-1.5))
    assert law.covariance[0, 0] == pytest.approx(0.5 * np.exp(-3.0) + 1 - np.exp(-3.0))


def test_the_reverse_process_leads_from_the_noised_data_to_the_data():
    mean, variance, horizon = np.array([1.0, -2.0]), 0.3, 1.2
    process = reverse_process(mean, variance, horizon)
    for end in (0.7, horizon):
        law = law_after(process, noised(mean, variance, horizon), [0.0, end], "exact")
        expected = noised(mean, variance, horizon - end)
        np.testing.assert_allclose(law.mean, expected.mean, atol=1e-9)
        np.testing.assert_allclose(law.covariance, expected.covariance, atol=1e-9)
    off = law_after(process, Law.isotropic([0.0, 0.0], 1.0), [0.0, 1.0], "exact")
    near = law_after(process, Law.isotropic([0.5, 0.0], 1.0), [0.0, 1.0], "exact")
    assert near.mean[0] - off.mean[0] == pytest.approx(0.5 * contraction(variance, horizon, horizon - 1.0))
    biased = law_after(
        reverse_process(mean, 1.0, horizon, np.array([0.1, 0.0])), noised(mean, 1.0, horizon), [0, horizon], "exact"
    )
    assert biased.mean[0] - mean[0] == pytest.approx(0.2 * (1 - np.exp(-horizon)))


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="there are euler-maruyama"):
        law_after(turning(), Law.isotropic([0.0, 0.0], 1.0), [0.0, 1.0], "milstein")


def test_langevin_chains_have_their_exact_moments():
    chain = MeanChain(step=0.5, inverse_temperature=4.0, earliest=0.05, horizon=0.8)
    mean, start = np.array([1.0, -0.5]), np.array([2.0, 1.0])
    rng = np.random.default_rng(3)
    many = chain.run(np.tile(start, (100_000, 1)), mean, 6, rng)
    squares = np.sum((many - mean) ** 2, axis=1)
    expected = chain.second_moment(float(np.sum((start - mean) ** 2)), 6, 2)
    assert abs(squares.mean() - expected) < 4 * squares.std() / np.sqrt(len(squares))
    means = (many - mean).mean(axis=0)
    assert np.all(np.abs(means - chain.first_moment(start - mean, 6)) < 4 * many.std(axis=0) / np.sqrt(len(many)))


def test_the_gradient_is_that_of_the_denoising_loss():
    theta, mean = np.array([[0.7]]), np.array([0.2])

    def loss(value, seed=5):
        rng = np.random.default_rng(seed)
        t = rng.uniform(0.01, 1.0, (1, 1))
        data, noise = mean + rng.standard_normal((1, 1)), rng.standard_normal((1, 1))
        m, sigma = np.exp(-t), np.sqrt(1 - np.exp(-2 * t))
        noised = m * data + sigma * noise
        return float(((sigma**2) * (-(noised - m * value) + noise / sigma) ** 2)[0, 0])

    slope = (loss(0.7 + 1e-5) - loss(0.7 - 1e-5)) / 2e-5
    found = MeanChain().gradient(theta, mean, np.random.default_rng(5))
    assert found[0, 0] == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0, 2.0])
def test_what_the_exact_drift_keeps_of_a_distance_is_the_integral_of_its_slope(noise):
    variance, horizon = 0.25, 1.3
    nodes, weights = np.polynomial.legendre.leggauss(40)
    times = 0.5 * horizon * (1 + nodes)
    slopes = [1 - (1 + noise) / noised_variance(variance, s) for s in times]
    assert kept(variance, horizon, noise) == pytest.approx(np.exp(0.5 * horizon * np.dot(weights, slopes)), rel=1e-12)
    assert kept(variance, horizon, 1.0) == pytest.approx(contraction(variance, horizon))
    assert kept(variance, horizon, 0.0) == pytest.approx((variance / noised_variance(variance, horizon)) ** 0.5)

"""Shrunk and blurred factors against the integral that defines them, and their far tails."""

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy.special import ndtr

from controlsde.densities.gaussian import CutGaussians, Flats, Gaussians, log_interval

FACTORS = {
    "gaussian": (Gaussians(np.array([0.3]), np.array([0.2])), -6.0, 6.0),
    "cut": (CutGaussians(np.array([0.3]), np.array([0.2]), -0.4, 1.1), -0.4, 1.1),
    "flat": (Flats(np.array([-0.4]), np.array([1.1])), -0.4, 1.1),
}


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize(("shrink", "blur"), [(1.0, 0.3), (0.4, 0.05), (0.01, 1.0)])
def test_spread_is_the_convolution_with_a_gaussian(name, shrink, blur):
    factor, low, high = FACTORS[name]
    nodes, weights = leggauss(400)
    y = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    mass = 0.5 * (high - low) * weights * np.exp(factor.spread(y, 1.0, 0.0)[0][0])
    x = np.linspace(-1.5, 2.0, 9)
    kernel = np.exp(-((x[:, None] - shrink * y) ** 2) / (2 * blur)) / np.sqrt(2 * np.pi * blur)
    slope = -(x[:, None] - shrink * y) / blur * kernel
    log_density, score = factor.spread(x, shrink, blur)
    np.testing.assert_allclose(np.exp(log_density[0]), kernel @ mass, rtol=1e-11)
    np.testing.assert_allclose(score[0], (slope @ mass) / (kernel @ mass), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", FACTORS)
def test_scores_are_derivatives_of_logarithms_where_densities_underflow(name):
    factor = FACTORS[name][0]
    x, h = np.array([-30.0, 25.0]), 1e-4
    log_density, score = factor.spread(x, 1.0, 1e-3)
    assert np.all(np.exp(log_density) == 0.0) or name == "gaussian"
    quotient = (factor.spread(x + h, 1.0, 1e-3)[0] - factor.spread(x - h, 1.0, 1e-3)[0]) / (2 * h)
    np.testing.assert_allclose(score, quotient, rtol=1e-6)


def test_interval_mass_keeps_its_digits():
    cases = [(-1.0, 2.0), (0.3, 0.30001), (5.0, 5.5), (-38.0, -37.0), (-0.1, 0.1), (12.0, 30.0)]
    low, high = np.array(cases).T
    right = low > 0
    plain = np.where(right, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    mass, slope = log_interval(low, high)
    np.testing.assert_allclose(np.exp(mass), plain, rtol=3e-11)  # the plain difference loses digits, not ours
    density = np.exp(-(np.stack([low, high]) ** 2) / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(slope, (density[1] - density[0]) / plain, rtol=3e-10, atol=1e-12)


def test_a_vanishing_blur_is_no_blur():
    for factor, low, high in FACTORS.values():
        x = np.linspace(low - 0.1, high + 0.1, 12)
        for blur in (0.0, 1e-300):
            log_density, score = factor.spread(x, 1.0, blur)
            np.testing.assert_array_equal(log_density, factor.spread(x, 1.0, 0.0)[0])
            assert np.all(np.isfinite(score))


@pytest.mark.parametrize("blur", [1e-2, 1e-8, 1e-16, 1e-23])
@pytest.mark.parametrize("name", ["cut", "flat"])
def test_scores_far_outside_a_support_point_to_its_edge_in_full_precision(name, blur):
    # beyond an edge at distance r the tail falls like e^{-r²/2v}: the score is -r/v, up to v/r² of itself
    x = np.array([-3.0, -0.9, 1.6, 4.0])
    log_density, score = FACTORS[name][0].spread(x, 1.0, blur)
    to_edge = np.where(x < 0, -0.4, 1.1) - x
    assert np.all(np.isfinite(log_density))
    np.testing.assert_allclose(score[0], to_edge / blur, rtol=1e-12 + 10 * blur)


def test_interval_masses_and_slopes_are_right_in_the_deepest_tails():
    # φ(z)/Φ(z) = |z| (1 + 1/z² - …) in the tail, and Φ(z) ~ φ(z)/|z|
    near = np.array([8.0, 40.0, 1e4, 1e10, 1e14])
    for sign in (-1.0, 1.0):
        low, high = (near, near + 3.0) if sign > 0 else (-near - 3.0, -near)
        mass, slope = log_interval(low, high)
        series = 1 - 1 / near**2 + 3 / near**4 - 15 / near**6 + 105 / near**8
        expected = -0.5 * near**2 - 0.5 * np.log(2 * np.pi) - np.log(near) + np.log(series)
        assert np.all(np.abs(mass - expected) <= 1e3 / near**10 + 1e-15 * np.abs(expected))
        assert np.all(np.abs(-sign * slope - near / series) <= (1e3 / near**10 + 1e-14) * near)

"""Densities on a line, carried by steady drifts, against their closed forms."""

import numpy as np
import pytest

from controlsde.lessons.evolving import Line


def test_a_cosine_decays_at_the_rate_k_pi_squared_times_the_diffusivity():
    line = Line(0.0, 1.0, 0.1)
    start = line.density(lambda x: 1 + 0.5 * np.cos(3 * np.pi * x))
    for t, density in zip((0.1, 0.5), line.carried(start, lambda x: 0 * x, (0.1, 0.5)), strict=True):
        expected = 1 + 0.5 * np.exp(-0.1 * (3 * np.pi) ** 2 * t) * np.cos(3 * np.pi * line.x)
        np.testing.assert_allclose(line.drawn(density), expected, atol=1e-8)
        assert density.mass == pytest.approx(1.0, abs=1e-12)


def test_a_constant_drift_into_a_wall_ends_at_an_exponential():
    line = Line(0.0, 1.0, 0.2)
    (late,) = line.carried(line.density(np.ones_like), lambda x: 1.0 + 0 * x, [30.0])
    rate = 1.0 / 0.2
    expected = rate * np.exp(rate * line.x) / (np.exp(rate) - 1)
    np.testing.assert_allclose(line.drawn(late), expected, rtol=1e-8)


def test_a_gaussian_under_an_affine_drift_follows_its_mean_and_variance():
    line = Line(-6.0, 6.0, 0.1, elements=24)
    start = line.density(lambda x: np.exp(-((x - 1.0) ** 2) / (2 * 0.4**2)))
    (late,) = line.carried(start, lambda x: -0.7 * x + 0.2, [1.0])
    mean = (1.0 - 0.2 / 0.7) * np.exp(-0.7) + 0.2 / 0.7
    variance = 0.4**2 * np.exp(-1.4) + 0.1 * (1 - np.exp(-1.4)) / 0.7
    points = line.mesh.points[:, 0]
    assert late.mean_of(lambda x: x[:, 0]) == pytest.approx(mean, abs=1e-8)
    assert late.mean_of(lambda x: (x[:, 0] - mean) ** 2) == pytest.approx(variance, abs=1e-8)
    assert len(points) == 24 * 8 + 1

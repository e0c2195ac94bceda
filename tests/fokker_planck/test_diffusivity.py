"""Diffusivities: means over steps are integrals, for every kind."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from controlsde.fokker_planck.diffusivity import Steady, Varying, step_means

GROWING = Varying(math.exp, math.exp, 0.3)  # e^t is its own primitive


@pytest.mark.parametrize("diffusivity", [Steady(0.7), GROWING, GROWING.scaled(0.5)])
def test_the_mean_over_a_step_is_the_integral_over_its_length(diffusivity):
    expected = quad(diffusivity.at, 0.2, 0.9)[0] / 0.7
    assert diffusivity.mean(0.2, 0.9) == pytest.approx(expected, rel=1e-12)


def test_step_means_of_uneven_pieces_add_up_to_the_whole():
    edges = np.array([0.0, 0.1, 0.5, 2.0])
    means = step_means(GROWING, edges, 4)
    assert means.shape == (3, 4)
    total = (means * np.diff(edges)[:, None] / 4).sum()
    assert total == pytest.approx(0.3 * (math.exp(2) - 1), rel=1e-12)
    assert np.all(np.diff(means.ravel()) > 0)


def test_without_noise_nothing_varies():
    assert GROWING.scaled(0.0).steady
    assert not GROWING.scaled(1e-3).steady
    assert Steady(2.0).scaled(0.25) == Steady(0.5)


def test_rounding_of_a_primitive_never_makes_a_mean_negative():
    resting = Varying(lambda _: 0.0, lambda t: -1e-17 * t)  # a primitive that falls by rounding
    assert resting.mean(0.2, 0.9) == 0.0
    assert np.all(np.isfinite(np.sqrt(step_means(resting, np.linspace(0.0, 1.0, 5), 3))))


def test_a_mean_is_taken_of_the_span_where_that_is_known():
    # ∫ 20(1 - t)^19 dt over [a, b]: near t = 1 the primitive 1 - (1 - t)^20 has no digits of it
    falling = Varying(
        lambda t: 20 * (1 - t) ** 19,
        lambda t: 1 - (1 - t) ** 20,
        0.5,
        lambda start, end: (1 - start) ** 20 - (1 - end) ** 20,
    )
    assert falling.until(1.0) - falling.until(0.9) == pytest.approx(1e-20, abs=1e-16)
    assert falling.mean(0.9, 1.0) == pytest.approx(0.5 * 1e-20 / 0.1, rel=1e-12, abs=0)
    assert falling.scaled(0.5).mean(0.9, 1.0) == pytest.approx(0.25 * 1e-20 / 0.1, rel=1e-12, abs=0)


def test_of_a_diffusivity_that_pauses_no_step_is_without_any():
    pausing = Varying(lambda t: float(t > 0.5), lambda t: max(t - 0.5, 0.0), 0.3)
    means = step_means(pausing, np.array([0.0, 0.5, 1.0]), 2)
    assert np.all(means[0] > 0)
    assert np.all(means[0] < 1e-200)
    np.testing.assert_allclose(means[1], 0.3)
    assert np.all(step_means(pausing.scaled(0.0), np.array([0.0, 0.5, 1.0]), 2) == 0)

"""Diffusivities: means over steps are integrals, for every kind."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from controlsde.diffusivity import Steady, Varying, step_means

GROWING = Varying(math.exp, math.exp, 0.3)  # e^t is its own primitive


@pytest.mark.parametrize("diffusivity", [Steady(0.7), GROWING, GROWING.times(0.5)])
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
    assert GROWING.times(0.0).steady
    assert not GROWING.times(1e-3).steady
    assert Steady(2.0).times(0.25) == Steady(0.5)

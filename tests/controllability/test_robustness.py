"""Gains of a wrong start and errors of the weights: closed forms, and errors that are propagated as they are."""

import numpy as np
import pytest

from controlsde.controllability import robustness
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.robustness import gains, weight_errors

from .cases import gaussian, linear_drift, uniform
from .test_linearisation import PLANE, about_random


def test_ornstein_and_uhlenbecks_process_forgets_a_shift_as_it_does_and_a_scale_twice_as_fast():
    """δρ(T) is −∂ₓρ(T) e^{aT} and ½∂ₓₓρ(T) 2S₀ e^{2aT}; of N(m, S) the norms go as S^−¾ and S^−5/4."""
    for deviation, slope in ((1.0, -1.0), (0.7, -0.6)):
        tracking = gaussian(pieces=4, mean=0.3, deviation=deviation, half=7.0, elements=14)
        decay = np.exp(-0.5)
        before = (deviation**2 - 1) * decay**2 + 1
        growth = np.exp(0.5 * slope)
        after = growth**2 * before + (growth**2 - 1) / slope
        found = gains(
            Linearisation.about(tracking, linear_drift(tracking, np.full(4, slope), np.full(4, 0.1))),
            np.random.default_rng(0),
        )
        assert found.shift == pytest.approx(growth * (before / after) ** 0.75, rel=1e-5)
        assert found.scale == pytest.approx(growth**2 * (before / after) ** 1.25, rel=1e-5)
        assert found.worst > max(found.shift, found.scale)


def test_of_a_uniform_density_the_worst_start_is_the_slowest_cosine():
    tracking = uniform(noise=0.1)
    still = Linearisation.about(tracking, np.zeros(tracking.weight_shape))
    assert gains(still, np.random.default_rng(0)).worst == pytest.approx(np.exp(-0.1 * np.pi**2 * 0.2), rel=1e-8)


def test_a_start_that_a_shift_does_not_change_has_no_gain():
    tracking = uniform(**{"domain.walls": "periodic"})
    found = gains(Linearisation.about(tracking, np.zeros(tracking.weight_shape)), np.random.default_rng(0))
    assert found.shift is None
    assert found.worst == pytest.approx(np.exp(-0.1 * 4 * np.pi**2 * 0.2), rel=1e-8)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_gains_are_those_of_starts_that_are_propagated(noise, small_tracking):
    linearisation = about_random(small_tracking(noise=noise))
    mass, rng = linearisation.tracking.mesh.mass, np.random.default_rng(0)
    worst = gains(linearisation, rng).worst
    changes = rng.normal(size=(len(mass), 20))
    changes -= (mass @ changes) / mass.sum()
    after = linearisation.of_start(changes)
    assert np.all(np.sqrt(mass @ after**2) <= worst * np.sqrt(mass @ changes**2) * (1 + 1e-12))


def test_of_more_weights_than_fit_a_matrix_errors_are_predicted_by_random_ones(small_tracking, monkeypatch):
    linearisation = about_random(small_tracking())
    expected = weight_errors(linearisation, np.random.default_rng(0), samples=2).predicted
    monkeypatch.setattr(robustness, "MOST_DENSE", 1)
    found = weight_errors(linearisation, np.random.default_rng(0), samples=2).predicted
    assert found == pytest.approx(expected, rel=0.25)  # of 64 random errors, in a few directions
    assert found != expected


def test_by_lanczos_the_worst_gain_is_the_same(small_tracking, monkeypatch):
    linearisation = about_random(small_tracking("iris-plane", **PLANE))
    expected = gains(linearisation, np.random.default_rng(0))
    monkeypatch.setattr(robustness, "MOST_EXACT", 10)
    found = gains(linearisation, np.random.default_rng(1))
    assert found.worst == pytest.approx(expected.worst, rel=1e-4)
    assert (found.shift, found.scale) == (expected.shift, expected.scale)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_small_errors_of_the_weights_do_as_predicted(noise, small_tracking):
    linearisation = about_random(small_tracking(noise=noise))
    found = weight_errors(linearisation, np.random.default_rng(0), share=1e-4, samples=200)
    assert abs(found.measured - found.predicted) < 4 * found.measured_se
    assert found.measured_se < 0.1 * found.measured
    one, ten = (weight_errors(linearisation, np.random.default_rng(0), share, 8) for share in (1e-5, 1e-4))
    assert ten.predicted == pytest.approx(10 * one.predicted)
    assert ten.measured == pytest.approx(10 * one.measured, rel=1e-2)

"""Föllmer's process against its definition: the heat semigroup of dπ/dν, and Brownian bridges."""

import math

import numpy as np
import pytest

from controlsde.densities import build_density
from controlsde.densities.formula_density import gauss_grid
from controlsde.reference import ReferenceError  # noqa: A004

from .builders import MIXTURE, MIXTURE_2D, SMOOTH, UNIFORM, column, foellmer

D0, T, WIDTH, POINT = 0.4, 1.2, 0.3, 0.25
EARLIER = WIDTH**2 / (2 * D0)  # δ


@pytest.mark.parametrize("data", [MIXTURE, UNIFORM])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_the_drift_at_unit_noise_is_the_gradient_of_the_log_heat_semigroup(data, t):
    reference = foellmer(data, ((-5, 5),), diffusivity=D0, horizon=T, width=WIDTH, point=(POINT,))
    y, weights = gauss_grid(((-2.5, 2.5),) if data is MIXTURE else ((-0.4, 0.7),), 400)
    y = y[:, 0]
    x, left = column(-0.8, 0.8, 9), T - t  # left: U − u
    ratio = build_density(data, ((-5, 5),)).pdf(y[:, None]) * np.exp((y - POINT) ** 2 / (4 * D0 * (T + EARLIER)))
    kernel = np.exp(-((x - y) ** 2) / (4 * D0 * left))
    value = kernel @ (weights * ratio)
    slope = (kernel * (y - x) / (2 * D0 * left)) @ (weights * ratio)
    np.testing.assert_allclose(reference.exact_drift(t, x, 1.0)[:, 0], 2 * D0 * slope / value, rtol=1e-8)


def test_bridges_from_the_point_to_the_data_have_the_density():
    reference = foellmer(MIXTURE, ((-5, 5),), diffusivity=D0, horizon=T, width=WIDTH, point=(POINT,))
    x, t = column(-5, 5, 4001), 0.5
    share = (t + EARLIER) / (T + EARLIER)
    mean_of_data = -0.5 * 0.4 + 0.6 * 0.6
    second = 0.4 * (0.25 + 0.09) + 0.6 * (0.36 + 0.04)
    density = reference.density(t, x)
    weight = density / density.sum()
    mean = weight @ x[:, 0]
    variance = weight @ x[:, 0] ** 2 - mean**2
    assert mean == pytest.approx((1 - share) * POINT + share * mean_of_data, rel=1e-9)
    pinned = 2 * D0 * (T + EARLIER) * share * (1 - share)
    assert variance == pytest.approx(share**2 * (second - mean_of_data**2) + pinned, rel=1e-9)


def test_it_ends_in_the_data_and_begins_about_as_wide_as_asked():
    reference = foellmer(MIXTURE, ((-5, 5),), diffusivity=D0, horizon=T, width=0.05)
    x = column(-2, 2, 41)
    np.testing.assert_allclose(reference.density(T, x), build_density(MIXTURE, ((-5, 5),)).pdf(x), rtol=1e-12)
    assert reference.density(0.0, np.zeros((1, 1)))[0] == pytest.approx(1 / (0.05 * math.sqrt(2 * math.pi)), rel=0.01)


def test_simulated_paths_of_the_exact_drift_end_in_the_data(rng):
    reference = foellmer(MIXTURE, ((-5, 5),), diffusivity=D0, horizon=T, width=WIDTH)
    x, steps = reference.sample_initial(20_000, rng), 600
    for number in range(steps):
        h = T / steps
        x = x + h * reference.exact_drift(number * h, x, 1.0) + math.sqrt(2 * D0 * h) * rng.standard_normal(x.shape)
    for power in (1, 2):
        expected = {1: 0.16, 2: 0.4 * 0.34 + 0.6 * 0.4}[power]
        error = np.std(x**power) / math.sqrt(len(x))
        assert abs(np.mean(x**power) - expected) < 4 * error + 4e-3  # and the bias of the Euler steps


def test_it_works_in_two_dimensions_and_keeps_axes_apart():
    reference = foellmer(MIXTURE_2D, ((-6, 6), (-6, 6)), point=(0.3, -0.2))
    x = np.array([[0.1, 0.2], [-0.4, 0.5]])
    turned = x[:, ::-1].copy()
    other = foellmer(
        MIXTURE_2D.model_copy(
            update={
                "means": tuple(mean[::-1] for mean in MIXTURE_2D.means),
                "stds": tuple(std[::-1] for std in MIXTURE_2D.stds),
            }
        ),
        ((-6, 6), (-6, 6)),
        point=(-0.2, 0.3),
    )
    np.testing.assert_allclose(reference.density(0.4, x), other.density(0.4, turned), rtol=1e-13)
    np.testing.assert_allclose(reference.field(0.4, x), other.field(0.4, turned)[:, ::-1], rtol=1e-12)


def test_what_has_no_closed_form_is_refused_with_a_cure():
    with pytest.raises(ReferenceError, match=r"of its mass outside the box: widen domain\.box"):
        foellmer(MIXTURE, ((-2, 2),), diffusivity=2.0)
    with pytest.raises(ReferenceError, match="mixtures, samples, uniform and truncated"):
        foellmer(SMOOTH, ((-2, 2),))
    with pytest.raises(ReferenceError, match="walls: reflecting"):
        foellmer(MIXTURE, ((-5, 5),), walls="periodic")

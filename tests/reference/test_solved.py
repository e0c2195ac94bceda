"""Forward processes by formula: against closed forms, series, stationary densities; what is stated and refused."""

import math

import numpy as np
import pytest

from controlsde.reference import ReferenceError  # noqa: A004
from controlsde.reference import solved as solved_module
from tests.quick import slow

from .builders import JUMP, MIXTURE, MIXTURE_2D, SMOOTH, column, formula, formula_forward, gaussian, reversed_diffusion

OU = "ornstein-uhlenbeck"
DOUBLE_WELL = "4*(x - x^3)"  # −V′, V = x⁴ − 2x²


@pytest.mark.parametrize("data", [MIXTURE, SMOOTH])
@pytest.mark.parametrize(("drift", "same"), [("-x", OU), slow(("0", "heat"))])
def test_between_walls_it_equals_the_series(data, drift, same):
    box, x = ((-1.5, 1.2),), column(-1.5, 1.2, 41)
    solved = formula_forward(data, box, drift, horizon=0.5, diffusivity=0.7)
    series = reversed_diffusion(data, box, same, diffusivity=0.7)
    for t in (0.0, 0.2345, 0.45, 0.499, 0.5):  # the series are resolved from s = 3.5e-4 on
        np.testing.assert_allclose(solved.density(t, x), series.density(t, x), atol=1e-10)
        drift, expected = solved.exact_drift(t, x, 0.6), series.exact_drift(t, x, 0.6)
        np.testing.assert_allclose(drift[1:-1], expected[1:-1], atol=2e-5)
        np.testing.assert_allclose(drift, expected, atol=2e-4)  # at the walls no flux is a natural, weak condition


def test_ornstein_uhlenbeck_by_formula_is_as_near_as_stated():
    box, x = ((-8.0, 8.0),), column(-3, 3, 61)
    solved = formula_forward(MIXTURE, box, "-x", horizon=1.5)
    exact = reversed_diffusion(MIXTURE, box, OU, horizon=1.5, diffusivity=1.0)
    for t in (0.0, 0.3712, 1.1, 1.47, 1.4987):
        expected = exact.density(t, x)
        off = np.max(np.abs(solved.density(t, x) - expected)) / np.max(expected)
        assert off <= max(solved.flow.error, 1e-10)
        seen = expected > 1e-4
        np.testing.assert_allclose(solved.score(t, x)[seen], exact.score(t, x)[seen], atol=1e-5)


def test_a_rotating_pull_in_two_dimensions_turns_the_closed_form(monkeypatch):
    # f = -x + Jx, J the generator of rotations, commutes with the pull: q(s, x) = q_OU(s, R(s)ᵀx)
    monkeypatch.setitem(solved_module.ELEMENTS, 2, (4, 5))
    box = ((-4.5, 4.5),) * 2
    broad = MIXTURE_2D.model_copy(update={"stds": ((0.8, 0.7), (0.7, 0.8))})
    solved = formula_forward(broad, box, ("-x + y", "-y - x"), horizon=0.4, diffusivity=0.5)
    exact = reversed_diffusion(broad, box, OU, horizon=0.4, diffusivity=0.5)
    x = np.stack([np.linspace(-2, 2, 21), np.linspace(1.5, -1, 21)], axis=1)
    assert solved.flow.error < 1e-3
    for t in (0.0, 0.2, 0.37):
        s = 0.4 - t
        back = x @ np.array([[math.cos(s), math.sin(s)], [-math.sin(s), math.cos(s)]])
        expected = exact.density(t, back)
        np.testing.assert_allclose(solved.density(t, x), expected, atol=2e-4 * expected.max())


@pytest.mark.parametrize("start", ["exact", "stationary"])
def test_a_double_well_forgets_all_but_its_potential(start):
    # rates of a double well of height V/D₀ = 1 are of order one: after 40 nothing else is left
    reference = formula_forward(
        gaussian(0.3, 0.3), ((-2.5, 2.5),), DOUBLE_WELL, horizon=40.0, diffusivity=1.0, start=start
    )
    x = column(-2.5, 2.5, 20001)
    potential = x[:, 0] ** 4 - 2 * x[:, 0] ** 2
    expected = np.exp(-potential)
    expected /= np.trapezoid(expected, x[:, 0])
    np.testing.assert_allclose(reference.initial_density(x), expected, atol=1e-8)
    samples = reference.sample_initial(20_000, np.random.default_rng(1))
    mean_square = np.trapezoid(expected * x[:, 0] ** 2, x[:, 0])
    assert abs(np.mean(samples**2) - mean_square) < 4 * np.std(samples**2) / math.sqrt(20_000)


def test_the_stationary_density_has_no_net_motion():
    reference = formula_forward(
        formula("exp(-2*(x^4 - 2*x^2))"), ((-2.0, 2.0),), DOUBLE_WELL, horizon=0.5, diffusivity=0.5
    )
    x = column(-1.5, 1.5, 31)
    for t in (0.0, 0.4, 0.5):
        np.testing.assert_allclose(reference.field(t, x), 0.0, atol=1e-5)


def test_a_pull_towards_a_point_on_a_circle_keeps_its_mass():
    reference = formula_forward(
        formula("1 + 0.5*sin(2*pi*x)"), ((0.0, 1.0),), "sin(2*pi*x)", walls="periodic", horizon=0.3,
        diffusivity=0.05,
    )  # fmt: skip
    x = column(0, 1, 2001)
    for t in (0.0, 0.1, 0.29):
        density = reference.density(t, x)
        assert density[0] == pytest.approx(density[-1], rel=1e-12)
        assert np.trapezoid(density, x[:, 0]) == pytest.approx(1.0, abs=1e-6)


def test_what_the_finest_mesh_does_not_resolve_is_refused_with_a_cure():
    with pytest.raises(ReferenceError, match="smoother or broader data"):
        formula_forward(JUMP, ((-1.5, 1.2),), "-x^3", horizon=0.5)
    with pytest.raises(ReferenceError, match="not resolved"):
        formula_forward(gaussian(0.0, 0.001), ((-5, 5),), "-x^3", horizon=0.5)


def test_the_description_states_the_measured_error():
    reference = formula_forward(MIXTURE, ((-3, 3),), "-x^3", horizon=0.5)
    assert "a coarser mesh differs by" in reference.description
    assert 0 < reference.flow.error < 1e-8

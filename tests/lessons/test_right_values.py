"""The right answers of lessons 3 and 5 against independent computations: particles, quadrature, the software itself."""

import numpy as np
import pytest
from scipy.special import ive

import controlsde as cs
from controlsde.claims.noise_upgrades_convergence import flow_l2, flow_w2, oscillating, stationary_l2
from controlsde.lessons.evolving import Line
from controlsde.lessons.exercises_of import reversing_a_diffusion as reversing
from controlsde.lessons.exercises_of import what_noise_changes as noise
from controlsde.lessons.students_code import function_of, value_of


@pytest.fixture(scope="module")
def gaussian():
    """The reference of the data N(1, 0.2), reversed from an Ornstein–Uhlenbeck process."""
    data = {"kind": "mixture", "weights": [1.0], "means": [[1.0]], "stds": [[0.2**0.5]]}
    problem = cs.load_problem("two-bumps", set={"reference.data": data})
    return cs.build_reference(problem.reference, problem.domain)


def test_variance_is_that_of_the_softwares_reference(gaussian):
    x = np.linspace(-8.0, 8.0, 4001)
    for s in (0.0, 0.3, 1.2):
        density = gaussian.density(gaussian.horizon - s, x[:, None])
        mean = np.trapezoid(x * density, x)
        variance = np.trapezoid((x - mean) ** 2 * density, x)
        assert float(value_of(reversing.VARIANCE.right[0], {"s": s, "S": 0.2})) == pytest.approx(variance, rel=1e-6)


def test_score_is_that_of_the_softwares_reference(gaussian):
    x = np.linspace(-1.0, 3.0, 9)
    found = value_of(reversing.SCORE.right[0], {"x": x, "m": 1.0, "S": 0.2})
    np.testing.assert_allclose(found, gaussian.score(gaussian.horizon, x[:, None])[:, 0], rtol=1e-10)


@pytest.mark.parametrize("eta", [0.0, 0.5, 2.0])
def test_exact_drift_is_that_of_the_software(gaussian, eta):
    own, x = function_of(reversing.DRIFT.right[0], "exact_drift"), np.linspace(-1.0, 3.0, 9)
    for t in (0.0, 0.7, gaussian.horizon):
        expected = gaussian.exact_drift(t, x[:, None], eta)[:, 0]
        np.testing.assert_allclose(own(x, t, eta, gaussian.horizon, 1.0, 0.2), expected, rtol=1e-9)


@pytest.mark.parametrize("eta", [0.5, 1.0, 3.0])
def test_at_equilibrium_the_exact_drift_keeps_the_standard_normal_density(eta):
    line = Line(-7.0, 7.0, eta, elements=28)
    drift = reversing.EQUILIBRIUM.right[0]
    (late,) = line.carried(
        line.density(lambda x: np.exp(-(x**2) / 2)), lambda x: value_of(drift, {"x": x, "eta": eta}), [2.0]
    )
    np.testing.assert_allclose(line.drawn(late), np.exp(-(line.x**2) / 2) / np.sqrt(2 * np.pi), atol=1e-6)


@pytest.mark.parametrize("n", [1, 3])
def test_the_ripples_have_the_height_that_the_equation_gives(n):
    line = Line(0.0, 1.0, 0.0, elements=16 * n)
    (late,) = line.carried(line.density(np.ones_like), lambda x: oscillating(1.0, n)(0.0, x), [1.0])
    height = float(value_of(noise.HEIGHT.right[0], {"A": 1.0, "t": 1.0, "n": float(n)}))
    assert late.on((np.array([1 / (2 * n)]),))[0] == pytest.approx(height, rel=1e-6)
    x = np.linspace(0.0, 1.0, 41)
    np.testing.assert_allclose(late.on((x,)), 1 / (np.cosh(1) + np.sinh(1) * np.cos(2 * np.pi * n * x)), rtol=1e-6)
    assert late.l2(lambda points: np.ones(len(points))) == pytest.approx(flow_l2(1.0, 1.0), rel=1e-8)


def test_the_distance_is_that_of_the_exact_map():
    assert float(value_of(noise.DISTANCE.right[0])) == pytest.approx(flow_w2(1.0, 1.0, 4), rel=1e-4)


def test_kappa_gives_the_stationary_density():
    amplitude, n, nu = 1.0, 2, 0.01
    kappa = float(value_of(noise.KAPPA.right[0], {"A": amplitude, "n": float(n), "nu": nu}))
    assert stationary_l2(amplitude, nu, n) == pytest.approx(np.sqrt(ive(0, 2 * kappa) / ive(0, kappa) ** 2 - 1))
    line = Line(0.0, 1.0, nu, elements=12)
    (late,) = line.carried(line.density(np.ones_like), lambda x: oscillating(amplitude, n)(0.0, x), [400.0])
    shape = np.exp(-kappa * np.cos(2 * np.pi * n * line.x))
    np.testing.assert_allclose(line.drawn(late), shape / np.trapezoid(shape, line.x), rtol=1e-6)


def test_the_slope_is_that_of_the_formula():
    slope = np.log2(stationary_l2(1.0, 0.05, 128) / stationary_l2(1.0, 0.05, 64))
    assert float(value_of(noise.SLOPE.right[0])) == pytest.approx(slope, abs=1e-3)


def test_two_starts_stay_apart_without_noise_and_not_with_it():
    x = np.linspace(0.0, 1.0, 2001)
    for diffusivity, kept in ((0.0, 1.0), (0.2, np.exp(-(np.pi**2) * 0.2))):
        line = Line(0.0, 1.0, diffusivity, elements=24)
        ends = [
            line.carried(line.density(start), lambda x: oscillating(1.0, 2)(0.0, x), [0.0, 1.0])
            for start in (np.ones_like, lambda x: 1.0 + 0.8 * np.cos(np.pi * x))
        ]
        before, after = (np.trapezoid(np.abs(ends[0][k].on((x,)) - ends[1][k].on((x,))), x) for k in (0, 1))
        assert after / before == pytest.approx(kept, rel=1e-4 if diffusivity == 0.0 else 0.02)


@pytest.mark.parametrize("share", [0.25, 0.7, 1.0])
def test_the_upwind_step_spreads_as_the_formula_for_its_diffusivity_says(share):
    cells, h, v = 400, 1 / 400, 1.0
    step, x = function_of(noise.UPWIND.right[0], "upwind"), (np.arange(400) + 0.5) / 400
    density = np.where(np.arange(cells) == 40, 1.0, 0.0)
    for _ in range(100):
        density = step(density, share)
    mean = x @ density
    variance = (x - mean) ** 2 @ density
    d = float(value_of(noise.NUMERICAL.right[0], {"v": v, "h": h, "c": share}))
    assert density.sum() == pytest.approx(1.0, rel=1e-12)
    assert mean == pytest.approx(x[40] + 100 * share * h, rel=1e-9)
    assert variance == pytest.approx(2 * d * 100 * share * h / v, rel=1e-9, abs=1e-15)

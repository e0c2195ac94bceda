"""Every density: mass one, gradients, distribution functions and samples."""

import itertools

import numpy as np
import pytest

from controlsde.densities import (
    BoxesDensity,
    FormulaDensity,
    GaussianMixture,
    GridSampler,
    TruncatedMixture,
    build_density,
    condition,
)
from controlsde.densities.formula_density import gauss_grid
from controlsde.problem import schema

LINE = ((-2.0, 1.5),)
PLANE = ((-2.0, 1.5), (-1.0, 2.0))
MIXTURE = GaussianMixture(np.array([0.4, 0.6]), np.array([[-0.5], [0.6]]), np.array([[0.09], [0.04]]))
MIXTURE_2D = GaussianMixture(
    np.array([0.4, 0.6]), np.array([[-0.5, 0.3], [0.6, 0.4]]), np.array([[0.09, 0.02], [0.04, 0.05]])
)
SPACE = ((0.0, 1.0), (0.0, 2.0), (-1.0, 1.0))
CORRELATED_2D = build_density(
    schema.Mixture(
        weights=(0.4, 0.6),
        means=((-0.5, 0.3), (0.6, 0.4)),
        covariances=(((0.09, 0.03), (0.03, 0.05)), ((0.2, -0.1), (-0.1, 0.15))),
    ),
    PLANE,
)
IMAGE = schema.Image(pixels=((0, 200, 255), (255, 90, 30), (120, 255, 255)), bandwidth=(0.2, 0.3))


def formula(text, box):
    return build_density(schema.FormulaSpec(expression=text), box)


ON_LINE = {
    "mixture": condition(MIXTURE, LINE),
    "uniform": BoxesDensity.uniform(((-1.2, 0.7),)),
    "boxes": build_density(schema.Boxes(boxes=((-1.2, -0.4), (0.1, 0.7)), weights=(0.3, 0.7)), LINE),
    "truncated": build_density(schema.Truncated(mean=(0.4,), std=(0.8,), low=(-1.0,), high=(1.0,)), LINE),
    "far truncated": TruncatedMixture(GaussianMixture(np.ones(1), np.array([[40.0]]), np.ones((1, 1))), LINE),
    "student-t": build_density(schema.StudentT(degrees_of_freedom=2.5, location=(0.3,), scale=(0.4,)), LINE),
    "formula": formula("exp(-x**2) * (1.5 + sin(3*x))", LINE),
    "kink": formula("0.1 + abs(x - 0.3)", LINE),
    "jump": formula("where(x < 0.3, 1.5, 0.5)", LINE),
}
BREAKS = {
    "uniform": (-1.2, 0.7),
    "boxes": (-1.2, -0.4, 0.1, 0.7),
    "truncated": (-1.0, 1.0),
    "kink": (0.3,),
    "jump": (0.3,),
}
IN_SPACE = {
    "mixture 2d": (MIXTURE_2D, ((-4.0, 4.0), (-3.0, 3.0))),
    "cut mixture 2d": (condition(MIXTURE_2D, PLANE), PLANE),
    "uniform 3d": (BoxesDensity.uniform(SPACE), SPACE),
    "correlated 2d": (CORRELATED_2D, ((-4.0, 4.0), (-3.0, 3.0))),
    "cut correlated 2d": (condition(CORRELATED_2D, PLANE), PLANE),
    "student-t 2d": (
        build_density(schema.StudentT(degrees_of_freedom=3, location=(0.2, 0.5), scale=(0.7, 0.5)), PLANE),
        PLANE,
    ),
    "funnel 2d": (build_density(schema.Funnel(std=0.8), PLANE), PLANE),
    "funnel 3d": (build_density(schema.Funnel(std=0.8), SPACE), SPACE),
    "image": (build_density(IMAGE, PLANE), PLANE),
    "formula 2d": (formula("exp(-x**2 - y**2 / 2) * (1.2 + sin(x * y))", PLANE), PLANE),
    "formula 3d": (formula("1 + x1 * x2 + x3**2", SPACE), SPACE),
}


def line_rule(name):
    """Gauss quadrature on LINE, between the points where the density is not smooth."""
    edges = [LINE[0][0], *BREAKS.get(name, ()), LINE[0][1]]
    rules = [gauss_grid(((a, b),), 20) for a, b in itertools.pairwise(edges)]
    return np.concatenate([rule[0] for rule in rules]), np.concatenate([rule[1] for rule in rules])


def smooth_points(name, rng, count=50):
    x = rng.uniform(LINE[0][0] + 0.01, LINE[0][1] - 0.01, (count, 1))
    near = [abs(x[:, 0] - stop) < 1e-3 for stop in BREAKS.get(name, ())]
    return x[~np.any(near, axis=0)] if near else x


@pytest.mark.parametrize("name", ON_LINE)
def test_mass_is_one_on_a_line(name):
    x, weights = line_rule(name)
    assert weights @ ON_LINE[name].pdf(x) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", IN_SPACE)
def test_mass_is_one_in_space(name):
    density, box = IN_SPACE[name]
    x, weights = gauss_grid(box, 12 if len(box) == 2 else 3)
    assert weights @ density.pdf(x) == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize("name", ON_LINE)
def test_gradient_is_the_difference_quotient_on_a_line(name, rng):
    density, x, h = ON_LINE[name], smooth_points(name, rng), 1e-5
    quotient = (density.pdf(x + h) - density.pdf(x - h)) / (2 * h)
    np.testing.assert_allclose(density.grad(x)[:, 0], quotient, atol=2e-8 * (1 + np.max(np.abs(quotient))))


@pytest.mark.parametrize("name", IN_SPACE)
def test_gradient_is_the_difference_quotient_in_space(name, rng):
    density, box = IN_SPACE[name]
    low, high = np.array(box).T
    x, h = rng.uniform(low + 0.01, high - 0.01, (50, len(box))), 1e-5
    for axis, step in enumerate(h * np.eye(len(box))):
        quotient = (density.pdf(x + step) - density.pdf(x - step)) / (2 * h)
        np.testing.assert_allclose(density.grad(x)[:, axis], quotient, atol=1e-8)


@pytest.mark.parametrize("name", ON_LINE)
def test_cdf_is_the_integral_of_the_pdf(name):
    density = ON_LINE[name]
    x = line_rule(name)[0]
    for stop in (-1.1, -0.2, 0.31, 1.2):
        edges = sorted({LINE[0][0], *(b for b in BREAKS.get(name, ()) if b < stop), stop})
        mass = 0.0
        for a, b in itertools.pairwise(edges):
            nodes, inner = gauss_grid(((a, b),), 20)
            mass += inner @ density.pdf(nodes)
        assert density.cdf(np.array([[stop]]))[0] == pytest.approx(mass, abs=1e-12)
    np.testing.assert_allclose(density.cdf(x) + density.survival(x), 1.0, atol=1e-13)
    np.testing.assert_allclose(density.cdf(np.array([[-9.0], [9.0]])), [0.0, 1.0], atol=1e-13)


def test_survival_keeps_its_digits_in_the_tail():
    standard = GaussianMixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)))
    assert standard.survival(np.array([[10.0]]))[0] == pytest.approx(7.619853024160527e-24, rel=1e-12)


@pytest.mark.parametrize("name", ON_LINE)
def test_samples_have_the_moments_of_the_density(name, rng):
    density = ON_LINE[name]
    x, weights = line_rule(name)
    mass = weights * density.pdf(x)
    samples = density.sample(40_000, rng)
    assert samples.shape == (40_000, 1)
    for power in (1, 2, 3):
        moment, spread = mass @ x[:, 0] ** power, mass @ x[:, 0] ** (2 * power)
        error = np.sqrt((spread - moment**2) / 40_000)
        assert abs(np.mean(samples[:, 0] ** power) - moment) < 4.5 * error


@pytest.mark.parametrize("name", IN_SPACE)
def test_samples_in_space_have_the_mean_and_covariance_of_the_density(name, rng):
    density, box = IN_SPACE[name]
    x, weights = gauss_grid(box, 12 if len(box) == 2 else 3)
    mass = weights * density.pdf(x)
    samples = density.sample(20_000, rng)
    for i in range(len(box)):
        for j in range(i, len(box)):
            moment, spread = mass @ (x[:, i] * x[:, j]), mass @ (x[:, i] * x[:, j]) ** 2
            error = np.sqrt((spread - moment**2) / 20_000)
            assert abs(np.mean(samples[:, i] * samples[:, j]) - moment) < 4.5 * error
        mean, spread = mass @ x[:, i], mass @ x[:, i] ** 2
        assert abs(np.mean(samples[:, i]) - mean) < 4.5 * np.sqrt((spread - mean**2) / 20_000)


def test_grid_samples_have_the_law_of_the_interpolant(rng):
    # The linear interpolant of x² on [0, 1], cells of size h, has mass 1/3 + h²/6, first moment 1/4 + h²/12.
    for cells in (2, 4, 64):
        x = GridSampler.of(lambda y: y[:, 0] ** 2, ((0.0, 1.0),), cells).sample(400_000, rng)
        mean = (1 / 4 + 1 / (12 * cells**2)) / (1 / 3 + 1 / (6 * cells**2))
        assert abs(np.mean(x) - mean) < 4.5 * np.std(x) / np.sqrt(x.size)


def test_samples_of_uniform_and_truncated_stay_inside(rng):
    for name in ("uniform", "truncated", "far truncated"):
        samples = ON_LINE[name].sample(10_000, rng)
        assert np.all(ON_LINE[name].pdf(samples) > 0.0)


def test_mass_outside_a_box_is_exact_when_tiny():
    standard = GaussianMixture(np.ones(1), np.zeros((1, 2)), np.ones((1, 2)))
    # Two axes, two tails each: 4 · P(N > 9)
    assert standard.mass_outside(((-9.0, 9.0), (-9.0, 9.0))) == pytest.approx(4 * 1.1285884059538e-19, rel=1e-9)


def test_samples_with_a_bandwidth_are_a_mixture():
    spec = schema.Samples(points=((0.1,), (0.4,), (-1.0,)), bandwidth=(0.2,))
    density = build_density(spec, LINE)
    x = np.linspace(-2, 1.5, 7)
    kernel = np.exp(-((x[:, None] - np.array([0.1, 0.4, -1.0])) ** 2) / 0.08) / np.sqrt(2 * np.pi * 0.04)
    np.testing.assert_allclose(density.pdf(x[:, None]), kernel.mean(axis=1), rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "negative"),
        ("0*x", "positive integral"),
        ("1/(x + 2)", "not finite"),
        ("1/abs(x - 0.1)", "not finite"),
    ],
)
def test_formulas_that_are_no_density_are_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        formula(text, LINE)


def test_formula_quadrature_reports_its_error_in_space():
    smooth = formula("exp(-x**2 - y**2)", PLANE)
    jump = formula("where(x + y < 0.37, 1, 0.2)", PLANE)
    assert isinstance(smooth, FormulaDensity)
    assert smooth.normalisation_error < 1e-14 < 1e-8 < jump.normalisation_error < 1e-2


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(n, 1\)"):
        MIXTURE.pdf(np.zeros(5))
    with pytest.raises(ValueError, match="d = 1 only"):
        MIXTURE_2D.cdf(np.zeros((5, 2)))

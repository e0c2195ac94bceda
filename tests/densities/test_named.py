"""Student-t, the funnel, full covariances and pictures against SciPy and the integrals that define them."""

import math

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy import stats

from controlsde.densities import (
    ConditionedDensity,
    CorrelatedMixture,
    FormulaDensity,
    GaussianMixture,
    ImageDensity,
    build_density,
    condition,
)
from controlsde.densities.formula_density import gauss_grid
from controlsde.problem import schema

LINE = ((-2.0, 1.5),)
PLANE = ((-2.0, 1.5), (-1.0, 2.0))
SPACE = (*PLANE, (-0.5, 0.5))
COVARIANCES = (((0.25, 0.15), (0.15, 0.2)), ((0.1, -0.05), (-0.05, 0.3)))
CORRELATED = schema.Mixture(weights=(0.4, 0.6), means=((-0.5, 0.3), (0.6, 0.4)), covariances=COVARIANCES)
PIXELS = ((0.0, 90.0, 255.0), (200.0, 255.0, 120.0))


def points(box, rng, count=40):
    low, high = np.array(box).T
    return rng.uniform(low, high, (count, len(box)))


def image(box=PLANE, **rest):
    return build_density(schema.Image(pixels=PIXELS, **{"bandwidth": (0.3,), **rest}), box)


@pytest.mark.parametrize("nu", [0.5, 1.0, 3.0, 40.0])
def test_student_t_on_a_line_is_the_one_of_scipy_conditioned_on_the_box(nu):
    density = build_density(schema.StudentT(degrees_of_freedom=nu, location=(-0.3,), scale=(0.2,)), LINE)
    law = stats.t(nu, loc=-0.3, scale=0.2)
    inside = law.cdf(1.5) - law.cdf(-2.0)
    x = np.linspace(-2.0, 1.5, 41)
    np.testing.assert_allclose(density.pdf(x[:, None]), law.pdf(x) / inside, rtol=1e-12)
    np.testing.assert_allclose(density.cdf(x[:, None]), (law.cdf(x) - law.cdf(-2.0)) / inside, atol=1e-13)


@pytest.mark.parametrize("box", [PLANE, SPACE])
def test_student_t_in_space_is_the_multivariate_one_of_scipy(box, rng):
    location, scale = (0.2, 0.5, 0.1)[: len(box)], (0.7, 0.4, 0.5)[: len(box)]
    density = build_density(schema.StudentT(degrees_of_freedom=2.5, location=location, scale=scale), box)
    x, law = points(box, rng), stats.multivariate_t(location, np.diag(np.square(scale)), df=2.5)
    ratio = density.pdf(x) / law.pdf(x)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert ratio[0] > 1.0  # some mass was outside


@pytest.mark.parametrize("box", [PLANE, SPACE])
def test_the_funnel_is_a_normal_whose_variance_is_the_exponential_of_another(box, rng):
    density, x = build_density(schema.Funnel(std=0.8), box), points(box, rng)
    law = stats.norm(0, 0.8).pdf(x[:, 0]) * np.prod(stats.norm(0, np.exp(x[:, :1] / 2)).pdf(x[:, 1:]), axis=1)
    ratio = density.pdf(x) / law
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


def test_a_neck_that_the_quadrature_does_not_resolve_is_refused():
    with pytest.raises(ValueError, match="funnel is too narrow somewhere for its box"):
        build_density(schema.Funnel(std=3.0), ((-12.0, 12.0), (-40.0, 40.0)))
    with pytest.raises(ValueError, match="a broader student-t"):
        build_density(schema.StudentT(degrees_of_freedom=1, location=(0, 0), scale=(1e-3,)), ((-9.0, 9.0),) * 2)


def test_full_covariances_are_those_of_scipy(rng):
    density, x = build_density(CORRELATED, PLANE), points(((-9, 9), (-9, 9)), rng)
    laws = [stats.multivariate_normal(m, c) for m, c in zip(CORRELATED.means, COVARIANCES, strict=True)]
    expected = 0.4 * laws[0].pdf(x) + 0.6 * laws[1].pdf(x)
    np.testing.assert_allclose(density.pdf(x), expected, rtol=1e-10)
    samples = density.sample(100_000, rng)
    second = sum(
        w * (np.array(c) + np.outer(m, m)) for w, m, c in zip((0.4, 0.6), CORRELATED.means, COVARIANCES, strict=True)
    )
    np.testing.assert_allclose(samples.T @ samples / 100_000, second, atol=0.01)


def test_full_covariances_keep_their_score_where_the_density_underflows():
    density = build_density(CORRELATED, PLANE)
    far = np.array([[80.0, -60.0], [-70.0, 90.0]])
    log_density, score = density.log_density(far)
    assert np.all(np.isfinite(log_density))
    assert np.all(density.pdf(far) == 0.0)
    h = 1e-4
    for axis, step in enumerate(h * np.eye(2)):
        quotient = (density.log_density(far + step)[0] - density.log_density(far - step)[0]) / (2 * h)
        np.testing.assert_allclose(score[:, axis], quotient, rtol=1e-6)


def test_diagonal_covariances_are_a_mixture_with_standard_deviations():
    spec = schema.Mixture(means=((0.1, 0.2),), covariances=(((0.04, 0.0), (0.0, 0.09)),))
    density = build_density(spec, PLANE)
    assert isinstance(density, GaussianMixture)
    np.testing.assert_allclose(density.variances, [[0.04, 0.09]])
    again = CorrelatedMixture.from_independent(density)
    x = np.array([[0.3, -0.2], [1.0, 0.5]])
    np.testing.assert_allclose(again.pdf(x), density.pdf(x), rtol=1e-14)


def test_mass_outside_is_right_when_small_and_a_bound_otherwise():
    density = build_density(CORRELATED, PLANE)
    for box in (((-3.5, 3.0), (-2.5, 3.5)), ((-1.0, 1.0), (-0.5, 1.2))):
        nodes, weights = gauss_grid(box, 32)
        outside, bound = 1.0 - weights @ density.pdf(nodes), density.mass_outside(box)
        assert outside <= bound <= outside * (1.0 + 1e-6 + 2.0 * math.sqrt(outside)) + 1e-14


def test_conditioning_divides_by_the_mass_in_the_box(rng):
    whole = build_density(CORRELATED, PLANE)
    density = condition(whole, PLANE)
    assert isinstance(density, ConditionedDensity)
    samples = whole.sample(200_000, rng)
    inside = np.mean(np.all((samples >= (-2.0, -1.0)) & (samples <= (1.5, 2.0)), axis=1))
    assert density.mass == pytest.approx(inside, abs=5 * math.sqrt(inside * (1 - inside) / 200_000))
    assert density.pdf(np.array([[-2.1, 0.0]]))[0] == density.grad(np.array([[-2.1, 0.0]]))[0, 0] == 0.0
    assert np.all(density.pdf(density.sample(10_000, rng)) > 0.0)


def test_what_cannot_be_conditioned_is_refused():
    whole = build_density(CORRELATED, PLANE)
    with pytest.raises(ValueError, match="move or widen the box"):
        condition(whole, ((8.0, 9.0), (8.0, 9.0)))
    thin = CorrelatedMixture(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, 0.9999999], [0.9999999, 1.0]]]))
    with pytest.raises(ValueError, match="too narrow for its box"):
        condition(thin, PLANE)


@pytest.mark.parametrize(
    ("covariance", "reason"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], "positive definite"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
        ([[1.0]], "shape|covariances"),
    ],
)
def test_matrices_that_are_no_covariance_are_refused(covariance, reason):
    with pytest.raises(ValueError, match=reason):
        CorrelatedMixture(np.ones(1), np.zeros((1, 2)), np.array([covariance]))


def test_an_image_is_its_pixels_blurred_between_mirrors(rng):
    # The evenly continued picture times a Gaussian, by Gauss quadrature inside every pixel of 5 x 5 mirror images.
    blur, floor = (0.5, 0.3), 0.1
    density, x = image(bandwidth=blur, floor=floor), points(PLANE, rng, 20)
    dark = 255.0 - np.array(PIXELS)
    nodes, weights = leggauss(40)
    expected = np.zeros(20)
    size = np.array([3.5 / 3, 3.0 / 2])
    for column in range(-6, 9):
        for row in range(-4, 6):
            across, down = column % 6, row % 4
            mass = dark[min(down, 3 - down), min(across, 5 - across)] / np.sum(dark)
            left, top = -2.0 + column * size[0], 2.0 - row * size[1]
            kernels = [
                stats.norm(0, b).pdf(x[:, axis, None] - (corner + step * 0.5 * (nodes + 1))) @ weights * 0.5
                for axis, (b, corner, step) in enumerate(zip(blur, (left, top), (size[0], -size[1]), strict=True))
            ]
            expected += mass * kernels[0] * kernels[1]
    np.testing.assert_allclose(density.pdf(x), (1 - floor) * expected + floor / 10.5, rtol=1e-11)


def test_the_first_row_of_an_image_is_at_the_top():
    corner = {"pixels": ((0.0, 255.0), (255.0, 255.0)), "bandwidth": (0.1,)}
    ends = np.array([[-1.5, 1.5], [1.2, 1.5], [-1.5, -0.5], [1.2, -0.5]])  # top left, top right, bottom left, …
    dark = build_density(schema.Image(**corner, floor=0.0), PLANE).pdf(ends)
    assert np.argmax(dark) == 0
    np.testing.assert_allclose(dark, [4 / 10.5, 0, 0, 0], atol=1e-6)
    bright = build_density(schema.Image(**corner, mass="bright", floor=0.0), PLANE).pdf(ends)
    np.testing.assert_allclose(bright, [0] + [4 / 3 / 10.5] * 3, atol=1e-6)


def test_an_image_is_positive_by_its_floor_and_flat_across_the_walls(rng):
    density = image(floor=0.2)
    assert np.min(density.pdf(points(PLANE, rng, 1000))) >= 0.2 / 10.5
    walls = np.array([[-2.0, 0.3], [1.5, 1.0], [0.1, -1.0], [0.1, 2.0]])
    normal = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(density.grad(walls)[np.arange(4), normal], 0.0, atol=1e-14)
    assert np.all(density.pdf(np.array([[-2.01, 0.3], [0.0, 2.01]])) == 0.0)


def test_an_image_of_nothing_is_refused():
    with pytest.raises(ValueError, match="not all zero"):
        ImageDensity(np.zeros((3, 3)), PLANE, (0.1, 0.1), 0.0)
    with pytest.raises(ValueError, match="two dimensions"):
        ImageDensity(np.ones((3, 3)), SPACE, (0.1, 0.1), 0.0)
    with pytest.raises(ValueError, match="holds no pixels"):
        build_density(schema.Image(file="a.png", bandwidth=(1.0,)), PLANE)


def test_named_densities_are_formulas_with_all_that_these_can_do():
    named = (schema.StudentT(degrees_of_freedom=2.5, location=(0, 0), scale=(0.5,)), schema.Funnel(std=0.8))
    assert all(isinstance(build_density(spec, PLANE), FormulaDensity) for spec in named)

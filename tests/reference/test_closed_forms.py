"""References against closed forms and against independent ways of computing the same thing."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm
from scipy.stats import multivariate_normal, truncnorm
from scipy.stats import t as student_t

from controlsde.densities import GaussianMixture, TruncatedMixture, build_density
from controlsde.densities.formula_density import gauss_grid
from controlsde.distances import wasserstein_2
from controlsde.problem import schema
from controlsde.reference import ReferenceError  # noqa: A004
from controlsde.reference.bases import CosineBasis, FourierBasis, ReflectedOrnsteinUhlenbeckBasis
from controlsde.reference.correlated_flow import CorrelatedClosedForm
from controlsde.reference.flows import ClosedForm, ForwardProcess, Mirrors, Windings
from controlsde.reference.projection import project
from controlsde.reference.series import Series

from .builders import (
    CORRELATED,
    CORRELATED_3D,
    IMAGE,
    JUMP,
    MIXTURE,
    MIXTURE_2D,
    SMOOTH,
    STUDENT_T,
    TRUNCATED,
    UNIFORM,
    column,
    displacement,
    formula,
    gaussian,
    moser,
    reversed_diffusion,
)

OU = "ornstein-uhlenbeck"


def test_neumann_heat_of_a_cosine():
    c, D0, T = 0.4, 0.7, 0.3
    reference = reversed_diffusion(formula(f"1 + {c}*cos(pi*x)"), ((0, 1),), horizon=T, diffusivity=D0)
    x = column(0, 1, 33)
    for s in (0.0, 1e-4, 0.1, T):
        decayed = c * math.exp(-(math.pi**2) * D0 * s)
        np.testing.assert_allclose(reference.density(T - s, x), 1 + decayed * np.cos(np.pi * x[:, 0]), atol=1e-12)


def test_heat_of_a_wave_on_a_circle():
    reference = reversed_diffusion(formula("1 + 0.5*sin(4*pi*x)"), ((0, 1),), walls="periodic", horizon=0.05)
    x = column(0, 1, 33)
    decayed = 0.5 * math.exp(-((4 * math.pi) ** 2) * 0.7 * 0.05)
    np.testing.assert_allclose(reference.density(0.0, x), 1 + decayed * np.sin(4 * np.pi * x[:, 0]), atol=1e-12)


@pytest.mark.parametrize("spec", [MIXTURE, UNIFORM, TRUNCATED])
@pytest.mark.parametrize("s", [0.02, 0.4, 1.5])
def test_free_ornstein_uhlenbeck_is_the_data_times_its_kernel(spec, s):
    # q(s, x) = ∫ f(y) N(x; e^{-s}y, D₀(1 - e^{-2s})) dy, by Gauss quadrature over the support of f
    box, D0 = ((-8.0, 8.0),), 0.7
    reference = reversed_diffusion(spec, box, OU, horizon=1.5, diffusivity=D0)
    data = build_density(spec, box)
    support = data.box if spec is UNIFORM else ((-4.0, 4.0),)
    y, weights = gauss_grid(support, 60)
    x, variance = np.linspace(-2.0, 2.0, 13), D0 * (1 - math.exp(-2 * s))
    kernel = np.exp(-((x[:, None] - math.exp(-s) * y[:, 0]) ** 2) / (2 * variance))
    expected = kernel @ (weights * data.pdf(y)) / math.sqrt(2 * math.pi * variance)
    np.testing.assert_allclose(reference.density(1.5 - s, x[:, None]), expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("forward", [OU, "heat"])
def test_walled_flow_matches_the_method_of_lines(forward):
    # Conservative finite volumes with zero flux at the walls, Richardson-extrapolated: fourth order.
    D0, T, (low, high) = 0.7, 0.3, (-1.0, 1.3)
    reference = reversed_diffusion(SMOOTH, ((low, high),), forward, horizon=T, diffusivity=D0)
    pull = 1.0 if forward == OU else 0.0

    def solve(cells):
        h = (high - low) / cells
        edges = low + h * np.arange(1, cells)
        matrix = np.zeros((cells + 1, cells))  # fluxes at edges: pull·x q + D₀ q'
        for i, x in enumerate(edges, start=1):
            matrix[i, i - 1] = 0.5 * pull * x - D0 / h
            matrix[i, i] = 0.5 * pull * x + D0 / h
        matrix = np.diff(matrix, axis=0) / h
        nodes, weights = gauss_grid(((low, high),), cells)
        start = (weights * build_density(SMOOTH, ((low, high),)).pdf(nodes)).reshape(cells, -1).sum(axis=1) / h
        run = solve_ivp(lambda _, q: matrix @ q, (0, T), start, "BDF", jac=matrix, rtol=1e-9, atol=1e-10)
        return run.y[:, -1]

    def averages(cells):
        nodes, weights = gauss_grid(((low, high),), cells)
        return (weights * reference.density(0.0, nodes)).reshape(cells, -1).sum(axis=1) * cells / (high - low)

    coarse, fine = solve(60), solve(120).reshape(60, 2).mean(axis=1)
    assert np.max(np.abs(fine - averages(60))) < 1e-3
    np.testing.assert_allclose((4 * fine - coarse) / 3, averages(60), atol=2e-6)


def test_reflected_ornstein_uhlenbeck_forgets_all_but_the_cut_gaussian():
    reference = reversed_diffusion(MIXTURE, ((-1.5, 1.2),), OU, horizon=20.0, diffusivity=1.0)
    x = column(-1.5, 1.2, 33)
    np.testing.assert_allclose(reference.density(0.0, x), truncnorm.pdf(x[:, 0], -1.5, 1.2), atol=1e-12)


def test_the_cut_gaussian_does_not_move_under_reflected_ornstein_uhlenbeck():
    D0, box = 0.6, ((-1.0, 1.4),)
    still = schema.Truncated(mean=(0.0,), std=(math.sqrt(D0),))
    reference = reversed_diffusion(still, box, OU, diffusivity=D0)
    x = column(-1.0, 1.4, 33)
    for t in (0.0, 0.2, 0.5):
        np.testing.assert_allclose(reference.density(t, x), reference.density(0.5, x), atol=1e-12)
        np.testing.assert_allclose(reference.field(t, x), 0.0, atol=1e-9)  # the score is -x/D₀: no net motion


@pytest.mark.parametrize("walls", ["reflecting", "absorbing"])
def test_stationary_starts(walls):
    x = column(-1.5, 1.2, 33)
    ou = reversed_diffusion(MIXTURE, ((-1.5, 1.2),), OU, walls, diffusivity=1.0, start="stationary")
    np.testing.assert_allclose(ou.initial_density(x), truncnorm.pdf(x[:, 0], -1.5, 1.2), atol=1e-13)
    heat = reversed_diffusion(MIXTURE, ((-1.5, 1.2),), "heat", walls, start="stationary")
    np.testing.assert_allclose(heat.initial_density(x), 1 / 2.7, atol=1e-13)
    free = reversed_diffusion(MIXTURE, ((-7, 7),), OU, walls, diffusivity=1.0, start="stationary")
    np.testing.assert_allclose(free.initial_density(x), np.exp(-(x[:, 0] ** 2) / 2) / math.sqrt(2 * math.pi))


def test_reflected_rates_are_whole_numbers_on_a_wide_box():
    rates = ReflectedOrnsteinUhlenbeckBasis(-9.0, 9.0, 216, 1.0).rates
    np.testing.assert_allclose(rates[:5], np.arange(5), atol=1e-9)


def test_modes_match_the_free_closed_form_on_a_wide_box():
    box, process = ((-7.0, 7.0),), ForwardProcess(1.0, 1.0)
    data = build_density(MIXTURE, box)
    basis = (ReflectedOrnsteinUhlenbeckBasis(-7.0, 7.0, 320, 1.0),)
    modes = Series(data, basis, project(data, 0.0, basis, box), box, "modes")
    x = column(-3, 3, 41)
    for s in (0.05, 0.3, 1.5):
        free = data.spread(process.shrink(s), process.blur(s))
        np.testing.assert_allclose(modes.density(s, x), free.pdf(x), atol=1e-11)


@pytest.mark.parametrize("spec", [MIXTURE, UNIFORM, TRUNCATED])
def test_images_match_the_cosine_series(spec):
    box, process = ((-1.5, 1.2),), ForwardProcess(0.0, 1.0)
    data = build_density(spec, box)
    data = TruncatedMixture(data, box) if isinstance(data, GaussianMixture) else data
    images = ClosedForm(data, data.products, process, Mirrors(box))
    basis = (CosineBasis(-1.5, 1.2, 600, 1.0),)
    series = Series(data, basis, project(data, 0.0, basis, box), box, "series")
    x = column(-1.5, 1.2, 41)
    for s in (1e-3, 0.05, 1.0):
        np.testing.assert_allclose(images.density(s, x), series.density(s, x), atol=1e-12)
        seen = images.density(s, x) > 1e-7  # below, the series has no digits left for a ratio
        np.testing.assert_allclose(images.score(s, x)[seen], series.score(s, x)[seen], atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize("s", [1e-5, 1e-3, 0.05])
def test_a_jump_is_blurred_exactly_at_small_times(s):
    # A formula's jump, by series, against the same density as a sum of two uniform ones, by images.
    box, D0, T = ((-1.0, 1.0),), 0.5, 0.1
    series = reversed_diffusion(formula("where(x < 0.1, 1, 0.4)"), box, horizon=T, diffusivity=D0)
    left = reversed_diffusion(schema.Uniform(low=(-1.0,), high=(0.1,)), box, horizon=T, diffusivity=D0)
    right = reversed_diffusion(schema.Uniform(low=(0.1,), high=(1.0,)), box, horizon=T, diffusivity=D0)
    x = np.concatenate([column(-1, 1, 41), 0.1 + column(-0.02, 0.02, 41)])
    share = 1.1 / (1.1 + 0.4 * 0.9)
    expected = share * left.density(T - s, x) + (1 - share) * right.density(T - s, x)
    np.testing.assert_allclose(series.density(T - s, x), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("spec", "walls"), [(CORRELATED, "reflecting"), (CORRELATED, "periodic"), (CORRELATED_3D, "reflecting")]
)
@pytest.mark.parametrize("forward", [OU, "heat"])
def test_correlated_gaussians_shrink_and_blur_in_free_space(spec, walls, forward):
    # OU: N(m, S) -> N(e^{-s} m, e^{-2s} S + (1 - e^{-2s}) D₀ I); heat: N(m, S + 2 D₀ s I), walls far away
    D0, T, d = 0.7, 0.6, len(spec.means[0])
    reference = reversed_diffusion(spec, ((-9.0, 9.0),) * d, forward, walls, horizon=T, diffusivity=D0)
    x = np.random.default_rng(1).normal(size=(30, d))
    for s in (0.0, 1e-3, 0.3, T):
        shrink = math.exp(-s) if forward == OU else 1.0
        blur = D0 * (1 - math.exp(-2 * s)) if forward == OU else 2 * D0 * s
        expected = sum(
            w * multivariate_normal(shrink * np.array(m), shrink**2 * np.array(c) + blur * np.eye(d)).pdf(x)
            for w, m, c in zip(spec.weights, spec.means, spec.covariances, strict=True)
        )
        np.testing.assert_allclose(reference.density(T - s, x), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("forward", [OU, "heat"])
def test_covariances_that_are_diagonal_change_nothing(forward):
    box = ((-3.2, 3.0), (-3.0, 3.1))
    full = schema.Mixture(  # not quite diagonal: else it would be the same mixture
        weights=MIXTURE_2D.weights,
        means=MIXTURE_2D.means,
        covariances=tuple(((a * a, 1e-14), (1e-14, b * b)) for a, b in MIXTURE_2D.stds),
    )
    one, other = (reversed_diffusion(spec, box, forward) for spec in (MIXTURE_2D, full))
    x = np.random.default_rng(1).uniform(-2.0, 2.0, (30, 2))
    for t in (0.0, 0.2, 0.49):
        np.testing.assert_allclose(one.density(t, x), other.density(t, x), atol=1e-11)


@pytest.mark.parametrize("walls", [Mirrors, Windings])
def test_what_lies_beyond_a_wall_is_folded_or_wrapped_into_the_box(walls):
    box = ((-1.0, 1.2), (-0.8, 1.0))
    flow = CorrelatedClosedForm(build_density(CORRELATED, box), ForwardProcess(0.0, 0.7), walls(box))
    nodes, weights = gauss_grid(box, 4)
    for s in (0.0, 1e-9, 1e-3):
        assert weights @ flow.density(s, nodes) == pytest.approx(1.0, abs=1e-10)
    np.testing.assert_allclose(flow.density(0.0, nodes), flow.density(1e-9, nodes), atol=1e-6)


@pytest.mark.parametrize(("walls", "basis"), [(Mirrors, CosineBasis), (Windings, FourierBasis)])
def test_correlated_images_match_the_series(walls, basis):
    box, process = ((-1.5, 1.2), (-1.2, 1.4)), ForwardProcess(0.0, 1.0)
    images = CorrelatedClosedForm(build_density(CORRELATED, box), process, walls(box))
    bases = tuple(basis(low, high, 120, 1.0) for low, high in box)
    series = Series(images.data, bases, project(images, 0.02, bases, box), box, "series", 0.02)
    x = np.random.default_rng(1).uniform([-1.5, -1.2], [1.2, 1.4], (40, 2))
    for s in (0.02, 0.05, 0.3):
        np.testing.assert_allclose(images.density(s, x), series.density(s, x), atol=1e-12)
        np.testing.assert_allclose(images.score(s, x), series.score(s, x), rtol=1e-6, atol=1e-6)


def test_heat_blurs_an_image_by_more():
    # Blurring by h and diffusing for a time s between mirrors is blurring by √(h² + 2 D₀ s).
    box, D0, s = ((-1.5, 1.2), (-1.2, 1.4)), 0.7, 0.03
    reference = reversed_diffusion(IMAGE, box, horizon=0.1, diffusivity=D0)
    blurred = IMAGE.model_copy(update={"bandwidth": (math.sqrt(0.2**2 + 2 * D0 * s),) * 2})
    x = np.random.default_rng(1).uniform([-1.5, -1.2], [1.2, 1.4], (40, 2))
    np.testing.assert_allclose(reference.density(0.1 - s, x), build_density(blurred, box).pdf(x), atol=1e-11)


def test_free_student_t_is_its_scale_mixture_of_gaussians():
    # In a box so wide that next to nothing is outside: ∫ f(y) N(x; e^{-s} y, D₀(1 - e^{-2s})) dy with SciPy's f.
    D0, T, s, box = 0.7, 1.0, 0.4, ((-7.0, 7.0),)
    narrow = schema.StudentT(degrees_of_freedom=30, location=(0.1,), scale=(0.3,))
    reference = reversed_diffusion(narrow, box, OU, horizon=T, diffusivity=D0)
    y, weights = gauss_grid(box, 60)
    x, variance = np.linspace(-2, 2, 13), D0 * (1 - math.exp(-2 * s))
    kernel = np.exp(-((x[:, None] - math.exp(-s) * y[:, 0]) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
    np.testing.assert_allclose(
        reference.density(T - s, x[:, None]), kernel @ (weights * student_t(30, 0.1, 0.3).pdf(y[:, 0])), atol=1e-11
    )


@pytest.mark.parametrize("spec", [MIXTURE, TRUNCATED, schema.Uniform()])
def test_without_any_blur_heat_between_walls_is_the_data_at_the_walls_too(spec):
    box = ((-1.5, 1.2),)
    data = build_density(spec, box)
    data = TruncatedMixture(data, box) if isinstance(data, GaussianMixture) else data
    x = column(-1.5, 1.2, 13)
    np.testing.assert_allclose(reversed_diffusion(spec, box).density(0.5, x), data.pdf(x), rtol=1e-12)


@pytest.mark.slow
def test_the_two_halves_of_a_switched_flow_agree():
    for reference in (
        reversed_diffusion(MIXTURE, ((-1.5, 1.2),)),
        reversed_diffusion(MIXTURE_2D, ((-1.5, 1.2), (-1.2, 1.4))),
        reversed_diffusion(CORRELATED, ((-1.5, 1.2), (-1.2, 1.4))),
        reversed_diffusion(CORRELATED, ((-3.0, 3.0), (-3.0, 3.0)), OU, horizon=1.5, diffusivity=1.0),
        reversed_diffusion(MIXTURE, ((-3.0, 3.0),), OU, horizon=1.5, diffusivity=1.0),
    ):
        flow = reference.flow
        x = np.stack([np.linspace(-1.2, 1.2, 21)] * reference.dimension, axis=1)
        np.testing.assert_allclose(flow.early.density(flow.switch, x), flow.late.density(flow.switch, x), atol=1e-11)


def test_the_score_keeps_its_digits_where_the_density_underflows():
    reference = reversed_diffusion(MIXTURE, ((-60, 60),), OU, horizon=1.0, diffusivity=1.0)
    score = reference.score(1.0, np.array([[40.0], [-50.0]]))
    # Far out one component is left: (m - x)/σ², the broader one of N(-0.5, 0.09)
    np.testing.assert_allclose(score[:, 0], [(-0.5 - 40) / 0.09, (-0.5 + 50) / 0.09], rtol=1e-12)


def test_moser_of_a_cosine():
    c, T = 0.6, 2.0
    reference = moser(formula("1"), formula(f"1 + {c}*cos(pi*x)"), ((0, 1),), horizon=T)
    x = column(0, 1, 33)
    for g in (0.0, 0.3, 1.0):
        wave = np.pi * x[:, 0]
        field = -c * np.sin(wave) / (np.pi * (1 + g * c * np.cos(wave))) / T
        np.testing.assert_allclose(reference.field(g * T, x)[:, 0], field, atol=1e-13)
        np.testing.assert_allclose(reference.density(g * T, x), 1 + g * c * np.cos(wave), atol=1e-13)


def test_moser_field_is_exact_across_a_jump():
    reference = moser(formula("1"), formula("where(x < 0.5, 1.5, 0.5)"), ((0, 1),))
    x = np.array([[0.0], [0.3], [0.5], [0.9], [1.0]])
    # F₀ - F₁ = -x/2 left of the jump, -(1-x)/2 right of it
    density = np.where(x < 0.5, 1 + 0.5 * 0.4, 1 - 0.5 * 0.4)
    np.testing.assert_allclose(reference.field(0.4, x), -0.5 * np.minimum(x, 1 - x) / density, atol=1e-13)


def test_moser_flux_on_a_circle_costs_least():
    reference = moser(formula("2 + cos(2*pi*x)"), formula("2 + sin(4*pi*x + 1)"), ((0, 1),), walls="periodic")
    x, weights = gauss_grid(((0, 1),), 20)
    density, field = reference.density(0.4, x), reference.field(0.4, x)[:, 0]

    def energy(extra):
        return weights @ ((field * density + extra) ** 2 / density)

    assert energy(0.0) < min(energy(0.01), energy(-0.01))
    assert energy(0.01) == pytest.approx(energy(-0.01), rel=1e-12)  # a minimum exactly: no slope


def test_moser_of_a_product_of_cosines_in_two_dimensions():
    """p₁ = 1 + c cos πx cos 2πy: Δφ = p₀ − p₁ has the solution c cos πx cos 2πy / 5π²."""
    c, horizon = 0.5, 2.0
    reference = moser(formula("1"), formula(f"1 + {c}*cos(pi*x)*cos(2*pi*y)"), ((0, 1), (0, 1)), horizon=horizon)
    x = np.random.default_rng(0).uniform(size=(50, 2))
    t = 0.7
    density = 1.0 + t / horizon * c * np.cos(np.pi * x[:, 0]) * np.cos(2 * np.pi * x[:, 1])
    flux = -c / (5 * np.pi) * np.sin(np.pi * x[:, 0]) * np.cos(2 * np.pi * x[:, 1])
    np.testing.assert_allclose(reference.density(t, x), density, rtol=1e-12)
    np.testing.assert_allclose(reference.field(t, x)[:, 0], flux / horizon / density, atol=1e-12)


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_moser_in_a_plane_is_that_of_a_line_if_nothing_depends_on_y(walls):
    ends = "0.3 + exp(-4*(x - 0.5)**2)" if walls == "reflecting" else "2 + sin(2*pi*x) + 0.3*cos(4*pi*x)"
    line = moser(formula("1"), formula(ends), ((0, 1),), walls=walls)
    plane = moser(formula("1"), formula(ends), ((0, 1), (-1, 3)), walls=walls)
    x = np.random.default_rng(1).uniform((0, -1), (1, 3), size=(40, 2))
    field = plane.field(0.6, x)
    np.testing.assert_allclose(field[:, 1], 0.0, atol=1e-11)
    if walls == "reflecting":  # on a circle, the line's flux may circulate
        np.testing.assert_allclose(field[:, :1], line.field(0.6, x[:, :1]), atol=1e-11)
    else:
        flux = [
            one.field(0.6, x[:, : one.dimension])[:, 0] * one.density(0.6, x[:, : one.dimension])
            for one in (line, plane)
        ]
        np.testing.assert_allclose(np.ptp(flux[0] - 4 * flux[1]), 0.0, atol=1e-11)


def test_moser_flux_lets_nothing_through_the_walls_and_survives_a_jump():
    jump = formula("where(x + y < 0.9, 1.5, 0.5)")
    reference = moser(formula("1"), jump, ((0, 1), (0, 1)))
    side = np.linspace(0.0, 1.0, 41)
    for axis in (0, 1):
        for wall in (0.0, 1.0):
            x = np.stack([side, side], axis=1)
            x[:, axis] = wall
            assert np.max(np.abs(reference.flux(x)[:, axis])) < 2e-3  # converges like modes^-2 where the jump ends
    smooth = moser(formula("1"), formula("exp(-x - 2*y)"), ((0, 1), (0, 1)))
    assert np.max(np.abs(smooth.flux(np.stack([side, 0 * side], axis=1))[:, 1])) < 1e-7


def test_moser_in_two_dimensions_through_an_empty_gap_is_refused():
    with pytest.raises(ReferenceError, match="broad density"):
        moser(
            schema.Uniform(low=(0.0, 0.0), high=(0.3, 1.0)),
            schema.Uniform(low=(0.7, 0.0), high=(1.0, 1.0)),
            ((0, 1), (0, 1)),
        )


def test_moser_through_an_empty_gap_is_refused():
    with pytest.raises(ReferenceError, match="broad density"):
        moser(schema.Uniform(low=(0.0,), high=(0.3,)), schema.Uniform(low=(0.7,), high=(1.0,)), ((0, 1),))


def test_what_cannot_be_computed_is_refused_with_a_cure():
    with pytest.raises(ReferenceError, match="forward: heat"):
        reversed_diffusion(MIXTURE, ((-1.5, 1.2),), OU, "periodic")
    with pytest.raises(ReferenceError, match="narrower box"):
        reversed_diffusion(JUMP, ((-30, 30),), OU)
    with pytest.raises(ReferenceError, match="forward: heat"):
        reversed_diffusion(STUDENT_T, ((-1.5, 1.2),), OU, "periodic")
    with pytest.raises(ReferenceError, match="broader funnel"):
        reversed_diffusion(schema.Funnel(std=3), ((-12, 12), (-40, 40)))
    with pytest.raises(ReferenceError, match="negative"):
        reversed_diffusion(formula("x"), ((-1, 1),))


def test_the_description_says_how_the_density_is_computed():
    assert reversed_diffusion(MIXTURE, ((-6, 6),), OU).description == "closed form: 2 components"
    assert "images" in reversed_diffusion(UNIFORM, ((-1, 1),)).description
    assert "cosine series" in reversed_diffusion(SMOOTH, ((-1, 1),)).description
    assert "Ornstein–Uhlenbeck modes" in reversed_diffusion(SMOOTH, ((-1, 1),), OU).description


@pytest.mark.parametrize("t", [0.0, 1e-6, 0.5, 1.0, 1.4, 2.0])
def test_displacement_between_gaussians_in_the_middle_of_the_box(t):
    reference = displacement(gaussian(-1.0, 0.5), gaussian(2.0, 0.3), ((-9.0, 9.0),), horizon=2.0)
    g = t / 2.0
    mean, std = -1.0 + 3.0 * g, 0.5 - 0.2 * g
    x = mean + std * column(-5, 5, 101)
    gauss = np.exp(-0.5 * ((x[:, 0] - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(reference.density(t, x), gauss, rtol=1e-9)
    np.testing.assert_allclose(reference.score(t, x), -(x - mean) / std**2, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(reference.field(t, x), 1.5 - 0.1 * (x - mean) / std, rtol=1e-9, atol=1e-9)


def test_displacement_between_uniforms_is_uniform_and_its_field_linear():
    halves = schema.Uniform(low=(0.1,), high=(0.3,)), schema.Uniform(low=(0.5,), high=(0.9,))
    reference = displacement(*halves, ((0.0, 1.0),))
    x = column(0.0, 1.0, 402)
    inside = (x[:, 0] > 0.3) & (x[:, 0] < 0.6)  # at g = ½
    np.testing.assert_allclose(reference.density(0.5, x), np.where(inside, 1 / 0.3, 0.0), atol=1e-9)
    np.testing.assert_allclose(reference.field(0.5, x)[inside, 0], 0.4 + (x[inside, 0] - 0.3) / 0.3 * 0.2, rtol=1e-9)


def test_displacement_costs_the_wasserstein_distance_at_every_time():
    reference = displacement(MIXTURE, formula("exp(-4*(x - 0.2)**2) + 0.1"), ((-1.6, 1.6),))
    edges = np.linspace(-1.6, 1.6, 8193)
    x = 0.5 * (edges[1:] + edges[:-1])[:, None]
    distance = wasserstein_2(edges, reference.density(0.0, x), reference.density(1.0, x))
    for t in (0.2, 0.7):
        energy = np.sum(reference.density(t, x) * reference.field(t, x)[:, 0] ** 2) * (edges[1] - edges[0])
        assert np.sqrt(energy) == pytest.approx(distance, rel=1e-6)
        assert wasserstein_2(edges, reference.density(0.0, x), reference.density(t, x)) == pytest.approx(
            t * distance, rel=1e-5
        )


def test_displacement_of_correlated_gaussians_costs_the_bures_distance(rng):
    # W₂² = |m₁ - m₀|² + tr(S₀ + S₁ - 2 (S₀^½ S₁ S₀^½)^½)
    (m0, S0), (m1, S1) = ((-0.5, 0.2), [[0.3, 0.2], [0.2, 0.25]]), ((0.4, 0.0), [[0.2, -0.1], [-0.1, 0.5]])
    start, end = (schema.Mixture(means=(m,), covariances=(S,)) for m, S in ((m0, S0), (m1, S1)))
    reference = displacement(start, end, ((-6.0, 6.0),) * 2, horizon=2.0)
    cost = np.sum(np.subtract(m1, m0) ** 2) + np.trace(np.add(S0, S1) - 2 * sqrtm(sqrtm(S0) @ S1 @ sqrtm(S0)))
    nodes, weights = gauss_grid(((-6.0, 6.0),) * 2, 16)
    for t in (0.0, 0.7, 2.0):
        energy = weights @ (reference.density(t, nodes) * np.sum(reference.field(t, nodes) ** 2, axis=1))
        assert energy == pytest.approx(cost / 4, rel=1e-9)  # speeds are distances over the horizon
    x = rng.normal(size=(20, 2))
    for t, m, S in ((0.0, m0, S0), (2.0, m1, S1)):
        np.testing.assert_allclose(reference.density(t, x), multivariate_normal(m, S).pdf(x), rtol=1e-9)


def test_displacements_that_do_not_exist_are_refused():
    with pytest.raises(ReferenceError, match="circle"):
        displacement(MIXTURE, MIXTURE, ((-3.0, 3.0),), walls="periodic")
    with pytest.raises(ReferenceError, match="join two Gaussians"):
        displacement(MIXTURE_2D, MIXTURE_2D, ((-3.0, 3.0),) * 2)
    with pytest.raises(ReferenceError, match="join two Gaussians"):
        displacement(CORRELATED, IMAGE, ((-3.0, 3.0),) * 2)

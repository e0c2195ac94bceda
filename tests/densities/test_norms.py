"""‖p‖² against quadrature, and for parts so narrow that no quadrature sees them."""

import math

import numpy as np
import pytest

from controlsde.densities import (
    BoxesDensity,
    CorrelatedMixture,
    GaussianMixture,
    TruncatedMixture,
    build_density,
    condition,
)
from controlsde.densities.box_mass import masses_in_box
from controlsde.densities.formula_density import gauss_grid
from controlsde.densities.norms import squared_norm, squared_norm_of_products
from controlsde.enclosures import hidden
from controlsde.problem import Formula, schema

LINE = ((-4.0, 4.0),)
PLANE = ((-4.0, 4.0), (-3.0, 3.0))


def by_quadrature(density, box, count):
    axes = [np.linspace(low, high, count + 1) for low, high in box]
    centres = [0.5 * (edge[1:] + edge[:-1]) for edge in axes]
    points = np.stack([part.ravel() for part in np.meshgrid(*centres, indexing="ij")], axis=1)
    volume = np.prod([edge[1] - edge[0] for edge in axes])
    return float(volume * np.sum(density.pdf(points) ** 2))


def mixture(dimension):
    rng = np.random.default_rng(3)
    return GaussianMixture(
        rng.random(5) + 0.1, rng.uniform(-2, 2, (5, dimension)), rng.uniform(0.1, 0.8, (5, dimension))
    )


def formula(text, box):
    return build_density(schema.FormulaSpec(kind="formula", expression=text), box)


CORRELATED = CorrelatedMixture(
    np.array([0.3, 0.7]),
    np.array([[0.0, 1.0], [-1.0, 0.0]]),
    np.array([[[0.5, 0.3], [0.3, 0.4]], [[0.2, -0.1], [-0.1, 0.3]]]),
)
DENSITIES = {
    "mixture": (mixture(1), ((-9.0, 9.0),)),
    "mixture in the plane": (mixture(2), ((-8.0, 8.0), (-8.0, 8.0))),
    "cut mixture": (condition(mixture(1), ((-1.0, 2.0),)), ((-1.0, 2.0),)),
    "cut mixture in the plane": (condition(mixture(2), ((-1.0, 2.0), (0.0, 1.5))), ((-1.0, 2.0), (0.0, 1.5))),
    "mixture cut far out in its tail": (
        condition(GaussianMixture(np.ones(1), np.array([[-9.0]]), np.ones((1, 1))), ((-1.0, 2.0),)),
        ((-1.0, 2.0),),
    ),
    "correlated mixture": (
        CORRELATED,
        ((-6.0, 6.0), (-6.0, 6.0)),
    ),
    "cut correlated mixture": (condition(CORRELATED, ((-1.0, 0.5), (0.2, 1.5))), ((-1.0, 0.5), (0.2, 1.5))),
    "cut correlated mixture in space": (
        condition(CorrelatedMixture(np.ones(1), np.zeros((1, 3)), np.eye(3)[None] + 0.5), ((-1.0, 2.0),) * 3),
        ((-1.0, 2.0),) * 3,
    ),
    "overlapping boxes": (BoxesDensity((((0.0, 1.0),), ((0.5, 2.0),)), (0.4, 0.6)), LINE),
    "formula": (formula("exp(-x**2) + 0.3*exp(-abs(x - 1))", LINE), LINE),
    "formula with a jump": (formula("where(x < 0.3, 1, 2)", LINE), LINE),
    "formula in the plane": (formula("exp(-x**2 - (y - 0.5*x)**2)", PLANE), PLANE),
}  # fmt: skip


@pytest.mark.parametrize("name", DENSITIES)
def test_the_norm_is_that_of_a_fine_quadrature(name):
    density, box = DENSITIES[name]
    count = {1: 200_000, 2: 1200, 3: 100}[len(box)]
    assert squared_norm(density) == pytest.approx(
        by_quadrature(density, box, count), rel=1e-3 if len(box) > 1 else 1e-5
    )


@pytest.mark.parametrize("width", [1e-3, 1e-5, 1e-9])
def test_a_narrow_component_adds_what_the_formula_says(width):
    whole = GaussianMixture(np.array([0.991, 0.009]), np.array([[0.0], [0.5003]]), np.array([[0.25], [width**2]]))
    broad = GaussianMixture(np.ones(1), np.zeros((1, 1)), np.full((1, 1), 0.25))
    cross = 2 * 0.991 * 0.009 * float(broad.pdf(np.array([[0.5003]]))[0])
    expected = 0.991**2 * squared_norm(broad) + 0.009**2 / (2 * np.sqrt(np.pi) * width) + cross
    assert squared_norm(whole) == pytest.approx(expected, rel=1e-5)
    assert squared_norm(condition(whole, LINE)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("width", [1e-2, 1e-4, 1e-5])
def test_a_narrow_peak_of_a_formula_is_integrated(width):
    # two Gaussians of one mass: ∫p² = ¼ [1/(2√π ½) + 1/(2√π width)] and a cross term
    density = formula(f"exp(-x**2/0.5) + {0.5 / width}*exp(-((x-0.5003)/{width})**2/2)", LINE)
    np.testing.assert_allclose(density.cdf(np.array([[0.4], [0.6]])), [0.5 * 0.78814, 0.5 + 0.5 * 0.88493], atol=1e-3)
    whole = GaussianMixture(np.array([0.5, 0.5]), np.array([[0.0], [0.5003]]), np.array([[0.25], [width**2]]))
    assert squared_norm(density) == pytest.approx(squared_norm(whole), rel=1e-6)
    assert density.hidden.share < 0.02


@pytest.mark.parametrize(
    ("text", "mass"),
    [("exp(-x**2*1e10)", np.sqrt(np.pi) * 1e-5), ("where(x<3.9999,0,1)", 1e-4), ("where(abs(x-0.1)<1e-7,1,0)", 2e-7)],
)
def test_a_formula_that_vanishes_at_all_nodes_of_a_grid_has_its_mass(text, mass):
    assert formula(text, LINE).mass == pytest.approx(mass, rel=1e-6)


def test_a_narrow_peak_in_the_plane_is_in_the_norm_though_not_on_the_grid():
    smooth = formula("exp(-x**2 - y**2)", PLANE)
    peaked = formula("exp(-x**2 - y**2) + 1e8*exp(-((x-0.3003)**2 + (y-0.2)**2)/1e-8)", PLANE)
    assert squared_norm(peaked) > 1e3 * squared_norm(smooth)


def test_what_cannot_be_ruled_out_is_said_with_its_place():
    assert hidden(Formula("min(abs(x - 0.3)**-0.3, 1e3)", ("x",)), LINE).share < 0.02
    pole = hidden(Formula("abs(x - 0.3)**-0.3", ("x",)), LINE)
    assert pole.share == np.inf
    assert pole.place == pytest.approx([0.3], abs=1e-6)


def test_a_narrow_part_of_a_correlated_mixture_on_a_box_counts_in_full():
    """Its mass in the box is that of the component, though it lies between all nodes."""
    narrow = 1e-10 * np.array([[1.0, 0.5], [0.5, 1.0]])
    covariances = np.stack([[[0.3, 0.1], [0.1, 0.3]], narrow])
    whole = CorrelatedMixture(np.array([0.999, 0.001]), np.array([[0.0, 0.0], [0.5003, -0.3]]), covariances)
    held = condition(whole, ((-2.0, 2.0), (-2.0, 2.0)))
    alone = 1e-6 / (4 * math.pi * math.sqrt(np.linalg.det(narrow)))
    assert squared_norm(held) == pytest.approx(alone / held.mass**2, rel=1e-3)
    assert 0.9985 < held.mass < 1.0


def test_the_mass_of_correlated_gaussians_in_a_box_is_that_of_a_fine_grid():
    rng = np.random.default_rng(5)
    for box in (((-1.0, 0.7),), ((-1.0, 0.7), (-0.3, 2.0)), ((-1.0, 0.7), (-0.3, 2.0), (-2.0, 0.1))):
        factor = rng.normal(size=(len(box), len(box)))
        covariance, mean = factor @ factor.T + 0.2 * np.eye(len(box)), rng.normal(size=len(box))
        points, weights = gauss_grid(box, 12)
        density = CorrelatedMixture(np.ones(1), mean[None], covariance[None])
        assert masses_in_box(mean[None], covariance[None], box)[0] == pytest.approx(
            float(weights @ density.pdf(points)), rel=1e-6
        )


TWO_BOXES = BoxesDensity((((-1.0, 1.0), (0.0, 0.5)), ((0.5, 0.7), (-1.0, 0.2))), (0.7, 0.3))
FAR_OFF = TruncatedMixture(GaussianMixture(np.ones(1), np.array([[-9.0]]), np.array([[0.2]])), ((-1.0, 2.0),))


@pytest.mark.parametrize(("shrink", "blur"), [(1.0, 0.0), (0.3, 1e-3), (0.5, 0.2)])
@pytest.mark.parametrize("density", [mixture(1), mixture(2), TWO_BOXES, FAR_OFF])
def test_the_norm_of_shrunk_blurred_products_is_that_of_fine_quadrature(density, shrink, blur):
    products = density.products
    line = np.linspace(-6, 6, 60_001 if density.dimension == 1 else 3_001)
    axes = [np.exp(factors.spread(0.5 * (line[1:] + line[:-1]), shrink, blur)[0]) for factors in products.axes]
    step = line[1] - line[0]
    pairs = np.prod([step * values @ values.T for values in axes], axis=0)
    expected = products.weights @ np.broadcast_to(pairs, (len(products.weights),) * 2) @ products.weights
    assert squared_norm_of_products(products, shrink, blur) == pytest.approx(expected, rel=2e-2 if blur == 0 else 1e-5)


@pytest.mark.parametrize("density", [mixture(1), mixture(2), TWO_BOXES, FAR_OFF])
def test_products_that_neither_shrink_nor_blur_have_the_norm_of_the_density(density):
    assert squared_norm_of_products(density.products, 1.0, 0.0) == pytest.approx(squared_norm(density), rel=1e-12)


def test_a_blurred_box_far_thinner_than_its_blur_is_a_gaussian():
    thin = BoxesDensity.uniform(((0.3, 0.3 + 1e-9),))
    assert squared_norm_of_products(thin.products, 0.5, 1e-8) == pytest.approx(
        0.5 / math.sqrt(math.pi * 1e-8), rel=1e-9
    )

"""W₂ on boxes and tori: against linear programs, products of intervals, translations, and its own lower bound."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from controlsde import distances
from controlsde.distances import sinkhorn
from controlsde.distances.dual_bound import lower_bound
from controlsde.distances.sinkhorn import Entropic
from controlsde.distances.softmin import expectation, smallest, softmin, softmin_with_weights, squared_distances
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.verification.transport_at_end import final_transport, masses_on_cells
from tests.quick import every

SQUARE = ((-5.0, 5.0), (-5.0, 5.0))


def grid(box, *counts):
    return tuple(np.linspace(low, high, count + 1) for (low, high), count in zip(box, counts, strict=True))


def centres(edges):
    return tuple(0.5 * (edge[1:] + edge[:-1]) for edge in edges)


def truncated(edge, mean, std):
    """Masses of cells under a Gaussian cut to the interval."""
    levels = norm.cdf(edge, mean, std)
    return np.diff(levels) / (levels[-1] - levels[0])


def product(edges, *gaussians):
    masses = np.ones(1)
    for edge, gaussian in zip(edges, gaussians, strict=True):
        masses = np.multiply.outer(masses, truncated(edge, *gaussian))
    return masses[0]


def exact_for_products(box, first, second):
    """W₂ of two products: the root of the sum of the squares on each axis."""
    fine = [np.linspace(low, high, 20_001) for low, high in box]
    pairs = zip(fine, first, second, strict=True)
    return math.hypot(*(distances.wasserstein_2(e, truncated(e, *a), truncated(e, *b)) for e, a, b in pairs))


def transport(edges, first, second, walls="reflecting"):
    return distances.wasserstein_2_in_box(edges, walls, first, second)


# --- the minima ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("periods", [None, (1.0, 2.0)])
def test_minima_taken_axis_by_axis_are_those_over_all_cells(periods):
    rng = np.random.default_rng(0)
    cells = tuple(np.sort(rng.random(n)) * length for n, length in ((5, 1.0), (7, 2.0)))
    points = tuple(rng.random(n) * length for n, length in ((4, 1.0), (3, 2.0)))
    potential, masses = rng.normal(size=(5, 7)), rng.random((5, 7))
    masses[0] = masses[:, 1] = 0.0
    costs = squared_distances(points, cells, periods)
    images = [-1, 0, 1] if periods else [0]
    whole = np.zeros((4, 3, 5, 7))
    for axis, (x, y) in enumerate(zip(points, cells, strict=True)):
        length = periods[axis] if periods else 0.0
        gap = np.min([(x[:, None] - y[None, :] + k * length) ** 2 for k in images], axis=0)
        whole += gap.reshape([len(x) if k == axis else len(y) if k == axis + 2 else 1 for k in range(4)])
    assert_allclose(smallest(costs, potential), (whole - potential).min(axis=(2, 3)), atol=1e-14)
    kernel = masses * np.exp((potential - whole) / 0.3)
    with np.errstate(divide="ignore"):
        soft, weights = softmin_with_weights(costs, 0.3, np.log(masses), potential)
    assert_allclose(soft, -0.3 * np.log(kernel.sum(axis=(2, 3))), rtol=1e-13)
    values = rng.normal(size=(5, 7))
    shares = kernel / kernel.sum(axis=(2, 3), keepdims=True)
    assert_allclose(expectation(weights, values), (shares * values).sum(axis=(2, 3)), rtol=1e-12)


def test_a_softmin_stays_finite_where_its_exponentials_would_not():
    costs = squared_distances((np.array([0.0, 40.0]),), (np.array([0.0, 1.0]),), None)
    assert_allclose(softmin(costs, 1e-3, np.log([0.5, 0.5]), np.array([900.0, -900.0])), [-900, 700], atol=1e-3)


@pytest.mark.slow
def test_the_entropic_maximum_is_the_one_of_thousands_of_plain_iterations():
    rng = np.random.default_rng(1)
    edges = grid(((0.0, 1.0), (0.0, 1.0)), 9, 8)
    first, second = rng.random((9, 8)) ** 4, rng.random((9, 8)) ** 4
    first, second = first / first.sum(), second / second.sum()
    costs = squared_distances(centres(edges), centres(edges), None)
    epsilon = 2 / 64

    def dual(a, b):
        f = np.zeros_like(a)
        for _ in range(1500):
            g = softmin(costs, epsilon, np.log(a), f)
            f = softmin(costs, epsilon, np.log(b), g)
        return float(np.sum(a * f) + np.sum(b * g))

    exact = dual(first, second) - 0.5 * dual(first, first) - 0.5 * dual(second, second)
    found = sinkhorn.debiased_sinkhorn(costs, first, second, epsilon)
    assert found.converged
    assert_allclose(found.value, exact, rtol=2e-5)
    assert found.value <= exact * (1 + 1e-9)  # a dual value, from below


# --- W₂ --------------------------------------------------------------------------------------------------------

PRODUCTS = {
    "apart": (SQUARE, ((-1, 0.5), (1.2, 0.6)), ((0.7, 0.8), (-0.5, 0.5))),
    "far apart": (SQUARE, ((-3.5, 0.4), (-3.5, 0.4)), ((3.5, 0.4), (3.5, 0.4))),
    "one narrow": (SQUARE, ((-0.5, 1.0), (0.0, 1.0)), ((-0.2, 0.5), (0.3, 0.5))),
    "against the walls": (((-1.0, 1.0), (-1.0, 1.0)), ((-1, 0.5), (1.2, 0.6)), ((1, 0.6), (-0.7, 1))),
    "a long box": (((-5.0, 5.0), (0.0, 2.0)), ((-1, 0.5), (0.7, 0.4)), ((1, 0.6), (1.3, 0.3))),
}


@pytest.mark.parametrize("case", every(2, PRODUCTS))
def test_w2_of_products_adds_over_the_axes_with_order_two_in_the_cell(case):
    box, first, second = PRODUCTS[case]
    exact = exact_for_products(box, first, second)
    sizes, errors = np.array([16, 24, 36, 48]), []
    for size in sizes:
        edges = distances.transport_edges(box, 2 * size**3)
        found = transport(edges, product(edges, *first), product(edges, *second))
        assert found.converged
        assert found.lower_bound <= exact
        assert found.lower_bound <= found.value
        errors.append(abs(found.value**2 - exact**2))
    assert -np.polyfit(np.log(sizes), np.log(errors), 1)[0] > 1.7
    square = max(edge[1] - edge[0] for edge in edges) ** 2
    assert errors[-1] < square
    assert found.lower_bound**2 > exact**2 - 2 * square


def test_w2_in_three_dimensions_adds_over_the_axes():
    box = (*SQUARE, (-2.0, 2.0))
    first, second = ((-1, 0.8), (1.2, 0.9), (0, 0.7)), ((0.7, 0.8), (-0.5, 0.8), (0.5, 0.5))
    edges = distances.transport_edges(box, 3 * 16**4)
    found = transport(edges, product(edges, *first), product(edges, *second))
    exact = exact_for_products(box, first, second)
    assert found.converged
    assert_allclose(found.value, exact, rtol=4e-3)
    assert 0.97 * exact < found.lower_bound <= exact


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-6])
def test_nearly_equal_densities_keep_their_relative_accuracy(size):
    first, second = ((-1, 0.7), (1.2, 0.8)), ((-1, 0.7 + size), (1.2, 0.8 + size))
    edges = grid(SQUARE, 48, 48)
    found = transport(edges, product(edges, *first), product(edges, *second))
    assert found.converged
    assert_allclose(found.value, exact_for_products(SQUARE, first, second), rtol=5e-3)


def moved(edges, vector, at=(-2.0, -1.5)):
    """Three bumps, moved."""
    x, y = np.meshgrid(*centres(edges), indexing="ij")
    bumps = ((0.0, 0.0, 1.0), (1.0, 0.5, 2.0), (0.3, 1.1, 1.5))
    masses = sum(
        w * np.exp(-((x - at[0] - u - vector[0]) ** 2 + (y - at[1] - v - vector[1]) ** 2) / 0.2) for u, v, w in bumps
    )
    return masses / masses.sum()


@pytest.mark.parametrize("vector", [(2.5, 1.75), (0.25, 0.0), (1.0, -1.0), (0.01, 0.02)])
def test_a_translation_costs_its_length(vector):
    edges = grid(SQUARE, 40, 40)
    found = transport(edges, moved(edges, (0, 0)), moved(edges, vector))
    assert found.converged
    assert_allclose(found.value, math.hypot(*vector), rtol=2e-3)
    assert found.lower_bound <= math.hypot(*vector)


def test_on_a_torus_mass_goes_the_short_way_round():
    edges = grid(SQUARE, 40, 40)
    here = np.roll(moved(edges, (0.0, 0.0)), -10, axis=0)  # on the seam
    around = np.roll(here, (-5, 38), axis=(0, 1))  # by (−1.25, 9.5), which is (−1.25, −0.5)
    found = transport(edges, here, around, "periodic")
    assert found.converged
    assert_allclose(found.value, math.hypot(1.25, 0.5), rtol=1e-4)
    assert 0.95 * math.hypot(1.25, 0.5) < found.lower_bound <= math.hypot(1.25, 0.5)
    between_walls = transport(edges, here, around)
    assert between_walls.value > 2 * found.value


RNG = np.random.default_rng(2)
X, Y = np.meshgrid((np.arange(16) + 0.5) / 16, (np.arange(16) + 0.5) / 16, indexing="ij")
ROUGH = {
    "noise": (RNG.random((16, 16)), RNG.random((16, 16))),
    "spikes": (RNG.random((16, 16)) ** 8, RNG.random((16, 16)) ** 8),
    "a disc and a square": (
        1.0 * ((X - 0.5) ** 2 + (Y - 0.5) ** 2 < 0.16),
        1.0 * (np.maximum(abs(X - 0.5), abs(Y - 0.5)) < 0.3),
    ),
    "a chessboard and its other colour": (((X * 4 // 1 + Y * 4 // 1) % 2), ((X * 4 // 1 + Y * 4 // 1 + 1) % 2)),
    "one cell and another": (1.0 * (X < 1 / 16) * (Y < 1 / 16), 1.0 * (X > 0.5) * (X < 0.56) * (Y > 15 / 16)),
    "one bump that splits": (
        np.exp(-((X - 0.5) ** 2 + (Y - 0.5) ** 2) / 0.005),
        np.exp(-((X - 0.2) ** 2 + (Y - 0.5) ** 2) / 0.005) + np.exp(-((X - 0.8) ** 2 + (Y - 0.4) ** 2) / 0.005),
    ),
    "a swap of sides": (1.0 * (X < 0.2) + (X > 0.8), 1.0 * (Y < 0.2) + (Y > 0.8)),
}


@pytest.mark.parametrize("case", ROUGH)
def test_w2_is_within_a_cell_of_a_linear_program_and_above_its_bound(case):
    import ot

    first, second = (masses / masses.sum() for masses in ROUGH[case])
    edges = grid(((0.0, 1.0), (0.0, 1.0)), 16, 16)
    places = np.stack([X.ravel(), Y.ravel()], axis=1)
    between_centres = math.sqrt(ot.emd2(first.ravel(), second.ravel(), ot.dist(places, places), numItermax=10**6))
    found = transport(edges, first, second)
    assert found.converged
    # Spreading an atom over its cell moves it by h/√6 in two dimensions.
    assert abs(found.value - between_centres) < 2 / 16 / math.sqrt(6)
    assert found.lower_bound <= between_centres + 2 / 16 / math.sqrt(6)
    assert 0.0 <= found.lower_bound <= found.value


@pytest.mark.parametrize("missing", [1e-2, 1e-4, 1e-6])
def test_mass_that_must_cross_a_gap_is_seen_however_little_it_is(missing):
    edges = grid(((0.0, 1.0), (0.0, 1.0)), 40, 40)
    x, y = centres(edges)
    left, right = 1.0 * (x < 0.2), 1.0 * (x > 0.8)
    line = np.exp(-20 * (y - 0.5) ** 2)
    first, second = 0.5 * left + 0.5 * right, (0.5 + missing) * left + (0.5 - missing) * right
    exact = distances.wasserstein_2(edges[0], first, second)
    found = transport(edges, np.outer(first, line), np.outer(second, line))
    assert found.converged
    assert_allclose(found.value, exact, rtol=0.05)
    assert found.lower_bound <= exact


def test_w2_is_symmetric_and_zero_between_equal_densities():
    edges = grid(SQUARE, 32, 32)
    first, second = product(edges, (-1, 0.5), (1.2, 0.6)), moved(edges, (1.0, 0.0))
    forth, back = transport(edges, first, second), transport(edges, second, first)
    assert_allclose(forth.value, back.value, rtol=2e-5)
    same = transport(edges, first, first)
    assert same.converged
    assert same.value < 5e-8
    assert same.lower_bound == 0.0


def test_scale_of_the_masses_and_of_the_box_is_taken_out():
    edges = grid(SQUARE, 24, 24)
    first, second = product(edges, (-1, 0.8), (1.2, 0.9)), moved(edges, (1.0, 0.0))
    plain = transport(edges, first, second)
    scaled = transport(tuple(1e-3 * edge + 7 for edge in edges), 5 * first, 1e-9 * second)
    assert_allclose(scaled.value, 1e-3 * plain.value, rtol=1e-6)


def test_negative_masses_are_clipped_and_counted():
    edges = grid(SQUARE, 24, 24)
    first, second = product(edges, (-1, 0.8), (1.2, 0.9)), product(edges, (0.5, 0.8), (1.2, 0.9))
    dipped = first.copy()
    empty = first < 1e-9
    dipped[empty] = -0.02 / empty.sum()
    found = transport(edges, dipped, second)
    assert_allclose(found.clipped, 0.02 / 1.02, rtol=1e-6)
    assert_allclose(found.value, transport(edges, np.where(empty, 0.0, first), second).value, rtol=1e-9)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_masses_that_are_not_finite_are_refused(spoilt):
    edges = grid(SQUARE, 8, 8)
    masses = np.ones((8, 8))
    masses[3, 3] = spoilt
    with pytest.raises(ValueError, match="finite"):
        transport(edges, masses, np.ones((8, 8)))
    with pytest.raises(ValueError, match="fit"):
        transport(edges, np.ones((8, 7)), np.ones((8, 8)))
    with pytest.raises(ValueError, match="positive"):
        transport(edges, -np.ones((8, 8)), np.ones((8, 8)))


def test_too_few_steps_are_not_called_converged_and_the_bound_still_holds(monkeypatch):
    monkeypatch.setattr(sinkhorn, "MOST_NEWTON", 1)
    box, first, second = PRODUCTS["one narrow"]
    edges = grid(box, 24, 24)
    found = transport(edges, product(edges, *first), product(edges, *second))
    assert not found.converged
    assert found.lower_bound <= exact_for_products(box, first, second)


def test_the_bound_holds_for_any_potentials_whatever():
    rng = np.random.default_rng(3)
    box, first, second = PRODUCTS["apart"]
    edges = grid(box, 12, 12)
    a, b = product(edges, *first), product(edges, *second)
    exact = exact_for_products(box, first, second)
    good = sinkhorn.debiased_sinkhorn(squared_distances(centres(edges), centres(edges), None), a, b, 1.4)
    for size in (0.0, 0.1, 1.0, 10.0):
        noise = [size * rng.normal(size=(12, 12)) for _ in range(4)]
        potentials = (good.first, good.second, good.first_self, good.second_self)
        spoilt = Entropic(0.0, *(p + n for p, n in zip(potentials, noise, strict=True)), 0.0, 0, True)
        for cuts in (1, 3):
            assert lower_bound(edges, None, a, b, 1.4, spoilt, cuts) <= exact**2


def test_cells_are_nearly_squares_for_the_work_that_was_asked_for():
    for box in (SQUARE, ((0.0, 1.0), (0.0, 10.0)), ((0.0, 1.0), (0.0, 3.0))):
        edges = distances.transport_edges(box, 2 * 64**3)
        sides = [edge[1] - edge[0] for edge in edges]
        assert_allclose(sides[0], sides[1], rtol=0.05)
        counts = np.array([len(edge) - 1 for edge in edges])
        assert_allclose(counts.sum() * counts.prod(), 2 * 64**3, rtol=0.05)


# --- masses of cells -------------------------------------------------------------------------------------------


def test_cells_get_the_exact_integrals_of_nodal_polynomials():
    mesh = Mesh.build(((-1.0, 2.0), (0.0, 1.0)), "reflecting", (3, 2), 5)
    x, y = mesh.points.T
    edges = (np.array([-1.0, -0.4, 1.3, 2.0]), np.linspace(0, 1, 6))
    masses = mesh.cell_masses(x**5 * y**4 - 2 * y, edges)
    along_x, along_y = np.diff(edges[0] ** 6) / 6, np.diff(edges[1] ** 5) / 5
    wanted = np.outer(along_x, along_y) - np.outer(np.diff(edges[0]), np.diff(edges[1] ** 2))
    assert_allclose(masses, wanted, atol=1e-13)


def test_cells_across_elements_keep_the_mass_of_a_density_with_a_kink():
    mesh = Mesh.build(((0.0, 1.0),), "reflecting", (7,), 4)
    kink = np.abs(mesh.points[:, 0] - 3 / 7)  # where two elements meet
    edges = np.linspace(0, 1, 6)
    antiderivative = 0.5 * np.sign(edges - 3 / 7) * (edges - 3 / 7) ** 2
    assert_allclose(mesh.cell_masses(kink, (edges,)), np.diff(antiderivative), atol=1e-14)


def test_gauss_points_integrate_a_function_over_cells_to_high_order():
    edges = (np.linspace(-1, 2, 7), np.linspace(0, 1, 4))
    masses = masses_on_cells(lambda x: x[:, 0] ** 5 * x[:, 1] ** 4, edges, 3)
    assert_allclose(masses, np.outer(np.diff(edges[0] ** 6) / 6, np.diff(edges[1] ** 5) / 5), atol=1e-14)


def test_a_density_on_a_mesh_is_as_far_from_a_target_as_its_translation():
    mesh = Mesh.build(SQUARE, "reflecting", (8, 8), 8)
    target = lambda x: np.exp(-np.sum((x - 0.4) ** 2, axis=1)) / math.pi  # noqa: E731
    density = np.exp(-np.sum((mesh.points + np.array([0.6, 0.1])) ** 2, axis=1)) / math.pi
    found = final_transport(DensityField(mesh, density), target)
    assert_allclose(found.value, math.hypot(1.0, 0.5), rtol=1e-4)
    line = Mesh.build(SQUARE[:1], "reflecting", (8,), 8)
    assert final_transport(DensityField(line, np.ones(65)), lambda x: x[:, 0]) is None
    open_walls = Mesh.build(SQUARE, "absorbing", (8, 8), 8)
    assert final_transport(DensityField(open_walls, density), target) is None

"""Distances against closed forms, and the order at which sampled densities reach them."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import norm

from controlsde import distances

CELLS = np.array([64, 128, 256, 512])


def fitted_order(sizes, errors):
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def grid(low, high, cells):
    edges = np.linspace(low, high, cells + 1)
    return edges, 0.5 * (edges[1:] + edges[:-1]), np.full(cells, (high - low) / cells)


def gaussians(cells, first=(-0.7, 0.5), second=(0.6, 0.9), low=-9.0, high=9.0):
    edges, x, weights = grid(low, high, cells)
    return edges, weights, norm.pdf(x, *first), norm.pdf(x, *second)


def test_l2_of_two_gaussians():
    _, weights, a, b = gaussians(400)
    exact = 1 / (2 * 0.5 * math.sqrt(math.pi)) + 1 / (2 * 0.9 * math.sqrt(math.pi))
    exact -= 2 * norm.pdf(1.3, 0, math.hypot(0.5, 0.9))
    assert_allclose(distances.l2(weights, a, b), math.sqrt(exact), rtol=1e-12)


def test_kullback_leibler_of_two_gaussians_in_both_directions():
    _, weights, a, b = gaussians(400)

    def exact(m, s, n, r):
        return math.log(r / s) + (s**2 + (m - n) ** 2) / (2 * r**2) - 0.5

    forward, backward = exact(-0.7, 0.5, 0.6, 0.9), exact(0.6, 0.9, -0.7, 0.5)
    assert abs(forward - backward) > 1  # the direction matters
    assert_allclose(distances.kullback_leibler(weights, a, b), forward, rtol=1e-12)
    assert_allclose(distances.kullback_leibler(weights, b, a), backward, rtol=1e-12)


def test_kullback_leibler_scales_both_masses_and_clips_what_is_negative():
    _, weights, a, b = gaussians(400)
    dipped = np.where(a < 1e-12, -1e-3, 7 * a)
    assert_allclose(
        distances.kullback_leibler(weights, dipped, 0.2 * b), distances.kullback_leibler(weights, a, b), rtol=1e-9
    )


def test_kullback_leibler_is_infinite_only_for_mass_outside_the_support():
    _, x, weights = grid(0, 1, 100)
    whole, half = np.ones(100), np.where(x < 0.5, 2.0, 0.0)
    assert distances.kullback_leibler(weights, whole, half) == math.inf
    assert_allclose(distances.kullback_leibler(weights, half, whole), math.log(2), rtol=1e-14)


def test_total_variation_of_shifted_gaussians_with_order_two_in_the_cell():
    exact = 2 * norm.cdf(1.1 / (2 * 0.6)) - 1

    def error(cells):
        _, weights, a, b = gaussians(cells, (-0.55, 0.6), (0.55, 0.6))
        return abs(distances.total_variation(weights, a, b) - exact)

    sizes = np.array([33, 65, 129, 257])  # odd: the kink of |a - b| at zero is always in the middle of a cell
    assert abs(fitted_order(sizes, [error(n) for n in sizes]) - 2) < 0.2
    assert error(257) < 1e-3


@pytest.mark.parametrize("moved", [0.0, 0.125, 0.5])
def test_total_variation_of_shifted_uniforms_is_the_share_that_left(moved):
    _, x, weights = grid(0, 2, 128)
    here, there = (np.where((x > start) & (x < start + 1), 1.0, 0.0) for start in (0.25, 0.25 + moved))
    assert_allclose(distances.total_variation(weights, here, there), moved, atol=1e-14)


def test_total_variation_of_disjoint_densities_is_one():
    _, x, weights = grid(0, 1, 100)
    assert_allclose(
        distances.total_variation(weights, np.where(x < 0.25, 4.0, 0.0), np.where(x > 0.5, 2.0, 0.0)), 1, rtol=1e-14
    )


def test_wasserstein_2_of_two_gaussians_is_bures_with_order_two_in_the_cell():
    exact = math.hypot(1.3, 0.4)

    def error(cells):
        edges, _, a, b = gaussians(cells)
        return abs(distances.wasserstein_2(edges, a, b) - exact)

    errors = [error(n) for n in CELLS]
    assert abs(fitted_order(CELLS, errors) - 2) < 0.2
    assert errors[-1] < 1e-4


def test_wasserstein_1_of_two_centred_gaussians_with_order_two_in_the_cell():
    exact = 0.4 * math.sqrt(2 / math.pi)  # E|s - r||Z|

    def error(cells):
        edges, _, a, b = gaussians(cells, (0.0, 0.5), (0.0, 0.9))
        return abs(distances.wasserstein_1(edges, a, b) - exact)

    errors = [error(n) for n in CELLS]
    assert abs(fitted_order(CELLS, errors) - 2) < 0.2
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("cells_moved", [1, 7, 40])
@pytest.mark.parametrize("distance", [distances.wasserstein_1, distances.wasserstein_2])
def test_a_shift_costs_its_length(distance, cells_moved):
    edges, x, _ = grid(0, 2, 128)
    bump = np.where((x > 0.3) & (x < 0.9), 1 + np.sin(9 * x), 0.0)
    moved = np.roll(bump, cells_moved)
    assert_allclose(distance(edges, bump, moved), cells_moved * 2 / 128, rtol=1e-12)
    assert_allclose(distance(edges, 5 * moved, 0.1 * bump), cells_moved * 2 / 128, rtol=1e-12)


def test_wasserstein_is_exact_for_crossings_in_a_cell_and_empty_cells():
    edges = np.arange(4.0)
    first, second = np.array([1.0, 2.0, 1.0]), np.array([2.0, 0.0, 2.0])
    assert_allclose(distances.wasserstein_1(edges, first, second), 3 / 8, rtol=1e-14)
    assert_allclose(distances.wasserstein_2(edges, first, second), math.sqrt(1 / 6), rtol=1e-14)


@pytest.mark.parametrize("distance", [distances.wasserstein_1, distances.wasserstein_2])
def test_cutting_cells_changes_no_wasserstein_distance(distance, rng):
    edges, fine = np.linspace(0, 3, 18), np.linspace(0, 3, 17 * 12 + 1)
    first, second = rng.random(17), rng.random(17)
    assert_allclose(distance(fine, np.repeat(first, 12), np.repeat(second, 12)), distance(edges, first, second))


def test_tails_below_the_smallest_number_do_not_overflow_wasserstein():
    edges, x, _ = grid(-5, 5, 1000)
    narrow, shifted = norm.pdf(x, 0.0, 0.02), norm.pdf(x, 1.0, 0.02)
    assert 0 < narrow[narrow > 0].min() < 1e-300  # between the smallest number and the smallest that is normal
    assert_allclose(distances.wasserstein_2(edges, narrow, shifted), 1.0, rtol=1e-6)
    assert_allclose(distances.wasserstein_1(edges, narrow, shifted), 1.0, rtol=1e-6)


def test_wasserstein_1_never_exceeds_wasserstein_2(rng):
    edges = np.linspace(-1, 1, 33)
    for _ in range(20):
        first, second = rng.random(32) ** 4, rng.random(32) ** 4
        assert distances.wasserstein_1(edges, first, second) <= distances.wasserstein_2(edges, first, second)


@pytest.mark.parametrize("number", [1, 2, 13])
def test_sobolev_minus_1_of_one_cosine_between_walls(number):
    _, x, _ = grid(-1, 2, 64)
    wave = number * np.pi / 3
    exact = 0.7 * math.sqrt(3 / 2) / wave
    value = distances.sobolev_minus_1(((-1.0, 2.0),), "reflecting", 0.7 * np.cos(wave * (x + 1)))
    assert_allclose(value, exact, rtol=1e-12)


@pytest.mark.parametrize("function", [np.sin, np.cos])
def test_sobolev_minus_1_of_one_periodic_wave(function):
    _, x, _ = grid(-1, 2, 64)
    wave = 2 * np.pi * 3 / 3
    value = distances.sobolev_minus_1(((-1.0, 2.0),), "periodic", 0.7 * function(wave * x + 0.4))
    assert_allclose(value, 0.7 * math.sqrt(3 / 2) / wave, rtol=1e-12)


def test_sobolev_minus_1_of_one_mode_in_two_dimensions():
    box = ((0.0, 1.0), (0.0, 2.0))
    x, y = np.meshgrid(grid(0, 1, 24)[1], grid(0, 2, 40)[1], indexing="ij")
    between_walls = distances.sobolev_minus_1(box, "reflecting", np.cos(3 * np.pi * x) * np.cos(np.pi * y))
    assert_allclose(between_walls, math.sqrt(0.5 / (np.pi**2 * (9 + 1))), rtol=1e-12)
    periodic = distances.sobolev_minus_1(box, "periodic", np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y))
    assert_allclose(periodic, math.sqrt(0.5 / (np.pi**2 * (4 + 4))), rtol=1e-12)


def test_sobolev_minus_1_is_the_l2_distance_of_distribution_functions():
    def error(cells):
        _, x, _ = grid(0, 1, cells)
        return abs(distances.sobolev_minus_1(((0.0, 1.0),), "reflecting", x - 0.5) - 1 / math.sqrt(120))

    errors = [error(n) for n in CELLS]
    assert abs(fitted_order(CELLS, errors) - 2) < 0.2
    assert errors[-1] < 1e-5


def test_negative_mass_counts_only_what_is_below_zero():
    _, x, weights = grid(0, 1, 1000)
    assert_allclose(distances.negative_mass(weights, np.where(x < 0.2, -0.5, 3.0)), 0.1, rtol=1e-12)
    assert distances.negative_mass(weights, x) == 0.0


@pytest.mark.parametrize("name", ["l2", "total_variation", "kullback_leibler"])
def test_a_density_has_no_distance_from_itself_point_by_point(name):
    _, weights, a, _ = gaussians(100)
    assert getattr(distances, name)(weights, a, a) == 0.0


@pytest.fixture
def rng():
    return np.random.default_rng(11)

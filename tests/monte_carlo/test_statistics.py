"""What particles say about a density: coefficients, an unbiased distance, and z that are standard normal."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde.monte_carlo import statistics
from controlsde.monte_carlo.modes import CHUNK, CosineModes
from controlsde.monte_carlo.process import Positions
from controlsde.monte_carlo.statistics import mollified_l2
from controlsde.monte_carlo.sums import CELL, Layout, Sums, count

from .running import UNIT, setting, simulate, still

SEEDS = range(100)


def midpoints(box, cells):
    axes = [low + (high - low) * (np.arange(cells) + 0.5) / cells for low, high in box]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return points, np.full(len(points), math.prod(high - low for low, high in box) / len(points))


def summarise(modes, positions, living):
    """Statistics of particles anywhere in the box of the modes."""
    layout = Layout.of_box(modes.box, "periodic" if modes.periodic else "reflecting")
    low, high = np.array(modes.box).T
    z = (2 * positions - low - high) / (high - low)
    total = Sums.zero(layout)
    for first in range(0, len(z), CELL):
        part = slice(first, first + CELL)
        total += count(layout, Positions(z[part], living[part]))
    return statistics.sample_of(layout, total)


def alive(positions):
    return np.ones(len(positions), dtype=bool)


@pytest.fixture(scope="module")
def unit_modes():
    return CosineModes.of_box(UNIT, "reflecting")


def coefficients(modes, bump):
    """Of the density 1 + bump·cos 2πx."""
    found = np.zeros(len(modes.numbers))
    found[0], found[2] = 1.0, bump / math.sqrt(2)
    return found


def draw(count, bump, seed):
    """Particles of the density 1 + bump·cos 2πx by rejection."""
    rng = np.random.default_rng([seed, 77])
    x = rng.random(4 * count)
    kept = x[rng.random(4 * count) * (1 + bump) < 1 + bump * np.cos(2 * np.pi * x)]
    return kept[:count, None]


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize(("box", "cells"), [(((-2.0, 3.0),), 512), (((0.0, 1.0), (-1.0, 2.0)), 64)])
def test_modes_are_orthonormal(walls, box, cells):
    modes = CosineModes.of_box(box, walls)
    points, weights = midpoints(box, cells)
    values = modes(points)
    assert_allclose(values.T @ (weights[:, None] * values), np.eye(len(modes.numbers)), atol=1e-11)


@pytest.mark.parametrize(("walls", "wave"), [("reflecting", np.pi), ("periodic", 2 * np.pi)])
def test_modes_are_damped_by_heat_over_a_thousandth_of_the_box(walls, wave):
    box = ((-2.0, 3.0),)
    modes = CosineModes.of_box(box, walls)
    x = np.linspace(-2, 3, 4001)
    step = x[1] - x[0]
    for number in (1, 2, 7):
        value = modes(x[:, None])[:, number]
        bent = (value[2:] - 2 * value[1:-1] + value[:-2]) / step**2
        middle = np.abs(value[1:-1]) > 0.1
        eigenvalue = float(np.mean(-bent[middle] / value[1:-1][middle]))
        assert_allclose(modes.weights[number], math.exp(-eigenvalue * (0.001 * 5) ** 2), rtol=1e-6)
        assert eigenvalue >= (wave / 5) ** 2 * 0.999


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_coefficients_of_a_density_that_is_a_sum_of_modes(walls):
    box = ((0.0, 1.0), (-1.0, 2.0))
    modes = CosineModes.of_box(box, walls)
    chosen = np.random.default_rng(1).normal(size=len(modes.numbers))
    points, weights = midpoints(box, 150)  # more points than one chunk
    assert len(points) > CHUNK
    assert_allclose(modes.of_density(points, weights, modes(points) @ chosen), chosen, atol=1e-10)


def test_a_summary_over_chunks_has_mean_and_covariance_the_dead_at_zero():
    rng = np.random.default_rng(2)
    modes = CosineModes.of_box(((0.0, 1.0), (0.0, 1.0)), "absorbing")
    positions = rng.random((CHUNK + 500, 2))
    living = rng.random(len(positions)) < 0.7
    sample = summarise(modes, positions, living)
    values = modes(positions) * living[:, None]
    rounding = 2 * 2.0**-23 / len(positions)  # of the sums of two cells to multiples of 2⁻²²; φ is up to twice a wave
    assert_allclose(sample.mean, values.mean(axis=0), atol=2 * rounding)
    assert_allclose(sample.covariance, np.cov(values.T), atol=4 * rounding)
    assert sample.particles == CHUNK + 500
    assert sample.alive_fraction == living.mean()


def test_the_squared_distance_is_unbiased_with_the_spread_over_seeds(unit_modes):
    bump, wrong, count = 0.5, 0.1, 4000
    distances = [
        mollified_l2(unit_modes, summarise(unit_modes, x, alive(x)), coefficients(unit_modes, wrong))
        for x in (draw(count, bump, seed) for seed in SEEDS)
    ]
    squares = np.array([distance.value**2 for distance in distances])
    exact = unit_modes.weights[2] * (bump - wrong) ** 2 / 2
    assert abs(squares.mean() - exact) < 4 * squares.std() / math.sqrt(len(SEEDS))
    values = np.array([distance.value for distance in distances])
    stated = np.array([distance.standard_error for distance in distances])
    # the standard deviation of 100 values is known to 7 %
    assert_allclose(stated.mean(), values.std(), rtol=4 * 0.07)


def test_the_noise_floor_is_taken_out_of_the_distance(unit_modes):
    positive, squares, stated = [], [], []
    for seed in SEEDS:
        x = draw(4000, 0.3, seed)
        sample = summarise(unit_modes, x, alive(x))
        gap = sample.mean - coefficients(unit_modes, 0.3)
        floor = float(unit_modes.weights @ gap**2)
        distance = mollified_l2(unit_modes, sample, coefficients(unit_modes, 0.3))
        assert distance.value < math.sqrt(floor)
        positive.append(distance.value > 0)
        squares.append(floor - float(unit_modes.weights @ np.diag(sample.covariance)) / sample.particles)
        if distance.value == 0:
            stated.append(distance.standard_error**2)  # the distance is lost: all that is known is its square's spread
    assert 30 < sum(positive) < 70  # as often above the floor as below it: 50 ± 4 · 5
    assert_allclose(np.mean(stated), np.std(squares), rtol=4 * 0.1)  # 100 values of a weighted χ²


def check_standard_normal(z):
    z = np.array(z)
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * len(z))


@pytest.mark.parametrize("reference", [0.0, 0.3], ids=["along-an-error", "where-density-is-reference"])
def test_z_against_the_true_density_is_standard_normal_over_seeds(unit_modes, reference):
    truth = coefficients(unit_modes, 0.3)
    z = []
    for seed in SEEDS:
        x = draw(2000, 0.3, seed)
        sample = summarise(unit_modes, x, alive(x))
        z.append(statistics.agreement(unit_modes, sample, truth, coefficients(unit_modes, reference)))
    check_standard_normal(z)


def test_z_of_all_modes_has_mean_zero_and_unit_spread_over_seeds(unit_modes):
    z = []
    for seed in SEEDS:
        x = draw(2000, 0.3, seed)
        sample = summarise(unit_modes, x, alive(x))
        z.append(statistics.agreement_of_all_modes(unit_modes, sample, coefficients(unit_modes, 0.3)))
    z = np.array(z)
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    assert abs(z.std() - 1) < 0.4  # a weighted χ²: its tail makes the spread of 100 values less certain


def test_z_of_simulated_reflected_heat_is_standard_normal_over_seeds(unit_modes):
    waves = np.pi * np.arange(len(unit_modes.numbers))
    start = np.full((1500, 1), 0.3)
    exact = unit_modes(start[:1])[0] * np.exp(-(waves**2) * 0.05)
    uniform = coefficients(unit_modes, 0.0)
    z, z_modes = [], []
    for seed in SEEDS:
        particles = simulate(still(0.05), start, setting(1.0, steps=2, seed=seed))
        sample = summarise(unit_modes, particles.positions, particles.alive)
        z.append(statistics.agreement(unit_modes, sample, exact, uniform))
        z_modes.append(statistics.agreement_of_all_modes(unit_modes, sample, exact))
    check_standard_normal(z)
    assert abs(np.mean(z_modes)) < 4 / math.sqrt(len(SEEDS))


def test_z_grows_with_the_root_of_the_particles_against_a_wrong_density(unit_modes):
    few, many = 10_000, 160_000
    wrong, uniform = coefficients(unit_modes, 0.4), coefficients(unit_modes, 0.0)
    z = {}
    for number in (few, many):
        x = draw(number, 0.3, 5)
        z[number] = abs(statistics.agreement(unit_modes, summarise(unit_modes, x, alive(x)), wrong, uniform))
    # E z = Δ√N / s with Δ = 0.1/√2, s² = Var √2 cos 2πX = 1 − 0.3²/2
    expected = 0.1 / math.sqrt(2) / math.sqrt(1 - 0.045)
    assert abs(z[few] - expected * math.sqrt(few)) < 4
    assert abs(z[many] - expected * math.sqrt(many)) < 4
    assert z[few] > 5


def spread_like(modes, value, count, living):
    """The statistics of particles that all lie at one point, alive or dead."""
    return summarise(modes, np.full((count, 1), value), np.full(count, living))


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize(("box", "cells"), [(((-2.0, 3.0),), 4000), (((0.0, 1.0), (-1.0, 2.0)), 200)])
def test_peaks_are_the_largest_values_of_the_modes(walls, box, cells):
    modes = CosineModes.of_box(box, walls)
    points, _ = midpoints(box, cells)
    # half a cell off the peak of the fastest wave, on each axis: 1 − cos²(π/20)
    assert_allclose(modes.peaks, np.abs(modes(points)).max(axis=0), rtol=0.03)
    assert (modes.peaks >= np.abs(modes(points)).max(axis=0) - 1e-12).all()


@pytest.mark.parametrize("share", [0.0, 1e-4, 3e-2])
def test_dead_particles_agree_only_with_less_than_a_few_particles_of_mass(unit_modes, share):
    count = 1000
    dead = spread_like(unit_modes, 0.5, count, False)
    left = share * coefficients(unit_modes, 0.0)
    z = abs(statistics.agreement(unit_modes, dead, left, coefficients(unit_modes, 0.0)))
    assert z == pytest.approx(share * count, abs=1e-9)  # how many particles should have lived
    assert (z < 4) == (share * count < 4)
    everywhere = statistics.agreement_of_all_modes(unit_modes, dead, left)
    assert everywhere == pytest.approx((share * count) ** 2 / (unit_modes.weights @ unit_modes.peaks**2), abs=1e-9)


def test_particles_in_one_point_have_a_finite_z_that_contradicts(unit_modes):
    truth = coefficients(unit_modes, 0.3)
    for place in np.linspace(0.05, 0.95, 19):  # at some, rounding makes a variance negative
        met = spread_like(unit_modes, place, 500, True)
        z = statistics.agreement(unit_modes, met, truth, coefficients(unit_modes, 0.0))
        assert math.isfinite(z)
        assert statistics.agreement_of_all_modes(unit_modes, met, truth) > 100
        point = unit_modes(np.array([[place]]))[0]
        assert abs(statistics.agreement(unit_modes, met, point, truth)) < 1e-6  # it is the density that agrees
        assert abs(statistics.agreement_of_all_modes(unit_modes, met, point)) < 1e-6


@pytest.mark.parametrize("size", [1e3, 1e100, 1e200, 1e307])
def test_a_density_that_blew_up_has_a_huge_z_and_raises_nothing(unit_modes, size):
    x = draw(1000, 0.3, 1)
    sample = summarise(unit_modes, x, alive(x))
    wrong, truth = size * coefficients(unit_modes, 0.3), coefficients(unit_modes, 0.3)
    assert abs(statistics.agreement(unit_modes, sample, wrong, truth)) > size
    with np.errstate(over="ignore"):  # of its square
        assert statistics.agreement_of_all_modes(unit_modes, sample, wrong) > size


def test_z_along_an_error_does_not_depend_on_its_size(unit_modes):
    x = draw(1000, 0.3, 1)
    sample, truth = summarise(unit_modes, x, alive(x)), coefficients(unit_modes, 0.3)
    error = np.random.default_rng(4).normal(size=len(truth))
    small, large = (statistics.agreement(unit_modes, sample, truth, truth + size * error) for size in (0.1, 1e200))
    assert small == pytest.approx(large, rel=1e-9)


def test_particles_whose_place_is_no_number_give_no_z(unit_modes):
    lost = summarise(unit_modes, np.array([[0.2], [math.nan], [0.4]]), np.ones(3, dtype=bool))
    truth, uniform = coefficients(unit_modes, 0.3), coefficients(unit_modes, 0.0)
    assert math.isnan(statistics.agreement(unit_modes, lost, truth, uniform))
    assert math.isnan(statistics.agreement_of_all_modes(unit_modes, lost, truth))


def test_a_wrong_density_whose_error_z_does_not_see_shows_in_all_modes(unit_modes):
    x = draw(100_000, 0.3, 6)
    sample = summarise(unit_modes, x, alive(x))
    wrong = coefficients(unit_modes, 0.3)
    wrong[9] += 0.05
    reference = wrong.copy()
    reference[2] = 0.0  # the density's own error lies along the second mode alone
    assert abs(statistics.agreement(unit_modes, sample, wrong, reference)) < 4
    assert statistics.agreement_of_all_modes(unit_modes, sample, wrong) > 10
    assert abs(statistics.agreement_of_all_modes(unit_modes, sample, coefficients(unit_modes, 0.3))) < 4

"""Particles against closed forms: walls, orders in the step, exact laws, and the same bits from the same seed."""

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import expm
from scipy.stats import truncnorm

from controlsde.fokker_planck.diffusivity import Varying
from controlsde.monte_carlo.backends.numpy.stepping import place, survives
from controlsde.monte_carlo.sums import CELL
from tests.quick import slow

from .running import FREE, Field, Setting, setting, simulate, still


def fitted_order(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


def reflected(x, low, high):
    """What a path does at two walls, one reflection at a time."""
    while not low <= x <= high:
        x = 2 * low - x if x < low else 2 * high - x
    return x


@pytest.mark.parametrize("reach", [1.9, 60.0])
def test_folding_is_repeated_reflection(reach):
    z = np.random.default_rng(0).uniform(-reach, reach, 2000)
    assert_allclose(place("reflecting", z), [reflected(value, -1, 1) for value in z], atol=1e-12 * reach)


def test_folding_and_wrapping_leave_inner_points_alone():
    z = np.linspace(-1, 1, 301)[:-1]
    assert_array_equal(place("reflecting", z), z)
    assert_allclose(place("periodic", z), z, atol=1e-15)


def test_wrapping_moves_by_whole_periods_into_the_box():
    z = np.linspace(-20, 20, 333)
    wrapped = place("periodic", z)
    turns = (z - wrapped) / 2
    assert_allclose(turns, turns.round(), atol=1e-12)
    assert ((wrapped >= -1) & (wrapped < 1)).all()


def test_a_bridge_survives_one_wall_with_its_reflection_probability():
    before, after, variance = -0.9, -0.85, np.array([0.02])
    uniform = (np.arange(10_000) + 0.5) / 10_000
    start, end = (np.full((10_000, 1), value) for value in (before, after))
    alive = survives(start, end, variance, uniform)
    assert_allclose(alive.mean(), -math.expm1(-2 * 0.1 * 0.15 / 0.02), atol=1e-4)
    assert_array_equal(survives(-start, -end, variance, uniform), alive)
    assert not survives(start, end - 0.2, variance, uniform).any()
    assert not survives(-start, 0.2 - end, variance, uniform).any()


def logistic(horizon=1.5):
    """ẋ = (1 + cos 3t) x (1 − x), with its solution."""
    drift = Field(lambda _, t, x: (1 + math.cos(3 * t)) * x * (1 - x), np.array([0.0, horizon]))
    growth = math.exp(horizon + math.sin(3 * horizon) / 3)
    return drift, lambda x: x * growth / (1 - x + x * growth)


def test_without_noise_the_order_is_four():
    drift, exact = logistic()
    start = np.linspace(0.05, 0.95, 19)[:, None]
    steps = np.array([4, 8, 16, 32])
    errors = [np.abs(simulate(drift, start, setting(steps=4 * n)).positions - exact(start)).max() for n in steps]
    assert abs(fitted_order(steps, errors) - 4) < 0.3
    assert errors[-1] < 1e-6


def test_without_noise_a_drift_that_jumps_between_pieces_costs_no_order():
    speeds = (1.0, -2.0, 0.5)
    edges = np.array([0.0, 0.3, 0.7, 1.1])
    drift = Field(lambda piece, _, x: speeds[piece] * torch.sin(math.pi * x) / math.pi, edges)
    start = np.linspace(0.1, 0.9, 9)[:, None]
    reach = math.exp(float(np.dot(speeds, np.diff(edges))))  # tan(πx/2) grows exponentially
    exact = 2 / math.pi * np.arctan(reach * np.tan(0.5 * math.pi * start))
    steps = np.array([1, 2, 4, 8])
    errors = [np.abs(simulate(drift, start, setting(steps=4 * n)).positions - exact).max() for n in steps]
    assert abs(fitted_order(steps, errors) - 4) < 0.4
    assert errors[-1] < 1e-6


@pytest.mark.parametrize("diffusivity", [0.0, 0.2])
def test_every_piece_is_asked_for_times_within_it_alone(diffusivity):
    drift = Field(lambda _, __, x: 0.1 * x, np.array([0.0, 0.3, 0.9]))
    simulate(drift, np.full((3, 1), 0.5), setting(diffusivity, steps=7))
    for piece, (begin, end) in enumerate([(0.0, 0.3), (0.3, 0.9)]):
        times = [t for asked, t in drift.asked if asked == piece]
        assert min(times) == begin
        assert max(times) == pytest.approx(end, abs=1e-12)


@pytest.mark.slow
def test_with_noise_the_weak_order_is_two_away_from_walls():
    # dX = tanh(X) dt + dW: from x the law at t is a mixture of N(x ± t, t), weights ∝ e^{±x}
    start, horizon = 0.4, 2.0
    drift = Field(lambda _, __, x: torch.tanh(x), np.array([0.0, horizon]))
    up = math.exp(start) / (2 * math.cosh(start))
    decay = math.exp(-horizon / 2)
    exact = decay * (up * math.cos(start + horizon) + (1 - up) * math.cos(start - horizon))
    steps = np.array([1, 2, 4])
    count = 4_000_000
    errors = []
    for n in steps:
        moved = simulate(drift, np.full((count, 1), start), setting(0.5, box=FREE, steps=int(n))).positions
        errors.append(abs(float(np.cos(moved).mean()) - exact))
    noise = float(np.cos(moved).std()) / math.sqrt(count)
    assert errors[-1] > 5 * noise  # what is fitted is not the sampling noise
    assert abs(fitted_order(steps, errors) - 2) < 0.5


def test_heun_on_a_linear_drift_has_the_variance_that_its_recursion_gives():
    rate, diffusivity, steps, horizon = 2.0, 0.5, 6, 1.5
    drift = Field(lambda _, __, x: -rate * x, np.array([0.0, horizon]))
    h, count = horizon / steps, 400_000
    moved = simulate(drift, np.full((count, 1), 1.5), setting(diffusivity, box=FREE, steps=steps)).positions[:, 0]
    factor = 1 - rate * h + 0.5 * (rate * h) ** 2
    mean = 1.5 * factor**steps
    variance = (1 - 0.5 * rate * h) ** 2 * 2 * diffusivity * h * (1 - factor ** (2 * steps)) / (1 - factor**2)
    assert abs(moved.mean() - mean) < 4 * math.sqrt(variance / count)
    assert abs(moved.var() - variance) < 4 * variance * math.sqrt(2 / count)


def z_of_means(values, exact):
    return (values.mean(axis=0) - exact) / (values.std(axis=0) / math.sqrt(len(values)))


@pytest.mark.parametrize("steps", [1, 5])
def test_reflected_heat_has_the_cosine_series_for_any_step(steps):
    start, diffusivity, horizon, waves = 0.2, 0.3, 0.4, np.arange(1, 7)
    particles = simulate(still(horizon), np.full((200_000, 1), start), setting(diffusivity, steps=steps, seed=steps))
    exact = np.exp(-((waves * np.pi) ** 2) * diffusivity * horizon) * np.cos(waves * np.pi * start)
    assert np.abs(z_of_means(np.cos(np.pi * waves * particles.positions), exact)).max() < 4
    assert particles.alive.all()


def test_periodic_heat_has_the_coefficients_of_the_fourier_series():
    start, diffusivity, horizon, waves = 0.9, 0.02, 0.5, 2 * np.pi * np.arange(1, 4)
    drift = Field(lambda _, __, x: torch.full_like(x, 3.1), np.array([0.0, horizon]))
    particles = simulate(drift, np.full((200_000, 1), start), setting(diffusivity, "periodic", steps=5))
    decay = np.exp(-(waves**2) * diffusivity * horizon)
    centre = start + 3.1 * horizon
    assert np.abs(z_of_means(np.cos(waves * particles.positions), decay * np.cos(waves * centre))).max() < 4
    assert np.abs(z_of_means(np.sin(waves * particles.positions), decay * np.sin(waves * centre))).max() < 4
    assert particles.positions.min() >= 0
    assert particles.positions.max() <= 1


def cosine_means(drift, diffusivity, start, horizon, count=160):
    """E cos(kπX_T) on [0, 1] between reflecting walls, k < count: d/dt E φ_k = E[Dφ_k″ + vφ_k′] in cosine modes."""
    nodes, weights = np.polynomial.legendre.leggauss(600)
    x, weights = 0.5 * (nodes + 1), 0.5 * weights
    waves = np.pi * np.arange(count)
    density_modes = np.where(waves > 0, 2.0, 1.0) * np.cos(np.outer(x, waves))  # ρ = Σ_j E[cos(jπX)] (2 − δ) cos(jπx)
    slopes = -waves * np.sin(np.outer(x, waves))
    generator = (slopes * (weights * drift(x))[:, None]).T @ density_modes - np.diag(diffusivity * waves**2)
    return expm(horizon * generator) @ np.cos(waves * start)


@pytest.mark.slow
def test_reflected_ornstein_uhlenbeck_has_its_cosine_series():
    diffusivity, start, horizon, waves = 0.25, 0.9, 0.6, np.arange(1, 7)
    drift = Field(lambda _, __, x: 3 * (0.3 - x), np.array([0.0, horizon]))
    exact = cosine_means(lambda x: 3 * (0.3 - x), diffusivity, start, horizon)[waves]
    particles = simulate(drift, np.full((100_000, 1), start), setting(diffusivity, steps=300))
    assert np.abs(z_of_means(np.cos(np.pi * waves * particles.positions), exact)).max() < 4


def test_reflected_ornstein_uhlenbeck_keeps_the_truncated_gaussian():
    law = truncnorm(-1.2, 0.8)  # of dX = −X dt + √2 dW on [−1.2, 0.8]
    start = law.rvs((100_000, 1), random_state=3)
    drift = Field(lambda _, __, x: -x, np.array([0.0, 0.5]))
    moved = simulate(drift, start, setting(1.0, box=((-1.2, 0.8),), steps=400)).positions
    assert np.abs(moved - start).mean() > 0.3  # they did move
    exact = np.array([law.moment(power) for power in (1, 2, 3)])
    assert np.abs(z_of_means(moved ** np.array([1, 2, 3]), exact)).max() < 4


@pytest.mark.parametrize("steps", [16, 64])
def test_between_absorbing_walls_the_mass_left_is_the_sum_of_the_sine_series(steps):
    start, diffusivity, horizon, count = 0.3, 0.5, 0.1, 200_000
    waves = np.pi * np.arange(1, 200, 2)
    exact = float(np.sum(4 / waves * np.sin(waves * start) * np.exp(-(waves**2) * diffusivity * horizon)))
    particles = simulate(still(horizon), np.full((count, 1), start), setting(diffusivity, "absorbing", steps=steps))
    assert 0.3 < exact < 0.9
    assert abs(particles.alive.mean() - exact) < 4 * math.sqrt(exact * (1 - exact) / count)
    inside = particles.positions[particles.alive]
    coefficient = math.sqrt(2) * np.sin(math.pi * start) * math.exp(-(math.pi**2) * diffusivity * horizon)
    values = np.where(particles.alive, math.sqrt(2) * np.sin(math.pi * particles.positions[:, 0]), 0.0)
    assert abs(z_of_means(values, coefficient)) < 4
    assert inside.min() >= 0
    assert inside.max() <= 1


def test_absorbing_walls_without_noise_kill_exactly_what_reaches_them():
    start = np.linspace(0.005, 0.995, 100)[:, None]
    drift = Field(lambda _, __, x: torch.ones_like(x), np.array([0.0, 0.3]))
    particles = simulate(drift, start, setting(walls="absorbing"))
    assert_array_equal(particles.alive, start[:, 0] < 0.7)
    assert_allclose(particles.positions[particles.alive, 0], start[particles.alive, 0] + 0.3, atol=1e-12)


def test_a_particle_once_dead_stays_dead():
    drift = Field(lambda piece, _, x: torch.full_like(x, 1.0 - 2.0 * piece), np.array([0.0, 0.5, 1.0]))
    particles = simulate(drift, np.array([[0.8], [0.2]]), setting(walls="absorbing"))
    assert particles.alive.tolist() == [False, True]


@pytest.fixture
def noisy_run():
    start = np.random.default_rng(5).random((2 * CELL + 100, 2))
    drift = Field(lambda _, t, x: torch.sin(3 * x + t), np.array([0.0, 0.2, 0.5]))

    def run(seed=3, count=None):
        chosen = setting(0.1, "absorbing", ((0.0, 1.0), (-0.5, 1.5)), steps=5, seed=seed)
        return simulate(drift, start[:count], chosen)

    return run


def test_another_seed_gives_other_particles_and_chunks_share_no_noise(noisy_run):
    first, second = noisy_run(seed=3), noisy_run(seed=4)
    assert not np.isin(first.positions[:100], second.positions[:100]).any()
    resting = simulate(still(0.5), np.full((2 * CELL, 1), 0.5), setting(0.1, steps=3)).positions
    assert np.abs(resting[:CELL] - resting[CELL:]).mean() > 0.05


def test_whole_chunks_do_not_change_when_particles_are_added(noisy_run):
    assert_array_equal(noisy_run(count=CELL).positions, noisy_run().positions[:CELL])


def test_an_error_in_the_drift_comes_through():
    def broken(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        simulate(
            Field(broken, np.array([0.0, 1.0])),
            np.full((3, 1), 0.5),
            setting(walls="periodic", steps=4),
        )


@pytest.mark.parametrize("steps", [8, slow(32)])
def test_mass_at_a_wall_settles_in_the_exponential_layer_for_any_step(steps):
    drift, diffusivity = 3.0, 0.5
    pressing = Field(lambda _, __, x: torch.full_like(x, drift), np.linspace(0, 4, 9))
    moved = simulate(pressing, np.full((100_000, 1), 0.5), setting(diffusivity, steps=steps, seed=3)).positions
    rate, waves = drift / diffusivity, np.pi * np.arange(1, 7)
    # ∫ cos(kπx) e^{rx} dx / ∫ e^{rx} dx on [0, 1]
    exact = rate**2 / (rate**2 + waves**2) * (np.cos(waves) * np.exp(rate) - 1) / np.expm1(rate)
    assert np.abs(z_of_means(np.cos(waves * moved), exact)).max() < 4.5


@pytest.mark.parametrize("diffusivity", [1e-4, 0.05, 1.0, 50.0])
def test_no_particle_leaves_the_box(diffusivity):
    moved = simulate(still(1.0), np.linspace(0, 1, 5000)[:, None], setting(diffusivity, steps=3)).positions
    assert moved.min() >= 0.0
    assert moved.max() <= 1.0


@pytest.mark.parametrize("steps", [1, 7])
def test_the_noise_of_a_schedule_has_its_variance_whatever_the_steps(steps):
    varying = Varying(lambda t: np.exp(3 * t), lambda t: np.exp(3 * t) / 3, 0.2)
    particles = simulate(still(0.9), np.zeros((100_000, 1)), Setting(varying, "reflecting", FREE, steps, 0)).positions
    expected = 2 * 0.2 * (np.exp(2.7) - 1) / 3
    assert abs(particles.var() / expected - 1) < 4 * np.sqrt(2 / 100_000)


def test_a_linear_drift_under_a_schedule_is_of_weak_second_order():
    # the noise of step k reaches the end times (1 - ah + a²h²/2)^(steps after it), and half of ah less of its own step
    rate, horizon = 2.0, 1.0
    varying = Varying(lambda t: np.exp(2 * t), lambda t: np.exp(2 * t) / 2, 0.3)
    exact = 2 * 0.3 * (np.exp(2.0) - np.exp(-4.0)) / 6  # 2∫ e^{-4(1-t)} 0.3 e^{2t} dt
    drift = Field(lambda _, __, x: -rate * x, np.array([0.0, horizon]))
    errors = []
    for steps in (2, 4, 8):
        h = horizon / steps
        factor = 1 - rate * h + 0.5 * (rate * h) ** 2
        ends = [
            varying.mean(k * h, (k + 1) * h) * (1 - 0.5 * rate * h) ** 2 * factor ** (2 * (steps - k - 1))
            for k in range(steps)
        ]
        scheme = 2 * h * sum(ends)
        moved = simulate(drift, np.zeros((200_000, 1)), Setting(varying, "reflecting", FREE, steps, 1)).positions
        assert abs(moved.var() / scheme - 1) < 4 * np.sqrt(2 / 200_000)
        errors.append(abs(scheme - exact))
    assert fitted_order([2, 4, 8], errors) > 1.8

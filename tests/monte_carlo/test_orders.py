"""Weak orders in the step, fitted with confidence intervals: at walls, at a corner, between absorbing walls, and of
the two-bump problem against the state equation."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from scipy.linalg import expm

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.monte_carlo.statistics import mollified_l2, sample_of
from controlsde.monte_carlo.streaming import Effort
from controlsde.monte_carlo.sums import CELL
from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import build_mesh, build_network, time_grid
from controlsde.verification.grid import FinalGrid
from controlsde.verification.particle_measurement import experiment_of
from controlsde.verification.refinement import refined_density
from tests.quick import slow

DIFFUSIVITY = 0.25


def order(steps, errors, spreads):
    """The slope of log error against log step by weighted least squares, and its standard error."""
    x, y = -np.log(np.asarray(steps, dtype=float)), np.log(np.abs(errors))
    weight = (np.abs(errors) / spreads) ** 2
    centred = x - np.average(x, weights=weight)
    slope = float(np.sum(weight * centred * y) / np.sum(weight * centred**2))
    return slope, float(np.sum(weight * centred**2) ** -0.5)


def pull(targets, rate):
    """The drift rate·(target − x) on each axis of the unit box, exactly, by two neurons an axis."""
    d = len(targets)
    a, w, b = np.zeros((1, d, 2 * d)), np.zeros((1, 2 * d, d)), np.zeros((1, 2 * d))
    for axis, target in enumerate(targets):
        for neuron, sign in ((2 * axis, 1.0), (2 * axis + 1, -1.0)):
            w[0, neuron, axis], b[0, neuron], a[0, axis, neuron] = sign, -sign * target, -sign * rate
    box = ((0.0, 1.0),) * d
    return NetworkDrift(Network(d, 2 * d, "relu", False, box), Controls(a, w, b, np.array([0.0, 0.5])))


def mean(value, drift, start, walls, scheme, steps, count):
    """The mean of value(x, alive) at t = ½ over particles from one point, and its standard error."""
    process = Process.of(drift, Steady(DIFFUSIVITY), drift.network.box, walls, steps, scheme)
    begin = np.repeat(process.inward(np.array([start])), CELL, axis=0)

    def cell(number):
        moved = fused.simulate(process, Stream(17), number * CELL, begin)
        values = np.where(moved.alive, value(process.outward(moved.z)), 0.0)
        return values.sum(), (values**2).sum()

    cells = -(-count // CELL)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        total, square = np.sum(list(pool.map(cell, range(cells))), axis=0) / (cells * CELL)
    return total, np.sqrt((square - total**2) / (cells * CELL))


@cache
def cosine_means(target, rate, start, count=160):
    """E cos(kπX) at t = ½ between reflecting walls, k < count: d/dt E φ_k = E[Dφ_k″ + vφ_k′] in cosine modes."""
    x, weights = (0.5 * part for part in np.polynomial.legendre.leggauss(600))
    x = x + 0.5
    waves = np.pi * np.arange(count)
    modes = np.where(waves > 0, 2.0, 1.0) * np.cos(np.outer(x, waves))  # ρ = Σ_j E[cos jπX] (2 − δ) cos jπx
    slopes = -waves * np.sin(np.outer(x, waves))
    generator = (slopes * (weights * rate * (target - x))[:, None]).T @ modes - np.diag(DIFFUSIVITY * waves**2)
    return expm(0.5 * generator) @ np.cos(waves * start)


def surviving(target, rate, start, count=160):
    """P(alive) at t = ½ between absorbing walls, by sine modes in the same way."""
    x, weights = (0.5 * part for part in np.polynomial.legendre.leggauss(600))
    x = x + 0.5
    waves = np.pi * np.arange(1, count + 1)
    slopes = waves * np.cos(np.outer(x, waves))
    generator = (slopes * (weights * rate * (target - x))[:, None]).T @ (2 * np.sin(np.outer(x, waves)))
    means = expm(0.5 * (generator - np.diag(DIFFUSIVITY * waves**2))) @ np.sin(waves * start)
    return float(2 * np.sum(means * (1 - np.cos(waves)) / waves))


def fit(value, exact, drift, start, walls, scheme, steps, count):
    found = [mean(value, drift, start, walls, scheme, n, count) for n in steps]
    return order(steps, [value - exact for value, _ in found], [spread for _, spread in found])


# Euler–Maruyama, folded: order 1. Heun, pushed back: 2 inside, and at walls between the two.
ORDERS = {"euler-maruyama": (0.9, 1.1), "heun": (1.4, 2.2)}


@pytest.mark.parametrize("scheme", ORDERS)
def test_the_order_at_a_reflecting_wall(scheme):
    steps = {"euler-maruyama": (8, 16, 32), "heun": (4, 8, 16)}[scheme]
    exact = cosine_means(0.3, 3.0, 0.9)[2]
    slope, spread = fit(
        lambda x: np.cos(2 * np.pi * x[:, 0]), exact, pull([0.3], 3.0), [0.9], "reflecting", scheme, steps, 2**21
    )
    assert spread < 0.15
    assert ORDERS[scheme][0] - 2 * spread < slope < ORDERS[scheme][1] + 2 * spread


@pytest.mark.parametrize("scheme", ORDERS)
def test_the_order_in_a_corner_into_which_the_drift_presses(scheme):
    exact = cosine_means(1.1, 2.5, 0.8)[1] * cosine_means(1.2, 2.5, 0.9)[2]
    slope, spread = fit(
        lambda x: np.cos(np.pi * x[:, 0]) * np.cos(2 * np.pi * x[:, 1]),
        exact,
        pull([1.1, 1.2], 2.5),
        [0.8, 0.9],
        "reflecting",
        scheme,
        (6, 12, 24),
        2**20,
    )
    assert spread < 0.2
    assert ORDERS[scheme][0] - 2 * spread < slope < ORDERS[scheme][1] + 2 * spread


@pytest.mark.slow
def test_the_mass_that_absorbing_walls_kill_has_order_one_with_the_bridge():
    exact = surviving(0.3, 3.0, 0.3)
    slope, spread = fit(
        lambda x: np.ones(len(x)), exact, pull([0.3], 3.0), [0.3], "absorbing", "euler-maruyama", (16, 32, 64), 2**21
    )
    assert spread < 0.05
    assert 0.85 < slope < 1.15  # ½ where only the ends of steps kill
    found, spread = mean(lambda x: np.ones(len(x)), pull([0.3], 3.0), [0.3], "absorbing", "heun", 64, 2**20)
    assert abs(found - exact) < 4 * spread + 2e-4


@pytest.fixture(scope="module")
def two_bumps():
    """The two-bump problem under weights whose slopes the steps resolve, and its density at T by the state equation."""
    problem = load_problem("two-bumps", set={"mesh.elements": [24], "controls.pieces": 4})
    reference = build_reference(problem.reference, problem.domain)
    network = build_network(problem)
    a, w, b = network.split(network.random_weights(4, np.random.default_rng(5), 2.0))
    drift = NetworkDrift(network, Controls(2.0 * a, w, b, time_grid(problem, reference).edges))
    refined = refined_density(Posed(problem, reference), drift, build_mesh(problem, reference))
    assert refined.refinement < 1e-8
    grid = FinalGrid.over(problem.domain.box)
    experiment = experiment_of(Posed(problem, reference), drift)
    density = refined.final.on(grid.centres)
    return experiment, experiment.layout.modes.of_density(grid.points, grid.weights, density)


@pytest.mark.parametrize(
    ("scheme", "steps", "expected"), [slow(("euler-maruyama", (2, 4, 8), (0.9, 1.1))), ("heun", (1, 2), (1.8, 2.5))]
)
def test_the_order_of_two_bumps_against_the_state_equation(two_bumps, scheme, steps, expected):
    experiment, coefficients = two_bumps
    layout, found = experiment.layout, []
    for n in steps:
        finer = dataclasses.replace(experiment, steps_per_piece=n, scheme=scheme)
        sums = finer.run(Effort(2**21), layout, finer.backend(10**9)).sums
        found.append(mollified_l2(layout.modes, sample_of(layout, sums), coefficients))
    slope, spread = order(steps, *np.array([(one.value, one.standard_error) for one in found]).T)
    assert spread < 0.25
    assert expected[0] - 2 * spread < slope < expected[1] + 2 * spread

"""Over two hundred repetitions the z of ten shipped problems look like draws from a standard normal."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.monte_carlo.statistics import agreement, agreement_of_all_modes, sample_of, wasserstein_1
from controlsde.monte_carlo.streaming import Effort
from controlsde.monte_carlo.sums import CELL
from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import build_mesh, build_network, time_grid
from controlsde.verification.grid import FinalGrid
from controlsde.verification.particle_measurement import experiment_of
from controlsde.verification.refinement import refined_density

REPETITIONS = 200
PIECES = 4
STEPS = 48  # a piece: their bias is far below the standard error of one cell of particles
TEN = [
    "two-bumps", "three-bumps", "iris-petals", "heat-compact", "jump", "moser-bumps", "circle", "vp-cosine",
    "moser-square", "iris-plane",
]  # fmt: skip
QUICK = ("two-bumps",)  # the others have more to compute


def posed(name):
    """A shipped problem under random weights: experiments by repetition, the density at T, and the target."""
    problem = load_problem(name, set={"controls.pieces": PIECES})
    reference = build_reference(problem.reference, problem.domain)
    network, edges = build_network(problem), time_grid(problem, reference).edges
    weights = network.split(network.random_weights(len(edges) - 1, np.random.default_rng(1)))
    drift = NetworkDrift(network, Controls(*weights, edges))
    refined = refined_density(Posed(problem, reference), drift, build_mesh(problem, reference))
    grid = FinalGrid.over(problem.domain.box)

    def experiment(repetition):
        found = experiment_of(Posed(problem, reference), drift, repetition=repetition)
        return dataclasses.replace(found, steps_per_piece=STEPS)

    return (
        experiment,
        grid,
        refined.final.on(grid.centres),
        reference.density(reference.horizon, grid.points),
    )


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in TEN]
)
def test_z_is_standard_normal_over_two_hundred_repetitions(name):
    experiment, grid, density, target = posed(name)
    first = experiment(0)
    layout, backend = first.layout, first.backend(10**9)
    of_density, of_target = (layout.modes.of_density(grid.points, grid.weights, v) for v in (density, target))
    z, z_modes = [], []
    for repetition in range(REPETITIONS):
        sample = sample_of(layout, experiment(repetition).run(Effort(CELL), layout, backend).sums)
        z.append(agreement(layout.modes, sample, of_density, of_target))
        z_modes.append(agreement_of_all_modes(layout.modes, sample, of_density))
    assert len(set(z)) == REPETITIONS
    assert abs(np.mean(z)) < 4 / math.sqrt(REPETITIONS)
    assert abs(np.std(z) - 1) < 4 / math.sqrt(2 * REPETITIONS)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(np.mean(z_modes)) < 4 / math.sqrt(REPETITIONS)
    assert abs(np.std(z_modes) - 1) < 0.35  # a weighted χ²: its tail makes its spread less certain


@pytest.mark.slow
def test_the_null_of_a_transport_distance_is_calibrated():
    experiment, _, density, _ = posed("two-bumps")
    first = experiment(0)
    layout, backend, rng = first.layout, first.backend(10**9), np.random.default_rng(0)
    p = []
    for repetition in range(60):
        sums = experiment(repetition).run(Effort(4000), layout, backend).sums
        p.append(wasserstein_1(layout, sums, density, rng).p)
    assert stats.kstest(p, "uniform").pvalue > 1e-3

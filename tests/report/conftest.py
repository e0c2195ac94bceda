"""Results in free space that nobody solved: a few particles near p, and numbers as a verification would find them."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.control.drift import network_drift
from controlsde.distances.nulls import NullTest
from controlsde.monte_carlo.cloud import Cloud
from controlsde.problem import parse_problem
from controlsde.result.free_result import FreeResult
from controlsde.tracking.free_posed import FreePosed
from controlsde.verification.certificate import Check
from controlsde.verification.free_certificate import FreeMeasurements, judge
from controlsde.verification.free_evidence import BesideNull, FreeErrors, LogLikelihood, Particles, ScoreLoss
from controlsde.verification.free_verifying import experiment_of
from controlsde.workflow.free_comparison import FreeComparison, note
from controlsde.workflow.free_simulation import FreeSimulation

TEXT = """\
name: {name}
domain: {{space: free}}
noise: {noise}
network: {{width: {width}}}
controls: {{pieces: 4}}
reference:
  kind: reversed-diffusion
  horizon: 1.5
  data: {{kind: mixture, means: {means}, stds: [0.3, 0.3]}}
"""
NULLS = {"mollified": (0.0, 8e-4), "energy_distance": (0.0, 3e-3), "sliced_w2": (0.09, 0.02), "bures_w2": (0.05, 0.01),
         "marginal_w1": (0.04, 0.01)}  # fmt: skip


def make_free(
    noise=1.0, d=4, *, width=3, seed=0, particles=300, names=None, failing=False, status="converged", held_out=0,
    network=True, name="pb", lost=False, scale=None, shift=None,
):  # fmt: skip
    """Particles of p moved a little, the more the more noise; failing: a check that did not pass; lost: two are."""
    means = [[-1.5, *[0.5] * (d - 1)], [1.5, *[-0.5] * (d - 1)]]
    text = TEXT.format(name=name, noise=noise, width=width, means=means)
    problem = parse_problem(text if network else f"{text}drift: exact\n")
    posed = FreePosed.of(problem)
    rng = np.random.default_rng(seed)
    times = np.linspace(0.0, 1.5, 5)
    off = 0.1 + 0.2 * noise
    reference = np.stack([posed.reference.sample(t, particles, rng) for t in times])
    positions = np.stack([posed.reference.sample(t, particles, rng) + off * t / 1.5 for t in times])
    final = posed.reference.sample(1.5, particles, rng) + off
    if lost:
        final[:2], positions[2:, 0] = np.nan, np.inf
    cloud = Particles(
        times, positions, reference, final, off**2 * times / 10, tuple(names or posed.data.names),
        np.zeros(d) if shift is None else np.full(d, float(shift)),
        np.ones(d) if scale is None else np.full(d, float(scale)),
        posed.reference.sample(1.5, held_out, rng),
    )  # fmt: skip
    distances = {
        key: BesideNull(mean + 0.1 * off + 0.01 * seed, mean, sd, 0.024, mean + 0.4)
        for key, (mean, sd) in NULLS.items()
    }
    likelihood = LogLikelihood(
        -1.7 - 0.1 * noise, 0.05, "bound" if noise else "exact", 200, bool(held_out), -1.56, -2.8, 0.61, 0.56, 1.0,
        0.15 + 0.1 * noise, 0.02, 0.3 if noise else None, 0.02 if noise else None,
    )  # fmt: skip
    measured = FreeMeasurements(
        particles, "cpu", "numpy", 0.01 if lost else 0.0, 0.2 if failing else 0.002, 1.5, 1.05,
        None if noise else 1e-4, 0.5 if noise else None,
    )  # fmt: skip
    history = np.stack([np.arange(12), np.geomspace(1.0, 0.2, 12), np.geomspace(0.5, 1e-4, 12)], axis=1)
    controls = Controls(
        rng.normal(size=(4, d, width)), rng.normal(size=(4, width, d)), rng.normal(size=(4, width)), times
    )
    return FreeResult(
        problem=problem.model_copy(update={"solver": problem.solver.model_copy(update={"seed": seed})}),
        solver="score-matching" if network else "drift: exact",
        status=status if network else "given",
        message="the gradient is small" if network else "given, not solved for",
        objective=0.2 if network else float("nan"),
        iterations=11 if network else 0,
        seconds={"build": 0.1, "solve": 2.0, "verify": 1.0},
        controls=controls if network else None,
        history=history if network else np.zeros((0, 3)),
        tracking=FreeErrors({} if lost else distances, likelihood, ScoreLoss(0.21, 0.004, 0.12 - 0.002 * noise, 0.2)),
        certificate=judge(measured),
        particles=cloud,
        energy=23.0,
        energy_se=0.2,
    )


def make_free_comparison(levels=(0.0, 1.0), seeds=3, **options):
    """Results of every level and seed, side by side."""
    found = [[make_free(level, seed=seed, **options) for seed in range(seeds)] for level in levels]
    results = tuple(level[0] for level in found)
    cross = 0.02 * (1.0 + np.arange(len(levels) ** 2)).reshape(len(levels), -1)
    others = tuple(tuple(level[1:]) for level in found)
    made = FreeComparison(results[0].problem, results, others, cross, "")
    return replace(made, note=note(made))


@pytest.fixture(scope="session")
def made_free():
    """Builds a result in free space that nobody solved; see `make_free`."""
    return make_free


@pytest.fixture(scope="session")
def made_free_comparison():
    """Builds a comparison in free space; see `make_free_comparison`."""
    return make_free_comparison


@pytest.fixture(scope="session")
def made_free_simulation():
    """Builds a simulation of a made-up result, of particles that were never moved."""

    def build(p=0.4):
        result = make_free()
        posed = FreePosed.of(result.problem)
        rng = np.random.default_rng(5)
        drift = network_drift(posed.network, result.controls, posed.reference.horizon)
        final = posed.reference.sample(1.5, 400, rng)
        cloud = Cloud(result.particles.times, result.particles.positions[:, :0], final, "cpu", "numpy")
        test = NullTest(0.03, 0.0, 0.01, p)
        return FreeSimulation(
            result=result,
            experiment=experiment_of(posed, drift),
            cloud=cloud,
            requested=400,
            seed=0,
            repetition=1,
            seconds=1.0,
            tests={"mollified": test},
            agreement=test,
            checks=(Check("same_law", 0.0, 3.0, p >= 1e-3),),
        )

    return build

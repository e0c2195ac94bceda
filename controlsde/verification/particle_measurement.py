"""The particles' part of a certificate: an experiment posed by a problem, and what it says about two densities.

Comes in: a problem, its reference, a drift; the density at T that a mesh gave, and the target there, on cells. Goes
out: `MonteCarloEvidence`, and the sums from which more can be told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.foundation.progress import Progress, Step
from controlsde.monte_carlo import statistics
from controlsde.monte_carlo.backends.choice import Backend
from controlsde.monte_carlo.experiment import Experiment
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.streaming import Effort, Elsewhere, Simulated
from controlsde.monte_carlo.sums import Layout
from controlsde.tracking.posed import Posed
from controlsde.verification.certificate import MonteCarloEvidence
from controlsde.verification.grid import FinalGrid

Array = NDArray[np.float64]


def experiment_of(posed: Posed, drift: Drift, *, repetition: int = 0, device: str | None = None) -> Experiment:
    """The controlled process of a problem under a drift. repetition: another number draws other noise."""
    options = posed.problem.monte_carlo
    return Experiment(
        drift=drift,
        diffusivity=posed.diffusivity,
        box=posed.problem.domain.box,
        walls=posed.problem.domain.walls,
        draw=posed.reference.sample_initial,
        steps_per_piece=options.steps_per_piece,
        scheme=options.scheme,
        stream=Stream.of(options.seed, posed.problem.name, posed.problem.noise, repetition),
        device=device or options.device,
    )


@dataclass(frozen=True, eq=False)
class Measured:
    """What particles said, with the sums and the coefficients (m,) of both densities.

    step_shift: the mollified L² distance by which the length of the steps moves the particles' law.
    """

    evidence: MonteCarloEvidence
    simulated: Simulated
    layout: Layout
    backend: Backend
    sample: statistics.Sample
    of_density: Array
    of_target: Array
    step_shift: float


def measure(
    experiment: Experiment,
    grid: FinalGrid,
    density: Array,
    target: Array,
    effort: Effort,
    progress: Progress,
    *,
    doing: str = "verifying",
    elsewhere: Elsewhere | None = None,
) -> Measured:
    """Move particles and compare them with two densities on the cells of a grid, (cells,) each; progress says `doing`.

    Raises DeviceError for a device that is not there.
    """
    task = f"{doing}: particles"
    progress(Step(task, fraction=0.0))
    layout = experiment.layout
    backend = experiment.backend(effort.particles)
    of_density = layout.modes.of_density(grid.points, grid.weights, density)
    of_target = layout.modes.of_density(grid.points, grid.weights, target)
    simulated = experiment.run(
        effort,
        layout,
        backend,
        coefficients=of_target,
        report=lambda count: progress(Step(task, fraction=count / effort.particles)),
        elsewhere=elsewhere,
    )
    sample = statistics.sample_of(layout, simulated.sums)
    error = statistics.mollified_l2(layout.modes, sample, of_target)
    progress(Step(f"{doing}: steps of particles"))
    bias = experiment.step_bias(layout, backend, sample, of_target)
    evidence = MonteCarloEvidence(
        particles=simulated.sums.count,
        l2_final=error.value,
        l2_final_se=error.standard_error,
        z=statistics.agreement(layout.modes, sample, of_density, of_target),
        z_modes=statistics.agreement_of_all_modes(layout.modes, sample, of_density),
        alive_fraction=sample.alive_fraction,
        step_bias=bias.error.value,
        step_bias_se=bias.error.standard_error,
        device=backend.device,
        backend=backend.name,
    )
    return Measured(evidence, simulated, layout, backend, sample, of_density, of_target, bias.law)

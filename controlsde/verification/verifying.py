"""One answer, measured again: finer meshes and other integrators, characteristics, particles.

Comes in: a problem, its reference, a drift, and the densities that the solver's own mesh gave. Goes out: the
tracking errors that the software reports, and the certificate. It never sees which solver made the drift.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.control.drift import Drift
from controlsde.distances.final import FinalPair
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.progress import Progress, Step
from controlsde.monte_carlo.streaming import INTERRUPTED, Effort
from controlsde.problem import Problem
from controlsde.reference import Reference
from controlsde.registry import DISTANCES
from controlsde.tracking.posed import Posed
from controlsde.verification.certificate import Measurements, judge
from controlsde.verification.characteristics import density_by_characteristics
from controlsde.verification.energy import energy_of
from controlsde.verification.evidence import DiscreteRun, Evidence, Fields, TrackingErrors
from controlsde.verification.grid import FinalGrid
from controlsde.verification.particle_measurement import experiment_of, measure
from controlsde.verification.promises import promises
from controlsde.verification.refinement import FIELDS_PER_PIECE, Refined, refined_density
from controlsde.verification.sight import sight_of
from controlsde.verification.transport_at_end import final_transport

Array = NDArray[np.float64]

CHARACTERISTIC_POINTS = {1: 1024, 2: 64, 3: 16}
DEARER = 4  # fewer of them on each axis for drifts that vary in time, which are evaluated anew at every step


def verify(
    posed: Posed,
    drift: Drift,
    run: DiscreteRun,
    gradient_norm: float | None,
    progress: Progress,
    *,
    thorough: bool = True,
) -> Evidence:
    """Measure a drift's tracking errors and judge the solver's densities; without `thorough`, no particles."""
    refined = refined_density(posed, drift, run.mesh, progress)
    grid = FinalGrid.over(posed.problem.domain.box)
    final = refined.final.on(grid.centres)
    target = posed.reference.density(posed.reference.horizon, grid.points)
    scale = distances.l2(grid.weights, target, 0.0 * target)
    along_paths = None
    if posed.problem.noise == 0.0:
        progress(Step("verifying: characteristics"))
        along_paths = _characteristics_change(posed, drift, refined, scale)
    particles = moved = None
    if thorough:
        experiment, effort = experiment_of(posed, drift), Effort(posed.problem.monte_carlo.particles)
        measured = measure(experiment, grid, final, target, effort, progress)
        if measured.simulated.stopped == INTERRUPTED:  # a certificate is not for a part of the particles
            raise KeyboardInterrupt
        particles = measured.evidence
        progress(Step("verifying: energy of particles"))
        moved = experiment.energy(measured.backend, particles.particles)
    progress(Step("verifying: energy"))
    energy = energy_of(posed, drift, refined, distances.l2(grid.weights, final, target), moved)
    progress(Step("verifying: between the nodes"))
    sight, missed, forward = sight_of(posed, drift, refined, grid, final, target)
    measured_values = Measurements(
        mass_error=refined.mass_error,
        negative_mass=distances.negative_mass(grid.weights, final),
        resolution=refined.final.resolution,
        refined_l2_change=_change_from(run, refined, scale),
        refinement=refined.refinement,
        target_mass=abs(float(grid.weights @ target) - 1.0),
        target_change=_target_change(posed.reference, run.mesh, grid, target, scale),
        characteristics_l2_change=along_paths,
        energy_bound_refined=energy.refined_change,
        monte_carlo=particles,
        gradient_norm=gradient_norm,
        nodes=len(refined.mesh.mass),
        **vars(sight),
    )
    certificate = judge(
        measured_values,
        closed=posed.problem.domain.walls != "absorbing",
        noisy=posed.problem.noise > 0.0,
        terminal_error=_end_error(posed.problem, grid, final, target),
        terminal_limit=posed.problem.objective.terminal_error,
    )
    transport = None
    if np.all(np.isfinite(final)):
        progress(Step("verifying: distances"))
        transport = final_transport(refined.final, lambda x: posed.reference.density(posed.reference.horizon, x))
    tracking = _errors(posed.problem, refined, grid, final, target, transport)
    progress(Step("verifying: promises of the theory"))
    promised = promises(posed, drift, refined, tracking.l2_final)
    return Evidence(
        tracking, certificate, _fields(refined, run), promised, energy, transport, missed, forward, refined.time_error
    )


def _change_from(run: DiscreteRun, refined: Refined, scale: float) -> float:
    """Largest ‖ρ_solver − ρ_refined‖ / ‖p(T)‖ over the ends of the pieces."""
    ends = refined.density[FIELDS_PER_PIECE::FIELDS_PER_PIECE]
    return max(
        DensityField(refined.mesh, fine).distance(coarse) / scale for fine, coarse in zip(ends, run.ends, strict=True)
    )


def _target_change(reference: Reference, mesh: Mesh, grid: FinalGrid, target: Array, scale: float) -> float:
    """‖p_mesh(T) − p(T)‖ / ‖p(T)‖, p_mesh the target as the solver's own mesh holds it."""
    held = DensityField.sampled(mesh, partial(reference.density, reference.horizon)).on(grid.centres)
    return distances.l2(grid.weights, held, target) / scale


def _end_error(problem: Problem, grid: FinalGrid, final: Array, target: Array) -> float | None:
    """‖ρ(T) − p(T)‖ in the problem's norm, as `TrackingErrors` has it; None where the problem sets no limit to it."""
    if problem.objective.terminal_error is None:
        return None
    if not np.all(np.isfinite(final)):
        return math.inf
    if problem.objective.norm == "l2":
        return distances.l2(grid.weights, final, target)
    difference = (final - target).reshape(tuple(len(centres) for centres in grid.centres))
    return distances.sobolev_minus_1(problem.domain.box, problem.domain.walls, difference)


def _characteristics_change(posed: Posed, drift: Drift, refined: Refined, scale: float) -> float:
    """‖ρ_refined(T) − ρ_characteristics(T)‖ / ‖p(T)‖."""
    points = CHARACTERISTIC_POINTS[posed.problem.dimension]
    grid = FinalGrid.over(posed.problem.domain.box, points if drift.constant else math.ceil(points / DEARER))
    mass = float(refined.mesh.weights @ posed.reference.initial_density(refined.mesh.points))
    traced = density_by_characteristics(
        drift, posed.reference.initial_density, grid.points, posed.problem.domain.box, posed.problem.domain.walls
    )
    meshed = refined.final.on(grid.centres)
    return distances.l2(grid.weights, meshed, traced / mass) / scale


def _errors(
    problem: Problem,
    refined: Refined,
    grid: FinalGrid,
    final: Array,
    target: Array,
    transport: distances.BoxTransport | None,
) -> TrackingErrors:
    if not np.all(np.isfinite(final)):  # blown up: no distance means anything
        return TrackingErrors(math.nan, math.nan, math.nan, float(refined.errors[0]))
    domain = problem.domain
    w2 = transport.value if transport else None
    pair = FinalPair(domain.box, domain.walls, grid.edges, grid.weights, final, target, w2)
    return TrackingErrors.of(
        l2_sup=float(refined.errors.max()),
        l2_rms=math.sqrt(refined.mean_square_error),
        l2_final=distances.l2(grid.weights, final, target),
        l2_initial=float(refined.errors[0]),
        final={name: DISTANCES[name].measure(pair) for name in DISTANCES},
    )


def _fields(refined: Refined, run: DiscreteRun) -> Fields:
    shape = (len(refined.times), *refined.mesh.shape)
    return Fields(
        mesh=refined.mesh,
        times=refined.times,
        density=refined.density.reshape(shape),
        reference=refined.reference.reshape(shape),
        curve_times=refined.curve_times,
        l2=refined.errors,
        discrete_times=run.curve_times,
        discrete_l2=run.curve,
    )

"""The controlled density re-computed on finer meshes by other integrators than the solvers use.

Comes in: a problem, its reference, any drift, the solver's mesh. Goes out: densities over time on the finest mesh
that was needed, and how much the last refinement still changed.

Time: matrix exponentials where drift and diffusivity are constant on pieces; otherwise a Magnus integrator with error
control.
Space: the elements are multiplied until the density at T changes by less than REFINED_ENOUGH of ‖p(T)‖.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.fokker_planck.operator import Operator
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.tracking.posed import Posed
from controlsde.verification.exponential import (
    Action,
    exponential_action,
    propagate_piecewise,
    propagate_time_dependent,
    taylor_action,
)

Array = NDArray[np.float64]

REFINED_ENOUGH = 1e-3
MULTIPLES: dict[int, tuple[float, ...]] = {1: (1.5, 2, 3, 4, 6), 2: (1.5, 2), 3: (1.5, 2)}
MOST_UNKNOWNS = {1: 1000, 2: 5_000, 3: 10_000}
FEWEST_MESHES = 2  # whatever their size: one alone says nothing about its error
FIELDS_PER_PIECE = 4  # densities that are kept
INSTANTS = {1: 192, 2: 64, 3: 64}  # of the error curve, at least, by dimension
# where drift or diffusivity vary within pieces, and every one takes exponentials of its own
INSTANTS_OF_VARYING = {1: 64, 2: 64, 3: 16}
ACTION: dict[int, Action] = {1: exponential_action, 2: exponential_action, 3: taylor_action}


@dataclass(frozen=True, eq=False)
class Refined:
    """Densities on the finest mesh, `density` (times, N) in grid values at `times`, and more of them with their errors.

    times: the start, and FIELDS_PER_PIECE equal parts of every piece. curve_times, curve_density, errors: the same with
    `instants` parts, a multiple of that. The rest is about t = T.

    refinement: ‖change‖ / ‖p(T)‖ between the last two meshes, or with smaller time steps where that is larger.
    time_error: that of smaller time steps alone. substeps: how many there were between two instants, by piece, where
    the drift or the diffusivity vary within pieces, else empty. mass_error: largest change of mass, over ∫|ρ|.
    """

    mesh: Mesh
    times: Array
    density: Array
    reference: Array
    curve_times: Array
    curve_density: Array
    errors: Array  # ‖ρ − p‖ at `curve_times`
    instants: int  # a piece
    refinement: float
    time_error: float
    substeps: tuple[int, ...]
    mass_error: float

    @property
    def final(self) -> DensityField:
        """ρ(T)."""
        return DensityField(self.mesh, self.density[-1])

    @property
    def final_error(self) -> float:
        """‖ρ(T) − p(T)‖."""
        return float(self.errors[-1])

    @property
    def mean_square_error(self) -> float:
        """The mean of ‖ρ − p‖² over [0, T]."""
        return self.integral(self.of_pieces(self.errors**2)) / float(self.curve_times[-1] - self.curve_times[0])

    def of_pieces(self, values: Array) -> Array:
        """Values at the curve's times by piece, each with both of its ends: (K, instants + 1)."""
        starts = range(0, len(values) - 1, self.instants)
        return np.stack([values[first : first + self.instants + 1] for first in starts])

    def integral(self, values: Array) -> float:
        """∫₀ᵀ of what is sampled at the curve's times by piece, by Simpson's rule within each: it may jump between."""
        weights = np.array([1.0, *[4.0, 2.0] * (self.instants // 2 - 1), 4.0, 1.0]) / (3.0 * self.instants)
        return float(np.diff(self.curve_times[:: self.instants]) @ (values @ weights))


def refined_density(
    posed: Posed,
    drift: Drift,
    mesh: Mesh,
    progress: Progress = silent,
    *,
    once: bool = False,
) -> Refined:
    """Refine until the density at T settles, or until the largest size is reached; `once` stops after one mesh."""
    coarser: Refined | None = None
    for number, multiple in enumerate(MULTIPLES[mesh.dimension]):
        finer = _multiplied(mesh, multiple, number + 1)
        if number >= FEWEST_MESHES and len(finer.mass) > MOST_UNKNOWNS[mesh.dimension]:
            break
        task = f"verifying: {' × '.join(str(axis.elements) for axis in finer.axes)} elements"
        progress(Step(task))

        def report(share: float, task: str = task) -> None:
            progress(Step(task, fraction=share))

        current = _on_mesh(posed, drift, finer, coarser, report)
        hopeless = coarser is not None and not current.time_error <= REFINED_ENOUGH  # more elements cannot help
        if once or hopeless or current.refinement <= REFINED_ENOUGH:
            return current
        coarser = current
    assert coarser is not None  # the ladder has at least one level
    return coarser


def _multiplied(mesh: Mesh, multiple: float, more: int) -> Mesh:
    """`multiple` times the elements on every axis, and at least so many more."""
    return Mesh(
        tuple(
            Axis(
                axis.low,
                axis.high,
                max(int(np.ceil(axis.elements * multiple)), axis.elements + more),
                axis.degree,
                axis.walls,
            )
            for axis in mesh.axes
        )
    )


@np.errstate(over="ignore", invalid="ignore")  # a density that blows up says so by no longer being a number
def _on_mesh(
    posed: Posed,
    drift: Drift,
    mesh: Mesh,
    coarser: Refined | None,
    report: Callable[[float], None],
) -> Refined:
    diffusivity = posed.diffusivity
    operator = Operator.build(
        Mesh(tuple(Axis(a.low, a.high, a.elements, a.degree, posed.problem.domain.walls) for a in mesh.axes)),
        diffusivity.mean(0.0, posed.reference.horizon),
    )
    mesh = operator.mesh
    initial = mesh.unit_mass(posed.reference.initial_density(mesh.points))
    steady = drift.constant and diffusivity.steady
    least = INSTANTS[mesh.dimension] if steady else INSTANTS_OF_VARYING[mesh.dimension]
    instants = FIELDS_PER_PIECE * math.ceil(least / ((len(drift.edges) - 1) * FIELDS_PER_PIECE))
    times, unknowns, moved, substeps = _propagate(operator, drift, diffusivity, initial, instants, report)
    kept = slice(None, None, instants // FIELDS_PER_PIECE)
    density = mesh.to_grid(unknowns)
    target = np.stack([posed.reference.density(float(t), mesh.points) for t in times])
    errors = np.sqrt(((density - target) ** 2) @ mesh.weights)
    scale = float(np.sqrt(target[-1] ** 2 @ mesh.weights))
    change = float("inf")
    if coarser is not None:
        change = float(np.maximum(moved, DensityField(mesh, density[-1]).distance(coarser.final) / scale))
    amount = np.abs(unknowns) @ mesh.mass  # 1, or more for a density that swings below zero, with its rounding
    mass_error = float((np.abs(unknowns @ mesh.mass - 1.0) / np.maximum(amount, 1.0)).max())
    return Refined(
        mesh=mesh,
        times=times[kept],
        density=density[kept],
        reference=target[kept],
        curve_times=times,
        curve_density=density,
        errors=errors,
        instants=instants,
        refinement=change,
        time_error=moved,
        substeps=substeps,
        mass_error=mass_error,
    )


def _propagate(
    operator: Operator,
    drift: Drift,
    diffusivity: Diffusivity,
    initial: Array,
    instants: int,
    report: Callable[[float], None],
) -> tuple[Array, Array, float, tuple[int, ...]]:
    """Output times, unknowns there (both ends of every piece included once), the relative error in time, substeps."""
    moved = 0.0
    substeps: tuple[int, ...] = ()
    edges = drift.edges
    durations = np.diff(edges)
    points = operator.drift_points

    def rectified(piece: int, t: float) -> Array:
        return operator.rectify(drift.values(piece, t, points))

    constant = lru_cache(maxsize=1)(lambda piece: rectified(piece, float(edges[piece])))

    def generator(piece: int, t: float) -> sp.csr_array:
        values = constant(piece) if drift.constant else rectified(piece, t)
        return operator.matrix(values, diffusivity.at(t))

    mass, action = operator.mesh.mass, ACTION[operator.mesh.dimension]
    if drift.constant and diffusivity.steady:
        values = propagate_piecewise(
            lambda piece: generator(piece, float(edges[piece])), initial, durations, instants, mass, action, report
        )
    else:
        values, moved, substeps = propagate_time_dependent(generator, initial, edges, instants, mass, action, report)
    fractions = np.arange(1, instants + 1) / instants
    times = np.concatenate([edges[:1], (edges[:-1, None] + durations[:, None] * fractions).ravel()])
    return times, values, moved, substeps

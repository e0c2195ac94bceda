"""The discrete tracking problem that every solver minimises.

Comes in: a mesh, a time grid, the reference and a network. Goes out: everything a solver needs as plain arrays.

    J(θ) = ½ w_R Σ_{k,i,j} h b_j ‖Y_kij − p(t_kij)‖² + ½ w_T ‖ρ(T) − p(T)‖²
           + ½ r Σ_k Δt_k |θ_k|² + ½ μ Σ_k |θ_{k+1} − θ_k|² / τ_k,        τ_k = ½ (Δt_k + Δt_{k+1})

over the Radau stages Y (K pieces, S steps, s stages), in L² or Ḣ⁻¹ (see `metric`). Radau IIA ends a step in its last
stage, so ρ(T) = Y of the last stage of the last step, and the terms are two weighted sums of squares:

    J(θ) = ½ Σ time_weight ‖Y − p‖² + ½ Σ energy_weight ∫|v|²Y⁺ + ½ Σ_kl regularisation_kl θ_k·θ_l.

The energy counts the positive part of the density: minimised with the density itself, it runs off to minus infinity
where the density is below zero. Where the lengths of the pieces are free, they are controls as the weights are, see
`free_lengths`: then θ has one more column, and all that depends on a time grid is what `settled` makes of it.

With an `end_limit` ε the problem is to minimise J subject to ‖ρ(T) − p(T)‖ ≤ ε.

Where the diffusivity D(t) varies, every step has its mean over that step, which is exact for the spread of the noise
and of second order in the step for the density. Both solvers see the same means; the verification sees D(t).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.control.network import Network
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.diffusivity import step_means
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator
from controlsde.problem import Problem
from controlsde.problem.schema import Bounds
from controlsde.reference import Reference, ReferenceError  # noqa: A004
from controlsde.tracking.free_lengths import LARGEST_LOGIT, FreeLengths, logits_of
from controlsde.tracking.metric import Metric
from controlsde.tracking.target_course import course_of
from controlsde.tracking.time_grid import TimeGrid, regularisation_matrix, weights_in_time

Array = NDArray[np.float64]

AUTO_ELEMENTS = {1: (8, 10, 12, 14, 16, 20, 24), 2: (3, 4, 5, 6), 3: (2, 3)}
AUTO_RESOLUTION = 2e-3  # top-mode share of the reference below which `mesh.elements: auto` is content
AUTO_MASS = 1e-3  # and by how much the reference's mass on the mesh may miss one
MISSED_MASS = 0.1  # beyond which a density has fallen between the nodes


@dataclass(frozen=True, eq=False)
class TrackingProblem:
    """Build it with `build_tracking`; arrays are float64, weights of the network flattened as in `network`."""

    operator: Operator
    network: Network
    grid: TimeGrid
    diffusivity: Array  # (K, S): D = ηD₀, its mean over every step
    initial: Array  # (n,) density at t = 0
    targets: Array  # (K, S, s, n) reference at the stages
    initial_target: Array  # (n,) reference at t = 0
    metric: Metric  # the norm of the tracking error
    time_weight: Array  # (K, S, s): running weight × quadrature in time, plus the terminal weight in the last stage
    end_weight: float  # of that, the terminal weight
    energy_price: float  # w: what half a unit of kinetic energy costs
    regularisation_matrix: Array  # (K, K): r Δt_k on the diagonal, plus what the variation costs
    bound: Array  # (P,): largest absolute value of each weight of a piece
    noise: float
    end_limit: float | None = None
    free: FreeLengths | None = None  # where the lengths of the pieces are controls, too
    exact_drift: Callable[[float, Array], Array] | None = None  # v*_η at a time and points (n, d): shape (n, d)

    def __getstate__(self) -> dict[str, Any]:
        """What another process is sent: it minimises J, and the reference behind `exact_drift` stays here."""
        return {**self.__dict__, "exact_drift": None}

    @property
    def mesh(self) -> Mesh:
        """The mesh of the operator (its unknowns are the length-n axis of all densities here)."""
        return self.operator.mesh

    @property
    def weight_shape(self) -> tuple[int, int]:
        """(K, P): shape of all flattened network weights; (K, P + 1) where the lengths are free."""
        return self.grid.pieces, len(self.bound)

    def settled(self, weights: Array) -> tuple[TrackingProblem, Array]:
        """The problem with the pieces as long as the weights say, and the network's weights (K, P) alone.

        Raises ValueError for weights without lengths where these are free.
        """
        weights = np.asarray(weights, dtype=float)
        free = self.free
        if free is None:
            return self, weights
        if weights.shape != self.weight_shape:
            raise ValueError(f"with free lengths weights must have shape {self.weight_shape} (got {weights.shape})")
        grid = free.grid(self.grid, weights[:, -1])
        settled = replace(
            self,
            grid=grid,
            targets=free.course.at(grid.stage_times),
            time_weight=weights_in_time(grid, free.running, self.end_weight),
            regularisation_matrix=regularisation_matrix(grid.durations, free.effort, free.variation),
            bound=self.bound[:-1],
            free=None,
        )
        return settled, weights[:, :-1]

    def with_equal_lengths(self, weights: Array) -> Array:
        """The network's weights (K, P) as weights of this problem; where lengths are free, they are all the same."""
        return weights if self.free is None else np.append(weights, np.zeros((len(weights), 1)), axis=1)

    @property
    def effort(self) -> float:
        """r, the price of the squared weights per unit of time: what a variation costs has no part in it."""
        return float(self.regularisation_matrix.sum() / self.grid.durations.sum())

    @property
    def bounds(self) -> Array:
        """Largest absolute values of all weights, flattened (K·P,)."""
        return np.tile(self.bound, self.grid.pieces)

    @property
    def energy_weight(self) -> Array:
        """(K, S, s): the price of energy × quadrature in time."""
        return self.energy_price * self.grid.quadrature

    @property
    def weight(self) -> Array:
        """(K, S, s, n): quadrature in time × mass in space, where the norm is L². Raises ValueError where it is not."""
        if not self.metric.diagonal:
            raise ValueError("only the L² norm is a weighted sum of squares of the nodes")
        return np.asarray(self.time_weight[..., None] * self.metric.scale**2)

    def objective(self, stages: Any, weights: Any) -> Any:
        """J for stage densities (K, S, s, n) and network weights (K, P); NumPy arrays."""
        tracking, own = self.settled(weights)
        error = tracking.metric.root(stages - tracking.targets)
        errors = 0.5 * float(np.sum(tracking.time_weight * np.sum(error**2, axis=-1)))
        return errors + tracking.priced_energy(stages, own) + tracking.regularisation(own)

    def regularisation(self, weights: Array) -> float:
        """What the weights (K, P) cost: ½ Σ_kl regularisation_kl θ_k·θ_l."""
        tracking, own = self.settled(weights)
        return 0.5 * float(np.sum(own * (tracking.regularisation_matrix @ own)))

    def priced_energy(self, stages: Array, weights: Array) -> float:
        """½ w ∫∫|v|²ρ⁺ for stage densities (K, S, s, n) and network weights (K, P), pieces as they are."""
        if self.energy_price == 0.0:
            return 0.0
        speeds = self.kinetic_weight(self.drift_values(weights))
        return 0.5 * float(np.einsum("kSs,kSsn,kn->", self.energy_weight, np.maximum(stages, 0.0), speeds))

    def kinetic_weight(self, drift: Array) -> Array:
        """What each unknown adds to ∫|v|²ρ, (K, n), for rectified drifts (K, k, d): quadrature at the nodes."""
        nodes = len(self.mesh.points)  # drift points on wall faces carry no mass
        squares = self.mesh.weights * np.sum(drift[:, :nodes] ** 2, axis=-1)
        return np.asarray(squares @ self.mesh.prolongation)

    def end_error(self, stages: Array) -> float:
        """‖ρ(T) − p(T)‖ in the problem's norm, for stage densities (K, S, s, n)."""
        return float(np.linalg.norm(self.metric.root(stages[-1, -1, -1] - self.targets[-1, -1, -1])))

    def pressed(self, multiplier: float) -> TrackingProblem:
        """Without the limit at the end, but with the terminal weight larger by `multiplier`."""
        time_weight = self.time_weight.copy()
        time_weight[-1, -1, -1] += multiplier
        return replace(self, time_weight=time_weight, end_weight=self.end_weight + multiplier, end_limit=None)

    def drift_values(self, weights: Array) -> Array:
        """Rectified drift at the drift points for network weights (K, P): shape (K, k, d)."""
        return self.operator.rectify(
            np.asarray(self.network.drift(self.operator.drift_points, *self.network.split(weights)))
        )

    def controls(self, weights: Array) -> Controls:
        """Flattened weights (K, P) as controls."""
        tracking, own = self.settled(weights)
        return Controls(*self.network.split(own), tracking.grid.edges)

    def flatten(self, controls: Controls) -> Array:
        """Controls as flattened weights (K, P)."""
        weights = self.network.join(controls.A, controls.W, controls.b)
        if self.free is None:
            return weights
        return np.append(weights, logits_of(np.diff(controls.times), self.free.shortest)[:, None], axis=1)

    def ends(self, stages: Array) -> tuple[DensityField, ...]:
        """The densities at the ends of the pieces, K of them, from stage densities (K, S, s, n)."""
        return tuple(DensityField.of_unknowns(self.mesh, unknowns) for unknowns in stages[:, -1, -1])

    def l2_curve(self, stages: Array) -> tuple[Array, Array]:
        """Times (1 + K·S·s,) and ‖ρ − p‖_{L²} there, from stage densities (K, S, s, n)."""
        error = np.concatenate(
            [
                (self.initial - self.initial_target)[None],
                (stages - self.targets).reshape(-1, self.operator.size),
            ]
        )
        times = np.concatenate([self.grid.edges[:1], self.grid.stage_times.ravel()])
        return times, np.sqrt(np.maximum((error**2) @ self.mesh.mass, 0.0))


Run = Callable[[TrackingProblem], Array]  # stage densities (K, S, s, n) of one drift on any discretisation


def build_network(problem: Problem) -> Network:
    """The network drift that a problem asks for."""
    return Network(
        dimension=problem.dimension,
        width=int(problem.network.width or problem.dimension),
        activation=problem.network.activation,
        tangential=problem.network.tangential,
        box=problem.domain.box,
    )


def build_mesh(problem: Problem, reference: Reference) -> Mesh:
    """The mesh that a problem asks for.

    `elements: auto` takes the smallest number of elements an axis that resolves the reference at its start, middle
    and end (share of the top Legendre mode <= 2e-3, mass one to 1e-3), or the largest that `AUTO_ELEMENTS` allows.
    """
    spec = problem.mesh
    if spec.elements != "auto":
        return Mesh.build(problem.domain.box, problem.domain.walls, tuple(spec.elements), spec.degree)
    candidates = AUTO_ELEMENTS[problem.dimension]
    times = (0.0, 0.5 * reference.horizon, reference.horizon)
    for count in candidates:
        mesh = Mesh.build(problem.domain.box, problem.domain.walls, (count,) * problem.dimension, spec.degree)
        densities = [reference.density(t, mesh.points) for t in times]
        missed = max(abs(float(mesh.weights @ density) - 1.0) for density in densities)
        if missed <= AUTO_MASS and max(mesh.resolution(density) for density in densities) <= AUTO_RESOLUTION:
            break
    return mesh


def holds(mass: float) -> bool:
    """Whether a mesh on which a density has this mass, instead of one, can stand for it at all."""
    return abs(mass - 1.0) <= MISSED_MASS


def time_grid(problem: Problem, reference: Reference) -> TimeGrid:
    """The problem's pieces on [0, T]."""
    edges = reference.horizon * np.concatenate([[0.0], np.cumsum(problem.controls.shares)])
    edges[-1] = reference.horizon
    return TimeGrid(edges, problem.mesh.first_steps, problem.mesh.stages)


def build_tracking(
    problem: Problem, reference: Reference, mesh: Mesh | None = None, grid: TimeGrid | None = None
) -> TrackingProblem:
    """The discrete tracking problem of a problem and its reference, at the problem's noise level.

    `mesh` and `grid` replace the problem's own (refinement, coarse search). The initial density is scaled to the
    mass 1 under the mesh's quadrature. Raises ReferenceError where the mesh misses mass of the reference.
    """
    mesh = build_mesh(problem, reference) if mesh is None else mesh
    grid = time_grid(problem, reference) if grid is None else grid
    diffusivity = reference.diffusivity.scaled(problem.noise)
    operator = Operator.build(mesh, diffusivity.mean(0.0, reference.horizon))
    mesh = operator.mesh
    stage_times = grid.stage_times
    targets = np.stack([mesh.restrict(reference.density(t, mesh.points)) for t in stage_times.ravel()])
    initial = reference.initial_density(mesh.points)
    for t, density in ((0.0, initial), (reference.horizon, reference.density(reference.horizon, mesh.points))):
        mass = float(mesh.weights @ density)
        if not holds(mass):
            raise ReferenceError(
                f"the mesh holds a mass of {mass:.2g} of the reference at t = {t:g}, where it should hold 1: use more "
                "mesh.elements, a broader density or a smaller domain.box",
                ("mesh", "elements"),
            )
    objective = problem.objective
    network = build_network(problem)
    found = TrackingProblem(
        operator=operator,
        network=network,
        grid=grid,
        diffusivity=step_means(diffusivity, grid.edges, grid.steps_per_piece),
        initial=mesh.unit_mass(initial),
        targets=targets.reshape(*stage_times.shape, -1),
        initial_target=mesh.restrict(reference.density(0.0, mesh.points)),
        metric=Metric.l2(mesh) if objective.norm == "l2" else Metric.negative_sobolev(mesh),
        time_weight=weights_in_time(grid, objective.running, objective.terminal),
        end_weight=objective.terminal,
        energy_price=objective.energy,
        regularisation_matrix=regularisation_matrix(grid.durations, objective.effort, objective.variation),
        bound=bound_of(network, problem.controls.bounds),
        noise=problem.noise,
        end_limit=objective.terminal_error,
        exact_drift=partial(reference.exact_drift, noise=problem.noise),
    )
    return _freed(found, problem, reference) if problem.controls.free else found


def _freed(tracking: TrackingProblem, problem: Problem, reference: Reference) -> TrackingProblem:
    """The same problem with free lengths. Raises ReferenceError where the noise varies in time."""
    if problem.noise > 0 and not reference.diffusivity.steady:
        raise ReferenceError(
            "free needs a noise that does not vary in time: give the lengths, or a forward process without a schedule",
            ("controls", "lengths"),
        )
    mesh, objective = tracking.mesh, problem.objective
    course = course_of(lambda t: mesh.restrict(reference.density(t, mesh.points)), reference.horizon, mesh.mass)
    free = FreeLengths(
        shortest=problem.controls.shortest_of(reference.horizon),
        horizon=reference.horizon,
        course=course,
        running=objective.running,
        effort=objective.effort,
        variation=objective.variation,
    )
    return replace(tracking, free=free, bound=np.append(tracking.bound, LARGEST_LOGIT))


def bound_of(network: Network, bounds: Bounds) -> Array:
    """Largest absolute value of each weight of a piece, (P,), flattened as in `network`."""
    d, m = network.dimension, network.width
    return np.concatenate([np.full(d * m, bounds.A), np.full(m * d, bounds.W), np.full(m, bounds.b)])

"""The tracking problem as a sparse nonlinear program in CasADi: direct collocation at the Radau points.

Variables, in this order, for K pieces of S steps with s stages and n unknowns:

    [θ_1, Y_11, …, Y_1S,  θ_2, Y_21, …, Y_2S,  …]      θ_k (P),  Y_kl = [stage 1 (n), …, stage s (n)]

Constraints, one block of s·n for each step, scaled by a⁻¹ so that the operator enters once a stage:

    g_i = Σ_j (a⁻¹)_ij (Y_j − ρ) − h A(v_k) Y_i = 0,      ρ the last stage of the step before

with the diffusivity D of each step in A.

Objective: the same weighted sum of squares as everywhere (`tracking_problem`). One step is an SX function, the program
a `map` of it over all steps in MX: small graphs, fast to build; its derivatives are those of the step (`derivatives`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.radau import radau
from controlsde.solvers.collocation.derivatives import objective_matrix, program_derivatives
from controlsde.solvers.collocation.layout import sparse_to_casadi
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Transcription:
    """An NLP and the layout of its variables; build it with `transcribe`."""

    tracking: TrackingProblem
    nlp: dict[str, Any]  # x, f, g as casadi MX
    derivatives: dict[str, Any]  # jac_g and hess_lag, for nlpsol
    lower: Array
    upper: Array

    def pack(self, weights: Array, stages: Array) -> Array:
        """Weights (K, P) and stages (K, S, s, n) to the vector of variables."""
        return np.concatenate([weights, stages.reshape(len(weights), -1)], axis=1).ravel()

    def unpack(self, variables: Array) -> tuple[Array, Array]:
        """The vector of variables to weights (K, P) and stages (K, S, s, n)."""
        pieces, size = self.tracking.weight_shape
        rows = np.asarray(variables, dtype=float).reshape(pieces, -1)
        return rows[:, :size].copy(), rows[:, size:].reshape(self.tracking.targets.shape).copy()

    def of_steps(self, values: Array) -> Array:
        """Of the constraints (…,), those that are the residuals of the steps, (K, S, s, n)."""
        return (
            np.asarray(values, dtype=float).ravel()[: self.tracking.targets.size].reshape(self.tracking.targets.shape)
        )

    def of_constraints(self, multipliers: Array, variables: Array) -> Array:  # noqa: ARG002
        """Multipliers of all constraints for those of the steps (K, S, s, n), at the vector of variables."""
        return multipliers.ravel()

    def costates(self, multipliers: Array) -> Array:
        """Costate ψ = δJ/δρ at the start of each piece, (K, n), from the multipliers λ_g of the constraints."""
        return costates(self.tracking, self.of_steps(multipliers))


def costates(tracking: TrackingProblem, multipliers: Array) -> Array:
    """Costate ψ = δJ/δρ at the start of each piece, (K, n), from multipliers (K, S, s, n) of the steps' residuals.

    With the Lagrangian J + λ·g, moving the density ρ at the start of a step changes J by −Σ_i (Σ_j (a⁻¹)_ij) λ_i; the
    mass turns that into a function. Same sign as the shooting adjoint.
    """
    scheme = radau(tracking.grid.stages)
    return np.asarray(-np.einsum("i,Kin->Kn", scheme.inverse.sum(axis=1), multipliers[:, 0]) / tracking.mesh.mass)


def transcribe(tracking: TrackingProblem) -> Transcription:
    """The nonlinear program of a tracking problem: same mesh, same Radau points, same objective."""
    grid = tracking.grid
    pieces, size = tracking.weight_shape
    steps, stages, unknowns = grid.steps_per_piece, grid.stages, len(tracking.initial)
    block = size + steps * stages * unknowns
    variables = ca.MX.sym("x", pieces * block)
    table = ca.reshape(variables, block, pieces)
    weights = table[:size, :]
    densities = ca.reshape(table[size:, :], stages * unknowns, pieces * steps)
    before = ca.horzcat(ca.DM(tracking.initial), densities[-unknowns:, :-1])
    lengths = np.repeat(grid.step_lengths, steps)
    step = step_residual(tracking)
    diffusivity = ca.DM(tracking.diffusivity.reshape(1, -1))
    mapped = step.map(pieces * steps)
    repeated = ca.reshape(ca.repmat(weights, steps, 1), size, pieces * steps)
    residual = mapped(before, densities, repeated, ca.DM(lengths).T, diffusivity)
    error = densities - ca.DM(tracking.targets.reshape(pieces * steps, -1).T)
    from_target = ca.vec(ca.vertcat(weights, ca.reshape(error, steps * stages * unknowns, pieces)))
    objective = 0.5 * ca.dot(from_target, sparse_to_casadi(objective_matrix(tracking)) @ from_target)
    energy = step_energy(tracking) if tracking.energy_price else None
    if energy is not None:
        objective = objective + ca.sum2(energy.map(pieces * steps)(densities, repeated, ca.DM(lengths).T))
    limit = np.full((pieces, block), np.inf)
    limit[:, :size] = tracking.bound
    return Transcription(
        tracking,
        {"x": variables, "f": objective, "g": ca.vec(residual)},
        program_derivatives(tracking, step, energy),
        -limit.ravel(),
        limit.ravel(),
    )


def step_residual(tracking: TrackingProblem) -> Any:
    """g of one step as an SX function of (ρ (n), stages (s·n), θ (P), h, D)."""
    operator, network, grid = tracking.operator, tracking.network, tracking.grid
    scheme = radau(grid.stages)
    unknowns = operator.size
    before = ca.SX.sym("before", unknowns)
    stages = ca.SX.sym("stages", unknowns, grid.stages)
    theta = ca.SX.sym("theta", network.weights_per_piece)
    length = ca.SX.sym("h")
    diffusivity = ca.SX.sym("D")
    drift = symbolic_drift(tracking, theta)
    sampled = sparse_to_casadi(operator.sampling) @ ca.vec(drift.T)
    gathered = sparse_to_casadi(operator.gather) @ stages
    transported = ca.horzcat(*(sampled * gathered[:, j] for j in range(grid.stages)))
    rate = diffusivity * (sparse_to_casadi(operator.diffusion) @ stages)
    rate = rate + sparse_to_casadi(operator.combine) @ transported
    differences = stages - ca.repmat(before, 1, grid.stages)
    residual = differences @ ca.DM(scheme.inverse.T) - length * rate
    return ca.Function(
        "step",
        [before, ca.vec(stages), theta, length, diffusivity],
        [ca.vec(residual)],
        ["before", "stages", "theta", "h", "D"],
        ["g"],
    )


def step_energy(tracking: TrackingProblem) -> Any:
    """½ w ∫|v|²ρ⁺ of one step as an SX function of (stages (s·n), θ (P), h)."""
    mesh, stages = tracking.mesh, tracking.grid.stages
    densities = ca.SX.sym("stages", tracking.operator.size, stages)
    theta, length = ca.SX.sym("theta", tracking.network.weights_per_piece), ca.SX.sym("h")
    drift = symbolic_drift(tracking, theta)[: len(mesh.points), :]
    speeds = sparse_to_casadi(mesh.prolongation.T) @ (ca.DM(mesh.weights) * ca.sum2(drift**2))
    rates = ca.fmax(densities, 0.0).T @ speeds  # of each stage
    energy = 0.5 * tracking.energy_price * length * ca.dot(ca.DM(radau(stages).b), rates)
    return ca.Function("energy", [ca.vec(densities), theta, length], [energy])


def symbolic_drift(tracking: TrackingProblem, theta: Any) -> Any:
    """The rectified drift at the drift points, a CasADi matrix (k, d), for weights θ (P)."""
    operator, network = tracking.operator, tracking.network
    d, m = network.dimension, network.width
    a = ca.reshape(theta[: d * m], m, d).T
    w = ca.reshape(theta[d * m : 2 * d * m], d, m).T
    drift = network.drift(operator.drift_points, a, w, theta[2 * d * m :])
    if not operator.outward.any():
        return drift
    outward = ca.DM(operator.outward)
    return ca.if_else(outward == 0, drift, outward * ca.fmax(outward * drift, 0.0))

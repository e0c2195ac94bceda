"""The collocation program in the shape that FATROP solves: a chain of stages, each tied to the next alone.

FATROP wants x_{l+1} = f_l(x_l, u_l) and constraints that see one stage. One step of Radau IIA makes one stage l:

    z = [θ_1, Y_1,   ρ_2, θ_2, Y_2,   ρ_3, θ_3, Y_3,   …]        for K·S steps

The density ρ_l before the step (n) is a state; the first one is fixed and is no variable. The stages Y_l (s·n) are
controls. So are the weights θ_l (P) where a piece begins; inside a piece they are a state, a copy of those before.
With the residual g_l of `transcription`, the rows are, stage by stage,

    ρ_{l+1} − Y_l,s = 0,      θ_{l+1} − θ_l = 0 (inside a piece),      g_l(ρ_l, Y_l, θ_l) = 0.

Copies taken out, that is the program of `transcription`, variable for variable and row for row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from controlsde.solvers.collocation.transcription import costates, step_residual
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StageWiseProgram:
    """Variables, constraints and the sizes of the stages; build it with `stage_wise`.

    The objective is ½ Σ weight ∘ (z − target)², for weight and target of the length of z: zero at the copies.
    """

    tracking: TrackingProblem
    variables: Any  # z, casadi MX
    constraints: Any  # casadi MX
    structure: dict[str, Any]  # N, nx, nu, ng, for nlpsol
    weight: Array
    target: Array
    lower: Array
    upper: Array

    def pack(self, weights: Array, stages: Array) -> Array:
        """Weights (K, P) and stages (K, S, s, n) to z, with their copies."""
        tracking = self.tracking
        steps, unknowns = tracking.grid.steps_per_piece, tracking.operator.size
        flat = stages.reshape(len(weights) * steps, -1)
        before = np.concatenate([tracking.initial[None], flat[:-1, -unknowns:]])
        return np.concatenate([before, np.repeat(weights, steps, axis=0), flat], axis=1).ravel()[unknowns:]

    def unpack(self, variables: Array) -> tuple[Array, Array]:
        """z to weights (K, P), from where the pieces begin, and stages (K, S, s, n)."""
        tracking = self.tracking
        size, unknowns = tracking.weight_shape[1], tracking.operator.size
        rows = np.concatenate([tracking.initial, np.asarray(variables, dtype=float).ravel()])
        rows = rows.reshape(tracking.grid.pieces * tracking.grid.steps_per_piece, -1)
        weights = rows[:: tracking.grid.steps_per_piece, unknowns : unknowns + size]
        return weights.copy(), rows[:, unknowns + size :].reshape(tracking.targets.shape).copy()

    def step_multipliers(self, multipliers: Array) -> Array:
        """The multipliers λ of g among all, (K, S, s, n): the last rows of each stage."""
        states, size = self.structure["nx"], self.structure["ng"][0]
        ends = np.cumsum([after + size for after in (*states[1:], 0)])
        rows = np.stack([np.asarray(multipliers, dtype=float).ravel()[end - size : end] for end in ends])
        return rows.reshape(self.tracking.targets.shape)

    def costates(self, multipliers: Array) -> Array:
        """Costate ψ at the start of each piece, (K, n), as in `transcription`."""
        return costates(self.tracking, self.step_multipliers(multipliers))


def stage_wise(tracking: TrackingProblem) -> StageWiseProgram:
    """The stage-wise program of a tracking problem: same mesh, same Radau points, same objective."""
    grid, unknowns = tracking.grid, tracking.operator.size
    pieces, size = tracking.weight_shape
    steps, stage_values = grid.steps_per_piece, grid.stages * unknowns
    count, width = pieces * steps, unknowns + size + stage_values
    variables = ca.MX.sym("z", count * width - unknowns)
    table = ca.reshape(ca.vertcat(ca.DM(tracking.initial), variables), width, count)
    before, weights, densities = table[:unknowns, :], table[unknowns : unknowns + size, :], table[unknowns + size :, :]
    lengths = ca.DM(np.repeat(grid.step_lengths, steps)).T
    diffusivity = ca.DM(tracking.diffusivity.reshape(1, -1))
    residual = step_residual(tracking).map(count)(before, densities, weights, lengths, diffusivity)
    begins = np.arange(count) % steps == 0
    rows = []
    for step in range(count):
        if step + 1 < count:
            rows.append(before[:, step + 1] - densities[-unknowns:, step])
        if step + 1 < count and not begins[step + 1]:
            rows.append(weights[:, step + 1] - weights[:, step])
        rows.append(residual[:, step])
    states = np.where(begins, unknowns, unknowns + size)
    states[0] = 0
    controls = np.where(begins, size + stage_values, stage_values)
    structure = {
        "N": count - 1,
        "nx": states.tolist(),
        "nu": controls.tolist(),
        "ng": [stage_values] * count,
    }
    weight, target, limit = (np.zeros((count, width)) for _ in range(3))
    weight[begins, unknowns : unknowns + size] = np.diag(tracking.regularisation_matrix)[:, None]
    weight[:, unknowns + size :] = tracking.weight.reshape(count, -1)
    target[:, unknowns + size :] = tracking.targets.reshape(count, -1)
    limit[:] = np.inf
    limit[begins, unknowns : unknowns + size] = tracking.bound  # the copies follow
    weight, target, limit = (part.ravel()[unknowns:] for part in (weight, target, limit))
    return StageWiseProgram(tracking, variables, ca.vertcat(*rows), structure, weight, target, -limit, limit)

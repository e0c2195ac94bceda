"""Jacobian and Hessian of the collocation program, put together from those of one step.

CasADi can derive both from the program itself, but through a `map` that costs several times the derivatives of its
parts. One step l of piece k has the local variables [θ_k (P), Y_kl (s·n), ρ before it (n)]; its residual g is linear in
the last, and J is a weighted sum of squares, so that

    ∂g/∂x     is the step's own Jacobian, scattered;
    ∇²L       is the step's Hessian of λ·g over [θ_k, Y_kl], scattered and summed, plus λ_f times the weights of J.

Where energy has a price, λ_f times the energy of the step stands beside λ·g.

Comes in: the step as an SX function, and its energy. Goes out: two CasADi functions that `nlpsol` takes in place of
its own.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.solvers.collocation.layout import Layout, nonzeros, scattered
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


def program_derivatives(tracking: TrackingProblem, step: Any, energy: Any | None) -> dict[str, Any]:
    """`jac_g` and `hess_lag` of the program of `transcribe`, from the residual step(before, stages, θ, h, D).

    energy: the priced energy of a step, a function of (stages, θ, h), where it has a price.
    """
    layout = Layout.of(tracking, tracking.weight_shape[1])
    before = ca.SX.sym("before", tracking.operator.size)
    stages = ca.SX.sym("stages", layout.stage_values)
    theta = ca.SX.sym("theta", layout.own)
    length, diffusivity = ca.SX.sym("h"), ca.SX.sym("D")
    multipliers = ca.SX.sym("lambda", layout.stage_values)
    residual = step(before, stages, theta, length, diffusivity)
    variables = ca.vertcat(theta, stages)
    jacobian = ca.jacobian(residual, ca.vertcat(variables, before))
    factor = ca.SX.sym("lambda_f")
    lagrangian = ca.dot(multipliers, residual)
    if energy is not None:
        lagrangian = lagrangian + factor * energy(stages, theta, length)
    hessian = ca.triu(ca.hessian(lagrangian, variables)[0])
    inputs = [before, stages, theta, length, diffusivity]
    slopes = ca.Function("slopes", inputs, [residual, nonzeros(jacobian)])
    bends = ca.Function("bends", [*inputs, multipliers, factor], [nonzeros(hessian)])

    x, p = ca.MX.sym("x", layout.variables), ca.MX.sym("p", 0)
    weights, densities, starts = layout.seen(x, tracking.initial)
    lengths = ca.DM(np.repeat(tracking.grid.step_lengths, layout.steps)).T
    arguments = (starts, densities, weights, lengths, ca.DM(tracking.diffusivity.reshape(1, -1)))
    return {
        "jac_g": _jacobian(layout, jacobian.sparsity(), slopes.map(layout.count)(*arguments), x, p),
        "hess_lag": _hessian(tracking, layout, hessian.sparsity(), bends, arguments, x, p),
    }


def _jacobian(layout: Layout, pattern: Any, mapped: Any, x: Any, p: Any) -> Any:
    residual, values = mapped
    row, column = (np.array(index, dtype=np.int64) for index in pattern.get_triplet())
    rows = np.add.outer(np.arange(layout.count) * layout.stage_values, row).ravel()
    shape = (layout.count * layout.stage_values, layout.variables)
    matrix = scattered(rows, layout.columns[:, column].ravel(), ca.vec(values), shape)
    return ca.Function("nlp_jac_g", [x, p], [ca.vec(residual), matrix], ["x", "p"], ["g", "jac_g_x"])


def _hessian(
    tracking: TrackingProblem, layout: Layout, pattern: Any, bends: Any, arguments: tuple[Any, ...], x: Any, p: Any
) -> Any:
    factor = ca.MX.sym("lam_f")
    multipliers = ca.MX.sym("lam_g", layout.count * layout.stage_values)
    row, column = (np.array(index, dtype=np.int64) for index in pattern.get_triplet())
    own = sp.triu(objective_matrix(tracking)).tocoo()
    rows = np.concatenate([layout.columns[:, row].ravel(), own.row])
    columns = np.concatenate([layout.columns[:, column].ravel(), own.col])
    of_steps = ca.reshape(multipliers, layout.stage_values, layout.count)
    bent = bends.map(layout.count)(*arguments, of_steps, ca.repmat(factor, 1, layout.count))
    values = ca.vertcat(ca.vec(bent), factor * ca.DM(own.data))
    hessian = scattered(rows, columns, values, (layout.variables, layout.variables))
    names = ["x", "p", "lam_f", "lam_g"], ["triu_hess_gamma_x_x"]
    return ca.Function("nlp_hess_l", [x, p, factor, multipliers], [hessian], *names)


def objective_matrix(tracking: TrackingProblem) -> sp.csc_array:
    """Q with J = ½ (x − x*)ᵀ Q (x − x*), x* the targets and no weights, in the layout of `transcription`."""
    pieces, size = tracking.weight_shape
    grid, unknowns = tracking.grid, tracking.operator.size
    block = size + grid.steps_per_piece * grid.stages * unknowns
    norm = tracking.metric.matrix().tocoo()
    starts = size + unknowns * np.arange(grid.steps_per_piece * grid.stages)
    first = (block * np.arange(pieces)[:, None] + starts).ravel()  # of each stage of each step
    regularisation_matrix = sp.coo_array(sp.kron(tracking.regularisation_matrix, sp.eye_array(size)))
    row, column = (
        (index // size) * block + index % size for index in (regularisation_matrix.row, regularisation_matrix.col)
    )
    rows = np.concatenate([row, np.add.outer(first, norm.row).ravel()])
    columns = np.concatenate([column, np.add.outer(first, norm.col).ravel()])
    values = np.concatenate(
        [regularisation_matrix.data, np.multiply.outer(tracking.time_weight.ravel(), norm.data).ravel()]
    )
    return sp.csc_array(sp.coo_array((values, (rows, columns)), shape=(pieces * block, pieces * block)))

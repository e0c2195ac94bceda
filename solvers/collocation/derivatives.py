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

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _Layout:
    """Sizes of the program, and where the local variables of each step lie in x."""

    pieces: int
    steps: int
    size: int  # weights of a piece, P
    unknowns: int  # n
    stage_values: int  # of a step, s·n
    columns: Indices  # (K·S, P + s·n + n): index in x of each local variable; −1 for the fixed initial density

    @property
    def block(self) -> int:
        """Variables of a piece."""
        return self.size + self.steps * self.stage_values

    @property
    def variables(self) -> int:
        """Length of x."""
        return self.pieces * self.block

    @property
    def count(self) -> int:
        """Number of steps K·S."""
        return self.pieces * self.steps


def _layout(tracking: TrackingProblem) -> _Layout:
    pieces, size = tracking.weight_shape
    steps, unknowns = tracking.grid.steps_per_piece, tracking.operator.size
    stage_values = tracking.grid.stages * unknowns
    number = np.arange(pieces * steps)
    first = (number // steps) * (size + steps * stage_values)
    weights = np.add.outer(first, np.arange(size))
    stages = np.add.outer(first + size + (number % steps) * stage_values, np.arange(stage_values))
    before = np.concatenate([np.full((1, unknowns), -1), stages[:-1, -unknowns:]])
    return _Layout(pieces, steps, size, unknowns, stage_values, np.concatenate([weights, stages, before], axis=1))


def program_derivatives(tracking: TrackingProblem, step: Any, energy: Any | None) -> dict[str, Any]:
    """`jac_g` and `hess_lag` of the program of `transcribe`, from the residual step(before, stages, θ, h, D).

    energy: the priced energy of a step, a function of (stages, θ, h), where it has a price.
    """
    layout = _layout(tracking)
    before = ca.SX.sym("before", layout.unknowns)
    stages = ca.SX.sym("stages", layout.stage_values)
    theta = ca.SX.sym("theta", layout.size)
    length, diffusivity = ca.SX.sym("h"), ca.SX.sym("D")
    multipliers = ca.SX.sym("lambda", layout.stage_values)
    residual = step(before, stages, theta, length, diffusivity)
    own = ca.vertcat(theta, stages)
    jacobian = ca.jacobian(residual, ca.vertcat(own, before))
    factor = ca.SX.sym("lambda_f")
    lagrangian = ca.dot(multipliers, residual)
    if energy is not None:
        lagrangian = lagrangian + factor * energy(stages, theta, length)
    hessian = ca.triu(ca.hessian(lagrangian, own)[0])
    inputs = [before, stages, theta, length, diffusivity]
    slopes = ca.Function("slopes", inputs, [residual, nonzeros(jacobian)])
    bends = ca.Function("bends", [*inputs, multipliers, factor], [nonzeros(hessian)])

    x, p = ca.MX.sym("x", layout.variables), ca.MX.sym("p", 0)
    table = ca.reshape(x, layout.block, layout.pieces)
    weights = ca.reshape(ca.repmat(table[: layout.size, :], layout.steps, 1), layout.size, layout.count)
    densities = ca.reshape(table[layout.size :, :], layout.stage_values, layout.count)
    starts = ca.horzcat(ca.DM(tracking.initial), densities[-layout.unknowns :, :-1])
    lengths = ca.DM(np.repeat(tracking.grid.step_lengths, layout.steps)).T
    arguments = (starts, densities, weights, lengths, ca.DM(tracking.diffusivity.reshape(1, -1)))
    return {
        "jac_g": _jacobian(layout, jacobian.sparsity(), slopes.map(layout.count)(*arguments), x, p),
        "hess_lag": _hessian(tracking, layout, hessian.sparsity(), bends, arguments, x, p),
    }


def nonzeros(matrix: Any) -> Any:
    """The structural nonzeros as a dense column."""
    return ca.vertcat(*matrix.nonzeros())


def _jacobian(layout: _Layout, pattern: Any, mapped: Any, x: Any, p: Any) -> Any:
    residual, values = mapped
    row, column = (np.array(index, dtype=np.int64) for index in pattern.get_triplet())
    rows = np.add.outer(np.arange(layout.count) * layout.stage_values, row).ravel()
    columns = layout.columns[:, column].ravel()
    variable = np.flatnonzero(columns >= 0)  # the initial density is no variable
    order = variable[np.lexsort((rows[variable], columns[variable]))]  # as CasADi stores them
    sparsity = ca.Sparsity.triplet(
        layout.count * layout.stage_values, layout.variables, rows[order].tolist(), columns[order].tolist()
    )
    matrix = ca.MX(sparsity, ca.vec(values)[order.tolist()])
    return ca.Function("nlp_jac_g", [x, p], [ca.vec(residual), matrix], ["x", "p"], ["g", "jac_g_x"])


def _hessian(
    tracking: TrackingProblem, layout: _Layout, pattern: Any, bends: Any, arguments: tuple[Any, ...], x: Any, p: Any
) -> Any:
    factor = ca.MX.sym("lam_f")
    multipliers = ca.MX.sym("lam_g", layout.count * layout.stage_values)
    row, column = (np.array(index, dtype=np.int64) for index in pattern.get_triplet())
    own = sp.triu(objective_matrix(tracking)).tocoo()
    rows = np.concatenate([layout.columns[:, row].ravel(), own.row])
    columns = np.concatenate([layout.columns[:, column].ravel(), own.col])
    places, position = np.unique(columns * layout.variables + rows, return_inverse=True)
    # steps of one piece share its weights, so their entries are summed: sum (places, entries) is of zeros and ones
    entries = np.arange(len(position))
    summing = sp.csc_array((np.ones(len(position)), (position, entries)), shape=(len(places), len(position)))
    sparsity = ca.Sparsity.triplet(
        layout.variables,
        layout.variables,
        (places % layout.variables).tolist(),
        (places // layout.variables).tolist(),
    )
    of_steps = ca.reshape(multipliers, layout.stage_values, layout.count)
    bent = bends.map(layout.count)(*arguments, of_steps, ca.repmat(factor, 1, layout.count))
    values = sparse_to_casadi(summing) @ ca.vertcat(ca.vec(bent), factor * ca.DM(own.data))
    return ca.Function(
        "nlp_hess_l",
        [x, p, factor, multipliers],
        [ca.MX(sparsity, values)],
        ["x", "p", "lam_f", "lam_g"],
        ["triu_hess_gamma_x_x"],
    )


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


def sparse_to_casadi(matrix: Any) -> Any:
    """A SciPy sparse matrix as a sparse casadi.DM."""
    columns = matrix.tocsc()
    columns.sort_indices()
    sparsity = ca.Sparsity(columns.shape[0], columns.shape[1], columns.indptr.tolist(), columns.indices.tolist())
    return ca.DM(sparsity, columns.data)

"""The state equation with a drift or a diffusivity that varies within a step: the same Radau scheme, one solve a step.

Comes in: an operator, a drift as a function of time, the initial density. Goes out: the stages of every step. For
drifts that are constant on pieces, `propagation` is faster and differentiable; this one serves given drifts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray

from controlsde.fokker_planck.diffusion_modes import DiffusionModes
from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import radau
from controlsde.foundation.sparse import band_solver, rows_of

Array = NDArray[np.float64]

SAME_LENGTH = 1e-12  # relative difference of two steps that differ by rounding alone
SOLVED = 1e-11  # relative residual
RESTART, MOST_RESTARTS = 60, 10


def evolve(
    operator: Operator,
    drift: Callable[[float], Array],
    initial: Array,
    step_edges: Sequence[float] | Array,
    stages: int = 3,
    source: Callable[[float], Array] | None = None,
    diffusivity: Callable[[float], float] | None = None,
    steady: bool = False,
) -> Array:
    """Stage densities (steps, s, n) from t = step_edges[0] to step_edges[-1].

    drift(t) → (k, d) at the operator's drift points, sampled at the stage times; source(t) → (n,), optional, and
    diffusivity(t) where it is not the operator's own at all times. steady: whether drift and diffusivity are the same
    at all times, so that steps of one length share their factors.

        Σ_j (a⁻¹)_ij (Y_j − ρ) − h A(v(t_i)) Y_i = h source(t_i)
    """
    scheme = radau(stages)
    edges = np.asarray(step_edges, dtype=float)
    size = operator.size
    solver = _by_iteration(operator, scheme.inverse) if operator.mesh.dimension > 2 else _by_factors(scheme.inverse)
    row_sums = scheme.inverse.sum(axis=1)
    result = np.empty((len(edges) - 1, stages, size))

    def matrix(t: float) -> sp.csr_array:
        return operator.matrix(operator.rectify(drift(t)), None if diffusivity is None else diffusivity(t))

    density = np.asarray(initial, dtype=float)
    solve, prepared = None, math.nan
    for number, (start, length) in enumerate(zip(edges[:-1], np.diff(edges), strict=True)):
        times = start + scheme.c * length
        if solve is None or not steady or not math.isclose(length, prepared, rel_tol=SAME_LENGTH):
            matrices = [matrix(float(times[0]))] * stages if steady else [matrix(float(t)) for t in times]
            solve, prepared = solver(matrices, float(length)), float(length)
        right = np.outer(row_sums, density)
        if source is not None:
            right = right + length * np.stack([source(float(t)) for t in times])
        result[number] = solve(right, density)
        density = result[number, -1]
    return result


# The right side (s, n) and a guess (n,) → Y (s, n) with Σ_j (a⁻¹)_ij Y_j − h A_i Y_i = right_i
Solve = Callable[[Array, Array], Array]
Solver = Callable[[list[sp.csr_array], float], Solve]  # for the matrices A_i of the stages and the step h


def _by_factors(inverse: Array) -> Solver:
    stages = len(inverse)
    i, j = np.divmod(np.arange(stages**2), stages)

    def solver(matrices: list[sp.csr_array], length: float) -> Solve:
        size = matrices[0].shape[0]
        # the stages of a node side by side: on a line the equations are a band then
        nodes = np.arange(size)[:, None] * stages
        rows = [rows_of(matrix) * stages + stage for stage, matrix in enumerate(matrices)]
        columns = [matrix.indices * stages + stage for stage, matrix in enumerate(matrices)]
        coefficients = (
            np.concatenate([(nodes + i).ravel(), *rows]),
            np.concatenate([(nodes + j).ravel(), *columns]),
            np.concatenate([np.tile(inverse.ravel(), size), *(-length * matrix.data for matrix in matrices)]),
        )
        narrow = band_solver(*coefficients, stages * size)
        if narrow is not None:
            return lambda right, _: narrow(right.T.ravel()).reshape(size, stages).T
        coupling = sp.kron(sp.csr_array(inverse), sp.eye_array(size), format="csc")
        factors: Any = sparse_linalg.splu(sp.csc_array(coupling - length * sp.block_diag(matrices, format="csc")))
        return lambda right, _: np.asarray(factors.solve(right.ravel())).reshape(right.shape)

    return solver


def _by_iteration(operator: Operator, inverse: Array) -> Solver:
    """GMRES, for in three dimensions factors fill the memory, preconditioned by the diffusion, which is separable.

    With L_i = V_i Λ_i V_i⁻¹ on each axis, (a⁻¹ ⊗ I − hD I ⊗ L) is solved mode by mode: s equations for each.
    """
    modes = DiffusionModes.of(operator.mesh)

    def solver(matrices: list[sp.csr_array], length: float) -> Solve:
        return partial(iterate, matrices, length)

    def iterate(matrices: list[sp.csr_array], length: float, right: Array, guess: Array) -> Array:
        small = inverse - length * operator.diffusivity * modes.rates[:, None, None] * np.eye(len(inverse))
        inverted = np.linalg.inv(small)  # (n, s, s)

        def precondition(flat: Array) -> Array:
            return modes.back(np.einsum("nij,jn->in", inverted, modes.of_values(flat.reshape(right.shape)))).ravel()

        def apply(flat: Array) -> Array:
            values = flat.reshape(right.shape)
            moved = np.stack([matrix @ value for matrix, value in zip(matrices, values, strict=True)])
            return (inverse @ values - length * moved).ravel()

        size = right.size
        found, failed = sparse_linalg.gmres(
            sparse_linalg.LinearOperator((size, size), apply, dtype=float),
            right.ravel(),
            x0=np.tile(guess, len(inverse)),
            M=sparse_linalg.LinearOperator((size, size), precondition, dtype=float),
            rtol=SOLVED,
            restart=RESTART,
            maxiter=MOST_RESTARTS,
        )
        if failed:  # a step too long for its drift: its density means nothing, and the caller says so
            return np.full(right.shape, np.nan)
        return np.asarray(found.reshape(right.shape))

    return solver

"""Integrators that share nothing with the solvers' Radau steps: matrix exponentials, and SciPy's BDF.

Comes in: the matrices of ρ' = A(t) ρ. Goes out: ρ at equally spaced times in each piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.integrate
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray

Array = NDArray[np.float64]

DENSE_LIMIT = 1500
RELATIVE_TOLERANCE = 1e-8


def propagate_piecewise(matrix: Callable[[int], sp.csr_array], initial: Array, durations: Array, outputs: int) -> Array:
    """ρ at t = 0 and at `outputs` equally spaced times in each piece: (1 + K·outputs, n).

    matrix(k) is A on piece k. One exponential exp(A Δt / outputs) a piece, applied `outputs` times (dense, scaling
    and squaring); above 1500 unknowns the action of the exponential alone (Al-Mohy & Higham 2011).
    """
    result = [np.asarray(initial, dtype=float)]
    for piece, duration in enumerate(durations):
        generator = matrix(piece) * (duration / outputs)
        if generator.shape[0] <= DENSE_LIMIT:
            step = scipy.linalg.expm(generator.toarray())
            for _ in range(outputs):
                result.append(step @ result[-1])
        else:
            for _ in range(outputs):
                result.append(np.asarray(sparse_linalg.expm_multiply(generator, result[-1])))
    return np.stack(result)


def propagate_time_dependent(
    matrix: Callable[[int, float], sp.csr_array], initial: Array, edges: Array, outputs: int
) -> Array:
    """ρ at t = 0 and at `outputs` equally spaced times in each piece, for A that varies in time: (1 + K·outputs, n).

    matrix(k, t) is A at time t of piece k. BDF of variable order and step, restarted at every piece, relative
    tolerance 1e-8. Raises ArithmeticError where the integrator gives up.
    """
    result = [np.asarray(initial, dtype=float)]
    scale = float(np.abs(initial).max())
    for piece, (start, end) in enumerate(itertools.pairwise(edges)):
        jacobian = _Cached(matrix, piece)
        answer: Any = integrate(
            lambda t, y, jacobian=jacobian: jacobian(t) @ y,
            (float(start), float(end)),
            result[-1],
            method="BDF",
            t_eval=np.linspace(start, end, outputs + 1)[1:],
            jac=lambda t, _, jacobian=jacobian: jacobian(t),
            rtol=RELATIVE_TOLERANCE,
            atol=RELATIVE_TOLERANCE * scale,
        )
        if not answer.success:
            raise ArithmeticError(f"the verification's integrator stopped in piece {piece + 1}: {answer.message}")
        result.extend(answer.y.T)
    return np.stack(result)


integrate: Any = scipy.integrate.solve_ivp  # its stubs do not know sparse Jacobians


class _Cached:
    """A(t) of one piece, kept for the last time asked for."""

    def __init__(self, matrix: Callable[[int, float], sp.csr_array], piece: int) -> None:
        self._matrix = matrix
        self._piece = piece
        self._time: float | None = None
        self._value: Any = None

    def __call__(self, t: float) -> Any:
        if t != self._time:
            self._time, self._value = t, self._matrix(self._piece, t).tocsc()
        return self._value

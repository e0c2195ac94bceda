"""Integrators that share nothing with the solvers' Radau steps: matrix exponentials, and SciPy's BDF.

Up to 200 unknowns the exponential itself (scaling and squaring). Above, its action on the density by shift-and-invert
Arnoldi (Moret & Novati 2004; van den Eshof & Hochbruck 2006): one sparse factorisation a piece,

    exp(tA) y ≈ ‖y‖ V exp(t (I − H⁻¹)/γ) e₁,      V, H from Arnoldi with (I − γA)⁻¹ started at y,

in variables scaled by the root of the mass, with a basis that grows until the result stops changing.

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

DENSE_LIMIT = 200  # unknowns
RELATIVE_TOLERANCE = 1e-8
ARNOLDI_TOLERANCE = 1e-10
ARNOLDI_BLOCK = 10  # basis vectors between two checks
MOST_VECTORS = 100


def propagate_piecewise(
    matrix: Callable[[int], sp.csr_array], initial: Array, durations: Array, outputs: int, mass: Array
) -> Array:
    """ρ at t = 0 and at `outputs` equally spaced times in each piece: (1 + K·outputs, n).

    matrix(k) is A on piece k; mass (n,) gives the norm in which the Arnoldi basis is orthogonal.
    """
    result = [np.asarray(initial, dtype=float)]
    for piece, duration in enumerate(durations):
        generator = matrix(piece)
        if generator.shape[0] <= DENSE_LIMIT:
            step = scipy.linalg.expm(generator.toarray() * (duration / outputs))
            for _ in range(outputs):
                result.append(step @ result[-1])
        else:
            times = duration * np.arange(1, outputs + 1) / outputs
            result.extend(exponential_action(generator, result[-1], times, mass))
    return np.stack(result)


def exponential_action(generator: sp.csr_array, vector: Array, times: Array, mass: Array) -> Array:
    """exp(tA) y at equally spaced times t > 0: (len(times), n), by shift-and-invert Arnoldi in the norm of the mass.

    Where a basis of `MOST_VECTORS` is not enough for the whole interval, the interval is cut.
    """
    root = np.sqrt(mass)
    scaled = sp.csc_array(sp.diags_array(root) @ generator @ sp.diags_array(1.0 / root))
    return _action(scaled, root * vector, np.asarray(times, dtype=float)) / root


def _action(matrix: sp.csc_array, start: Array, times: Array) -> Array:
    found = _arnoldi(matrix, start, times)
    if found is not None:
        return found
    if len(times) == 1:  # in two halves
        return _action(matrix, _action(matrix, start, times / 2)[-1], times / 2)
    result = []
    for step in np.diff(times, prepend=0.0):
        start = _action(matrix, start, np.array([step]))[-1]
        result.append(start)
    return np.stack(result)


def _arnoldi(matrix: sp.csc_array, start: Array, times: Array) -> Array | None:
    """exp(tA) y at all times from one basis; None where it is not enough."""
    size = len(start)
    gamma = float(times[-1]) / 10.0
    solve = sparse_linalg.splu(sp.csc_array(sp.eye_array(size) - gamma * matrix)).solve
    most = min(size, MOST_VECTORS)
    norm = float(np.linalg.norm(start))
    basis = np.zeros((size, most + 1))
    hessenberg = np.zeros((most + 1, most))
    basis[:, 0] = start / norm
    before: Array | None = None
    for count in range(1, most + 1):
        new = solve(basis[:, count - 1])
        for _ in range(2):  # twice is enough for orthogonality
            overlap = basis[:, :count].T @ new
            hessenberg[:count, count - 1] += overlap
            new = new - basis[:, :count] @ overlap
        rest = float(np.linalg.norm(new))
        hessenberg[count, count - 1] = rest
        complete = count == size or rest <= 1e-14
        if complete or count % ARNOLDI_BLOCK == 0:
            projected = (np.eye(count) - np.linalg.inv(hessenberg[:count, :count])) / gamma
            now = np.stack([norm * basis[:, :count] @ scipy.linalg.expm(t * projected)[:, 0] for t in times])
            change = float("inf") if before is None else float(np.abs(now - before).max())
            if complete or change <= ARNOLDI_TOLERANCE * max(norm, float(np.abs(now).max())):
                return now
            before = now
        basis[:, count] = new / rest
    return None


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

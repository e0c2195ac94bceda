"""Integrators that share nothing with the solvers' Radau steps: matrix exponentials.

Up to 200 unknowns the exponential itself (scaling and squaring). Above, its action on the density by shift-and-invert
Arnoldi (Moret & Novati 2004; van den Eshof & Hochbruck 2006): one sparse factorisation a piece,

    exp(tA) y ≈ ‖y‖ V exp(t (I − H⁻¹)/γ) e₁,      V, H from Arnoldi with (I − γA)⁻¹ started at y,

in variables scaled by the root of the mass, with a basis that grows until the result stops changing.

Comes in: the matrices of ρ' = A(t) ρ. Goes out: ρ at equally spaced times in each piece.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray

from controlsde.foundation.sparse import band_solver, rows_of, with_entries

Array = NDArray[np.float64]
Solve = Callable[[Array], Array]
Action = Callable[[sp.csr_array, Array, Array, Array], Array]  # A, y, times, mass → exp(tA) y at the times

PIVOT = 1e-3  # share of the largest entry of a column from which on its diagonal is a pivot
DENSE_LIMIT = 200  # unknowns, where the exponential of a piece serves all its outputs
DENSE_LIMIT_ONCE = 80  # where it serves one vector: from there on a basis for that one is faster
MAGNUS_TOLERANCE = 1e-6
EASY = 32.0  # half the steps would do, of which each doubling takes a sixteenth of the error
MOST_SUBSTEPS = 16  # of the Magnus integrator, between two outputs
ARNOLDI_TOLERANCE = 1e-10
CHECKED_AT = (4, 8, 12)  # basis vectors, early on, for an easy exponential needs few,
ARNOLDI_BLOCK = 10  # and then at every multiple of this
MOST_VECTORS = 100


@np.errstate(over="ignore", invalid="ignore")  # a density that blows up says so by no longer being a number
def propagate_piecewise(
    matrix: Callable[[int], sp.csr_array],
    initial: Array,
    durations: Array,
    outputs: int,
    mass: Array,
    action: Action | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> Array:
    """ρ at t = 0 and at `outputs` equally spaced times in each piece: (1 + K·outputs, n).

    matrix(k) is A on piece k; mass (n,) gives the norm in which the Arnoldi basis is orthogonal. action: of the
    exponential of many unknowns, `exponential_action` if not given. report: told the share that is done.
    """
    act = action or exponential_action
    result = [np.asarray(initial, dtype=float)]
    for piece, duration in enumerate(durations):
        generator = matrix(piece)
        if generator.shape[0] <= DENSE_LIMIT:
            step = scipy.linalg.expm(generator.toarray() * (duration / outputs))
            for _ in range(outputs):
                result.append(step @ result[-1])
        else:
            times = duration * np.arange(1, outputs + 1) / outputs
            result.extend(act(generator, result[-1], times, mass))
        report((piece + 1) / len(durations))
    return np.stack(result)


def exponential_action(generator: sp.csr_array, vector: Array, times: Array, mass: Array) -> Array:
    """exp(tA) y at equally spaced times t > 0: (len(times), n), by shift-and-invert Arnoldi in the norm of the mass.

    Where a basis of `MOST_VECTORS` is not enough for the whole interval, the interval is cut.
    """
    root = np.sqrt(mass)
    scaled = with_entries(generator, generator.data * (root[rows_of(generator)] / root[generator.indices]))
    return _action(scaled, root * vector, np.asarray(times, dtype=float)) / root


def taylor_action(generator: sp.csr_array, vector: Array, times: Array, mass: Array) -> Array:  # noqa: ARG001
    """exp(tA) y at equally spaced times t > 0: (len(times), n), by truncated Taylor series (Al-Mohy & Higham 2011).

    Nothing is factored, which in three dimensions would fill the memory; the work grows with ‖tA‖.
    """
    step = generator * float(times[0])
    trace = float(step.diagonal().sum())
    result = []
    for _ in times:
        vector = np.asarray(sparse_linalg.expm_multiply(step, vector, traceA=trace))
        result.append(vector)
    return np.stack(result)


def _action(matrix: sp.csr_array, start: Array, times: Array) -> Array:
    return _on_interval(lru_cache(maxsize=1)(partial(_shifted_inverse, matrix)), start, times)


def _on_interval(inverse: Callable[[float], Solve], start: Array, times: Array) -> Array:
    """exp(tA) y at all times by (I − γA)⁻¹ = inverse(γ), in parts where one basis is not enough."""
    found = _arnoldi(inverse, start, times)
    if found is not None:
        return found
    if len(times) == 1:  # in two halves
        return _on_interval(inverse, _on_interval(inverse, start, times / 2)[-1], times / 2)
    result = []
    for _ in times:  # they are equally spaced
        start = _on_interval(inverse, start, times[:1])[-1]
        result.append(start)
    return np.stack(result)


def _arnoldi(inverse: Callable[[float], Solve], start: Array, times: Array) -> Array | None:
    """exp(tA) y at all times from one basis; None where it is not enough."""
    size = len(start)
    gamma = float(times[-1]) / 10.0
    solve = inverse(gamma)
    most = min(size, MOST_VECTORS)
    norm = float(np.linalg.norm(start))
    if not np.isfinite(norm):  # blown up before: say so, and let the certificate fail
        return np.full((len(times), size), np.nan)
    basis = np.zeros((most + 1, size))
    hessenberg = np.zeros((most + 1, most))
    basis[0] = start / norm
    before: Array | None = None
    for count in range(1, most + 1):
        new = solve(basis[count - 1])
        for _ in range(2):  # twice is enough for orthogonality
            overlap = basis[:count] @ new
            hessenberg[:count, count - 1] += overlap
            new = new - overlap @ basis[:count]
        rest = math.sqrt(float(new @ new))
        hessenberg[count, count - 1] = rest
        complete = count == size or rest <= 1e-14
        if complete or count in CHECKED_AT or (count > CHECKED_AT[-1] and count % ARNOLDI_BLOCK == 0):
            projected = (np.eye(count) - np.linalg.inv(hessenberg[:count, :count])) / gamma
            step = scipy.linalg.expm(float(times[0]) * projected)  # the times are equally spaced
            columns = [step[:, 0]]
            for _ in times[1:]:
                columns.append(step @ columns[-1])
            now = (norm * np.stack(columns)) @ basis[:count]
            change = float("inf") if before is None else float(np.abs(now - before).max())
            if complete or change <= ARNOLDI_TOLERANCE * max(norm, float(np.abs(now).max())):
                return now
            before = now
        basis[count] = new / rest
    return None


def _shifted_inverse(matrix: sp.csr_array, gamma: float) -> Solve:
    """y → (I − γA)⁻¹ y."""
    size = matrix.shape[0]
    rows = rows_of(matrix)
    diagonal = rows == matrix.indices
    if np.count_nonzero(diagonal) == size:  # it is stored whole, as it is of an operator
        shifted = with_entries(matrix, diagonal - gamma * matrix.data)
        narrow = band_solver(rows, shifted.indices, shifted.data, size)
        if narrow is not None:
            return narrow
    else:
        shifted = sp.csr_array(sp.eye_array(size) - gamma * matrix)
    # the pattern is symmetric and the diagonal dominates: an ordering for that, kept by pivoting only where it must
    factors: Any = sparse_linalg.splu(
        shifted.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=PIVOT, options={"SymmetricMode": True}
    )
    solve: Solve = factors.solve
    return solve


def propagate_time_dependent(
    matrix: Callable[[int, float], sp.csr_array],
    initial: Array,
    edges: Array,
    outputs: int,
    mass: Array,
    action: Action | None = None,
    report: Callable[[float], None] = lambda _: None,
) -> tuple[Array, float, tuple[int, ...]]:
    """ρ at t = 0 and at `outputs` equally spaced times in each piece, for A that varies in time: (1 + K·outputs, n).

    matrix(k, t) is A at time t of piece k. The commutator-free Magnus integrator of order 4 (Blanes & Moan 2006), with
    as many steps between two outputs as it takes for no output of the piece to move by 1e-6 or more when they are
    doubled, or `MOST_SUBSTEPS`; each piece begins with what the one before it needed. The second result is the largest
    such movement, over ‖ρ‖; the third how many steps there were between two outputs, by piece. (The end alone would not
    do: one of the weights is negative, so that a diffusivity which changes manyfold within a step runs backwards in a
    part of it, and what that blows up is smooth again at the end.)
    """
    act = action or exponential_action
    result = [np.asarray(initial, dtype=float)]
    substeps, worst = 1, 0.0
    taken = []
    for piece, (start, end) in enumerate(itertools.pairwise(edges)):
        times = np.linspace(start, end, outputs + 1)

        def done(output: int, before: int = piece * outputs) -> None:
            report((before + output) / (outputs * (len(edges) - 1)))

        coarse = _magnus(matrix, piece, result[-1], times, substeps, mass, act)
        while True:
            fine = _magnus(matrix, piece, result[-1], times, 2 * substeps, mass, act, done)
            change = float(np.max(np.sqrt((fine - coarse) ** 2 @ mass) / np.sqrt(fine**2 @ mass)))
            if change <= MAGNUS_TOLERANCE or substeps >= MOST_SUBSTEPS:
                break
            coarse, substeps = fine, 2 * substeps
        taken.append(2 * substeps)
        if substeps > 1 and change <= MAGNUS_TOLERANCE / EASY:  # the next piece may do with fewer
            substeps //= 2
        worst = worst if change <= worst else change  # not a number, too
        result.extend(fine)
    return np.stack(result), worst, tuple(taken)


def moments_of(times: Array, substeps: int) -> Array:
    """When a drift that varies in time is asked for on [times_0, times_1]: at the Gauss points of every step."""
    h = (times[1] - times[0]) / substeps
    middles = times[0] + (np.arange(substeps) + 0.5) * h
    return np.asarray((middles[:, None] + h * np.sqrt(3) / 6 * np.array([-1.0, 1.0])).ravel())


@np.errstate(over="ignore", invalid="ignore")  # steps that are too long may blow up: that moves, and they are halved
def _magnus(
    matrix: Callable[[int, float], sp.csr_array],
    piece: int,
    density: Array,
    times: Array,
    substeps: int,
    mass: Array,
    action: Action,
    done: Callable[[int], None] = lambda _: None,
) -> Array:
    """ρ at times[1:], with A_± at the Gauss points:  ρ ← exp(h(βA_- + αA_+)) exp(h(αA_- + βA_+)) ρ."""
    alpha, beta = 0.25 + np.sqrt(3) / 6, 0.25 - np.sqrt(3) / 6
    result = []
    for start, end in itertools.pairwise(times):
        h = (end - start) / substeps
        for step in range(substeps):
            middle = start + (step + 0.5) * h
            before, after = (matrix(piece, float(middle + side * h * np.sqrt(3) / 6)) for side in (-1, 1))
            for first, second in ((alpha, beta), (beta, alpha)):
                density = _exponential(_combined(first, before, second, after), density, h, mass, action)
        result.append(density)
        done(len(result))
    return np.stack(result)


def _combined(first: float, one: sp.csr_array, second: float, other: sp.csr_array) -> sp.csr_array:
    """The sum of two multiples, which mostly have one pattern."""
    if one.indices is other.indices or (
        np.array_equal(one.indptr, other.indptr) and np.array_equal(one.indices, other.indices)
    ):
        return with_entries(one, first * one.data + second * other.data)
    return sp.csr_array(first * one + second * other)


def _exponential(generator: sp.csr_array, vector: Array, h: float, mass: Array, action: Action) -> Array:
    if len(vector) <= DENSE_LIMIT_ONCE:
        return np.asarray(scipy.linalg.expm(generator.toarray() * h) @ vector)
    return np.asarray(action(generator, vector, np.array([h]), mass)[0])

"""ρ' = A ρ with one constant matrix, in Radau steps whose lengths a tolerance chooses, with dense output.

Comes in: a sparse matrix, the initial vector, the horizon. Goes out: ρ at any time.

Steps are taken in pairs and compared with one step of twice the length; lengths are horizon/2^k, so that only a few
matrices are ever factorised. Between the three times of a pair ρ and Aρ give the quintic Hermite interpolant, with an
error of (θ(θ − ½)(θ − 1))² h⁶/720 · A⁶ρ ≤ 3.1e-6 h⁶ A⁶ρ, h the length of the pair: no more than the error that the
comparison estimates, 4.4e-6 h⁶ A⁶ρ for the fifth-order scheme.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray

from controlsde.fokker_planck.radau import radau, simplify

Array = NDArray[np.float64]
Step = Callable[[Array], Array]

FIRST_LEVEL = 5  # the first pair is 1/32 of the horizon
LAST_LEVEL = 30  # pairs of a billionth of the horizon mean that nothing is resolved
KEPT = 4  # factorised matrices
MOST_PAIRS = 1500  # that are tried: what is resolved took at most 600; a growing mode would take them for ever
GROWTH = 100.0  # the pair is doubled when its error is below the tolerance by this, somewhat more than 2⁶


class UnresolvedError(ArithmeticError):
    """No step is small enough for the tolerance."""


@dataclass(frozen=True, eq=False)
class Marched:
    """ρ over [0, horizon]: times of the nodes (2P+1,), three for each of P pairs, and ρ there (2P+1, n)."""

    matrix: sp.csr_array
    times: Array
    values: Array

    @property
    def pairs(self) -> int:
        """Number of accepted pairs of steps P."""
        return len(self.times) // 2

    def at(self, time: float) -> Array:
        """ρ(time), shape (n,), for a time in [0, horizon]."""
        first = 2 * min(max(bisect.bisect_right(self.times[::2], time) - 1, 0), self.pairs - 1)
        start, _, end = self.times[first : first + 3]
        length = end - start
        on_values, on_slopes = _hermite((time - start) / length)
        nodes = self.values[first : first + 3]
        return np.asarray(on_values @ nodes + length * (self.matrix @ (on_slopes @ nodes)))


def march(matrix: sp.csr_array, initial: Array, horizon: float, tolerance: float, mass: Array) -> Marched:
    """ρ from `initial` (n,) over [0, horizon], each pair of steps to `tolerance` of ‖ρ‖ in the norm of the mass (n,).

    Raises UnresolvedError where no step is small enough, or too many are needed.
    """
    scheme_steps: dict[int, Step] = {}

    def step(level: int) -> Step:
        if level not in scheme_steps:
            while len(scheme_steps) >= KEPT:
                scheme_steps.pop(next(iter(scheme_steps)))
            scheme_steps[level] = _radau_step(matrix, horizon / 2**level)
        return scheme_steps[level]

    times, values = [0.0], [np.asarray(initial, dtype=float)]
    level, done, tried = FIRST_LEVEL, 0, 0  # done: in units of horizon/2^LAST_LEVEL
    while done < 2**LAST_LEVEL:
        tried += 1
        if tried > MOST_PAIRS:
            raise UnresolvedError(f"{MOST_PAIRS} pairs of steps have only come to {times[-1]:.3e}")
        middle = step(level + 1)(values[-1])
        end = step(level + 1)(middle)
        gap = step(level)(values[-1]) - end
        error = float(np.sqrt(gap**2 @ mass) / np.sqrt(end**2 @ mass)) / (2 ** radau(3).order - 1)
        if not error <= tolerance:
            level += 1
            if level >= LAST_LEVEL:
                raise UnresolvedError(f"steps of {horizon / 2**level:.1e} are still too long at {times[-1]:.3e}")
            continue
        unit = 2 ** (LAST_LEVEL - level)
        times += [(done + unit / 2) * horizon / 2**LAST_LEVEL, (done + unit) * horizon / 2**LAST_LEVEL]
        values += [middle, end]
        done += unit
        if error < tolerance / GROWTH and level > 1 and done % (2 * unit) == 0:
            level -= 1
    return Marched(matrix, np.array(times), np.stack(values))


def _radau_step(matrix: sp.csr_array, length: float) -> Step:
    """ρ → ρ after one three-stage step: Re Σ_l T_sl λ_l (T⁻¹1)_l (λ_l − hA)⁻¹ρ (see `radau`)."""
    scheme = radau(3)
    identity = sp.eye_array(matrix.shape[0])
    weights = scheme.right[-1] * scheme.eigenvalues * scheme.multiplicity * scheme.left.sum(axis=1)
    factors = [
        sparse_linalg.splu(sp.csc_array(identity * simplify(value) - length * matrix)) for value in scheme.eigenvalues
    ]

    def step(density: Array) -> Array:
        total = np.zeros_like(density)
        for factor, weight, value in zip(factors, weights, scheme.eigenvalues, strict=True):
            right = density if np.isrealobj(simplify(value)) else density.astype(complex)
            total += np.real(weight * factor.solve(right))
        return total

    return step


def _hermite(theta: float) -> tuple[Array, Array]:
    """Weights of the values and, times the length, of the slopes at θ = 0, ½, 1 in the quintic at θ: (3,) each."""
    nodes = np.array([0.0, 0.5, 1.0])
    bases = np.array([2.0 * (theta - 0.5) * (theta - 1.0), -4.0 * theta * (theta - 1.0), 2.0 * theta * (theta - 0.5)])
    bends = np.array([-3.0, 0.0, 3.0])  # slope of each basis at its own node
    squares = bases**2
    return (1.0 - 2.0 * (theta - nodes) * bends) * squares, (theta - nodes) * squares

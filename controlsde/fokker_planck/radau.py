"""Radau IIA: stiffly accurate collocation in time with 1, 2 or 3 stages (orders 1, 3, 5).

One step of length h of ρ' = A ρ solves for the stages Y_i ≈ ρ(t + c_i h)

    Y_i = ρ + h Σ_j a_ij A Y_j,      ρ_new = Y_s.

For one matrix A per step the stages decouple in the eigenbasis of a⁻¹ = T diag(λ) T⁻¹:

    Y = Σ_l T_:l λ_l (λ_l I − h A)⁻¹ (T⁻¹ R)_l,     R_i = ρ,

and only one eigenvalue of each complex pair is kept: its partner is the conjugate (Hairer & Wanner,
"Solving Ordinary Differential Equations II", §IV.8).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TABLEAU_A: dict[int, list[list[float]]] = {
    1: [[1.0]],
    2: [[5 / 12, -1 / 12], [3 / 4, 1 / 4]],
    3: [
        [(88 - 7 * 6**0.5) / 360, (296 - 169 * 6**0.5) / 1800, (-2 + 3 * 6**0.5) / 225],
        [(296 + 169 * 6**0.5) / 1800, (88 + 7 * 6**0.5) / 360, (-2 - 3 * 6**0.5) / 225],
        [(16 - 6**0.5) / 36, (16 + 6**0.5) / 36, 1 / 9],
    ],
}


@dataclass(frozen=True, eq=False)
class Radau:
    """Butcher tableau and eigenbasis of the s-stage scheme; get it with `radau(s)`."""

    a: Array  # (s, s)
    b: Array  # (s,): the last row of a; also the quadrature weights of the objective
    c: Array  # (s,)
    inverse: Array  # a⁻¹
    eigenvalues: NDArray[np.complex128]  # (q,): real ones, and one of each complex pair
    multiplicity: Array  # (q,): 1 for real eigenvalues, 2 for a pair
    right: NDArray[np.complex128]  # (s, q): columns of T
    left: NDArray[np.complex128]  # (q, s): rows of T⁻¹

    @property
    def stages(self) -> int:
        """Number of stages s."""
        return len(self.b)

    @property
    def order(self) -> int:
        """Order of convergence 2s − 1 at the end of the steps."""
        return 2 * self.stages - 1


@lru_cache
def radau(stages: int) -> Radau:
    """The Radau IIA scheme with 1, 2 or 3 stages. Raises ValueError for any other number."""
    if stages not in _TABLEAU_A:
        raise ValueError(f"Radau IIA is available with 1, 2 or 3 stages (got {stages})")
    a = np.array(_TABLEAU_A[stages])
    inverse = np.linalg.inv(a)
    values, vectors = np.linalg.eig(inverse)
    values, vectors = values.astype(complex), vectors.astype(complex)
    keep = np.flatnonzero(values.imag > -1e-12)
    keep = keep[np.argsort(np.abs(values.imag[keep]))]
    return Radau(
        a=a,
        b=a[-1].copy(),
        c=a.sum(axis=1),
        inverse=inverse,
        eigenvalues=values[keep],
        multiplicity=np.where(np.abs(values.imag[keep]) > 1e-12, 2.0, 1.0),
        right=vectors[:, keep],
        left=np.linalg.inv(vectors)[keep],
    )


def in_parts(stages: int) -> dict[str, Array]:
    """The scheme in its eigenbasis with real and imaginary parts apart, as the compiled loops want it.

    In slots: one for a real eigenvalue λ, two for a pair. With `left` the rows of T⁻¹ and `outer` the columns of T λ:
    R → modes is `projected`, modes → Y `distributed`, and `combination` at once, where all R_i are the same; for the
    transposed equations `gathered` and `multiply`; `spread` is `multiply` over λ, `recovered` is `distributed` over λ.
    """
    scheme = radau(stages)
    single = scheme.multiplicity == 1.0
    outer = scheme.right * (scheme.eigenvalues * scheme.multiplicity)
    lift = scheme.left.sum(axis=1)
    pairs = scheme.eigenvalues[~single]
    return {
        "eigenvalues": np.concatenate([scheme.eigenvalues[single].real, pairs.real, pairs.imag]),
        "a": scheme.a,
        "projected": _parts(scheme.left, single),
        "distributed": _real_part(outer, single),
        "combination": _real_part(outer * lift, single),
        "gathered": _parts(outer.T, single),
        "multiply": _real_part(scheme.left.T, single),
        "spread": _real_part((scheme.left / scheme.eigenvalues[:, None]).T, single),
        "recovered": _real_part(scheme.right * scheme.multiplicity, single),
        "lift": _real_part(lift[None], single),
    }


def _parts(rows: NDArray[np.complex128], single: NDArray[np.bool_]) -> Array:
    """(q, s) for q eigenvalues → (slots, s): real ones as they are, of a pair the real and the imaginary part."""
    pairs = rows[~single]
    return np.concatenate([rows[single].real, pairs.real, pairs.imag])


def _real_part(columns: NDArray[np.complex128], single: NDArray[np.bool_]) -> Array:
    """(s, q) → (s, slots): the factors of real and imaginary parts in Re Σ_l c_l (x_l + iy_l)."""
    pairs = columns[:, ~single]
    return np.concatenate([columns[:, single].real, pairs.real, -pairs.imag], axis=1)


def simplify(value: complex) -> Any:
    """A complex number as a real one where it has no imaginary part."""
    return value if abs(value.imag) > 1e-12 else value.real

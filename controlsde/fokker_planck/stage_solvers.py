"""Radau stage solves for one piece of constant drift: forward, and with the transposed matrices.

Comes in: an operator and drift values, one set per control piece. Goes out: for each piece, three linear maps on
PyTorch tensors with c columns:

    advance:            ρ (n, c)     → stages Y (s, n, c),   (I − h a⊗A) Y = 1⊗ρ
    solve:              R (s, n, c)  → Y (s, n, c),          (I − h a⊗A) Y = R
    solve_transposed:   Ȳ (s, n, c)  → Λ (s, n, c),          (I − h a⊗A)ᵀ Λ = Ȳ

All three need only (λI − hA)⁻¹ for the eigenvalues λ of a⁻¹ (see `radau`), one real and one complex matrix a
piece at three stages, shared by every step, every sensitivity and the adjoint. Two ways to hold them:

- `DenseStageSolver`: explicit inverses of all pieces at once, on CPU or CUDA. For up to a few hundred unknowns.
- `SparseStageSolver`: sparse LU factors, piece by piece, on the CPU. For more.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
import torch
from torch import Tensor

from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import radau

DENSE_LIMIT = 400  # unknowns; above it sparse factors are faster on a CPU


class NonFiniteError(ArithmeticError):
    """A number stopped being finite; `piece` says in which control piece (counted from 0)."""

    def __init__(self, piece: int, what: str) -> None:
        super().__init__(f"{what} is not finite in piece {piece}")
        self.piece = piece
        self.what = what


class StageSolver(Protocol):
    """What the propagation needs of a stage solver."""

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        ...

    def solve(self, piece: int, right: Tensor) -> Tensor:
        """R (s, n, c) → stages (s, n, c)."""
        ...

    def solve_transposed(self, piece: int, right: Tensor) -> Tensor:
        """Ȳ (s, n, c) → Λ (s, n, c)."""
        ...


class DenseConstants:
    """The operator's matrices as dense tensors on one device, shared by every factorisation."""

    def __init__(self, operator: Operator, device: torch.device) -> None:
        def dense(matrix: Any) -> Tensor:
            return torch.from_numpy(np.asarray(matrix.toarray())).to(device)

        self.diffusion = dense(operator.diffusivity * operator.diffusion)
        self.transport = torch.stack([dense(g) for g in operator.transport])  # (d, n, k)
        self.gather = dense(operator.gather)  # (k, n)
        self.gather_is_identity = operator.gather.shape[0] == operator.gather.shape[1] and bool(
            (operator.gather - sp.eye_array(operator.size)).nnz == 0
        )

    def generators(self, drift: Tensor) -> Tensor:
        """A(v_k) of every piece for drift (K, k, d): shape (K, n, n)."""
        if self.transport.shape[0] == 1:
            transported = self.transport[0] * drift[:, None, :, 0]
        else:
            transported = torch.einsum("dnk,Kkd->Knk", self.transport, drift)
        if not self.gather_is_identity:
            transported = transported @ self.gather
        return self.diffusion + transported


class DenseStageSolver:
    """Explicit inverses (λ_l I − h_k A_k)⁻¹ of all pieces, batched; float64 and complex128."""

    def __init__(self, constants: DenseConstants, stages: int, drift: Tensor, steps: Tensor) -> None:
        """For drift (K, k, d) and step lengths h (K,). Raises NonFiniteError for a drift that is not finite."""
        _refuse_non_finite(drift)
        scheme = radau(stages)
        scaled = steps[:, None, None] * constants.generators(drift)  # h A
        identity = torch.eye(scaled.shape[-1], dtype=scaled.dtype, device=scaled.device)
        self._inverses: list[Tensor] = []
        self._right: list[Tensor] = []  # λ_l T_:l times the multiplicity
        self._left: list[Tensor] = []
        for value, count, right, left in zip(
            scheme.eigenvalues, scheme.multiplicity, scheme.right.T, scheme.left, strict=True
        ):
            real = count == 1.0
            kind = torch.float64 if real else torch.complex128
            eigenvalue = value.real if real else complex(value)
            self._inverses.append(torch.linalg.inv(eigenvalue * identity - scaled))
            outer = count * value * right
            self._right.append(torch.as_tensor(outer.real if real else outer, dtype=kind, device=scaled.device))
            self._left.append(torch.as_tensor(left.real if real else left, dtype=kind, device=scaled.device))
        # advance: Y_i = Re Σ_l λ_l T_il (Σ_j T⁻¹_lj) (λ_l − hA)⁻¹ ρ
        blocks = 0.0
        for inverse, right, left in zip(self._inverses, self._right, self._left, strict=True):
            coefficient = right * left.sum()
            term = torch.einsum("i,Kab->Kiab", coefficient.real, inverse.real)
            if inverse.is_complex():
                term = term - torch.einsum("i,Kab->Kiab", coefficient.imag, inverse.imag)
            blocks = blocks + term
        self.maps: Tensor = torch.as_tensor(blocks).contiguous()  # (K, s, n, n)

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self.maps[piece] @ density

    def solve(self, piece: int, right: Tensor) -> Tensor:
        """R (s, n, c) → stages (s, n, c)."""
        return self._apply(piece, right, transposed=False)

    def solve_transposed(self, piece: int, right: Tensor) -> Tensor:
        """Ȳ (s, n, c) → Λ (s, n, c)."""
        return self._apply(piece, right, transposed=True)

    def _apply(self, piece: int, right: Tensor, *, transposed: bool) -> Tensor:
        stages = right.shape[0]
        flat = right.reshape(stages, -1)
        total = torch.zeros_like(flat)
        for inverse, outer, inner in zip(self._inverses, self._right, self._left, strict=True):
            into, back = (outer, inner) if transposed else (inner, outer)
            matrix = inverse[piece].T if transposed else inverse[piece]
            mode = (into @ flat.to(into.dtype)).reshape(right.shape[1:])
            solved = (matrix @ mode).reshape(-1)
            total += torch.outer(back, solved).real
        return total.reshape(right.shape)


class SparseStageSolver:
    """Sparse LU factors of λ_l I − h_k A_k, made when a piece is first visited; CPU only."""

    def __init__(self, operator: Operator, stages: int, drift: Tensor, steps: Tensor) -> None:
        """For drift (K, k, d) and step lengths h (K,). Raises NonFiniteError for a drift that is not finite."""
        _refuse_non_finite(drift)
        self._operator = operator
        self._scheme = radau(stages)
        self._drift = drift.detach().cpu().numpy()
        self._steps = steps.cpu().numpy()
        self._factors: dict[int, list[Any]] = {}

    def _of(self, piece: int) -> list[Any]:
        if piece not in self._factors:
            matrix = self._steps[piece] * self._operator.matrix(self._drift[piece])
            identity = sp.eye_array(matrix.shape[0])
            self._factors[piece] = [
                sparse_linalg.splu((_simplify(value) * identity - matrix).tocsc())
                for value in self._scheme.eigenvalues
            ]
        return self._factors[piece]

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self.solve(piece, density.expand((self._scheme.stages, *density.shape)))

    def solve(self, piece: int, right: Tensor) -> Tensor:
        """R (s, n, c) → stages (s, n, c)."""
        return self._apply(piece, right, "N")

    def solve_transposed(self, piece: int, right: Tensor) -> Tensor:
        """Ȳ (s, n, c) → Λ (s, n, c)."""
        return self._apply(piece, right, "T")

    def _apply(self, piece: int, right: Tensor, direction: str) -> Tensor:
        scheme = self._scheme
        values = right.detach().numpy()
        flat = values.reshape(scheme.stages, -1)
        total = np.zeros_like(flat)
        for number, factor in enumerate(self._of(piece)):
            outer = scheme.right[:, number] * scheme.eigenvalues[number] * scheme.multiplicity[number]
            into, back = (scheme.left[number], outer) if direction == "N" else (outer, scheme.left[number])
            if scheme.multiplicity[number] == 1.0:
                into, back = into.real, back.real
            mode = np.ascontiguousarray((into @ flat).reshape(values.shape[1:]))
            solved = factor.solve(mode, direction)
            total += np.real(np.outer(back, solved.reshape(-1)))
        return torch.from_numpy(total.reshape(values.shape))


def _simplify(value: complex) -> complex | float:
    return value if abs(value.imag) > 1e-12 else value.real


def _refuse_non_finite(drift: Tensor) -> None:
    finite = torch.isfinite(drift).flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise NonFiniteError(int(torch.argmin(finite.int())), "the drift")

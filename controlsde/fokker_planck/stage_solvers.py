"""Radau stage solves for pieces of constant drift: forward, and with the transposed matrices.

Comes in: an operator and drift values, one set per control piece. Goes out: linear maps on PyTorch tensors,

    advance:          ρ (n, c) of one piece           → stages Y (s, n, c),        (I − h a⊗A) Y = 1⊗ρ
    solve:            R (K, s, n, c) of all pieces    → Y (K, s, n, c),            (I − h a⊗A) Y = R
    sweep_back:       Ȳ (K, S, s, n) of all steps     → Λ (K, S, s, n), ρ̄ (K, n),  the steps in reverse order:
                      Ȳ_s ← Ȳ_s + ρ̄,  (I − h a⊗A)ᵀ Λ = Ȳ,  ρ̄ ← Σ_i Λ_i

All need only (λI − hA)⁻¹ for the eigenvalues λ of a⁻¹ (see `radau`), one real and one complex matrix a piece at
three stages, shared by every step, every sensitivity and the adjoint. Three ways to hold them:

- `LuStageSolver`: dense LU factors on the CPU, for up to about a hundred unknowns; it hands many columns to
- `DenseStageSolver`: explicit inverses of all pieces at once, on CPU or CUDA. For up to a few hundred unknowns.
- `SparseStageSolver`: sparse LU factors, piece by piece, on the CPU. For more.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
import torch
from scipy.linalg import lapack
from torch import Tensor

from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import radau


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

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        ...

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → stage multipliers Λ (K, S, s, n), and ρ̄ at the start of each piece (K, n)."""
        ...


class DenseConstants:
    """The operator's matrices as tensors on one device, shared by every factorisation."""

    def __init__(self, operator: Operator, device: torch.device) -> None:
        def dense(matrix: Any) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(matrix.toarray())).to(device)

        self.size = operator.size
        self.diffusion = dense(operator.diffusivity * operator.diffusion)
        self.combine = dense(operator.combine)  # B, (n, q)
        self.gather = dense(operator.gather)  # T, (q, n)
        self.sampling = dense(operator.sampling)  # S, (q, k·d)
        rows, columns, values = _entries_linear_in_drift(operator)
        self._assembly = (
            torch.sparse_coo_tensor(
                torch.from_numpy(np.stack([rows, columns])),
                torch.from_numpy(values),
                (self.size**2, self.sampling.shape[1]),
                dtype=torch.float64,
                check_invariants=False,
            )
            .coalesce()
            .to(device)
        )

    def generators(self, drift: Tensor) -> Tensor:
        """A(v_k) of every piece for drift (K, k, d): shape (K, n, n)."""
        transported = torch.sparse.mm(self._assembly, drift.flatten(1).T.contiguous())  # (n², K)
        return torch.add(transported.T.reshape(-1, self.size, self.size), self.diffusion)


def _entries_linear_in_drift(operator: Operator) -> tuple[Any, Any, Any]:
    """Entry (i, j) of B diag(S v) T as a linear function of v: rows i·n + j, columns of v, coefficients."""
    combine, gather = operator.combine.tocsc(), operator.gather.tocsr()
    left, right = np.diff(combine.indptr), np.diff(gather.indptr)
    points = np.repeat(np.arange(len(left)), left * right)  # one for each pair (B_iq, T_qj)
    within = np.arange(len(points)) - np.repeat(np.cumsum(left * right) - left * right, left * right)
    i = combine.indptr[points] + within // right[points]
    j = gather.indptr[points] + within % right[points]
    pairs = sp.coo_array(
        (
            combine.data[i] * gather.data[j],
            (combine.indices[i].astype(np.int64) * operator.size + gather.indices[j], points),
        ),
        shape=(operator.size**2, len(left)),
    )
    total = (pairs.tocsr() @ operator.sampling).tocoo()
    return total.row.astype(np.int64), total.col.astype(np.int64), total.data


def shifted(constants: DenseConstants, stages: int, drift: Tensor, steps: Tensor) -> list[Tensor]:
    """λ_l I − h_k A_k for every eigenvalue, (K, n, n) each; real where λ_l is.

    Raises NonFiniteError for a drift that is not finite.
    """
    _refuse_non_finite(drift)
    scaled = steps[:, None, None] * constants.generators(drift)
    identity = torch.eye(scaled.shape[-1], dtype=scaled.dtype, device=scaled.device)
    return [_simplify(complex(value)) * identity - scaled for value in radau(stages).eigenvalues]


class LuStageSolver:
    """LU factors of λ_l I − h_k A_k, dense, on the CPU; inverses only once many columns are asked for."""

    def __init__(self, constants: DenseConstants, stages: int, drift: Tensor, steps: Tensor) -> None:
        """For drift (K, k, d) and step lengths h (K,). Raises NonFiniteError for a drift that is not finite."""
        self._stages = stages
        scheme = radau(stages)
        self._outer = scheme.right * (scheme.eigenvalues * scheme.multiplicity)  # (s, q), for q eigenvalues
        self._left = scheme.left  # (q, s)
        self._factors = []  # of the transposes: LAPACK reads the rows of a C array as columns
        for matrices in shifted(constants, stages, drift, steps):
            factorise = lapack.zgetrf if matrices.is_complex() else lapack.dgetrf
            self._factors.append([factorise(matrix.T, overwrite_a=1)[:2] for matrix in matrices.numpy()])

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        if density.shape[1] > 1:
            return self._explicit.advance(piece, density)
        column = density[:, 0].numpy()
        modes = np.stack([self._solve(number, piece, column, 1) for number in range(len(self._factors))])
        weights = self._outer * self._left.sum(axis=1)
        return torch.from_numpy((weights @ modes).real[..., None])

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return self._explicit.solve(right)

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n), in the eigenbasis: one solve a step and eigenvalue."""
        projected = self._outer.T @ cotangent.numpy().astype(complex)  # (K, S, q, n)
        pieces, steps, count, size = projected.shape
        modes = np.empty_like(projected)
        lift = self._left.sum(axis=1)
        carried = np.zeros(size)
        starts = np.empty((pieces, size))
        for piece in reversed(range(pieces)):
            for step in reversed(range(steps)):
                for number in range(count):
                    right = projected[piece, step, number] + self._outer[-1, number] * carried
                    modes[piece, step, number] = self._solve(number, piece, right, 0)
                carried = (lift @ modes[piece, step]).real
            starts[piece] = carried
        return torch.from_numpy((self._left.T @ modes).real), torch.from_numpy(starts)

    def _solve(self, number: int, piece: int, right: Any, transposed: int) -> Any:
        factor, pivots = self._factors[number][piece]
        if np.iscomplexobj(factor):
            return lapack.zgetrs(factor, pivots, right, trans=transposed)[0]
        return lapack.dgetrs(factor, pivots, right.real, trans=transposed)[0]

    @cached_property
    def _explicit(self) -> DenseStageSolver:
        inverses = []
        for factors in self._factors:
            invert = lapack.zgetri if np.iscomplexobj(factors[0][0]) else lapack.dgetri
            inverses.append(torch.from_numpy(np.stack([invert(*factor)[0].T for factor in factors])))
        return DenseStageSolver(self._stages, inverses)


class DenseStageSolver:
    """Explicit inverses (λ_l I − h_k A_k)⁻¹ of all pieces, batched; float64 and complex128, on any device."""

    @staticmethod
    def factorise(constants: DenseConstants, stages: int, drift: Tensor, steps: Tensor) -> DenseStageSolver:
        """For drift (K, k, d) and step lengths h (K,). Raises NonFiniteError for a drift that is not finite."""
        return DenseStageSolver(stages, [torch.linalg.inv(one) for one in shifted(constants, stages, drift, steps)])

    def __init__(self, stages: int, inverses: list[Tensor]) -> None:
        scheme = radau(stages)
        pieces, size = inverses[0].shape[:2]
        device = inverses[0].device
        self._inverses = inverses
        self._right: list[Tensor] = []  # λ_l T_:l times the multiplicity
        self._left: list[Tensor] = []
        for inverse, value, count, right, left in zip(
            inverses, scheme.eigenvalues, scheme.multiplicity, scheme.right.T, scheme.left, strict=True
        ):
            outer = count * value * right
            real = not inverse.is_complex()
            self._right.append(torch.as_tensor(outer.real if real else outer, dtype=inverse.dtype, device=device))
            self._left.append(torch.as_tensor(left.real if real else left, dtype=inverse.dtype, device=device))
        # advance: Y_i = Re Σ_l λ_l T_il (Σ_j T⁻¹_lj) (λ_l − hA)⁻¹ ρ, as a real combination of the inverses' parts
        parts, coefficients = [], []
        for inverse, right, left in zip(self._inverses, self._right, self._left, strict=True):
            coefficient = right * left.sum()
            parts.append(inverse.real if inverse.is_complex() else inverse)
            coefficients.append(coefficient.real if inverse.is_complex() else coefficient)
            if inverse.is_complex():
                parts.append(inverse.imag)
                coefficients.append(-coefficient.imag)
        mixed = torch.stack(coefficients, dim=1) @ torch.stack(parts, dim=1).reshape(pieces, len(parts), -1)
        self._maps: Tensor = mixed.reshape(pieces, stages, size, size)  # ρ → Y of each piece

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self._maps[piece] @ density

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return self._apply(right, self._left, self._right, self._inverses)

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n): the recursion through `advance` transposed, then all Λ at once."""
        pieces, steps, stages, size = cotangent.shape
        total = cotangent.clone()
        starts = torch.empty_like(cotangent[:, 0, 0])
        transposed = self._maps.reshape(pieces, stages * size, size).transpose(1, 2)
        carried = torch.zeros_like(starts[0])
        for piece in reversed(range(pieces)):
            for step in reversed(range(steps)):
                total[piece, step, -1] += carried
                carried = transposed[piece] @ total[piece, step].reshape(-1)
            starts[piece] = carried
        columns = total.permute(0, 2, 3, 1).contiguous()  # (K, s, n, S)
        turned = [inverse.transpose(1, 2) for inverse in self._inverses]
        multipliers = self._apply(columns, self._right, self._left, turned)
        return multipliers.permute(0, 3, 1, 2).contiguous(), starts

    @staticmethod
    def _apply(right: Tensor, into: list[Tensor], back: list[Tensor], matrices: list[Tensor]) -> Tensor:
        """Re Σ_l back_l ⊗ matrix_l (into_l · R), batched over the pieces."""
        pieces, stages, size, columns = right.shape
        total = torch.zeros_like(right)
        for project, lift, matrix in zip(into, back, matrices, strict=True):
            flat = right.reshape(pieces, stages, -1).to(matrix.dtype)
            solved = matrix @ (project @ flat).reshape(pieces, size, columns)
            term = lift[None, :, None, None] * solved[:, None]
            total += term.real if term.is_complex() else term
        return total


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

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self._apply(piece, density.expand((self._scheme.stages, *density.shape)), "N")

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return torch.stack([self._apply(piece, block, "N") for piece, block in enumerate(right)])

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n), step by step."""
        multipliers = torch.empty_like(cotangent)
        starts = torch.empty_like(cotangent[:, 0, 0])
        carried = torch.zeros_like(starts[0])
        for piece in reversed(range(cotangent.shape[0])):
            for step in reversed(range(cotangent.shape[1])):
                right = cotangent[piece, step].clone()
                right[-1] += carried
                multipliers[piece, step] = self._apply(piece, right[..., None], "T")[..., 0]
                carried = multipliers[piece, step].sum(dim=0)
            starts[piece] = carried
        return multipliers, starts

    def _of(self, piece: int) -> list[Any]:
        if piece not in self._factors:
            matrix = self._steps[piece] * self._operator.matrix(self._drift[piece])
            identity = sp.eye_array(matrix.shape[0])
            self._factors[piece] = [
                sparse_linalg.splu(sp.csc_array(identity * _simplify(value) - matrix))
                for value in self._scheme.eigenvalues
            ]
        return self._factors[piece]

    def _apply(self, piece: int, right: Tensor, direction: str) -> Tensor:
        """One piece: R (s, n, c) → (s, n, c), with the factors or, for direction T, their transposes."""
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


def _simplify(value: complex) -> Any:
    return value if abs(value.imag) > 1e-12 else value.real


def _refuse_non_finite(drift: Tensor) -> None:
    finite = torch.isfinite(drift).flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise NonFiniteError(int(torch.argmin(finite.int())), "the drift")

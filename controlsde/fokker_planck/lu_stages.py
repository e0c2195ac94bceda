"""Stage solves by LAPACK's LU factors of λ_l I − h_k A_k, in a band or dense: the sweeps of few unknowns, on the CPU.

A sweep stays in the eigenbasis of the Radau matrix (see `radau`), one triangular solve for each eigenvalue and step:

    forward    y_l = (λ_l − hA)⁻¹ ρ,                    Y = Re Σ_l T_:l λ_l (T⁻¹1)_l y_l
    back       z_l = (λ_l − hA)⁻ᵀ (Tλ)ᵀ_l Ȳ,            Λ = Re Σ_l (T⁻¹)ᵀ_l z_l
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import lapack
from torch import Tensor

from controlsde.fokker_planck.assembly import Assembly, MatrixLayout
from controlsde.fokker_planck.radau import radau
from controlsde.fokker_planck.stage_solvers import StageSolver

Solve = Callable[[int, Any, bool], Any]  # (piece, right-hand side (n,), with the transposed matrix or not) → (n,)


class LuStageSolver:
    """LU factors for drift (K, k, d), step lengths h and diffusivities D (K,).

    Raises NonFiniteError for a drift that is not finite.
    """

    def __init__(
        self,
        assembly: Assembly[MatrixLayout],
        stages: int,
        drift: Tensor,
        steps: Tensor,
        diffusivity: Tensor,
        many: Callable[[], StageSolver],
    ) -> None:
        """many: makes the solver that takes many columns at once."""
        scheme = radau(stages)
        self._many_columns = many
        self._pieces = len(steps)
        self._outer = scheme.right * (scheme.eigenvalues * scheme.multiplicity)  # (s, q), for q eigenvalues
        self._left = scheme.left  # (q, s)
        self._lift = self._left.sum(axis=1)  # T⁻¹1
        band = assembly.layout.band
        self._solves: list[Solve] = []
        for tensor in assembly.shifted(stages, drift, steps, diffusivity):
            matrices = tensor.numpy()
            self._solves.append(_dense_solve(matrices) if band is None else _banded_solve(matrices, band))
        self._real = scheme.multiplicity == 1.0

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self._many.advance(piece, density)

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return self._many.solve(right)

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) → stages (K, S, s, n)."""
        weights = self._outer * self._lift  # (s, q)
        modes = np.empty((self._pieces, steps, len(self._solves), len(initial)), dtype=complex)
        density = initial.numpy()
        for piece in range(self._pieces):
            for step in range(steps):
                block = modes[piece, step]
                for number, solve in enumerate(self._solves):
                    block[number] = solve(piece, density, False)
                density = (weights[-1] @ block).real
        return torch.from_numpy((weights @ modes).real)

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n)."""
        projected = self._outer.T @ cotangent.numpy().astype(complex)  # (K, S, q, n)
        pieces, steps, _, size = projected.shape
        modes = np.empty_like(projected)
        carried = np.zeros(size)
        starts = np.empty((pieces, size))
        for piece in reversed(range(pieces)):
            for step in reversed(range(steps)):
                block = modes[piece, step]
                right = projected[piece, step] + self._outer[-1][:, None] * carried
                for number, solve in enumerate(self._solves):
                    block[number] = solve(piece, right[number].real if self._real[number] else right[number], True)
                carried = (self._lift @ block).real
            starts[piece] = carried
        return torch.from_numpy((self._left.T @ modes).real), torch.from_numpy(starts)

    @cached_property
    def _many(self) -> StageSolver:
        return self._many_columns()


def _dense_solve(matrices: Any) -> Solve:
    """Factors of full matrices (K, n, n)."""
    if np.iscomplexobj(matrices):
        factorise, solve = lapack.zgetrf, lapack.zgetrs
    else:
        factorise, solve = lapack.dgetrf, lapack.dgetrs
    # of the transposes: LAPACK reads the rows of a C array as columns
    factors = [factorise(matrix.T, overwrite_a=1)[:2] for matrix in matrices]
    return lambda piece, right, transposed: solve(*factors[piece], right, trans=0 if transposed else 1)[0]


def _banded_solve(matrices: Any, band: int) -> Solve:
    """Factors of banded matrices (K, n, 3·band + 1), see `assembly.Layout`."""
    if np.iscomplexobj(matrices):
        factorise, solve = lapack.zgbtrf, lapack.zgbtrs
    else:
        factorise, solve = lapack.dgbtrf, lapack.dgbtrs
    factors = [factorise(matrix.T, band, band, overwrite_ab=1)[:2] for matrix in matrices]

    def banded(piece: int, right: Any, transposed: bool) -> Any:
        factor, pivots = factors[piece]
        return solve(factor, band, band, right, pivots, trans=1 if transposed else 0)[0]

    return banded

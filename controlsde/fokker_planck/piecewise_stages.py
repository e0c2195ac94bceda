"""Stage solves piece by piece, by factors of λ_l I − h_k A_k made when a piece is first visited; on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
import torch
from torch import Tensor

from controlsde.fokker_planck.radau import radau
from controlsde.fokker_planck.stage_solvers import march


class Factor(Protocol):
    """The factors of one matrix, real or complex."""

    def solve(self, right: Any, direction: str, /) -> Any:
        """x (n, c) for right-hand sides (n, c), with the matrix ("N") or its transpose ("T")."""
        ...


class SuperLuFactor:
    """SciPy's factors of a sparse matrix, with pivots over all of it."""

    def __init__(self, matrix: sp.csc_array) -> None:
        self._factors: Any = sparse_linalg.splu(matrix)
        self._kind = matrix.dtype

    def solve(self, right: Any, direction: str, /) -> Any:
        """As of any factor."""
        return self._factors.solve(np.asarray(right, dtype=self._kind), direction)


class PiecewiseStageSolver:
    """Stage solves piece by piece; `factorise(k)` makes the factors of λ_l I − h_k A_k, one for each eigenvalue λ_l."""

    def __init__(self, stages: int, pieces: int, factorise: Callable[[int], list[Factor]]) -> None:
        self._scheme = radau(stages)
        self._pieces = pieces
        self._factorise = factorise
        self._factors: dict[int, list[Factor]] = {}

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        if density.shape[1] == 0:
            return density.new_empty((self._scheme.stages, *density.shape))
        return self._apply(piece, density.expand((self._scheme.stages, *density.shape)), "N")

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return torch.stack([self._apply(piece, block, "N") for piece, block in enumerate(right)])

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) → stages (K, S, s, n)."""
        return march(self.advance, initial, self._pieces, steps, self._scheme.stages)

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

    def _of(self, piece: int) -> list[Factor]:
        if piece not in self._factors:
            self._factors[piece] = self._factorise(piece)
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

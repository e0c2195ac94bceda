"""Stage solves by sparse LU factors, piece by piece: for many unknowns, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
import torch
from torch import Tensor

from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import radau, simplify
from controlsde.fokker_planck.stage_solvers import march, refuse_non_finite


class SparseStageSolver:
    """Sparse LU factors of λ_l I − h_k A_k, made when a piece is first visited; CPU only."""

    def __init__(self, operator: Operator, stages: int, drift: Tensor, steps: Tensor, diffusivity: Tensor) -> None:
        """For drift (K, k, d), step lengths h and diffusivities D (K,).

        Raises NonFiniteError for a drift that is not finite.
        """
        refuse_non_finite(drift)
        self._operator = operator
        self._scheme = radau(stages)
        self._drift = drift.detach().cpu().numpy()
        self._steps = steps.cpu().numpy()
        self._diffusivity = diffusivity.cpu().numpy()
        self._factors: dict[int, list[Any]] = {}

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self._apply(piece, density.expand((self._scheme.stages, *density.shape)), "N")

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return torch.stack([self._apply(piece, block, "N") for piece, block in enumerate(right)])

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) → stages (K, S, s, n)."""
        return march(self.advance, initial, len(self._steps), steps, self._scheme.stages)

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
            matrix = self._steps[piece] * self._operator.matrix(self._drift[piece], self._diffusivity[piece])
            identity = sp.eye_array(matrix.shape[0])
            self._factors[piece] = [
                sparse_linalg.splu(sp.csc_array(identity * simplify(value) - matrix))
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

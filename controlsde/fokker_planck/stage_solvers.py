"""Radau stage solves for pieces of constant drift: what every way of doing them offers.

Each holds an operator with drift values and a diffusivity for each control piece, and gives linear maps on PyTorch
tensors:

    advance:          ρ (n, c) of one piece           → stages Y (s, n, c),        (I − h a⊗A) Y = 1⊗ρ
    solve:            R (K, s, n, c) of all pieces    → Y (K, s, n, c),            (I − h a⊗A) Y = R
    sweep_forward:    ρ (n,), S steps a piece         → Y (K, S, s, n),            step after step, ρ ← Y_s
    sweep_back:       Ȳ (K, S, s, n) of all steps     → Λ (K, S, s, n), ρ̄ (K, n),  the steps in reverse order:
                      Ȳ_s ← Ȳ_s + ρ̄,  (I − h a⊗A)ᵀ Λ = Ȳ,  ρ̄ ← Σ_i Λ_i

All need only (λI − hA)⁻¹ for the eigenvalues λ of a⁻¹ (see `radau`), one real and one complex matrix a piece at
three stages, shared by every step, every sensitivity and the adjoint. These are held by

- `front_stages`: factors by static condensation and nested dissection, compiled, for any number of columns, on the CPU;
- `line_stages`: in one dimension, factors of all elements side by side, compiled, for the sweep forward;

which measure their own residuals, and where they are not there, or not accurate, by

- `lu_stages`: LU factors in LAPACK's band storage, or dense ones for few unknowns that have no narrow band; for the
  sweeps, on the CPU. Many columns at once it leaves to one of the others, which is made when first asked;
- `dense_stages`: explicit inverses of all pieces at once, for up to a few hundred unknowns, on CPU or CUDA;
- `piecewise_stages`: factors by static condensation and nested dissection with pivots (`condensation`), piece by piece,
  for more unknowns, on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from controlsde.fokker_planck.non_finite import NonFiniteError


class StageSolver(Protocol):
    """What the propagation needs of a stage solver."""

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        ...

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        ...

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) at the start → stages (K, S, s, n) of S steps a piece."""
        ...

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → stage multipliers Λ (K, S, s, n), and ρ̄ at the start of each piece (K, n)."""
        ...


def march(advance: Callable[[int, Tensor], Tensor], initial: Tensor, pieces: int, steps: int, stages: int) -> Tensor:
    """Stages (K, S, s, n) from ρ (n,), one `advance` after the other."""
    values = initial.new_empty((pieces, steps, stages, len(initial)))
    density = initial[:, None]
    for piece in range(pieces):
        for step in range(steps):
            moved = advance(piece, density)
            values[piece, step] = moved[..., 0]
            density = moved[-1]
    return values


def refuse_non_finite(values: Tensor, what: str = "the drift") -> None:
    """Raise NonFiniteError, with the piece, for values (K, …) that are not all finite."""
    finite = np.isfinite(values.numpy()) if values.device.type == "cpu" else torch.isfinite(values)
    if not bool(finite.all()):
        of_pieces = torch.as_tensor(finite).flatten(1).all(dim=1)
        raise NonFiniteError(int(torch.argmin(of_pieces.int())), what)

"""Stage solves in one dimension by the compiled loops of a line: the sweep forward. All else is another solver's.

Comes in: an operator on a mesh of one axis, and rectified drifts of the pieces. Goes out: the solves of
`stage_solvers`. The sweep measures the residuals of its stage equations; where one is larger than `ACCURATE`, the other
solver does it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.compiled.library import ACCURATE, Line, address
from controlsde.fokker_planck.diffusivity import blocks_a_piece
from controlsde.fokker_planck.line_elements import Elements, line_arrays, line_sizes
from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.stage_solvers import StageSolver

Array = NDArray[np.float64]


class LinePlan:
    """What all drifts on one mesh and one time grid share, in the structure of `line.h`."""

    def __init__(
        self, loops: ctypes.CDLL, operator: Operator, stages: int, step_lengths: Array, diffusivity: Array
    ) -> None:
        """step_lengths: h of each piece (K,); diffusivity: D of every step (K, S)."""
        elements = Elements.of(operator)
        given = line_arrays(elements, stages, step_lengths, diffusivity)
        self._arrays = {name: np.ascontiguousarray(array) for name, array in given.items()}
        addresses = {name: address(array) for name, array in self._arrays.items()}
        self._line = Line(**line_sizes(operator, elements, stages, diffusivity.shape[1], diffusivity), **addresses)
        self._structure = ctypes.addressof(self._line)
        self._loops = loops
        blocks = blocks_a_piece(diffusivity)
        self._shape = (len(diffusivity) * blocks, diffusivity.shape[1] // blocks, stages, operator.size)

    def sweep(self, drift: Tensor, initial: Tensor) -> Tensor | None:
        """Stages (K·blocks, S/blocks, s, n) for a rectified drift (K, k, 1) in float64; None where not accurate."""
        cpu = torch.device("cpu")  # whatever a caller has made the default
        stages = torch.empty(self._shape, dtype=torch.float64, device=cpu)
        residual = torch.empty(1, dtype=torch.float64, device=cpu)
        arrays = (drift.contiguous(), initial.contiguous(), stages, residual)
        failed = self._loops.line_sweep(self._structure, *(each.data_ptr() for each in arrays))
        if failed > 0:
            raise MemoryError
        return None if failed or not residual.item() <= ACCURATE else stages


class LineStageSolver:
    """Stage solves for rectified drifts (K, k, 1); `otherwise` makes the solver of all but the sweep forward."""

    def __init__(self, plan: LinePlan, drift: Tensor, otherwise: Callable[[], StageSolver]) -> None:
        self._plan = plan
        self._drift = drift
        self._make = otherwise

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        return self._otherwise.advance(piece, density)

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        return self._otherwise.solve(right)

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) → stages (K, S, s, n)."""
        stages = self._plan.sweep(self._drift, initial)
        return self._otherwise.sweep_forward(initial, steps) if stages is None else stages

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n)."""
        return self._otherwise.sweep_back(cotangent)

    @cached_property
    def _otherwise(self) -> StageSolver:
        return self._make()

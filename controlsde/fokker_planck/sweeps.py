"""A density through all control pieces: the forward sweep, and the linear maps that the adjoint is made of.

Comes in: drift values at the drift points, one set per piece, (K, k, d), and the initial density (n,).
Goes out: the density at every Radau stage, (K, S, s, n) for K pieces of S steps with s stages. The last stage
of a step is the density at its end.

Forward, for each piece k and step:       Y_i = ρ + h Σ_j a_ij A(v_k) Y_j,   ρ ← Y_s

with A(v) ρ = D L ρ + B ((S v) ∘ (T ρ)), see `operator`. What goes backward is in `adjoint`.

D may differ from step to step: it is constant within one (the mean over it, see `diffusivity.step_means`). Steps of a
piece that share one D share their factors; where they do not, the stage solvers are given every step as a piece of its
own. Such a run of steps with one matrix is a block here: one a piece, or one a step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from controlsde.compiled.library import ACCURATE, library, line_loops
from controlsde.fokker_planck.assembly import Assembly, Entries, MatrixLayout
from controlsde.fokker_planck.condensation import CondensedFactors, Plan
from controlsde.fokker_planck.dense_stages import DenseStageSolver
from controlsde.fokker_planck.diffusivity import blocks_a_piece
from controlsde.fokker_planck.dissection import Dissection, dissect
from controlsde.fokker_planck.front_stages import FrontPlan, FrontStageSolver
from controlsde.fokker_planck.line_stages import LinePlan, LineStageSolver
from controlsde.fokker_planck.lu_stages import LuStageSolver
from controlsde.fokker_planck.operator import DENSE_LIMIT, Operator
from controlsde.fokker_planck.piecewise_stages import Factor, PiecewiseStageSolver, SuperLuFactor
from controlsde.fokker_planck.radau import Radau, radau
from controlsde.fokker_planck.stage_solvers import StageSolver, refuse_non_finite
from controlsde.foundation.surroundings import own_arithmetic


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a forward sweep leaves for the sweeps that follow it."""

    initial: Tensor  # (n,)
    stages: Tensor  # (K, S, s, n)
    solver: StageSolver
    blocks: int = 1  # matrices a piece: 1, or S where the diffusivity varies

    def advance(self, piece: int, step: int, density: Tensor) -> Tensor:
        """One step from ρ (n, c) → stages (s, n, c)."""
        return self.solver.advance(piece * self.blocks + (step if self.blocks > 1 else 0), density)

    def solve(self, right: Tensor) -> Tensor:
        """Stage equations of all steps at once: R (K, s, n, S, c) → Y (K, s, n, S, c)."""
        pieces, stages, unknowns, steps, count = right.shape
        blocks, shared = self.blocks, steps // self.blocks
        columns = right.reshape(pieces, stages, unknowns, blocks, shared * count).permute(0, 3, 1, 2, 4)
        solved = self.solver.solve(columns.reshape(-1, stages, unknowns, shared * count))
        ordered = solved.reshape(pieces, blocks, stages, unknowns, shared * count).permute(0, 2, 3, 1, 4)
        return ordered.reshape(right.shape)


class Sweeps:
    """The state equation on one mesh and one time grid, ready to run many times.

    operator:        the semi-discrete operator A(v).
    durations:       lengths of the control pieces, (K,), time units.
    steps_per_piece: Radau steps in each piece.
    stages:          1, 2 or 3.
    device:          a torch device; CUDA uses the dense solver whatever the size.
    diffusivity:     D of every step, (K, S), where it is not the operator's own at all times.
    compiled:        whether compiled loops may do it, on a CPU.

    Raises ValueError for diffusivities that are not all positive, or 0 as the operator's.
    """

    def __init__(
        self,
        operator: Operator,
        durations: ArrayLike,
        steps_per_piece: int,
        stages: int = 3,
        device: str | torch.device = "cpu",
        diffusivity: ArrayLike | None = None,
        compiled: bool = True,
    ) -> None:
        self.operator = operator
        self.durations = np.asarray(durations, dtype=float)
        self.steps_per_piece = steps_per_piece
        self.scheme: Radau = radau(stages)
        self.device = torch.device(device)
        self.compiled = compiled
        self.dense = operator.size <= DENSE_LIMIT[operator.mesh.dimension] or self.device.type != "cpu"
        self.step_lengths = torch.from_numpy(self.durations / steps_per_piece).to(self.device)
        of_steps = operator.diffusivity if diffusivity is None else np.asarray(diffusivity, dtype=float)
        self.diffusivity = np.broadcast_to(of_steps, (self.pieces, steps_per_piece)).copy()  # (K, S)
        if np.any((self.diffusivity > 0) != (operator.diffusivity > 0)) or not np.all(np.isfinite(self.diffusivity)):
            raise ValueError("the diffusivities of all steps must be finite, and zero only where the operator's is")
        self.blocks = blocks_a_piece(self.diffusivity)
        self._diffusivity = self.tensor(self.diffusivity[:, :: steps_per_piece // self.blocks].ravel())
        self.outward = self.tensor(operator.outward) if operator.outward.any() else None
        self.coefficients = torch.from_numpy(self.scheme.a).to(self.device)

    def __getstate__(self) -> dict[str, Any]:
        """What is copied or sent elsewhere: plans hold addresses of this process, and are made again there."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_line_plan", "_front_plan")}

    def lasting(self, durations: ArrayLike) -> Sweeps:
        """The same state equation with pieces of other lengths (K,); what does not depend on them is shared.

        Each step keeps its diffusivity.
        """
        plan = self._front_plan if self._line_plan is None else None
        other = copy(self)  # without the plans
        other.durations = np.asarray(durations, dtype=float)
        other.step_lengths = torch.from_numpy(other.durations / self.steps_per_piece).to(self.device)
        if plan is not None:
            other.__dict__["_front_plan"] = plan.lasting(np.repeat(other.step_lengths.numpy(), self.blocks))
        return other

    @property
    def pieces(self) -> int:
        """Number of control pieces K."""
        return len(self.durations)

    def tensor(self, array: ArrayLike) -> Tensor:
        """A float64 tensor on the device."""
        return torch.as_tensor(np.asarray(array, dtype=float), device=self.device)

    @own_arithmetic()
    def forward(self, drift: Tensor, initial: Tensor) -> Trajectory:
        """One sweep from t = 0 to the horizon for a rectified drift (K, k, d) and ρ (n,), without recording a graph.

        Raises ValueError for other shapes, and NonFiniteError, with the piece, when a number stops being finite.
        """
        expected = (self.pieces, *self.operator.drift_points.shape), (self.operator.size,)
        if (drift.shape, initial.shape) != expected:
            raise ValueError(
                f"the drift must have shape {expected[0]} and the initial density {expected[1]} "
                f"(got {tuple(drift.shape)} and {tuple(initial.shape)})"
            )
        # a copy: what is done with the trajectory later takes the drift as it is now
        drift = drift.detach().to(self.device, torch.float64, copy=True)
        initial = initial.detach().to(self.device, torch.float64)
        solver = self._stage_solver(drift)
        stages = solver.sweep_forward(initial, self.steps_per_piece // self.blocks)
        stages = stages.reshape(self.pieces, self.steps_per_piece, *stages.shape[2:])
        refuse_non_finite(stages, "the density")
        return Trajectory(initial, stages, solver, self.blocks)

    def gather(self, unknowns: Tensor) -> Tensor:
        """T along the last axis: (…, n) → (…, q)."""
        return self.times(unknowns, "gather")

    @cached_property
    def _dense_assembly(self) -> Assembly[MatrixLayout]:
        return Assembly(self.operator, MatrixLayout(self.operator.size), self.device)

    @cached_property
    def _sweep_assembly(self) -> Assembly[MatrixLayout] | None:
        """How the matrices of the sweeps are put together: in a band, else dense, else (None) condensed."""
        banded = MatrixLayout.banded(self.operator) if self.operator.mesh.dimension == 1 else None
        if banded is not None:
            return Assembly(self.operator, banded, self.device)
        return self._dense_assembly if self.dense else None

    def _stage_solver(self, drift: Tensor) -> StageSolver:
        """For rectified drifts of the pieces (K, k, d); the matrices are one a piece, or one a step."""

        def of_matrices() -> StageSolver:
            refuse_non_finite(drift)
            repeated, steps = drift, self.step_lengths
            if self.blocks > 1:
                repeated, steps = (each.repeat_interleave(self.blocks, dim=0) for each in (drift, steps))
            return self._solver(repeated, steps)

        if self._line_plan is not None:
            return LineStageSolver(self._line_plan, drift, of_matrices)
        return of_matrices()

    def _solver(self, drift: Tensor, steps: Tensor) -> StageSolver:
        """Of every matrix: drift (K·blocks, k, d) and h (K·blocks,)."""
        if self._front_plan is None:
            return self._interpreted(drift, steps, self._condensed)
        # where elimination without pivots was not good enough, with pivots over the whole matrix
        return FrontStageSolver(
            self._front_plan, drift.numpy(), lambda: self._interpreted(drift, steps, self._by_superlu)
        )

    def _interpreted(self, drift: Tensor, steps: Tensor, sparse: Callable[[Tensor], Factor]) -> StageSolver:
        """Nothing compiled of ours has a part in it. sparse: the factors of a matrix that is too large to be dense."""
        stages = self.scheme.stages

        def many_columns() -> StageSolver:
            if self.dense:
                return DenseStageSolver.factorise(self._dense_assembly, stages, drift, steps, self._diffusivity)
            assembly, _ = self._condensation
            shifted = assembly.shifted(stages, drift, steps, self._diffusivity)
            return PiecewiseStageSolver(stages, len(drift), lambda number: [sparse(each[number]) for each in shifted])

        if self.device.type != "cpu" or self._sweep_assembly is None:
            return many_columns()
        return LuStageSolver(self._sweep_assembly, stages, drift, steps, self._diffusivity, many_columns)

    def _condensed(self, entries: Tensor) -> Factor:
        """By static condensation, whose pivots are within a front; where that does not solve a probe, by SuperLU."""
        matrix = self._sparse(entries)
        probe = np.sin(np.arange(1.0, self.operator.size + 1))[:, None]
        try:
            factors = CondensedFactors(self._plan, entries.numpy())
        except np.linalg.LinAlgError:
            return SuperLuFactor(matrix)
        solved = factors.solve(probe, "N")
        size = abs(matrix).sum(axis=1).max() * np.linalg.norm(solved)
        accurate = np.linalg.norm(matrix @ solved - probe) <= ACCURATE * size
        return factors if accurate else SuperLuFactor(matrix)

    def _by_superlu(self, entries: Tensor) -> Factor:
        return SuperLuFactor(self._sparse(entries))

    def _sparse(self, entries: Tensor) -> sp.csc_array:
        layout, size = self._condensation[0].layout, self.operator.size
        return sp.csc_array(sp.coo_array((entries.numpy(), (layout.rows, layout.columns)), shape=(size, size)))

    @property
    def _loops(self) -> ctypes.CDLL | None:
        return library() if self.compiled and self.device.type == "cpu" else None

    @cached_property
    def _line_plan(self) -> LinePlan | None:
        axes = self.operator.mesh.axes
        loops = line_loops(len(axes), axes[0].elements) if self._loops else None
        if loops is None:
            return None
        return LinePlan(loops, self.operator, self.scheme.stages, self.step_lengths.numpy(), self.diffusivity)

    @cached_property
    def _condensation(self) -> tuple[Assembly[Entries], Dissection]:
        entries = Entries.of(self.operator)
        return Assembly(self.operator, entries, self.device), dissect(self.operator.mesh, entries.pattern)

    @cached_property
    def _plan(self) -> Plan:
        assembly, dissection = self._condensation
        return Plan(dissection, assembly.layout.rows, assembly.layout.columns)

    @cached_property
    def _front_plan(self) -> FrontPlan | None:
        loops = self._loops
        if loops is None:
            return None
        steps = np.repeat(self.step_lengths.numpy(), self.blocks)
        return FrontPlan(loops, *self._condensation, self.scheme.stages, steps, self._diffusivity.numpy())

    def transport(self, slope: Tensor, densities: Tensor, multipliers: Tensor) -> tuple[Tensor, Tensor]:
        """A(∂_p v) ρ_c and A(∂_p v)ᵀ λ_c without diffusion, both (n, c, P), for ∂_p v (k·d, P), ρ and λ (n, c)."""
        if self._front_plan is not None:
            found = self._front_plan.transport(slope.numpy(), densities.numpy(), multipliers.numpy())
            return torch.from_numpy(found[0]), torch.from_numpy(found[1])
        sampled = self.columns(slope, "sampling")[:, None]  # (q, 1, P)
        carried = self.columns(densities, "gather")[..., None] * sampled
        lifted = self.columns(multipliers, "combine", transposed=True)[..., None] * sampled
        shape = (*densities.shape, slope.shape[1])
        return (
            self.columns(carried.flatten(1), "combine").reshape(shape),
            self.columns(lifted.flatten(1), "gather", transposed=True).reshape(shape),
        )

    @cached_property
    def _matrices(self) -> dict[str, Tensor]:
        """B, T and S on the device."""
        return {name: self.tensor(getattr(self.operator, name).toarray()) for name in ("combine", "gather", "sampling")}

    @own_arithmetic()
    def times(self, values: Tensor, name: str, *, transposed: bool = False) -> Tensor:
        """One of the operator's matrices, by name, applied along the last axis."""
        flat = values.reshape(-1, values.shape[-1])
        return self.columns(flat.T, name, transposed=transposed).T.reshape(*values.shape[:-1], -1)

    @own_arithmetic()
    def columns(self, values: Tensor, name: str, *, transposed: bool = False) -> Tensor:
        """One of the operator's matrices, by name, times columns (m, c)."""
        if self.device.type != "cpu":
            matrix = self._matrices[name]
            return (matrix.T if transposed else matrix) @ values
        sparse = getattr(self.operator, name)
        return torch.from_numpy((sparse.T if transposed else sparse) @ values.detach().numpy())

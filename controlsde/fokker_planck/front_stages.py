"""Stage solves by compiled factors: static condensation and nested dissection in C, all pieces at once; on the CPU.

Comes in: how the matrices are put together (`assembly`), in which order unknowns are eliminated (`dissection`), and the
drifts of all pieces. Goes out: the solves of `stage_solvers`. The elimination has no pivots. Every solve measures the
residual of its stage equations; where one is larger than `ACCURATE`, another solver takes over, which has them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.compiled.library import ACCURATE, Fronts, address, whole
from controlsde.fokker_planck.assembly import Assembly, Entries
from controlsde.fokker_planck.dissection import Dissection
from controlsde.fokker_planck.radau import in_parts
from controlsde.fokker_planck.stage_solvers import StageSolver

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_SCHEME = ("eigenvalues", "a", "combination", "projected", "distributed", "gathered", "multiply")


class FrontPlan:
    """What all matrices of one assembly and one scheme share, in the structure of `fronts.h`."""

    def __init__(
        self,
        loops: ctypes.CDLL,
        assembly: Assembly[Entries],
        dissection: Dissection,
        stages: int,
        steps: Array,
        diffusivity: Array,
    ) -> None:
        """steps, diffusivity: h and D of every matrix (K,)."""
        layout = assembly.layout
        scheme = in_parts(stages)
        groups = _groups(dissection)
        own = np.array([len(inside) for inside, _ in groups])
        edge = np.array([len(boundary) for _, boundary in groups])
        factors = own * whole(own + edge) + edge * whole(own)
        places = {
            "order": dissection.order,
            "first": np.array([inside[0] for inside, _ in groups]),
            "own": own,
            "edge": edge,
            "edges_at": _starts(edge),
            "boundary": np.concatenate([boundary for _, boundary in groups]),
            "factors_at": _starts(factors),
            "passed_at": _starts(edge**2),
            **_hierarchy(groups),
            **_entries(dissection, groups, layout.rows, layout.columns),
            "rows_at": np.searchsorted(layout.rows, np.arange(layout.size + 1)),
            "columns": layout.columns,
            "inputs_at": assembly.linear.indptr,
            "inputs": assembly.linear.indices,
        }
        self._arrays = {
            **{name: np.ascontiguousarray(array, dtype=np.int64) for name, array in places.items()},
            **{name: np.ascontiguousarray(scheme[name]) for name in _SCHEME},
            "shares": np.ascontiguousarray(assembly.linear.data),
            **_of_steps(assembly, steps, diffusivity),
        }
        self._assembly, self._diffusivity = assembly, diffusivity
        slots = len(scheme["eigenvalues"])
        self.stages, self.unknowns, self.matrices = stages, layout.size, len(steps)
        self.numbers = len(steps) * (len(layout.keys) + slots * int(factors.sum()))
        self.drift_values = int(assembly.linear.shape[1])
        self._loops = loops
        self._fronts = Fronts(
            unknowns=layout.size,
            entries=len(layout.keys),
            groups=len(groups),
            inside=dissection.skeleton,
            widest=int((own + edge).max()),
            stages=stages,
            reals=slots % 2,
            slots=slots,
            blocks=len(steps),
            drift_values=self.drift_values,
            factor_numbers=int(factors.sum()),
            passed_numbers=int((edge**2).sum()),
            **{name: address(array) for name, array in self._arrays.items()},
        )
        self._structure = ctypes.addressof(self._fronts)

    def lasting(self, steps: Array) -> FrontPlan:
        """The same for steps of other lengths h (K,); all the rest is shared."""
        other = copy(self)
        other._arrays = {**self._arrays, **_of_steps(self._assembly, steps, self._diffusivity)}
        kept = {name: getattr(self._fronts, name) for name, _ in Fronts._fields_}
        other._fronts = Fronts(**{**kept, **{name: address(other._arrays[name]) for name in ("lengths", "still")}})
        other._structure = ctypes.addressof(other._fronts)
        return other

    def call(self, name: str, *arguments: Any) -> None:
        """One of the loops, with numbers and the addresses of arrays as `fronts.c` wants them."""
        if getattr(self._loops, name)(self._structure, *arguments):
            raise MemoryError

    def transport(self, slope: Array, densities: Array, multipliers: Array) -> tuple[Array, Array]:
        """A(∂_p v) ρ_c and A(∂_p v)ᵀ λ_c without diffusion, both (n, c, P), for ∂_p v (k·d, P), ρ and λ (n, c)."""
        weights, size = slope.shape[1], self.unknowns
        _expect(slope.shape, (self.drift_values, weights))
        _expect(densities.shape, (size, densities.shape[-1]))
        _expect(multipliers.shape, densities.shape)
        padded = np.zeros((len(slope), whole(weights)))
        padded[:, :weights] = slope
        moved, pulled = (np.zeros((*densities.shape, padded.shape[1])) for _ in range(2))
        arrays = (padded, np.ascontiguousarray(densities), np.ascontiguousarray(multipliers), moved, pulled)
        self.call("fronts_transport", densities.shape[1], padded.shape[1], *map(address, arrays))
        return moved[..., :weights], pulled[..., :weights]


def _of_steps(assembly: Assembly[Entries], steps: Array, diffusivity: Array) -> dict[str, Array]:
    """What depends on the steps: h (K,), and the entries of −h D L for each."""
    return {"lengths": np.ascontiguousarray(steps), "still": -(steps * diffusivity)[:, None] * assembly.diffusion}


class FrontStageSolver:
    """Stage solves for drifts (K, k, d); `pivoted` makes the solver that takes over."""

    def __init__(self, plan: FrontPlan, drift: Array, pivoted: Callable[[], StageSolver]) -> None:
        self._plan = plan
        self._shape = (plan.stages, plan.unknowns)
        self._held = np.empty(plan.numbers)  # entries and factors
        self._address = address(self._held)
        self._make_pivoted = pivoted
        self._accurate = True
        drift = np.ascontiguousarray(drift, dtype=float)
        plan.call("fronts_factorise", address(drift), self._address)

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        stages = self._columns(piece, density, alike=True)
        return self._pivoted.advance(piece, density) if stages is None else stages

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        _expect(right.shape[:1], (self._plan.matrices,))
        stages = torch.empty_like(right)
        for piece, of_piece in enumerate(right):
            solved = self._columns(piece, of_piece, alike=False)
            if solved is None:
                return self._pivoted.solve(right)
            stages[piece] = solved
        return stages

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) → stages (K, S, s, n)."""
        _expect(initial.shape, (self._plan.unknowns,))
        stages = np.empty((self._plan.matrices, steps, self._plan.stages, self._plan.unknowns))
        if self._measured("fronts_forward", (steps,), _array(initial), stages):
            return torch.from_numpy(stages)
        return self._pivoted.sweep_forward(initial, steps)

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n)."""
        _expect((*cotangent.shape[:1], *cotangent.shape[2:]), (self._plan.matrices, *self._shape))
        multipliers, starts = np.empty(cotangent.shape), np.empty((self._plan.matrices, self._plan.unknowns))
        if self._measured("fronts_back", cotangent.shape[1:2], _array(cotangent), multipliers, starts):
            return torch.from_numpy(multipliers), torch.from_numpy(starts)
        return self._pivoted.sweep_back(cotangent)

    def _columns(self, piece: int, right: Tensor, *, alike: bool) -> Tensor | None:
        """R (s, n, c), or (n, c) where all stages have the same, → stages (s, n, c); None where not accurate."""
        count = right.shape[-1]
        _expect(right.shape[:-1], self._shape[1:] if alike else self._shape)
        if not 0 <= piece < self._plan.matrices:
            raise IndexError(f"there are {self._plan.matrices} pieces (got number {piece})")
        columns = whole(count)
        given = _array(right)
        if columns > count:
            given = np.concatenate([given, np.zeros((*given.shape[:-1], columns - count))], axis=-1)
        stages = np.empty((self._plan.stages, self._plan.unknowns, columns))
        if columns and not self._measured("fronts_solve", (piece, columns, alike), given, stages):
            return None
        return torch.from_numpy(stages)[..., :count]

    def _measured(self, name: str, numbers: Sequence[int], *arrays: Array) -> bool:
        """Whether a call was accurate: what it found is used only then."""
        if self._accurate:
            residual = np.empty(1)
            self._plan.call(name, *numbers, self._address, *map(address, (*arrays, residual)))
            self._accurate = bool(residual[0] <= ACCURATE)
        return self._accurate

    @cached_property
    def _pivoted(self) -> StageSolver:
        return self._make_pivoted()


def _expect(shape: Sequence[int], expected: Sequence[int]) -> None:
    """The loops read as far as the sizes say, whatever they are given."""
    if tuple(shape) != tuple(expected):
        raise ValueError(f"an array of shape {tuple(expected)} was expected (got {tuple(shape)})")


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=float)


def _starts(counts: Indices) -> Indices:
    """Where each of several runs begins, one behind the other."""
    return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)


def _groups(dissection: Dissection) -> list[tuple[Indices, Indices]]:
    """Places of the own unknowns and of the edge of every group, in the order of elimination; the core is the last."""
    fronts = (*dissection.leaves, *dissection.fronts)
    groups = [pair for front in fronts for pair in zip(front.own, front.boundary, strict=True)]
    core = np.arange(dissection.core, len(dissection.order))
    return [*groups, (core, core[:0])] if len(core) else groups


def _standing(group: tuple[Indices, Indices], places: Indices) -> Indices:
    """Where places stand in a group's front."""
    front = np.concatenate(group)
    order = np.argsort(front)
    return order[np.searchsorted(front, places, sorter=order)]


def _hierarchy(groups: list[tuple[Indices, Indices]]) -> dict[str, Indices]:
    """Which groups hand on to each, and where their edges stand in its front."""
    group_of = _group_of(groups)
    parents = np.array([group_of[boundary.min()] if len(boundary) else -1 for _, boundary in groups])
    above = [_standing(groups[parent], boundary) for parent, (_, boundary) in zip(parents, groups, strict=True)]
    children = np.argsort(parents, kind="stable")
    children = children[parents[children] >= 0]
    return {
        "above": np.concatenate(above),
        "children_at": np.searchsorted(parents[children], np.arange(len(groups) + 1)),
        "child": children,
    }


def _group_of(groups: list[tuple[Indices, Indices]]) -> Indices:
    """The group of each place: they are in order, and leave no gap."""
    return np.repeat(np.arange(len(groups)), [len(own) for own, _ in groups])


def _entries(
    dissection: Dissection, groups: list[tuple[Indices, Indices]], rows: Indices, columns: Indices
) -> dict[str, Indices]:
    """Which entries each group's front is given, and where they stand in it."""
    place = np.empty_like(dissection.order)
    place[dissection.order] = np.arange(len(place))
    i, j = place[rows], place[columns]
    owner = _group_of(groups)[np.minimum(i, j)]
    entry = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(groups))
    each = np.split(entry, np.cumsum(counts)[:-1])
    return {
        "entries_at": np.concatenate([[0], np.cumsum(counts)]),
        "entry": entry,
        "row": np.concatenate([_standing(group, i[held]) for group, held in zip(groups, each, strict=True)]),
        "column": np.concatenate([_standing(group, j[held]) for group, held in zip(groups, each, strict=True)]),
    }

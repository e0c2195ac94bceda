"""Stage solves by compiled factors: static condensation and nested dissection in C, all pieces at once; on the CPU.

Comes in: how the matrices are put together (`assembly`), in which order unknowns are eliminated (`dissection`), and the
entries of −h_k A_k for every piece. Goes out: the solves of
`stage_solvers`. The elimination has no pivots. Every solve measures the residual of its stage equations; where one is
larger than `ACCURATE`, `condensation` takes over, which has them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.compiled.library import Fronts, address
from controlsde.fokker_planck.assembly import Assembly, Entries
from controlsde.fokker_planck.dissection import Dissection
from controlsde.fokker_planck.radau import in_parts
from controlsde.fokker_planck.stage_solvers import StageSolver

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

ACCURATE = 1e-12  # a residual over the sizes of its terms
LANES = 8  # numbers in a vector of the compiled loops
_SCHEME = ("eigenvalues", "a", "combination", "projected", "distributed", "gathered", "multiply")


@dataclass(frozen=True, eq=False)
class FrontPlan:
    """What all matrices of one pattern share, in the arrays of `fronts.h`."""

    loops: ctypes.CDLL
    sizes: dict[str, int]
    arrays: dict[str, NDArray[Any]]

    @staticmethod
    def of(loops: ctypes.CDLL, assembly: Assembly[Entries], dissection: Dissection) -> FrontPlan:
        """The plan for all matrices of an assembly."""
        rows, columns, linear = assembly.layout.rows, assembly.layout.columns, assembly.linear
        groups = _groups(dissection)
        own = np.array([len(inside) for inside, _ in groups])
        edge = np.array([len(boundary) for _, boundary in groups])
        group_of = np.repeat(np.arange(len(groups)), own)  # of each place: groups are in order, and leave no gap
        parents = np.array([group_of[boundary.min()] if len(boundary) else -1 for _, boundary in groups])
        above = [_standing(groups[parent], boundary) for parent, (_, boundary) in zip(parents, groups, strict=True)]
        children = np.argsort(parents, kind="stable")
        children = children[parents[children] >= 0]
        factors = own * _padded(own + edge) + edge * _padded(own)
        unknowns = len(dissection.order)
        arrays = {
            "order": dissection.order,
            "first": np.array([inside[0] for inside, _ in groups]),
            "own": own,
            "edge": edge,
            "edges_at": _starts(edge),
            "boundary": np.concatenate([boundary for _, boundary in groups]),
            "above": np.concatenate(above),
            "factors_at": _starts(factors),
            "passed_at": _starts(edge**2),
            "children_at": np.searchsorted(parents[children], np.arange(len(groups) + 1)),
            "child": children,
            **_entries(dissection, groups, group_of, rows, columns),
            "rows_at": np.searchsorted(rows, np.arange(unknowns + 1)),
            "columns": columns,
            "inputs_at": linear.indptr,
            "inputs": linear.indices,
        }
        sizes = {
            "unknowns": unknowns,
            "entries": len(rows),
            "groups": len(groups),
            "inside": dissection.skeleton,
            "widest": int((own + edge).max()),
            "factor_numbers": int(factors.sum()),
            "passed_numbers": int((edge**2).sum()),
        }
        whole = {name: np.ascontiguousarray(array, dtype=np.int64) for name, array in arrays.items()}
        return FrontPlan(loops, sizes, {**whole, "shares": np.ascontiguousarray(linear.data)})


def transport(plan: FrontPlan, slope: Array, densities: Array, multipliers: Array) -> tuple[Array, Array]:
    """A(∂_p v) ρ_c and A(∂_p v)ᵀ λ_c without diffusion, both (n, c, P), for ∂_p v (k·d, P), ρ and λ (n, c)."""
    weights = slope.shape[1]
    padded = np.zeros((len(slope), _padded(weights)))
    padded[:, :weights] = slope
    moved, pulled = (np.zeros((*densities.shape, padded.shape[1])) for _ in range(2))
    fronts = Fronts(**plan.sizes, **{name: address(array) for name, array in plan.arrays.items()})
    given = (padded, np.ascontiguousarray(densities), np.ascontiguousarray(multipliers), moved, pulled)
    plan.loops.fronts_transport(
        ctypes.addressof(fronts), densities.shape[1], padded.shape[1], *(address(array) for array in given)
    )
    return moved[..., :weights], pulled[..., :weights]


class FrontStageSolver:
    """Stage solves for `values` (K, nnz), the entries of −h_k A_k in the pattern of the plan.

    pivoted: makes the solver that takes over.
    """

    def __init__(self, plan: FrontPlan, stages: int, values: Array, pivoted: Callable[[], StageSolver]) -> None:
        self._loops = plan.loops
        self._stages, self._unknowns, self._pieces = stages, plan.sizes["unknowns"], len(values)
        scheme = in_parts(stages)
        self._arrays = {**plan.arrays, **{name: np.ascontiguousarray(scheme[name]) for name in _SCHEME}}
        slots = len(scheme["eigenvalues"])
        self._fronts = Fronts(
            **plan.sizes,
            stages=stages,
            reals=slots % 2,
            slots=slots,
            blocks=self._pieces,
            **{name: address(array) for name, array in self._arrays.items()},
        )
        self._values = np.ascontiguousarray(values)
        self._factors = np.empty(self._pieces * slots * plan.sizes["factor_numbers"])
        self._make_pivoted = pivoted
        self._accurate = True
        self._call("fronts_factorise", self._values, self._factors)

    def advance(self, piece: int, density: Tensor) -> Tensor:
        """ρ (n, c) → stages (s, n, c)."""
        stages = self._columns(piece, density, alike=True)
        return self._pivoted.advance(piece, density) if stages is None else stages

    def solve(self, right: Tensor) -> Tensor:
        """R (K, s, n, c) → stages (K, s, n, c)."""
        stages = torch.empty_like(right)
        for piece, of_piece in enumerate(right):
            solved = self._columns(piece, of_piece, alike=False)
            if solved is None:
                return self._pivoted.solve(right)
            stages[piece] = solved
        return stages

    def sweep_forward(self, initial: Tensor, steps: int) -> Tensor:
        """ρ (n,) → stages (K, S, s, n)."""
        stages = np.empty((self._pieces, steps, self._stages, self._unknowns))
        if self._measured("fronts_forward", steps, self._values, self._factors, _array(initial), stages):
            return torch.from_numpy(stages)
        return self._pivoted.sweep_forward(initial, steps)

    def sweep_back(self, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """Ȳ (K, S, s, n) → Λ (K, S, s, n), ρ̄ (K, n)."""
        multipliers, starts = np.empty(cotangent.shape), np.empty((self._pieces, self._unknowns))
        arrays = (self._values, self._factors, _array(cotangent), multipliers, starts)
        if self._measured("fronts_back", cotangent.shape[1], *arrays):
            return torch.from_numpy(multipliers), torch.from_numpy(starts)
        return self._pivoted.sweep_back(cotangent)

    def _columns(self, piece: int, right: Tensor, *, alike: bool) -> Tensor | None:
        """R (s, n, c), or (n, c) where all stages have the same, → stages (s, n, c); None where not accurate."""
        count = right.shape[-1]
        columns = _padded(count)
        given = _array(right)
        if columns > count:
            given = np.concatenate([given, np.zeros((*given.shape[:-1], columns - count))], axis=-1)
        stages = np.empty((self._stages, self._unknowns, columns))
        if columns and not self._measured(
            "fronts_solve", piece, columns, int(alike), self._values, self._factors, given, stages
        ):
            return None
        return torch.from_numpy(stages)[..., :count]

    def _measured(self, name: str, *arguments: Any) -> bool:
        """Whether a call was accurate: what was found has not been touched where it was not."""
        if self._accurate:
            residual = np.empty(1)
            self._call(name, *arguments, residual)
            self._accurate = bool(residual[0] <= ACCURATE)
        return self._accurate

    def _call(self, name: str, *arguments: Any) -> None:
        given = (argument if isinstance(argument, int) else address(argument) for argument in arguments)
        if getattr(self._loops, name)(ctypes.addressof(self._fronts), *given):
            raise MemoryError

    @cached_property
    def _pivoted(self) -> StageSolver:
        return self._make_pivoted()


def _array(tensor: Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().numpy())


def _padded(count: Any) -> Any:
    return -(-count // LANES) * LANES


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


def _entries(
    dissection: Dissection, groups: list[tuple[Indices, Indices]], group_of: Indices, rows: Indices, columns: Indices
) -> dict[str, Indices]:
    """Which entries each group's front is given, and where they stand in it."""
    place = np.empty_like(dissection.order)
    place[dissection.order] = np.arange(len(place))
    i, j = place[rows], place[columns]
    owner = group_of[np.minimum(i, j)]
    entry = np.argsort(owner, kind="stable")
    counts = np.bincount(owner, minlength=len(groups))
    each = np.split(entry, np.cumsum(counts)[:-1])
    return {
        "entries_at": np.concatenate([[0], np.cumsum(counts)]),
        "entry": entry,
        "row": np.concatenate([_standing(group, i[held]) for group, held in zip(groups, each, strict=True)]),
        "column": np.concatenate([_standing(group, j[held]) for group, held in zip(groups, each, strict=True)]),
    }

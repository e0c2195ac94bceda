"""LU factors by static condensation and nested dissection: small dense matrices, one batch for each front.

Comes in: the entries of a matrix, and a `Dissection`. Goes out: solves with the matrix and with its transpose.

For a front with unknowns e and boundary b, e is eliminated from

    [ D  U ] [x_e]   [r_e]        x_b:  (M − L D⁻¹ U) x_b = r_b − (L D⁻¹) r_e,
    [ L  M ] [x_b] = [r_b]        x_e = D⁻¹ r_e − (D⁻¹ U) x_b.

D⁻¹, L D⁻¹ and D⁻¹ U are held explicitly, so that a solve is a handful of batched products, for any number of columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

from controlsde.fokker_planck.dissection import Dissection, Front

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Block:
    """Where the entries of one block of a leaf front come from, and where they go in its array."""

    shape: tuple[int, ...]
    entries: Indices
    target: Indices

    def fill(self, values: Any) -> Any:
        block = np.zeros(self.shape, dtype=values.dtype)
        block.ravel()[self.target] = values[self.entries]
        return block


class Plan:
    """What all matrices of one pattern share: where each entry goes, and how fronts touch one another.

    rows, columns: place of every entry in the pattern, in unknowns.
    """

    def __init__(self, dissection: Dissection, rows: Indices, columns: Indices) -> None:
        self.dissection = dissection
        place = np.empty_like(dissection.order)
        place[dissection.order] = np.arange(len(place))
        i, j = place[rows], place[columns]
        self.leaves = [(front, *_leaf_blocks(front, i, j)) for front in dissection.leaves]
        first = dissection.skeleton
        self._kept = np.flatnonzero((i >= first) & (j >= first))
        self._width = len(place) - first
        self._target = (i[self._kept] - first) * self._width + (j[self._kept] - first)
        self.scatter = {front.start: _scatter(front, len(place)) for front in (*dissection.leaves, *dissection.fronts)}

    def skeleton(self, values: Any) -> Any:
        """The couplings of all unknowns that are not inside an element, dense."""
        matrix = np.zeros((self._width, self._width), dtype=values.dtype)
        matrix.ravel()[self._target] = values[self._kept]
        return matrix


@dataclass(frozen=True, eq=False)
class _Eliminated:
    front: Front
    scatter: sp.csr_array  # sums over the boundaries of all groups, into the places after the front
    inverse: Any  # D⁻¹ (groups, e, e)
    lower: Any  # L D⁻¹ (groups, b, e)
    upper: Any  # D⁻¹ U (groups, e, b)


class CondensedFactors:
    """Factors of one matrix with entries `values` (nnz,), real or complex, in the pattern of the plan."""

    def __init__(self, plan: Plan, values: Any) -> None:
        self._order = plan.dissection.order
        self._core_start = plan.dissection.core
        self._complex = np.iscomplexobj(values)
        self._steps: list[_Eliminated] = []
        skeleton = plan.skeleton(values)
        first = plan.dissection.skeleton
        for front, own, right, left in plan.leaves:
            self._eliminate(plan, front, (own.fill(values), right.fill(values), left.fill(values)), skeleton)
        for front in plan.dissection.fronts:
            e, b = front.own - first, front.boundary - first
            blocks = (
                skeleton[e[:, :, None], e[:, None, :]],
                skeleton[e[:, :, None], b[:, None, :]],
                skeleton[b[:, :, None], e[:, None, :]],
            )
            self._eliminate(plan, front, blocks, skeleton)
        core = skeleton[self._core_start - first :, self._core_start - first :]
        self._core = _dense_factors(core) if len(core) else None

    def solve(self, right: Any, transposed: str) -> Any:
        """x (n, c) for right-hand sides (n, c), with the matrix ("N") or its transpose ("T")."""
        normal = transposed == "N"
        values = np.asarray(right, dtype=complex if self._complex else float)[self._order]
        columns = values.shape[1]
        for step in self._steps:
            front = step.front
            own = values[front.start : front.stop].reshape(front.groups, front.size, columns)
            down = step.lower if normal else step.upper.swapaxes(1, 2)
            values[front.stop :] -= step.scatter @ (down @ own).reshape(-1, columns)
        if self._core is not None:
            solve = lapack.zgetrs if self._complex else lapack.dgetrs
            values[self._core_start :] = solve(*self._core, values[self._core_start :], trans=1 if normal else 0)[0]
        for step in reversed(self._steps):
            front = step.front
            own = values[front.start : front.stop].reshape(front.groups, front.size, columns)
            inverse = step.inverse if normal else step.inverse.swapaxes(1, 2)
            up = step.upper if normal else step.lower.swapaxes(1, 2)
            own[:] = inverse @ own - up @ values[front.boundary]
        solution = np.empty_like(values)
        solution[self._order] = values
        return solution

    def _eliminate(self, plan: Plan, front: Front, blocks: tuple[Any, Any, Any], skeleton: Any) -> None:
        """Factors of one front; what it leaves on its boundary is added to the skeleton."""
        own, right, left = blocks
        inverse = np.linalg.inv(own)
        lower = left @ inverse
        complement = lower @ right
        places = front.boundary - plan.dissection.skeleton
        for boundary, change in zip(places, complement, strict=True):
            skeleton[np.ix_(boundary, boundary)] -= change
        self._steps.append(_Eliminated(front, plan.scatter[front.start], inverse, lower, inverse @ right))


def _dense_factors(matrix: Any) -> tuple[Any, Any]:
    """LU factors and pivots of the transpose: LAPACK reads the rows of a C array as columns."""
    factorise = lapack.zgetrf if np.iscomplexobj(matrix) else lapack.dgetrf
    factor, pivots, _ = factorise(matrix.T)
    return factor, pivots


def _leaf_blocks(front: Front, i: Indices, j: Indices) -> tuple[_Block, _Block, _Block]:
    """D, U and L of a leaf front, for entries in places (i, j)."""
    groups, size, edge = front.groups, front.size, front.boundary.shape[1]
    row_inside = (i >= front.start) & (i < front.stop)
    column_inside = (j >= front.start) & (j < front.stop)

    def within(place: Indices) -> tuple[Indices, Indices]:
        return (place - front.start) // size, (place - front.start) % size

    # where each boundary place stands among those of its group, by one key for both
    last = max(int(front.boundary.max(initial=0)), int(i.max(initial=0)), int(j.max(initial=0))) + 1
    keys = (np.arange(groups)[:, None] * last + front.boundary).ravel()
    order = np.argsort(keys)

    def located(group: Indices, place: Indices) -> Indices:
        found = order[np.searchsorted(keys, group * last + place, sorter=order)]
        return np.asarray(found % edge if edge else found)

    both = np.flatnonzero(row_inside & column_inside)
    group, row = within(i[both])
    _, column = within(j[both])
    own = _Block((groups, size, size), both, (group * size + row) * size + column)
    out = np.flatnonzero(row_inside & ~column_inside)
    group, row = within(i[out])
    right = _Block((groups, size, edge), out, (group * size + row) * edge + located(group, j[out]))
    back = np.flatnonzero(~row_inside & column_inside)
    group, column = within(j[back])
    left = _Block((groups, edge, size), back, (group * edge + located(group, i[back])) * size + column)
    return own, right, left


def _scatter(front: Front, size: int) -> sp.csr_array:
    """Sums (groups · b,) over the boundaries into the places after the front."""
    rows = front.boundary.ravel() - front.stop
    columns = np.arange(len(rows))
    return sp.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size - front.stop, len(rows))).tocsr()

"""What samples of a formula may have missed: cells are halved until enclosures and samples agree.

Comes in: a formula of the coordinates, and the box. Goes out: its integral and its norm on the cells at the end, a
bound of what may still hide in them, and where most of it may.

On a cell B with enclosure [a, b] and samples between m and M, the formula is nowhere further from its samples' range
than e = max(b − M, m − a, 0), so that what they miss has ‖·‖² ≤ Σ_B |B| e². The cells that may hide most are halved
across the axis along which the formula can change most. Samples are Gauss's nodes, as quadrature takes them: none lies
on the edge of a cell, where one could see what no quadrature does. On a line, a cell with a jump counts with b − a, so
that jumps are chased down and what lies between two of them gets cells of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.enclosures.formulas import enclose
from controlsde.enclosures.intervals import Array, Interval
from controlsde.problem.formula import Formula

Box = tuple[tuple[float, float], ...]

FIRST_CELLS = {1: 64, 2: 24, 3: 8}  # on each axis
MOST_CELLS = {1: 50_000, 2: 200_000, 3: 200_000}
NODES = {1: 16, 2: 3, 3: 3}  # of a cell, on each axis
ENOUGH = {1: 1e-2, 2: 2e-2, 3: 5e-2}  # of ‖f‖, that may stay hidden
NARROWEST = 2.0**-48  # of an axis


@dataclass(frozen=True, eq=False)
class Hidden:
    """share: a bound of ‖what samples of every cell miss‖ / ‖f‖, infinite where there is none.

    place: the middle (d,) of the cell that may hide most; narrowest: that of the smallest cell. integral, square: ∫f
    and ∫f², by the samples. edges: of the cells, in one dimension (n + 1,), ascending.
    """

    share: float
    place: Array
    narrowest: Array
    integral: float
    square: float
    edges: Array


@dataclass(frozen=True, eq=False)
class _Cells:
    """n cells: where (d, n); bounds of ∫(what is missed)², ∫f and ∫f² by samples, the axis to be cut, each (n,)."""

    boxes: Interval
    missed: Array
    integral: Array
    seen: Array
    axis: NDArray[np.int64]

    def some(self, chosen: NDArray[np.bool_]) -> _Cells:
        return _Cells(
            self.boxes[:, chosen], self.missed[chosen], self.integral[chosen], self.seen[chosen], self.axis[chosen]
        )

    def __add__(self, other: _Cells) -> _Cells:
        boxes = Interval(
            np.concatenate([self.boxes.low, other.boxes.low], axis=1),
            np.concatenate([self.boxes.high, other.boxes.high], axis=1),
        )
        return _Cells(
            boxes,
            np.concatenate([self.missed, other.missed]),
            np.concatenate([self.integral, other.integral]),
            np.concatenate([self.seen, other.seen]),
            np.concatenate([self.axis, other.axis]),
        )


def hidden(formula: Formula, box: Box) -> Hidden:
    """Look for what samples of a formula of the coordinates may miss on a box, one (low, high) a dimension."""
    size = np.array([high - low for low, high in box])
    cells = _examined(formula, _regular(box, FIRST_CELLS[len(box)]), size)
    while True:
        count, wanted = len(cells.missed), ENOUGH[len(box)] ** 2 * float(cells.seen.sum())
        width = cells.boxes.width[cells.axis, np.arange(count)]
        cut = (cells.missed > wanted / (2 * count)) & (width > NARROWEST * size[cells.axis])
        if cells.missed.sum() <= wanted or count > MOST_CELLS[len(box)] or not np.any(cut):
            break
        chosen = cells.some(cut)
        cells = cells.some(~cut) + _examined(formula, _halved(chosen.boxes, chosen.axis), size)
    seen, missed = float(cells.seen.sum()), float(cells.missed.sum())
    worst = cells.boxes[:, int(np.argmax(cells.missed))]
    smallest = cells.boxes[:, int(np.argmin(np.prod(cells.boxes.width, axis=0)))]
    return Hidden(
        share=math.sqrt(missed / seen) if seen > 0.0 else math.inf,
        place=0.5 * (worst.low + worst.high),
        narrowest=0.5 * (smallest.low + smallest.high),
        integral=float(cells.integral.sum()),
        square=seen,
        edges=np.append(np.sort(cells.boxes.low[0]), box[0][1]),
    )


def _regular(box: Box, count: int) -> Interval:
    edges = [np.linspace(low, high, count + 1) for low, high in box]
    low = np.stack([part.ravel() for part in np.meshgrid(*(edge[:-1] for edge in edges), indexing="ij")])
    high = np.stack([part.ravel() for part in np.meshgrid(*(edge[1:] for edge in edges), indexing="ij")])
    return Interval(low, high)


def _halved(boxes: Interval, axis: NDArray[np.int64]) -> Interval:
    at = axis, np.arange(len(axis))
    middle = 0.5 * (boxes.low[at] + boxes.high[at])
    left, right = boxes.high.copy(), boxes.low.copy()
    left[at], right[at] = middle, middle
    return Interval(np.concatenate([boxes.low, right], axis=1), np.concatenate([left, boxes.high], axis=1))


def _examined(formula: Formula, boxes: Interval, size: Array) -> _Cells:
    held = enclose(formula, boxes)
    samples, weights = _samples(formula, boxes)
    dimension = len(size)
    volume = np.prod(boxes.width, axis=0)
    with np.errstate(all="ignore"):
        excess = np.maximum(held.values.high - samples.max(axis=0), samples.min(axis=0) - held.values.low)
        if dimension == 1:
            excess = np.where(np.isfinite(held.slopes.magnitude[0]), excess, held.values.width)
        missed = volume * np.maximum(np.nan_to_num(excess, nan=np.inf, posinf=np.inf), 0.0) ** 2
        integral, seen = volume * (weights @ samples), volume * (weights @ np.square(samples))
        change = held.slopes.magnitude * boxes.width
    known = np.isfinite(change).all(axis=0)
    steepest = np.argmax(np.where(known, change, boxes.width / size[:, None]), axis=0)
    seen, integral = (np.where(np.isfinite(part), part, 0.0) for part in (seen, integral))
    return _Cells(boxes, missed, integral, seen, steepest)


def _samples(formula: Formula, boxes: Interval) -> tuple[Array, Array]:
    """Values at the tensor product of Gauss's nodes in every cell, and their weights: (k, n) and (k,), of sum one."""
    dimension = len(boxes.low)
    nodes, weights = np.polynomial.legendre.leggauss(NODES[dimension])
    shares = np.stack([part.ravel() for part in np.meshgrid(*(0.5 * (1.0 + nodes),) * dimension)])
    share_weights = np.prod([part.ravel() for part in np.meshgrid(*(0.5 * weights,) * dimension)], axis=0)
    places = boxes.low[:, None, :] + shares[:, :, None] * boxes.width[:, None, :]
    values = formula.numpy(**dict(zip(formula.variables, places, strict=True)))
    return np.asarray(values), np.asarray(share_weights)

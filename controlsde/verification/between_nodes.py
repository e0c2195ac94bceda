"""What a drift does between the nodes of a mesh and between its instants in time, where no evaluation looks.

Comes in: a drift with enclosures, the refined mesh and its instants, the diffusivity. Goes out: by how much what is not
seen can change the density, and where most of it is.

A cell lies between neighbouring nodes and instants. The mesh sees the drift at the corners, and what its polynomials
make of that; let e be how far an enclosure of v on the cell reaches beyond, and σ how far one of its slope does. The
cell is τ long and δ wide along the component. What e changes of the density, over ‖p‖, is estimated in three ways
(derived here), ℓ = ‖p‖/‖∇p‖ being the length on which the density changes:

    moved       e τ / ℓ                              and     (e^{σT} − 1)² (δ/ℓ) (τ/T)
    held up     e δ / D
    passing     δ e / (a ℓ) + β √(D/2uℓ)             and     b² δ/ℓ

Mass is moved by no more than eτ, and squeezed where v falls along its way. Against the diffusivity D, e is a barrier of
eδ/D. Where v keeps its sign and a is its least speed, mass passes, too late or too early by δe/a of its way; the speed
is wrong by the share b, and so is the density in the cell; and in front of it, D/2u thick, by β = min(b, eδ/D), u being
the least speed that the mesh sees. What stands second is the square of a change of the norm: a root is taken of its
sum. ℓ is the density's when it meets the cell. Each cell takes the way that costs least, and counts with its share of
the tube between neighbouring nodes of the other axes in which it lies; tubes count with their shares of ‖ρ‖² (see
`densities_met`). What is moved adds up over time; what is held up or passes is met once at each place: there the
largest of all times counts.

Cells that may cost most are halved, until all together cost little, or until they are too many; then the drift is
looked at in the middle of what is left, unless that may still be anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.enclosures import Enclosure, Interval
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.fokker_planck.stencils import Stencil
from controlsde.verification.densities_met import DensitiesMet
from controlsde.verification.exponential import moments_of

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

ENOUGH = 1e-2  # of the density, that may change unseen
ANYTHING = 1.0  # a change as large as the density itself
MORE_CELLS = 300_000  # than at first
NARROWEST = 2.0**-40  # of an axis, or of [0, T]
BETWEEN = {1: 4, 2: 2, 3: 2}  # parts of an axis between two nodes, at whose ends the mesh's polynomials are seen


@dataclass(frozen=True, eq=False)
class Unseen:
    """change: of the density, relatively, by what the mesh does not see of the drift: a bound, or what was found.

    place: (d,), time: where and when most of it is. brief: whether it is shorter in time than the instants are apart.
    """

    change: float
    place: Array
    time: float
    brief: bool

    @property
    def where(self) -> str:
        """The place in words."""
        return coordinates(self.place)


def coordinates(place: Array) -> str:
    """A point (d,) in words."""
    return ", ".join(f"{name} = {value:.6g}" for name, value in zip("xyz", place, strict=False))


@dataclass(frozen=True, eq=False)
class _Seen:
    """n cells: what was seen of v and of ∂v_c/∂x_c (d, n), in which piece, and between which nodes, by number."""

    values: Interval
    slopes: Interval
    piece: Indices
    place: Indices

    def some(self, chosen: Any) -> _Seen:
        return _Seen(self.values[:, chosen], self.slopes[:, chosen], self.piece[chosen], self.place[chosen])

    @staticmethod
    def joined(parts: Sequence[_Seen]) -> _Seen:
        return _Seen(
            _joined([part.values for part in parts]),
            _joined([part.slopes for part in parts]),
            np.concatenate([part.piece for part in parts]),
            np.concatenate([part.place for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class _Cells:
    """n cells: where and when (d + 1, n), what was seen there, the change by each component, and the axis to be cut.

    change (2, d, n): moved, and held up or passing; square (2, d, n): the squares likewise. See the top of this file.
    """

    boxes: Interval
    seen: _Seen
    change: Array
    square: Array
    axis: Indices

    def cost(self, tubes: _Tubes) -> Array:
        """What a cell adds to the whole, (n,): a sum of squares of ENOUGH² is ENOUGH."""
        shares = tubes.shares_of(self.seen.place)
        change, square = self.change.sum(axis=0), self.square.sum(axis=0)
        return np.asarray((_times(np.sqrt(shares), change) + _times(shares, square) / ENOUGH).sum(axis=0))

    def whole(self, tubes: _Tubes) -> float:
        """The change by all cells together."""
        changes = squares = 0.0
        for c, shares in enumerate(tubes.shares):
            changes += float(np.sqrt(_times(shares, self._in_tubes(self.change[:, c], tubes.numbers[c]) ** 2).sum()))
            squares += float(_times(shares, self._in_tubes(self.square[:, c], tubes.numbers[c])).sum())
        return changes + float(np.sqrt(squares))

    def _in_tubes(self, part: Array, numbers: Indices) -> Array:
        """What is moved, and what is held up or passes (2, n), in each of the tubes with these numbers by place."""
        moved, met = part
        tubes = int(numbers.max()) + 1
        found = np.bincount(numbers[self.seen.place], moved, tubes)
        return np.asarray(found + np.bincount(numbers, self._largest(met, len(numbers)), tubes), dtype=float)

    def _largest(self, part: Array, count: int) -> Array:
        """The largest that is there at any time, at each of so many places."""
        if not np.all(np.isfinite(part)):
            return np.asarray(np.bincount(self.seen.place, part, count))
        times, places = self.boxes[-1], np.tile(self.seen.place, 2)
        steps = np.concatenate([part, -part])
        # what ends goes before what begins
        order = np.lexsort((np.sign(steps), np.concatenate([times.low, times.high]), places))
        there = np.cumsum(steps[order])
        firsts = np.flatnonzero(np.diff(places[order], prepend=-1))
        most = np.zeros(count)
        most[places[order][firsts]] = np.maximum.reduceat(there, firsts)
        return most

    def some(self, chosen: NDArray[np.bool_]) -> _Cells:
        return _Cells(
            self.boxes[:, chosen],
            self.seen.some(chosen),
            self.change[..., chosen],
            self.square[..., chosen],
            self.axis[chosen],
        )

    def __add__(self, other: _Cells) -> _Cells:
        return _Cells(
            _joined([self.boxes, other.boxes]),
            _Seen.joined([self.seen, other.seen]),
            np.concatenate([self.change, other.change], axis=2),
            np.concatenate([self.square, other.square], axis=2),
            np.concatenate([self.axis, other.axis]),
        )


def _times(shares: Array, changes: Array) -> Array:
    """Their product; no share of anything is nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(shares > 0.0, shares * changes, 0.0)


@dataclass(frozen=True, eq=False)
class _Tubes:
    """The tubes between neighbouring nodes of the other axes, by component: which each place is in, and their shares.

    widths: of the places, (d, places).
    """

    numbers: tuple[Indices, ...]
    shares: tuple[Array, ...]
    widths: Array

    @staticmethod
    def of(mesh: Mesh, met: DensitiesMet) -> _Tubes:
        cells = tuple(size - 1 for size in mesh.shape)
        numbers = []
        for axis in range(mesh.dimension):
            others = [size for number, size in enumerate(cells) if number != axis]
            tubes = np.expand_dims(np.arange(int(np.prod(others))).reshape(others), axis)
            numbers.append(np.broadcast_to(tubes, cells).ravel())
        widths = np.meshgrid(*(np.diff(axis.grid) for axis in mesh.axes), indexing="ij")
        return _Tubes(tuple(numbers), met.shares, np.stack([width.ravel() for width in widths]))

    def shares_of(self, place: Indices) -> Array:
        """The shares of the tube of each component that cells are in, (d, n)."""
        return np.stack([shares[number[place]] for shares, number in zip(self.shares, self.numbers, strict=True)])


@dataclass(frozen=True, eq=False)
class _Scales:
    """What a change of the drift is measured by: the box's sides and T (d + 1,), ℓ, tubes, and D = ηD₀(t)."""

    sides: Array
    met: DensitiesMet
    tubes: _Tubes
    diffusivity: Diffusivity


def unseen(
    drift: Drift, mesh: Mesh, times: Array, substeps: tuple[int, ...], diffusivity: Diffusivity, met: DensitiesMet
) -> Unseen | None:
    """What the nodes of a mesh miss of a drift; None for one without enclosures.

    times: instants, the ends of pieces among them. substeps: by piece, the steps in which a drift that varies in time
    was followed from each of them to the next. met: the densities that the drift moves, on the same mesh.
    """
    if drift.enclosure(0, Interval(np.zeros((mesh.dimension + 1, 0)), np.zeros((mesh.dimension + 1, 0)))) is None:
        return None
    sides = np.array([*(high - low for low, high in mesh.box), float(drift.edges[-1])])
    tubes = _Tubes.of(mesh, met)
    scales = _Scales(sides, met, tubes, diffusivity)
    instants = drift.edges if drift.constant else times
    cells = _measured(drift, scales, *_first_cells(drift, mesh, instants, substeps))
    most = len(cells.axis) + MORE_CELLS
    while True:
        count, cost, whole = len(cells.axis), cells.cost(tubes), cells.whole(tubes)
        width = cells.boxes.width[cells.axis, np.arange(count)]
        cut = (cost > ENOUGH / (2 * count)) & (width > NARROWEST * sides[cells.axis])
        if whole <= ENOUGH or not np.any(cut) or count + cut.sum() > most:
            break
        chosen = cells.some(cut)
        cells = cells.some(~cut) + _measured(drift, scales, *_halved(chosen))
    if ENOUGH < whole <= ANYTHING:
        middle = Interval.of(0.5 * (cells.boxes.low + cells.boxes.high))  # no bound, but certain
        cells = _measured(drift, scales, cells.boxes, cells.seen, middle)
    worst = int(np.argmax(cells.cost(tubes)))
    place = 0.5 * (cells.boxes.low + cells.boxes.high)[:, worst]
    brief = bool(cells.boxes.width[-1, worst] < 0.75 * np.diff(instants).min())
    return Unseen(cells.whole(tubes), place[:-1], float(place[-1]), brief)


def _first_cells(drift: Drift, mesh: Mesh, instants: Array, substeps: tuple[int, ...]) -> tuple[Interval, _Seen]:
    """The cells between all neighbouring nodes and instants: where and when, and what is seen there."""
    low, high = (
        np.stack([part.ravel() for part in np.meshgrid(*(axis.grid[side] for axis in mesh.axes), indexing="ij")])
        for side in (slice(None, -1), slice(1, None))
    )
    boxes, seen = [], []
    between = [_Between.of(axis, BETWEEN[mesh.dimension]) for axis in mesh.axes]
    count = low.shape[1]
    for start, end in itertools.pairwise(instants):
        piece = int(np.searchsorted(drift.edges, 0.5 * (start + end))) - 1
        span = np.array([start, end])
        looks = span[:1] if drift.constant else np.sort(moments_of(span, substeps[piece]))
        values = [drift.values(piece, float(t), mesh.points) for t in looks]
        if (
            not drift.constant
        ):  # at both ends what a line through the instants looked at makes of it: nobody looks there
            values += [_extended(looks[:2], values[:2], start), _extended(looks[-2:], values[-2:], end)]
        views = [_seen(mesh, between, value) for value in values]
        time = np.ones((1, count))
        boxes.append(Interval(np.concatenate([low, start * time]), np.concatenate([high, end * time])))
        ranges, slopes = (_around([view[part] for view in views]) for part in (0, 1))
        seen.append(_Seen(ranges, slopes, np.full(count, piece), np.arange(count)))
    return _joined(boxes), _Seen.joined(seen)


def _extended(times: Array, values: list[Array], end: float) -> Array:
    """The line through two values at two times, at an end."""
    return np.asarray(values[0] + (values[1] - values[0]) * ((end - times[0]) / (times[1] - times[0])))


@dataclass(frozen=True, eq=False)
class _Between:
    """One axis: matrices from the nodes to `parts` points from each node to the next, for values and for slopes."""

    values: Array
    slopes: Array
    parts: int

    @staticmethod
    def of(axis: Axis, parts: int) -> _Between:
        share = np.arange(parts) / parts
        places = np.append((axis.grid[:-1, None] + share * np.diff(axis.grid)[:, None]).ravel(), axis.high)
        stencil = Stencil.build(Mesh((axis,)), places[:, None])
        rows = np.arange(len(places))[:, None]
        values, slopes = np.zeros((2, len(places), len(axis.grid)))
        np.add.at(values, (rows, stencil.nodes[0]), stencil.values[0])
        np.add.at(slopes, (rows, stencil.nodes[0]), stencil.slopes[0])
        return _Between(values, slopes, parts)


def _seen(mesh: Mesh, between: list[_Between], values: Array) -> tuple[Interval, Interval]:
    """The ranges (d, cells) between neighbouring nodes of the polynomials through values (N, d), and of ∂v_c/∂x_c."""
    found = []
    for slope in (False, True):
        ranges = []
        for c, component in enumerate(values.T):
            fine = component.reshape(mesh.shape)
            for axis, part in enumerate(between):
                matrix = part.slopes if slope and axis == c else part.values
                fine = np.moveaxis(np.tensordot(matrix, fine, axes=(1, axis)), 0, axis)
            if not slope:  # at the nodes without rounding
                nodes = np.ix_(*(np.arange(0, size, between[0].parts) for size in fine.shape))
                fine[nodes] = component.reshape(mesh.shape)
            ranges.append(_ranges(fine, mesh.shape, between[0].parts))
        found.append(Interval(np.stack([one.low for one in ranges]), np.stack([one.high for one in ranges])))
    return found[0], found[1]


def _ranges(fine: Array, shape: tuple[int, ...], parts: int) -> Interval:
    """The least and the largest of all points from node to node, (cells,)."""
    windows = [
        fine[tuple(slice(first, first + (size - 1) * parts, parts) for first, size in zip(at, shape, strict=True))]
        for at in itertools.product(range(parts + 1), repeat=len(shape))
    ]
    return Interval(np.min(windows, axis=0).ravel(), np.max(windows, axis=0).ravel())


def _around(parts: list[Interval]) -> Interval:
    return Interval(np.min([part.low for part in parts], axis=0), np.max([part.high for part in parts], axis=0))


def _joined(parts: list[Interval]) -> Interval:
    return Interval(
        np.concatenate([part.low for part in parts], axis=1), np.concatenate([part.high for part in parts], axis=1)
    )


def _halved(cells: _Cells) -> tuple[Interval, _Seen]:
    at = cells.axis, np.arange(len(cells.axis))
    boxes = cells.boxes
    middle = 0.5 * (boxes.low[at] + boxes.high[at])
    left, right = boxes.high.copy(), boxes.low.copy()
    left[at], right[at] = middle, middle
    halves = _joined([Interval(boxes.low, left), Interval(right, boxes.high)])
    return halves, _Seen.joined([cells.seen, cells.seen])


def _measured(drift: Drift, scales: _Scales, boxes: Interval, seen: _Seen, looked_at: Interval | None = None) -> _Cells:
    """What may change unseen in each cell, and the axis along which the drift may change most there.

    looked_at: the part (d + 1, n) of each cell that the drift is enclosed on; all of it if not given.
    """
    looked_at = looked_at or boxes
    change, square = np.zeros((2, 2, len(boxes.low) - 1, len(seen.piece)))
    steepness = np.zeros(boxes.low.shape)
    for piece in np.unique(seen.piece):
        chosen = seen.piece == piece
        part, known = boxes[:, chosen], seen.some(chosen)
        found = drift.enclosure(int(piece), looked_at[:, chosen])
        assert found is not None  # asked before
        for component, held in enumerate(found):
            more = _change(scales, part, component, held, known)
            change[:, component, chosen] = more[0]
            square[:, component, chosen] = more[1]
            with np.errstate(invalid="ignore"):
                steepness[:, chosen] = np.maximum(steepness[:, chosen], held.slopes.magnitude * part.width)
    if drift.constant:
        steepness[-1] = 0.0
    jumps = ~np.isfinite(steepness)
    relative = np.where(jumps, boxes.width / scales.sides[:, None], -1.0)
    axis = np.where(jumps.any(axis=0), np.argmax(relative, axis=0), np.argmax(np.where(jumps, 0.0, steepness), axis=0))
    return _Cells(boxes, seen, change, square, axis)


def _change(scales: _Scales, boxes: Interval, component: int, held: Enclosure, seen: _Seen) -> tuple[Array, Array]:
    """The change by the cheapest of three ways, times the share of the tube: changes and squares (2, n)."""
    width, length = boxes.width, _by_span(boxes[-1], scales.met.length)
    delta, tau = width[component], width[-1]
    others = [axis for axis in range(len(width) - 1) if axis != component]
    share = np.prod(width[others] / scales.tubes.widths[others][:, seen.place], axis=0)
    values, known = held.values, seen.values[component]
    with np.errstate(all="ignore"):
        excess = _beyond(values, known)
        steeper = _beyond(held.slopes[component], seen.slopes[component])
        diffusivity = _by_span(boxes[-1], scales.diffusivity.mean)
        barrier = np.where(excess > 0.0, excess * delta / diffusivity, np.where(diffusivity > 0.0, 0.0, np.inf))
        horizon = scales.sides[-1]
        moved = excess * tau / length, np.expm1(steeper * horizon) ** 2 * delta / length * tau / horizon
        held_up = barrier, np.zeros_like(barrier)
        onwards = ((known.low > 0.0) & (values.low > 0.0)) | ((known.high < 0.0) & (values.high < 0.0))
        slower = np.maximum(known.mignitude / values.mignitude - 1.0, 0.0)
        faster = np.maximum(1.0 - known.magnitude / values.magnitude, 0.0)
        wrong = np.maximum(slower, faster)
        in_front = np.sqrt(np.fmin(diffusivity / (2.0 * known.mignitude * length), 1.0))
        late = delta * excess / (values.mignitude * length)
        passing = (
            np.where(onwards, late + np.fmin(wrong, barrier) * in_front, np.inf),
            np.where(onwards, wrong**2 * delta / length, np.inf),
        )
        nothing = np.zeros_like(excess)
        ways = np.array([(moved[0], nothing), (nothing, held_up[0]), (nothing, passing[0])])  # (ways, 2, n)
        squares = np.array([(moved[1], nothing), (nothing, held_up[1]), (nothing, passing[1])])
        ways, squares = (np.nan_to_num(part * share, nan=np.inf, posinf=np.inf) for part in (ways, squares))
        least = np.argmin(ways.sum(axis=1) + squares.sum(axis=1) / ENOUGH, axis=0)
    taken = least, slice(None), np.arange(len(least))
    unseen = (excess > 0.0) | (steeper > 0.0)
    return np.where(unseen, ways[taken].T, 0.0), np.where(unseen, squares[taken].T, 0.0)


def _beyond(values: Interval, seen: Interval) -> Array:
    """How far one interval reaches beyond another, (n,)."""
    excess = np.maximum(np.maximum(values.high - seen.high, seen.low - values.low), 0.0)
    return np.asarray(np.nan_to_num(excess, nan=np.inf, posinf=np.inf))


def _by_span(time: Interval, measure: Callable[[float, float], float]) -> Array:
    """A measure of each time interval (n,): (n,)."""
    both = np.empty(len(time.low), dtype=complex)  # of which `unique` is many times as fast as of columns
    both.real, both.imag = time.low, time.high
    spans, which = np.unique(both, return_inverse=True)
    values = np.array([measure(float(span.real), float(span.imag)) for span in spans])
    return np.asarray(values[which.ravel()])

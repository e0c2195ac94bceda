"""What a drift does between the nodes of a mesh and between its moments in time, where no evaluation looks.

Comes in: a drift with enclosures, the refined mesh and its moments, the diffusivity. Goes out: by how much what is not
seen can change the density, and where most of it is.

A cell lies between neighbouring nodes and moments. The mesh sees the drift at the corners, and what its polynomials
make of that; let e be how far an enclosure of v on the cell reaches beyond. Over a time τ and a width δ along the
component, e moves mass by no more than eτ; against the diffusivity D it raises a barrier of eδ/D; and where v keeps its
sign and never falls below a in size, mass passes too late or too early by δe/a of its way, and in front of the cell,
where it is as fast as the mesh sees it, u at least, the density changes on a layer D/u thick. The least of

    e τ / ℓ,        e δ / D,        δ e / (a ℓ) + min(1, e δ / D) √(D / 2uℓ)      (infinite where v may turn back),

estimates the relative change of the density, ℓ = ‖p‖/‖∇p‖ being the length on which densities change; derived here. A
cell counts with its share of the cross-section. Cells that may count most are halved, until all together count little,
or until they are too many; then the drift is looked at in the middle of what is left, unless that may still be
anything.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.diffusivity import Diffusivity
from controlsde.drift import Drift
from controlsde.enclosures import Interval
from controlsde.fokker_planck.mesh import Mesh
from controlsde.verification.exponential import moments_of

Array = NDArray[np.float64]

ENOUGH = 1e-2  # of the density, that may change unseen
ANYTHING = 1.0  # a change as large as the density itself
MORE_CELLS = 300_000  # than at first
NARROWEST = 2.0**-40  # of an axis, or of [0, T]
BETWEEN = {1: 4, 2: 2, 3: 2}  # parts of an axis between two nodes, at whose ends the mesh's polynomials are seen


@dataclass(frozen=True, eq=False)
class Unseen:
    """change: of the density, relatively, by what the mesh does not see of the drift: a bound, or what was found.

    place: (d,), time: where and when most of it is. brief: whether it is shorter in time than the moments are apart.
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
class _Cells:
    """n cells: where and when (d + 1, n), what was seen of v (d, n), the piece, the change, and the axis to be cut."""

    boxes: Interval
    seen: Interval
    piece: NDArray[np.int64]
    change: Array
    axis: NDArray[np.int64]

    def some(self, chosen: NDArray[np.bool_]) -> _Cells:
        return _Cells(
            self.boxes[:, chosen], self.seen[:, chosen], self.piece[chosen], self.change[chosen], self.axis[chosen]
        )

    def __add__(self, other: _Cells) -> _Cells:
        return _Cells(
            _joined([self.boxes, other.boxes]),
            _joined([self.seen, other.seen]),
            np.concatenate([self.piece, other.piece]),
            np.concatenate([self.change, other.change]),
            np.concatenate([self.axis, other.axis]),
        )


@dataclass(frozen=True, eq=False)
class _Scales:
    """What a change of the drift is measured by: the box's sides and T (d + 1,), ℓ, and D = ηD₀(t)."""

    sides: Array
    length: float
    diffusivity: Diffusivity


def unseen(
    drift: Drift, mesh: Mesh, times: Array, substeps: tuple[int, ...], diffusivity: Diffusivity, length: float
) -> Unseen | None:
    """What the nodes of a mesh miss of a drift; None for one without enclosures.

    times: moments, the ends of pieces among them. substeps: by piece, the steps in which a drift that varies in time
    was followed from each of them to the next. length: ℓ.
    """
    if drift.enclosure(0, Interval(np.zeros((mesh.dimension + 1, 0)), np.zeros((mesh.dimension + 1, 0)))) is None:
        return None
    sides = np.array([*(high - low for low, high in mesh.box), float(drift.edges[-1])])
    scales = _Scales(sides, length, diffusivity)
    moments = drift.edges if drift.constant else times
    cells = _measured(drift, scales, *_first_cells(drift, mesh, moments, substeps))
    most = len(cells.piece) + MORE_CELLS
    while True:
        count = len(cells.piece)
        width = cells.boxes.width[cells.axis, np.arange(count)]
        cut = (cells.change > ENOUGH / (2 * count)) & (width > NARROWEST * sides[cells.axis])
        if cells.change.sum() <= ENOUGH or not np.any(cut) or count + cut.sum() > most:
            break
        chosen = cells.some(cut)
        cells = cells.some(~cut) + _measured(drift, scales, *_halved(chosen))
    if ENOUGH < cells.change.sum() <= ANYTHING:
        cells = _looked_at(drift, scales, cells)
    worst = int(np.argmax(cells.change))
    middle = 0.5 * (cells.boxes.low + cells.boxes.high)[:, worst]
    brief = bool(cells.boxes.width[-1, worst] < 0.75 * np.diff(moments).min())
    return Unseen(float(cells.change.sum()), middle[:-1], float(middle[-1]), brief)


def _first_cells(
    drift: Drift, mesh: Mesh, moments: Array, substeps: tuple[int, ...]
) -> tuple[Interval, Interval, NDArray[np.int64]]:
    """Between all neighbouring nodes and moments: where and when, what is seen of v there, and the piece."""
    low, high = (
        np.stack([part.ravel() for part in np.meshgrid(*(axis.grid[side] for axis in mesh.axes), indexing="ij")])
        for side in (slice(None, -1), slice(1, None))
    )
    boxes, seen, pieces = [], [], []
    for start, end in itertools.pairwise(moments):
        piece = int(np.searchsorted(drift.edges, 0.5 * (start + end))) - 1
        span = np.array([start, end])
        looks = span[:1] if drift.constant else np.append(span, moments_of(span, substeps[piece]))
        views = [_seen(mesh, drift.values(piece, float(t), mesh.points)) for t in looks]
        time = np.ones((1, low.shape[1]))
        boxes.append(Interval(np.concatenate([low, start * time]), np.concatenate([high, end * time])))
        seen.append(
            Interval(
                np.min([view.low for view in views], axis=0),
                np.max([view.high for view in views], axis=0),
            )
        )
        pieces.append(np.full(low.shape[1], piece))
    return _joined(boxes), _joined(seen), np.concatenate(pieces)


def _seen(mesh: Mesh, values: Array) -> Interval:
    """The range (d, cells) between neighbouring nodes of the polynomials through values (N, d) at the nodes."""
    parts = BETWEEN[mesh.dimension]
    share = np.arange(parts) / parts
    places = tuple(
        np.append((axis.grid[:-1, None] + share * np.diff(axis.grid)[:, None]).ravel(), axis.high) for axis in mesh.axes
    )
    lows, highs = [], []
    for component in values.T:
        fine = mesh.interpolate(component, places).reshape([len(place) for place in places])
        fine[np.ix_(*(np.arange(0, len(place), parts) for place in places))] = component.reshape(mesh.shape)
        windows = [
            fine[
                tuple(
                    slice(first, first + (size - 1) * parts, parts) for first, size in zip(at, mesh.shape, strict=True)
                )
            ]
            for at in itertools.product(range(parts + 1), repeat=mesh.dimension)
        ]
        lows.append(np.min(windows, axis=0).ravel())
        highs.append(np.max(windows, axis=0).ravel())
    return Interval(np.stack(lows), np.stack(highs))


def _joined(parts: list[Interval]) -> Interval:
    return Interval(
        np.concatenate([part.low for part in parts], axis=1), np.concatenate([part.high for part in parts], axis=1)
    )


def _halved(cells: _Cells) -> tuple[Interval, Interval, NDArray[np.int64]]:
    at = cells.axis, np.arange(len(cells.axis))
    boxes = cells.boxes
    middle = 0.5 * (boxes.low[at] + boxes.high[at])
    left, right = boxes.high.copy(), boxes.low.copy()
    left[at], right[at] = middle, middle
    halves = _joined([Interval(boxes.low, left), Interval(right, boxes.high)])
    return halves, _joined([cells.seen, cells.seen]), np.concatenate([cells.piece, cells.piece])


def _measured(drift: Drift, scales: _Scales, boxes: Interval, seen: Interval, pieces: NDArray[np.int64]) -> _Cells:
    """What may change unseen in each cell, and the axis along which the drift may change most there."""
    change = np.zeros(len(pieces))
    steepness = np.zeros(boxes.low.shape)
    for piece in np.unique(pieces):
        chosen = pieces == piece
        part = boxes[:, chosen]
        found = drift.enclosure(int(piece), part)
        assert found is not None  # asked before
        for component, held in enumerate(found):
            change[chosen] += _change(scales, part, component, held.values, seen[component, chosen])
            with np.errstate(invalid="ignore"):
                steepness[:, chosen] = np.maximum(steepness[:, chosen], held.slopes.magnitude * part.width)
    if drift.constant:
        steepness[-1] = 0.0
    jumps = ~np.isfinite(steepness)
    relative = np.where(jumps, boxes.width / scales.sides[:, None], -1.0)
    axis = np.where(jumps.any(axis=0), np.argmax(relative, axis=0), np.argmax(np.where(jumps, 0.0, steepness), axis=0))
    return _Cells(boxes, seen, pieces, change, axis)


def _change(scales: _Scales, boxes: Interval, component: int, values: Interval, seen: Interval) -> Array:
    """The least of the three estimates, times the share of the cross-section, (n,)."""
    width = boxes.width
    others = [axis for axis in range(len(width) - 1) if axis != component]
    share = np.prod(width[others] / scales.sides[others, None], axis=0)
    with np.errstate(all="ignore"):
        excess = np.maximum(np.maximum(values.high - seen.high, seen.low - values.low), 0.0)
        excess = np.nan_to_num(excess, nan=np.inf, posinf=np.inf)
        by_time = excess * width[-1] / scales.length
        diffusivity = _diffusivity(scales, boxes[-1])
        by_noise = excess * width[component] / diffusivity
        onwards = ((seen.low > 0.0) & (values.low > 0.0)) | ((seen.high < 0.0) & (values.high < 0.0))
        late = width[component] * excess / (values.mignitude * scales.length)
        in_front = np.fmin(by_noise, 1.0) * np.sqrt(np.fmin(diffusivity / (2 * seen.mignitude * scales.length), 1.0))
        on_its_way = np.where(onwards, late + in_front, np.inf)
        change = share * np.fmin(np.fmin(by_time, by_noise), on_its_way)
    return np.where(excess > 0.0, change, 0.0)


def _diffusivity(scales: _Scales, time: Interval) -> Array:
    """The mean of D over each time interval, (n,)."""
    spans, which = np.unique(np.stack([time.low, time.high]), axis=1, return_inverse=True)
    means = np.array([scales.diffusivity.mean(float(start), float(end)) for start, end in spans.T])
    return np.asarray(means[which.ravel()])


def _looked_at(drift: Drift, scales: _Scales, cells: _Cells) -> _Cells:
    """The cells with the change by the drift in the middle of each, which is no bound but certain."""
    middle = 0.5 * (cells.boxes.low + cells.boxes.high)
    change = np.zeros(len(cells.piece))
    for piece in np.unique(cells.piece):
        chosen = cells.piece == piece
        found = drift.enclosure(int(piece), Interval.of(middle[:, chosen]))
        assert found is not None  # asked before
        for component, held in enumerate(found):
            seen = cells.seen[component, chosen]
            change[chosen] += _change(scales, cells.boxes[:, chosen], component, held.values, seen)
    return _Cells(cells.boxes, cells.seen, cells.piece, change, cells.axis)

"""What densities a drift meets: on which lengths they change as time goes by, and where across each axis they are.

Comes in: densities on a mesh at some times. Goes out: the measures by which `between_nodes` weighs what is not seen.
A displacement matters by its share of the length on which the density changes when it happens, for a smooth flow
stretches both alike afterwards. What happens in a tube along an axis matters by the tube's share of the square of the
norm: changes c_j in tubes with shares q_j change the density by √(Σ q_j c_j²) of itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Axis, Mesh

Array = NDArray[np.float64]

LARGEST = 1e100  # of a density, beyond which it blows up, and its square may be beyond all numbers


@dataclass(frozen=True, eq=False)
class DensitiesMet:
    """times (m,), ascending. lengths: ℓ = ‖ρ‖/‖∇ρ‖ at each, (m,). shares: by axis, of the tubes along it, (tubes,).

    The tubes lie between neighbouring nodes of the other axes, the last axis fastest; a share is the largest of all
    times, and of all places from which or to which mass may have moved between two of them.
    """

    times: Array
    lengths: Array
    shares: tuple[Array, ...]

    def length(self, start: float, end: float) -> float:
        """The shortest length from the last of the times before `start` to the first after `end`."""
        first = max(int(np.searchsorted(self.times, start, side="right")) - 1, 0)
        last = min(int(np.searchsorted(self.times, end, side="left")), len(self.times) - 1)
        return float(self.lengths[first : last + 1].min())


def densities_met(
    mesh: Mesh, times: Array, densities: Array, longest: float, moves: Array | None = None
) -> DensitiesMet:
    """The densities of grid values (m, N); lengths are `longest` at most, times at which one blows up are left out.

    moves (m − 1, d): how far mass may move along each axis from one time to the next; not at all if not given.
    """
    finite = np.all(np.abs(densities) < LARGEST, axis=1)  # and numbers, too
    if not np.all(finite):
        cells = [size - 1 for size in mesh.shape]
        counts = [math.prod(cells) // along for along in cells]
        lengths = [min(_length(mesh, density), longest) for density in densities[finite]]
        return DensitiesMet(times[:1], np.array([min(lengths, default=longest)]), tuple(np.ones(n) for n in counts))
    lengths = [min(_length(mesh, density), longest) for density in densities]
    squares = np.stack([_squares(mesh, density) for density in densities])
    squares /= squares.sum(axis=tuple(range(1, squares.ndim)), keepdims=True)
    far = np.zeros((len(times) - 1, mesh.dimension)) if moves is None else moves
    shares = tuple(_shares(mesh, squares.sum(axis=1 + axis), axis, far) for axis in range(mesh.dimension))
    return DensitiesMet(times, np.array(lengths), shares)


def _shares(mesh: Mesh, by_time: Array, axis: int, moves: Array) -> Array:
    """The largest share of each tube along an axis at any time, from shares (m, cells of the other axes)."""
    largest = by_time.max(axis=0)
    others = [number for number in range(mesh.dimension) if number != axis]
    for move in np.unique(moves[:, others], axis=0):
        first = np.flatnonzero(np.all(moves[:, others] == move, axis=1))
        around = np.maximum(by_time[first], by_time[first + 1]).max(axis=0)
        for place, (number, reach) in enumerate(zip(others, 0.5 * move, strict=True)):
            around = _spread(mesh.axes[number], around, place, float(reach))
        largest = np.maximum(largest, around)
    return np.asarray(largest.ravel())


def _spread(axis: Axis, shares: Array, place: int, reach: float) -> Array:
    """The largest share within `reach` of each cell of an axis, which is axis `place` of the array; periodic or not."""
    if reach == 0.0:
        return shares
    low, high, length = axis.grid[:-1], axis.grid[1:], axis.high - axis.low
    turns = (-length, 0.0, length) if axis.walls == "periodic" else (0.0,)
    found = []
    for left, right in zip(low, high, strict=True):
        near = np.any([(high + turn >= left - reach) & (low + turn <= right + reach) for turn in turns], axis=0)
        found.append(np.compress(near, shares, axis=place).max(axis=place))
    return np.stack(found, axis=place)


def _length(mesh: Mesh, density: Array) -> float:
    """‖ρ‖/‖∇ρ‖."""
    values, steep = density.reshape(mesh.shape), 0.0
    for number, axis in enumerate(mesh.axes):
        weighted = np.moveaxis(values, number, 0)
        pulled = (axis.stiffness @ weighted.reshape(len(axis.grid), -1)).reshape(weighted.shape)
        across = (weighted * pulled).sum(axis=0)
        for place, other in enumerate(mesh.axes):
            if place != number:
                across = np.tensordot(other.weights, across, 1)  # the axes that are left keep their order
        steep += float(across)
    return math.sqrt(float(density**2 @ mesh.weights) / max(steep, 1e-300))


def _squares(mesh: Mesh, density: Array) -> Array:
    """∫ρ² over the cells between neighbouring nodes, by the means of their corners."""
    square = density.reshape(mesh.shape) ** 2
    for number, axis in enumerate(mesh.axes):
        square = np.moveaxis(square, number, -1)
        square = np.moveaxis(0.5 * (square[..., 1:] + square[..., :-1]) * np.diff(axis.grid), -1, number)
    return np.asarray(square)

"""What is kept of particles: sums over them, as whole numbers, so that neither order nor grouping changes a bit.

Comes in: positions of one cell of particles in box coordinates. Goes out: `Sums`, to which the sums of other cells are
added, from other threads, processes and devices. Their size does not depend on the number of particles.

The sum of one cell over a quantity that is at most 1 is rounded to a multiple of 2⁻²² and kept as an integer; the
particles that absorbing walls killed count as zero. Up to 10¹² particles fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.backends.numba import arithmetic
from controlsde.monte_carlo.backends.numba.arithmetic import cached, compiled_in_any_order
from controlsde.monte_carlo.modes import CosineModes
from controlsde.monte_carlo.process import Positions

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

CELL = 16_384  # particles: the unit in which they start, and in which sums are rounded
ONE = 2.0**22
BINS = {1: 4096, 2: 512, 3: 256}  # of one axis
SLICES = {1: 0, 2: 16, 3: 24}  # directions on which particles are projected
POWERS = 4
TALL = 2048  # particles at a time whose waves are held


@dataclass(frozen=True, eq=False)
class Layout:
    """What is summed: the modes' waves, and histograms with `bins` bins along axes and along `directions` (L, d)."""

    modes: CosineModes
    bins: int
    directions: Array

    @staticmethod
    def of_box(box: tuple[tuple[float, float], ...], walls: str) -> Layout:
        """The layout for densities on this box."""
        dimension = len(box)
        return Layout(CosineModes.of_box(box, walls), BINS[dimension], directions(dimension, SLICES[dimension]))

    @property
    def box(self) -> tuple[tuple[float, float], ...]:
        """The box of the particles."""
        return self.modes.box

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.box)

    @property
    def half(self) -> Array:
        """Half the lengths of the box, (d,)."""
        return np.array([0.5 * (high - low) for low, high in self.box])

    @property
    def reach(self) -> Array:
        """How far the box reaches from its centre in each direction, (L,)."""
        return np.asarray(np.abs(self.directions) @ self.half)

    def slices(self, z: Array) -> Array:
        """Projections of box coordinates (n, d), −1 … 1 across the box: (n, L)."""
        return np.asarray(z @ (self.directions * self.half / self.reach[:, None]).T)


def directions(dimension: int, count: int) -> Array:
    """Unit vectors spread evenly over half a circle or half a sphere: (count, d)."""
    if dimension == 1 or count == 0:
        return np.zeros((0, dimension))
    middle = (np.arange(count) + 0.5) / count
    if dimension == 2:
        return np.stack([np.cos(np.pi * middle), np.sin(np.pi * middle)], axis=1)
    if dimension == 3:  # Fibonacci's spiral
        angle = math.pi * (3.0 - math.sqrt(5.0)) * np.arange(count)
        flat = np.sqrt(1.0 - middle**2)
        return np.stack([flat * np.cos(angle), flat * np.sin(angle), middle], axis=1)
    raise ValueError(f"directions are known in 1, 2 and 3 dimensions (got {dimension})")


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over particles, all integers.

    particles, alive, lost: (1,), lost being those whose place is no number, who count as dead. waves: (R, …, R), of
    products of one wave on each axis (see `modes`). powers (4, d): of z to z⁴. pairs (3, d, d): of z_i z_j, z_i² z_j
    and z_i² z_j². marginals (d, bins), slices (L, bins): how many are alive in equal bins along each axis and
    direction.
    """

    particles: Integers
    alive: Integers
    lost: Integers
    waves: Integers
    powers: Integers
    pairs: Integers
    marginals: Integers
    slices: Integers

    @staticmethod
    def zero(layout: Layout) -> Sums:
        """The sums of no particles."""
        d, count = layout.dimension, len(layout.directions)
        waves = (layout.modes.waves,) * d
        shapes = ((1,), (1,), (1,), waves, (POWERS, d), (3, d, d), (d, layout.bins), (count, layout.bins))
        return Sums(*(np.zeros(shape, np.int64) for shape in shapes))

    def parts(self) -> tuple[Integers, ...]:
        """All arrays, in the order of the fields."""
        return tuple(getattr(self, part.name) for part in fields(self))

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(mine + theirs for mine, theirs in zip(self.parts(), other.parts(), strict=True)))

    def vector(self) -> Integers:
        """All numbers in one row, for processes that add theirs up."""
        return np.concatenate([part.ravel() for part in self.parts()])

    def from_vector(self, vector: Integers) -> Sums:
        """What `vector` of sums of the same layout gave."""
        sizes = [part.size for part in self.parts()]
        rows = np.split(vector, np.cumsum(sizes)[:-1])
        return Sums(*(row.reshape(part.shape) for row, part in zip(rows, self.parts(), strict=True)))

    @property
    def count(self) -> int:
        """N, the dead included."""
        return int(self.particles[0])

    def mean(self, part: Integers) -> Array:
        """The mean over all particles of a quantity summed in units of 2⁻²²."""
        return np.asarray(part / (ONE * self.count))


def count(layout: Layout, positions: Positions) -> Sums:
    """The sums over some particles: z (n, d) with n ≤ CELL, in [−1, 1]ᵈ where they are alive."""
    found = np.all(np.isfinite(positions.z), axis=1)
    alive = positions.alive & found
    z = np.ascontiguousarray(np.where(alive[:, None], positions.z, 0.0), dtype=np.float64)
    square = z * z
    return Sums(
        np.array([len(z)]),
        np.array([int(alive.sum())]),
        np.array([int(np.count_nonzero(~found))]),
        _whole(_waves(layout.modes, z, alive)),
        _whole(np.stack([power.sum(axis=0) for power in (z, square, square * z, square * square)])),
        _whole(np.stack([z.T @ z, square.T @ z, square.T @ square])),
        _histograms(z, alive, layout.bins),
        _histograms(np.ascontiguousarray(layout.slices(z)), alive, layout.bins),
    )


def _whole(values: Array) -> Integers:
    return np.rint(values * ONE).astype(np.int64)


def _waves(modes: CosineModes, z: Array, alive: NDArray[np.bool_]) -> Array:
    """Sums of products of waves: (R, …, R)."""
    turn = np.pi if modes.periodic else 0.5 * np.pi
    weight = alive.astype(np.float64)
    d = z.shape[1]
    total = np.zeros((modes.waves,) * d)
    for first in range(0, len(z), TALL):
        angle = turn * (z[first : first + TALL].T + 1.0)
        cosine, sine = np.cos(angle), np.sin(angle)
        if d == 1:
            _sum_of_waves(cosine[0], sine[0], weight[first : first + TALL], modes.periodic, total)
            continue
        rows = np.empty((d, modes.waves, angle.shape[1]))
        for axis in range(d):
            _rows_of_waves(cosine[axis], sine[axis], modes.periodic, rows[axis])
        rows[0] *= weight[first : first + TALL]
        if d == 2:
            total += rows[0] @ rows[1].T
        else:
            both = (rows[0][:, None] * rows[1]).reshape(-1, angle.shape[1])
            total += (both @ rows[2].T).reshape(total.shape)
    return total


@cached(arithmetic.__file__, __file__)
def _rows_of_waves(cosine: Any, sine: Any, periodic: bool, rows: Any) -> None:
    """1, then cos, cos 2·, … or, where periodic, sin, cos, sin 2·, …: rows (R, n), by turning on from wave to wave."""
    n = cosine.size
    c, s = np.ones(n), np.zeros(n)
    rows[0, :] = 1.0
    turns = (rows.shape[0] - 1) // 2 if periodic else rows.shape[0] - 1
    for k in range(1, turns + 1):
        for i in range(n):
            c[i], s[i] = c[i] * cosine[i] - s[i] * sine[i], s[i] * cosine[i] + c[i] * sine[i]
        if periodic:
            rows[2 * k - 1, :] = s
            rows[2 * k, :] = c
        else:
            rows[k, :] = c


@compiled_in_any_order
def _turn(c: Any, s: Any, cosine: Any, sine: Any) -> Any:
    """One wave further, in place, and the sums of cosines and sines: in any order, which rounding to integers hides."""
    of_cosines, of_sines = 0.0, 0.0
    for i in range(c.size):
        turned = c[i] * cosine[i] - s[i] * sine[i]
        s[i] = s[i] * cosine[i] + c[i] * sine[i]
        c[i] = turned
        of_cosines += turned
        of_sines += s[i]
    return of_cosines, of_sines


@cached(arithmetic.__file__, __file__)
def _sum_of_waves(cosine: Any, sine: Any, weight: Any, periodic: bool, total: Any) -> None:
    """Add the sums of those rows to total (R,), without holding them."""
    c, s = weight.copy(), np.zeros(cosine.size)
    turns = (total.size - 1) // 2 if periodic else total.size - 1
    total[0] += weight.sum()
    for k in range(1, turns + 1):
        of_cosines, of_sines = _turn(c, s, cosine, sine)
        if periodic:
            total[2 * k - 1] += of_sines
            total[2 * k] += of_cosines
        else:
            total[k] += of_cosines


@cached(arithmetic.__file__, __file__)
def _fill_histograms(z: Any, alive: Any, counts: Any) -> None:
    bins = counts.shape[1]
    for i in range(z.shape[0]):
        if alive[i]:
            for row in range(z.shape[1]):
                bin_ = int((z[i, row] + 1.0) * 0.5 * bins)
                counts[row, min(max(bin_, 0), bins - 1)] += 1


def _histograms(z: Array, alive: NDArray[np.bool_], bins: int) -> Integers:
    """How many particles are alive in each of `bins` equal bins of [−1, 1], column by column: (columns, bins)."""
    counts = np.zeros((z.shape[1], bins), np.int64)
    _fill_histograms(z, alive, counts)
    return counts

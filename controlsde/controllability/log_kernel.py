"""A product of kernels, one on each axis, in logarithms: log ∫ k(x, y) e^f(y) dy for f on a mesh.

The heat semigroup P_τ on a box between reflecting walls or on a torus,

    ∂_τ P_τ f = ΔP_τ f,      (P_τ f)(x) = ∫ Π_i k_i(x_i, y_i) f(y) dy,

has such a kernel: k_i is a sum of Gaussians of variance 2τ, one at each mirror image of y_i between reflecting walls,
one a period on a torus. The axes are taken one after the other, so that no matrix of all points is ever built, and in
logarithms, so that densities of any depth keep their digits.

Comes in: a mesh and a time τ (length²). Goes out: the map from f to log P_τ e^f at the mesh's points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controlsde.distances.softmin import softmin, squared_distances
from controlsde.fokker_planck.mesh import Axis, Mesh

Array = NDArray[np.float64]

REACH = 40.0  # ½(distance/deviation)², beyond which an image adds less than rounding to what is nearer
SAFE = 1e-250  # a sum of products that is larger has lost nothing to underflow
NEAR = 100.0  # how far f may go from where the kernel was scaled: e^±100 times what is lost to underflow is nothing


@dataclass(frozen=True, eq=False)
class LogKernel:
    """log k_i(x_i, y_i) + log of the quadrature weight of y_i, by axis: (n_i, n_i), rows x and columns y."""

    logarithms: tuple[Array, ...]

    @staticmethod
    def heat(mesh: Mesh, time: float) -> LogKernel:
        """P_τ for τ = `time` > 0 between the walls of the mesh. Raises ValueError between absorbing walls."""
        if mesh.walls == "absorbing":
            raise ValueError("the heat kernel is for reflecting or periodic walls")
        return LogKernel(tuple(_heat(axis, time) + np.log(axis.weights) for axis in mesh.axes))

    @staticmethod
    def blur(mesh: Mesh, time: float) -> LogKernel:
        """exp(−|x − y|²/4τ): what is left of transport costs as τ → 0; on a torus |x − y| is the shorter way round."""
        grids = tuple(axis.grid for axis in mesh.axes)
        costs = squared_distances(grids, grids, periods_of(mesh))
        return LogKernel(
            tuple(np.log(axis.weights) - cost / (4.0 * time) for axis, cost in zip(mesh.axes, costs, strict=True))
        )

    def log_of_exponential(self, values: Array) -> Array:
        """log ∫ k e^f at the mesh's points (N,) for f (N,); −inf where e^f is nothing."""
        shape = tuple(len(kernel) for kernel in self.logarithms)
        largest = float(values.max())
        if math.isfinite(largest):
            sums = np.exp(values - largest).reshape(shape)
            for number, kernel in enumerate(self._kernels):
                sums = np.moveaxis(np.tensordot(kernel, sums, (1, number)), 0, number)
            if float(sums.min()) > SAFE:
                return np.asarray(np.log(sums).ravel() + largest)
        costs = tuple(-kernel for kernel in self.logarithms)
        return np.asarray(-softmin(costs, 1.0, np.zeros(shape), values.reshape(shape)).ravel())

    def followed(self) -> Callable[[Array], Array]:
        """`log_of_exponential` for an f that changes little from call to call: on a line N² products a call.

        Where f stays within `NEAR` of an earlier f₀, it is r + log Σ M e^{f − f₀} with r = log ∫ k e^{f₀} and
        M = k e^{f₀ − r}, whose rows are of sum one: absorption, Schmitzer (2019), "Stabilized sparse scaling
        algorithms", §2.2.
        """
        if len(self.logarithms) > 1:
            return self.log_of_exponential
        kernel = self.logarithms[0]
        there, rows, matrix = np.full(len(kernel), np.nan), np.empty(0), np.empty(0)

        def log_of_exponential(values: Array) -> Array:
            nonlocal there, rows, matrix
            ahead = values - there
            finite = np.isfinite(values)
            if not np.all(np.abs(ahead[finite]) <= NEAR):  # nor where nothing has been scaled yet
                rows = self.log_of_exponential(values)
                if not (np.any(finite) and np.all(np.isfinite(rows))):
                    there = np.full(len(kernel), np.nan)
                    return rows
                there = np.where(finite, values, np.min(values[finite]))
                matrix = np.exp(kernel + (there - rows[:, None]))
                ahead = values - there
            return np.asarray(rows + np.log(matrix @ np.exp(ahead)))

        return log_of_exponential

    @cached_property
    def _kernels(self) -> tuple[Array, ...]:
        return tuple(np.exp(kernel) for kernel in self.logarithms)


def periods_of(mesh: Mesh) -> tuple[float, ...] | None:
    """The lengths of a torus; None for a box."""
    return tuple(axis.high - axis.low for axis in mesh.axes) if mesh.walls == "periodic" else None


def _heat(axis: Axis, time: float) -> Array:
    """log k(x, y) for all grid points x and y of an axis: log Σ exp(−g²/4τ) − ½ log 4πτ over the gaps g to all images.

    The nearest image is taken out of the sum, so that it neither overflows nor vanishes.
    """
    x, length = axis.grid, axis.high - axis.low
    period = 2.0 * length if axis.walls == "reflecting" else length
    count = 1 + math.ceil(math.sqrt(4.0 * REACH * time) / period)  # the nearest image may be beyond a wall
    images = np.arange(-count, count + 1) * period
    differences, sums = x[:, None] - x, x[:, None] + (x - 2.0 * axis.low)
    gaps = [differences] if axis.walls == "periodic" else [differences, sums]
    nearest = np.full_like(differences, np.inf)
    for gap in gaps:
        for image in images:
            np.minimum(nearest, (gap - image) ** 2, out=nearest)
    total = np.zeros_like(nearest)
    for gap in gaps:
        for image in images:
            total += np.exp((nearest - (gap - image) ** 2) / (4.0 * time))
    return np.asarray(np.log(total) - nearest / (4.0 * time) - 0.5 * math.log(4.0 * math.pi * time))

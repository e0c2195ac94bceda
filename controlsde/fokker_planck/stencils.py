"""Values and gradients of grid functions at scattered points: which nodes of a mesh each point sees, and how.

Comes in: a mesh and points in its box. Goes out: linear maps from grid values (N,) to the points, by the polynomial of
the element that holds each point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.gauss_lobatto import differentiation_matrix, interpolation_matrix
from controlsde.fokker_planck.mesh import Axis, Mesh

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

CHUNK = 4_000_000  # numbers in one temporary array


@dataclass(frozen=True, eq=False)
class Stencil:
    """Interpolation at k points: a row of p + 1 grid indices, basis values and slopes for each axis, (k, p + 1)."""

    shape: tuple[int, ...]  # of the grid
    nodes: tuple[Indices, ...]
    values: tuple[Array, ...]
    slopes: tuple[Array, ...]

    @staticmethod
    def build(mesh: Mesh, points: Array) -> Stencil:
        """The stencil of points (k, d) in the box of the mesh."""
        axes = [_axis_stencil(axis, points[:, number]) for number, axis in enumerate(mesh.axes)]
        nodes, values, slopes = zip(*axes, strict=True)
        return Stencil(mesh.shape, nodes, values, slopes)

    def value_and_gradient(self, grid_values: Array) -> tuple[Array, Array]:
        """The function (k,) and its gradient (k, d); on a face between elements, the gradient of the upper one."""
        count, dimension = len(self.nodes[0]), len(self.nodes)
        step = max(1, CHUNK // math.prod(rows.shape[1] for rows in self.nodes))
        value, gradient = np.empty(count), np.empty((count, dimension))
        for first in range(0, count, step):
            part = slice(first, first + step)
            local = self._local(grid_values, part)
            value[part] = self._contracted(local, part, None)
            for axis in range(dimension):
                gradient[part, axis] = self._contracted(local, part, axis)
        return value, gradient

    def _local(self, grid_values: Array, part: slice) -> Array:
        """Grid values at the nodes that each point sees, (k, p+1, …, p+1)."""
        index: Indices = np.zeros((len(self.nodes[0][part]),) + (1,) * len(self.nodes), dtype=np.int64)
        for axis, nodes in enumerate(self.nodes):
            spread = [slice(None)] + [None] * len(self.nodes)
            spread[1 + axis] = slice(None)
            index = index * self.shape[axis] + nodes[part][tuple(spread)]
        return grid_values[index]

    def _contracted(self, local: Array, part: slice, differentiated: int | None) -> Array:
        for axis in reversed(range(len(self.nodes))):
            basis = self.slopes[axis] if axis == differentiated else self.values[axis]
            local = np.einsum("k...p,kp->k...", local, basis[part])
        return local


def _axis_stencil(axis: Axis, x: Array) -> tuple[Indices, Array, Array]:
    position = (x - axis.low) / axis.element_length
    element = np.clip(np.floor(position).astype(np.int64), 0, axis.elements - 1)
    values = interpolation_matrix(axis.reference_nodes, 2.0 * (position - element) - 1.0)
    slopes = values @ differentiation_matrix(axis.reference_nodes) * (2.0 / axis.element_length)
    return axis.index[element], values, slopes

"""The mesh: tensor products of Gauss–Lobatto–Legendre spectral elements on a box, in any dimension.

Comes in: box, walls, elements per axis, degree. Goes out: grid points, quadrature weights, interpolation.

Two layouts, and the matrix between them (`Mesh.prolongation`, P):

- grid values, shape (N,): one number at each point of the full tensor grid, in C order (the last axis runs
  fastest), both ends of every axis included;
- unknowns, shape (n,): what the state equation evolves. Reflecting walls: the grid values. Periodic: the two
  ends of an axis are one unknown. Absorbing: the ends are not unknowns, the density vanishes there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.fokker_planck import gauss_lobatto as gll

Array = NDArray[np.float64]
WALLS = ("reflecting", "periodic", "absorbing")


@dataclass(frozen=True)
class Axis:
    """One dimension of a mesh: equal elements of one degree on [low, high]."""

    low: float
    high: float
    elements: int
    degree: int
    walls: str

    @property
    def element_length(self) -> float:
        """Length of one element."""
        return (self.high - self.low) / self.elements

    @cached_property
    def reference_nodes(self) -> Array:
        """Nodes of the reference element [-1, 1], shape (degree+1,)."""
        return gll.nodes_and_weights(self.degree)[0]

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Grid index of each local node, shape (elements, degree+1)."""
        return np.arange(self.elements)[:, None] * self.degree + np.arange(self.degree + 1)[None, :]

    @cached_property
    def grid(self) -> Array:
        """All grid points from low to high, shape (elements*degree + 1,)."""
        grid = np.empty(self.elements * self.degree + 1)
        left = self.low + self.element_length * np.arange(self.elements)
        grid[self.index] = left[:, None] + 0.5 * self.element_length * (self.reference_nodes + 1.0)
        grid[-1] = self.high
        return grid

    @cached_property
    def weights(self) -> Array:
        """Quadrature weights of the grid points, shape (elements*degree + 1,)."""
        local = 0.5 * self.element_length * gll.nodes_and_weights(self.degree)[1]
        weights = np.zeros(self.elements * self.degree + 1)
        np.add.at(weights, self.index, np.broadcast_to(local, self.index.shape))
        return weights

    def _assemble(self, local: Array) -> sp.csr_array:
        """Sum one (degree+1, degree+1) element matrix over all elements: shape (grid, grid)."""
        size = self.elements * self.degree + 1
        rows = np.repeat(self.index, self.degree + 1, axis=1).ravel()
        columns = np.tile(self.index, (1, self.degree + 1)).ravel()
        values = np.tile(local.ravel(), self.elements)
        return sp.coo_array((values, (rows, columns)), shape=(size, size)).tocsr()

    @cached_property
    def stiffness(self) -> sp.csr_array:
        """K_ij = ∫ φ_i' φ_j' dx (exact under the rule), shape (grid, grid)."""
        derivative = gll.differentiation_matrix(self.reference_nodes)
        weights = gll.nodes_and_weights(self.degree)[1]
        return self._assemble((2.0 / self.element_length) * derivative.T @ (weights[:, None] * derivative))

    @cached_property
    def convection(self) -> sp.csr_array:
        """C_jq = Σ_e w_q φ_j'(x_q): (C f)_j = ∫ φ_j' f dx under the rule; shape (grid, grid)."""
        derivative = gll.differentiation_matrix(self.reference_nodes)
        weights = gll.nodes_and_weights(self.degree)[1]
        return self._assemble(derivative.T * weights[None, :])

    @cached_property
    def prolongation(self) -> sp.csr_array:
        """Unknowns to grid values, shape (grid, unknowns)."""
        size = self.elements * self.degree + 1
        identity = sp.eye_array(size, format="csr")
        if self.walls == "reflecting":
            return identity
        if self.walls == "absorbing":
            return identity[:, 1:-1].tocsr()
        owner = np.arange(size) % (size - 1)
        return sp.coo_array((np.ones(size), (np.arange(size), owner)), shape=(size, size - 1)).tocsr()

    @cached_property
    def mass(self) -> Array:
        """Lumped mass of each unknown, diagonal of Pᵀ W P; shape (unknowns,)."""
        return np.asarray(self.prolongation.T @ self.weights)

    def interpolation(self, points: Array) -> sp.csr_array:
        """Grid values to values at points in [low, high]; shape (len(points), grid)."""
        position = (np.asarray(points, dtype=float) - self.low) / self.element_length
        element = np.clip(np.floor(position).astype(int), 0, self.elements - 1)
        local = gll.interpolation_matrix(self.reference_nodes, 2.0 * (position - element) - 1.0)
        rows = np.repeat(np.arange(len(element)), self.degree + 1)
        size = self.elements * self.degree + 1
        return sp.coo_array((local.ravel(), (rows, self.index[element].ravel())), shape=(len(element), size)).tocsr()

    def cell_integration(self, edges: Array) -> sp.csr_array:
        """Grid values to integrals over cells, exactly for the nodal polynomials: shape (len(edges) - 1, grid).

        edges: increasing, from low to high. A cell that reaches over several elements is cut where they meet.
        """
        cuts = np.unique(np.concatenate([edges, self.grid[:: self.degree]]))
        nodes, weights = np.polynomial.legendre.leggauss(self.degree // 2 + 1)
        middle, half = 0.5 * (cuts[1:] + cuts[:-1]), 0.5 * np.diff(cuts)
        points = (middle[:, None] + half[:, None] * nodes).ravel()
        cell = np.repeat(np.searchsorted(edges, middle) - 1, len(nodes))
        shares = sp.coo_array(
            ((half[:, None] * weights).ravel(), (cell, np.arange(len(points)))), shape=(len(edges) - 1, len(points))
        )
        return sp.csr_array(shares @ self.interpolation(points))


@dataclass(frozen=True)
class Mesh:
    """A tensor-product spectral-element mesh; build it with `Mesh.build`."""

    axes: tuple[Axis, ...]

    @staticmethod
    def build(box: tuple[tuple[float, float], ...], walls: str, elements: tuple[int, ...], degree: int) -> Mesh:
        """A mesh of `elements[i]` elements along axis i of the box.

        Raises ValueError for an unknown kind of wall or a number of elements that does not match the box.
        """
        if walls not in WALLS:
            raise ValueError(f"walls must be one of {', '.join(WALLS)} (got {walls!r})")
        if len(elements) != len(box):
            raise ValueError(f"the box has {len(box)} dimensions, the mesh {len(elements)}")
        return Mesh(
            tuple(
                Axis(float(low), float(high), int(count), int(degree), walls)
                for (low, high), count in zip(box, elements, strict=True)
            )
        )

    @property
    def dimension(self) -> int:
        """Number of axes d."""
        return len(self.axes)

    @property
    def walls(self) -> str:
        """reflecting, periodic or absorbing."""
        return self.axes[0].walls

    @property
    def box(self) -> tuple[tuple[float, float], ...]:
        """One (low, high) for each axis."""
        return tuple((axis.low, axis.high) for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Grid points along each axis."""
        return tuple(len(axis.grid) for axis in self.axes)

    @cached_property
    def points(self) -> Array:
        """All grid points, shape (N, d), the last axis running fastest."""
        grids = np.meshgrid(*(axis.grid for axis in self.axes), indexing="ij")
        return np.stack([grid.ravel() for grid in grids], axis=1)

    @cached_property
    def weights(self) -> Array:
        """Quadrature weights of the grid points, shape (N,)."""
        return _outer([axis.weights for axis in self.axes])

    @cached_property
    def mass(self) -> Array:
        """Quadrature weight of each unknown, shape (n,); ∫ρ dx = mass · ρ."""
        return _outer([axis.mass for axis in self.axes])

    @cached_property
    def prolongation(self) -> sp.csr_array:
        """P: unknowns to grid values, shape (N, n)."""
        return kronecker([axis.prolongation for axis in self.axes])

    def restrict(self, values: Array) -> Array:
        """Grid values (…, N) to unknowns (…, n): the mean of the two ends on periodic axes.

        The mean is weighted by the quadrature, so it is the transpose of P in the L² inner product.
        """
        return np.asarray((values * self.weights) @ self.prolongation / self.mass)

    def place(self, unknown: int) -> Array:
        """The point (d,) of one unknown; of those that a periodic axis identifies, the first."""
        return np.asarray(self.points[int(self.prolongation[:, [unknown]].nonzero()[0][0])])

    def unit_mass(self, grid_values: Array) -> Array:
        """A density in grid values (N,), scaled to mass one over the whole box, as unknowns (n,).

        The whole box: where walls absorb, the values at the walls count although they are not unknowns.
        """
        return self.restrict(grid_values) / float(self.weights @ grid_values)

    def to_grid(self, unknowns: Array) -> Array:
        """Unknowns (…, n) to grid values (…, N)."""
        return np.asarray(unknowns @ self.prolongation.T)

    def interpolate(self, grid_values: Array, points: tuple[Array, ...]) -> Array:
        """Grid values (N,) on the tensor product of new axis points: shape (∏ len(points_i),)."""
        factors = [axis.interpolation(p) for axis, p in zip(self.axes, points, strict=True)]
        if self.dimension < 3:
            return np.asarray(kronecker(factors) @ grid_values)
        values = grid_values.reshape(self.shape)  # axis by axis: the product of three would not fit into memory
        for number, factor in enumerate(factors):
            values = np.moveaxis(np.tensordot(factor.toarray(), values, (1, number)), 0, number)
        return np.asarray(values).ravel()

    def cell_masses(self, grid_values: Array, edges: tuple[Array, ...]) -> Array:
        """∫ over the cells between edges on every axis, exactly for grid values (N,): shape (n_1, …, n_d)."""
        masses = grid_values.reshape(self.shape)
        for number, (axis, edge) in enumerate(zip(self.axes, edges, strict=True)):
            masses = np.moveaxis(np.tensordot(axis.cell_integration(edge).toarray(), masses, (1, number)), 0, number)
        return np.asarray(masses)

    def interpolate_at(self, grid_values: Array, points: Array) -> Array:
        """Grid values (N,) to scattered points (k, d) in the box: shape (k,)."""
        values = np.broadcast_to(grid_values.reshape((1, *self.shape)), (len(points), *self.shape))
        for number, axis in enumerate(self.axes):
            matrix = axis.interpolation(points[:, number])
            if number == 0:
                values = (matrix @ grid_values.reshape(self.shape[0], -1)).reshape((len(points), *self.shape[1:]))
            else:
                values = np.einsum("kg,kg...->k...", matrix.toarray(), values)
        return np.asarray(values)

    def resolution(self, grid_values: Array) -> float:
        """Square root of the share of Σ(Legendre coefficients)² that sits in the top mode of the elements.

        The largest over the axes, for grid values (N,): 0 is fully resolved, above a few per cent the mesh is
        too coarse for this function.
        """
        values = grid_values.reshape(self.shape)
        shares = []
        for number, axis in enumerate(self.axes):
            modal = gll.modal_matrix(axis.reference_nodes)
            lines = np.moveaxis(values, number, -1)[..., axis.index]  # (…, elements, degree+1)
            energy = np.einsum("mq,...q->...m", modal, lines) ** 2
            total = float(energy.sum())
            shares.append(float(energy[..., -1].sum()) / total if total != 0 else 0.0)
        return float(np.sqrt(np.max(shares)))  # nan where a value is no number


def _outer(factors: list[Array]) -> Array:
    """Products of one factor from each vector, the first one slowest, flattened."""
    total: Array = np.ones(1)
    for factor in factors:
        total = np.asarray(np.kron(total, factor), dtype=float)
    return total


def kronecker(factors: list[sp.csr_array]) -> sp.csr_array:
    """Kronecker product of sparse factors, the first one slowest."""
    return sp.csr_array(reduce(lambda a, b: sp.kron(a, b, format="csr"), factors))

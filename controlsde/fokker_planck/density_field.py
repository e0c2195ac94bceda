"""A density on a mesh: its values, and what can be asked of them.

Comes in: a mesh and grid values. Goes out: mass, norms, distances, the density at other points.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh

Array = NDArray[np.float64]
Function = Callable[[Array], Array]  # x (n, d) → (n,)


@dataclass(frozen=True, eq=False)
class DensityField:
    """A density by its grid values (N,) on a mesh; between them, the polynomials of the elements."""

    mesh: Mesh
    values: Array

    @staticmethod
    def of_unknowns(mesh: Mesh, unknowns: Array) -> DensityField:
        """The field of what the state equation evolves, (n,)."""
        return DensityField(mesh, mesh.to_grid(unknowns))

    @staticmethod
    def sampled(mesh: Mesh, density: Function) -> DensityField:
        """A function of points (N, d) as the mesh holds it."""
        return DensityField(mesh, density(mesh.points))

    @property
    def mass(self) -> float:
        """∫ρ dx."""
        return float(self.mesh.weights @ self.values)

    @property
    def squared_norm(self) -> float:
        """∫ρ²."""
        return float(self.mesh.weights @ self.values**2)

    @property
    def norm(self) -> float:
        """‖ρ‖_{L²}."""
        return float(np.sqrt(self.squared_norm))

    @property
    def resolution(self) -> float:
        """The share of the top Legendre mode; see `Mesh.resolution`."""
        return self.mesh.resolution(self.values)

    def mean_of(self, function: Function) -> float:
        """∫ function · ρ dx."""
        return float((function(self.mesh.points) * self.values) @ self.mesh.weights)

    def on(self, axes: tuple[Array, ...]) -> Array:
        """ρ on the tensor product of points on every axis: shape (∏ len(axes_i),)."""
        return self.mesh.interpolate(self.values, axes)

    def l2(self, other: Function) -> float:
        """‖ρ − other‖_{L²} by the quadrature of the mesh."""
        return float(np.sqrt((self.values - other(self.mesh.points)) ** 2 @ self.mesh.weights))

    def distance(self, other: DensityField) -> float:
        """‖ρ − ρ'‖_{L²} for one on the same or a coarser mesh of the same box, by the quadrature of this one."""
        values = other.values
        if other.mesh is not self.mesh:
            values = other.on(tuple(axis.grid for axis in self.mesh.axes))
        return float(np.sqrt((self.values - values) ** 2 @ self.mesh.weights))

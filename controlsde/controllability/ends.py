"""Where a density begins and where it shall arrive, on a mesh, and what a potential g proves of the energy between.

The formulas are those of `energy_bound`. Comes in: a problem with its reference, a mesh. Goes out: both densities, of
mass one, and the two bounds, with noise and without, as functions of g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from controlsde.controllability.log_kernel import LogKernel, periods_of
from controlsde.distances.softmin import Costs, smallest, squared_distances
from controlsde.fokker_planck.mesh import Mesh
from controlsde.tracking.posed import Posed

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ends:
    """Both ends of the way at the points of a mesh (N,), of mass one; D̄, 0 without noise, and T."""

    mesh: Mesh
    initial: Array
    target: Array
    diffusivity: float
    horizon: float

    @staticmethod
    def of(posed: Posed, mesh: Mesh) -> Ends:
        """What a problem asks for, on a mesh."""
        horizon = posed.reference.horizon
        initial = np.maximum(posed.reference.initial_density(mesh.points), 0.0)
        target = np.maximum(posed.reference.density(horizon, mesh.points), 0.0)
        weights = mesh.weights
        return Ends(
            mesh,
            initial / (weights @ initial),
            target / (weights @ target),
            posed.diffusivity.mean(0.0, horizon),
            horizon,
        )

    @property
    def weights(self) -> Array:
        """Quadrature weights of the points (N,)."""
        return self.mesh.weights

    def mean(self, values: Array, density: Array) -> float:
        """∫ values · density, where there is a density."""
        there = density > 0.0
        return float(values[there] @ (self.weights[there] * density[there]))

    def spread(self, values: Array) -> float:
        """‖g − ḡ‖."""
        centred = values - float(self.weights @ values) / float(self.weights.sum())
        return math.sqrt(float(self.weights @ centred**2))

    def distance(self, density: Array) -> float:
        """‖density − p(T)‖."""
        return math.sqrt(float(self.weights @ (density - self.target) ** 2))

    @cached_property
    def kernel(self) -> LogKernel:
        """P over the whole time, where there is noise."""
        return LogKernel.heat(self.mesh, self.diffusivity * self.horizon)

    def with_noise(self, within: float, potential: Array) -> float:
        """4D̄[∫g p(T) − ε‖g − ḡ‖ − ∫ log(P e^g) ρ₀]."""
        carried = self.kernel.log_of_exponential(potential)
        lost = within * self.spread(potential) if within else 0.0
        gained = self.mean(potential, self.target) - self.mean(carried, self.initial)
        return 4.0 * self.diffusivity * (gained - lost)

    def without_noise(self, within: float, potential: Array) -> float:
        """(2/T)[∫g p(T) − ε‖g − ḡ‖ + ∫ gᶜρ₀], with gᶜ from below: between nodes h apart it is less by h²/8 at most."""
        transformed = smallest(self._costs, potential.reshape(self.mesh.shape)).ravel()
        longest = [float(np.diff(axis.grid).max()) for axis in self.mesh.axes]
        lost = sum(each**2 for each in longest) / 8.0 + within * self.spread(potential)
        gained = self.mean(potential, self.target) + self.mean(transformed, self.initial)
        return 2.0 / self.horizon * (gained - lost)

    def transformed_twice(self, potential: Array) -> Array:
        """gᶜᶜ ≥ g, the largest function with the same gᶜ."""
        once = smallest(self._costs, potential.reshape(self.mesh.shape))
        return smallest(self._costs, once).ravel()

    @property
    def _costs(self) -> Costs:
        """½|x − y|² between the nodes, by axis."""
        grids = tuple(axis.grid for axis in self.mesh.axes)
        return tuple(0.5 * cost for cost in squared_distances(grids, grids, periods_of(self.mesh)))

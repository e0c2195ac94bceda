"""A density on a line, carried by steady drifts: quick enough for a slider.

Comes in: a line with its walls and its diffusivity, a density at the start, drifts as functions of x, times. Goes out:
the densities at those times. The operator is that of the software (`controlsde/fokker_planck/operator.py`); in time

    ρ(t + h) = exp(h A(v)) ρ(t)

is exact to rounding, by a matrix exponential.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm

from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator

Array = NDArray[np.float64]
Drift = Callable[[Array], ArrayLike]  # x (n,) → v (n,), or one number

DRAWN = 241  # points of a curve


@dataclass(frozen=True)
class Line:
    """An interval with its walls (reflecting, periodic or absorbing) and its diffusivity D >= 0."""

    low: float
    high: float
    diffusivity: float
    walls: str = "reflecting"
    elements: int = 12
    degree: int = 8

    @cached_property
    def operator(self) -> Operator:
        """The Fokker–Planck operator, on a mesh of this line."""
        mesh = Mesh.build(((self.low, self.high),), self.walls, (self.elements,), self.degree)
        return Operator.build(mesh, self.diffusivity)

    @property
    def mesh(self) -> Mesh:
        """Where densities live."""
        return self.operator.mesh

    @property
    def x(self) -> Array:
        """Evenly spaced points to draw at."""
        return np.linspace(self.low, self.high, DRAWN)

    def density(self, function: Drift) -> DensityField:
        """A function of x as a density of mass one."""
        points = self.mesh.points[:, 0]
        values = np.broadcast_to(np.asarray(function(points), dtype=float), points.shape)
        return DensityField.of_unknowns(self.mesh, self.mesh.unit_mass(values))

    def drawn(self, density: DensityField) -> Array:
        """A density at the points `x`."""
        return density.on((self.x,))

    def carried(self, start: DensityField, drift: Drift, times: Sequence[float] | Array) -> list[DensityField]:
        """The densities at increasing times from 0 on, under one steady drift."""
        points = self.operator.drift_points[:, 0]
        field = np.broadcast_to(np.asarray(drift(points), dtype=float), points.shape)
        matrix = self.operator.matrix(self.operator.rectify(field[:, None])).toarray()
        unknowns = self.mesh.restrict(start.values)
        found, steps, now = [], {}, 0.0
        for time in times:
            step = round(float(time) - now, 12)
            if step > 0:
                if step not in steps:
                    steps[step] = expm(step * matrix)
                unknowns = steps[step] @ unknowns
            now = float(time)
            found.append(DensityField.of_unknowns(self.mesh, unknowns))
        return found

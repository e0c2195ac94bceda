"""The state equation for the drifts of experiments: any v(t, x), on a mesh and steps that are given.

Comes in: a mesh, a drift and an initial density as functions. Goes out: grid values of ρ at the end, and how much they
change on a finer mesh with shorter steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator

Array = NDArray[np.float64]
Box = tuple[tuple[float, float], ...]
Field = Callable[[float, Array], Array]  # t, x (n, d) → (n, d)
Values = Callable[[Array], Array]  # x (n, d) → (n,)

CELLS = {1: 8192, 2: 256}  # an axis, of the grid on which distances are taken
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class State:
    """A density on a mesh: grid values (N,)."""

    mesh: Mesh
    values: Array

    @property
    def mass(self) -> float:
        """∫ρ dx."""
        return float(self.mesh.weights @ self.values)

    def l2(self, other: Values) -> float:
        """‖ρ − other‖_{L²} by the quadrature of the mesh."""
        return float(np.sqrt((self.values - other(self.mesh.points)) ** 2 @ self.mesh.weights))

    def mean_of(self, function: Values) -> float:
        """∫ function · ρ dx by the quadrature of the mesh."""
        return float((function(self.mesh.points) * self.values) @ self.mesh.weights)

    def on_line(self) -> tuple[Array, Array]:
        """In one dimension: edges of equal cells, and the density at their centres."""
        low, high = self.mesh.box[0]
        edges = np.linspace(low, high, CELLS[1] + 1)
        centres = 0.5 * (edges[1:] + edges[:-1])
        return edges, self.mesh.interpolate(self.values, (centres,))

    def w2(self, other: Values) -> float:
        """In one dimension: W₂(ρ, other)."""
        edges, values = self.on_line()
        centres = 0.5 * (edges[1:] + edges[:-1])
        return distances.wasserstein_2(edges, np.maximum(values, 0.0), np.maximum(other(centres[:, None]), 0.0))


def state_after(
    mesh: Mesh,
    drift: Field,
    diffusivity: float,
    initial: Values,
    times: Sequence[float] | Array,
) -> State:
    """ρ at times[-1] from `initial` at times[0], in three-stage Radau steps that end at the times.

    A drift may jump at the times: within a step it is asked for at stages, the last of which ends it.
    """
    return states_at(mesh, drift, diffusivity, initial, times)[-1]


def states_at(
    mesh: Mesh, drift: Field, diffusivity: float, initial: Values, times: Sequence[float] | Array
) -> tuple[State, ...]:
    """ρ at all times, `initial` included: see `state_after`."""
    operator = Operator.build(mesh, diffusivity)
    points = operator.drift_points
    start = operator.mesh.unit_mass(initial(operator.mesh.points))
    stages = evolve(operator, lambda t: drift(t, points), start, times)
    ends = (start, *stages[:, -1])
    return tuple(State(operator.mesh, operator.mesh.to_grid(values)) for values in ends)


def line(low: float, high: float, elements: int, walls: str = "reflecting", degree: int = 8) -> Mesh:
    """A mesh of one dimension."""
    return Mesh.build(((low, high),), walls, (elements,), degree)


def allowance(value: float, coarser: float, *, factor: float = 4.0) -> float:
    """A tolerance from a discretisation: `factor` times the change from a coarser one, and rounding."""
    return factor * abs(value - coarser) + ROUNDING * max(1.0, abs(value))


REFINEMENT = "four times the change from a coarser mesh with longer steps"

"""The state equation for the drifts of experiments: any v(t, x), on a mesh and steps that are given.

Comes in: a mesh, a drift and an initial density as functions. Goes out: grid values of ρ at the end, and how much they
change on a finer mesh with shorter steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import Operator

Array = NDArray[np.float64]
Box = tuple[tuple[float, float], ...]
Field = Callable[[float, Array], Array]  # t, x (n, d) → (n, d)
Values = Callable[[Array], Array]  # x (n, d) → (n,)

CELLS = 8192  # of the line on which distances are taken
ROUNDING = 1e-12
PIECES_APART = 1e-9  # of the whole time: nearer to the beginning of a piece, a stage ends the one before


def on_line(density: DensityField, cells: int = CELLS) -> tuple[Array, Array]:
    """Edges of equal cells, and the density at their centres, in one dimension."""
    low, high = density.mesh.box[0]
    edges = np.linspace(low, high, cells + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return edges, density.on((centres,))


def w2(density: DensityField, other: Values) -> float:
    """W₂(ρ, other) in one dimension."""
    edges, values = on_line(density)
    centres = 0.5 * (edges[1:] + edges[:-1])
    return distances.wasserstein_2(edges, np.maximum(values, 0.0), np.maximum(other(centres[:, None]), 0.0))


def density_after(
    mesh: Mesh,
    drift: Field,
    diffusivity: float,
    initial: Values,
    times: Sequence[float] | Array,
) -> DensityField:
    """ρ at times[-1] from `initial` at times[0], in three-stage Radau steps that end at the times.

    A drift may jump at the times: within a step it is asked for at stages, the last of which ends it.
    """
    return densities_at(mesh, drift, diffusivity, initial, times)[-1]


def densities_at(
    mesh: Mesh, drift: Field, diffusivity: float, initial: Values, times: Sequence[float] | Array
) -> tuple[DensityField, ...]:
    """ρ at all times, `initial` included: see `density_after`."""
    operator = Operator.build(mesh, diffusivity)
    points = operator.drift_points
    start = operator.mesh.unit_mass(initial(operator.mesh.points))
    stages = evolve(operator, lambda t: drift(t, points), start, times)
    ends = (start, *stages[:, -1])
    return tuple(DensityField.of_unknowns(operator.mesh, values) for values in ends)


def piece_at(edges: Array, t: float) -> int:
    """Which of the pieces between `edges` (K + 1,) t lies in; the end of a piece belongs to it."""
    after = int(np.searchsorted(edges, t - PIECES_APART * (edges[-1] - edges[0])))
    return min(max(after - 1, 0), len(edges) - 2)


def line(low: float, high: float, elements: int, walls: str = "reflecting", degree: int = 8) -> Mesh:
    """A mesh of one dimension."""
    return Mesh.build(((low, high),), walls, (elements,), degree)


def allowance(value: float, coarser: float, *, factor: float = 4.0) -> float:
    """A tolerance from a discretisation: `factor` times the change from a coarser one, and rounding."""
    return factor * abs(value - coarser) + ROUNDING * max(1.0, abs(value))


REFINEMENT = "four times the change from a coarser mesh with longer steps"

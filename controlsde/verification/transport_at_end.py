"""W₂ at T in two and three dimensions: the refined density and the target, as masses on one grid of cells.

Comes in: the box, the target, a density on a mesh. Goes out: an estimate of W₂ with a certified lower bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.distances.box_transport import WORK
from controlsde.fokker_planck.density_field import DensityField

Array = NDArray[np.float64]

GAUSS_POINTS = {2: 3, 3: 2}  # of the target in a cell, on every axis


def final_transport(density: DensityField, target: Callable[[Array], Array]) -> distances.BoxTransport | None:
    """W₂ between a density and a target x (n, d) → (n,); None in one dimension and between absorbing walls.

    The density's nodal polynomials are integrated exactly, the target by Gauss's rule: it may have jumps, on which
    polynomials would swing.
    """
    mesh = density.mesh
    if mesh.dimension == 1 or mesh.walls == "absorbing":
        return None
    edges = distances.transport_edges(mesh.box, WORK[mesh.dimension])
    wanted = masses_on_cells(target, edges, GAUSS_POINTS[mesh.dimension])
    return distances.wasserstein_2_in_box(edges, mesh.walls, mesh.cell_masses(density.values, edges), wanted)


def masses_on_cells(function: Callable[[Array], Array], edges: tuple[Array, ...], points: int) -> Array:
    """∫ of a function x (n, d) → (n,) over cells of equal size, by Gauss points on each axis: shape (n_1, …, n_d)."""
    nodes, weights = np.polynomial.legendre.leggauss(points)
    grids = [
        0.5 * (edge[1:] + edge[:-1])[:, None] + 0.5 * (edge[1] - edge[0]) * nodes[None, :] for edge in edges
    ]  # (cells, points) by axis
    places = np.stack([grid.ravel() for grid in np.meshgrid(*(g.ravel() for g in grids), indexing="ij")], axis=1)
    values = function(places).reshape([size for grid in grids for size in grid.shape])
    for axis, edge in enumerate(edges):  # what was axis 2k + 1 is k + 1, as those before it are gone
        values = np.tensordot(values, 0.5 * (edge[1] - edge[0]) * weights, (axis + 1, 0))
    return np.asarray(values)

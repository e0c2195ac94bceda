"""A certified lower bound of W₂² between two densities that are constant on the cells of a box.

Every φ gives one, by Kantorovich's duality: with ψ = φ^c, ψ(y) = min_x |x − y|² − φ(x),

    W₂² ≥ ∫φ dμ + ∫ψ dν.

Comes in: edges, masses, the potentials that Sinkhorn's method found. Goes out: one number. Rounding apart, nothing
that Sinkhorn's method does wrong can make it too large; it can only make it smaller than need be.

Why it holds for densities, and not only for points. Let the minima run over the corners of the cells alone, ψ = φ^c and
then φ = ψ^c there. Then U = |x|² − φ is convex, and so is V, the conjugate of it, with V ≤ |y|² − ψ at the corners.
The mean of a convex function over a cell is at most the mean over its corners. With the mean of |x|² over a cell, which
is h_k²/6 less on each axis than over its corners,

    W₂² ≥ Σ a φ̄ + Σ b ψ̄ − Σ_k h_k²/3,        φ̄, ψ̄ the means over the corners of each cell.

So that h_k² is small, cells are cut in `cuts` on every axis; masses stay constant on the whole cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.distances.sinkhorn import Entropic
from controlsde.distances.softmin import smallest, softmin, squared_distances

Array = NDArray[np.float64]


def lower_bound(
    edges: tuple[Array, ...],
    periods: tuple[float, ...] | None,
    first: Array,
    second: Array,
    epsilon: float,
    entropic: Entropic,
    cuts: int,
) -> float:
    """A lower bound, at least 0, of W₂² between densities of cell masses a, b (n_1, …, n_d), each of sum one.

    edges: of the cells, equally spaced, by axis. On a torus, periods: its lengths; the last edge is the first.
    """
    centres = tuple(0.5 * (edge[1:] + edge[:-1]) for edge in edges)
    corners = tuple(np.linspace(edge[0], edge[-1], cuts * (len(edge) - 1) + 1) for edge in edges)
    to_cells = squared_distances(corners, centres, periods)
    with np.errstate(divide="ignore"):
        log_first, log_second = np.log(first), np.log(second)
    # The debiased potential: where a = b it is zero, and so is the bound before h² is taken off.
    potential = softmin(to_cells, epsilon, log_second, entropic.second)
    potential -= softmin(to_cells, epsilon, log_first, entropic.first_self)
    between = squared_distances(corners, corners, periods)
    psi = smallest(between, potential)
    phi = smallest(between, psi)
    lost = sum(float(corner[1] - corner[0]) ** 2 for corner in corners) / 3.0
    value = np.sum(first * _cell_means(phi, cuts)) + np.sum(second * _cell_means(psi, cuts)) - lost
    return max(0.0, float(value))


def _cell_means(values: Array, cuts: int) -> Array:
    """The mean over all pieces of a cell of the mean over their corners: the trapezoidal rule, by axis."""
    for axis in range(values.ndim):
        along = np.moveaxis(values, axis, -1)
        pieces = 0.5 * (along[..., 1:] + along[..., :-1])
        values = np.moveaxis(pieces.reshape(*pieces.shape[:-1], -1, cuts).mean(axis=-1), -1, axis)
    return values

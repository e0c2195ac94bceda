"""Some consecutive pieces of a tracking problem as a problem of its own, from any density.

Comes in: a tracking problem, which of its pieces, and where they start. Goes out: a tracking problem whose J is that of
these pieces alone: their running errors, their efforts, what their weights vary among each other, and the terminal
error where the last piece is among them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


def section(tracking: TrackingProblem, first: int, stop: int, initial: Array) -> TrackingProblem:
    """Pieces first … stop − 1, from a density (n,). Raises ValueError where that is not a piece at least."""
    if not 0 <= first < stop <= tracking.grid.pieces:
        raise ValueError(f"there are {tracking.grid.pieces} pieces (got {first} to {stop})")
    pieces = slice(first, stop)
    return replace(
        tracking,
        grid=replace(tracking.grid, edges=tracking.grid.edges[first : stop + 1]),
        diffusivity=tracking.diffusivity[pieces],
        initial=initial,
        targets=tracking.targets[pieces],
        initial_target=tracking.initial_target if first == 0 else tracking.targets[first - 1, -1, -1],
        time_weight=tracking.time_weight[pieces],
        regularisation_matrix=_among(tracking.regularisation_matrix, first, stop),
    )


def variation_price(tracking: TrackingProblem, piece: int) -> float:
    """c with ½c|θ_k − θ_{k−1}|² in J, for a piece k and the one before; 0 for the first."""
    return 0.0 if piece == 0 else float(max(-tracking.regularisation_matrix[piece, piece - 1], 0.0))


def _among(matrix: Array, first: int, stop: int) -> Array:
    """Prices of effort, and of variation among these pieces: the ends are no longer tied to what lies beyond them."""
    inside = matrix[first:stop, first:stop].copy()
    if first > 0:
        inside[0, 0] += matrix[first, first - 1]
    if stop < len(matrix):
        inside[-1, -1] += matrix[stop - 1, stop]
    return inside

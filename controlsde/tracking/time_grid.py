"""Time in the discrete problem: pieces, the Radau steps in them, and what each stage counts.

Comes in: the ends of the pieces. Goes out: stage times, quadrature, and the weights of the objective in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.radau import radau

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimeGrid:
    """Pieces, the Radau steps in them, and the stage times."""

    edges: Array  # (K+1,)
    steps_per_piece: int
    stages: int

    @property
    def durations(self) -> Array:
        """Length of each piece, (K,)."""
        return np.diff(self.edges)

    @property
    def pieces(self) -> int:
        """Number of pieces K."""
        return len(self.edges) - 1

    @property
    def step_lengths(self) -> Array:
        """Length h of a step in each piece, (K,)."""
        return self.durations / self.steps_per_piece

    @property
    def stage_times(self) -> Array:
        """Times of all stages, (K, S, s)."""
        scheme = radau(self.stages)
        offset = np.arange(self.steps_per_piece)[:, None] + scheme.c[None, :]
        return np.asarray(self.edges[:-1, None, None] + self.step_lengths[:, None, None] * offset)

    @property
    def quadrature(self) -> Array:
        """Radau quadrature weights h b_j of all stages, (K, S, s)."""
        scheme = radau(self.stages)
        shape = (self.pieces, self.steps_per_piece, self.stages)
        return np.broadcast_to(self.step_lengths[:, None, None] * scheme.b, shape).copy()


def weights_in_time(grid: TimeGrid, running: float, terminal: float) -> Array:
    """(K, S, s): running weight × quadrature in time, plus the terminal weight in the last stage."""
    weights = running * grid.quadrature
    weights[-1, -1, -1] += terminal
    return weights


def regularisation_matrix(durations: Array, effort: float, variation: float) -> Array:
    """r diag(Δt) + μ DᵀD with (Dθ)_k = (θ_{k+1} − θ_k)/√τ_k, τ_k the mean of the two durations, (K, K)."""
    jumps = np.diff(np.eye(len(durations)), axis=0) / np.sqrt(0.5 * (durations[:-1] + durations[1:]))[:, None]
    return np.asarray(effort * np.diag(durations) + variation * jumps.T @ jumps)

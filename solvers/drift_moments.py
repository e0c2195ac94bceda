"""What the pieces of time see of the exact drift: its mean, weighted by the reference density, and how it varies.

Comes in: a tracking problem that knows its `exact_drift`. Goes out: the numbers that a regression on v* needs.

On one piece the network drift v does not depend on time, so with P = ∫_piece p dt and v̄ = ∫_piece p v* dt / P

    ∫_piece ∫ |v − v*|² p dx dt = ∫ |v − v̄|² P dx + spread,        spread = ∫_piece ∫ |v* − v̄|² p dx dt,

and only the first term depends on the weights. Time is integrated by the Radau quadrature of the stages, space by the
quadrature of the mesh at its grid points, of which a periodic seam has two. Here v* is the drift itself, not what the
operator makes of it at the walls of a noise-free problem: `rectify` belongs to the state equation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.tracking import TrackingProblem

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DriftMoments:
    """Mass and mean of the exact drift on K pieces, at the n grid points of the mesh."""

    points: Array  # (n, d)
    mass: Array  # (K, n): P times the quadrature weight
    mean: Array  # (K, n, d): v̄
    spread: Array  # (K,): what no drift that is constant in time can reach
    durations: Array  # (K,)

    @staticmethod
    def of(tracking: TrackingProblem) -> DriftMoments:
        """The moments on every piece of a tracking problem. Raises ValueError where it has lost its exact drift."""
        exact = tracking.exact_drift
        if exact is None:
            raise ValueError("a tracking problem that was sent to another process does not know its exact drift")
        mesh, grid = tracking.mesh, tracking.grid
        density = np.maximum(mesh.to_grid(tracking.targets.reshape(grid.quadrature.size, -1)), 0.0)
        density = (density * grid.quadrature.reshape(-1, 1) * mesh.weights).reshape(grid.pieces, -1, len(mesh.points))
        pieces = []
        for times, share in zip(grid.stage_times.reshape(grid.pieces, -1), density, strict=True):
            drift = np.stack([exact(float(t), mesh.points) for t in times])  # (S·s, n, d)
            drift = np.where(share[..., None] > 0, drift, 0.0)
            mass = share.sum(axis=0)
            mean = np.einsum("in,ind->nd", share, drift) / np.where(mass > 0, mass, 1.0)[:, None]
            pieces.append((mass, mean, float(np.einsum("in,ind->", share, (drift - mean) ** 2))))
        mass, mean, spread = (np.array(part) for part in zip(*pieces, strict=True))
        return DriftMoments(mesh.points, mass, mean, spread, grid.durations)

    @property
    def pieces(self) -> int:
        """Number of pieces K."""
        return len(self.mass)

    def merged(self, together: int) -> DriftMoments:
        """The moments on periods of so many pieces each; they must divide the number of pieces."""
        groups = self.pieces // together
        mass = self.mass.reshape(groups, together, -1)
        mean = self.mean.reshape(groups, together, *self.mean.shape[1:])
        total = mass.sum(axis=1)
        joint = np.einsum("gkn,gknd->gnd", mass, mean) / np.where(total > 0, total, 1.0)[..., None]
        between = np.einsum("gkn,gknd->g", mass, (mean - joint[:, None]) ** 2)
        return DriftMoments(
            points=self.points,
            mass=total,
            mean=joint,
            spread=self.spread.reshape(groups, together).sum(axis=1) + between,
            durations=self.durations.reshape(groups, together).sum(axis=1),
        )

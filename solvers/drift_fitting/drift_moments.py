"""What the pieces of time see of the exact drift: its mean, weighted by the reference density, and how it varies.

Comes in: a tracking problem that knows its `exact_drift`. Goes out: the numbers that a regression on v* needs.

On one piece the network drift v does not depend on time, so with P = ∫_piece p dt and v̄ = ∫_piece p v* dt / P

    ∫_piece ∫ |v − v*|² p dx dt = ∫ |v − v̄|² P dx + spread,        spread = ∫_piece ∫ |v* − v̄|² p dx dt,

and only the first term depends on the weights. Time is integrated by the Radau quadrature of the stages, space by the
quadrature of the mesh at its grid points, of which a periodic seam has two. Where there is no density, or no finite
drift, nothing is asked of the network. Here v* is the drift itself, not what the operator makes of it at the walls of
a noise-free problem: `rectify` belongs to the state equation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.tracking.tracking_problem import TrackingProblem

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
        shares = (density * grid.quadrature.reshape(-1, 1) * mesh.weights).reshape(grid.pieces, -1, len(mesh.points))
        pieces = []
        for times, share in zip(grid.stage_times.reshape(grid.pieces, -1), shares, strict=True):
            with np.errstate(all="ignore"):  # a reference may divide by a density that is not there
                drift = np.stack([exact(float(t), mesh.points) for t in times])  # (S·s, n, d)
            known = (share > 0) & np.isfinite(drift).all(axis=2)
            pieces.append(_moments(np.where(known, share, 0.0), np.where(known[..., None], drift, 0.0)))
        mass, mean, spread = (np.array(part) for part in zip(*pieces, strict=True))
        return DriftMoments(mesh.points, mass, mean, spread, grid.durations)

    @property
    def pieces(self) -> int:
        """Number of pieces K."""
        return len(self.mass)

    @property
    def square(self) -> float:
        """∫∫ |v*|² p dx dt: what no drift at all leaves."""
        return float(np.einsum("kn,knd->", self.mass, self.mean**2) + self.spread.sum())

    def merged(self, together: int) -> DriftMoments:
        """The moments on periods of so many pieces each; they must divide the number of pieces."""
        shape = self.pieces // together, together
        mass = self.mass.reshape(*shape, -1)
        mean = self.mean.reshape(*shape, *self.mean.shape[1:])
        joint, means, between = (
            np.array(part) for part in zip(*(_moments(*each) for each in zip(mass, mean, strict=True)), strict=True)
        )
        within = self.spread.reshape(shape).sum(axis=1)
        return DriftMoments(self.points, joint, means, within + between, self.durations.reshape(shape).sum(axis=1))


def _moments(share: Array, drift: Array) -> tuple[Array, Array, float]:
    """Mass (n,), mean (n, d) and spread of drifts (i, n, d) that weigh `share` (i, n)."""
    mass = share.sum(axis=0)
    mean = np.einsum("in,ind->nd", share, drift) / np.where(mass > 0, mass, 1.0)[:, None]
    return mass, mean, float(np.einsum("in,ind->", share, (drift - mean) ** 2))

"""What a change of the weights costs: the energy of the change of the drift, or the squares of the weights.

    energy:   δθᵀR δθ = Σ_k ∫_k ∫ |δv_k|² ρ dx dt,      R_k = JᵀQ_k J,      J = ∂v/∂θ, Q_k = diag(weight ∫_k ρ dt)
    effort:   δθᵀR δθ = Σ_k Δt_k |δθ_k|²

The energy does not depend on how a network is written: neurons in another scale or order are the same. R_k is singular
where weights do the same, such as those of two neurons that coincide. What changes no drift costs nothing and does
nothing, and is left out.

So that a change of the drift where there is next to no mass costs something, densities count with at least a billionth
of their largest value, and where they undershoot zero by more, with as much, up to `HIGHEST_FLOOR`: what is below the
undershoots of a mesh is no mass that it knows of.

Comes in: a linearisation. Goes out: T (P, r) of every piece with TᵀR T = 1, whose columns are all changes that count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from controlsde.controllability.linearisation import Linearisation
from controlsde.foundation.errors import ControlsdeError

Array = NDArray[np.float64]
Kind = Literal["energy", "effort"]
KINDS: tuple[str, ...] = get_args(Kind)

FLOOR, HIGHEST_FLOOR = 1e-9, 1e-4  # of the largest density at a time
DEPENDENT = (
    1e-8  # singular values of √Q J, its columns of norm one, relative to the largest: below, weights do the same
)


class MetricError(ControlsdeError, ValueError):
    """A metric that there is none of."""


@dataclass(frozen=True, eq=False)
class WeightMetric:
    """whitening: T (P, r_k) of every piece. R: Tᵀ R T = 1, R (K, P, P)."""

    kind: str
    matrices: Array
    whitening: tuple[Array, ...]

    @staticmethod
    def of(linearisation: Linearisation, kind: str = "energy") -> WeightMetric:
        """Raises MetricError for a kind that is none."""
        if kind not in KINDS:
            raise MetricError(f"must be one of {', '.join(KINDS)} (got {kind!r})", argument="metric")
        pieces, size = linearisation.tracking.weight_shape
        if kind == "effort":
            lengths = linearisation.tracking.grid.durations
            matrices = lengths[:, None, None] * np.eye(size)
            return WeightMetric(kind, matrices, tuple(np.eye(size) / np.sqrt(length) for length in lengths))
        mass = occupation(linearisation)
        dimension = linearisation.tracking.mesh.dimension
        roots = np.repeat(np.sqrt(mass), dimension, axis=1)  # (K, N·d)
        scaled = roots[..., None] * linearisation.slopes[:, : roots.shape[1]]
        matrices = np.swapaxes(scaled, 1, 2) @ scaled
        return WeightMetric(kind, matrices, tuple(_whitening(scaled[piece]) for piece in range(pieces)))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many changes count in every piece, r_k."""
        return tuple(one.shape[1] for one in self.whitening)

    def spread(self, coordinates: Array) -> Array:
        """Changes of the weights (K, P, c) for coordinates (Σ r_k, c), whose squares are what they cost."""
        ends = np.cumsum(self.counts)[:-1]
        return np.stack([one @ part for one, part in zip(self.whitening, np.split(coordinates, ends), strict=True)])

    def gathered(self, gradient: Array) -> Array:
        """The transpose of `spread`: (Σ r_k, c) for (K, P, c)."""
        return np.concatenate([one.T @ part for one, part in zip(self.whitening, gradient, strict=True)])


def occupation(linearisation: Linearisation) -> Array:
    """∫ρ dt of every piece times the quadrature weight in space, at the grid points: (K, N)."""
    tracking = linearisation.tracking
    mesh, stages = tracking.mesh, linearisation.stages
    density = mesh.to_grid(stages.reshape(-1, stages.shape[-1])).reshape(*stages.shape[:-1], -1)  # (K, S, s, N)
    highest = density.max(axis=-1, keepdims=True)
    undershoot = -density.min(axis=-1, keepdims=True)
    held = np.maximum(density, np.clip(undershoot, FLOOR * highest, HIGHEST_FLOOR * highest))
    return np.asarray(np.einsum("kij,kijx->kx", tracking.grid.quadrature, held) * mesh.weights)


def _whitening(scaled: Array) -> Array:
    """T (P, r) with TᵀJᵀQ J T = 1 for √Q J (N·d, P); weights that do nothing, or the same as others, are left out."""
    sizes = np.linalg.norm(scaled, axis=0)
    acting = sizes > 0.0
    unit = scaled[:, acting] / sizes[acting]
    _, values, right = np.linalg.svd(unit, full_matrices=False)
    kept = values > DEPENDENT * values.max(initial=0.0)
    whitening = np.zeros((scaled.shape[1], int(kept.sum())))
    whitening[acting] = right[kept].T / values[kept] / sizes[acting, None]
    return whitening

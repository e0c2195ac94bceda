"""The tracking problem in free space, as its solvers see it: no mesh, p(t) by exact samples, ρ by particles.

Comes in: a problem and its reference, by `FreePosed`. Goes out: the network, the pieces, the noise, what errors and
weights cost. The objective of particles is

    J(θ) = ½ w_R Σ_k Δt_k E(t_{k+1}) + ½ w_T E(T) + ½ r Σ_k Δt_k |θ_k|²,
    E(t) = Σ_g ‖K_g * (ρ(t) − p(t))‖² / sd_g(t),

K_g a Gaussian of standard deviation g, sd_g the standard deviation of the same statistic when ρ is p.

Layout: weights are (K, P), of a piece flattened as in `network`; where lengths are free they have one more column, the
logits of `free_lengths`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.reference.free_space import FreeReference
from controlsde.tracking.free_lengths import LARGEST_LOGIT, lengths_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FreeTracking:
    """What a solver in free space is given.

    edges: of the pieces (K+1,). bound: largest absolute value of each weight of a piece, (P,). effort: the price r.
    scales: g, or `auto`. shortest: of a free piece; None where the lengths are given.
    """

    network: Network
    reference: FreeReference
    edges: Array
    noise: float
    bound: Array
    running: float
    terminal: float
    effort: float
    scales: tuple[float, ...] | Literal["auto"]
    shortest: float | None = None

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.network.dimension

    @property
    def horizon(self) -> float:
        """T."""
        return self.reference.horizon

    @property
    def pieces(self) -> int:
        """Number of pieces K."""
        return len(self.edges) - 1

    @property
    def durations(self) -> Array:
        """Length of each piece, (K,)."""
        return np.diff(self.edges)

    @property
    def diffusivity(self) -> Diffusivity:
        """D = ηD₀(t)."""
        return self.reference.diffusivity.scaled(self.noise)

    @property
    def weight_shape(self) -> tuple[int, int]:
        """(K, P), or (K, P + 1) where lengths are free."""
        return self.pieces, len(self.bound) + (self.shortest is not None)

    @property
    def bounds(self) -> Array:
        """Largest absolute values of the weights of a piece, its logit included where lengths are free."""
        return self.bound if self.shortest is None else np.append(self.bound, LARGEST_LOGIT)

    def edges_of(self, weights: Array) -> Array:
        """The edges of the pieces (K+1,) that weights (K, P or P + 1) stand for."""
        if self.shortest is None:
            return self.edges
        edges = np.concatenate([[0.0], np.cumsum(lengths_of(weights[:, -1], self.shortest, self.horizon))])
        edges[-1] = self.horizon
        return edges

    def controls(self, weights: Array) -> Controls:
        """The controls that weights (K, P or P + 1) stand for."""
        a, w, b = self.network.split(weights[:, : len(self.bound)])
        return Controls(a, w, b, self.edges_of(weights))

    def flatten(self, controls: Controls) -> Array:
        """The weights (K, P) of controls, without their lengths."""
        return self.network.join(controls.A, controls.W, controls.b)

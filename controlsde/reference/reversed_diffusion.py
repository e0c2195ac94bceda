"""The reference that runs a diffusion backwards: p(t, x) = q(T - t, x), from the noised data to the data.

The forward marginal of dX = f ds + √(2D₀) dW solves ∂ₛq = -∇·(f q) + D₀Δq. With s = T - t,

    ∂ₜp = ∇·(f p) - D₀Δp = -∇·(w p),   w = -f + D₀ ∇log p,

which is the probability flow: the field that carries p without noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, Density, as_points
from controlsde.densities.norms import squared_norm
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.surroundings import methods_in_own_arithmetic
from controlsde.reference.flows import Flow
from controlsde.reference.reference import clock


@methods_in_own_arithmetic
@dataclass(frozen=True)
class ReversedDiffusionReference:
    """A diffusion run backwards; `flow` is q, `start` the density at t = 0 where it is not q(T).

    force: (s, x (n, d)) → f(s, x) (n, d) at forward time s. diffusivity: D₀ in the software's clock t.
    """

    flow: Flow
    force: Callable[[float, Array], Array]
    diffusivity: Diffusivity
    horizon: float
    dimension: int
    start: Density | None = None

    @property
    def description(self) -> str:
        """How p is computed."""
        return self.flow.description

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        return self.flow.density(self._forward_time(t), as_points(x, self.dimension))

    def score(self, t: float, x: Array) -> Array:
        """∇ log p(t, x) at points (n, d), shape (n, d); finite everywhere."""
        return self.flow.score(self._forward_time(t), as_points(x, self.dimension))

    def field(self, t: float, x: Array) -> Array:
        """w = -f + D₀ ∇log p at points (n, d), shape (n, d)."""
        return self.exact_drift(t, x, 0.0)

    def exact_drift(self, t: float, x: Array, noise: float) -> Array:
        """v*_η = -f + (1 + η)D₀ ∇log p at points (n, d), shape (n, d)."""
        spread = (1.0 + noise) * self.diffusivity.at(clock(t, self.horizon))
        return np.asarray(spread * self.score(t, x) - self.force(self._forward_time(t), x))

    def initial_density(self, x: Array) -> Array:
        """p(0, x), or the stationary density where the process starts from that; shape (n,)."""
        return self.density(0.0, x) if self.start is None else self.start.pdf(x)

    def initial_squared_norm(self) -> float | None:
        """∫p(0, ·)² by a way that overlooks nothing narrow; None where there is none."""
        return self.flow.squared_norm(self.horizon) if self.start is None else squared_norm(self.start)

    def sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of the initial density, shape (n, d)."""
        if self.start is None:
            return self.flow.sample(self.horizon, n, rng)
        return self.start.sample(n, rng)

    def _forward_time(self, t: float) -> float:
        return self.horizon - clock(t, self.horizon)

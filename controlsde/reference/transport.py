"""What references share that are given by a transport field, a score and the density at t = 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from controlsde.densities.density import Array, Density
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.surroundings import methods_in_own_arithmetic


@methods_in_own_arithmetic
class Transported:
    """A reference whose exact drift follows from w and ∇log p, and which starts from `start`; see Reference."""

    if TYPE_CHECKING:

        @property
        def start(self) -> Density:
            """p at t = 0."""
            ...

        @property
        def diffusivity(self) -> Diffusivity:
            """D₀(t)."""
            ...

        def field(self, t: float, x: Array) -> Array:
            """w at points (n, d), shape (n, d)."""
            ...

        def score(self, t: float, x: Array) -> Array:
            """∇log p at points (n, d), shape (n, d)."""
            ...

    def exact_drift(self, t: float, x: Array, noise: float) -> Array:
        """v*_η = w + ηD₀ ∇log p at points (n, d), shape (n, d)."""
        return np.asarray(self.field(t, x) + noise * self.diffusivity.at(t) * self.score(t, x))

    def initial_density(self, x: Array) -> Array:
        """p(0, ·) at points (n, d), shape (n,)."""
        return self.start.pdf(x)

    def sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of p(0, ·), shape (n, d)."""
        return self.start.sample(n, rng)

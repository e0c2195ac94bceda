"""A reference whose controlled process starts from another density: p and its fields stay, ρ(0) is given.

Comes in: a reference, and the density as two functions. Goes out: a `Reference`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.reference.reference import Reference

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AnotherStart:
    """The same trajectory p as `reference`; the controlled process starts elsewhere.

    initial: points (n, d) → its density there (n,). draw: (n, generator) → points (n, d) of it.
    """

    reference: Reference
    initial: Callable[[Array], Array]
    draw: Callable[[int, np.random.Generator], Array]

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.reference.dimension

    @property
    def horizon(self) -> float:
        """T, the time of the data end."""
        return self.reference.horizon

    @property
    def diffusivity(self) -> Diffusivity:
        """D₀(t), which the noise level η scales."""
        return self.reference.diffusivity

    @property
    def description(self) -> str:
        """How p is computed."""
        return self.reference.description

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        return self.reference.density(t, x)

    def score(self, t: float, x: Array) -> Array:
        """∇ log p(t, x) at points (n, d), shape (n, d)."""
        return self.reference.score(t, x)

    def field(self, t: float, x: Array) -> Array:
        """w(t, x) at points (n, d), shape (n, d)."""
        return self.reference.field(t, x)

    def exact_drift(self, t: float, x: Array, noise: float) -> Array:
        """w + ηD₀ ∇log p at points (n, d), shape (n, d)."""
        return self.reference.exact_drift(t, x, noise)

    def initial_density(self, x: Array) -> Array:
        """The density from which the process starts, at points (n, d), shape (n,)."""
        return self.initial(x)

    def sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of the initial density, shape (n, d)."""
        return self.draw(n, rng)

"""What every reference trajectory can do, in the software's clock: noise end t = 0, data end t = horizon."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.errors import ControlsdeError

Array = NDArray[np.float64]
CLOCK_ROUNDING = 1e-9  # times may leave [0, T] by this share of T


class ReferenceError(ControlsdeError, ValueError):  # noqa: A001 - the project's word; Python's own is about weak references
    """A reference that cannot be built; the message is one line with the cure."""

    of_problem = True


class Reference(Protocol):
    """A trajectory p(t, x) of densities with fields that carry it.

    ∂ₜp + ∇·(w p) = 0, and for every noise level η: ∂ₜp = ηD₀ Δp - ∇·((w + ηD₀ ∇log p) p).
    """

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        ...

    @property
    def horizon(self) -> float:
        """T, the time of the data end."""
        ...

    @property
    def diffusivity(self) -> Diffusivity:
        """D₀(t), which the noise level η scales."""
        ...

    @property
    def description(self) -> str:
        """How p is computed, in a few words."""
        ...

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        ...

    def score(self, t: float, x: Array) -> Array:
        """∇ log p(t, x) at points (n, d), shape (n, d); finite everywhere."""
        ...

    def field(self, t: float, x: Array) -> Array:
        """The noise-free transport field w(t, x) at points (n, d), shape (n, d)."""
        ...

    def exact_drift(self, t: float, x: Array, noise: float) -> Array:
        """w + ηD₀ ∇log p at points (n, d), shape (n, d), for noise level η ≥ 0."""
        ...

    def initial_density(self, x: Array) -> Array:
        """The density from which the controlled process starts, at points (n, d), shape (n,)."""
        ...

    def sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of the initial density, shape (n, d)."""
        ...


def clock(t: float, horizon: float) -> float:
    """Return t in [0, T], rounding aside. Raises ValueError for other times."""
    if not -CLOCK_ROUNDING * horizon <= t <= (1.0 + CLOCK_ROUNDING) * horizon:
        raise ValueError(f"t must be in [0, {horizon:g}] (got {t:g})")
    return min(max(float(t), 0.0), horizon)

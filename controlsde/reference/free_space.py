"""The reference in free space: a mixture of Gaussians under a diffusion with a linear force, run backwards.

    X_s = a(s) Y + √v(s) ξ,      p(t) = law of X_{T−t},      v*_η = −f + (1 + η) D₀ ∇log p.

At every time p is a mixture in closed form: its density, score, moments and exact samples are known without a mesh, in
any dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, as_points
from controlsde.densities.free_mixture import FreeMixture
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.surroundings import methods_in_own_arithmetic
from controlsde.reference.flows import Noising
from controlsde.reference.reference import clock
from controlsde.reference.schedules import Schedule


@methods_in_own_arithmetic
@dataclass(frozen=True, eq=False)
class FreeReference:
    """A `Reference` of which more is known: see the head of this module.

    data: p(T). process: a and v by its own clock, which `schedule` drives (None: it is the time itself). force:
    (s, x (n, d)) → f (n, d). start: the density at t = 0, where it is not p(0).
    """

    data: FreeMixture
    process: Noising
    schedule: Schedule | None
    force: Callable[[float, Array], Array]
    diffusivity: Diffusivity
    horizon: float
    start: FreeMixture | None = None

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.data.dimension

    @property
    def description(self) -> str:
        """How p is computed."""
        count = len(self.data.weights)
        words = f"closed form in free space: {count} component{'s' * (count > 1)}"
        return words if self.schedule is None else f"{self.schedule.label}; {words}"

    @property
    def initial(self) -> FreeMixture:
        """The density from which the controlled process starts."""
        return self.mixture(0.0) if self.start is None else self.start

    def mixture(self, t: float) -> FreeMixture:
        """p(t, ·)."""
        s = self._elapsed(t)
        return self.data.spread(self.process.shrink(s), self.process.blur(s))

    def narrowest(self, t: float, variance: float) -> float:
        """What a variance of the data has become at t: a²·variance + v."""
        s = self._elapsed(t)
        return self.process.shrink(s) ** 2 * variance + self.process.blur(s)

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        return self.mixture(t).pdf(x)

    def log_density(self, t: float, x: Array) -> Array:
        """log p(t, x) at points (n, d), shape (n,)."""
        return self.mixture(t).log_density(x)

    def score(self, t: float, x: Array) -> Array:
        """∇ log p(t, x) at points (n, d), shape (n, d)."""
        return self.mixture(t).log_density_and_score(x)[1]

    def field(self, t: float, x: Array) -> Array:
        """w = −f + D₀ ∇log p at points (n, d), shape (n, d)."""
        return self.exact_drift(t, x, 0.0)

    def exact_drift(self, t: float, x: Array, noise: float) -> Array:
        """v*_η = −f + (1 + η)D₀ ∇log p at points (n, d), shape (n, d)."""
        points = as_points(x, self.dimension)
        spread = (1.0 + noise) * self.diffusivity.at(clock(t, self.horizon))
        return np.asarray(spread * self.score(t, points) - self.forward_drift(t, points))

    def forward_drift(self, t: float, x: Array) -> Array:
        """f of the forward process at points (n, d), at the moment that it has the density p(t, ·); shape (n, d)."""
        return np.asarray(self.force(self.horizon - clock(t, self.horizon), x))

    def sample(self, t: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of p(t, ·), shape (n, d)."""
        return self.mixture(t).sample(n, rng)

    def initial_density(self, x: Array) -> Array:
        """The density from which the process starts, at points (n, d), shape (n,)."""
        return self.initial.pdf(x)

    def sample_initial(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of the initial density, shape (n, d)."""
        return self.initial.sample(n, rng)

    def _elapsed(self, t: float) -> float:
        s = self.horizon - clock(t, self.horizon)
        return s if self.schedule is None else self.schedule.elapsed(s)

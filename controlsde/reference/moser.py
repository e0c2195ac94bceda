"""Moser's reference on an interval: p = (1 - g)p₀ + g p₁ with g = t/T, and the field that carries it.

On a box of more dimensions, see `moser_box`.

    ∂ₜp = (p₁ - p₀)/T = -∂ₓ(w p)   ⇒   w = (F₀ - F₁ + c)/(T p),   F the distribution functions.

Between walls c = 0: no flux leaves. On a circle any constant flux c may be added; the one taken makes the
kinetic energy ∫ |w|² p dx least, which is c = -∫ (F₀ - F₁)/p dx / ∫ 1/p dx (derived here).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from controlsde.densities import Density, LineDensity
from controlsde.densities.density import Array, as_points
from controlsde.densities.formula_density import axis_rule
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.surroundings import methods_in_own_arithmetic
from controlsde.reference.quotients import TINY, ratio
from controlsde.reference.reference import ReferenceError, clock  # noqa: A004
from controlsde.reference.transport import Transported

MAX_FIELD = 1e6  # in units of length/horizon: a faster field means a density that vanishes
WATCHED = 2001
ROUNDING = 1e-12  # of differences of distribution functions


@dataclass(frozen=True)
class MoserMixture:
    """p = (1 - g) start + g end with g = t/T, in any dimension."""

    start: Density
    end: Density
    horizon: float

    def fraction(self, t: float) -> float:
        """g."""
        return clock(t, self.horizon) / self.horizon

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        g, points = self.fraction(t), as_points(x, self.start.dimension)
        return np.asarray((1.0 - g) * self.start.pdf(points) + g * self.end.pdf(points))

    def score(self, t: float, x: Array) -> Array:
        """∇p / p at points (n, d), shape (n, d); 0 where p = 0."""
        g, points = self.fraction(t), as_points(x, self.start.dimension)
        slope = (1.0 - g) * self.start.grad(points) + g * self.end.grad(points)
        return ratio(slope, self.density(t, points)[:, None])


@methods_in_own_arithmetic
@dataclass(frozen=True)
class MoserReference(Transported):
    """Moser's reference on an interval; `start` and `end` live on `interval` and have mass one there.

    Raises ReferenceError when the mixed density all but vanishes where mass has to pass.
    """

    start: LineDensity
    end: LineDensity
    interval: tuple[float, float]
    horizon: float
    diffusivity: Diffusivity
    periodic: bool

    def __post_init__(self) -> None:
        low, high = self.interval
        # Off the walls, where flux and density may vanish together.
        x = (low + (high - low) * (np.arange(WATCHED) + 0.5) / WATCHED)[:, None]
        slowest = max(float(np.max(self._transit(g * self.horizon, x))) for g in (0.0, 0.5, 1.0))
        if slowest > MAX_FIELD * (high - low):
            raise ReferenceError(
                "the moser field is unbounded, because (1 - g)·from + g·to vanishes where mass must pass: "
                "add a little of a broad density to `from` and to `to`",
                ("reference", "from"),
            )

    def _transit(self, t: float, x: Array) -> Array:
        """T|w|, with fluxes of rounding size left out and vanishing densities kept tiny rather than zero."""
        flux = np.abs(self._transfer(x) + self._circulation(t))
        return np.where(flux > ROUNDING, flux, 0.0) / np.maximum(self.density(t, x), TINY)

    @property
    def dimension(self) -> int:
        """1: the field is a difference of distribution functions."""
        return 1

    @property
    def description(self) -> str:
        """How p is computed."""
        return "closed form: mixed densities and their distribution functions"

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, 1), shape (n,)."""
        return self._mixed.density(t, x)

    def score(self, t: float, x: Array) -> Array:
        """∇p / p at points (n, 1), shape (n, 1); 0 where p = 0."""
        return self._mixed.score(t, x)

    def field(self, t: float, x: Array) -> Array:
        """w = (F₀ - F₁ + c)/(T p) at points (n, 1), shape (n, 1); 0 where p = 0."""
        points = as_points(x, 1)
        flux = (self._transfer(points) + self._circulation(t)) / self.horizon
        return ratio(flux, self.density(t, points))[:, None]

    @cached_property
    def _mixed(self) -> MoserMixture:
        return MoserMixture(self.start, self.end, self.horizon)

    def _transfer(self, x: Array) -> Array:
        # F₀ - F₁ = S₁ - S₀ with S = 1 - F: subtract the smaller pair, so that tails keep their digits
        left, right = (self.start.cdf(x), self.end.cdf(x)), (self.end.survival(x), self.start.survival(x))
        return np.where(left[0] + left[1] <= right[0] + right[1], left[0] - left[1], right[0] - right[1])

    def _circulation(self, t: float) -> float:
        if not self.periodic:
            return 0.0
        nodes, weights = axis_rule(*self.interval, 64)
        density = self.density(t, nodes[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            slowness = weights / density
            total = float(np.sum(slowness))
            return -float(slowness @ self._transfer(nodes[:, None])) / total if np.isfinite(total) else 0.0

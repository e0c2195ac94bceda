"""Föllmer's process as a reference: Brownian motion that leaves a point and is pinned to the data at t = T.

On its own clock u ∈ [0, U] the process dX = b du + √(2D₀) dW from X = a with law π at u = U that costs least has

    b(u, x) = 2D₀ ∇ log E[(dπ/dν)(x + √(2D₀(U − u)) Z)],      ν = N(a, 2D₀U),   Z standard normal:

the gradient of the logarithm of the heat semigroup of dπ/dν (Föllmer 1985; Dai Pra 1991). Given its end Y ~ π it is a
Brownian bridge, so that its law is that of (derived here, with g = u/U)

    X = (1 − g) a + g Y + √(2D₀U g(1 − g)) Z,      b = (x − a)/u + 2D₀ ∇log p.

Run backwards it is a forward process as any other: the Brownian bridge from the data to a, with f = −(x − a)/(U − s) at
s = U − u. So p and its score have the closed form of shrunk and blurred data.

At u = 0 all mass is in one point. The reference begins at u = δ, where Brownian motion from a has the standard
deviation `width`: δ = width²/2D₀, and U = δ + T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array, Box
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.reference.flows import Free
from controlsde.reference.forward import (
    MAX_MASS_OUTSIDE,
    WATCHED,
    AnyClosedForm,
    SpreadDensity,
    closed_form,
    mass_outside,
)
from controlsde.reference.reference import ReferenceError  # noqa: A004
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference


@dataclass(frozen=True)
class Bridge:
    """The Brownian bridge from the data at s = 0 to the origin at s = `length`: X = gY + √(2D₀·length·g(1 − g)) Z."""

    length: float  # U
    diffusivity: float

    def shrink(self, s: float) -> float:
        """g = 1 − s/U, the factor on the data."""
        return 1.0 - s / self.length

    def blur(self, s: float) -> float:
        """2D₀U g(1 − g), the variance of the noise at s."""
        return 2.0 * self.diffusivity * s * self.shrink(s)


@dataclass(frozen=True)
class Moved:
    """Another flow, moved 1 − g(s) of the way from the origin to the point `centre` (d,)."""

    flow: AnyClosedForm
    bridge: Bridge
    centre: Array

    @property
    def description(self) -> str:
        """How q is computed."""
        return f"pinned Brownian motion; {self.flow.description}"

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return self.flow.density(s, x - self.shift(s))

    def score(self, s: float, x: Array) -> Array:
        """∇ log q(s, x) at points (n, d), shape (n, d)."""
        return self.flow.score(s, x - self.shift(s))

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d)."""
        return self.flow.sample(s, n, rng) + self.shift(s)

    def squared_norm(self, s: float) -> float | None:
        """∫q(s, ·)², which moving does not change; None where the flow has none."""
        return self.flow.squared_norm(s)

    def shift(self, s: float) -> Array:
        """(1 − g) a, shape (d,)."""
        return np.asarray((1.0 - self.bridge.shrink(s)) * self.centre)


def pinned_reference(
    data: SpreadDensity,
    centre: Array,
    width: float,
    horizon: float,
    diffusivity: Steady,
    box: Box,
) -> ReversedDiffusionReference:
    """Föllmer's process from the point `centre` (d,), from where it is about `width` wide to the data after `horizon`.

    Raises ReferenceError where more than a millionth of its mass leaves the box.
    """
    length = horizon + width**2 / (2.0 * diffusivity.value)
    bridge = Bridge(length, diffusivity.value)
    flow = Moved(closed_form(data, bridge, Free()), bridge, centre)
    worst = max(
        mass_outside(data, bridge, s, _seen_from(box, flow.shift(s))) for s in horizon * np.linspace(0, 1, WATCHED)
    )
    if worst > MAX_MASS_OUTSIDE:
        raise ReferenceError(
            f"the pinned Brownian motion has up to {worst:.1e} of its mass outside the box: widen domain.box, or use "
            f"a smaller reference.diffusivity (it spreads by {math.sqrt(0.5 * diffusivity.value * horizon):.2g} "
            "half-way)",
            ("domain", "box"),
        )

    def force(s: float, x: Array) -> Array:
        return np.asarray((centre - x) / (length - s))

    return ReversedDiffusionReference(flow, force, diffusivity, horizon, len(box))


def _seen_from(box: Box, shift: Array) -> Box:
    return tuple((low - away, high - away) for (low, high), away in zip(box, shift.tolist(), strict=True))

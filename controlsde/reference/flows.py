"""Forward marginals q(s, x): the data, noised for a time s, with walls or without.

A flow is one way of computing q. This file holds the interface, the two forward processes, and the closed
form for data that are sums of products of Gaussian, cut Gaussian and flat factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from controlsde.densities import GaussianMixture
from controlsde.densities.density import Array, Box, Density
from controlsde.densities.gaussian import REACH
from controlsde.densities.norms import squared_norm, squared_norm_of_products
from controlsde.densities.products import AxisLogs, Products, log_sum


class Flow(Protocol):
    """The density q(s, ·) of the forward process at time s, from data at s = 0."""

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        ...

    def score(self, s: float, x: Array) -> Array:
        """∇ log q(s, x) at points (n, d), shape (n, d)."""
        ...

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d)."""
        ...

    def squared_norm(self, s: float) -> float | None:
        """∫q(s, ·)² by a way that overlooks nothing narrow; None where there is none, or where nothing shrinks."""
        ...

    @property
    def description(self) -> str:
        """How q is computed, in a few words."""
        ...


class Noising(Protocol):
    """A Gaussian process that takes data Y to shrink·Y + √blur·Z at time s, Z standard normal."""

    def shrink(self, s: float) -> float:
        """The factor on the data."""
        ...

    def blur(self, s: float) -> float:
        """The variance of the noise added until s."""
        ...


@dataclass(frozen=True)
class ForwardProcess:
    """dX = -pull·X ds + √(2D₀) dW: Ornstein–Uhlenbeck for pull 1, heat for pull 0."""

    pull: float
    diffusivity: float

    def shrink(self, s: float) -> float:
        """e^{-pull·s}: the factor on the data."""
        return math.exp(-self.pull * s)

    def blur(self, s: float) -> float:
        """The variance of the noise added until s: D₀(1 - e^{-2s}) or 2D₀s."""
        if self.pull == 0.0:
            return 2.0 * self.diffusivity * s
        return -self.diffusivity * math.expm1(-2.0 * self.pull * s) / self.pull


@dataclass(frozen=True)
class Free:
    """No walls, or walls too far to matter."""

    label: str = "closed form"

    def copies(self, axis: int, blur: float) -> list[tuple[float, float]]:  # noqa: ARG002
        """Maps y = sign·x + shift under which a point is seen by the free flow: the point itself."""
        return [(1.0, 0.0)]

    def return_to_box(self, x: Array) -> Array:
        """Where a free particle at x is: at x."""
        return x


@dataclass(frozen=True)
class Mirrors:
    """Reflecting walls of the heat flow, by the method of images."""

    box: Box
    label: str = "closed form by images at the walls"

    def copies(self, axis: int, blur: float) -> list[tuple[float, float]]:
        """Maps y = sign·x + shift to the images of a point, as many as the blur reaches."""
        if blur == 0.0:  # the data themselves: at a wall, their image would count them twice
            return [(1.0, 0.0)]
        low, high = self.box[axis]
        length = high - low
        count = max(1, math.ceil(REACH * math.sqrt(blur) / length))
        return [(1.0, c * length) if c % 2 == 0 else (-1.0, low + high + c * length) for c in range(-count, count + 1)]

    def return_to_box(self, x: Array) -> Array:
        """Fold points into the box by reflection at its walls."""
        low, high = np.array(self.box).T
        length = high - low
        return np.asarray(low + length - np.abs(np.mod(x - low, 2.0 * length) - length))


@dataclass(frozen=True)
class Windings:
    """Periodic walls: the free flow wrapped around the box; the data may reach `overhang` beyond it."""

    box: Box
    overhang: float = 0.0
    label: str = "closed form, wrapped around the box"

    def copies(self, axis: int, blur: float) -> list[tuple[float, float]]:
        """Maps y = x + shift to the periodic images of a point, as many as the blur reaches."""
        if blur == 0.0 and self.overhang == 0.0:  # the data themselves: at the seam, their image would count them twice
            return [(1.0, 0.0)]
        low, high = self.box[axis]
        count = max(1, math.ceil((self.overhang + REACH * math.sqrt(blur)) / (high - low)))
        return [(1.0, c * (high - low)) for c in range(-count, count + 1)]

    def return_to_box(self, x: Array) -> Array:
        """Wrap points into the box."""
        low, high = np.array(self.box).T
        return np.asarray(low + np.mod(x - low, high - low))


Walls = Free | Mirrors | Windings


def sample_noised(data: Density, process: Noising, walls: Walls, s: float, n: int, rng: np.random.Generator) -> Array:
    """Draw n points of the data, shrink them, add noise, and return them into the box: exact, shape (n, d)."""
    drawn = data.sample(n, rng)
    noise = math.sqrt(process.blur(s)) * rng.standard_normal(drawn.shape)
    return walls.return_to_box(process.shrink(s) * drawn + noise)


@dataclass(frozen=True)
class ClosedForm:
    """q(s, x) = Σ_k w_k Π_i Σ_j u_ki(s, y_j(x_i)): every factor shrunk and blurred, summed over images.

    Exact without walls for both processes, and with walls for heat, whose kernel the images fold. (The
    Ornstein–Uhlenbeck kernel is not folded by images, so that process is only given `Free`.)
    """

    data: Density
    products: Products
    process: Noising
    walls: Walls

    @property
    def description(self) -> str:
        """How q is computed."""
        count = self.products.weights.size
        return f"{self.walls.label}: {count} component{'s' if count > 1 else ''}"

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return np.exp(self._evaluate(s, x)[0])

    def score(self, s: float, x: Array) -> Array:
        """∇ log q(s, x) at points (n, d), shape (n, d); 0 where q = 0, which happens at s = 0 only."""
        return self._evaluate(s, x)[1]

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d)."""
        return sample_noised(self.data, self.process, self.walls, s, n, rng)

    def squared_norm(self, s: float) -> float | None:
        """∫q(s, ·)²; None between walls: their images are those of heat, which shrinks nothing."""
        if not isinstance(self.walls, Free):
            return None
        shrink, blur = self.process.shrink(s), self.process.blur(s)
        if isinstance(self.data, GaussianMixture):
            return squared_norm(self.data.spread(shrink, blur))
        return squared_norm_of_products(self.products, shrink, blur)

    def _evaluate(self, s: float, x: Array) -> tuple[Array, Array]:
        return self.products.log_density_and_score(x, self.axis_logs(s))

    def axis_logs(self, s: float) -> AxisLogs:
        """Logarithms of every axis's factors at time s: (axis, x (n,)) to them and their slopes, each (K, n)."""
        shrink, blur = self.process.shrink(s), self.process.blur(s)

        def logs(axis: int, coordinate: Array) -> tuple[Array, Array]:
            factors = self.products.axes[axis]
            copies = self.walls.copies(axis, 0.0 if factors.sharp(blur) else blur)
            if len(copies) == 1:
                return factors.spread(coordinate, shrink, blur)
            seen = [factors.spread(sign * coordinate + shift, shrink, blur) for sign, shift in copies]
            log_density, shares = log_sum(np.stack([log_factor for log_factor, _ in seen]))
            signs = [sign for sign, _ in copies]
            slope = sum(sign * share * part for sign, share, (_, part) in zip(signs, shares, seen, strict=True))
            return log_density, np.asarray(slope)

        return logs


@dataclass(frozen=True)
class Switched:
    """`early` up to the forward time `switch`, `late` after it; both must be accurate around it."""

    early: Flow
    late: Flow
    switch: float

    @property
    def description(self) -> str:
        """How q is computed."""
        return f"{self.early.description} for s ≤ {self.switch:.3g}; then {self.late.description}"

    def squared_norm(self, s: float) -> float | None:
        """∫q(s, ·)² of the flow that holds at s; None where it has none."""
        return self._at(s).squared_norm(s)

    def _at(self, s: float) -> Flow:
        return self.early if s <= self.switch else self.late

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return self._at(s).density(s, x)

    def score(self, s: float, x: Array) -> Array:
        """∇ log q(s, x) at points (n, d), shape (n, d)."""
        return self._at(s).score(s, x)

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d)."""
        return self._at(s).sample(s, n, rng)

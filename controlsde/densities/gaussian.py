"""Gaussian factors on one axis, whole, cut to an interval, or flat, and how they shrink and blur.

Every factor u answers one question: when Y has density u, what is the density of X = aY + √v ξ, ξ ~ N(0, 1)?
With (a, v) = (1, 0) that is the factor itself, with (e^{-s}, D₀(1 - e^{-2s})) the Ornstein–Uhlenbeck process
and with (1, 2D₀s) the heat flow. Answers are logarithms, so that scores stay right where densities underflow.
All formulas are elementary and derived here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtri_exp

from controlsde.densities.density import Array

LOG_ROOT_2PI = 0.5 * np.log(2.0 * np.pi)
GAUSS_NODES, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(16)
SHARP = 1e-24  # a blur whose variance is below this share of the factor's is no blur
DEEP = 5.0  # standard deviations, beyond which tails are compared by their rates
REACH = 9.0  # standard deviations, beyond which a Gaussian is below 1e-17 of its peak
LEAST_SHRINK = 1e-100  # so that a flat factor keeps a width to take the logarithm of


class AxisFactors(Protocol):
    """A family of k densities on one axis."""

    def spread(self, x: Array, shrink: float, blur: float) -> tuple[Array, Array]:
        """Logarithms of the densities of aY + √v ξ at x (n,), and their derivatives, each (k, n).

        `shrink` is a, `blur` is the variance v. Outside a support the logarithm is -inf and the derivative 0.
        """
        ...

    def sharp(self, blur: float) -> bool:
        """Whether a blur of this variance is none: the factors keep their edges, which stand at walls but once."""
        ...

    def edges(self, shrink: float, blur: float) -> Array:
        """Places, ascending, between which all densities of aY + √v ξ are smooth, from end to end of their supports."""
        ...


def log_interval(low: Array, high: Array, width: Array | None = None) -> tuple[Array, Array]:
    """log(Φ(high) - Φ(low)) and (φ(high) - φ(low)) / (Φ(high) - Φ(low)), relatively accurate for low < high.

    Narrow intervals use Gauss quadrature of φ about the middle, wide ones the tail with less cancellation. width is
    high - low, where it is known better than by subtraction.
    """
    middle = 0.5 * (low + high)
    width = np.broadcast_to(high - low if width is None else width, middle.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        tilt = middle * width
        narrow = (width < 1.0) & (np.abs(tilt) < 8.0)
    mass = np.empty(np.broadcast(low, high).shape)
    slope = np.empty_like(mass)
    mass[narrow], slope[narrow] = _narrow(middle[narrow], width[narrow])
    wide = ~narrow
    mass[wide], slope[wide] = _wide(low[wide], high[wide])
    return mass, slope


def _narrow(middle: Array, width: Array) -> tuple[Array, Array]:
    # φ(c + t) = φ(c) e^{-ct - t²/2}, and φ(c + h/2) - φ(c - h/2) = -2 φ(c) e^{-h²/8} sinh(ch/2)
    total = np.zeros_like(middle)
    for node, weight in zip(0.5 * GAUSS_NODES, 0.5 * GAUSS_WEIGHTS, strict=True):
        step = node * width
        total += weight * np.exp(-middle * step - 0.5 * step**2)
    with np.errstate(divide="ignore"):
        log_total = np.log(width * total)
    slope = -2.0 * np.sinh(0.5 * middle * width) * np.exp(-0.125 * width**2) / np.where(width > 0.0, width * total, 1.0)
    return log_total - 0.5 * middle**2 - LOG_ROOT_2PI, slope


def _wide(low: Array, high: Array) -> tuple[Array, Array]:
    right = low > 0.0  # Φ(high) - Φ(low) = Φ(-low) - Φ(-high): subtract small tails from small tails
    near = np.where(right, -low, high)
    far = np.where(right, -high, low)
    log_near = log_ndtr(near)
    deep = near < -DEEP
    kept = np.empty_like(log_near)  # 1 - Φ(far)/Φ(near)
    slope = np.empty_like(log_near)
    kept[deep], slope[deep] = _deep(near[deep], far[deep])
    slope[deep & right] *= -1.0
    rest = ~deep
    kept[rest] = -np.expm1(log_ndtr(far[rest]) - log_near[rest])
    mass = log_near + np.log(kept)
    slope[rest] = np.exp(_log_normal(high[rest]) - mass[rest]) - np.exp(_log_normal(low[rest]) - mass[rest])
    return mass, slope


def _deep(near: Array, far: Array) -> tuple[Array, Array]:
    """1 - Φ(far)/Φ(near) and (φ(near) - φ(far)) / (Φ(near) - Φ(far)) for far < near < 0, however far in the tail.

    By h = φ/Φ, which is about |z| there: the logarithms of φ and Φ are about z²/2, and their difference has no digits.
    """
    with np.errstate(over="ignore"):
        share = np.exp(0.5 * (near - far) * (near + far))  # φ(far)/φ(near)
        rate = _mills(near)
        kept = 1.0 - share * (rate / _mills(far))
    return kept, rate * (1.0 - share) / kept


def _mills(z: Array) -> Array:
    """φ(z)/Φ(z) for z < 0."""
    return np.asarray(np.sqrt(2.0 / np.pi) / erfcx(z / -np.sqrt(2.0)))


def _log_normal(z: Array) -> Array:
    return np.asarray(-0.5 * z**2 - LOG_ROOT_2PI)


@dataclass(frozen=True)
class Gaussians:
    """N(mean_k, variance_k), k = 1..K: arrays (K,)."""

    means: Array
    variances: Array

    def spread(self, x: Array, shrink: float, blur: float) -> tuple[Array, Array]:
        """Logarithms and slopes, each (K, n), of the densities of aY + √v ξ at x (n,): N(a·mean, a²·variance + v)."""
        variance = shrink**2 * self.variances + blur
        offset = x[None, :] - (shrink * self.means)[:, None]
        slope = offset * (-1.0 / variance)[:, None]
        log_density = 0.5 * offset * slope - (0.5 * np.log(2.0 * np.pi * variance))[:, None]
        return log_density, slope

    def sharp(self, blur: float) -> bool:
        """Whether the blur is zero: Gaussians have no edges."""
        return blur == 0.0

    def edges(self, shrink: float, blur: float) -> Array:
        """Places, ascending, a standard deviation apart, from each blurred mean to REACH of them away."""
        return _around(shrink * self.means, np.sqrt(shrink**2 * self.variances + blur))


@dataclass(frozen=True)
class CutGaussians:
    """N(mean_k, variance_k) conditioned on [low, high], k = 1..K."""

    means: Array
    variances: Array
    low: float
    high: float

    @cached_property
    def log_mass(self) -> Array:
        """Logarithm of each whole Gaussian's mass in [low, high], shape (K,)."""
        std = np.sqrt(self.variances)
        return log_interval((self.low - self.means) / std, (self.high - self.means) / std)[0]

    def spread(self, x: Array, shrink: float, blur: float) -> tuple[Array, Array]:
        """Logarithms and slopes, each (K, n): Gaussians times P(low ≤ Y ≤ high | X = x), over the mass in [low, high].

        Y given X = x is N(μ, τ²) with τ² = σ²v/V, μ = (mean·v + aσ²x)/V, V = a²σ² + v.
        """
        log_density, slope = Gaussians(self.means, self.variances).spread(x, shrink, blur)
        log_density -= self.log_mass[:, None]
        if self.sharp(blur):
            inside = (x >= shrink * self.low) & (x <= shrink * self.high)
            return np.where(inside, log_density, -np.inf), np.where(inside, slope, 0.0)
        variance = shrink**2 * self.variances + blur
        deviation = np.sqrt(self.variances * blur / variance)[:, None]
        gain = (shrink * self.variances / variance)[:, None]
        centre = (self.means * blur / variance)[:, None] + gain * x[None, :]
        log_inside, change = log_interval((self.low - centre) / deviation, (self.high - centre) / deviation)
        return log_density + log_inside, slope - change * gain / deviation

    def sharp(self, blur: float) -> bool:
        """Whether the blur is at most SHARP of the least variance, so that the ends of the interval stay edges."""
        return blur <= SHARP * float(np.min(self.variances))

    def edges(self, shrink: float, blur: float) -> Array:
        """Places, ascending: the shrunk ends, √v apart where they blur, and between them those of the Gaussians."""
        low, high = shrink * self.low, shrink * self.high
        falls = _around(shrink * self.means, np.sqrt(shrink**2 * self.variances + blur))
        ends = _around(np.array([low, high]), np.full(2, np.sqrt(blur)))
        if self.sharp(blur):
            return np.union1d([low, high], falls[(falls > low) & (falls < high)])
        return np.union1d(ends, falls[(falls > ends[0]) & (falls < ends[-1])])


@dataclass(frozen=True, eq=False)
class Flats:
    """The uniform densities on K intervals [low, high]: low, high (K,)."""

    low: Array
    high: Array

    def spread(self, x: Array, shrink: float, blur: float) -> tuple[Array, Array]:
        """Logarithms and slopes, each (K, n), of [Φ((x - a·low)/√v) - Φ((x - a·high)/√v)] / (a(high - low))."""
        low, high = (max(shrink, LEAST_SHRINK) * edge[:, None] for edge in (self.low, self.high))
        length = high - low
        if self.sharp(blur):
            inside = (x >= low) & (x <= high)
            return np.where(inside, -np.log(length), -np.inf), np.zeros((self.low.size, x.size))
        deviation = np.sqrt(blur)
        log_inside, change = log_interval((x - high) / deviation, (x - low) / deviation, length / deviation)
        return log_inside - np.log(length), change / deviation

    def sharp(self, blur: float) -> bool:
        """Whether the blur is at most SHARP of the shortest length squared, so that the ends stay edges."""
        return blur <= SHARP * float(np.min(self.high - self.low)) ** 2

    def edges(self, shrink: float, blur: float) -> Array:
        """The ends of the shrunk intervals, and places √v apart about them where they blur, ascending."""
        ends = max(shrink, LEAST_SHRINK) * np.concatenate([self.low, self.high])
        return np.unique(ends) if self.sharp(blur) else _around(ends, np.full(len(ends), np.sqrt(blur)))


def _around(places: Array, widths: Array) -> Array:
    """Every width from each of the places to REACH of them away, ascending."""
    return np.unique(places[:, None] + widths[:, None] * np.arange(-REACH, REACH + 1))


def sample_cut_gaussian(means: Array, stds: Array, low: float, high: float, rng: np.random.Generator) -> Array:
    """Draw a point of N(mean, std²) conditioned on [low, high] for each of n means, by inversion."""
    a, b = (low - means) / stds, (high - means) / stds
    flip = a > 0.0  # work in the left tail, where Φ keeps its digits
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    # Φ(z) = Φ(a) + u (Φ(b) - Φ(a)), in logarithms: the interval may be far in the tail
    level = np.logaddexp(log_ndtr(a), np.log1p(-rng.random(means.shape)) + log_interval(a, b)[0])
    z = np.clip(ndtri_exp(level), a, b)
    return np.asarray(means + stds * np.where(flip, -z, z))

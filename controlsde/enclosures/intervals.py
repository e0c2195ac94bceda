"""Interval arithmetic on arrays, rounded outwards: what an operation can give for any numbers in its intervals.

    [a, b] + [c, d] = [a + c, b + d],      [a, b] · [c, d] = [min, max of ac, ad, bc, bd],      f monotone: [f(a), f(b)]

(Moore, Kearfott & Cloud, Introduction to Interval Analysis, 2009.) Every result is widened by a few units in the last
place, so that its rounding loses nothing. Where an operation is not defined on the whole interval, as the logarithm of
a negative number, the result is everything. What is exactly zero stays so, for it says that nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf as _erf
from scipy.special import expit

Array = NDArray[np.float64]

LIBRARY_ERROR = 8 * np.finfo(float).eps  # relative, of NumPy's and SciPy's functions
ROUNDING = 1e-13
TINY = 5e-324


@dataclass(frozen=True, eq=False)
class Interval:
    """Intervals [low, high] element by element; both arrays have one shape, and may be infinite."""

    low: Array
    high: Array

    @staticmethod
    def of(value: Any) -> Interval:
        """The intervals that hold one number each."""
        array = np.asarray(value, dtype=float)
        return Interval(array, array)

    @property
    def width(self) -> Array:
        """high − low."""
        return np.asarray(self.high - self.low)

    @property
    def magnitude(self) -> Array:
        """The largest |x| in each."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def mignitude(self) -> Array:
        """The smallest |x| in each."""
        smallest = np.minimum(np.abs(self.low), np.abs(self.high))
        return np.where((self.low <= 0.0) & (self.high >= 0.0), 0.0, smallest)

    @property
    def nothing(self) -> NDArray[np.bool_]:
        """Whether each is zero, and nothing else."""
        return np.asarray((self.low == 0.0) & (self.high == 0.0))

    def __getitem__(self, index: Any) -> Interval:
        """Some of the intervals."""
        return Interval(self.low[index], self.high[index])

    def __neg__(self) -> Interval:
        """−x."""
        return Interval(-self.high, -self.low)

    def __add__(self, other: Interval) -> Interval:
        """x + y; a sum that is zero is so exactly."""
        return _but_zeros(rounded(self.low + other.low, self.high + other.high))

    def __sub__(self, other: Interval) -> Interval:
        """x − y; a difference that is zero is so exactly."""
        return _but_zeros(rounded(self.low - other.high, self.high - other.low))

    def __mul__(self, other: Interval) -> Interval:
        """x·y, where 0·∞ = 0: an unbounded interval holds numbers, not infinity."""
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        corners = [np.where(np.isnan(corner), 0.0, corner) for corner in corners]
        low = np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3]))
        high = np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3]))
        found = rounded(low, high)
        nothing = self.nothing | other.nothing
        return Interval(np.where(nothing, 0.0, found.low), np.where(nothing, 0.0, found.high))

    def __truediv__(self, other: Interval) -> Interval:
        """x/y; unbounded where y may be 0, on the side on which y lies, or on both."""
        low = np.where((other.low < 0.0) & (other.high >= 0.0), -np.inf, 1.0 / other.high)
        high = np.where((other.low <= 0.0) & (other.high > 0.0), np.inf, 1.0 / other.low)
        zero = (other.low == 0.0) & (other.high == 0.0)
        return self * rounded(np.where(zero, -np.inf, low), np.where(zero, np.inf, high))

    def __or__(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def __and__(self, other: Interval) -> Interval:
        """What both hold, of two enclosures of one thing; the first where rounding leaves nothing."""
        low, high = np.maximum(self.low, other.low), np.minimum(self.high, other.high)
        apart = low > high
        return Interval(np.where(apart, self.low, low), np.where(apart, self.high, high))


def rounded(low: Any, high: Any) -> Interval:
    """One unit in the last place outwards; what is no number becomes everything."""
    return Interval(
        np.where(np.isnan(low), -np.inf, np.nextafter(low, -np.inf)),
        np.where(np.isnan(high), np.inf, np.nextafter(high, np.inf)),
    )


def _but_zeros(x: Interval) -> Interval:
    """Without what the rounding of a zero added."""
    return Interval(np.where(x.low == -TINY, 0.0, x.low), np.where(x.high == TINY, 0.0, x.high))


def _widened(low: Array, high: Array) -> Interval:
    """Outwards by what the libraries' functions may be wrong."""
    return rounded(low - LIBRARY_ERROR * np.abs(low) - TINY, high + LIBRARY_ERROR * np.abs(high) + TINY)


def growing(function: Callable[[Any], Any]) -> Callable[[Interval], Interval]:
    """A function that never falls, on intervals."""
    return lambda x: _widened(function(x.low), function(x.high))


def falling_with_distance(function: Callable[[Any], Any]) -> Callable[[Interval], Interval]:
    """An even function that never grows with |x|, on intervals."""
    return lambda x: _widened(function(x.magnitude), function(x.mignitude))


def falls_below(x: Interval, least: float) -> NDArray[np.bool_]:
    """Whether x reaches below a number by more than rounding leads, as it leads 1 − x² at x = 1."""
    size = np.where(np.isfinite(x.high), x.magnitude, np.abs(x.low))
    return np.asarray(np.isneginf(x.low) | (x.low < least - ROUNDING * (1.0 + size)))


def defined_from(function: Callable[[Any], Any], least: float) -> Callable[[Interval], Interval]:
    """A function that never falls and is not defined below `least`, on intervals: everything where they reach there.

    As far below as rounding leads counts as `least`.
    """

    def enclosed(x: Interval) -> Interval:
        inside = growing(function)(Interval(np.maximum(x.low, least), np.maximum(x.high, least)))
        outside = falls_below(x, least)
        return Interval(np.where(outside, -np.inf, inside.low), np.where(outside, np.inf, inside.high))

    return enclosed


def sine(x: Interval) -> Interval:
    """sin: its values at the ends, 1 where a crest lies between, −1 where a trough does."""
    ends = np.sin(x.low), np.sin(x.high)
    return _wave(x, np.minimum(*ends), np.maximum(*ends), 0.5 * np.pi)


def cosine(x: Interval) -> Interval:
    """cos, as `sine`."""
    ends = np.cos(x.low), np.cos(x.high)
    return _wave(x, np.minimum(*ends), np.maximum(*ends), 0.0)


FAR = 1e6  # of the argument of a wave: beyond, its rounding would have to be counted


def _wave(x: Interval, low: Array, high: Array, crest: float) -> Interval:
    crests = _holds(x, crest, 2.0 * np.pi)
    troughs = _holds(x, crest + np.pi, 2.0 * np.pi)
    anywhere = (x.magnitude > FAR) | (x.width >= 2.0 * np.pi)
    found = _widened(low, high)
    return Interval(
        np.where(anywhere | troughs, -1.0, np.maximum(found.low, -1.0)),
        np.where(anywhere | crests, 1.0, np.minimum(found.high, 1.0)),
    )


def _holds(x: Interval, place: float, period: float) -> NDArray[np.bool_]:
    """Whether place + k·period lies in the interval for some integer k, rounding on the safe side."""
    slack = LIBRARY_ERROR * (1.0 + x.magnitude)
    first = np.ceil((x.low - slack - place) / period)
    return np.asarray(place + first * period <= x.high + slack)


def tangent(x: Interval) -> Interval:
    """tan; everything where a pole may lie between."""
    pole = _holds(x, 0.5 * np.pi, np.pi) | (x.magnitude > FAR)
    inside = growing(np.tan)(x)
    return Interval(np.where(pole, -np.inf, inside.low), np.where(pole, np.inf, inside.high))


def absolute(x: Interval) -> Interval:
    """|x|."""
    return Interval(x.mignitude, x.magnitude)


def hyperbolic_cosine(x: Interval) -> Interval:
    """cosh: even, and growing with |x|."""
    return _widened(np.cosh(x.mignitude), np.cosh(x.magnitude))


def least(a: Interval, b: Interval) -> Interval:
    """min(a, b)."""
    return Interval(np.minimum(a.low, b.low), np.minimum(a.high, b.high))


def largest(a: Interval, b: Interval) -> Interval:
    """max(a, b)."""
    return Interval(np.maximum(a.low, b.low), np.maximum(a.high, b.high))


def sign(x: Interval) -> Interval:
    """−1, 0 or 1."""
    return Interval(np.sign(x.low), np.sign(x.high))


def step(x: Interval) -> Interval:
    """1 where x > 0, else 0."""
    return Interval((x.low > 0.0).astype(float), (x.high > 0.0).astype(float))


def power(x: Interval, exponent: float) -> Interval:
    """x to one number: with a whole number for any x, else where x ≥ 0."""
    if exponent == 0.0:
        return Interval.of(np.ones_like(x.low))
    if exponent < 0.0:
        return Interval.of(np.ones_like(x.low)) / power(x, -exponent)
    if exponent != np.floor(exponent):
        return _not_negative(x.low >= 0.0, defined_from(lambda z: z**exponent, 0.0)(x))
    if exponent % 2.0 == 0.0:
        return _not_negative(True, _widened(x.mignitude**exponent, x.magnitude**exponent))
    return growing(lambda z: z**exponent)(x)


def square_root(x: Interval) -> Interval:
    """√x, where x ≥ 0."""
    return power(x, 0.5)


def _not_negative(where: Any, x: Interval) -> Interval:
    """Without what rounding put below zero."""
    return Interval(np.where(where, np.maximum(x.low, 0.0), x.low), x.high)


def sigmoid(z: Interval) -> Interval:
    """1/(1 + e^{−z}), and what ½(1 + tanh ½z) makes of it, whose error is a share of 1 rather than of the value."""
    found = growing(expit)(z)
    return Interval(found.low - LIBRARY_ERROR, found.high + LIBRARY_ERROR)


def _bell(z: Any) -> Any:
    """1/(4 cosh² ½z) with all its digits, also where it is tiny."""
    tail = np.exp(-np.abs(z))
    return tail / (1.0 + tail) ** 2


exponential = growing(np.exp)
logarithm = defined_from(np.log, 0.0)
hyperbolic_tangent = growing(np.tanh)
hyperbolic_sine = growing(np.sinh)
softplus = growing(lambda z: np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))))
positive_part = growing(lambda z: np.maximum(z, 0.0))
error_function = growing(_erf)
softplus_slope = growing(expit)

# Slopes that fall with |x|
hyperbolic_tangent_slope = falling_with_distance(lambda z: 4.0 * _bell(2.0 * z))
sigmoid_slope = falling_with_distance(_bell)
error_function_slope = falling_with_distance(lambda z: 2.0 / np.sqrt(np.pi) * np.exp(-(z**2)))

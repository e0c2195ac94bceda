"""Slopes of power laws and exponentials, with their confidence intervals.

Comes in: abscissae and values. Goes out: the slope of a least-squares line, and how far it may be off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from controlsde.claims.harness.claim import Row, equal

CONFIDENCE = 0.95
ORDER = 0.1  # how far an asymptotic order may be missed: the next one lies at least half a unit away


@dataclass(frozen=True)
class Slope:
    """y ≈ e^{intercept + value·x}, or y ≈ e^{intercept} x^{value}; the 95 % interval is value ± half_width."""

    value: float
    half_width: float
    intercept: float

    def __str__(self) -> str:
        """The slope and its 95 % interval, for legends."""
        digits = max(2, int(np.ceil(-np.log10(self.half_width)))) if 0 < self.half_width < 1 else 2
        return f"{self.value:.{min(digits, 4)}f} ± {self.half_width:.{min(digits, 4)}f}"


def power_law(x: ArrayLike, y: ArrayLike) -> Slope:
    """The slope of log y over log x; both positive, at least three points. Raises ValueError for fewer."""
    return _line(np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float)))


def exponential(x: ArrayLike, y: ArrayLike) -> Slope:
    """The slope of log y over x; y positive, at least three points. Raises ValueError for fewer."""
    return _line(np.asarray(x, dtype=float), np.log(np.asarray(y, dtype=float)))


def order_row(parameter: str, expected: float, slope: Slope) -> Row:
    """A row that compares a fitted slope with an asymptotic order."""
    return equal(parameter, expected, slope.value, ORDER, "a tenth: other orders lie half a unit away, or more")


def _line(x: np.ndarray, y: np.ndarray) -> Slope:
    if len(x) < 3:
        raise ValueError("a slope with an interval takes three points at least")
    fit = stats.linregress(x, y)
    factor = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(x) - 2))
    return Slope(float(fit.slope), factor * float(fit.stderr), float(fit.intercept))

"""Distances that compare two densities point by point: L², total variation, Kullback–Leibler.

Comes in: values of both densities at the same points, and quadrature weights. Goes out: one number.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SMALLEST = 1e-300  # below it a density counts as zero
MASS_OUTSIDE_SUPPORT = 1e-8  # mass of the first density where the second vanishes, above which KL is infinite


def l2(weights: Array, first: Array, second: Array) -> float:
    """‖a − b‖_{L²} = √∫(a − b)² for values (n,)."""
    return math.sqrt(float(weights @ (first - second) ** 2))


def total_variation(weights: Array, first: Array, second: Array) -> float:
    """½ ∫|a − b| for values (n,)."""
    return 0.5 * float(weights @ np.abs(first - second))


def kullback_leibler(weights: Array, first: Array, second: Array) -> float:
    """KL(a‖b) = ∫ a log(a/b) for values (n,), both clipped at zero and scaled to mass one.

    inf where a has more than 1e-8 of its mass on points at which b vanishes (below 1e-300).
    """
    a, b = np.maximum(first, 0.0), np.maximum(second, 0.0)
    a, b = a / float(weights @ a), b / float(weights @ b)
    supported = b > SMALLEST
    if float(weights[~supported] @ a[~supported]) > MASS_OUTSIDE_SUPPORT:
        return math.inf
    positive = supported & (a > 0)
    return max(0.0, float(weights[positive] @ (a[positive] * np.log(a[positive] / b[positive]))))


def negative_mass(weights: Array, density: Array) -> float:
    """∫ρ⁻ for values (n,)."""
    return float(weights @ np.maximum(-density, 0.0))

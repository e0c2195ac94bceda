"""The Ornstein–Uhlenbeck semigroup by Gauss–Hermite quadrature.

    U_t f(y) = E f(e^{−t} y + σ √(1 − e^{−2t}) Z),   Z ~ N(0, 1),      and   ∂U_t f = e^{−t} U_t ∂f.

Comes in: a function of one variable. Goes out: U_t f at points. For data π = f · N(0, σ²) the noised density is
q(t, ·) = U_t f · N(0, σ²), so that the score is −y/σ² + ∂ log U_t f.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, expm1, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ornstein_uhlenbeck_semigroup(
    function: Callable[[Array], Array], time: float, points: Array, scale: float = 1.0, nodes: int = 100
) -> Array:
    """U_t f at points (n,), shape (n,), for f (…,) → (…,), the stationary deviation σ and so many nodes.

    Exact for polynomials of degree 2·nodes − 1; for smooth functions the error falls faster than any power. Raises
    ValueError for a negative time or a scale that is not positive.
    """
    if time < 0 or scale <= 0:
        raise ValueError(f"the time must be >= 0 and the scale > 0 (got {time}, {scale})")
    z, weights = np.polynomial.hermite_e.hermegauss(nodes)
    spread = scale * sqrt(-expm1(-2.0 * time))
    values = function(exp(-time) * np.asarray(points)[:, None] + spread * z[None, :])
    return np.asarray(values @ weights / sqrt(2 * pi))

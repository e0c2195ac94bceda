"""The semigroups of forward processes: Ornstein–Uhlenbeck by Gauss–Hermite quadrature, heat between walls by cosines.

    U_t f(y) = E f(e^{−t} y + σ √(1 − e^{−2t}) Z),   Z ~ N(0, 1),      and   ∂U_t f = e^{−t} U_t ∂f.

Comes in: a function of one variable. Goes out: U_t f at points. For data π = f · N(0, σ²) the noised density is
q(t, ·) = U_t f · N(0, σ²), so that the score is −y/σ² + ∂ log U_t f.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, expm1, pi, sqrt

import numpy as np
import scipy.fft
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


def neumann_heat_semigroup(
    function: Callable[[Array], Array], time: float, points: Array, diffusivity: float = 1.0, modes: int = 256
) -> Array:
    """P_t f at points (n,) of [0, 1], shape (n,), for f (k,) → (k,): heat with reflecting walls.

        P_t f = Σ f_k e^{−k²π²D₀t} cos kπx,    f_k by a cosine transform of that many values.

    For smooth f the error falls faster than any power of the modes. Raises ValueError for a negative time.
    """
    if time < 0:
        raise ValueError(f"the time must be >= 0 (got {time})")
    k = np.arange(modes)
    coefficients = scipy.fft.dct(function((k + 0.5) / modes), type=2) / modes
    coefficients[0] /= 2
    return np.asarray(np.cos(pi * np.outer(points, k)) @ (coefficients * np.exp(-((pi * k) ** 2) * diffusivity * time)))

"""J to second order at one point, whoever computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Expansion:
    """J near θ: value, gradient (N,), Gauss–Newton matrix (N, N) and exact Hessian (N, N), N = K·P."""

    value: float
    gradient: Array
    gauss_newton: Array
    hessian: Array

"""The exact law of what time steps make of a Gaussian under a linear process.

    dX = (B(t)X + c(t)) dt + √(2D(t)) dW.

Comes in: the process, a Gaussian law, times and a scheme. Goes out: the law after the last step. A step of each scheme
is X ↦ MX + a + ξ with independent ξ ~ N(0, Q), hence  mean ↦ M mean + a,  covariance ↦ M S Mᵀ + Q  with no error but
rounding. With v(t, x) = B(t)x + c(t), h the step, D̄ the mean of D over it (Simpson's rule) and ξ of variance 2D̄h:

    euler-maruyama   X + h v(t, X) + ξ
    heun             X + ½h(v(t, X) + v(t + h, X̃)) + ξ,   X̃ = X + h v(t, X) + ξ     (as the particles step)
    exponential      e^{rh}X + (e^{rh} − 1)/r (v(t, X) − rX) + ξ with variance D̄(e^{2rh} − 1)/r:
                     the linear part rX of the drift is solved exactly, the rest is frozen
    exact            mean and covariance by their differential equations
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from controlsde.gaussians.law import Law

Array = NDArray[np.float64]

EXACT = 1e-12  # relative tolerance of the differential equations


@dataclass(frozen=True, eq=False)
class LinearProcess:
    """B(t) (d, d), c(t) (d,) and D(t) ≥ 0; rate r ≠ 0: of the part that exponential steps solve exactly."""

    matrix: Callable[[float], Array]
    offset: Callable[[float], Array]
    diffusivity: Callable[[float], float]
    rate: float = 1.0

    def mean_diffusivity(self, t: float, h: float) -> float:
        """D̄ over [t, t + h]."""
        return (self.diffusivity(t) + 4.0 * self.diffusivity(t + 0.5 * h) + self.diffusivity(t + h)) / 6.0


Step = Callable[[LinearProcess, float, float], tuple[Array, Array, Array]]  # t, h → M, a, Q


def law_after(process: LinearProcess, start: Law, times: ArrayLike, scheme: str) -> Law:
    """The law at times[-1] from `start` at times[0]. Raises ValueError for an unknown scheme."""
    if scheme not in SCHEMES:
        raise ValueError(f"{scheme} is not a scheme; there are {', '.join(SCHEMES)}")
    moments = np.asarray(times, dtype=float)
    if scheme == "exact":
        return _exact(process, start, moments[0], moments[-1])
    step = _STEPS[scheme]
    mean, covariance = start.mean, start.covariance
    for t, end in pairwise(moments):
        matrix, offset, noise = step(process, float(t), float(end - t))
        mean, covariance = matrix @ mean + offset, matrix @ covariance @ matrix.T + noise
    return Law(mean, covariance)


def _euler(process: LinearProcess, t: float, h: float) -> tuple[Array, Array, Array]:
    matrix, offset = process.matrix(t), process.offset(t)
    one = np.eye(len(offset))
    return one + h * matrix, h * offset, 2.0 * process.mean_diffusivity(t, h) * h * one


def _heun(process: LinearProcess, t: float, h: float) -> tuple[Array, Array, Array]:
    before, after = process.matrix(t), process.matrix(t + h)
    one = np.eye(len(before))
    predictor = one + h * before
    offset = 0.5 * h * (process.offset(t) + process.offset(t + h) + h * after @ process.offset(t))
    spread = one + 0.5 * h * after
    return (
        one + 0.5 * h * (before + after @ predictor),
        offset,
        2.0 * process.mean_diffusivity(t, h) * h * spread @ spread.T,
    )


def _exponential(process: LinearProcess, t: float, h: float) -> tuple[Array, Array, Array]:
    rate = process.rate
    growth, held = np.exp(rate * h), np.expm1(rate * h) / rate
    one = np.eye(len(process.offset(t)))
    matrix = growth * one + held * (process.matrix(t) - rate * one)
    return matrix, held * process.offset(t), process.mean_diffusivity(t, h) * np.expm1(2.0 * rate * h) / rate * one


_STEPS: dict[str, Step] = {"euler-maruyama": _euler, "heun": _heun, "exponential": _exponential}
SCHEMES = (*_STEPS, "exact")


def _exact(process: LinearProcess, start: Law, first: float, last: float) -> Law:
    """d mean/dt = B mean + c,   dS/dt = BS + SBᵀ + 2D I."""
    d = start.dimension

    def slope(t: float, values: Array) -> Array:
        mean, covariance = values[:d], values[d:].reshape(d, d)
        matrix = process.matrix(t)
        spread = matrix @ covariance + covariance @ matrix.T + 2.0 * process.diffusivity(t) * np.eye(d)
        return np.concatenate([matrix @ mean + process.offset(t), spread.ravel()])

    values = np.concatenate([start.mean, start.covariance.ravel()])
    end = solve_ivp(slope, (first, last), values, method="DOP853", rtol=EXACT, atol=EXACT).y[:, -1]
    return Law(end[:d], end[d:].reshape(d, d))

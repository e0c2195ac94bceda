"""The Ornstein–Uhlenbeck process of isotropic Gaussian data, and its way back.

Comes in: mean and variance of the data N(m, SI). Goes out: the variance of the noised data, and the reverse SDE as a
linear process.

    q(s) = N(e^{−s}m, v_s I),   v_s = e^{−2s}S + 1 − e^{−2s},   score −(x − e^{−s}m)/v_s;
    η = 1:  dX = (X + 2(score + bias)) dt + √2 dW,   s = T − t.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controlsde.gaussians.law import Law
from controlsde.gaussians.schemes import LinearProcess

Array = NDArray[np.float64]


def noised_variance(variance: float, time: float) -> float:
    """v_s."""
    return math.exp(-2.0 * time) * variance - math.expm1(-2.0 * time)


def noised(mean: Array, variance: float, time: float) -> Law:
    """q(s) for data of mean (d,)."""
    return Law.isotropic(math.exp(-time) * mean, noised_variance(variance, time))


def reverse_process(mean: Array, variance: float, horizon: float, bias: Array | float = 0.0) -> LinearProcess:
    """The reverse SDE to data of mean (d,), with a constant error (d,) of the score."""

    def left(t: float) -> float:
        return max(horizon - t, 0.0)

    return LinearProcess(
        lambda t: (1.0 - 2.0 / noised_variance(variance, left(t))) * np.eye(len(mean)),
        lambda t: 2.0 * math.exp(-left(t)) / noised_variance(variance, left(t)) * mean + 2.0 * bias,
        lambda _: 1.0,
    )


def contraction(variance: float, horizon: float, stop: float = 0.0) -> float:
    """Φ = e^{−(T−ε)} v_ε/v_T: the share of a start's distance that the reverse SDE leaves at T − ε.

    It is exp ∫ (1 − 2/v_s) ds over [ε, T], for d log(e^{2s}v_s)/ds = 2/v_s; at ε = 0 it is e^{−T}S/v_T.
    """
    return math.exp(-(horizon - stop)) * noised_variance(variance, stop) / noised_variance(variance, horizon)


def kept(variance: float, horizon: float, noise: float) -> float:
    """κ_η = e^{−ηT} (S/v_T)^{(1+η)/2}: the share of a start's distance that the exact drift at η leaves at T.

    v*_η = x − (1 + η)(x − e^{−s}m)/v_s is linear, so that κ_η = exp ∫ (1 − (1 + η)/v_s) ds over [0, T]; means keep κ_η
    of their distance, variances κ_η² of theirs. At η = 1 it is `contraction`; at η = 0 it is √(S/v_T), by which
    the reference itself narrows: measured in standard deviations nothing is forgotten.
    """
    ratio = variance / noised_variance(variance, horizon)
    return math.exp(-noise * horizon) * math.pow(ratio, 0.5 * (1.0 + noise))

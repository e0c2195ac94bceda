"""The log-density of a flow without noise, exactly: the likelihood of data under what a drift makes of its start.

At η = 0 a point that is at x at T came from x_0 along dx/dt = v(t, x), and (instantaneous change of variables)

    log ρ_T(x) = log ρ_0(x_0) − ∫₀ᵀ ∇·v(t, x_t) dt.

Comes in: a drift, the density of the start, points. Goes out: log ρ_T there, by Runge–Kutta of fourth order backwards,
with steps that cross no edge of a piece; means with standard errors, bits per dimension, and KL(p‖ρ).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.densities.free_mixture import FreeMixture
from controlsde.foundation.threads import side_by_side
from controlsde.monte_carlo.statistics import Estimate
from controlsde.tracking.cloud import parts

Array = NDArray[np.float64]

ROWS = 256  # points that travel together
STEPS = 8  # of a piece


@dataclass(frozen=True, eq=False)
class Likelihood:
    """log ρ_T at points (n,), and how far its mean is from that with half as many steps."""

    values: Array
    refinement: float

    @property
    def mean(self) -> Estimate:
        """The mean over the points, in nats."""
        return mean_of(self.values)


def flow_likelihood(drift: Drift, start: FreeMixture, points: Array, steps: int = STEPS) -> Likelihood:
    """log ρ_T at points (n, d), n ≥ 2, with `steps` ≥ 2 steps in every piece, even in number."""
    values = flow_log_density(drift, start, points, steps)
    coarse = flow_log_density(drift, start, points, steps // 2)
    return Likelihood(values, float(np.mean(values) - np.mean(coarse)))


def flow_log_density(drift: Drift, start: FreeMixture, points: Array, steps: int) -> Array:
    """log ρ_T at points (n, d), shape (n,), with `steps` ≥ 1 steps of Runge–Kutta in every piece."""

    def along(part: slice) -> Array:
        origins, growth = _origins(drift, points[part], steps)
        return np.asarray(start.log_density(origins) - growth)

    return np.concatenate(side_by_side(along, list(parts(len(points), ROWS))))


def _origins(drift: Drift, x: Array, steps: int) -> tuple[Array, Array]:
    """Where points (n, d) at T come from, and ∫∇·v dt on the way, (n,)."""
    edges = drift.edges
    growth = np.zeros(len(x))
    for piece in reversed(range(len(edges) - 1)):
        begin, length = float(edges[piece]), float(edges[piece + 1] - edges[piece])
        step = length / steps
        for i in reversed(range(steps)):
            late, middle, early = (begin + length * (i + share) / steps for share in (1.0, 0.5, 0.0))
            first = drift.values(piece, late, x)
            at_first = x - 0.5 * step * first
            second = drift.values(piece, middle, at_first)
            at_second = x - 0.5 * step * second
            third = drift.values(piece, middle, at_second)
            at_third = x - step * third
            fourth = drift.values(piece, early, at_third)
            growth += (step / 6.0) * (
                drift.divergence(piece, late, x)
                + 2.0 * drift.divergence(piece, middle, at_first)
                + 2.0 * drift.divergence(piece, middle, at_second)
                + drift.divergence(piece, early, at_third)
            )
            x = x - (step / 6.0) * (first + 2.0 * (second + third) + fourth)
    return x, growth


def mean_of(values: Array) -> Estimate:
    """The mean of independent values (n,), n ≥ 2, with its standard error."""
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values)))


def divergence_from(mixture: FreeMixture, points: Array, log_density: Array) -> Estimate:
    """KL(p‖ρ) = E_p[log p − log ρ] in nats, from log ρ (n,) at points (n, d) of p: paired, so that log p adds nothing.

    Of a lower bound of log ρ it is an upper bound.
    """
    return mean_of(mixture.log_density(points) - log_density)


def bits_per_dimension(log_density: Estimate, dimension: int, log_scale: float = 0.0) -> Estimate:
    """−log₂ of the density per coordinate, in the units of the data: log_scale is that of `FreeData`."""
    bit = dimension * math.log(2.0)
    return Estimate((log_scale - log_density.value) / bit, log_density.standard_error / bit)

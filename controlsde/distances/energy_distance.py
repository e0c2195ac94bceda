"""The energy distance 2E|X − Y| − E|X − X′| − E|Y − Y′| between particles and draws Y from a density.

Unbiased: pairs of a point with itself are left out, so that the value of exact draws is zero on average, and signed.
(Székely & Rizzo 2013, as a U-statistic.) E|x − Y| has no closed form for mixtures in many dimensions: p is known by as
many draws as there are particles, the same for the particles and for their nulls.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from controlsde.densities.density import Array
from controlsde.tracking.cloud import Cloud, between


def energy_distance(cloud: Cloud, draws: Cloud, within_draws: float | None = None) -> float:
    """Of at least two particles against at least two draws; within_draws: `mean_distance(draws)`, where it is known."""
    across = _total(between(cloud.points, draws.points)) / (len(cloud) * len(draws))
    within = mean_distance(draws) if within_draws is None else within_draws
    return 2.0 * across - mean_distance(cloud) - within


def mean_distance(cloud: Cloud) -> float:
    """The mean of |x_i − x_j| over pairs i < j."""
    return _total(cloud.squared_distances()) / cloud.pairs


def _total(squared: Iterable[Array]) -> float:
    return sum(float(np.sqrt(block).sum()) for block in squared)

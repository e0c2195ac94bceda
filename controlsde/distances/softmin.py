"""Smoothed and exact minima over a grid when the cost is a sum over its axes, c(x, y) = Σ_k c_k(x_k, y_k).

    softmin(x) = −ε log Σ_y m(y) exp((g(y) − c(x, y))/ε),        min(x) = min_y c(x, y) − g(y).

Both are taken one axis after the other, which costs Σ_k n_k for each point instead of ∏_k n_k. The logarithms keep
all exponents in range, however small ε is.

Comes in: one cost matrix (points, cells) for each axis, and values (n_1, …, n_d) on the cells. Goes out: values at the
points. Peyré and Cuturi, "Computational Optimal Transport" (2019), §4.3 and remark 4.17.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Costs = tuple[Array, ...]


def squared_distances(points: tuple[Array, ...], cells: tuple[Array, ...], periods: tuple[float, ...] | None) -> Costs:
    """|x − y|² by axis, (points, cells) each; the way round where there are periods."""
    gaps = [np.abs(x[:, None] - y[None, :]) for x, y in zip(points, cells, strict=True)]
    if periods is not None:
        gaps = [np.minimum(gap % period, period - gap % period) for gap, period in zip(gaps, periods, strict=True)]
    return tuple(gap**2 for gap in gaps)


def softmin(costs: Costs, epsilon: float, log_masses: Array, potential: Array) -> Array:
    """The softmin of c − g under masses m, given as log m (−inf where a cell is empty)."""
    return softmin_with_weights(costs, epsilon, log_masses, potential)[0]


def softmin_with_weights(
    costs: Costs, epsilon: float, log_masses: Array, potential: Array
) -> tuple[Array, tuple[Array, ...]]:
    """The softmin, and how much each cell counts in it, for `expectation`: one array (…, points, cells) an axis.

    As ∂softmin(x)/∂g(y) = −R(y|x), with R(·|x) ≥ 0 of sum one, the weights are the softmin's derivative.
    """
    exponents = log_masses + potential / epsilon
    weights = []
    for axis, cost in enumerate(costs):
        terms = np.moveaxis(exponents, axis, -1)[..., None, :] - cost / epsilon
        largest = terms.max(axis=-1, keepdims=True)
        largest[~np.isfinite(largest)] = 0.0  # a line of empty cells
        terms -= largest
        np.exp(terms, out=terms)
        sums = terms.sum(axis=-1, keepdims=True)
        with np.errstate(divide="ignore"):
            exponents = np.moveaxis((np.log(sums) + largest)[..., 0], -1, axis)
        sums[sums == 0.0] = 1.0
        terms /= sums
        weights.append(terms)
    return -epsilon * exponents, tuple(weights)


def expectation(weights: tuple[Array, ...], values: Array) -> Array:
    """Σ_y R(y|x) values(y) with the weights of a softmin."""
    for axis, share in enumerate(weights):
        lines = np.moveaxis(values, axis, -1)[..., None]
        values = np.moveaxis((share @ lines)[..., 0], -1, axis)
    return values


def smallest(costs: Costs, potential: Array) -> Array:
    """min_y c(x, y) − g(y): the c-transform of g."""
    values = -potential
    for axis, cost in enumerate(costs):
        lines = np.ascontiguousarray(np.moveaxis(values, axis, 0))
        flat = lines.reshape(len(lines), -1)
        least = np.stack([(row[:, None] + flat).min(axis=0) for row in cost])
        values = np.moveaxis(least.reshape(len(cost), *lines.shape[1:]), 0, axis)
    return values

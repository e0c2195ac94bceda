"""‖p‖² = ∫p² of a density over the box it lives in, where no narrow part can be overlooked.

Comes in: a density. Goes out: the number, in closed form for Gaussians and flat boxes, whole or cut:

    ∫ N(x; m, v) N(x; m', v') dx = N(m − m'; 0, v + v') P(N(μ, τ²) in the box),
    1/τ² = 1/v + 1/v',   μ/τ² = m/v + m'/v',

on each axis alone, summed over all pairs of components. A component of mass w and width s adds w²/(2√π s), however
narrow: what a grid of points may miss altogether. Full covariances likewise, the mass of each product in the box by a
quadrature of its own (see `box_mass`). Formulas are integrated on cells that hide nothing, pictures on their own grid.
"""

from __future__ import annotations

import math

import numpy as np

from controlsde.densities.box_mass import masses_in_box
from controlsde.densities.boxes import BoxesDensity
from controlsde.densities.conditioned import ConditionedDensity
from controlsde.densities.correlated import CorrelatedMixture
from controlsde.densities.density import Array, Box, Density
from controlsde.densities.formula_density import SUBINTERVALS, FormulaDensity, gauss_grid
from controlsde.densities.gaussian import AxisFactors, log_interval
from controlsde.densities.image import ImageDensity
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.products import Products
from controlsde.densities.subintervals import WEIGHTS, resolve_between
from controlsde.densities.truncated import TruncatedMixture

CHUNK = 500_000  # pairs at once
NEGLIGIBLE = 1e-12  # of the largest product with one component
LOG_2PI = math.log(2.0 * math.pi)


def squared_norm(density: Density) -> float | None:
    """∫p² over space, or over the box of a density that has one; None for a kind that does not tell."""
    match density:
        case GaussianMixture():
            return _of_gaussians(density.weights, density.means, density.variances, None)
        case TruncatedMixture():
            masses = _log_masses(density.whole.means, density.whole.variances, density.box)
            weights = density.products.weights
            return _of_gaussians(weights, density.whole.means, density.whole.variances, density.box, masses)
        case CorrelatedMixture():
            return _of_correlated(density, None)
        case ConditionedDensity():
            return _of_correlated(density.whole, density.box) / density.mass**2
        case BoxesDensity():
            return _of_boxes(density)
        case FormulaDensity():
            return _of_formula(density)
        case ImageDensity():
            points, weights = gauss_grid(density.box, SUBINTERVALS[density.dimension])
            return float(weights @ density.pdf(points) ** 2)
        case _:
            own = getattr(density, "squared_norm", None)
            return None if own is None else float(own())


def _log_masses(means: Array, variances: Array, box: Box) -> Array:
    """The logarithm of each component's mass in a box, (K,)."""
    std = np.sqrt(variances)
    low, high = np.array(box, dtype=float).T
    return np.asarray(np.sum(log_interval((low - means) / std, (high - means) / std)[0], axis=1))


def _of_gaussians(
    weights: Array, means: Array, variances: Array, box: Box | None, log_masses: Array | float = 0.0
) -> float:
    """Σ_jk w_j w_k ∫ N_j N_k / (Z_j Z_k), row by row of pairs; over the whole space without a box."""
    with np.errstate(divide="ignore"):
        level = np.log(weights) - log_masses
    order = np.argsort(means[:, 0])
    level, means, variances = level[order], means[order], variances[order]
    step = max(1, CHUNK // len(weights))
    return math.fsum(
        float(np.exp(_log_products(level, means, variances, slice(first, first + step), box)).sum())
        for first in range(0, len(weights), step)
    )


def _log_products(level: Array, means: Array, variances: Array, rows: slice, box: Box | None) -> Array:
    total = level[rows, None] + level[None, :]
    for axis in range(means.shape[1]):
        m, v = means[rows, axis, None], variances[rows, axis, None]
        n, u = means[None, :, axis], variances[None, :, axis]
        spread = v + u
        total = total - 0.5 * ((m - n) ** 2 / spread + np.log(spread) + LOG_2PI)
        if box is not None:
            low, high = box[axis]
            centre, deviation = (m * u + n * v) / spread, np.sqrt(v * u / spread)
            total = total + log_interval((low - centre) / deviation, (high - centre) / deviation)[0]
    return np.asarray(total)


def _of_correlated(density: CorrelatedMixture, box: Box | None) -> float:
    """Σ_jk w_j w_k N(m_j − m_k; 0, S_j + S_k) P(N(μ, S) in the box).

    S⁻¹ = S_j⁻¹ + S_k⁻¹, S⁻¹μ = S_j⁻¹m_j + S_k⁻¹m_k.
    """
    total = []
    for weight, mean, covariance in zip(density.weights, density.means, density.covariances, strict=True):
        spread = covariance + density.covariances
        offset = mean - density.means
        squares = np.einsum("ki,ki->k", offset, np.linalg.solve(spread, offset[..., None])[..., 0])
        logs = -0.5 * (squares + np.linalg.slogdet(spread)[1] + density.dimension * LOG_2PI)
        products = weight * density.weights * np.exp(logs)
        if box is not None:
            seen = products > NEGLIGIBLE * products.max()
            gain = np.linalg.solve(spread[seen], density.covariances[seen]).swapaxes(1, 2)  # S_k (S_j + S_k)⁻¹
            centres = density.means[seen] + np.einsum("kil,kl->ki", gain, offset[seen])
            common = gain @ covariance
            masses = masses_in_box(centres, 0.5 * (common + common.swapaxes(1, 2)), box)
            products = products[seen] * masses
        total.append(float(products.sum()))
    return math.fsum(total)


def _of_boxes(density: BoxesDensity) -> float:
    """Σ_jk w_j w_k |B_j ∩ B_k| / (|B_j| |B_k|)."""
    low, high = np.moveaxis(np.array(density.boxes), -1, 0)
    common = np.clip(np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None]), 0.0, None)
    height = np.array(density.weights) / np.prod(high - low, axis=1)
    return float(height @ np.prod(common, axis=2) @ height)


def _of_formula(density: FormulaDensity) -> float:
    if density.subintervals is None:
        return density.hidden.square / density.hidden.integral**2
    widths = 0.5 * np.diff(density.subintervals.edges)
    return float(widths @ (density.subintervals.values**2 @ WEIGHTS)) / density.mass**2


def squared_norm_of_products(products: Products, shrink: float, blur: float) -> float:
    """∫p² of a weighted sum of products whose factors are shrunk and blurred: of aY + √v ξ, `shrink` a, `blur` v.

    On each axis all factors are integrated with one another, on subintervals that begin where any of them begins, ends,
    or falls off by a standard deviation.
    """
    pairs = np.ones(())
    for factors in products.axes:
        pairs = pairs * _products_on_axis(factors, shrink, blur)
    return float(products.weights @ np.broadcast_to(pairs, (len(products.weights),) * 2) @ products.weights)


def _products_on_axis(factors: AxisFactors, shrink: float, blur: float) -> Array:
    """∫ u_j u_k of all pairs, (K, K)."""

    def values(x: Array) -> Array:
        return np.exp(factors.spread(x, shrink, blur)[0])

    def squares(x: Array) -> Array:
        return np.asarray(np.sum(values(x) ** 2, axis=0))

    subintervals = resolve_between(squares, factors.edges(shrink, blur))
    found = values(subintervals.nodes)
    return np.asarray((found * subintervals.weights) @ found.T)

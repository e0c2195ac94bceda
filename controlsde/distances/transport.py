"""Wasserstein distances W₁, W₂ on an interval, and the Ḣ⁻¹ norm on boxes.

Comes in: two densities on a uniform cell-centred grid. Goes out: one number. Negative parts are clipped and both
masses scaled to one before a Wasserstein distance is taken (Ḣ⁻¹ is linear and clips nothing).
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Array = NDArray[np.float64]

NOTHING = 1e-290  # of all mass: less in a cell would make quantiles there overflow
_GAUSS = 0.5 + 0.5 * np.array([-1.0, 1.0]) / math.sqrt(3.0)


def distribution_function(cell: float, density: Array) -> Array:
    """F at the n + 1 edges of the cells, from nonnegative cell values (n,), scaled to F = 1 at the end."""
    mass = np.maximum(density, 0.0) * cell
    total = np.concatenate([[0.0], np.cumsum(np.where(mass > NOTHING * mass.sum(), mass, 0.0))])
    return np.asarray(total / total[-1])


def wasserstein_1(edges: Array, first: Array, second: Array) -> float:
    """W₁ = ∫|F_a − F_b| dx, exact for densities that are constant on cells: edges (n+1,), values (n,)."""
    cell = float(edges[1] - edges[0])
    gap = distribution_function(cell, first) - distribution_function(cell, second)
    left, right = gap[:-1], gap[1:]
    same_sign = left * right >= 0
    total = np.abs(left) + np.abs(right)
    crossing = (left**2 + right**2) / np.where(total > 0, total, 1.0)
    return float(0.5 * cell * np.where(same_sign, total, crossing).sum())


def wasserstein_2(edges: Array, first: Array, second: Array) -> float:
    """W₂ = (∫₀¹ |Q_a − Q_b|² du)^½, exact for densities that are constant on cells: edges (n+1,), values (n,).

    Both quantile functions are linear between the merged values of both distribution functions, where two Gauss
    points integrate the square exactly.
    """
    cell = float(edges[1] - edges[0])
    ours, theirs = distribution_function(cell, first), distribution_function(cell, second)
    levels = np.unique(np.concatenate([ours, theirs]))
    widths = np.diff(levels)
    inner = (levels[:-1, None] + widths[:, None] * _GAUSS).ravel()
    gap = np.interp(inner, ours, edges) - np.interp(inner, theirs, edges)
    return math.sqrt(max(0.0, float(np.repeat(0.5 * widths, 2) @ gap**2)))


def sobolev_minus_1(box: tuple[tuple[float, float], ...], walls: str, difference: Array) -> float:
    """‖f‖_{Ḣ⁻¹} of a difference of densities on a cell-centred grid, values of shape (n_1, …, n_d).

    ‖f‖² = Σ_{k≠0} |f_k|² / λ_k over the eigenmodes of −Δ on the box: cosines with Neumann walls (λ = Σ(kπ/L)²),
    complex exponentials when periodic (λ = Σ(2πk/L)²).
    """
    lengths = [high - low for low, high in box]
    volume = math.prod(lengths)
    if walls == "periodic":
        coefficients = np.abs(scipy.fft.fftn(difference, norm="forward")) ** 2
        waves = [
            2 * np.pi * scipy.fft.fftfreq(n, 1.0 / n) / length
            for n, length in zip(difference.shape, lengths, strict=True)
        ]
    else:
        coefficients = scipy.fft.dctn(difference, norm="ortho") ** 2 / difference.size
        waves = [np.pi * np.arange(n) / length for n, length in zip(difference.shape, lengths, strict=True)]
    eigenvalues = sum(np.meshgrid(*(wave**2 for wave in waves), indexing="ij"), start=np.zeros(difference.shape))
    eigenvalues.flat[0] = np.inf  # the mean carries no transport
    return math.sqrt(volume * float(np.sum(coefficients / eigenvalues)))

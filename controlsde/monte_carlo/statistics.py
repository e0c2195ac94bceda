"""What sums over particles say about a density: estimates with standard errors, and tests against a resampled null.

Comes in: `Sums`, and densities on a grid of cells. Goes out: estimates.

With means φ̄_k of the modes and coefficients c_k of a density,

    L² ≈ Σ_k w_k [(φ̄_k − c_k)² − s_k² / N]

is an unbiased, signed estimate of the squared mollified L² distance: the noise floor s_k²/N is taken out. Transport
distances of particles have no such form and are biased up: they stand beside the values that as many independent
draws from the density itself would show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde import distances
from controlsde.distances.nulls import NullTest, null_test
from controlsde.monte_carlo.modes import CosineModes
from controlsde.monte_carlo.sums import Layout, Sums

Array = NDArray[np.float64]
Counts = NDArray[np.floating] | NDArray[np.int64]

REPEATS = {1: 200, 2: 100, 3: 50}  # draws of a null
SPLIT = {2: 4, 3: 2}  # points on each axis of a cell that is projected


@dataclass(frozen=True, eq=False)
class Sample:
    """Means (m,) and covariance (m, m) of the modes over N particles; the dead count as zero."""

    particles: int
    mean: Array
    covariance: Array
    alive_fraction: float


def sample_of(layout: Layout, sums: Sums) -> Sample:
    """Means and covariance of the modes from sums over at least two particles; not a number where one was lost."""
    waves = sums.mean(sums.waves)
    mean = layout.modes.means(waves)
    spread = layout.modes.products(waves) - np.outer(mean, mean)
    n = sums.count
    if sums.lost[0]:
        mean, spread = np.full_like(mean, math.nan), np.full_like(spread, math.nan)
    return Sample(n, mean, spread * (n / (n - 1)), float(sums.alive[0]) / n)


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error."""

    value: float
    standard_error: float

    def to_json(self) -> dict[str, float]:
        """The numbers as the JSON of a simulation holds them."""
        return {"value": self.value, "se": self.standard_error}


def mollified_l2(modes: CosineModes, sample: Sample, coefficients: Array) -> Estimate:
    """Mollified L² distance between the particles' law and a density with coefficients c (m,), and its s.e.

    The variance of the squared distance is 4 (wδ)ᵀΣ(wδ)/N + 2 tr((wΣ)²)/N², Σ the covariance of the modes. The measured
    δ has noise of its own, which adds 4 tr((wΣ)²)/N² to the first term on average and is taken out again. The square
    root passes the variance on by the delta method, floored where the distance itself is lost in the noise.
    """
    gap = sample.mean - coefficients
    noise = modes.weights @ np.diag(sample.covariance) / sample.particles
    squared = float(modes.weights @ gap**2 - noise)
    lever = modes.weights * gap
    weighted = modes.weights[:, None] * sample.covariance
    floor = 2.0 * float(np.sum(weighted * weighted.T)) / sample.particles**2
    variance = 4.0 * float(lever @ sample.covariance @ lever) / sample.particles - floor
    spread = math.sqrt(max(variance, floor))
    value = math.sqrt(max(squared, 0.0))
    return Estimate(value, spread / (2.0 * value) if value**2 > spread else math.sqrt(spread))


def agreement(modes: CosineModes, sample: Sample, density: Array, reference: Array) -> float:
    """z of the particles against a density, along the density's own error: standard normal when they agree.

    The statistic Σ w_k a_k (φ̄_k − c_k) with a = c − c_reference is what moves the L² error to first order. Where the
    density is the reference (a = 0), a_k = 1/(1 + |k|) instead. coefficients (m,) each.

    Particles that all died, or all met in one point, show no spread: no error is stated that is smaller than what a
    single particle can add.
    """
    direction = density - reference
    if float(np.abs(direction).max()) <= 1e-6 * float(np.abs(density).max()):
        direction = 1.0 / (1.0 + np.linalg.norm(modes.numbers, axis=1))
    lever = modes.weights * direction / np.abs(direction).max()  # its scale cancels, and squares do not overflow
    variance = float(lever @ sample.covariance @ lever) / sample.particles
    single = float(np.abs(lever) @ modes.peaks) / sample.particles
    return float(lever @ (sample.mean - density)) / max(math.sqrt(max(variance, 0.0)), single)


def agreement_of_all_modes(modes: CosineModes, sample: Sample, density: Array) -> float:
    """Σ w_k [(φ̄_k − c_k)² − s_k²/N] in units of its own standard deviation when particles and density agree.

    As in `agreement`, that deviation is at least what a single particle can add.
    """
    gap = sample.mean - density
    noise = modes.weights @ np.diag(sample.covariance) / sample.particles
    weighted = modes.weights[:, None] * sample.covariance
    spread = math.sqrt(2.0 * float(np.sum(weighted * weighted.T))) / sample.particles
    single = float(modes.weights @ modes.peaks**2) / sample.particles**2
    return float(modes.weights @ gap**2 - noise) / max(spread, single)


def density_at(modes: CosineModes, sample: Sample, points: Array) -> tuple[Array, Array]:
    """The mollified density Σ w_k φ̄_k φ_k at points (n, d), and its standard errors: (n,) each.

    As every truncated series it may swing below zero.
    """
    lever = modes(points) * modes.weights
    variance = np.einsum("nk,kj,nj->n", lever, sample.covariance, lever, optimize=True) / sample.particles
    return lever @ sample.mean, np.sqrt(np.maximum(variance, 0.0))


def killed_mass(sums: Sums) -> Estimate:
    """The share of particles that absorbing walls killed."""
    share = 1.0 - float(sums.alive[0]) / sums.count
    return Estimate(share, math.sqrt(share * (1.0 - share) / sums.count))


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (d,) and covariance (d, d) of the particles that are alive, with standard errors of the same shapes."""

    mean: Array
    mean_standard_error: Array
    covariance: Array
    covariance_standard_error: Array

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a simulation holds them."""
        return {
            "mean": self.mean.tolist(),
            "mean_se": self.mean_standard_error.tolist(),
            "covariance": self.covariance.tolist(),
            "covariance_se": self.covariance_standard_error.tolist(),
        }


def moments(layout: Layout, sums: Sums) -> Moments | None:
    """Moments in the units of the box; None where fewer than two particles are alive.

    The variance of (a − α)(b − β), which the standard error of a covariance needs, is E(a − α)²(b − β)² − cov², with

        E(a − α)²(b − β)² = E a²b² − 2β E a²b − 2α E ab² + α² E b² + β² E a² + 4αβ E ab − 3α²β².
    """
    n = int(sums.alive[0])
    if n < 2:
        return None
    scale = sums.count / n  # from means over all to means over the living
    first, square = sums.mean(sums.powers)[:2] * scale
    ab, aab, aabb = sums.mean(sums.pairs) * scale
    covariance = ab - np.outer(first, first)
    alpha, beta = first[:, None], first[None, :]
    fourth = (
        aabb
        - 2.0 * beta * aab
        - 2.0 * alpha * aab.T
        + alpha**2 * square[None, :]
        + beta**2 * square[:, None]
        + 4.0 * alpha * beta * ab
        - 3.0 * alpha**2 * beta**2
    )
    spread = np.sqrt(np.maximum(fourth - covariance**2, 0.0) / n)
    half = layout.half
    centre = np.array([0.5 * (low + high) for low, high in layout.box])
    return Moments(
        centre + half * first,
        half * np.sqrt(np.maximum(np.diag(covariance), 0.0) / n),
        np.outer(half, half) * covariance * (n / (n - 1)),
        np.outer(half, half) * spread,
    )


def _tested(distance: Callable[[Counts], float], counts: Counts, null: Callable[[], Counts], repeats: int) -> NullTest:
    return null_test(distance(counts), np.array([distance(null()) for _ in range(repeats)]))


def wasserstein_1(layout: Layout, sums: Sums, density: Array, rng: np.random.Generator) -> NullTest:
    """W₁ on a line between the living particles and a density on the bins of the layout, (bins,)."""
    low, high = layout.box[0]
    edges = np.linspace(low, high, layout.bins + 1)
    share = _shares(density)
    n = int(sums.marginals[0].sum())

    def distance(counts: Counts) -> float:
        return distances.wasserstein_1(edges, counts / n, share)

    return _tested(distance, sums.marginals[0], lambda: rng.multinomial(n, share), REPEATS[1])


@dataclass(frozen=True, eq=False)
class Slicing:
    """How the cells of a grid fall into the bins of every direction: a sparse matrix (L·bins, cells)."""

    layout: Layout
    matrix: sp.csr_array

    @staticmethod
    def of_cells(layout: Layout, centres: tuple[Array, ...]) -> Slicing:
        """A grid of equal cells by their centres on each axis; each is spread over SPLIT^d points."""
        d, split = layout.dimension, SPLIT[layout.dimension]
        within = (np.arange(split) + 0.5) / split - 0.5
        fine = []
        for centre, (low, high) in zip(centres, layout.box, strict=True):
            size = (high - low) / len(centre)
            fine.append(((centre[:, None] + size * within) - 0.5 * (low + high)) / (0.5 * (high - low)))
        matrix = sp.csr_array((len(layout.directions) * layout.bins, math.prod(len(c) for c in centres)))
        for offset in np.ndindex(*(split,) * d):
            points = np.meshgrid(*(axis[:, k] for axis, k in zip(fine, offset, strict=True)), indexing="ij")
            along = layout.slices(np.stack([p.ravel() for p in points], axis=1))
            bins = np.clip(((along + 1.0) * 0.5 * layout.bins).astype(int), 0, layout.bins - 1)
            rows = (np.arange(bins.shape[1]) * layout.bins + bins).ravel()
            columns = np.repeat(np.arange(len(bins)), bins.shape[1])
            weight = np.full(len(rows), 1.0 / split**d)
            matrix = matrix + sp.csr_array((weight, (rows, columns)), shape=matrix.shape)
        return Slicing(layout, matrix)

    def __call__(self, cells: Counts) -> Array:
        """Amounts in cells (cells,) as amounts in the bins of every direction: (L, bins)."""
        return np.asarray((self.matrix @ cells).reshape(-1, self.layout.bins))


def sliced_wasserstein_2(slicing: Slicing, sums: Sums, density: Array, rng: np.random.Generator) -> NullTest:
    """√ of the mean over directions of W₂² between the living particles and a density on cells, (cells,)."""
    layout = slicing.layout
    share = _shares(density)
    target = slicing(share)
    n = int(sums.slices[0].sum())
    edges = [np.linspace(-reach, reach, layout.bins + 1) for reach in layout.reach]

    def distance(counts: Counts) -> float:
        squares = [distances.wasserstein_2(e, c / n, t) ** 2 for e, c, t in zip(edges, counts, target, strict=True)]
        return math.sqrt(float(np.mean(squares)))

    repeats = REPEATS[layout.dimension]
    return _tested(distance, sums.slices, lambda: slicing(rng.multinomial(n, share)), repeats)


def _shares(density: Array) -> Array:
    """Cell averages of a density as the shares of the cells, what lies below zero left out."""
    positive = np.maximum(np.asarray(density, dtype=float), 0.0)
    return np.asarray(positive / positive.sum())

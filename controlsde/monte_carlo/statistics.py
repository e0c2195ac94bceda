"""What particles say about a density: mode coefficients, an unbiased L² error, and tests against a density.

Comes in: positions at T, and densities on a fine grid. Goes out: estimates with standard errors.

Modes: φ_k orthonormal on the box, cosines between walls, cosines and sines when periodic, damped by
w_k = exp(−λ_k ε²), ε one thousandth of the box in 1-D (a mollifier). With particle means φ̄_k and coefficients c_k,

    L² ≈ Σ_k w_k [(φ̄_k − c_k)² − s_k² / N]

is an unbiased, signed estimate of the squared mollified L² distance: the noise floor s_k²/N is taken out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MODES = {1: 128, 2: 20, 3: 7}  # per axis
MOLLIFIER = {1: 0.001, 2: 0.01, 3: 0.03}  # ε as a share of the box
CHUNK = 16_384


@dataclass(frozen=True, eq=False)
class Modes:
    """The orthonormal modes of a box: wave numbers (m, d), and damping weights (m,)."""

    box: tuple[tuple[float, float], ...]
    periodic: bool
    numbers: NDArray[np.int64]
    weights: Array

    @staticmethod
    def of_box(box: tuple[tuple[float, float], ...], walls: str) -> Modes:
        """All modes with at most `MODES[d]` waves on each axis."""
        dimension = len(box)
        numbers = np.array(list(product(range(MODES[dimension]), repeat=dimension)))
        epsilon = MOLLIFIER[dimension]
        waves = 2.0 * np.ceil(numbers / 2) if walls == "periodic" else numbers
        return Modes(box, walls == "periodic", numbers, np.exp(-np.sum((np.pi * waves * epsilon) ** 2, axis=1)))

    @property
    def peaks(self) -> Array:
        """Largest |φ| of each mode, (m,)."""
        volume = math.prod(high - low for low, high in self.box)
        return np.asarray(np.sqrt(2.0 ** np.count_nonzero(self.numbers, axis=1) / volume))

    def __call__(self, x: Array) -> Array:
        """φ at points (n, d): shape (n, m)."""
        values = np.ones((len(x), len(self.numbers)))
        for axis, (low, high) in enumerate(self.box):
            one = self._axis(x[:, axis], low, high, int(self.numbers[:, axis].max()) + 1)
            values *= one[:, self.numbers[:, axis]]
        return values

    def _axis(self, x: Array, low: float, high: float, count: int) -> Array:
        """1-D modes 0 … count−1: (n, count)."""
        k = np.arange(count)
        phase = (x - low)[:, None] / (high - low)
        scale = np.where(k == 0, 1.0, math.sqrt(2.0)) / math.sqrt(high - low)
        if not self.periodic:
            return np.asarray(scale * np.cos(np.pi * k * phase))
        angle = 2.0 * np.pi * np.ceil(k / 2) * phase
        return np.asarray(scale * np.where(k % 2 == 0, np.cos(angle), np.sin(angle)))

    def of_density(self, points: Array, weights: Array, values: Array) -> Array:
        """c_k = ∫ φ_k ρ by quadrature over points (n, d): shape (m,)."""
        total = np.zeros(len(self.numbers))
        for first in range(0, len(points), CHUNK):
            part = slice(first, first + CHUNK)
            total += (weights[part] * values[part]) @ self(points[part])
        return total


@dataclass(frozen=True, eq=False)
class Sample:
    """Means (m,) and covariance (m, m) of the modes over N particles; the dead count as zero."""

    particles: int
    mean: Array
    covariance: Array
    alive_fraction: float


def summarise(modes: Modes, positions: Array, alive: NDArray[np.bool_]) -> Sample:
    """Sufficient statistics of positions (N, d)."""
    total = np.zeros(len(modes.numbers))
    square = np.zeros((len(total), len(total)))
    for first in range(0, len(positions), CHUNK):
        values = modes(positions[first : first + CHUNK]) * alive[first : first + CHUNK, None]
        total += values.sum(axis=0)
        square += values.T @ values
    count = len(positions)
    mean = total / count
    covariance = (square / count - np.outer(mean, mean)) * count / (count - 1)
    return Sample(count, mean, covariance, float(alive.mean()))


@dataclass(frozen=True)
class Distance:
    """An L² distance with its standard error."""

    value: float
    standard_error: float


def mollified_l2(modes: Modes, sample: Sample, coefficients: Array) -> Distance:
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
    return Distance(value, spread / (2.0 * value) if value**2 > spread else math.sqrt(spread))


def agreement(modes: Modes, sample: Sample, density: Array, reference: Array) -> float:
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


def agreement_of_all_modes(modes: Modes, sample: Sample, density: Array) -> float:
    """Σ w_k [(φ̄_k − c_k)² − s_k²/N] in units of its own standard deviation when particles and density agree.

    As in `agreement`, that deviation is at least what a single particle can add.
    """
    gap = sample.mean - density
    noise = modes.weights @ np.diag(sample.covariance) / sample.particles
    weighted = modes.weights[:, None] * sample.covariance
    spread = math.sqrt(2.0 * float(np.sum(weighted * weighted.T))) / sample.particles
    single = float(modes.weights @ modes.peaks**2) / sample.particles**2
    return float(modes.weights @ gap**2 - noise) / max(spread, single)

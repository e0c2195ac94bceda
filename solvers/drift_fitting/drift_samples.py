"""Exact samples of the reference on one piece, with the exact drift at each: what a fit in free space is made to.

    ∫_piece E |v(x) − v*(t, x)|² dt / Δt  ≈  Σ_i mass_i |v(x_i) − v*_i|²,        x_i of p(t_i, ·),  Σ_i mass_i ≈ 1.

Comes in: a reference and a stretch of time. Goes out: `DriftSampler`, which draws `DriftSamples`. As the data come
near, v* may grow tenfold within a piece, and draws at times alike would leave the loss to the few at its end. So half
of the times are drawn where |v*|² is, the other half alike, and masses make up for it. They are stratified, and GROUPS
moments make all of one pool, for each needs a mixture of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.reference.free_space import FreeReference

Array = NDArray[np.float64]

GROUPS = 16  # moments of a pool
STRATA, PILOT = 16, 64  # of the first look at |v*|², and the points of each
DEFENSIVE = 0.5  # share of the times that are drawn alike


@dataclass(frozen=True, eq=False)
class DriftSamples:
    """Points (N, d), the exact drift there (N, d), and what each counts, (N,)."""

    points: Array
    drifts: Array
    mass: Array

    def __len__(self) -> int:
        return len(self.points)

    @property
    def square(self) -> float:
        """Σ mass |v*|²."""
        return float(np.einsum("n,nd,nd->", self.mass, self.drifts, self.drifts))

    def joined(self, other: DriftSamples) -> DriftSamples:
        """Both, each with the mass that its number gives it."""
        share = len(self) / (len(self) + len(other))
        return DriftSamples(
            np.concatenate([self.points, other.points]),
            np.concatenate([self.drifts, other.drifts]),
            np.concatenate([share * self.mass, (1.0 - share) * other.mass]),
        )


@dataclass(frozen=True, eq=False)
class DriftSampler:
    """The reference under noise η on [begin, end]; chances: of each of STRATA equal parts of it, (STRATA,)."""

    reference: FreeReference
    noise: float
    begin: float
    end: float
    chances: Array

    @staticmethod
    def of(reference: FreeReference, noise: float, begin: float, end: float, rng: np.random.Generator) -> DriftSampler:
        """Look at E|v*|² in the middle of each part, and let times follow it."""
        middles = begin + (end - begin) * (np.arange(STRATA) + 0.5) / STRATA
        squares = np.empty(STRATA)
        for i, t in enumerate(middles):
            points = reference.sample(float(t), PILOT, rng)
            squares[i] = np.einsum("nd,nd->", drift := reference.exact_drift(float(t), points, noise), drift)
        total = squares.sum()
        follow = squares / total if total > 0.0 else np.full(STRATA, 1.0 / STRATA)
        return DriftSampler(reference, noise, begin, end, DEFENSIVE / STRATA + (1.0 - DEFENSIVE) * follow)

    def draw(self, count: int, rng: np.random.Generator) -> DriftSamples:
        """About `count` samples: as many at each of GROUPS moments."""
        each = -(-count // GROUPS)
        reached = np.concatenate([[0.0], np.cumsum(self.chances)])
        levels = (np.arange(GROUPS) + rng.uniform(size=GROUPS)) / GROUPS
        places = np.interp(levels, reached / reached[-1], np.arange(STRATA + 1))  # in parts
        times = self.begin + (self.end - self.begin) * places / STRATA
        chance = self.chances[np.minimum(places.astype(int), STRATA - 1)]
        points = [self.reference.sample(float(t), each, rng) for t in times]
        drifts = [self.reference.exact_drift(float(t), x, self.noise) for t, x in zip(times, points, strict=True)]
        mass = np.repeat(1.0 / (STRATA * chance), each) / (GROUPS * each)
        return DriftSamples(np.concatenate(points), np.concatenate(drifts), mass)

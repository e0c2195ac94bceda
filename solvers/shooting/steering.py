"""The objective of steered particles: how far they are from the reference at the ends of pieces, and its gradient.

    J(θ) = ½ w_R Σ_k Δt_k E(t_{k+1}) + ½ w_T E(T) + ½ r Σ_k Δt_k |θ_k|²,
    E(t) = Σ_g ‖K_g * (ρ(t) − p(t))‖² / sd_g(t),

each square an unbiased U-statistic of n particles, which may fall below zero, and sd_g its standard deviation where the
particles are draws of p. So every scale counts by what it can tell. One scale alone can be satisfied by a density that
is wrong at all others: several are the rule.

Comes in: a tracking problem in free space, the number of particles. Goes out: `Steering`, which measures weights on
particles of any seed: the same seed means the same starts and increments (common random numbers), in which J is smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import loky
import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.surroundings import own_settings
from controlsde.solvers.shooting.particle_paths import ParticlePaths
from controlsde.solvers.workers import MOST_THREADS
from controlsde.tracking.free_tracking import FreeTracking
from controlsde.tracking.mollified import Mollified, automatic_scales

Array = NDArray[np.float64]
T = TypeVar("T")

FEWEST_STEPS = 32  # of Heun's method on [0, T],
FEWEST_A_PIECE = 2  # and on a piece
NULLS = 99  # told apart from particles, in seeds


def steps_per_piece(pieces: int) -> int:
    """Heun steps on each piece."""
    return max(FEWEST_A_PIECE, -(-FEWEST_STEPS // pieces))


@dataclass(frozen=True, eq=False)
class Steering:
    """errors: of the end of every piece. prices: of each scale there, ½ (w_R Δt_k [+ w_T]) / sd_g, (K, G)."""

    tracking: FreeTracking
    particles: int
    seed: int
    errors: tuple[Mollified, ...]
    prices: Array

    @staticmethod
    def of(tracking: FreeTracking, particles: int, seed: int) -> Steering:
        """Mixtures at the ends of the pieces, and null deviations, which take draws."""
        reference, ends = tracking.reference, tracking.edges[1:]
        given = tracking.scales
        scales = automatic_scales(reference.mixture(tracking.horizon), particles) if given == "auto" else given
        shares = 0.5 * tracking.running * tracking.durations
        shares[-1] += 0.5 * tracking.terminal

        def at(k: int) -> tuple[Mollified, Array]:
            error = Mollified.of(reference.mixture(float(ends[k])), scales)
            return error, shares[k] / error.null_deviations(particles, np.random.default_rng([seed, NULLS, k]))

        found = _side_by_side(at, range(tracking.pieces))
        return Steering(tracking, particles, seed, tuple(one for one, _ in found), np.stack([two for _, two in found]))

    def paths(self, number: int) -> ParticlePaths:
        """The particles of a number: one means those of training, and others fresh ones."""
        tracking = self.tracking
        steps = steps_per_piece(tracking.pieces)
        stretches = zip(tracking.edges[:-1], tracking.edges[1:], strict=True)
        diffusivity = tracking.diffusivity
        variances = [2.0 * diffusivity.mean(float(a), float(b)) * (b - a) / steps for a, b in stretches]
        starts = tracking.reference.sample_initial(self.particles, np.random.default_rng([self.seed, number]))
        return ParticlePaths(tracking.network, tracking.edges, np.array(variances), steps, starts, (self.seed, number))

    def value(self, weights: Array, number: int) -> float:
        """J of weights (K, P) on the particles of a number."""
        states = list(self.paths(number).states(weights))
        return float(sum(value for value, _ in self._measured(states)) + self._effort(weights))

    def value_and_gradient(self, weights: Array, number: int) -> tuple[float, Array]:
        """J, and its derivative by weights (K, P)."""
        value, gradient = self.paths(number).value_and_gradient(weights, self._measured)
        return value + self._effort(weights), gradient + self._price * weights

    def _measured(self, states: Sequence[Array]) -> list[tuple[float, Array]]:
        def at(k: int) -> tuple[float, Array]:
            return self.errors[k].value_and_gradient(states[k], self.prices[k])

        return _side_by_side(at, range(len(states)))

    @property
    def _price(self) -> Array:
        return np.asarray(self.tracking.effort * self.tracking.durations[:, None])

    def _effort(self, weights: Array) -> float:
        return 0.5 * float((self._price * weights**2).sum())


def _side_by_side(work: Callable[[int], T], which: range) -> list[T]:
    """In threads: products of matrices and exponentials let each other run."""

    def in_own_settings(k: int) -> T:
        with own_settings():
            return work(k)

    with ThreadPoolExecutor(min(loky.cpu_count(), MOST_THREADS, len(which))) as pool:
        return list(pool.map(in_own_settings, which))

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
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.threads import side_by_side
from controlsde.solvers.shooting.particle_paths import ParticlePaths
from controlsde.tracking.free_lengths import slopes_in_logits
from controlsde.tracking.free_tracking import FreeTracking
from controlsde.tracking.mollified import Mollified, automatic_scales
from controlsde.tracking.mollified_course import MollifiedCourse

Array = NDArray[np.float64]

FEWEST_STEPS = 32  # of Heun's method on [0, T],
FEWEST_A_PIECE = 2  # and on a piece
NULLS = 99  # told apart from particles, in seeds


def steps_per_piece(pieces: int) -> int:
    """Heun steps on each piece."""
    return max(FEWEST_A_PIECE, -(-FEWEST_STEPS // pieces))


@dataclass(frozen=True, eq=False)
class Ends:
    """The pieces and what is measured at the end of each: errors, and prices of their scales.

    edges (K+1,). shares: ½ (w_R Δt_k [+ w_T]), (K,). prices: of each scale, the share over sd_g, (K, G).
    """

    edges: Array
    errors: tuple[Mollified, ...]
    shares: Array
    prices: Array

    @staticmethod
    def of(tracking: FreeTracking, edges: Array, at: Callable[[int], tuple[Mollified, Array]]) -> Ends:
        """at(k): T_g and sd_g at the end of piece k."""
        shares = 0.5 * tracking.running * np.diff(edges)
        shares[-1] += 0.5 * tracking.terminal
        found = side_by_side(at, range(tracking.pieces))
        prices = np.stack([share / deviations for share, (_, deviations) in zip(shares, found, strict=True)])
        return Ends(edges, tuple(error for error, _ in found), shares, prices)


@dataclass(frozen=True, eq=False)
class Steering:
    """own: the ends of pieces whose lengths are given. course: what moving ends are measured by, where they are free.

    Weights are (K, P), and (K, P + 1) where lengths are free: see `free_tracking`.
    """

    tracking: FreeTracking
    particles: int
    seed: int
    own: Ends | None
    course: MollifiedCourse | None

    @staticmethod
    def of(tracking: FreeTracking, particles: int, seed: int) -> Steering:
        """Mixtures at the ends of the pieces, and null deviations, which take draws."""
        reference, given = tracking.reference, tracking.scales
        scales = automatic_scales(reference.mixture(tracking.horizon), particles) if given == "auto" else given
        if tracking.shortest is not None:
            course = MollifiedCourse.of(reference, scales, particles, (seed, NULLS))
            return Steering(tracking, particles, seed, None, course)

        def at(k: int) -> tuple[Mollified, Array]:
            error = Mollified.of(reference.mixture(float(tracking.edges[k + 1])), scales)
            return error, error.null_deviations(particles, np.random.default_rng([seed, NULLS, k]))

        return Steering(tracking, particles, seed, Ends.of(tracking, tracking.edges, at), None)

    def ends(self, weights: Array) -> Ends:
        """The pieces that weights stand for, and what is measured at their ends."""
        if self.course is None:
            assert self.own is not None  # one of the two is there
            return self.own
        course, edges = self.course, self.tracking.edges_of(weights)
        return Ends.of(self.tracking, edges, lambda k: course.at(float(edges[k + 1])))

    def paths(self, edges: Array, number: int) -> ParticlePaths:
        """The particles of a number: one means those of training, and others fresh ones."""
        tracking = self.tracking
        steps = steps_per_piece(tracking.pieces)
        stretches = pairwise(edges)
        diffusivity = tracking.diffusivity
        variances = [2.0 * diffusivity.mean(float(a), float(b)) * (b - a) / steps for a, b in stretches]
        starts = tracking.reference.sample_initial(self.particles, np.random.default_rng([self.seed, number]))
        return ParticlePaths(tracking.network, edges, np.array(variances), steps, starts, (self.seed, number))

    def value(self, weights: Array, number: int) -> float:
        """J of weights on the particles of a number."""
        ends, own = self.ends(weights), self._of_network(weights)
        states = list(self.paths(ends.edges, number).states(own))
        return float(sum(value for value, _ in _measured(ends, states)) + self._efforts(ends, own).sum())

    def value_and_gradient(self, weights: Array, number: int) -> tuple[float, Array]:
        """J, and its derivative by weights."""
        ends, own = self.ends(weights), self._of_network(weights)
        paths = self.paths(ends.edges, number)
        states = list(paths.states(own))
        measured, efforts = _measured(ends, states), self._efforts(ends, own)
        errors = np.array([value for value, _ in measured])
        gradient, by_lengths = paths.gradient(own, states, [slope for _, slope in measured])
        gradient += self.tracking.effort * np.diff(ends.edges)[:, None] * own
        if self.course is not None:
            by_lengths += efforts / np.diff(ends.edges)  # ½ r |θ_k|²
            by_lengths += self._moving(self.course, ends, states, errors)
            gradient = np.append(gradient, self._in_logits(by_lengths, weights[:, -1])[:, None], axis=1)
        return float(errors.sum() + efforts.sum()), gradient

    def _moving(self, course: MollifiedCourse, ends: Ends, states: Sequence[Array], errors: Array) -> Array:
        """∂/∂Δt_k of Σ_j share_j E(t_{j+1}) where particles stay: of the shares, and of the later times."""
        tracking = self.tracking
        of_shares = np.zeros_like(errors)
        if tracking.running:
            of_shares = 0.5 * tracking.running * errors / ends.shares
        last = tracking.pieces - 1  # whose end is T, always
        slopes = side_by_side(lambda k: course.slope(float(ends.edges[k + 1]), states[k]), range(last)) if last else []
        of_times = ends.shares * np.array([*slopes, 0.0])
        return np.asarray(of_shares + np.cumsum(of_times[::-1])[::-1])

    def _in_logits(self, slopes: Array, logits: Array) -> Array:
        assert self.tracking.shortest is not None  # lengths are free
        return slopes_in_logits(slopes, logits, self.tracking.shortest, self.tracking.horizon)

    def _of_network(self, weights: Array) -> Array:
        """Weights (K, P) without lengths."""
        return weights[:, : len(self.tracking.bound)]

    def _efforts(self, ends: Ends, weights: Array) -> Array:
        """½ r Δt_k |θ_k|², (K,)."""
        return np.asarray(0.5 * self.tracking.effort * np.diff(ends.edges) * (weights**2).sum(axis=1))


def _measured(ends: Ends, states: Sequence[Array]) -> list[tuple[float, Array]]:
    """Share times error at the end of every piece, and its derivative by the particles there."""
    return side_by_side(lambda k: ends.errors[k].value_and_gradient(states[k], ends.prices[k]), range(len(states)))

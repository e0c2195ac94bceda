"""Lengths of the pieces as controls: what a piece's length is of the weights' last column, and back.

With K pieces, no shorter than s, on a horizon T, and one number z_k for each piece,

    Δt_k = s + (T − K s) σ_k,      σ = softmax(z):

positive, with the right sum, and free of constraints for whoever minimises. Adding a constant to all z changes nothing.
A length at its limit is reached as z_k → −∞ alone: to ten digits, then.

Comes in: a tracking problem, and z (K,). Goes out: the same problem with its pieces so long; and what is an expansion
of J in (θ, Δt) as one in (θ, z).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.tracking.expansion import Expansion
from controlsde.tracking.target_course import TargetCourse
from controlsde.tracking.time_grid import TimeGrid

Array = NDArray[np.float64]

LARGEST_LOGIT = 25.0  # |z|, so that lengths reach from e⁻⁵⁰ of the longest to the longest


def logits_of(lengths: Array, shortest: float) -> Array:
    """A z (K,), of mean zero before it is cut to its bounds, that has these lengths (K,), none below the shortest."""
    lengths = np.asarray(lengths, dtype=float)
    logs = np.log(np.maximum(lengths - shortest, lengths.sum() * np.exp(-2.0 * LARGEST_LOGIT)))
    return np.asarray(np.clip(logs - logs.mean(), -LARGEST_LOGIT, LARGEST_LOGIT))


def shares_of(logits: Array) -> Array:
    """σ = softmax(z), (K,)."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def lengths_of(logits: Array, shortest: float, horizon: float) -> Array:
    """Δt (K,) of z (K,)."""
    return np.asarray(shortest + (horizon - len(logits) * shortest) * shares_of(logits))


def slopes_in_logits(slopes: Array, logits: Array, shortest: float, horizon: float) -> Array:
    """∂J/∂z (K,) of ∂J/∂Δt (K,)."""
    share = shares_of(logits)
    return np.asarray((horizon - len(logits) * shortest) * share * (slopes - share @ slopes))


@dataclass(frozen=True, eq=False)
class FreeLengths:
    """What the discrete problem needs to know to be posed anew on other pieces."""

    shortest: float  # s
    horizon: float  # T
    course: TargetCourse
    running: float
    effort: float
    variation: float

    def shares(self, logits: Array) -> Array:
        """σ = softmax(z), (K,)."""
        return shares_of(logits)

    def lengths(self, logits: Array) -> Array:
        """Δt (K,) of z (K,)."""
        return lengths_of(logits, self.shortest, self.horizon)

    def grid(self, grid: TimeGrid, logits: Array) -> TimeGrid:
        """The time grid with pieces of these lengths."""
        edges = np.concatenate([[0.0], np.cumsum(self.lengths(logits))])
        edges[-1] = self.horizon
        return replace(grid, edges=edges)

    def gradient_in_logits(self, gradient: Array, logits: Array) -> Array:
        """∂J/∂(θ, z) (K, P + 1) of ∂J/∂(θ, Δt)."""
        slopes = slopes_in_logits(gradient[:, -1], logits, self.shortest, self.horizon)
        return np.append(gradient[:, :-1], slopes[:, None], axis=1)

    def in_logits(self, expansion: Expansion, logits: Array) -> Expansion:
        """J to second order in (θ, z) where it is known in (θ, Δt), both flattened (K·(P + 1),).

        The direction in which all z grow alike changes nothing; the matrices are given a curvature there, for those
        who want them positive definite.
        """
        pieces, share = len(logits), self.shares(logits)
        spare = self._spare(pieces)
        size = len(expansion.gradient) // pieces
        own = np.arange(pieces) * size + size - 1
        slope = spare * (np.diag(share) - np.outer(share, share))  # ∂Δt/∂z
        slopes = expansion.gradient[own]
        centred = slopes - share @ slopes
        bend = spare * (np.diag(share * centred) - np.outer(share, share) * np.add.outer(centred, centred))

        def turned(matrix: Array, more: Array | float) -> Array:
            found = matrix.copy()
            found[own] = slope @ found[own]
            found[:, own] = found[:, own] @ slope
            block = found[np.ix_(own, own)] + more
            found[np.ix_(own, own)] = block + float(np.abs(np.diag(block)).mean() or 1.0) / pieces
            return found

        gradient = expansion.gradient.copy()
        gradient[own] = spare * share * centred
        return Expansion(
            expansion.value, gradient, turned(expansion.gauss_newton, 0.0), turned(expansion.hessian, bend)
        )

    def _spare(self, pieces: int) -> float:
        return self.horizon - pieces * self.shortest

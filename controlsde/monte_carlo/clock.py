"""The clock of a simulation in whole numbers: step s belongs to one piece, and no time is ever added up.

Comes in: the edges of the pieces, D(t), steps a piece. Goes out: for every step its piece, its time, its length, and
the standard deviations of the noise that it draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.diffusivity import Diffusivity, step_means

Array = NDArray[np.float64]

ROUNDING = 1e-9  # of a length over the mean of all: pieces that are equal but for rounding are equal


@dataclass(frozen=True, eq=False)
class Clock:
    """S steps. piece, begin, length: (S,); deviation: (S, draws), of each normal number that a step adds up.

    deviation[s, q] = √(2∫D dt) over the q-th part of step s: a step that draws more than one number moves along the
    same Brownian path as a clock with `draws` times as many steps.
    """

    piece: NDArray[np.int32]
    begin: Array
    length: Array
    deviation: Array

    @staticmethod
    def of(edges: Array, diffusivity: Diffusivity, steps_per_piece: int, draws: int = 1) -> Clock:
        """Equal steps on each of K pieces between `edges` (K+1,).

        So many in a piece no longer than the mean, and the double, the triple, … in a longer one, so that no step is
        longer than those of equal pieces.
        """
        durations = np.diff(edges)
        times = np.ceil(durations / durations.mean() - ROUNDING).astype(int)
        steps = steps_per_piece * np.maximum(times, 1)
        lengths = durations / steps
        means = [
            step_means(diffusivity, edges[k : k + 2], count * draws).ravel() for k, count in enumerate(steps.tolist())
        ]
        halves = [np.sqrt(2.0 * mean * (length / draws)) for mean, length in zip(means, lengths, strict=True)]
        return Clock(
            np.repeat(np.arange(len(steps), dtype=np.int32), steps),
            np.concatenate([start + h * np.arange(n) for start, h, n in zip(edges[:-1], lengths, steps, strict=True)]),
            np.repeat(lengths, steps),
            np.concatenate(halves).reshape(-1, draws),
        )

    @property
    def steps(self) -> int:
        """S, over all pieces."""
        return len(self.piece)

    @property
    def draws(self) -> int:
        """Normal numbers that one step adds up in each dimension."""
        return int(self.deviation.shape[1])

    @property
    def variance(self) -> Array:
        """2∫D dt of every step, (S,)."""
        return np.asarray(np.sum(self.deviation**2, axis=1))

    def part(self, first: int, last: int) -> Clock:
        """The steps from number `first` to before number `last`."""
        part = slice(first, last)
        return Clock(self.piece[part], self.begin[part], self.length[part], self.deviation[part])

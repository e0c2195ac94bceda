"""Time-multiplexing: a wide network that is played, group by group, by a narrow one.

Comes in: weights of a network of q·m neurons on periods of time. Goes out: weights of a network of m neurons on the
pieces of every period, one slot a piece, in which group g of the neurons acts alone with its outer weights scaled by
period length / time of its slots:

    mean over the period of v_narrow = Σ_g share_g · (A_g / share_g) σ(W_g x + b_g) = v_wide,      share_g: of the time.

The flow of the parts in turn follows that of their sum as operator splitting does: with an error of first order in the
length of the period for 1, …, q, and of second order for the palindrome 1, …, q, q, …, 1 of equal pieces (Strang 1968).

Layout: group g is the neurons g·m … (g+1)·m − 1 of the wide network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import Network
from controlsde.solvers.drift_fitting.options import Ordering

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Multiplexing:
    """How a narrow network plays a wide one of `groups` times its width on G periods of S pieces each."""

    network: Network  # the narrow one
    groups: int  # q
    slots: NDArray[np.int64]  # (S,): the group that acts in each piece of a period
    durations: Array  # (G, S)

    @staticmethod
    def of(network: Network, ordering: Ordering, groups: int, durations: Array) -> Multiplexing:
        """The turns in an ordering, on pieces of given durations (K,) whose number periods must divide."""
        forward = np.arange(groups)
        slots = forward if ordering == "forward" else np.concatenate([forward, forward[::-1]])
        return Multiplexing(network, groups, slots, durations.reshape(-1, len(slots)))

    @property
    def wide(self) -> Network:
        """The network of all groups together."""
        return replace(self.network, width=self.groups * self.network.width)

    @property
    def shares(self) -> Array:
        """Share of each period that each group acts, (G, q)."""
        turns = self.slots[:, None] == np.arange(self.groups)
        return np.asarray(self.durations @ turns / self.durations.sum(axis=1, keepdims=True))

    def played(self, weights: Array) -> Array:
        """The narrow network's weights (G·S, P) for weights (G, P_wide)."""
        a, w, b = self._grouped(weights)
        parts = (a / self.shares[:, :, None, None], w, b)
        narrow = self.network.join(*(part[:, self.slots] for part in parts))
        return narrow.reshape(-1, narrow.shape[-1])

    def heard(self, weights: Array) -> Array:
        """The wide network's weights (G, P_wide) in weights (G·S, P): what `played` made them of, by first turns."""
        first = np.argmax(self.slots[:, None] == np.arange(self.groups), axis=0)
        each = weights.reshape(*self.durations.shape, -1)[:, first]  # (G, q, P)
        a, w, b = self.network.split(each)
        return self._joined(a * self.shares[:, :, None, None], w, b)

    def bound(self, narrow: Array) -> Array:
        """Bounds (G, P_wide) within which the narrow weights that are played keep theirs, (P,)."""
        a, w, b = self._spread(narrow)
        return self._joined(a * self.shares[:, :, None, None], w, b)

    def price(self, effort: float) -> Array:
        """Prices (G, P_wide) a unit of time, at which the wide weights cost what those that are played cost at r.

        r Σ_slots Δt (|A_g/share|² + |W_g|² + |b_g|²) = period · Σ_g (r/share |A_g|² + r·share (|W_g|² + |b_g|²)).
        """
        a, w, b = self._spread(np.full(self.network.weights_per_piece, effort))
        share = self.shares
        return self._joined(a / share[..., None, None], w * share[..., None, None], b * share[..., None])

    def _grouped(self, weights: Array) -> tuple[Array, Array, Array]:
        """A (G, q, d, m), W (G, q, m, d), b (G, q, m) of wide weights (G, P_wide)."""
        a, w, b = self.wide.split(weights)
        d, m = self.network.dimension, self.network.width
        lead = (len(weights), self.groups)
        by_group = a.reshape(len(weights), d, self.groups, m).swapaxes(1, 2)
        return by_group, w.reshape(*lead, m, d), b.reshape(*lead, m)

    def _joined(self, a: Array, w: Array, b: Array) -> Array:
        """Wide weights (G, P_wide) of A (G, q, d, m), W (G, q, m, d), b (G, q, m)."""
        count, width, d = len(a), self.wide.width, self.network.dimension
        together = a.swapaxes(1, 2).reshape(count, d, width)
        return self.wide.join(together, w.reshape(count, width, d), b.reshape(count, width))

    def _spread(self, narrow: Array) -> tuple[Array, Array, Array]:
        """One set of narrow weights (P,) for every group of every period."""
        shape = (*self.shares.shape, len(narrow))
        a, w, b = self.network.split(np.broadcast_to(narrow, shape))
        return a, w, b

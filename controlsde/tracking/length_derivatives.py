"""What the lengths of the pieces do to J but for the state equation: targets, quadrature, energy, regularisation.

With step l of piece k and stage i at t_kli = t_k + (l + c_i) Δt_k/S, a length Δt_j moves the stage times by

    m_jkli = 1 for j < k,      (l + c_i)/S for j = k,      0 else,

and with them the targets p(t_kli). Where e = Y − p, G = RᵀR e, and c the weights in time, of which the running part
grows with the length of its own piece,

    ∂J/∂Δt_j = Σ ⟨Λ_i, Y_i − ρ⟩/Δt_j                            through the state equation: A enters with h = Δt_j/S
             − Σ c ⟨G, p′⟩ m_j                                  the targets move
             + Σ_(piece j) (c_running ½⟨e, G⟩ + energy)/Δt_j    the quadrature grows
             + ∂ regularisation/∂Δt_j.

Second derivatives that do not go through a sensitivity of the density are here; those that do are where it is made.
Derived here; tested against differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.tracking.free_lengths import FreeLengths
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LengthDerivatives:
    """For a problem on settled pieces, its free lengths, weights (K, P) and stage densities (K, S, s, n)."""

    tracking: TrackingProblem
    free: FreeLengths
    weights: Array
    stages: Array

    @cached_property
    def moves(self) -> Array:
        """m: by how much each length moves each stage time, (K, K, S, s)."""
        grid = self.tracking.grid
        offset = (grid.stage_times - grid.edges[:-1, None, None]) / grid.durations[:, None, None]
        later = np.arange(grid.pieces)[None, :] > np.arange(grid.pieces)[:, None]
        moves = np.broadcast_to(later[:, :, None, None], (grid.pieces, *offset.shape)).astype(float)
        moves[np.arange(grid.pieces), np.arange(grid.pieces)] = offset
        return moves

    @cached_property
    def target_rates(self) -> Array:
        """p′ at the stages, (K, S, s, n)."""
        return self.free.course.at(self.tracking.grid.stage_times, 1)

    def gradient(self, multipliers: Array) -> Array:
        """∂J/∂Δt (K,), for the stage multipliers Λ (K, S, s, n) of the adjoint."""
        tracking = self.tracking
        initial = np.concatenate(
            [tracking.initial[None], self.stages[:, :, -1].reshape(-1, len(tracking.initial))[:-1]]
        )
        moved = self.stages - initial.reshape(*self.stages.shape[:2], 1, -1)
        own = np.einsum("kSsn,kSsn->k", multipliers, moved) + self._running + self._energy
        targets = -np.einsum("kSs,jkSs->j", tracking.time_weight * self._pulled, self.moves)
        return np.asarray(own / tracking.grid.durations + targets + self._regularisation[0])

    def curvature(self, drift_part: Array) -> tuple[Array, Array]:
        """∂²J/∂Δt∂Δt (K, K) and ∂²J/∂Δt∂θ (K, K, P), sensitivities of the density apart.

        drift_part: ∂J/∂θ (K, P) at the densities as they are, regularisation apart.
        """
        tracking = self.tracking
        durations = tracking.grid.durations
        bends = np.einsum("kSsn,kSsn->kSs", self._slope, self.free.course.at(tracking.grid.stage_times, 2))
        both = -np.einsum("kSs,ikSs,jkSs->ij", tracking.time_weight * bends, self.moves, self.moves, optimize=True)
        grown = np.einsum("kSs,jkSs->kj", self._running_weight * self._pulled, self.moves) / durations[:, None]
        _, lengths, mixed = self._regularisation
        mixed = mixed.copy()
        every = np.arange(len(durations))
        mixed[every, every] += drift_part / durations[:, None]
        return both - grown - grown.T + lengths, mixed

    @cached_property
    def _slope(self) -> Array:
        """G = RᵀR(Y − p), (K, S, s, n)."""
        return np.asarray(self.tracking.metric.apply(self.stages - self.tracking.targets))

    @cached_property
    def _pulled(self) -> Array:
        """⟨G, p′⟩, (K, S, s)."""
        return np.asarray(np.einsum("kSsn,kSsn->kSs", self._slope, self.target_rates))

    @cached_property
    def _running_weight(self) -> Array:
        return self.free.running * self.tracking.grid.quadrature

    @cached_property
    def _running(self) -> Array:
        """∫ of half the squared error over each piece, times the running weight, (K,)."""
        error = self.stages - self.tracking.targets
        halves = 0.5 * np.einsum("kSsn,kSsn->kSs", error, self._slope)
        return np.asarray((self._running_weight * halves).sum(axis=(1, 2)))

    @cached_property
    def _energy(self) -> Array:
        """The priced energy of each piece, (K,)."""
        tracking = self.tracking
        if tracking.energy_price == 0.0:
            return np.zeros(tracking.grid.pieces)
        speeds = tracking.kinetic_weight(tracking.drift_values(self.weights))
        return np.asarray(
            0.5 * np.einsum("kSs,kSsn,kn->k", tracking.energy_weight, np.maximum(self.stages, 0.0), speeds)
        )

    @cached_property
    def _regularisation(self) -> tuple[Array, Array, Array]:
        """Of ½ Σ r Δt_k |θ_k|² + ½ Σ μ |θ_{k+1} − θ_k|²/τ_k, τ_k = ½(Δt_k + Δt_{k+1}): by Δt, Δt twice, Δt and θ."""
        weights, durations = self.weights, self.tracking.grid.durations
        pieces, size = weights.shape
        first = 0.5 * self.free.effort * np.sum(weights**2, axis=1)
        second, mixed = np.zeros((pieces, pieces)), np.zeros((pieces, pieces, size))
        every = np.arange(pieces)
        mixed[every, every] = self.free.effort * weights
        for k in range(pieces - 1):
            jump, tau = weights[k + 1] - weights[k], 0.5 * (durations[k] + durations[k + 1])
            ends = [k, k + 1]
            first[ends] -= 0.25 * self.free.variation * (jump @ jump) / tau**2
            second[np.ix_(ends, ends)] += 0.25 * self.free.variation * (jump @ jump) / tau**3
            mixed[ends, k + 1] -= 0.5 * self.free.variation * jump / tau**2
            mixed[ends, k] += 0.5 * self.free.variation * jump / tau**2
        return first, second, mixed


def with_lengths(weights: Array, lengths: Array) -> Array:
    """(K, P) and (K,) as (K, P + 1)."""
    return np.append(weights, lengths[:, None], axis=1)


def among_lengths(matrix: NDArray[Any], pieces: int) -> Array:
    """(K·P, K·P) as (K·(P + 1), K·(P + 1)), with zeros for the lengths."""
    size = len(matrix) // pieces
    found = np.zeros((pieces, size + 1, pieces, size + 1))
    found[:, :size, :, :size] = matrix.reshape(pieces, size, pieces, size)
    return found.reshape(pieces * (size + 1), -1)


def length_blocks(lengths: Array, mixed: Array) -> Array:
    """∂²/∂Δt∂Δt (K, K) and ∂²/∂Δt∂θ (K, K, P) as a matrix (K·(P + 1), K·(P + 1)), both halves of it."""
    pieces, _, size = mixed.shape
    found = np.zeros((pieces, size + 1, pieces, size + 1))
    found[:, size, :, size] = lengths
    found[:, size, :, :size] = mixed
    found[:, :size, :, size] = mixed.transpose(1, 2, 0)
    return found.reshape(pieces * (size + 1), -1)

"""The density at T as a function of the weights, to first order about given weights: exact for the discrete scheme.

Along ∂ₜρ = A(v)ρ, bilinear in drift and density, a change δv of the drift, and δρ₀ of the start, changes the density by

    ∂ₜδρ = A(v)δρ + A(δv)ρ − A(0)ρ,        δv = (∂v/∂θ) δθ,

and its Radau stages by (I − h a⊗A(v)) δY = 1⊗δρ + h a⊗(A(δv) − A(0)) Y: the tangent of the same scheme, with the
matrices that its forward sweep has factorised. The transpose of all that is `fokker_planck.adjoint`.

Comes in: a tracking problem and weights θ (K, P). Goes out: G = ∂ρ(T)/∂θ as a map, its transpose, and as a matrix; the
same for any change of the drift at the drift points, and for changes of the start.

Drifts on the faces of walls at D = 0 are rectified, (v·n)⁺, and so are their changes: nothing where v·n ≤ 0. Where v·n
is exactly zero, as everywhere with tangential networks, there is no derivative to both sides; that of v·n < 0 stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.fokker_planck.adjoint import drift_gradient, stage_multipliers, stage_weights
from controlsde.fokker_planck.sweeps import Sweeps, Trajectory
from controlsde.foundation.surroundings import methods_in_own_arithmetic, own_arithmetic
from controlsde.tracking.interpreted import InterpretedObjective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


@methods_in_own_arithmetic
@dataclass(frozen=True, eq=False)
class Linearisation:
    """A tracking problem about weights (K, P); build it with `about`.

    slopes: ∂v/∂θ of every piece at the k drift points, rectified, (K, k·d, P). passes: 1 where a change of the drift is
    felt, and 0 on faces of walls through which nothing flows, (K, k·d).
    """

    tracking: TrackingProblem
    weights: Array
    sweeps: Sweeps
    trajectory: Trajectory
    slopes: Array
    passes: Array

    @staticmethod
    def about(tracking: TrackingProblem, weights: Array) -> Linearisation:
        """Sweep forward once. Raises NonFiniteError, with the piece, where the density there is not finite."""
        grid, operator, network = tracking.grid, tracking.operator, tracking.network
        sweeps = Sweeps(
            operator, grid.durations, grid.steps_per_piece, grid.stages, diffusivity=tracking.diffusivity
        )  # fmt: skip
        points, parts = operator.drift_points, network.split(weights)
        drift = np.asarray(network.drift(points, *parts))
        trajectory = sweeps.forward(sweeps.tensor(operator.rectify(drift)), sweeps.tensor(tracking.initial))
        passes = operator.passes(drift).reshape(grid.pieces, -1).astype(float)
        slopes = network.jacobian(points, *parts).reshape(*passes.shape, -1) * passes[..., None]
        return Linearisation(tracking, np.asarray(weights), sweeps, trajectory, slopes, passes)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, K·P): of G."""
        return self.tracking.operator.size, int(np.prod(self.tracking.weight_shape))

    @property
    def stages(self) -> Array:
        """Stage densities (K, S, s, n) about which it is linear."""
        return np.asarray(self.trajectory.stages.numpy())

    @property
    def final(self) -> Array:
        """ρ(T), (n,)."""
        return np.asarray(self.stages[-1, -1, -1])

    def tangent(self, changes: Array) -> Array:
        """G δθ: (n, c) for c changes of the weights (K, P, c)."""
        return self.of_drift(np.einsum("kvp,kpc->kvc", self.slopes, changes))

    def adjoint(self, multipliers: Array) -> Array:
        """Gᵀψ: (K, P, c) for ψ (n, c)."""
        return np.asarray(np.einsum("kvp,kvc->kpc", self.slopes, self.drift_adjoint(multipliers)))

    @cached_property
    def matrix(self) -> Array:
        """G, (n, K·P)."""
        with own_arithmetic():
            return self.matrix_of_drifts(self.slopes)

    def of_drift(self, changes: Array) -> Array:
        """δρ(T) (n, c) for c changes of the drift at the drift points, (K, k·d, c)."""
        responses = self.responses(changes)
        carried = responses.new_zeros(responses.shape[2], changes.shape[-1])
        for piece, step in np.ndindex(*self.stages.shape[:2]):
            carried = self.trajectory.advance(piece, step, carried)[-1] + responses[piece, -1, :, step]
        return np.asarray(carried.numpy())

    def matrix_of_drifts(self, changes: Array) -> Array:
        """The same for c changes in every single piece, each by itself: (n, K·c) for (K, k·d, c)."""
        responses = self.responses(changes)
        count = changes.shape[-1]
        carried = responses.new_zeros(responses.shape[2], 0)
        for piece in range(len(changes)):
            carried = torch.cat([carried, carried.new_zeros(len(carried), count)], dim=1)
            for step in range(self.stages.shape[1]):
                carried = self.trajectory.advance(piece, step, carried)[-1]
                carried[:, -count:] += responses[piece, -1, :, step]
        return np.asarray(carried.numpy())

    def drift_adjoint(self, multipliers: Array) -> Array:
        """The transpose of `of_drift`: (K, k·d, c) for ψ (n, c)."""
        return np.stack([self._back(one)[0] for one in multipliers.T], axis=-1)

    def of_start(self, changes: Array) -> Array:
        """δρ(T) (n, c) for c changes of the density at t = 0, (n, c), under the drift as it is."""
        carried = self.sweeps.tensor(changes)
        for piece, step in np.ndindex(*self.stages.shape[:2]):
            carried = self.trajectory.advance(piece, step, carried)[-1]
        return np.asarray(carried.numpy())

    def start_adjoint(self, multipliers: Array) -> Array:
        """The transpose of `of_start`: (n, c) for ψ (n, c)."""
        return np.stack([self._back(one)[1] for one in multipliers.T], axis=-1)

    def objective_gradient(self) -> Array:
        """∂J/∂v at the drift points, (K, k·d): without what the weights cost."""
        gradient = InterpretedObjective(self.tracking).drift_gradient(self.weights, self.trajectory)
        return gradient.reshape(self.passes.shape) * self.passes

    def moved(self, drift: Array, density: Array) -> Array:
        """−∇·(vρ) (n,) as the mesh does it, for a drift (k, d) at the drift points and a density (n,)."""
        operator = self.tracking.operator
        sampled = operator.sampling @ operator.rectify(drift).ravel()
        return np.asarray(operator.combine @ (sampled * (operator.gather @ density)))

    def responses(self, changes: Array) -> Tensor:
        """What changes of a piece's drift do in each of its steps to the stages: (K, s, n, S, c) for (K, k·d, c)."""
        sweeps, stages = self.sweeps, self.trajectory.stages
        mixed = torch.einsum("K,ij,KSjn->KniS", sweeps.step_lengths, sweeps.coefficients, stages)
        size, count, steps = mixed.shape[2], changes.shape[-1], mixed.shape[3]
        forcing = []
        for change, passes, densities in zip(changes, self.passes, mixed.flatten(2), strict=True):
            sampled = sweeps.columns(sweeps.tensor(change * passes[:, None]), "sampling")  # (q, c)
            carried = sweeps.columns(densities, "gather")[..., None] * sampled[:, None, :]  # (q, s·S, c)
            moved = sweeps.columns(carried.flatten(1), "combine").reshape(-1, size, steps, count)
            forcing.append(moved.transpose(0, 1))
        return self.trajectory.solve(torch.stack(forcing))

    def _back(self, multiplier: Array) -> tuple[Array, Array]:
        """∂/∂v (K, k·d) and ∂/∂ρ₀ (n,) of ψ·ρ(T) for ψ (n,)."""
        cotangent = torch.zeros_like(self.trajectory.stages)
        cotangent[-1, -1, -1] = self.sweeps.tensor(multiplier)
        multipliers, starts = stage_multipliers(self.sweeps, self.trajectory, cotangent)
        gradient = drift_gradient(self.sweeps, stage_weights(self.sweeps, multipliers), self.trajectory.stages)
        return np.asarray(gradient.flatten(1).numpy()) * self.passes, np.asarray(starts[0].numpy())

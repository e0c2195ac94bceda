"""A density through all control pieces as one differentiable torch operation, with the exact discrete adjoint.

Comes in: drift values and an initial density. Goes out: the density at every Radau stage, under which PyTorch puts any
loss. The way forward is in `sweeps`, the way back in `adjoint`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from controlsde.fokker_planck.adjoint import drift_gradient, stage_multipliers, stage_weights
from controlsde.fokker_planck.sweeps import Sweeps, Trajectory


class Propagator(Sweeps):
    """The state equation on one mesh and one time grid as a differentiable function; see `Sweeps` for its arguments."""

    def __call__(self, drift: Tensor, initial: Tensor) -> Tensor:
        """Stage densities (K, S, s, n) for a drift at `operator.drift_points` (K, k, d) and an initial density (n,).

        Differentiable in both, under any loss. Raises NonFiniteError, with the piece, when a number stops being
        finite.
        """
        outward = self.outward
        if outward is not None:  # as Operator.rectify; where nothing flows, nothing follows the drift
            drift = torch.where(outward == 0, drift, outward * torch.relu(outward * drift))
        stages: Tensor = _Propagation.apply(drift, initial, self)  # type: ignore[no-untyped-call]
        return stages


class _Propagation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, drift: Tensor, initial: Tensor, propagator: Propagator) -> Tensor:
        trajectory = propagator.forward(drift.detach(), initial.detach())
        ctx.propagator = propagator
        ctx.solver = trajectory.solver
        ctx.save_for_backward(trajectory.initial, trajectory.stages)
        return trajectory.stages

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor, None]:
        initial, stages = ctx.saved_tensors
        propagator: Propagator = ctx.propagator
        trajectory = Trajectory(initial, stages, ctx.solver, propagator.blocks)
        multipliers, starts = stage_multipliers(propagator, trajectory, cotangent)
        weights = stage_weights(propagator, multipliers)
        return drift_gradient(propagator, weights, stages), starts[0], None

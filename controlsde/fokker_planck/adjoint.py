"""The discrete adjoint of a sweep: exact derivatives of anything that is computed from the stage densities.

Comes in: a forward sweep and the derivative Ȳ = ∂J/∂Y of a number J, (K, S, s, n). Goes out: the multipliers of the
stage equations, and ∂J/∂v of the drift values (K, k, d) and ∂J/∂ρ of the density at the start of each piece (K, n).

The steps in reverse order:     Ȳ_s ← Ȳ_s + ρ̄,   (I − h a⊗A)ᵀ Λ = Ȳ,   ρ̄ ← Σ_i Λ_i
Gradient in the drift:          μ_j = Bᵀ h Σ_i a_ij Λ_i,   v̄ = Sᵀ Σ_j μ_j ∘ T Y_j

with A(v) ρ = D L ρ + B ((S v) ∘ (T ρ)), see `operator`. The equation is bilinear in drift and density, so v̄ needs
nothing but the multipliers and the stages themselves. It is the adjoint of the discrete scheme, not a scheme for the
adjoint equation: gradients are exact to rounding. Memory is linear in the number of steps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from controlsde.fokker_planck.sweeps import Sweeps, Trajectory
from controlsde.foundation.surroundings import own_arithmetic


@own_arithmetic()
def stage_multipliers(sweeps: Sweeps, trajectory: Trajectory, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    """Λ (K, S, s, n) and ρ̄ at the start of each piece (K, n), for Ȳ (K, S, s, n)."""
    blocks = cotangent.reshape(-1, sweeps.steps_per_piece // sweeps.blocks, *cotangent.shape[2:])
    multipliers, starts = trajectory.solver.sweep_back(blocks)
    return multipliers.reshape(cotangent.shape), starts[:: sweeps.blocks]


def stage_weights(sweeps: Sweeps, multipliers: Tensor) -> Tensor:
    """μ_j = Bᵀ h Σ_i a_ij Λ_i: (K, S, s, q) for Λ (K, S, s, n)."""
    mixed = torch.einsum("K,ij,KSin->KSjn", sweeps.step_lengths, sweeps.coefficients, multipliers)
    return sweeps.times(mixed, "combine", transposed=True)


def drift_gradient(sweeps: Sweeps, weights: Tensor, stages: Tensor) -> Tensor:
    """v̄ = Sᵀ Σ_j μ_j ∘ T Y_j: (K, k, d) for μ (K, S, s, q) and stages (K, S, s, n)."""
    total = (weights * sweeps.gather(stages)).sum(dim=(1, 2))
    flat = sweeps.times(total, "sampling", transposed=True)
    return flat.reshape(len(total), *sweeps.operator.drift_points.shape)

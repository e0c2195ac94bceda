"""The objective in any dimension and on any device: J as a function of the weights alone, with exact derivatives.

Comes in: a tracking problem, and a device. Goes out: J(θ), its gradient, Gauss–Newton matrix and Hessian for θ (K, P),
through the state equation, by calls of NumPy and PyTorch. In one dimension `line` does the same faster.

Let δY_p be the sensitivity of the stages to weight p, Λ the stage multipliers of the adjoint, and μ_j, S, T as in
`fokker_planck.adjoint`. The state equation is bilinear in drift and density, so the exact Hessian needs no
solves beyond those of Gauss–Newton and of the gradient:

    gradient      g_p  = ⟨v̄, ∂v/∂θ_p⟩ + (regularisation_matrix θ)_p
    Gauss–Newton  N_pq = Σ time_weight ⟨R δY_p, R δY_q⟩ + regularity_pq
    Hessian       H_pq = N_pq + Σ_j μ_j · (S ∂_p v ∘ T δY_jq + S ∂_q v ∘ T δY_jp) + ⟨v̄, ∂²v/∂θ_p∂θ_q⟩
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.compiled.library import whole
from controlsde.fokker_planck.adjoint import drift_gradient, stage_multipliers, stage_weights
from controlsde.fokker_planck.sweeps import Sweeps, Trajectory
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


class InterpretedObjective:
    """J(θ) through the state equation, for flattened weights (K, P); on the device of choice.

    compiled: whether compiled factors may solve the state equation.
    """

    def __init__(self, tracking: TrackingProblem, device: str = "cpu", compiled: bool = True) -> None:
        self.tracking = tracking
        self.device = device
        grid = tracking.grid
        self.sweeps = Sweeps(
            tracking.operator,
            grid.durations,
            grid.steps_per_piece,
            grid.stages,
            device,
            tracking.diffusivity,
            compiled=compiled,
        )
        self._initial = self.sweeps.tensor(tracking.initial)
        self._targets = self.sweeps.tensor(tracking.targets)
        self._time_weight = self.sweeps.tensor(tracking.time_weight)
        self._metric = tracking.metric.converted(self.sweeps.tensor)

    def trajectory(self, weights: Array) -> Trajectory:
        """Forward sweep. Raises NonFiniteError with the piece where a number stops being finite."""
        return self.sweeps.forward(self.sweeps.tensor(self.tracking.drift_values(weights)), self._initial)

    def value(self, trajectory: Trajectory, weights: Array) -> float:
        """J(θ), for the forward sweep at θ."""
        error = self._metric.root(trajectory.stages - self._targets)
        errors = 0.5 * float((self._time_weight * (error * error).sum(dim=-1)).sum())
        return errors + self.tracking.regularisation(weights)

    def value_and_gradient(self, weights: Array) -> tuple[float, Array]:
        """J(θ) and ∂J/∂θ, shape (K, P)."""
        trajectory = self.trajectory(weights)
        _, mean = self._adjoint(trajectory)
        return self.value(trajectory, weights), self._gradient(weights, mean)

    def multipliers(self, weights: Array) -> Array:
        """Stage multipliers Λ (K, S, s, n): (I − h a⊗A)ᵀ Λ = ∂J/∂Y, the adjoint included."""
        trajectory = self.trajectory(weights)
        values, _ = stage_multipliers(self.sweeps, trajectory, self._cotangent(trajectory))
        return np.asarray(values.cpu().numpy())

    def costates(self, weights: Array) -> Array:
        """Costate ψ = δJ/δρ at the start of each piece, (K, n): ψ(t_k) = M⁻¹ ∂J/∂ρ(t_k).

        Sign: a small extra density e added at t_k changes J by ∫ψ e dx.
        """
        trajectory = self.trajectory(weights)
        _, starts = stage_multipliers(self.sweeps, trajectory, self._cotangent(trajectory))
        return np.asarray(starts.cpu().numpy()) / self.tracking.mesh.mass

    def expand(self, weights: Array, trajectory: Trajectory) -> Expansion:
        """Value, gradient, Gauss–Newton matrix and exact Hessian at θ, for the forward sweep there."""
        tracking = self.tracking
        multipliers, mean = self._adjoint(trajectory)
        jacobian, curvature = self._network_derivatives(weights, mean)
        gauss_newton, cross = self._sensitivities(trajectory, multipliers, jacobian)
        size = tracking.network.weights_per_piece
        gauss_newton = gauss_newton + np.kron(tracking.regularisation_matrix, np.eye(size))
        hessian = gauss_newton + cross + cross.T
        for piece, own in enumerate(curvature):
            block = slice(piece * size, (piece + 1) * size)
            hessian[block, block] += own
        return Expansion(self.value(trajectory, weights), self._gradient(weights, mean).ravel(), gauss_newton, hessian)

    def _cotangent(self, trajectory: Trajectory) -> Tensor:
        """∂J/∂Y = time_weight RᵀR (Y − p), (K, S, s, n)."""
        slope: Tensor = self._metric.apply(trajectory.stages - self._targets)
        return self._time_weight[..., None] * slope

    def _adjoint(self, trajectory: Trajectory) -> tuple[Tensor, Array]:
        """Λ (K, S, s, n) and v̄ (K, k, d)."""
        multipliers, _ = stage_multipliers(self.sweeps, trajectory, self._cotangent(trajectory))
        weights = stage_weights(self.sweeps, multipliers)
        mean = drift_gradient(self.sweeps, weights, trajectory.stages)
        return multipliers, np.asarray(mean.cpu().numpy())

    def _gradient(self, weights: Array, mean: Array) -> Array:
        tracking = self.tracking
        operator, network = tracking.operator, tracking.network
        parts = network.split(weights)
        multiplier = mean
        if operator.outward.any():
            multiplier = mean * self._passes(np.asarray(network.drift(operator.drift_points, *parts)))
        return network.pullback(operator.drift_points, *parts, multiplier) + tracking.regularisation_matrix @ weights

    def _passes(self, drift: Array) -> NDArray[np.bool_]:
        """Where the rectified drift follows the drift (…, k, d): not on wall faces where nothing flows out."""
        outward = self.tracking.operator.outward
        return np.asarray((outward == 0) | (outward * drift > 0))

    def _network_derivatives(self, weights: Array, mean: Array) -> tuple[Tensor, Array]:
        """∂v/∂θ of every piece (K, k·d, P), and ⟨v̄, ∂²v/∂θ∂θ⟩ of every piece (K, P, P); v rectified."""
        operator, network = self.tracking.operator, self.tracking.network
        points, parts = operator.drift_points, network.split(weights)
        jacobian, multiplier = network.jacobian(points, *parts), mean
        if operator.outward.any():
            passes = self._passes(np.asarray(network.drift(points, *parts)))
            jacobian, multiplier = jacobian * passes[..., None], mean * passes
        return self.sweeps.tensor(jacobian).flatten(1, 2), network.curvature(points, *parts, multiplier)

    def _sensitivities(self, trajectory: Trajectory, multipliers: Tensor, jacobian: Tensor) -> tuple[Array, Array]:
        """Σ weight δY_p δY_q and the cross term Σ μ_j · (S ∂_p v ∘ T δY_jq), both (N, N).

        Columns come in whole vectors: those behind the last weight are zero.
        """
        tracking = self.tracking
        pieces, size = tracking.weight_shape
        steps, total = tracking.grid.steps_per_piece, pieces * size
        scale = (self._time_weight.sqrt()[..., None] * self._metric.scale)[..., None]  # (K, S, s, n, 1)
        responses, pulls = self._linearised(trajectory, multipliers, jacobian)
        normal = jacobian.new_zeros((whole(total), whole(total)))
        cross = torch.zeros_like(normal)
        carried = jacobian.new_zeros((len(tracking.initial), 0))
        for piece in range(pieces):
            own, seen = slice(piece * size, (piece + 1) * size), whole((piece + 1) * size)
            carried = torch.cat([carried, carried.new_zeros((len(carried), seen - carried.shape[1]))], dim=1)
            for step in range(steps):
                moved = trajectory.advance(piece, step, carried)  # (s, n, seen)
                moved[..., own] += responses[piece, :, :, step]
                carried = moved[-1]
                cross[own, :seen] += pulls[piece][:, :, step].flatten(0, 1).T @ moved.flatten(0, 1)
                scaled = (self._metric.factored_columns(moved) * scale[piece, step]).flatten(0, 1)
                normal[:seen, :seen] += _gram(scaled)
        return np.asarray(normal[:total, :total].cpu().numpy()), np.asarray(cross[:total, :total].cpu().numpy())

    def _linearised(self, trajectory: Trajectory, multipliers: Tensor, jacobian: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What a piece's own weights do in each of its steps: to the stages (K, s, n, S, P), and to the adjoint.

        The first are the solutions for forcing h Σ_j a_ij B (S ∂_p v ∘ T Y_j), the second (S ∂_p v ∘ μ_j)ᵀ T for every
        piece, (s, n, S, P).
        """
        sweeps = self.sweeps
        steps, a = sweeps.step_lengths, sweeps.coefficients
        densities = torch.einsum("K,ij,KSjn->KniS", steps, a, trajectory.stages).flatten(2)
        mixed = torch.einsum("K,ij,KSin->KnjS", steps, a, multipliers).flatten(2)
        shape = (len(self.tracking.initial), a.shape[0], trajectory.stages.shape[1], jacobian.shape[2])
        forcing, pulls = [], []
        for slope, density, multiplier in zip(jacobian, densities, mixed, strict=True):
            moved, pulled = sweeps.transport(slope, density, multiplier)
            forcing.append(moved.reshape(shape).transpose(0, 1))
            pulls.append(pulled.reshape(shape).transpose(0, 1))
        return trajectory.solve(torch.stack(forcing)), pulls


def _gram(values: Tensor) -> Tensor:
    """VᵀV for V (m, c): NumPy knows that it is symmetric, and takes half the time."""
    if values.device.type != "cpu":
        return values.T @ values
    array = values.numpy()
    return torch.from_numpy(array.T @ array)

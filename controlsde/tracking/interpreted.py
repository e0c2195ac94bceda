"""The objective in any dimension and on any device: J as a function of the weights alone, with exact derivatives.

Comes in: a tracking problem, and a device. Goes out: J(θ), its gradient, Gauss–Newton matrix and Hessian for θ (K, P),
through the state equation, by calls of NumPy and PyTorch. In one dimension `line` does the same faster.

Let δY_p be the sensitivity of the stages to weight p, Λ the stage multipliers of the adjoint, and μ_j, S, T as in
`fokker_planck.adjoint`. The state equation is bilinear in drift and density, so the exact Hessian needs no
solves beyond those of Gauss–Newton and of the gradient:

    gradient      g_p  = ⟨v̄, ∂v/∂θ_p⟩ + (regularisation_matrix θ)_p
    Gauss–Newton  N_pq = Σ time_weight ⟨R δY_p, R δY_q⟩ + regularity_pq
    Hessian       H_pq = N_pq + Σ_j μ_j · (S ∂_p v ∘ T δY_jq + S ∂_q v ∘ T δY_jp) + ⟨v̄, ∂²v/∂θ_p∂θ_q⟩

Where energy has a price, with ω its weights in time, k(x) = |v(x)|² times the quadrature of space, and 1 where ρ > 0:

    to ∂J/∂Y comes ½ ω k 1,   to v̄ comes Σ ω M v ρ⁺,   to N_pq comes ⟨∂_p v, Σ ω M ρ⁺ ∂_q v⟩ within a piece,
    and to what pulls on δY_jq for weight p comes ω M (v·∂_p v) 1.

Where the lengths of the pieces are parameters, too, the last of each piece, A enters with h = Δt_k/S: the stages answer
to Δt_k as to the forcing (Y_i − ρ)/Δt_k, the pull of Δt_k on the adjoint is (h Aᵀ Σ_i a_ij Λ_i + what the quadrature
grows by)/Δt_k, and the residual of a column is R(δY − p′ m); see `length_derivatives`.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.compiled.library import whole
from controlsde.fokker_planck.adjoint import drift_gradient, stage_multipliers, stage_weights
from controlsde.fokker_planck.sweeps import Sweeps, Trajectory
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.free_lengths import FreeLengths
from controlsde.tracking.length_derivatives import LengthDerivatives, among_lengths, length_blocks, with_lengths
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


class InterpretedObjective:
    """J(θ) through the state equation, for flattened weights (K, P); on the device of choice.

    compiled: whether compiled factors may solve the state equation.
    """

    def __init__(self, tracking: TrackingProblem, device: str = "cpu", compiled: bool = True) -> None:
        grid = tracking.grid
        sweeps = Sweeps(
            tracking.operator,
            grid.durations,
            grid.steps_per_piece,
            grid.stages,
            device,
            tracking.diffusivity,
            compiled=compiled,
        )
        self._pose(tracking, sweeps)

    def settled(self, tracking: TrackingProblem) -> InterpretedObjective:
        """The objective of the same problem on other pieces; what does not depend on them is shared."""
        other = copy(self)
        other._pose(tracking, self.sweeps.lasting(tracking.grid.durations))
        return other

    def _pose(self, tracking: TrackingProblem, sweeps: Sweeps) -> None:
        self.tracking = tracking
        self.sweeps = sweeps
        self._initial = sweeps.tensor(tracking.initial)
        self._targets = sweeps.tensor(tracking.targets)
        self._time_weight = sweeps.tensor(tracking.time_weight)
        self._metric = tracking.metric.converted(sweeps.tensor)
        self._energy_weight = sweeps.tensor(tracking.energy_weight) if tracking.energy_price else None

    def trajectory(self, weights: Array) -> Trajectory:
        """Forward sweep. Raises NonFiniteError with the piece where a number stops being finite."""
        return self.sweeps.forward(self.sweeps.tensor(self.tracking.drift_values(weights)), self._initial)

    def value(self, trajectory: Trajectory, weights: Array) -> float:
        """J(θ), for the forward sweep at θ."""
        error = self._metric.root(trajectory.stages - self._targets)
        errors = 0.5 * float((self._time_weight * (error * error).sum(dim=-1)).sum())
        energy = self.tracking.priced_energy(_array(trajectory.stages), weights)
        return errors + energy + self.tracking.regularisation(weights)

    def value_and_gradient(self, weights: Array) -> tuple[float, Array]:
        """J(θ) and ∂J/∂θ, shape (K, P)."""
        trajectory = self.trajectory(weights)
        _, mean = self._adjoint(trajectory, weights)
        return self.value(trajectory, weights), self._gradient(weights, mean)

    def value_and_gradient_with_lengths(self, weights: Array, free: FreeLengths) -> tuple[float, Array]:
        """J(θ) and ∂J/∂(θ, Δt), shape (K, P + 1)."""
        trajectory = self.trajectory(weights)
        multipliers, mean = self._adjoint(trajectory, weights)
        lengths = LengthDerivatives(self.tracking, free, weights, _array(trajectory.stages))
        gradient = self._gradient(weights, mean)
        return self.value(trajectory, weights), with_lengths(gradient, lengths.gradient(_array(multipliers)))

    def multipliers(self, weights: Array) -> Array:
        """Stage multipliers Λ (K, S, s, n): (I − h a⊗A)ᵀ Λ = ∂J/∂Y, the adjoint included."""
        trajectory = self.trajectory(weights)
        values, _ = stage_multipliers(self.sweeps, trajectory, self._cotangent(trajectory, weights))
        return _array(values)

    def costates(self, weights: Array) -> Array:
        """Costate ψ = δJ/δρ at the start of each piece, (K, n): ψ(t_k) = M⁻¹ ∂J/∂ρ(t_k).

        Sign: a small extra density e added at t_k changes J by ∫ψ e dx.
        """
        trajectory = self.trajectory(weights)
        _, starts = stage_multipliers(self.sweeps, trajectory, self._cotangent(trajectory, weights))
        return _array(starts) / self.tracking.mesh.mass

    def drift_gradient(self, weights: Array, trajectory: Trajectory) -> Array:
        """∂J/∂v of the rectified drift at the drift points, (K, k, d), without what the weights cost."""
        return self._adjoint(trajectory, weights)[1]

    def moving_mass(self, trajectory: Trajectory) -> Array:
        """Σ ω M ρ⁺ over the stages of each piece, at the drift points: (K, k); nothing on wall faces.

        Half of it times |δv|² is what a change of the drift adds to J by the energy it takes, the density as it is.
        """
        mesh, points = self.tracking.mesh, len(self.tracking.operator.drift_points)
        if self._energy_weight is None:
            return np.zeros((self.tracking.grid.pieces, points))
        positive = _array((self._energy_weight[..., None] * torch.relu(trajectory.stages)).sum(dim=(1, 2)))
        mass = (positive @ mesh.prolongation.T) * mesh.weights
        return np.pad(mass, ((0, 0), (0, points - mass.shape[1])))

    def expand(self, weights: Array, trajectory: Trajectory, free: FreeLengths | None = None) -> Expansion:
        """Value, gradient, Gauss–Newton matrix and exact Hessian at θ, for the forward sweep there.

        free: the lengths of the pieces are parameters, too, each the last one of its piece.
        """
        tracking = self.tracking
        multipliers, mean = self._adjoint(trajectory, weights)
        jacobian, curvature = self._network_derivatives(weights, mean)
        kinetic = self._kinetic(weights, trajectory, jacobian)
        lengths = None
        if free is not None:
            lengths = LengthDerivatives(tracking, free, weights, _array(trajectory.stages))
        gauss_newton, cross = self._sensitivities(trajectory, multipliers, jacobian, kinetic, lengths)
        pieces, size = weights.shape
        regularity = np.kron(tracking.regularisation_matrix, np.eye(size))
        gradient = self._gradient(weights, mean)
        own = np.zeros((pieces * size, pieces * size))
        for piece, block in enumerate(curvature):
            rows = slice(piece * size, (piece + 1) * size)
            own[rows, rows] = block
            regularity[rows, rows] += kinetic.normal[piece] if kinetic else 0.0
        if lengths is None:
            hessian = gauss_newton + cross + cross.T + regularity + own
            return Expansion(self.value(trajectory, weights), gradient.ravel(), gauss_newton + regularity, hessian)
        regularity, own = among_lengths(regularity, pieces), among_lengths(own, pieces)
        drift_part = gradient - tracking.regularisation_matrix @ weights
        own = own + length_blocks(*lengths.curvature(drift_part))
        hessian = gauss_newton + cross + cross.T + regularity + own
        gradient = with_lengths(gradient, lengths.gradient(_array(multipliers)))
        return Expansion(self.value(trajectory, weights), gradient.ravel(), gauss_newton + regularity, hessian)

    def _cotangent(self, trajectory: Trajectory, weights: Array) -> Tensor:
        """∂J/∂Y, (K, S, s, n)."""
        slope: Tensor = self._metric.apply(trajectory.stages - self._targets)
        total = self._time_weight[..., None] * slope
        if self._energy_weight is None:
            return total
        speeds = self.sweeps.tensor(self.tracking.kinetic_weight(self.tracking.drift_values(weights)))
        return total + 0.5 * self._energy_weight[..., None] * speeds[:, None, None] * (trajectory.stages > 0)

    def _adjoint(self, trajectory: Trajectory, weights: Array) -> tuple[Tensor, Array]:
        """Λ (K, S, s, n) and v̄ (K, k, d)."""
        multipliers, _ = stage_multipliers(self.sweeps, trajectory, self._cotangent(trajectory, weights))
        mean = _array(drift_gradient(self.sweeps, stage_weights(self.sweeps, multipliers), trajectory.stages))
        if self._energy_weight is not None:
            mean = mean + self.moving_mass(trajectory)[..., None] * self.tracking.drift_values(weights)
        return multipliers, mean

    def _kinetic(self, weights: Array, trajectory: Trajectory, jacobian: Tensor) -> _Kinetic | None:
        """What a price of energy adds to second derivatives, for ∂v/∂θ (K, k·d, P)."""
        if self._energy_weight is None:
            return None
        tracking, mesh = self.tracking, self.tracking.mesh
        drift = tracking.drift_values(weights)
        slopes = _array(jacobian).reshape(*drift.shape, -1)
        normal = np.einsum("kx,kxdp,kxdq->kpq", self.moving_mass(trajectory), slopes, slopes, optimize=True)
        nodes = len(mesh.points)
        turned = np.einsum("x,kxd,kxdp->kxp", mesh.weights, drift[:, :nodes], slopes[:, :nodes])
        pulled = np.stack([mesh.prolongation.T @ each for each in turned])
        return _Kinetic(normal, self.sweeps.tensor(pulled))

    def _gradient(self, weights: Array, mean: Array) -> Array:
        tracking = self.tracking
        operator, network = tracking.operator, tracking.network
        parts = network.split(weights)
        multiplier = mean
        if operator.outward.any():
            multiplier = mean * operator.passes(np.asarray(network.drift(operator.drift_points, *parts)))
        return network.pullback(operator.drift_points, *parts, multiplier) + tracking.regularisation_matrix @ weights

    def _network_derivatives(self, weights: Array, mean: Array) -> tuple[Tensor, Array]:
        """∂v/∂θ of every piece (K, k·d, P), and ⟨v̄, ∂²v/∂θ∂θ⟩ of every piece (K, P, P); v rectified."""
        operator, network = self.tracking.operator, self.tracking.network
        points, parts = operator.drift_points, network.split(weights)
        jacobian, multiplier = network.jacobian(points, *parts), mean
        if operator.outward.any():
            passes = operator.passes(np.asarray(network.drift(points, *parts)))
            jacobian, multiplier = jacobian * passes[..., None], mean * passes
        return self.sweeps.tensor(jacobian).flatten(1, 2), network.curvature(points, *parts, multiplier)

    def _sensitivities(
        self,
        trajectory: Trajectory,
        multipliers: Tensor,
        jacobian: Tensor,
        kinetic: _Kinetic | None,
        lengths: LengthDerivatives | None,
    ) -> tuple[Array, Array]:
        """Σ weight δY_p δY_q and the cross term Σ μ_j · (S ∂_p v ∘ T δY_jq), both (N, N).

        Columns come in whole vectors: those behind the last parameter are zero.
        """
        tracking = self.tracking
        steps, pieces = tracking.grid.steps_per_piece, len(jacobian)
        size = jacobian.shape[2] + (lengths is not None)
        total = pieces * size
        scale = (self._time_weight.sqrt()[..., None] * self._metric.scale)[..., None]  # (K, S, s, n, 1)
        responses, pulls = self._linearised(trajectory, multipliers, jacobian, lengths)
        positive = trajectory.stages > 0
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
                pull = pulls[piece][:, :, step]
                if kinetic is not None and self._energy_weight is not None:
                    counted = self._energy_weight[piece, step][:, None] * positive[piece, step]  # (s, n)
                    pull = pull.clone()
                    pull[..., : jacobian.shape[2]] += counted[..., None] * kinetic.pulled[piece]
                cross[own, :seen] += pull.flatten(0, 1).T @ moved.flatten(0, 1)
                residual = moved if lengths is None else self._from_targets(moved, lengths, piece, step)
                scaled = (self._metric.factored_columns(residual) * scale[piece, step]).flatten(0, 1)
                normal[:seen, :seen] += _gram(scaled)
        return _array(normal[:total, :total]), _array(cross[:total, :total])

    def _from_targets(self, moved: Tensor, lengths: LengthDerivatives, piece: int, step: int) -> Tensor:
        """δY − p′ m of the lengths' columns, in (s, n, columns) that hold every piece's parameters so far."""
        size = lengths.weights.shape[1] + 1
        columns = [number * size + size - 1 for number in range(piece + 1)]
        rates = self.sweeps.tensor(lengths.target_rates[piece, step])
        moves = self.sweeps.tensor(lengths.moves[: piece + 1, piece, step].T)  # (s, columns)
        residual = moved.clone()
        residual[..., columns] -= rates[..., None] * moves[:, None]
        return residual

    def _linearised(
        self, trajectory: Trajectory, multipliers: Tensor, jacobian: Tensor, lengths: LengthDerivatives | None
    ) -> tuple[Tensor, list[Tensor]]:
        """What a piece's own weights do in each of its steps: to the stages (K, s, n, S, P), and to the adjoint.

        The first are the solutions for forcing h Σ_j a_ij B (S ∂_p v ∘ T Y_j), the second (S ∂_p v ∘ μ_j)ᵀ T for every
        piece, (s, n, S, P). With lengths, one more of each.
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
        if lengths is not None:
            forced, pulling = self._of_lengths(trajectory, multipliers)
            forcing = [torch.cat([each, forced[k]], dim=-1) for k, each in enumerate(forcing)]
            pulls = [torch.cat([each, pulling[k]], dim=-1) for k, each in enumerate(pulls)]
        return trajectory.solve(torch.stack(forcing)), pulls

    def _of_lengths(self, trajectory: Trajectory, multipliers: Tensor) -> tuple[Tensor, Tensor]:
        """Forcing and pull of each piece's length, (K, s, n, S, 1).

        Σ_j a_ij A Y_j = (Y_i − ρ)/h, and h Aᵀ Σ_i a_ij Λ_i = Λ_j − Ȳ_j, where Ȳ is ∂J/∂Y with what the steps after it
        add to the last stage; of Ȳ only what does not grow with the quadrature is left.
        """
        stages, durations = trajectory.stages, self.sweeps.tensor(self.tracking.grid.durations)[:, None, None, None]
        count = len(trajectory.initial)
        before = torch.cat([trajectory.initial[None], stages[:, :, -1].reshape(-1, count)[:-1]])
        forcing = (stages - before.reshape(*stages.shape[:2], 1, count)) / durations
        # ρ̄ of the density after each step: Σ_i Λ_i of the step that follows, none after the last
        after = multipliers.sum(dim=2).reshape(-1, count)
        after = torch.cat([after[1:], torch.zeros_like(after[:1])]).reshape(*stages.shape[:2], count)
        still = torch.zeros_like(multipliers)
        still[:, :, -1] = after
        still[-1, -1, -1] += self.tracking.end_weight * self._metric.apply(
            stages[-1, -1, -1] - self._targets[-1, -1, -1]
        )
        pull = (multipliers - still) / durations
        return tuple(each.permute(0, 2, 3, 1)[..., None] for each in (forcing, pull))  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class _Kinetic:
    """Second derivatives of the priced energy: Σ ω M ρ⁺ ∂_p v·∂_q v (K, P, P), and M v·∂_p v at the unknowns."""

    normal: Array
    pulled: Tensor  # (K, n, P)


def _array(values: Tensor) -> Array:
    return np.asarray(values.cpu().numpy())


def _gram(values: Tensor) -> Tensor:
    """VᵀV for V (m, c): NumPy knows that it is symmetric, and takes half the time."""
    if values.device.type != "cpu":
        return values.T @ values
    array = values.numpy()
    return torch.from_numpy(array.T @ array)

"""The objective that every solver is given: J as a function of the weights alone, with exact derivatives.

Comes in: a tracking problem, and a device. Goes out: J(θ), its gradient, Gauss–Newton matrix and Hessian for θ (K, P),
through the state equation: by the compiled loops of `line` where there are any and as long as their residuals are
small, else by `interpreted`, which says what is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.compiled.library import library
from controlsde.foundation.surroundings import one_thread
from controlsde.problem.solver_specs import SolverOptions
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.line.line_objective import InaccurateError, LineObjective, Point
from controlsde.tracking.tracking_problem import TrackingProblem

if TYPE_CHECKING:
    from controlsde.fokker_planck.sweeps import Trajectory
    from controlsde.tracking.interpreted import InterpretedObjective

Array = NDArray[np.float64]


def device_of(options: SolverOptions) -> str:
    """Where a solve computes. `auto` is the CPU: no device has been measured to be faster at these sizes."""
    return "cpu" if options.device == "auto" else options.device


class Objective:
    """J(θ) through the state equation, for flattened weights (K, P); on the device of choice.

    compiled: whether the compiled loops may do it. Raises NonFiniteError with the piece where a number stops being
    finite.
    """

    def __init__(self, tracking: TrackingProblem, device: str = "cpu", compiled: bool = True) -> None:
        self.tracking = tracking
        self.device = device
        self._compiled = LineObjective.of(tracking) if compiled and device == "cpu" else None
        # where the loops of a line do the work, and are not good enough, factors with pivots take over
        self._by_fronts = compiled and device == "cpu" and self._compiled is None and library() is not None

    def __reduce__(self) -> tuple[type[Objective], tuple[TrackingProblem, str, bool]]:
        """What a worker is sent: what it takes to build the same objective there."""
        return type(self), (self.tracking, self.device, self.uses_loops)

    @property
    def uses_loops(self) -> bool:
        """Whether compiled loops do the work, those of a line or those of fronts."""
        return self.compiled or self._by_fronts

    @property
    def compiled(self) -> bool:
        """Whether the loops of a line do the work: calls from several threads then run side by side."""
        return self._compiled is not None

    @property
    def shape(self) -> tuple[int, int]:
        """(K, P): shape of the weights."""
        return self.tracking.weight_shape

    @property
    def bounds(self) -> Array:
        """Largest absolute values of all weights, flattened (K·P,)."""
        return self.tracking.bounds

    def pressed(self, multiplier: float) -> Objective:
        """Without the limit at the end, but with the terminal weight larger by `multiplier`."""
        return Objective(self.tracking.pressed(multiplier), self.device, compiled=self.uses_loops)

    def evaluate(self, weights: Array) -> Evaluated:
        """J(θ), with the forward sweep kept for an expansion at the same point."""
        sweep = self._sweep(weights)
        value = sweep.value if isinstance(sweep, Point) else self._interpreted.value(sweep, weights)
        return Evaluated(self, weights, sweep, value)

    def value(self, weights: Array) -> float:
        """J(θ)."""
        return self.evaluate(weights).value

    def stages(self, weights: Array) -> Array:
        """Stage densities (K, S, s, n)."""
        sweep = self._sweep(weights)
        return sweep.stages if isinstance(sweep, Point) else np.asarray(sweep.stages.cpu().numpy())

    def value_and_gradient(self, weights: Array) -> tuple[float, Array]:
        """J(θ) and ∂J/∂θ, shape (K, P)."""
        values, gradients = self.values_and_gradients(np.asarray(weights)[None])
        return float(values[0]), gradients[0]

    def values_and_gradients(self, weights: Array) -> tuple[Array, Array]:
        """J (batch,) and ∂J/∂θ (batch, K, P) for several weights (batch, K, P) in one call."""
        if self._compiled is not None:
            try:
                return self._compiled.values_and_gradients(weights)
            except InaccurateError:
                pass
        values, gradients = zip(*(self._interpreted.value_and_gradient(each) for each in weights), strict=True)
        return np.array(values), np.stack(gradients)

    def multipliers(self, weights: Array) -> Array:
        """Stage multipliers Λ (K, S, s, n): (I − h a⊗A)ᵀ Λ = ∂J/∂Y, the adjoint included."""
        return self._interpreted.multipliers(weights)

    def costates(self, weights: Array) -> Array:
        """Costate ψ = δJ/δρ at the start of each piece, (K, n): ψ(t_k) = M⁻¹ ∂J/∂ρ(t_k).

        Sign: a small extra density e added at t_k changes J by ∫ψ e dx.
        """
        return self._interpreted.costates(weights)

    def _expand(self, weights: Array, sweep: Point | Trajectory) -> Expansion:
        if isinstance(sweep, Point):
            assert self._compiled is not None  # which made the point
            try:
                return self._compiled.expand(sweep)
            except InaccurateError:
                sweep = self._interpreted.trajectory(weights)
        return self._interpreted.expand(weights, sweep)

    def _sweep(self, weights: Array) -> Point | Trajectory:
        if self._compiled is not None:
            try:
                return self._compiled.at(weights)
            except InaccurateError:
                pass
        return self._interpreted.trajectory(weights)

    @cached_property
    def _interpreted(self) -> InterpretedObjective:
        from controlsde.tracking.interpreted import InterpretedObjective  # with PyTorch, which takes a second

        with one_thread():
            return InterpretedObjective(self.tracking, self.device, compiled=self._by_fronts)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """J at one θ (K, P), with the sweep that found it."""

    objective: Objective
    weights: Array
    sweep: Point | Trajectory
    value: float

    def expand(self) -> Expansion:
        """Gradient and curvature at the same point."""
        return self.objective._expand(self.weights, self.sweep)

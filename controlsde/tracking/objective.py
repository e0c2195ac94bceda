"""The objective that every solver is given: J as a function of the weights alone, with exact derivatives.

Comes in: a tracking problem, and a device. Goes out: J(θ), its gradient, Gauss–Newton matrix and Hessian for θ (K, P),
through the state equation: by the compiled loops of `line` where there are any and as long as their residuals are
small, else by `interpreted`, which says what is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.compiled.library import library
from controlsde.foundation.surroundings import one_thread
from controlsde.problem.solver_specs import SolverOptions
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.free_lengths import FreeLengths
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

    Where the lengths of the pieces are free, weights have one more column, see `free_lengths`.

    compiled: whether the compiled loops may do it. Raises NonFiniteError with the piece where a number stops being
    finite.
    """

    def __init__(self, tracking: TrackingProblem, device: str = "cpu", compiled: bool = True) -> None:
        self.tracking = tracking
        self.device = device
        self._line = LineObjective.of(tracking) if compiled and device == "cpu" else None
        # where the loops of a line do the work, and are not good enough, factors with pivots take over
        self._by_fronts = compiled and device == "cpu" and self._line is None and library() is not None

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
        return self._line is not None

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
        settled = self._settle(weights)
        return Evaluated(settled, *settled.sweep())

    def value(self, weights: Array) -> float:
        """J(θ)."""
        return self.evaluate(weights).value

    def stages(self, weights: Array) -> Array:
        """Stage densities (K, S, s, n)."""
        sweep, _ = self._settle(weights).sweep()
        return sweep.stages if isinstance(sweep, Point) else np.asarray(sweep.stages.cpu().numpy())

    def value_and_gradient(self, weights: Array) -> tuple[float, Array]:
        """J(θ) and ∂J/∂θ, shape (K, P)."""
        values, gradients = self.values_and_gradients(np.asarray(weights)[None])
        return float(values[0]), gradients[0]

    def values_and_gradients(self, weights: Array) -> tuple[Array, Array]:
        """J (batch,) and ∂J/∂θ (batch, K, P) for several weights (batch, K, P) in one call."""
        if self._line is not None and self.tracking.free is None:
            try:
                return self._line.values_and_gradients(weights)
            except InaccurateError:
                pass
        values, gradients = zip(*(self._settle(each).value_and_gradient() for each in weights), strict=True)
        return np.array(values), np.stack(gradients)

    def multipliers(self, weights: Array) -> Array:
        """Stage multipliers Λ (K, S, s, n): (I − h a⊗A)ᵀ Λ = ∂J/∂Y, the adjoint included."""
        settled = self._settle(weights)
        return settled.interpreted().multipliers(settled.weights)

    def costates(self, weights: Array) -> Array:
        """Costate ψ = δJ/δρ at the start of each piece, (K, n): ψ(t_k) = M⁻¹ ∂J/∂ρ(t_k).

        Sign: a small extra density e added at t_k changes J by ∫ψ e dx.
        """
        settled = self._settle(weights)
        return settled.interpreted().costates(settled.weights)

    def _settle(self, weights: Array) -> _Settled:
        free = self.tracking.free
        if free is None:
            return _Settled(self.tracking, np.asarray(weights), self._line, lambda: self._interpreted)
        tracking, own = self.tracking.settled(weights)
        line = None if self._line is None else self._line.settled(tracking)
        logits = np.asarray(weights, dtype=float)[:, -1]
        return _Settled(tracking, own, line, lambda: self._interpreted.settled(tracking), free, logits)

    @cached_property
    def _interpreted(self) -> InterpretedObjective:
        from controlsde.tracking.interpreted import InterpretedObjective  # with PyTorch, which takes a second

        with one_thread():
            return InterpretedObjective(self.tracking, self.device, compiled=self._by_fronts)


@dataclass(frozen=True, eq=False)
class _Settled:
    """One θ on pieces whose lengths are known, and who computes there: a line's loops, or, made on demand, NumPy.

    weights: (K, P), of the network alone. free, logits: where the lengths come from, if they are free.
    """

    tracking: TrackingProblem
    weights: Array
    line: LineObjective | None
    interpreted: Callable[[], InterpretedObjective]
    free: FreeLengths | None = None
    logits: Array | None = None

    def sweep(self) -> tuple[Point | Trajectory, float]:
        """The forward sweep, and J."""
        if self.line is not None:
            try:
                point = self.line.at(self.weights)
            except InaccurateError:
                pass
            else:
                return point, point.value
        interpreted = self.interpreted()
        trajectory = interpreted.trajectory(self.weights)
        return trajectory, interpreted.value(trajectory, self.weights)

    def value_and_gradient(self) -> tuple[float, Array]:
        """J, and ∂J/∂θ (K, P), with that by the lengths' logits where there are any."""
        if self.free is None or self.logits is None:
            return self.interpreted().value_and_gradient(self.weights)
        found = None
        if self.line is not None:
            with suppress(InaccurateError):
                found = self.line.value_and_gradient_with_lengths(self.weights, self.free)
        value, gradient = found or self.interpreted().value_and_gradient_with_lengths(self.weights, self.free)
        return value, self.free.gradient_in_logits(gradient, self.logits)

    def expand(self, sweep: Point | Trajectory) -> Expansion:
        """Gradient and curvature after a sweep."""
        expansion = self._expand(sweep)
        if self.free is None or self.logits is None:
            return expansion
        return self.free.in_logits(expansion, self.logits)

    def _expand(self, sweep: Point | Trajectory) -> Expansion:
        if isinstance(sweep, Point):
            assert self.line is not None  # which made the point
            try:
                return self.line.expand(sweep, self.free)
            except InaccurateError:
                sweep = self.interpreted().trajectory(self.weights)
        return self.interpreted().expand(self.weights, sweep, self.free)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """J at one θ (K, P), with the sweep that found it."""

    settled: _Settled
    sweep: Point | Trajectory
    value: float

    @property
    def weights(self) -> Array:
        """θ (K, P), of the network alone."""
        return self.settled.weights

    def expand(self) -> Expansion:
        """Gradient and curvature at the same point."""
        return self.settled.expand(self.sweep)

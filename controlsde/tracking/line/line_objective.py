"""J(θ) and its derivatives in one dimension, by the compiled loops.

Comes in: a tracking problem on a mesh of one axis. Goes out: values, gradients for one control or many, expansions.
Nothing is shared between calls but constants, and the interpreter's lock is released: threads may call at once.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.compiled.library import ACCURATE, Line, address, line_loops
from controlsde.control.network import activate, activation_bend, activation_slope
from controlsde.fokker_planck.line_elements import Elements, line_arrays, line_sizes
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.surroundings import own_arithmetic
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


class InaccurateError(ArithmeticError):
    """The compiled factors were not good enough for the equations of this point."""


@dataclass(frozen=True, eq=False)
class Point:
    """One θ (K, P) after a forward sweep."""

    weights: Array
    arguments: Array  # W x + b at the drift points (K, m, k)
    activated: Array  # σ there
    factors: Array
    stages: Array  # (K, S, s, n)
    value: float


class LineObjective:
    """J through the state equation; build it with `of`. Errors as of the interpreted objective, or InaccurateError."""

    @staticmethod
    def of(tracking: TrackingProblem) -> LineObjective | None:
        """The compiled objective, where there is one: on one axis, and where the loops are installed."""
        loops = line_loops(tracking.mesh.dimension, tracking.mesh.axes[0].elements)
        return LineObjective(tracking, loops) if loops else None

    def __init__(self, tracking: TrackingProblem, loops: ctypes.CDLL) -> None:
        self._tracking = tracking
        self._loops = loops
        elements = Elements.of(tracking.operator)
        self._arrays = _arrays(tracking, elements)
        addresses = {name: None if array is None else address(array) for name, array in self._arrays.items()}
        self._line = Line(**_sizes(tracking, elements), **addresses)
        self._structure = ctypes.addressof(self._line)
        self._numbers = int(loops.line_factor_numbers(self._structure))
        size = tracking.network.weights_per_piece
        self._regularity = np.kron(tracking.regularisation_matrix, np.eye(size))

    @own_arithmetic()
    def at(self, weights: Array) -> Point:
        """Forward sweep and J at θ (K, P)."""
        weights = np.ascontiguousarray(weights, dtype=float)
        arguments = self._at_points(weights)
        activated = activate(self._tracking.network.activation, arguments)
        factors, stages, found = np.empty(self._numbers), np.empty(self._tracking.targets.shape), np.empty(2)
        value, residual = found[:1], found[1:]
        arrays = (weights, activated, factors, stages, value, residual)
        _refuse(self._loops.line_forward(self._structure, *map(address, arrays)))
        _refuse_inaccurate(residual)
        return Point(
            weights, arguments, activated, factors, stages, float(value[0]) + self._tracking.regularisation(weights)
        )

    @own_arithmetic()
    def values_and_gradients(self, weights: Array) -> tuple[Array, Array]:
        """J (batch,) and ∂J/∂θ for weights (batch, K, P)."""
        weights = np.ascontiguousarray(weights, dtype=float)
        tracking, count = self._tracking, len(weights)
        arguments = self._at_points(weights)
        activation = tracking.network.activation
        gradients = np.empty_like(weights)
        values, residuals, broken = np.empty(count), np.empty(count), np.empty(count, dtype=np.int64)
        arrays = (
            weights, activate(activation, arguments), activation_slope(activation, arguments), values, gradients,
            residuals, broken,
        )  # fmt: skip
        if self._loops.line_gradients(self._structure, count, *map(address, arrays)):
            raise MemoryError
        for code in broken:
            _refuse(int(code))
        _refuse_inaccurate(residuals)
        priced = tracking.regularisation_matrix @ weights
        return values + 0.5 * (weights * priced).sum(axis=(1, 2)), gradients + priced

    @own_arithmetic()
    def expand(self, point: Point) -> Expansion:
        """Gradient, Gauss–Newton matrix and Hessian at a point."""
        tracking, weights = self._tracking, point.weights
        activation = tracking.network.activation
        total = weights.size
        gradient, residual = np.empty_like(weights), np.empty(1)
        gauss_newton, hessian = np.empty((total, total)), np.empty((total, total))
        arrays = (
            weights, point.activated, activation_slope(activation, point.arguments),
            activation_bend(activation, point.arguments), point.factors, point.stages, gradient, gauss_newton, hessian,
            residual,
        )  # fmt: skip
        if self._loops.line_expand(self._structure, *map(address, arrays)):
            raise MemoryError
        _refuse_inaccurate(residual)
        gradient += tracking.regularisation_matrix @ weights
        gauss_newton += self._regularity
        hessian += self._regularity
        return Expansion(point.value, gradient.ravel(), gauss_newton, hessian)

    def _at_points(self, weights: Array) -> Array:
        """W x + b of every neuron at the drift points: (…, K, m, k)."""
        width = self._tracking.network.width
        position = self._tracking.operator.drift_points[:, 0]
        return np.asarray(weights[..., width : 2 * width, None] * position + weights[..., 2 * width :, None])


def _refuse(code: int) -> None:
    """Raise what a forward sweep says of itself, see `line_forward`.

    A density that is no number may come of a pivot that vanished: whether it is so, the interpreted objective says.
    """
    if code > 0:
        raise MemoryError
    if code < 0:
        piece, of_density = divmod(-1 - code, 2)
        raise InaccurateError if of_density else NonFiniteError(piece, "the drift")


def _refuse_inaccurate(residuals: Array) -> None:
    if not np.all(residuals <= ACCURATE):
        raise InaccurateError


def _sizes(tracking: TrackingProblem, elements: Elements) -> dict[str, int]:
    operator, grid = tracking.operator, tracking.grid
    shared = line_sizes(operator, elements, grid.stages, grid.steps_per_piece, tracking.diffusivity)
    return {**shared, "width": tracking.network.width}


def _arrays(tracking: TrackingProblem, elements: Elements) -> dict[str, NDArray[Any] | None]:
    """What the loops are given, by name; they live as long as the structure that points to them."""
    grid, operator, metric = tracking.grid, tracking.operator, tracking.metric
    points = operator.drift_points
    given: dict[str, NDArray[Any] | None] = {
        **line_arrays(elements, grid.stages, grid.step_lengths, tracking.diffusivity),
        "position": points[:, 0],
        "tangential": np.broadcast_to(tracking.network.tangential_factor(points), points.shape)[:, 0],
        "outward": operator.outward[-2:, 0],
        "initial": tracking.initial,
        "targets": tracking.targets,
        "time_weight": tracking.time_weight,
        "scale": metric.scale,
        "factor": None if metric.diagonal else metric.factors[0],
        "squared": None if metric.diagonal else metric.matrix().toarray(),
    }
    return {name: None if array is None else np.ascontiguousarray(array) for name, array in given.items()}

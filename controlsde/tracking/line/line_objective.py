"""J(θ) and its derivatives in one dimension, by the compiled loops.

Comes in: a tracking problem on a mesh of one axis. Goes out: values, gradients for one control or many, expansions.
Nothing is shared between calls but constants, and the interpreter's lock is released: threads may call at once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.compiled.library import ACCURATE, Line, address, line_loops
from controlsde.control.network import activate, activation_bend, activation_slope
from controlsde.fokker_planck.line_elements import Elements, line_arrays, line_sizes
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.fokker_planck.radau import radau
from controlsde.foundation.surroundings import own_arithmetic
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.free_lengths import FreeLengths
from controlsde.tracking.length_derivatives import LengthDerivatives, among_lengths, length_blocks, with_lengths
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
        self._loops = loops
        elements = Elements.of(tracking.operator)
        self._pose(tracking, _sizes(tracking, elements), _arrays(tracking, elements))

    def settled(self, tracking: TrackingProblem) -> LineObjective:
        """The objective of the same problem on other pieces; what does not depend on them is shared."""
        other = copy(self)
        blocks = len(self._arrays["lengths"]) // tracking.grid.pieces
        changed = {**_in_time(tracking), "lengths": np.repeat(tracking.grid.step_lengths, blocks)}
        other._pose(tracking, self._sizes, {**self._arrays, **_contiguous(changed)})
        return other

    def _pose(self, tracking: TrackingProblem, sizes: dict[str, int], arrays: dict[str, NDArray[Any]]) -> None:
        self._tracking, self._sizes, self._arrays = tracking, sizes, arrays
        self._line = Line(**sizes, **{name: address(array) for name, array in arrays.items()})
        self._structure = ctypes.addressof(self._line)
        self._numbers = int(self._loops.line_factor_numbers(self._structure))

    def _with_lengths(self, lengths: LengthDerivatives) -> LineObjective:
        """The same with the lengths of the pieces as parameters."""
        other = copy(self)
        tracking = self._tracking
        more = {
            "growing": lengths.free.running * tracking.grid.quadrature,
            "rates": tracking.metric.root(lengths.target_rates),
        }
        other._pose(tracking, self._sizes, {**self._arrays, **_contiguous(more)})
        return other

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
    def value_and_gradient_with_lengths(self, weights: Array, free: FreeLengths) -> tuple[float, Array]:
        """J(θ) and ∂J/∂(θ, Δt), shape (K, P + 1)."""
        point = self.at(weights)
        gradient, residual, scaled = np.empty_like(point.weights), np.empty(1), np.empty_like(point.stages)
        slope = activation_slope(self._tracking.network.activation, point.arguments)
        arrays = (point.weights, point.activated, slope, point.factors, point.stages, gradient, scaled, residual)
        if self._loops.line_gradient(self._structure, *map(address, arrays)):
            raise MemoryError
        _refuse_inaccurate(residual)
        gradient += self._tracking.regularisation_matrix @ point.weights
        lengths = LengthDerivatives(self._tracking, free, point.weights, point.stages)
        return point.value, with_lengths(gradient, lengths.gradient(self._multipliers(scaled)))

    @own_arithmetic()
    def expand(self, point: Point, free: FreeLengths | None = None) -> Expansion:
        """Gradient, Gauss–Newton matrix and Hessian at a point.

        free: the lengths of the pieces are parameters, too, each the last one of its piece.
        """
        tracking, weights = self._tracking, point.weights
        lengths, line = None, self
        if free is not None:
            lengths = LengthDerivatives(tracking, free, weights, point.stages)
            line = self._with_lengths(lengths)
        activation = tracking.network.activation
        pieces, size = weights.shape
        total = pieces * (size + (lengths is not None))
        gradient, residual, scaled = np.empty_like(weights), np.empty(1), np.empty_like(point.stages)
        gauss_newton, hessian = np.empty((total, total)), np.empty((total, total))
        arrays = (
            weights, point.activated, activation_slope(activation, point.arguments),
            activation_bend(activation, point.arguments), point.factors, point.stages, gradient, gauss_newton, hessian,
            scaled, residual,
        )  # fmt: skip
        if self._loops.line_expand(line._structure, *map(address, arrays)):
            raise MemoryError
        _refuse_inaccurate(residual)
        regularity = np.kron(tracking.regularisation_matrix, np.eye(size))
        if lengths is not None:
            regularity = among_lengths(regularity, pieces)
            hessian += length_blocks(*lengths.curvature(gradient))
        gradient += tracking.regularisation_matrix @ weights
        if lengths is not None:
            gradient = with_lengths(gradient, lengths.gradient(self._multipliers(scaled)))
        gauss_newton += regularity
        hessian += regularity
        return Expansion(point.value, gradient.ravel(), gauss_newton, hessian)

    def _multipliers(self, scaled: Array) -> Array:
        """Λ (K, S, s, n) of h M⁻¹ Σ_i a_ij Λ_i."""
        grid = self._tracking.grid
        steps = grid.step_lengths[:, None, None, None]
        unscaled = np.einsum("ji,KSjn->KSin", radau(grid.stages).inverse, scaled)
        return np.asarray(unscaled * self._tracking.mesh.mass / steps)

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


def _arrays(tracking: TrackingProblem, elements: Elements) -> dict[str, NDArray[Any]]:
    """What the loops are given, by name; they live as long as the structure that points to them."""
    grid, operator, metric = tracking.grid, tracking.operator, tracking.metric
    points, mesh = operator.drift_points, operator.mesh
    faces = len(points) - len(mesh.points)
    unknown = np.where(np.diff(mesh.prolongation.indptr) > 0, mesh.prolongation @ np.arange(operator.size), -1)
    given: dict[str, NDArray[Any] | None] = {
        **line_arrays(elements, grid.stages, grid.step_lengths, tracking.diffusivity),
        "position": points[:, 0],
        "tangential": np.broadcast_to(tracking.network.tangential_factor(points), points.shape)[:, 0],
        "outward": operator.outward[-2:, 0],
        "initial": tracking.initial,
        "point_weights": np.pad(mesh.weights, (0, faces)),
        "unknown": np.pad(unknown, (0, faces), constant_values=-1).astype(np.int64),
        **_in_time(tracking),
        "scale": metric.scale,
        "factor": None if metric.diagonal else metric.factors[0],
        "squared": None if metric.diagonal else metric.matrix().toarray(),
    }
    return _contiguous(given)


def _in_time(tracking: TrackingProblem) -> dict[str, NDArray[Any] | None]:
    """What depends on the time grid, but for the lengths of the steps."""
    return {
        "targets": tracking.targets,
        "time_weight": tracking.time_weight,
        "energy_weight": tracking.energy_weight if tracking.energy_price else None,
    }


def _contiguous(given: Mapping[str, NDArray[Any] | None]) -> dict[str, NDArray[Any]]:
    """Those that there are, as the loops want them."""
    return {name: np.ascontiguousarray(array) for name, array in given.items() if array is not None}

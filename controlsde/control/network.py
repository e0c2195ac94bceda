"""The width-m network drift  v(x; A, W, b) = τ(x) ∘ A σ(W x + b),  written once for every array library.

Comes in: points and the weights of one control piece (or a batch of pieces). Goes out: the drift there, its
divergence, and its derivatives with respect to the weights. NumPy, PyTorch and CasADi arrays all pass through
`Network.drift`; derivatives are NumPy only.

Weights of one piece, flattened in this order (P = m(2d+1) numbers):  A (d, m), W (m, d), b (m).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.enclosures import Enclosure, Interval, intervals

Array = NDArray[np.float64]
ACTIVATIONS = ("tanh", "sigmoid", "softplus", "sin", "relu")
KINKED = frozenset({"relu"})  # of these: the ones whose slope jumps


def _library_of(array: Any) -> ModuleType:
    """The module whose functions act on this array: numpy, torch or casadi."""
    name = type(array).__module__.split(".")[0]
    if name == "torch":
        import torch

        return torch
    if name == "casadi":
        import casadi

        return casadi
    return np


def activate(name: str, z: Any) -> Any:
    """σ(z) elementwise, for a NumPy, PyTorch or CasADi array. Raises ValueError for an unknown activation."""
    library = _library_of(z)
    if name in ("tanh", "sin"):
        return getattr(library, name)(z)
    if name == "sigmoid":  # ½(1 + tanh z/2) never overflows
        return 0.5 * (1.0 + library.tanh(0.5 * z))
    if name == "softplus":
        return _positive_part(library, z) + library.log1p(library.exp(-abs(z)))
    if name == "relu":
        return _positive_part(library, z)
    raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)} (got {name!r})")


def _positive_part(library: ModuleType, z: Any) -> Any:
    if library.__name__ == "torch":
        return library.relu(z)
    return library.fmax(z, 0.0)


def _weighted(weights: Array, terms: list[Interval]) -> Interval:
    """Σ_i w_i x_i."""
    return sum((Interval.of(weight) * term for weight, term in zip(weights, terms, strict=True)), Interval.of(0.0))


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


def _tanh_slope(z: Array) -> Array:
    return np.asarray(1.0 - np.tanh(z) ** 2)


# σ′ and σ″ for NumPy arrays
_FIRST: dict[str, Callable[[Array], Array]] = {
    "tanh": _tanh_slope,
    "sigmoid": lambda z: _sigmoid(z) * _sigmoid(-z),
    "softplus": _sigmoid,
    "sin": lambda z: np.asarray(np.cos(z)),
    "relu": lambda z: np.asarray((z > 0).astype(float)),
}
_SECOND: dict[str, Callable[[Array], Array]] = {
    "tanh": lambda z: np.asarray(-2.0 * np.tanh(z) * _tanh_slope(z)),
    "sigmoid": lambda z: np.asarray(-_sigmoid(z) * _sigmoid(-z) * np.tanh(0.5 * z)),
    "softplus": lambda z: _sigmoid(z) * _sigmoid(-z),
    "sin": lambda z: np.asarray(-np.sin(z)),
    "relu": lambda z: np.zeros_like(z),
}


def activation_slope(name: str, z: Array) -> Array:
    """σ′(z) elementwise, for a NumPy array."""
    return _FIRST[name](z)


def activation_slope_given(name: str, z: Array, value: Array) -> Array:
    """σ′(z) elementwise where σ(z) is known already, which spares its exponentials."""
    if name == "tanh":
        return np.asarray(1.0 - value * value)
    if name == "sigmoid":
        return np.asarray(value * (1.0 - value))
    return _FIRST[name](z)


def activation_bend(name: str, z: Array) -> Array:
    """σ″(z) elementwise, for a NumPy array."""
    return _SECOND[name](z)


# σ and σ′ on intervals
_ENCLOSED: dict[str, tuple[Callable[[Interval], Interval], Callable[[Interval], Interval]]] = {
    "tanh": (intervals.hyperbolic_tangent, intervals.hyperbolic_tangent_slope),
    "sigmoid": (intervals.sigmoid, intervals.sigmoid_slope),
    "softplus": (intervals.softplus, intervals.softplus_slope),
    "sin": (intervals.sine, intervals.cosine),
    "relu": (intervals.positive_part, intervals.step),
}


@dataclass(frozen=True)
class Network:
    """The shape of the drift: dimension d, width m, activation σ, and the tangential factor τ of a box.

    With `tangential`, τ_i = 1 − z_i⁸ where z ∈ [−1, 1]ᵈ is the box coordinate, so that v·n = 0 on the walls;
    otherwise τ = 1.
    """

    dimension: int
    width: int
    activation: str
    tangential: bool
    box: tuple[tuple[float, float], ...]

    @property
    def weights_per_piece(self) -> int:
        """P = m (2d + 1)."""
        return self.width * (2 * self.dimension + 1)

    @cached_property
    def _centre(self) -> Array:
        return np.array([0.5 * (low + high) for low, high in self.box])

    @cached_property
    def _half(self) -> Array:
        return np.array([0.5 * (high - low) for low, high in self.box])

    def tangential_factor(self, points: Any) -> Any:
        """τ at points (n, d), a NumPy or PyTorch array of the same shape; the number 1 when not tangential."""
        if not self.tangential:
            return 1.0
        if _library_of(points) is np:
            return 1.0 - ((points - self._centre) / self._half) ** 8
        centre = points.new_tensor(self._centre)
        half = points.new_tensor(self._half)
        return 1.0 - ((points - centre) / half) ** 8

    def split(self, flat: Any) -> tuple[Any, Any, Any]:
        """Flattened weights (…, P) to A (…, d, m), W (…, m, d), b (…, m); NumPy or PyTorch."""
        d, m = self.dimension, self.width
        lead = tuple(flat.shape[:-1])
        return (
            flat[..., : d * m].reshape((*lead, d, m)),
            flat[..., d * m : 2 * d * m].reshape((*lead, m, d)),
            flat[..., 2 * d * m :],
        )

    def join(self, a: Array, w: Array, b: Array) -> Array:
        """A (…, d, m), W (…, m, d), b (…, m) to flattened weights (…, P)."""
        lead = b.shape[:-1]
        return np.concatenate([a.reshape((*lead, -1)), w.reshape((*lead, -1)), b], axis=-1)

    def drift(self, points: Any, a: Any, w: Any, b: Any) -> Any:
        """v at points (n, d): shape (…, n, d) for A (…, d, m), W (…, m, d), b (…, m).

        NumPy and PyTorch arrays may carry leading batch dimensions; CasADi arrays are A (d, m), W (m, d),
        b (m, 1) with NumPy points.
        """
        if _library_of(b).__name__ == "casadi":
            factor = self.tangential_factor(points)
            z = points @ w.T + np.ones((len(points), 1)) @ b.T
            return factor * (activate(self.activation, z) @ a.T)
        z = points @ w.swapaxes(-1, -2) + b[..., None, :]
        return self.tangential_factor(points) * (activate(self.activation, z) @ a.swapaxes(-1, -2))

    def slopes(self, points: Array, w: Array, b: Array) -> Array:
        """σ′(Wx + b) at points (n, d): shape (…, n, m)."""
        return _FIRST[self.activation](points @ w.swapaxes(-1, -2) + b[..., None, :])

    def divergence(self, points: Array, a: Array, w: Array, b: Array) -> Array:
        """∇·v at points (n, d) for one piece: shape (n,).

        ∇·v = Σ_c [ τ_c Σ_j A_cj σ′(z_j) W_jc + ∂_cτ_c Σ_j A_cj σ(z_j) ], in O(dm) a point: z is the dearest part.
        """
        z = points @ w.T + b
        slope = _FIRST[self.activation](z)
        if not self.tangential:
            return np.asarray(slope @ np.einsum("cj,jc->j", a, w))
        derivative = -8.0 * ((points - self._centre) / self._half) ** 7 / self._half
        inner = slope @ (a.T * w)  # (n, d)
        return np.asarray(
            (self.tangential_factor(points) * inner + derivative * (activate(self.activation, z) @ a.T)).sum(axis=1)
        )

    def enclosure(self, boxes: Interval, a: Array, w: Array, b: Array) -> tuple[Enclosure, ...]:
        """What v of one piece can be on boxes (d, n): for each component its values (n,) and its slopes (d, n).

        Values are held by the network's own form and by the mean-value form about the middle of every box, as formulas
        are (see `enclosures`).
        """
        function, derivative = _ENCLOSED[self.activation]
        middle = Interval.of(0.5 * (boxes.low + boxes.high))
        offset = boxes - middle
        found = []
        with np.errstate(all="ignore"):
            z = self._enclosed_arguments(boxes, w, b)
            values, slopes = [function(each) for each in z], [derivative(each) for each in z]
            at_middle = [function(each) for each in self._enclosed_arguments(middle, w, b)]
            for c in range(self.dimension):
                factor, bend = self._enclosed_factor(boxes, c)
                inner = _weighted(a[c], values)
                rows = []
                for i in range(self.dimension):
                    terms = [Interval.of(w[j, i]) * slopes[j] for j in range(self.width)]
                    row = factor * _weighted(a[c], terms)
                    rows.append(row + bend * inner if i == c else row)
                centre = self._enclosed_factor(middle, c)[0] * _weighted(a[c], at_middle)
                mean = sum((row * offset[i] for i, row in enumerate(rows)), centre)
                stacked = Interval(np.stack([row.low for row in rows]), np.stack([row.high for row in rows]))
                found.append(Enclosure((factor * inner) & mean, stacked))
        return tuple(found)

    def _enclosed_arguments(self, boxes: Interval, w: Array, b: Array) -> list[Interval]:
        """W x + b on boxes (d, n), by neuron."""
        return [
            _weighted(w[j], [boxes[i] for i in range(self.dimension)]) + Interval.of(b[j]) for j in range(self.width)
        ]

    def _enclosed_factor(self, boxes: Interval, component: int) -> tuple[Interval, Interval]:
        """τ_c and ∂_cτ_c on boxes (d, n), each (n,)."""
        one = Interval.of(np.ones(boxes.low.shape[1]))
        if not self.tangential:
            return one, Interval.of(np.zeros(boxes.low.shape[1]))
        half = Interval.of(self._half[component])
        z = (boxes[component] - Interval.of(self._centre[component])) / half
        return one - intervals.power(z, 8.0), Interval.of(-8.0) * intervals.power(z, 7.0) / half

    def jacobian(self, points: Array, a: Array, w: Array, b: Array) -> Array:
        """∂v/∂(weights of one piece), for every piece: (…, n, d, P)."""
        n, d, m = len(points), self.dimension, self.width
        z = points @ w.swapaxes(-1, -2) + b[..., None, :]  # (…, n, m)
        factor = np.broadcast_to(self.tangential_factor(points), points.shape)
        value = activate(self.activation, z)
        lead = z.shape[:-2]
        jacobian = np.zeros((*lead, n, d, self.weights_per_piece))
        for c in range(d):
            jacobian[..., c, c * m : (c + 1) * m] = factor[:, c : c + 1] * value
        slope = _FIRST[self.activation](z)
        inner = factor[:, :, None] * a[..., None, :, :] * slope[..., None, :]  # (…, n, d, m): τ_c A_cj σ′(z_j)
        jacobian[..., d * m : 2 * d * m] = (inner[..., None] * points[:, None, None, :]).reshape(*lead, n, d, m * d)
        jacobian[..., 2 * d * m :] = inner
        return jacobian

    def pullback(self, points: Array, a: Array, w: Array, b: Array, multiplier: Array) -> Array:
        """Σ_{n,c} multiplier_nc ∂v_c(x_n)/∂θ of every piece: (…, P) for a multiplier (…, n, d)."""
        z = points @ w.swapaxes(-1, -2) + b[..., None, :]
        weighted = multiplier * self.tangential_factor(points)
        inner = (weighted @ a) * _FIRST[self.activation](z)
        return self.join(
            weighted.swapaxes(-1, -2) @ activate(self.activation, z),
            inner.swapaxes(-1, -2) @ points,
            inner.sum(axis=-2),
        )

    def curvature(self, points: Array, a: Array, w: Array, b: Array, multiplier: Array) -> Array:
        """Σ_{n,c} multiplier_nc ∂²v_c(x_n)/∂θ∂θ of every piece: (…, P, P) for a multiplier (…, n, d)."""
        d, m = self.dimension, self.width
        z = points @ w.swapaxes(-1, -2) + b[..., None, :]  # (…, n, m)
        weighted = multiplier * self.tangential_factor(points)
        slope = _FIRST[self.activation](z)
        bend = (weighted @ a) * _SECOND[self.activation](z)  # (…, n, m)
        extended = np.concatenate([points, np.ones((len(points), 1))], axis=1)  # the inputs of (W_j, b_j)
        size = self.weights_per_piece
        hessian = np.zeros((*z.shape[:-2], size, size))
        for j in range(m):
            position = np.array([*(d * m + j * d + np.arange(d)), 2 * d * m + j])
            inner = np.swapaxes(bend[..., j : j + 1] * extended, -1, -2) @ extended  # ∂(W_j, b_j) ∂(W_j, b_j)
            hessian[..., position[:, None], position] = inner
            mixed = np.swapaxes(weighted * slope[..., j : j + 1], -1, -2) @ extended  # ∂A_cj ∂(W_j, b_j)
            for c in range(d):
                hessian[..., c * m + j, position] = mixed[..., c, :]
                hessian[..., position, c * m + j] = mixed[..., c, :]
        return hessian

    def random_weights(self, pieces: int, rng: np.random.Generator, scale: float = 1.0) -> Array:
        """Random flattened weights (pieces, P): every neuron bends somewhere inside the box.

        W ~ scale · N(0, 1) / half-width, b = −W·x₀ with x₀ uniform in the box, A ~ scale · N(0, 1/m).
        """
        d, m = self.dimension, self.width
        w = scale * rng.standard_normal((pieces, m, d)) / self._half
        centre = self._centre + self._half * rng.uniform(-1.0, 1.0, (pieces, m, d))
        a = scale * rng.standard_normal((pieces, d, m)) / math.sqrt(m)
        return self.join(a, w, -np.einsum("kmd,kmd->km", w, centre))

"""A network drift fitted to samples of a drift with its outer weights eliminated, by gradients alone.

    F(W, b) = min_A ½ Σ_i mass_i |Aσ(Wx_i + b) − v_i|² + ½ r (|A|² + |W|² + |b|²),        |A|, |W|, |b| ≤ bound.

The best A is that of a ridge regression, exact to rounding, and ∂F/∂(W, b) is the partial derivative at it, for F has
none in A (the envelope theorem; variable projection, Golub & Pereyra 1973). W and b go down by L-BFGS: its memory is a
few vectors, where a Newton step takes the square of the number of weights. They are seen in units of the samples,

    inner = (s W, b + W c),        c, s the samples' mean and spread,

in which a neuron may turn without running away from where the samples are. Comes in: samples and inner weights. Goes
out: F with its gradient, and the weights of the piece.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.linalg as la
import scipy.optimize as so
from numpy.typing import NDArray

from controlsde.control.network import Network, activate, activation_slope_given
from controlsde.solvers.drift_fitting.drift_fit import bounded_least_squares
from controlsde.solvers.drift_fitting.drift_samples import DriftSamples

Array = NDArray[np.float64]

ROWS = 512  # of a product, so that its parts stay in the cache
MEMORY = 20  # steps that L-BFGS remembers
FLAT = 1e-13  # share of the mean square of a neuron that is added to every one: dead neurons leave A undetermined


class StoppedError(Exception):
    """Somebody wants the fit to end."""


@dataclass(frozen=True, eq=False)
class Moments:
    """All that A and its loss depend on: Σ mass σσᵀ (m, m), Σ mass σvᵀ (m, d) and Σ mass |v|²."""

    gram: Array
    right: Array
    square: float

    def joined(self, other: Moments, share: float) -> Moments:
        """A share of these, the rest of the other."""
        rest = 1.0 - share
        return Moments(
            share * self.gram + rest * other.gram,
            share * self.right + rest * other.right,
            share * self.square + rest * other.square,
        )

    def loss(self, outer: Array) -> float:
        """Σ mass |Aσ − v|² for A transposed (m, d)."""
        return max(
            self.square - 2.0 * float((outer * self.right).sum()) + float((outer * (self.gram @ outer)).sum()), 0.0
        )

    def best(self, price: float, bound: Array) -> Array:
        """The best A within its bounds (d, m), transposed (m, d); not a number where the moments are none."""
        width = len(self.gram)
        gram = self.gram.copy()
        gram[np.diag_indices(width)] += price + FLAT * np.trace(gram) / width
        try:
            factor = la.cholesky(gram, check_finite=False)
        except la.LinAlgError:
            return np.full(self.right.shape, np.nan)
        half = la.solve_triangular(factor, self.right, trans=1, check_finite=False)
        outer = np.asarray(la.solve_triangular(factor, half, check_finite=False))
        beyond = np.flatnonzero((np.abs(outer) > bound.T).any(axis=0))
        if beyond.size:
            copies = np.broadcast_to(factor, (beyond.size, width, width))
            outer[:, beyond] = bounded_least_squares(copies, half[:, beyond].T, bound[beyond]).T
        return outer


@dataclass(frozen=True, eq=False)
class ProjectedFit:
    """F on samples; weights are flattened as in `network`, inner ones as (s W, b + W c), (m (d + 1),).

    price: r. bound: (P,).
    """

    network: Network
    samples: DriftSamples
    price: float
    bound: Array
    centre: Array
    spread: float

    @staticmethod
    def of(network: Network, samples: DriftSamples, price: float, bound: Array) -> ProjectedFit:
        """In the units of the samples themselves."""
        share = samples.mass / samples.mass.sum()
        centre = share @ samples.points
        variance = float(share @ ((samples.points - centre) ** 2).mean(axis=1))
        return ProjectedFit(network, samples, price, bound, centre, max(variance, 1e-24) ** 0.5)

    def inner_of(self, w: Array, b: Array) -> Array:
        """The inner weights of W (m, d) and b (m,)."""
        return np.concatenate([(self.spread * w).ravel(), b + w @ self.centre])

    def inner_of_weights(self, weights: Array) -> Array:
        """The inner weights of flattened weights (P,)."""
        _, w, b = self.network.split(weights)
        return self.inner_of(w, b)

    def parts_of(self, inner: Array) -> tuple[Array, Array]:
        """W (m, d) and b (m,) of inner weights."""
        size = self.network.width * self.network.dimension
        w = inner[:size].reshape(self.network.width, -1) / self.spread
        return w, inner[size:] - w @ self.centre

    def moments(self, inner: Array) -> Moments:
        """What A depends on for these inner weights."""
        return self._moments(self._values(*self.parts_of(inner))[0])

    def weights(self, inner: Array, moments: Moments) -> Array:
        """W and b of inner weights with the A that is best for these moments, flattened (P,)."""
        return np.asarray(self.network.join(moments.best(self.price, self.outer_bound).T, *self.parts_of(inner)))

    def value_and_gradient(self, inner: Array) -> tuple[float, Array]:
        """F and its derivative by the inner weights."""
        w, b = self.parts_of(inner)
        values, slopes = self._values(w, b)
        outer = self._moments(values).best(self.price, self.outer_bound)
        misfit, w_gradient, b_gradient = 0.0, self.price * w, self.price * b
        for rows in self._rows:
            residual = values[rows] @ outer
            residual -= self._targets[rows]
            misfit += float(np.einsum("nd,nd->", residual, residual))
            bent = residual @ outer.T
            bent *= slopes[rows]
            w_gradient += bent.T @ self.samples.points[rows]
            b_gradient += bent.sum(axis=0)
        size = float((outer**2).sum() + (w**2).sum() + (b**2).sum())
        by_w = (w_gradient - np.outer(b_gradient, self.centre)) / self.spread
        return 0.5 * misfit + 0.5 * self.price * size, np.concatenate([by_w.ravel(), b_gradient])

    def minimise(self, inner: Array, iterations: int, told: Callable[[], None]) -> Array:
        """Inner weights lower than these after so many iterations; their weights are within the bounds.

        told: before each evaluation; it may raise StoppedError, upon which the best so far are returned.
        """
        found = self._descend(inner, iterations, told, None)
        size = self.network.width * self.network.dimension
        limit = self.bound[size:]
        w, b = self.parts_of(found)
        if (np.abs(np.concatenate([w.ravel(), b])) <= limit).all():
            return found
        plain = replace(self, centre=np.zeros_like(self.centre))  # in these units bounds are bounds of each number
        cut = np.clip(np.concatenate([w.ravel(), b]), -limit, limit)
        units = np.concatenate([np.full(size, self.spread), np.ones(self.network.width)])
        held = plain._descend(cut * units, iterations, told, limit * units)
        return self.inner_of(*plain.parts_of(held))

    def gradient_norm(self, inner: Array) -> float:
        """The largest entry of θ − clip(θ − g) over W and b."""
        plain = replace(self, centre=np.zeros_like(self.centre), spread=1.0)
        point = np.concatenate([part.ravel() for part in self.parts_of(inner)])
        limit = self.bound[-point.size :]
        gradient = plain.value_and_gradient(point)[1]
        return float(np.abs(point - np.clip(point - gradient, -limit, limit)).max())

    def _descend(self, inner: Array, iterations: int, told: Callable[[], None], limit: Array | None) -> Array:
        best, least = inner, np.inf

        def function(point: Array) -> tuple[float, Array]:
            nonlocal best, least
            told()
            value, gradient = self.value_and_gradient(point)
            if not np.isfinite(value):
                return 1e300, np.zeros_like(point)  # the line search backs off
            if value < least:
                best, least = point.copy(), value
            return value, gradient

        with suppress(StoppedError):
            so.minimize(
                function,
                inner,
                jac=True,
                method="L-BFGS-B",
                bounds=None if limit is None else so.Bounds(-limit, limit),
                options={
                    "maxiter": iterations,
                    "maxfun": 2 * iterations + 20,
                    "maxcor": MEMORY,
                    "ftol": 0.0,
                    "gtol": 0.0,
                },
            )
        return best

    @cached_property
    def _root(self) -> Array:
        return np.sqrt(self.samples.mass)[:, None]

    @cached_property
    def _targets(self) -> Array:
        """√mass v, (N, d)."""
        return np.asarray(self._root * self.samples.drifts)

    @cached_property
    def _rows(self) -> list[slice]:
        return [slice(begin, begin + ROWS) for begin in range(0, len(self.samples), ROWS)]

    def _values(self, w: Array, b: Array) -> tuple[Array, Array]:
        """√mass σ and √mass σ′ at the samples, each (N, m)."""
        name, points = self.network.activation, self.samples.points
        values, slopes = (np.empty((len(points), self.network.width)) for _ in range(2))
        for rows in self._rows:
            z = points[rows] @ w.T
            z += b
            value = activate(name, z)
            np.multiply(self._root[rows], activation_slope_given(name, z, value), out=slopes[rows])
            np.multiply(self._root[rows], value, out=values[rows])
        return values, slopes

    def _moments(self, values: Array) -> Moments:
        """Of √mass σ (N, m)."""
        gram, right = np.zeros((values.shape[1], values.shape[1])), np.zeros((values.shape[1], self.network.dimension))
        for rows in self._rows:
            gram += values[rows].T @ values[rows]
            right += values[rows].T @ self._targets[rows]
        return Moments(gram, right, self.samples.square)

    @property
    def outer_bound(self) -> Array:
        """Of A, (d, m)."""
        d, width = self.network.dimension, self.network.width
        return self.bound[: d * width].reshape(d, width)

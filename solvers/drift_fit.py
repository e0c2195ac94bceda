"""Network drifts fitted to given drifts by weighted least squares: many independent fits at once.

Comes in: points, masses, mean drifts, prices and bounds. Goes out: the weights of each fit, and how good they are.

    F(θ) = ½ Σ_n mass_n |v(x_n; θ) − mean_n|² + ½ Σ_p price_p θ_p²,        |θ| ≤ bound,        v = τ∘Aσ(Wx + b).

F is quadratic in the outer weights A, so these are always the exact minimiser for the inner ones W, b (variable
projection, Golub & Pereyra 1973). All weights take a damped Newton step with the exact Hessian, shifted where it is not
positive definite and cut to the box; then A is solved for anew (Levenberg 1944; Marquardt 1963; Kaufman 1975). F never
rises. Where relu bends at a point, a fit may end in a kink of F, where no gradient vanishes and no step goes down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.network import Network, activate
from controlsde.solvers.box_least_squares import box_least_squares

Array = NDArray[np.float64]
Index = NDArray[np.int64]

CHUNK_BYTES = 32e6  # of the Jacobians that are formed at once
LARGEST_DAMPING = 1e10
SMALLEST_DAMPING = 1e-10
ROUNDING = 100  # times the tolerance: a gradient at which a fit that goes no lower is an optimum, to rounding


@dataclass(frozen=True, eq=False)
class Regression:
    """B fits of one network at the same points; weights are flattened as in `network`, (B, P)."""

    network: Network
    points: Array  # (n, d)
    mass: Array  # (B, n)
    mean: Array  # (B, n, d)
    price: Array  # (B, P)
    bound: Array  # (B, P)

    @property
    def size(self) -> int:
        """Number of fits B."""
        return len(self.mass)

    def pick(self, which: Index) -> Regression:
        """Some of the fits, in this order; one may come several times."""
        return replace(
            self, mass=self.mass[which], mean=self.mean[which], price=self.price[which], bound=self.bound[which]
        )

    def misfit(self, weights: Array) -> Array:
        """Σ_n mass_n |v(x_n) − mean_n|², (B,)."""
        return np.asarray(np.einsum("bn,bnc->b", self.mass, self._residual(weights) ** 2))

    def value(self, weights: Array) -> Array:
        """F, (B,)."""
        return np.asarray(0.5 * self.misfit(weights) + 0.5 * (self.price * weights**2).sum(axis=1))

    def with_best_outer(self, weights: Array) -> Array:
        """The same W and b with the A that is best for them within its bounds."""
        network = self.network
        size = network.dimension * network.width
        _, w, b = network.split(weights)
        value = activate(network.activation, self.points @ w.swapaxes(-1, -2) + b[:, None, :])  # (B, n, m)
        factor = np.broadcast_to(network.tangential_factor(self.points), self.points.shape)
        price, bound = (part[:, :size].reshape(-1, network.dimension, network.width) for part in (self.price, self.bound))
        root = np.sqrt(self.mass)
        a = np.empty_like(price)
        for c in range(network.dimension):
            # |√mass (τ_c σ a − mean_c)|² + |√price a|², as one least-squares problem
            design = (root * factor[:, c])[..., None] * value
            ridge = np.sqrt(price[:, c])[:, None] * np.eye(network.width)
            right = np.pad(root * self.mean[..., c], ((0, 0), (0, network.width)))
            q, r = np.linalg.qr(np.concatenate([design, ridge], axis=1))
            a[:, c] = box_least_squares(r, np.einsum("bnm,bn->bm", q, right), bound[:, c])
        return network.join(a, w, b)

    def expand(self, weights: Array) -> tuple[Array, Array, Array]:
        """Gradient (B, P), diagonal of the Gauss–Newton matrix (B, P), exact Hessian (B, P, P)."""
        network, parts = self.network, self.network.split(weights)
        jacobian = network.jacobian(self.points, *parts).reshape(self.size, -1, network.weights_per_piece)
        mass = np.repeat(self.mass, network.dimension, axis=1)
        weighted = mass * self._residual(weights).reshape(self.size, -1)
        gradient = np.einsum("bip,bi->bp", jacobian, weighted) + self.price * weights
        normal = (jacobian * mass[..., None]).swapaxes(1, 2) @ jacobian
        diagonal = np.einsum("bpp->bp", normal) + self.price
        curvature = network.curvature(self.points, *parts, weighted.reshape(self.mean.shape))
        return gradient, diagonal, normal + curvature + self.price[..., None] * np.eye(self.price.shape[1])

    def _residual(self, weights: Array) -> Array:
        return np.asarray(self.network.drift(self.points, *self.network.split(weights)) - self.mean)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Where B fits ended: weights (B, P), F, the largest entry of the projected gradient, and whether F goes no lower."""

    weights: Array
    value: Array
    gradient_norm: Array
    ended: NDArray[np.bool_]
    iterations: int

    def better(self, other: Fitted, which: Index) -> Fitted:
        """These, with those fits `which` replaced by `other`'s that are lower; `which` names each at most once."""
        lower = other.value < self.value[which]
        place = which[lower]
        parts = []
        for own, others in zip(self._arrays, other._arrays, strict=True):
            mixed = own.copy()
            mixed[place] = others[lower]
            parts.append(mixed)
        return Fitted(*parts, iterations=self.iterations)

    @property
    def _arrays(self) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
        return self.weights, self.value, self.gradient_norm, self.ended


def fit(regression: Regression, start: Array, iterations: int, tolerance: float) -> Fitted:
    """Go down from starts (B, P), all fits at once; each ends where its projected gradient is below the tolerance."""
    network = regression.network
    each = 8.0 * len(regression.points) * network.dimension * network.weights_per_piece
    parts = np.array_split(np.arange(regression.size), max(1, int(np.ceil(regression.size * each / CHUNK_BYTES))))
    fitted = [_fit(regression.pick(part), start[part], iterations, tolerance) for part in parts if len(part)]
    arrays = (np.concatenate(rows) for rows in zip(*(one._arrays for one in fitted), strict=True))
    return Fitted(*arrays, iterations=max(one.iterations for one in fitted))


def _fit(regression: Regression, start: Array, iterations: int, tolerance: float) -> Fitted:
    point = regression.with_best_outer(np.clip(start, -regression.bound, regression.bound))
    value = regression.value(point)
    norm = np.full(regression.size, np.inf)
    damping = np.full(regression.size, 1e-3)
    scale = np.zeros_like(point)
    ended = np.zeros(regression.size, dtype=bool)
    running = np.arange(regression.size)
    number = 0
    while True:
        some, at = regression.pick(running), point[running]
        gradient, diagonal, hessian = some.expand(at)
        norm[running] = np.abs(at - np.clip(at - gradient, -some.bound, some.bound)).max(axis=1)
        ended[running] |= (norm[running] <= tolerance) | (damping[running] > LARGEST_DAMPING)
        going = ~ended[running]
        if number == iterations or not going.any():
            return Fitted(point, value, norm, ended, number)
        running, some, at = running[going], some.pick(np.flatnonzero(going)), at[going]
        gradient, diagonal, hessian = gradient[going], diagonal[going], hessian[going]
        scale[running] = np.maximum(0.5 * scale[running], np.sqrt(np.maximum(diagonal, 1e-12)))
        trial = some.with_best_outer(_step(some, at, gradient, hessian, scale[running], damping[running]))
        reached = some.value(trial)
        lower = reached < value[running]
        point[running[lower]], value[running[lower]] = trial[lower], reached[lower]
        damping[running] *= np.where(lower, 0.2, 8.0)
        damping[running] = np.maximum(damping[running], SMALLEST_DAMPING)
        number += 1


def _step(regression: Regression, at: Array, gradient: Array, hessian: Array, scale: Array, damping: Array) -> Array:
    """Where the damped Newton step leads, cut to the box; weights that a bound holds back stay where they are."""
    bound = regression.bound
    held = ((at >= bound) & (gradient < 0)) | ((at <= -bound) & (gradient > 0))
    free = ~held
    both = free[:, :, None] & free[:, None, :]
    eye = np.eye(at.shape[1])
    scaled = np.where(both, hessian / (scale[:, :, None] * scale[:, None, :]), eye)
    smallest = np.linalg.eigvalsh(scaled)[:, 0]
    shift = damping + np.maximum(0.0, -1.1 * smallest)
    matrix = scaled + shift[:, None, None] * eye
    right = np.where(held, 0.0, -gradient / scale)
    step = np.linalg.solve(matrix, right[..., None])[..., 0] / scale
    return np.clip(at + step, -bound, bound)

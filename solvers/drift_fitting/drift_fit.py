"""Network drifts fitted to given drifts by weighted least squares: many independent fits at once.

Comes in: points, masses, mean drifts, prices and bounds. Goes out: the weights of each fit, and how good they are.

    F(θ) = ½ Σ_n mass_n |v(x_n; θ) − mean_n|² + ½ Σ_p price_p θ_p²,        |θ| ≤ bound,        v = τ∘Aσ(Wx + b).

F is quadratic in the outer weights A, so these are always the exact minimiser for the inner ones W, b (variable
projection, Golub & Pereyra 1973). Between two projections all weights take a damped Newton step, Gauss–Newton with the
curvature of the residual, shifted where it is not positive definite and cut to the box (Levenberg 1944; Marquardt 1963;
Kaufman 1975): a fit leaves a residual, at which plain Gauss–Newton converges linearly at best. F never rises. Where
relu bends at a point, a fit may end in a kink of F, where no gradient vanishes and no step goes down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.optimize as so
from numpy.typing import NDArray

from controlsde.control.network import Network, activate

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Told = Callable[[int], None]  # of each iteration

CHUNK_BYTES = 32e6  # of the Jacobians that are formed at once
LARGEST_DAMPING = 1e10
SMALLEST_DAMPING = 1e-10
ROUNDING = 100  # times the tolerance: a gradient at which a fit that goes no lower is an optimum, to rounding
PASSES = 10  # a weight, of the search for those at their bounds
ROUNDS = 8  # of starts at what the neighbours found
GAIN = 1e-6  # relative: by less a neighbour's weights are no better start


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
        price, bound = (
            part[:, :size].reshape(-1, network.dimension, network.width) for part in (self.price, self.bound)
        )
        root = np.sqrt(self.mass)
        a = np.empty_like(price)
        for c in range(network.dimension):
            # |√mass (τ_c σ a − mean_c)|² + |√price a|², as one least-squares problem
            design = (root * factor[:, c])[..., None] * value
            ridge = np.sqrt(price[:, c])[:, None] * np.eye(network.width)
            right = np.pad(root * self.mean[..., c], ((0, 0), (0, network.width)))
            q, r = np.linalg.qr(np.concatenate([design, ridge], axis=1))
            a[:, c] = bounded_least_squares(r, np.einsum("bnm,bn->bm", q, right), bound[:, c])
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

    def random_weights(self, rng: np.random.Generator) -> Array:
        """Starts (B, P): neurons that bend where there is mass, about as steeply as the mass is wide; A = 0.

        W_j = e^{ξ/2} u_j / spread with u_j a random unit vector, b_j = −W_j·c with c drawn from the mass.
        """
        network = self.network
        probability = self.mass / np.maximum(self.mass.sum(axis=1, keepdims=True), 1e-300)
        probability[probability.sum(axis=1) == 0] = 1.0
        steps = np.cumsum(probability, axis=1)
        drawn = rng.uniform(size=(self.size, network.width)) * steps[:, -1:]
        chosen = (steps[:, None, :] < drawn[..., None]).sum(axis=2)
        centre = self.points[np.minimum(chosen, len(self.points) - 1)]  # (B, m, d)
        mean = probability @ self.points
        variance = (probability @ self.points**2 - mean**2).mean(axis=1)
        direction = rng.standard_normal(centre.shape)
        direction /= np.linalg.norm(direction, axis=2, keepdims=True)
        steepness = np.exp(0.5 * rng.standard_normal((self.size, network.width, 1)))
        w = steepness * direction / np.sqrt(np.maximum(variance, 1e-12))[:, None, None]
        a = np.zeros((self.size, network.dimension, network.width))
        return np.asarray(network.join(a, w, -np.einsum("bmd,bmd->bm", w, centre)))

    def _residual(self, weights: Array) -> Array:
        return np.asarray(self.network.drift(self.points, *self.network.split(weights)) - self.mean)


def bounded_least_squares(factor: Array, right: Array, bound: Array) -> Array:
    """The minimisers (B, m) of |R a − y|² in |a| ≤ bound, for triangular R (B, m, m), y and bound (B, m).

    Singular R are met by their pseudo-inverse, which takes the smallest of the minimisers.
    """
    answer = np.asarray(np.einsum("bij,bj->bi", np.linalg.pinv(factor), right))
    width = answer.shape[1]
    if width == 1:
        return np.asarray(np.clip(answer, -bound, bound))
    for row in np.flatnonzero((np.abs(answer) > bound).any(axis=1)):
        limits = -bound[row], bound[row]
        answer[row] = so.lsq_linear(factor[row], right[row], limits, "bvls", max_iter=PASSES * width).x
    return answer


@dataclass(frozen=True, eq=False)
class Fitted:
    """Where B fits ended: weights (B, P), F, the largest entry of the projected gradient, and whether that is small.

    stuck: no step lowers F any further, though the gradient is not small.
    """

    weights: Array
    value: Array
    gradient_norm: Array
    converged: NDArray[np.bool_]
    stuck: NDArray[np.bool_]
    iterations: int
    interrupted: bool = False

    def pick(self, which: Index) -> Fitted:
        """Some of the fits, in this order."""
        return replace(
            self,
            weights=self.weights[which],
            value=self.value[which],
            gradient_norm=self.gradient_norm[which],
            converged=self.converged[which],
            stuck=self.stuck[which],
        )

    def joined(self, other: Fitted) -> Fitted:
        """These fits, and others after them."""
        return Fitted(
            weights=np.concatenate([self.weights, other.weights]),
            value=np.concatenate([self.value, other.value]),
            gradient_norm=np.concatenate([self.gradient_norm, other.gradient_norm]),
            converged=np.concatenate([self.converged, other.converged]),
            stuck=np.concatenate([self.stuck, other.stuck]),
            iterations=max(self.iterations, other.iterations),
            interrupted=self.interrupted or other.interrupted,
        )

    def best_of(self, owner: Index, count: int) -> Fitted:
        """The lowest fit of each of `count` regressions, where fit i is one of regression `owner[i]`."""
        by_value = np.lexsort((self.value, owner))
        return self.pick(by_value[np.searchsorted(owner[by_value], np.arange(count))])


def fit(
    regression: Regression,
    starts: int,
    seed: int,
    iterations: int,
    tolerance: float,
    initial: Sequence[Array] = (),
    told: Told = lambda _: None,
) -> Fitted:
    """The best fits (B, P) from several starts each, and then from what the neighbours in the batch found.

    initial: weights (B, P) that take the place of the first random starts. Start i depends on (seed, i) alone. A
    keyboard interrupt keeps the best so far.
    """
    count = regression.size
    rest = range(len(initial), starts)
    begin = [*initial, *(regression.random_weights(np.random.default_rng([seed, number])) for number in rest)][:starts]
    owner = np.tile(np.arange(count), len(begin))
    best = descend(regression.pick(owner), np.concatenate(begin), iterations, tolerance, told).best_of(owner, count)
    fresh = np.ones(count, dtype=bool)  # whose weights no neighbour has tried yet
    for _ in range(ROUNDS):
        taken = np.concatenate([np.flatnonzero(fresh[:-1]), np.flatnonzero(fresh[1:]) + 1])  # the neighbours, and
        owner = taken + np.repeat([1, -1], [fresh[:-1].sum(), fresh[1:].sum()])  # who tries their weights
        if best.interrupted or not len(owner):
            break
        tried = descend(regression.pick(owner), best.weights[taken], iterations, tolerance, told)
        better = best.joined(tried).best_of(np.concatenate([np.arange(count), owner]), count)
        fresh = better.value < best.value * (1.0 - GAIN)
        best = better
    return best


def descend(
    regression: Regression, start: Array, iterations: int, tolerance: float, told: Told = lambda _: None
) -> Fitted:
    """Go down from starts (B, P), all fits at once; each ends where its projected gradient is below the tolerance."""
    network = regression.network
    each = 8.0 * len(regression.points) * network.dimension * network.weights_per_piece
    parts = np.array_split(np.arange(regression.size), max(1, int(np.ceil(regression.size * each / CHUNK_BYTES))))
    fitted: Fitted | None = None
    for part in parts:
        some = 0 if fitted and fitted.interrupted else iterations
        one = _descend(regression.pick(part), start[part], some, tolerance, told)
        fitted = fitted.joined(one) if fitted else one
    assert fitted is not None  # there is at least one part
    return fitted


def _descend(regression: Regression, start: Array, iterations: int, tolerance: float, told: Told) -> Fitted:
    point = regression.with_best_outer(np.clip(start, -regression.bound, regression.bound))
    value = regression.value(point)
    norm = np.full(regression.size, np.inf)
    damping = np.full(regression.size, 1e-3)
    scale = np.zeros_like(point)
    running = np.arange(regression.size)
    number, interrupted = 0, False
    try:
        while True:
            some, at = regression.pick(running), point[running]
            gradient, diagonal, hessian = some.expand(at)
            norm[running] = np.abs(at - np.clip(at - gradient, -some.bound, some.bound)).max(axis=1)
            going = (norm[running] > tolerance) & (damping[running] <= LARGEST_DAMPING)
            if number == iterations or not going.any():
                break
            told(number)
            running, some, at = running[going], some.pick(np.flatnonzero(going)), at[going]
            scale[running] = np.maximum(0.5 * scale[running], np.sqrt(np.maximum(diagonal[going], 1e-12)))
            step = _step(some, at, gradient[going], hessian[going], scale[running], damping[running])
            trial = some.with_best_outer(step)
            reached = some.value(trial)
            lower = reached < value[running]
            point[running[lower]], value[running[lower]] = trial[lower], reached[lower]
            damping[running] = np.maximum(damping[running] * np.where(lower, 0.2, 8.0), SMALLEST_DAMPING)
            number += 1
    except KeyboardInterrupt:
        interrupted = True
    ended = damping > LARGEST_DAMPING
    converged = norm <= np.where(ended, ROUNDING * tolerance, tolerance)
    return Fitted(point, value, norm, converged, ended & ~converged, number, interrupted)


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

"""The mollified L² distance between particles and a mixture, as a share of the mixture's own norm.

    T_g = ‖K_g * (ρ − p)‖² / ‖K_g * p‖²,         K_g = N(0, g² I),

of particles X_1 … X_n as the unbiased U-statistic

    T_g = 1/(n(n−1)) Σ_{i≠j} k(X_i, X_j) − 2/n Σ_i k(X_i, p) + 1,

k(x, y) = N(x − y; 0, 2g² I) / ‖K_g * p‖² and k(x, p) = E k(x, Y), Y of p: the density of p spread by 2g². What is known
of p is in closed form. All constants meet as logarithms, so that nothing under- or overflows in high dimension; N(μ, I)
against N(0, I) is 2(1 − exp(−|μ|²/(4g² + 4))) in any dimension. Where ρ is p, T_g has mean zero and the variance

    2 E h² / (n(n−1)),    E h² = (E k² − 1) − 2 E(k(X, p) − 1)²,    X of p,

of which the first part is in closed form and bounds the whole. It explodes as g falls: 1 + E h² grows as
(1 + 1/(g²(g² + 2)))^{d/2} for p = N(0, I). A scale at which exact draws vary by much of ‖K_g * p‖² sees nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

from controlsde.densities.density import Array
from controlsde.densities.free_mixture import CHUNK, ComponentMixture, FreeMixture, KernelMixture
from controlsde.tracking.cloud import ROWS, Cloud, parts, squared_distances

SEEN = 0.1  # deviation of T_g under the null up to which a scale is of use: what shares nothing with p has T_g ≥ 1
ROUNDING = 1e-9  # below this deviation the constants cancel in rounding: they are of the order of one
LADDER = 4  # automatic scales at most, each half the one before
DRAWS = 4096  # for the part of the null deviation that has no closed form
FARTHEST = 100.0  # scales, in root mean variances of p, that a message still advises


def log_overlaps(mixture: FreeMixture, blurs: Sequence[float]) -> Array:
    """log E p_v(Y), Y of p and p_v spread by v: log Σ_kl w_k w_l N(m_k − m_l; 0, S_k + S_l + vI) for each v ≥ 0.

    Raises TypeError for a mixture of another kind than the two of `free_mixture`.
    """
    with np.errstate(divide="ignore"):
        log_weights = np.log(mixture.weights)
    if isinstance(mixture, KernelMixture):
        at_means = [mixture.spread(1.0, mixture.variance + v).log_density(mixture.means) for v in blurs]
        return np.array([logsumexp(log_weights + logs) for logs in at_means])
    if isinstance(mixture, ComponentMixture):
        rows = [[pair.spread(1.0, v).log_density(mean[None])[0] for v in blurs] for pair, mean in _pairs(mixture)]
        return np.asarray(logsumexp(log_weights[:, None] + np.array(rows), axis=0))
    raise _other_kind(mixture)


def _other_kind(mixture: FreeMixture) -> TypeError:
    return TypeError(f"a {type(mixture).__name__} is not one of the mixtures of free space")


def _pairs(mixture: ComponentMixture) -> Iterator[tuple[ComponentMixture, Array]]:
    """For every component k its mean, and the mixture spread by S_k: each pair is diagonalised once."""
    for k, mean in enumerate(mixture.means):
        if mixture.vectors is None:
            yield ComponentMixture(mixture.weights, mixture.means, mixture.values + mixture.values[k], None), mean
        else:
            sums = mixture.covariances + mixture.covariances[k]
            yield ComponentMixture.of_covariances(mixture.weights, mixture.means, sums), mean


@dataclass(frozen=True, eq=False)
class Mollified:
    """T_g against one mixture at scales g (G,): what does not depend on the particles, computed once.

    log_norms: log ‖K_g * p‖² (G,). log_squares: log E k² (G,).
    """

    mixture: FreeMixture
    scales: Array
    log_norms: Array
    log_squares: Array

    @staticmethod
    def of(mixture: FreeMixture, scales: Sequence[float] | Array) -> Mollified:
        """Raises ValueError for scales that are not positive and finite."""
        g = np.array(scales, dtype=float)
        if g.ndim != 1 or not g.size or not np.all((g > 0.0) & np.isfinite(g)):
            raise ValueError(f"scales must be positive numbers (got {scales}): give some, or auto")
        found = log_overlaps(mixture, [*(2.0 * g**2), *(g**2)])
        norms = found[: g.size]
        # N(z; 0, 2g²)² = (8πg²)^{−d/2} N(z; 0, g²)
        squares = found[g.size :] - 0.5 * mixture.dimension * np.log(8.0 * math.pi * g**2) - 2.0 * norms
        return Mollified(mixture, g, norms, squares)

    @cached_property
    def _log_peaks(self) -> Array:
        """log k(x, x), (G,)."""
        return np.asarray(
            -0.5 * self.mixture.dimension * np.log(4.0 * math.pi * self.scales**2) - self.log_norms,
        )

    @cached_property
    def _descending(self) -> list[int]:
        return [int(i) for i in np.argsort(-self.scales)]

    def values(self, cloud: Cloud) -> Array:
        """T_g of at least two particles, unbiased and signed, (G,)."""
        sums = np.zeros(self.scales.size)
        for squared in cloud.squared_distances():
            for place, bumps in self._bumps(squared):
                sums[place] += bumps.sum()
        pairs = np.exp(self._log_peaks) * sums / cloud.pairs
        return np.asarray(pairs - 2.0 * self.with_mixture(cloud.points).mean(axis=1) + 1.0)

    def with_mixture(self, points: Array) -> Array:
        """k(x, p) at points (n, d), shape (G, n): what the scales share of it is computed once."""
        found = np.empty((self.scales.size, len(points)))
        for part in self._parts(points):
            self._at_points(points[part], found[:, part], None, None)
        return found

    def _with_mixture_and_gradient(self, points: Array, weights: Array) -> tuple[Array, Array]:
        """k(x, p), shape (G, n), and Σ_g weights_g ∇k(x, p), shape (n, d), at points (n, d)."""
        found, gradient = np.empty((self.scales.size, len(points))), np.empty_like(points)
        for part in self._parts(points):
            self._at_points(points[part], found[:, part], weights, gradient[part])
        return found, gradient

    def _parts(self, points: Array) -> Iterator[slice]:
        numbers = 1 if isinstance(self.mixture, KernelMixture) else max(self.mixture.dimension, self.scales.size)
        return parts(len(points), max(1, CHUNK // (len(self.mixture.weights) * numbers)))

    def _at_points(self, points: Array, found: Array, weights: Array | None, gradient: Array | None) -> None:
        """k(x, p) into found (G, n) and, where weights (G,) are given, the gradient of their sum into (n, d)."""
        if isinstance(self.mixture, KernelMixture):
            self._at_points_of_kernels(self.mixture, points, found, weights, gradient)
        else:
            self._at_points_of_components(self._components, points, found, weights, gradient)

    def _at_points_of_kernels(
        self, mixture: KernelMixture, points: Array, found: Array, weights: Array | None, gradient: Array | None
    ) -> None:
        squared = squared_distances(points, mixture.means)
        bumps, pull = np.empty_like(squared), np.zeros_like(squared)  # pull: Σ_g weights_g k_g/v_g of every kernel
        for place, (g, norm) in enumerate(zip(self.scales, self.log_norms, strict=True)):
            variance = mixture.variance + 2.0 * g**2
            np.exp(np.multiply(squared, -0.5 / variance, out=bumps), out=bumps)
            peak = math.exp(-0.5 * mixture.dimension * math.log(2.0 * math.pi * variance) - norm)
            found[place] = peak * (bumps @ mixture.weights)
            if weights is not None:
                bumps *= weights[place] * peak / variance
                pull += bumps
        if gradient is not None:  # Σ_k pull_k (m_k − x), about the middle
            pull *= mixture.weights
            gradient[:] = pull @ (mixture.means - mixture.mean) - pull.sum(axis=1)[:, None] * (points - mixture.mean)

    def _at_points_of_components(
        self, mixture: ComponentMixture, points: Array, found: Array, weights: Array | None, gradient: Array | None
    ) -> None:
        y = points - mixture.means[:, None, :]  # (K, n, d)
        if mixture.vectors is not None:
            y = y @ mixture.vectors
        values = mixture.values[:, :, None] + 2.0 * self.scales**2  # (K, d, G)
        logs = np.square(y) @ (-0.5 / values)  # (K, n, G)
        logs += (-0.5 * np.log(2.0 * math.pi * values).sum(axis=1) - self.log_norms)[:, None, :]
        bumps = np.exp(logs, out=logs)
        bumps *= mixture.weights[:, None, None]
        found[:] = bumps.sum(axis=0).T
        if weights is not None and gradient is not None:  # −Σ_k U_k (y Σ_g weights_g k_g/(λ + 2g²))
            y *= (bumps * weights) @ (1.0 / values).transpose(0, 2, 1)
            turned = y if mixture.vectors is None else y @ mixture.vectors.transpose(0, 2, 1)
            np.negative(turned.sum(axis=0), out=gradient)

    @property
    def _components(self) -> ComponentMixture:
        if not isinstance(self.mixture, ComponentMixture):
            raise _other_kind(self.mixture)
        return self.mixture

    def value_and_gradient(self, particles: Array, weights: Array) -> tuple[float, Array]:
        """Σ_g weights_g T_g of particles (n, d), n ≥ 2, and its derivative by every particle, (n, d).

        ∂k/∂x = −k (x − y)/(2g²); ∂k(x, p)/∂x is the slope of p spread by 2g², over the same norm.
        """
        n = len(particles)
        x = particles - particles.mean(axis=0)
        pairs, near, pulled = 0.0, np.zeros(n), np.zeros_like(x)  # Σ_ij w k, and Σ_j C_ij, Σ_j C_ij x_j
        factors = weights * np.exp(self._log_peaks)
        for rows in parts(n, ROWS):
            later = slice(rows.start, n)
            squared = squared_distances(x[rows], x[later])
            squared[np.tril_indices(rows.stop - rows.start)] = np.inf  # of a pair only one half, and none with itself
            slopes = np.zeros_like(squared)
            for place, bumps in self._bumps(squared):
                pairs += factors[place] * float(bumps.sum())
                slopes += (factors[place] / (2.0 * self.scales[place] ** 2)) * bumps
            near[rows] += slopes.sum(axis=1)
            near[later] += slopes.sum(axis=0)
            pulled[rows] += slopes @ x[later]
            pulled[later] += slopes.T @ x[rows]
        gradient = (-2.0 / (n * (n - 1))) * (near[:, None] * x - pulled)
        value = 2.0 * pairs / (n * (n - 1)) + float(weights.sum())
        seen, slopes = self._with_mixture_and_gradient(particles, weights)
        value -= 2.0 * float(weights @ seen.mean(axis=1))
        gradient -= (2.0 / n) * slopes
        return value, np.asarray(gradient)

    def _bumps(self, squared: Array) -> Iterator[tuple[int, Array]]:
        """exp(−squared/4g²) by the place of g, the widest first; the array is written over by the next.

        Half the scale is the fourth power: two products in place of an exponential.
        """
        bumps = np.empty_like(squared)
        before = 0.0
        for place in self._descending:
            g = float(self.scales[place])
            if before == 2.0 * g:
                np.square(bumps, out=bumps)
                np.square(bumps, out=bumps)
            else:
                np.multiply(squared, -0.25 / g**2, out=bumps)
                np.exp(bumps, out=bumps)
            before = g
            yield place, bumps

    def deviation_bounds(self, n: int) -> Array:
        """What the standard deviation of T_g of n draws of p cannot exceed, (2(E k² − 1)/(n(n−1)))^½: (G,)."""
        with np.errstate(over="ignore"):
            return np.sqrt(2.0 * np.maximum(np.expm1(self.log_squares), 0.0) / (n * (n - 1)))

    def null_deviations(self, n: int, rng: np.random.Generator, draws: int = DRAWS) -> Array:
        """The standard deviation of T_g of n draws of p, (G,): exact but for E(k(X, p) − 1)², a mean over `draws`.

        X is drawn from all components alike and weighted, so that small ones have their say.
        """
        count = len(self.mixture.weights)
        alike: FreeMixture = replace(self.mixture, weights=np.full(count, 1.0 / count))  # type: ignore[type-var]
        points = alike.sample(draws, rng)
        importance = np.exp(self.mixture.log_density(points) - alike.log_density(points))
        importance /= importance.sum()
        spread = (self.with_mixture(points) - 1.0) ** 2 @ importance
        first = self.deviation_bounds(n) ** 2
        # what is left of the two is never nothing: where draws leave less than a hundredth, that much is kept
        return np.sqrt(np.maximum(first - 4.0 * spread / (n * (n - 1)), 0.01 * first))


def mollified_value_and_gradient(
    particles: Array, mixture: FreeMixture, scales: Sequence[float] | Array, weights: Array
) -> tuple[float, Array]:
    """Σ_g weights_g T_g of particles (n, d), n ≥ 2, and its derivative by every particle, (n, d).

    Who calls it more than once with one mixture keeps `Mollified.of(mixture, scales)`. Raises ValueError for scales
    that are not positive.
    """
    return Mollified.of(mixture, scales).value_and_gradient(particles, np.asarray(weights, dtype=float))


def reason_against(mixture: FreeMixture, scale: float, n: int) -> str | None:
    """Why nothing is seen at a scale by n ≥ 2 particles, in one line with the cure; None where something is."""
    deviation = float(Mollified.of(mixture, [scale]).deviation_bounds(n)[0])
    if deviation > SEEN:
        least = least_scale(mixture, n)
        return (
            f"at scale {scale:g} nothing is seen by {n} particles: of exact draws the statistic already varies by "
            f"{deviation:.2g} of the density's own norm; use scales from {least:.3g} on, more particles, or auto"
        )
    if deviation < ROUNDING:
        return (
            f"at scale {scale:g} the density is one flat bump and its terms cancel in rounding; use scales up to "
            f"{FARTHEST * _root_mean_variance(mixture):.3g}, or auto"
        )
    return None


def least_scale(mixture: FreeMixture, n: int) -> float:
    """The least scale at which n particles see something, to a hundredth of itself."""
    low, high = 1e-3 * _root_mean_variance(mixture), FARTHEST * _root_mean_variance(mixture)
    while high > 1.01 * low:
        middle = math.sqrt(low * high)
        if float(Mollified.of(mixture, [middle]).deviation_bounds(n)[0]) > SEEN:
            low = middle
        else:
            high = middle
    return high


def automatic_scales(mixture: FreeMixture, n: int) -> tuple[float, ...]:
    """Scales for n ≥ 2 particles: from half the root mean squared distance of two points of p down by halves.

    E|X − Y|² = 2 tr C, and k falls to 1/e of its peak at |x − y| = 2g: g_0 = (½ tr C)^½ tells pairs of p apart, and one
    much wider sees the mean alone. At most LADDER, as long as something is seen; the first in any case.
    """
    widest = math.sqrt(0.5 * float(np.trace(mixture.covariance)))
    ladder = [widest * 0.5**i for i in range(LADDER)]
    seen = Mollified.of(mixture, ladder).deviation_bounds(n) <= SEEN
    seen[0] = True
    return tuple(ladder[: LADDER if seen.all() else int(np.argmin(seen))])


def _root_mean_variance(mixture: FreeMixture) -> float:
    return math.sqrt(float(np.trace(mixture.covariance)) / mixture.dimension)

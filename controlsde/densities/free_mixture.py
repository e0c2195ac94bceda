"""Mixtures of Gaussians in free space, of any dimension: density, score and moments in closed form, in chunks.

    p(x) = Σ_k w_k N(x; m_k, S_k),        law of aY + √v ξ for Y of it: Σ_k w_k N(x; a m_k, a² S_k + v I).

Two kinds answer the same questions: kernels of one common variance, S_k = h² I, by products of matrices; and components
with covariances of their own, each diagonalised once, S_k = U_k diag(λ_k) U_kᵀ, so that a blur costs nothing more.
Memory does not grow with the number of points: they are taken in chunks of CHUNK numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from controlsde.densities.correlated import CorrelatedMixture
from controlsde.densities.density import Array, as_points
from controlsde.densities.gaussian import LOG_ROOT_2PI
from controlsde.densities.mixture import GaussianMixture

CHUNK = 1_000_000  # numbers in one temporary array: 8 MB, of which two or three are alive at a time
SAME = 1e-12  # relative: variances that differ by less are one


class FreeMixture(Protocol):
    """Σ_k w_k N(m_k, S_k) on R^d. A `Density`, with what only closed forms can tell."""

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        ...

    @property
    def weights(self) -> Array:
        """Shares of the components, (K,); they sum to one."""
        ...

    @property
    def means(self) -> Array:
        """Means of the components, (K, d)."""
        ...

    @property
    def mean(self) -> Array:
        """The mean of the whole, (d,)."""
        ...

    @property
    def covariance(self) -> Array:
        """The covariance of the whole, (d, d)."""
        ...

    @property
    def least_variance(self) -> float:
        """The least variance of a component along any axis."""
        ...

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,)."""
        ...

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d)."""
        ...

    def log_density(self, x: Array) -> Array:
        """log p at points (n, d), shape (n,); right also where p underflows."""
        ...

    def log_density_and_score(self, x: Array) -> tuple[Array, Array]:
        """log p (n,) and ∇ log p (n, d) at points (n, d)."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        ...

    def spread(self, shrink: float, blur: float) -> FreeMixture:
        """The density of aY + √v ξ when Y has this one, for `shrink` a and `blur` v."""
        ...

    def marginal(self, directions: Array) -> FreeMixture:
        """The density of Yᵀu_1, …, Yᵀu_r for orthonormal columns u of directions (d, r): a mixture in r dimensions."""
        ...


class _Mixed:
    """What both kinds have in common: they differ in how they take logarithms and scores."""

    weights: Array
    means: Array

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return int(self.means.shape[1])

    @cached_property
    def mean(self) -> Array:
        """The mean of the whole, (d,)."""
        return np.asarray(self.weights @ self.means)

    def _between(self) -> Array:
        """The covariance of the means, (d, d)."""
        offset = self.means - self.mean
        return np.asarray((self.weights[:, None] * offset).T @ offset)

    def pdf(self, x: Array) -> Array:
        """The density at points (n, d), shape (n,)."""
        return np.exp(self.log_density(x))

    def grad(self, x: Array) -> Array:
        """Its gradient, shape (n, d)."""
        log_density, score = self.log_density_and_score(x)
        return np.asarray(np.exp(log_density)[:, None] * score)

    def log_density(self, x: Array) -> Array:
        """log p at points (n, d), shape (n,); right also where p underflows."""
        return self._in_chunks(x, scored=False)[0]

    def log_density_and_score(self, x: Array) -> tuple[Array, Array]:
        """log p (n,) and ∇ log p (n, d) at points (n, d)."""
        return self._in_chunks(x, scored=True)

    def _in_chunks(self, x: Array, *, scored: bool) -> tuple[Array, Array]:
        points = as_points(x, self.dimension)
        log_density = np.empty(len(points))
        score = np.empty(points.shape if scored else (0, self.dimension))
        step = max(1, CHUNK // self._numbers_a_point)
        for begin in range(0, len(points), step):
            part = slice(begin, begin + step)
            log_density[part] = self._chunk(points[part], score[part] if scored else None)
        return log_density, score

    @property
    def _numbers_a_point(self) -> int:
        raise NotImplementedError

    def _chunk(self, points: Array, score: Array | None) -> Array:
        """log p (n,); the score is written where it is wanted."""
        raise NotImplementedError


def _shares(logs: Array) -> Array:
    """log Σ_k e^{l_nk} over the last axis, (n,); the logarithms become shares in place."""
    top = logs.max(axis=1)
    logs -= top[:, None]
    np.exp(logs, out=logs)
    total = logs.sum(axis=1)
    logs /= total[:, None]
    return np.asarray(top + np.log(total))


@dataclass(frozen=True, eq=False)
class KernelMixture(_Mixed):
    """Σ_k w_k N(m_k, v I): weights (K,), which sum to one, means (K, d), one variance v > 0."""

    weights: Array
    means: Array
    variance: float

    @property
    def least_variance(self) -> float:
        """The one variance."""
        return self.variance

    @cached_property
    def covariance(self) -> Array:
        """The covariance of the whole, (d, d)."""
        return np.asarray(self._between() + self.variance * np.eye(self.dimension))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        chosen = rng.choice(self.weights.size, size=n, p=self.weights)
        return np.asarray(self.means[chosen] + np.sqrt(self.variance) * rng.standard_normal((n, self.dimension)))

    def spread(self, shrink: float, blur: float) -> KernelMixture:
        """The density of aY + √v ξ when Y has this one, for `shrink` a and `blur` v."""
        return KernelMixture(self.weights, shrink * self.means, shrink**2 * self.variance + blur)

    def marginal(self, directions: Array) -> KernelMixture:
        """The density of Y in orthonormal directions (d, r)."""
        return KernelMixture(self.weights, self.means @ directions, self.variance)

    @property
    def _numbers_a_point(self) -> int:
        return int(self.weights.size)

    @cached_property
    def _centred(self) -> tuple[Array, Array]:
        """The means about their own mean, and log w_k − ½|m_k|²/v of these: what does not depend on the point."""
        offset = self.means - self.mean
        with np.errstate(divide="ignore"):
            return offset, np.log(self.weights) - 0.5 * np.einsum("kd,kd->k", offset, offset) / self.variance

    def _chunk(self, points: Array, score: Array | None) -> Array:
        # −½|x − m|²/v = x·m/v − ½|m|²/v − ½|x|²/v, about the mean of the means, where the three are smallest
        offset, constant = self._centred
        x = points - self.mean
        logs = x @ offset.T
        logs /= self.variance
        logs += constant
        total = _shares(logs)
        if score is not None:
            np.matmul(logs, offset, out=score)
            score -= x
            score /= self.variance
        norm = 0.5 * np.einsum("nd,nd->n", x, x) / self.variance
        return np.asarray(total - norm - self.dimension * (LOG_ROOT_2PI + 0.5 * np.log(self.variance)))


@dataclass(frozen=True, eq=False)
class ComponentMixture(_Mixed):
    """Σ_k w_k N(m_k, U_k diag(λ_k) U_kᵀ): weights (K,), which sum to one, means (K, d), λ (K, d) > 0.

    vectors: U (K, d, d), columns of a matrix the axes of a component; None where all covariances are diagonal.
    """

    weights: Array
    means: Array
    values: Array
    vectors: Array | None

    @staticmethod
    def of_covariances(weights: Array, means: Array, covariances: Array) -> ComponentMixture:
        """Of covariances (K, d, d), each diagonalised once. Raises ValueError where one is not positive definite."""
        values, vectors = np.linalg.eigh(covariances)
        if not np.all(values > 0.0):
            raise ValueError("a mixture needs positive definite covariances")
        return ComponentMixture(weights, means, values, vectors)

    @cached_property
    def covariance(self) -> Array:
        """The covariance of the whole, (d, d)."""
        return np.asarray(self._between() + np.einsum("k,kij->ij", self.weights, self.covariances))

    @property
    def least_variance(self) -> float:
        """The least variance of a component along any axis."""
        return float(self.values.min())

    @cached_property
    def covariances(self) -> Array:
        """The covariance of every component, (K, d, d)."""
        if self.vectors is None:
            return np.asarray(self.values[:, :, None] * np.eye(self.dimension))
        return np.asarray((self.vectors * self.values[:, None, :]) @ self.vectors.transpose(0, 2, 1))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points, shape (n, d)."""
        chosen = rng.choice(self.weights.size, size=n, p=self.weights)
        drawn = np.sqrt(self.values)[chosen] * rng.standard_normal((n, self.dimension))
        if self.vectors is not None:
            for k in range(self.weights.size):
                mine = chosen == k
                drawn[mine] = drawn[mine] @ self.vectors[k].T
        return np.asarray(self.means[chosen] + drawn)

    def spread(self, shrink: float, blur: float) -> ComponentMixture:
        """The density of aY + √v ξ when Y has this one, for `shrink` a and `blur` v."""
        return ComponentMixture(self.weights, shrink * self.means, shrink**2 * self.values + blur, self.vectors)

    def marginal(self, directions: Array) -> ComponentMixture:
        """The density of Y in orthonormal directions (d, r)."""
        covariances = directions.T @ self.covariances @ directions
        return ComponentMixture.of_covariances(self.weights, self.means @ directions, covariances)

    @property
    def _numbers_a_point(self) -> int:
        return int(self.weights.size) * self.dimension

    @cached_property
    def _constant(self) -> Array:
        """log w_k − ½ log det(2π S_k), (K,)."""
        with np.errstate(divide="ignore"):
            logs = np.log(self.weights)
        return np.asarray(logs - self.dimension * LOG_ROOT_2PI - 0.5 * np.log(self.values).sum(axis=1))

    def _chunk(self, points: Array, score: Array | None) -> Array:
        # y = Uᵀ(x − m), log N = −½ Σ y²/λ + constant, ∇ log N = −U (y/λ)
        y = points - self.means[:, None, :]  # (K, n, d)
        if self.vectors is not None:
            y = y @ self.vectors
        scaled = y / self.values[:, None, :]
        logs = np.ascontiguousarray((self._constant[:, None] - 0.5 * np.einsum("knd,knd->kn", y, scaled)).T)
        total = _shares(logs)
        if score is not None:
            scaled *= logs.T[:, :, None]
            if self.vectors is None:
                np.negative(scaled.sum(axis=0), out=score)
            else:
                score[:] = 0.0
                for part, axes in zip(scaled, self.vectors, strict=True):
                    score -= part @ axes.T
        return total


def free_mixture(mixture: GaussianMixture | CorrelatedMixture) -> FreeMixture:
    """The same density as one of the two kinds: kernels where all variances are one, else components."""
    if isinstance(mixture, CorrelatedMixture):
        return ComponentMixture.of_covariances(mixture.weights, mixture.means, mixture.covariances)
    variances = mixture.variances
    if np.ptp(variances) <= SAME * float(variances.max()):
        return KernelMixture(mixture.weights, mixture.means, float(variances.mean()))
    return ComponentMixture(mixture.weights, mixture.means, variances, None)


def gaussian_with_moments_of(mixture: FreeMixture) -> ComponentMixture:
    """The one Gaussian that has the mean and the covariance of a mixture: what every distance is set against."""
    return ComponentMixture.of_covariances(np.ones(1), mixture.mean[None], mixture.covariance[None])

"""Eigenfunctions of forward processes between walls, on one axis.

Each basis holds modes ψ_j of the forward operator, q = Σ c_j e^{-rate_j s} ψ_j(x), rates ascending, and their
duals χ_j with ∫ χ_i ψ_j = δ_ij, so that c_j = ∫ q(0, y) χ_j(y) dy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.linalg
from numpy.polynomial import legendre
from numpy.typing import NDArray

from controlsde.densities.density import Array

BLOCK = 64
CHUNK = 1_000_000


class Basis(Protocol):
    """Modes on [low, high]."""

    @property
    def rates(self) -> Array:
        """Decay rates (K,), ascending, the first one 0."""
        ...

    def values(self, x: Array, count: int) -> tuple[Array, Array]:
        """The first `count` modes and their derivatives at x (n,): each (count, n)."""
        ...

    def project(self, values: Array, x: Array) -> Array:
        """Σ_n values_kn χ_j(x_n) for values (k, n): shape (k, K)."""
        ...


def harmonics(angle: Array, count: int) -> NDArray[np.complex128]:
    """e^{ijθ}, j = 0 … count - 1, at angles θ (n,): shape (count, n).

    Products of two short tables, e^{i·64a·θ} and e^{ibθ}: fast, and without the drift of a recurrence.
    """
    blocks = -(-count // BLOCK)
    coarse = np.exp(1j * BLOCK * np.arange(blocks)[:, None] * angle)
    fine = np.exp(1j * np.arange(min(BLOCK, count))[:, None] * angle)
    return np.asarray((coarse[:, None, :] * fine[None, :, :]).reshape(-1, angle.size)[:count])


def harmonic_sums(values: Array, angle: Array, count: int) -> NDArray[np.complex128]:
    """Σ_n values_kn e^{ijθ_n}, j = 0 … count - 1, for values (k, n): shape (k, count)."""
    blocks = -(-count // BLOCK)
    total = np.zeros((values.shape[0], blocks, BLOCK), dtype=np.complex128)
    step = max(1, CHUNK // (BLOCK + blocks * values.shape[0]))
    for i in range(0, angle.size, step):
        part = angle[i : i + step]
        coarse = np.exp(1j * BLOCK * np.arange(blocks)[:, None] * part)
        fine = np.exp(1j * np.arange(BLOCK)[:, None] * part)
        total += (values[:, None, i : i + step] * coarse[None, :, :]) @ fine.T
    return total.reshape(values.shape[0], -1)[:, :count]


@dataclass(frozen=True)
class CosineBasis:
    """Heat between reflecting walls: ψ_j = √(2/L) cos(jπ(x - low)/L), ψ_0 = 1/√L; rates D₀(jπ/L)²."""

    low: float
    high: float
    count: int
    diffusivity: float

    @cached_property
    def frequencies(self) -> Array:
        """jπ/L, shape (K,)."""
        return np.arange(self.count, dtype=np.float64) * (math.pi / (self.high - self.low))

    @cached_property
    def rates(self) -> Array:
        """Decay rates (K,)."""
        return self.diffusivity * self.frequencies * self.frequencies

    @cached_property
    def scales(self) -> Array:
        """The factor of each cosine, shape (K,)."""
        return np.asarray(np.sqrt(np.where(np.arange(self.count) == 0, 1.0, 2.0) / (self.high - self.low)))

    def values(self, x: Array, count: int) -> tuple[Array, Array]:
        """The first `count` modes and their derivatives at x (n,): each (count, n)."""
        waves = harmonics(self.frequencies[1] * (x - self.low), count)
        scale = self.scales[:count, None]
        return scale * waves.real, -scale * self.frequencies[:count, None] * waves.imag

    def project(self, values: Array, x: Array) -> Array:
        """Σ_n values_kn ψ_j(x_n) for values (k, n): shape (k, K); the modes are their own duals."""
        sums = harmonic_sums(values, self.frequencies[1] * (x - self.low), self.count)
        return np.asarray(self.scales * sums.real)


@dataclass(frozen=True)
class FourierBasis:
    """Heat on a circle of length L: 1/√L, then √(2/L) cos and sin of 2πj(x - low)/L; rates D₀(2πj/L)²."""

    low: float
    high: float
    count: int
    diffusivity: float

    @cached_property
    def waves(self) -> NDArray[np.int64]:
        """The wave number j of each mode: 0, 1, 1, 2, 2, …, shape (K,)."""
        return (np.arange(self.count) + 1) // 2

    @cached_property
    def rates(self) -> Array:
        """Decay rates (K,)."""
        frequencies: Array = self.waves.astype(np.float64) * (2.0 * math.pi / (self.high - self.low))
        return self.diffusivity * frequencies * frequencies

    @cached_property
    def scales(self) -> Array:
        """The factor of each wave, shape (K,)."""
        return np.asarray(np.sqrt(np.where(self.waves == 0, 1.0, 2.0) / (self.high - self.low)))

    def _angle(self, x: Array) -> Array:
        return np.asarray(2.0 * math.pi * (x - self.low) / (self.high - self.low))

    def values(self, x: Array, count: int) -> tuple[Array, Array]:
        """The first `count` modes and their derivatives at x (n,): each (count, n)."""
        waves = self.waves[:count]
        table = harmonics(self._angle(x), int(waves[-1]) + 1)[waves]
        is_cosine = (np.arange(count) % 2 == 1) | (waves == 0)
        scale = self.scales[:count, None]
        slope = scale * (2.0 * math.pi * waves / (self.high - self.low))[:, None]
        pick = is_cosine[:, None]
        return scale * np.where(pick, table.real, table.imag), slope * np.where(pick, -table.imag, table.real)

    def project(self, values: Array, x: Array) -> Array:
        """Σ_n values_kn ψ_j(x_n) for values (k, n): shape (k, K); the modes are their own duals."""
        sums = harmonic_sums(values, self._angle(x), int(self.waves[-1]) + 1)[:, self.waves]
        is_cosine = (np.arange(self.count) % 2 == 1) | (self.waves == 0)
        return np.asarray(self.scales * np.where(is_cosine, sums.real, sums.imag))


@dataclass(frozen=True)
class ReflectedOrnsteinUhlenbeckBasis:
    """Ornstein–Uhlenbeck between reflecting walls, by a Legendre–Galerkin method of the given degree.

    With g = e^{-x²/4D₀} the forward operator has modes ψ = g u and duals χ = u/g, (u_j) orthonormal and

        D₀ ∫ (u' + xu/2D₀)(v' + xv/2D₀) = rate ∫ uv   for all v:

    a self-adjoint problem without a weight, whose natural boundary condition is zero flux. Its first mode is
    u = g, rate 0: the stationary density is g². (Derived here.)
    """

    low: float
    high: float
    degree: int
    diffusivity: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return 0.5 * (self.high - self.low)

    @cached_property
    def _solved(self) -> tuple[Array, Array]:
        # Polynomials with orthonormal derivatives keep both matrices well scaled, and solving for
        # 1/(1 + rate) keeps the low rates exact to rounding.
        nodes, weights = legendre.leggauss(self.degree + 33)
        transform = _integrated_legendre(self.degree)
        table = _legendre_table(nodes, self.degree)
        values = transform.T @ table
        slopes = transform.T @ _legendre_slopes(table) / self.half_width
        x = self.low + self.half_width * (nodes + 1.0)
        flux = slopes + values * x / (2.0 * self.diffusivity)
        mass = (values * weights) @ values.T * self.half_width
        stiffness = self.diffusivity * (flux * weights) @ flux.T * self.half_width
        unit = self.diffusivity / self.half_width**2
        shares, vectors = scipy.linalg.eigh(unit * mass, stiffness + unit * mass)
        shares, vectors = shares[::-1], vectors[:, ::-1]
        count = int(0.6 * self.degree)  # the highest polynomial modes are not eigenfunctions
        rates = unit * (1.0 / shares[:count] - 1.0)
        coefficients = transform @ vectors[:, :count]
        norms = np.sqrt(np.sum(coefficients**2 / (np.arange(self.degree + 1) + 0.5)[:, None], axis=0))
        return np.maximum(rates, 0.0), coefficients / (norms * math.sqrt(self.half_width))

    @property
    def rates(self) -> Array:
        """Decay rates (K,)."""
        return self._solved[0]

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        """How many Legendre coefficients the first 1, 2, … modes need, shape (K,): smooth modes need few."""
        matters = np.abs(self._solved[1]) > 1e-15 * np.max(np.abs(self._solved[1]))
        last = self.degree + 1 - np.argmax(matters[::-1], axis=0)
        return np.maximum.accumulate(last)

    def root_weight(self, x: Array) -> Array:
        """g = e^{-x²/4D₀} at x (n,), scaled to 1 where it is largest on the interval."""
        nearest = min(max(0.0, self.low), self.high)
        return np.exp((nearest**2 - x**2) / (4.0 * self.diffusivity))

    def values(self, x: Array, count: int) -> tuple[Array, Array]:
        """The first `count` modes g u at x (n,), and (g u)' = g (u' - xu/2D₀): each (count, n)."""
        size = self._sizes[count - 1]
        coefficients = self._solved[1][:size, :count].T
        table = _legendre_table((x - self.low) / self.half_width - 1.0, size - 1)
        u = coefficients @ table
        slope = coefficients @ _legendre_slopes(table) / self.half_width
        weight = self.root_weight(x)
        return weight * u, weight * (slope - u * x / (2.0 * self.diffusivity))

    def project(self, values: Array, x: Array) -> Array:
        """Σ_n values_kn (u_j/g)(x_n) for values (k, n): shape (k, K); the duals are u/g."""
        total = np.zeros((values.shape[0], self.degree + 1))
        step = max(1, CHUNK // (self.degree + 1))
        for i in range(0, x.size, step):
            part = x[i : i + step]
            table = _legendre_table((part - self.low) / self.half_width - 1.0, self.degree)
            total += (values[:, i : i + step] / self.root_weight(part)) @ table.T
        return np.asarray(total @ self._solved[1])


@dataclass(frozen=True)
class PolynomialCosineBasis:
    """Heat between reflecting walls with D₀ = 1, by a Legendre–Galerkin method: all degree + 1 modes of it.

    The polynomials u_j, orthonormal, with ∫ u' v' = rate ∫ u v for all polynomials v. The first are the cosines; all
    of them together diagonalise the Neumann problem among the polynomials, where smooth right-hand sides converge
    faster than any power of the degree, also those whose slope does not vanish on the walls.
    """

    low: float
    high: float
    degree: int

    @cached_property
    def _solved(self) -> tuple[Array, Array]:
        half_width = 0.5 * (self.high - self.low)
        nodes, weights = legendre.leggauss(self.degree + 1)
        transform = _integrated_legendre(self.degree)
        table = _legendre_table(nodes, self.degree)
        values = transform.T @ table
        slopes = transform.T @ _legendre_slopes(table) / half_width
        mass = (values * weights) @ values.T * half_width
        stiffness = (slopes * weights) @ slopes.T * half_width
        unit = 1.0 / half_width**2
        shares, vectors = scipy.linalg.eigh(unit * mass, stiffness + unit * mass)
        shares, vectors = shares[::-1], vectors[:, ::-1]
        # vᵀ(stiffness + unit mass)v = 1 to rounding, so unit vᵀ mass v is the share itself, small ones included
        shares = np.maximum(shares, np.finfo(float).tiny)
        return np.maximum(unit * (1.0 / shares - 1.0), 0.0), transform @ (vectors / np.sqrt(shares / unit))

    @property
    def rates(self) -> Array:
        """Decay rates (K,)."""
        return self._solved[0]

    def values(self, x: Array, count: int) -> tuple[Array, Array]:
        """The first `count` modes and their derivatives at x (n,): each (count, n)."""
        table = self._table(x)
        coefficients = self._solved[1][:, :count].T
        return coefficients @ table, coefficients @ _legendre_slopes(table) * (2.0 / (self.high - self.low))

    def project(self, values: Array, x: Array) -> Array:
        """Σ_n values_kn u_j(x_n) for values (k, n): shape (k, K); the modes are their own duals."""
        return np.asarray((values @ self._table(x).T) @ self._solved[1])

    def _table(self, x: Array) -> Array:
        return _legendre_table(2.0 * (x - self.low) / (self.high - self.low) - 1.0, self.degree)


def _integrated_legendre(degree: int) -> Array:
    """Legendre coefficients, as columns, of 1/√2, ξ/√2, and (P_n - P_{n-2})/√(4n-2), n = 2 … degree."""
    columns = np.zeros((degree + 1, degree + 1))
    columns[0, 0] = columns[1, 1] = math.sqrt(0.5)
    for n in range(2, degree + 1):
        columns[n, n] = 1.0 / math.sqrt(4.0 * n - 2.0)
        columns[n - 2, n] = -columns[n, n]
    return columns


def _legendre_table(x: Array, degree: int) -> Array:
    """P_0 … P_degree at x (n,), shape (degree+1, n)."""
    return np.asarray(legendre.legvander(x, degree).T, dtype=np.float64)


def _legendre_slopes(table: Array) -> Array:
    """P_n' from P_n, both (degree+1, n): P_{n+1}' = P_{n-1}' + (2n+1) P_n."""
    slopes = np.zeros_like(table)
    for n in range(table.shape[0] - 1):
        slopes[n + 1] = (2 * n + 1) * table[n] + (slopes[n - 1] if n > 0 else 0.0)
    return slopes

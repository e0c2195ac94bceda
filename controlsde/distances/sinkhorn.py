"""Debiased entropic transport between masses on a grid, S_ε = OT_ε(a, b) − ½ OT_ε(a, a) − ½ OT_ε(b, b).

    OT_ε(a, b) = max_f D(f),    D(f) = ⟨a, f⟩ + ⟨b, g⟩,    g = softmin of c − f under a.

Comes in: squared distances by axis, two masses on the cells. Goes out: S_ε, the potentials, and how far they are
from the maximum. Feydy et al., "Interpolating between optimal transport and MMD using Sinkhorn divergences" (2019).

Sinkhorn's own iteration f ← Tf, the softmin of c − g under b, is slow where mass moves far beside ε. What is slow are
smooth changes of f, and two things take care of them:

- ε falls by steps, and from each to the next goes the *debiased* potential f − p, with p that of OT_ε(a, a): it
  tends to a limit with ε², where f itself moves with ε log ε. p is found fast, by averaged iterations that halve
  its error at least;
- the fixed point Tf = f is found by Newton's method. The derivative of T is RQ, with the conditional expectations Q
  and R of the two softmins, self-adjoint under the plan's first marginal; conjugate gradients solve (I − RQ)δ = Tf − f.
  Where f + δ lowers D, Tf is taken, which never does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.distances.softmin import Costs, expectation, softmin, softmin_with_weights

Array = NDArray[np.float64]

GAIN = 1e-5  # of S_ε: what Newton's method still hopes to gain when it stops at the last ε,
COARSE_GAIN = 1e-2  # and before
MARGINAL = 1e-2  # error of the plan's first marginal above which that hope means nothing
ROUNDING = 1e-15  # of ε: below it lies no S_ε
MOST_NEWTON = 40
FIRST_RADIUS, LEAST_RADIUS = 32.0, 0.1  # of Newton's steps, in units of ε
MOST_CONJUGATE = 400
CONJUGATE = 1e-4  # residual, relative
FREE = 1e-14  # curvature of a direction that is rounding
MOST_AVERAGED = 100
SELF, COARSE_SELF = 1e-8, 1e-3  # errors of p in units of ε; S_ε sees their squares


@dataclass(frozen=True, eq=False)
class Entropic:
    """S_ε, potentials f, g of (a, b) and p, q of (a, a), (b, b), and how well f solves its problem.

    value: a distance squared. marginal_error: ½Σ|a − first marginal of the plan|. iterations: of Newton's method, over
    all ε. converged: whether at the last ε it stopped by itself.
    """

    value: float
    first: Array
    second: Array
    first_self: Array
    second_self: Array
    marginal_error: float
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False)
class _Point:
    """One f with g, Tf, D(f) − ⟨a, p⟩ − ⟨b, q⟩, the plan's first marginal, and the weights of both softmins."""

    f: Array
    g: Array
    transformed: Array
    value: float
    marginal: Array
    into_a: tuple[Array, ...]
    into_b: tuple[Array, ...]

    def newton(self, radius: float) -> tuple[Array, float, float]:
        """Newton's next f within a radius, the root mean square of δ, and the gain in D that it hopes for."""
        change = self.transformed - self.f
        right = change - np.sum(self.marginal * change) / np.sum(self.marginal)
        delta = conjugate_gradients(lambda v: v - self._smooth(v), self.marginal, right, radius)
        length = math.sqrt(float(np.sum(self.marginal * delta**2)))
        # Where the plan has next to no mass, conjugate gradients leave δ undecided, but Tf + RQδ is sound.
        return self.transformed + self._smooth(delta), length, 0.5 * float(np.sum(self.marginal * right * delta))

    def _smooth(self, v: Array) -> Array:
        """RQv."""
        return expectation(self.into_b, expectation(self.into_a, v))


@dataclass(frozen=True, eq=False)
class _Problem:
    costs: Costs
    a: Array
    b: Array
    log_a: Array
    log_b: Array

    def at(self, epsilon: float, f: Array, p: Array, q: Array) -> _Point:
        g, into_a = softmin_with_weights(self.costs, epsilon, self.log_a, f)
        transformed, into_b = softmin_with_weights(self.costs, epsilon, self.log_b, g)
        marginal = np.exp(np.minimum(self.log_a - (transformed - f) / epsilon, 0.0))  # a share, unless rounding is all
        value = float(np.sum(self.a * (f - p)) + np.sum(self.b * (g - q)))
        return _Point(f, g, transformed, value, marginal, into_a, into_b)

    def marginal_error(self, point: _Point) -> float:
        """½Σ|a − first marginal of the plan|; the second is b, always."""
        return 0.5 * float(np.abs(self.a - point.marginal).sum())


def debiased_sinkhorn(costs: Costs, first: Array, second: Array, epsilon: float) -> Entropic:
    """S_ε between masses a, b of shape (n_1, …, n_d), nonnegative, each of sum one, at ε in units of the cost."""
    with np.errstate(divide="ignore"):
        problem = _Problem(costs, first, second, np.log(first), np.log(second))
    p, q, debiased = np.zeros_like(first), np.zeros_like(second), np.zeros_like(first)
    before = debiased
    iterations = 0
    for level in _levels(sum(float(cost.max()) for cost in costs), epsilon):
        last = level == epsilon
        p = self_potential(costs, level, first, p, SELF if last else COARSE_SELF)
        q = self_potential(costs, level, second, q, SELF if last else COARSE_SELF)
        ahead = debiased + 0.25 * (debiased - before)  # linear in ε
        point, taken, converged = _maximise(problem, level, p + ahead, p, q, GAIN if last else COARSE_GAIN)
        iterations += taken
        before, debiased = debiased, np.where(first > 0, point.f - p, 0.0)
    # D(p) of (a, a) is ⟨a, p⟩ + ⟨a, softmin of c − p⟩, and its error the square of p's.
    first_self = 0.5 * (p + softmin(costs, epsilon, problem.log_a, p))
    second_self = 0.5 * (q + softmin(costs, epsilon, problem.log_b, q))
    value = float(np.sum(first * (point.f - first_self)) + np.sum(second * (point.g - second_self)))
    error = problem.marginal_error(point)
    return Entropic(value, point.f, point.g, first_self, second_self, error, iterations, converged)


def _levels(largest: float, epsilon: float) -> list[float]:
    """ε from the largest cost down to the last, a quarter of the one before: the blur halves."""
    count = max(0, math.ceil(math.log(largest / epsilon, 4)))
    return [epsilon * 4.0**level for level in range(count, -1, -1)]


def _maximise(
    problem: _Problem, epsilon: float, f: Array, p: Array, q: Array, tolerance: float
) -> tuple[_Point, int, bool]:
    """Newton's method for D from f: the last point, how many steps were tried, and whether it stopped by itself."""
    point, radius = problem.at(epsilon, f, p, q), FIRST_RADIUS * epsilon
    for taken in range(MOST_NEWTON):
        proposed, length, gain = point.newton(radius)
        enough = max(tolerance * abs(point.value), ROUNDING * epsilon)
        if taken > 0 and gain <= enough and problem.marginal_error(point) <= MARGINAL:
            return point, taken, True
        ahead = problem.at(epsilon, proposed, p, q)
        if ahead.value >= point.value - ROUNDING * epsilon:
            point, radius = ahead, max(radius, 4 * length)
        elif length > LEAST_RADIUS * epsilon:
            radius = length / 4
        else:
            point = problem.at(epsilon, point.transformed, p, q)
    return point, MOST_NEWTON, False


def self_potential(costs: Costs, epsilon: float, masses: Array, start: Array, tolerance: float) -> Array:
    """p with p = softmin of c − p under the masses, by p ← ½(p + softmin): the error halves at least."""
    with np.errstate(divide="ignore"):
        log_masses = np.log(masses)
    p = start
    for _ in range(MOST_AVERAGED):
        transformed = softmin(costs, epsilon, log_masses, p)
        if np.sum(masses * np.abs(transformed - p)) <= tolerance * epsilon:
            break
        p = 0.5 * (p + transformed)
    return p


def conjugate_gradients(operator: Callable[[Array], Array], weights: Array, right: Array, radius: float) -> Array:
    """x with operator(x) = right and |x| ≤ radius, for an operator that is self-adjoint and not negative.

    All in the inner product Σ weights·x·y. Where x would leave the ball, or a direction costs nothing, x goes to the
    edge of the ball: Steihaug, "The conjugate gradient method and trust regions" (1983).
    """

    def product(x: Array, y: Array) -> float:
        return float(np.sum(weights * x * y))

    x, residual = np.zeros_like(right), right
    direction = residual
    size = first = product(residual, residual)
    for _ in range(MOST_CONJUGATE):
        if size <= CONJUGATE**2 * first:
            break
        image = operator(direction)
        curvature = product(direction, image)
        square = product(direction, direction)
        step = size / curvature if curvature > FREE * square else math.inf
        along = product(x, direction)
        edge = (math.sqrt(along**2 + square * max(radius**2 - product(x, x), 0.0)) - along) / square
        if step >= edge:
            return x + edge * direction
        x = x + step * direction
        residual = residual - step * image
        size, before = product(residual, residual), size
        direction = residual + size / before * direction
    return x

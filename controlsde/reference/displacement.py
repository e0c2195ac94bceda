"""Displacement interpolation: mass travels from one density to another on straight lines, at constant speed.

With T the optimal map from p₀ to p₁ and g = t/horizon, the density at time t is the law of (1 − g)X + gT(X), X ~ p₀
(McCann 1997). Every point x at time t lies between one x₀ and its goal x₁ = T(x₀),

    x = (1 − g) x₀ + g x₁,      w(t, x) = (x₁ − x₀) / horizon.

On an interval T matches quantiles, F₀(x₀) = F₁(x₁); for Gaussians it is linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import elementwise

from controlsde.densities import CorrelatedMixture, GaussianMixture, LineDensity
from controlsde.densities.density import Array, as_points
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.surroundings import methods_in_own_arithmetic
from controlsde.reference.quotients import TINY, ratio
from controlsde.reference.reference import clock
from controlsde.reference.transport import Transported

PAIRS = 2048  # of points and their goals, that narrow down every search
NEWTON_STEPS = 4
NEWTON_TOLERANCE = 1e-13  # of the interval


@methods_in_own_arithmetic
@dataclass(frozen=True)
class IntervalDisplacement(Transported):
    """Displacement on a line; `start` and `end` live on `interval`, which holds x₀ and x₁ of every x that is asked for.

    Densities between walls live on the box. Two mixtures live in free space, of which `interval` is a long piece: cut
    at the walls, where next to nothing of them is, their map would have boundary layers that no mesh resolves.

    With a = p/p₀(x₀) and b = p/p₁(x₁), which conservation of mass makes dx₀/dx and dx₁/dx (derived here):

        1/p = (1 − g)/p₀(x₀) + g/p₁(x₁),      ∂ₓ log p = (1 − g) a² ∂ log p₀ + g b² ∂ log p₁.
    """

    start: LineDensity
    end: LineDensity
    interval: tuple[float, float]
    horizon: float
    diffusivity: Diffusivity

    @property
    def dimension(self) -> int:
        """1: the map matches quantiles."""
        return 1

    @property
    def description(self) -> str:
        """How p is computed."""
        return "displacement interpolation: matched quantiles"

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, 1), shape (n,); 0 where either density vanishes."""
        g = self._fraction(t)
        return self._joined(g, *self._ends(g, as_points(x, 1)))[0]

    def score(self, t: float, x: Array) -> Array:
        """∂ₓ log p at points (n, 1), shape (n, 1); 0 where p = 0."""
        return self._field_and_score(t, x)[1]

    def field(self, t: float, x: Array) -> Array:
        """w = (x₁ − x₀)/horizon at points (n, 1), shape (n, 1)."""
        return self._field_and_score(t, x)[0]

    def exact_drift(self, t: float, x: Array, noise: float) -> Array:
        """w + ηD₀ ∇log p at points (n, 1), shape (n, 1)."""
        field, score = self._field_and_score(t, x)
        return np.asarray(field + noise * self.diffusivity.at(t) * score)

    def _field_and_score(self, t: float, x: Array) -> tuple[Array, Array]:
        g = self._fraction(t)
        from_, to = self._ends(g, as_points(x, 1))
        return (to - from_)[:, None] / self.horizon, self._joined(g, from_, to)[1][:, None]

    def _fraction(self, t: float) -> float:
        return clock(t, self.horizon) / self.horizon

    @cached_property
    def _pairs(self) -> tuple[Array, Array]:
        """Some x₀, ascending, with their x₁ = T(x₀): equally spaced ones of both, where the other is on the interval.

        Before them and after them the ends of the interval.
        """
        low, high = self.interval
        inner = np.linspace(low, high, PAIRS + 2)[1:-1]
        goals, origins = self._partners(self.start, self.end, inner), self._partners(self.end, self.start, inner)
        from_ = np.sort(np.concatenate([inner[np.isfinite(goals)], origins[np.isfinite(origins)]]))
        to = np.sort(np.concatenate([goals[np.isfinite(goals)], inner[np.isfinite(origins)]]))
        return np.concatenate([[low], from_, [high]]), np.concatenate([[low], to, [high]])

    def _partners(self, density: LineDensity, partner: LineDensity, x: Array) -> Array:
        """Points with as much of `partner` to the left as x (n,) have of `density`; nan beyond the interval."""
        low, high = (np.full_like(x, side) for side in self.interval)
        return _roots(lambda y, x: _logit(partner, y)[0] - _logit(density, x)[0], low, high, x, np.full_like(x, np.nan))

    def _ends(self, g: float, points: Array) -> tuple[Array, Array]:
        """Where the mass at points (n, 1) comes from and goes to, x₀ and x₁, each (n,).

        Solved for is the end on which the other one depends without a division by something small.
        """
        if g < 0.5:
            to, from_ = self._solved(g, points, self.end, self.start, *reversed(self._pairs))
        else:
            from_, to = self._solved(1.0 - g, points, self.start, self.end, *self._pairs)
        return from_, to

    def _solved(
        self, share: float, points: Array, density: LineDensity, partner: LineDensity, mine: Array, theirs: Array
    ) -> tuple[Array, Array]:
        """y and y′, each (n,), with x = share·y + (1 − share)·y′ and equal masses to the left of both."""
        low, high = self.interval
        x = np.clip(points[:, 0], low, high)

        def other(y: Array, x: Array) -> Array:
            return np.clip((x - share * y) / (1.0 - share), low, high)

        def mismatch(y: Array, x: Array) -> Array:
            return _logit(density, y)[0] - _logit(partner, other(y, x))[0]

        between = share * mine + (1.0 - share) * theirs
        place = np.clip(np.searchsorted(between, x, side="right") - 1, 0, len(between) - 2)
        left, right = mine[place], mine[place + 1]
        gap = between[place + 1] - between[place]
        y = left + (right - left) * np.where(gap > 0, (x - between[place]) / np.where(gap > 0, gap, 1.0), 0.0)
        for _ in range(NEWTON_STEPS):  # most converge: the brackets are narrow
            (mine_level, rise), (their_level, fall) = _logit(density, y), _logit(partner, other(y, x))
            with np.errstate(invalid="ignore"):
                step = (mine_level - their_level) / (rise + share / (1.0 - share) * fall)
            moved = np.clip(y - np.where(np.isfinite(step), step, 0.0), left, right)  # no slope: at a wall
            change, y = np.abs(moved - y), moved
            if not (change > NEWTON_TOLERANCE * (high - low)).any():
                break
        left_over = change > NEWTON_TOLERANCE * (high - low)
        if left_over.any():
            # where rounding or a flat stretch leaves no change of sign, what Newton found is as good as any
            y[left_over] = _roots(mismatch, left[left_over], right[left_over], x[left_over], y[left_over])
        return y, other(y, x)

    def _joined(self, g: float, from_: Array, to: Array) -> tuple[Array, Array]:
        """p and ∂ₓ log p, each (n,); at either end what the other end has does not matter."""
        (first, first_slope), (second, second_slope) = _log_density(self.start, from_), _log_density(self.end, to)
        if g in (0.0, 1.0):
            return (np.exp(second), second_slope) if g == 1.0 else (np.exp(first), first_slope)
        # log(1/p) = log((1 − g)/p₀ + g/p₁)
        empty = ~(np.isfinite(first) & np.isfinite(second))
        first, second = np.where(empty, 0.0, first), np.where(empty, 0.0, second)
        level = -np.logaddexp(np.log1p(-g) - first, np.log(g) - second)
        a, b = np.exp(level - first), np.exp(level - second)
        slope = (1.0 - g) * a**2 * first_slope + g * b**2 * second_slope
        return np.where(empty, 0.0, np.exp(level)), np.where(empty, 0.0, slope)


def _roots(function: Callable[[Array, Array], Array], low: Array, high: Array, x: Array, otherwise: Array) -> Array:
    """y in [low, high] with function(y, x) = 0 for a function that grows in y; else, without such a y, `otherwise`."""
    found = elementwise.find_root(function, (low, high), args=(x,))
    return np.where(found.success, found.x, otherwise)


def _logit(density: LineDensity, x: Array) -> tuple[Array, Array]:
    """log F − log(1 − F) at x (n,), which grows and keeps its digits in both tails, and its slope p/(F(1 − F))."""
    points = x[:, None]
    if isinstance(density, GaussianMixture):
        below, above = density.log_tails(points)
        return below - above, np.exp(density.products.log_density(points)[0] - below - above)
    left, right = density.cdf(points), density.survival(points)
    level = np.log(np.maximum(left, TINY)) - np.log(np.maximum(right, TINY))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(level), np.asarray(density.pdf(points) / left / right)


def _log_density(density: LineDensity, x: Array) -> tuple[Array, Array]:
    """log p (−inf where p = 0) and ∂ log p (there 0) at x (n,)."""
    points = x[:, None]
    if isinstance(density, GaussianMixture):
        level, slope = density.products.log_density(points)
        return level, slope[:, 0]
    value = density.pdf(points)
    with np.errstate(divide="ignore"):
        level = np.log(value)
    return level, ratio(density.grad(points)[:, 0], value)


@methods_in_own_arithmetic
@dataclass(frozen=True)
class GaussianDisplacement(Transported):
    """Displacement from N(m₀, S₀) to N(m₁, S₁), Gaussian all along: the Bures geodesic.

    The optimal map is T(x) = m₁ + A (x − m₀), A = S₀^-½ (S₀^½ S₁ S₀^½)^½ S₀^-½, so that with M = (1 − g) I + g A

        m = (1 − g) m₀ + g m₁,      S = M S₀ M,      w = (m₁ − m₀ + (A − I) M⁻¹ (x − m)) / horizon

    (Olkin and Pukelsheim 1982; McCann 1997).
    """

    start: CorrelatedMixture  # of one component each
    end: CorrelatedMixture
    horizon: float
    diffusivity: Diffusivity

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.start.dimension

    @property
    def description(self) -> str:
        """How p is computed."""
        return "displacement interpolation: closed form between Gaussians"

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        return self._at(t).pdf(x)

    def score(self, t: float, x: Array) -> Array:
        """−S⁻¹ (x − m) at points (n, d), shape (n, d)."""
        return self._at(t).log_density(x)[1]

    def field(self, t: float, x: Array) -> Array:
        """w = (m₁ − m₀ + (A − I) M⁻¹ (x − m)) / horizon at points (n, d), shape (n, d)."""
        step = self.end.means[0] - self.start.means[0]
        stretch = self._map - np.eye(self.dimension)
        mean = self.start.means[0] + self._fraction(t) * step
        growth = np.linalg.solve(self._moved(t), stretch)  # A and M commute, so that this is symmetric
        return np.asarray((step + (as_points(x, self.dimension) - mean) @ growth) / self.horizon)

    def _fraction(self, t: float) -> float:
        return clock(t, self.horizon) / self.horizon

    @cached_property
    def _map(self) -> Array:
        """A, (d, d)."""
        root = _root(self.start.covariances[0])
        inverse = np.linalg.inv(root)
        return np.asarray(inverse @ _root(root @ self.end.covariances[0] @ root) @ inverse)

    def _moved(self, t: float) -> Array:
        """M, (d, d)."""
        g = self._fraction(t)
        return np.asarray((1.0 - g) * np.eye(self.dimension) + g * self._map)

    def _at(self, t: float) -> CorrelatedMixture:
        """N(m, S) at time t."""
        g, moved = self._fraction(t), self._moved(t)
        mean = (1.0 - g) * self.start.means + g * self.end.means
        return CorrelatedMixture(np.ones(1), mean, (moved @ self.start.covariances[0] @ moved)[None])


def _root(matrix: Array) -> Array:
    """The symmetric square root of a symmetric, positive definite matrix (d, d)."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T)

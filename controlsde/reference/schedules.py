"""Schedules: at which rate a forward process runs, as a change of time.

A process with rate 1 has q(τ); under a schedule with rate r(s) ≥ 0 its clock shows τ(s) = ∫₀ˢ r, force and diffusivity
are r(s) times those of rate 1, and the marginal at forward time s is q(τ(s)). So every way of computing q serves
every schedule.

    vp  (variance preserving)   f = −β(s) x, D₀ = σ²β(s)    Ornstein–Uhlenbeck with diffusivity σ², rate β
    ve  (variance exploding)    f = 0,       D₀ = σσ̇         heat with diffusivity 1, rate σσ̇ = ½ dσ²/ds

In the notation of Song et al. (2021), dX = −½βX ds + √β dW, our β is half of theirs.

A rate may vanish: at an end, at a moment, for a while. What a span adds to the clock is then far smaller than the clock
itself, so spans are integrated as they are, by sums of what is not negative. The difference of two readings of the
clock would be rounding, of either sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from controlsde.densities.density import Array
from controlsde.densities.subintervals import WEIGHTS, Subintervals, nodes_between, resolve_between
from controlsde.enclosures import hidden
from controlsde.fokker_planck.diffusivity import Diffusivity, Varying
from controlsde.problem.formula import Formula
from controlsde.reference.flows import Flow

SUBINTERVALS = 64  # to begin the quadrature of a formula with
PARTS = 4  # subintervals of a span within one subinterval, so that it is integrated to all its own digits
ROUNDING = 1e-12  # of the largest rate: a formula that is negative by less is zero there


@dataclass(frozen=True)
class Schedule:
    """rate: s → r(s) ≥ 0. between: (a, b) → ∫ₐᵇ r for a ≤ b, never negative, with digits of its own size.

    label: a few words.
    """

    rate: Callable[[float], float]
    between: Callable[[float, float], float]
    label: str

    def elapsed(self, s: float) -> float:
        """τ(s) = ∫₀ˢ r."""
        return self.between(0.0, s)

    def diffusivity(self, base: float, horizon: float) -> Diffusivity:
        """D₀(t) = base · r(T − t) in the software's clock."""

        def left(t: float) -> float:
            return min(max(horizon - t, 0.0), horizon)

        return Varying(
            lambda t: self.rate(left(t)),
            lambda t: -self.elapsed(left(t)),
            base,
            lambda start, end: self.between(left(end), left(start)),
        )


def linear_rate(first: float, last: float, horizon: float) -> Schedule:
    """β from `first` to `last`, linear in s (Ho et al. 2020, Song et al. 2021)."""
    slope = (last - first) / horizon
    return Schedule(
        lambda s: first + slope * s, lambda a, b: (b - a) * (first + 0.5 * slope * (a + b)), "linear schedule"
    )


def cosine_rate(first: float, last: float, horizon: float) -> Schedule:
    """e^{−∫β} = cos θ(s)/cos θ(0), θ linear in s (Nichol & Dhariwal 2021), from β = `first` to β = `last`.

    So β = ω tan θ with ω = θ̇; ω is the root of ωT = arctan(last/ω) − arctan(first/ω) (derived here). In place of an
    offset at one end and a clip at the other, β is bounded by its two given values. Raises ValueError, with the cure,
    where no such θ exists, which is where 1/first − 1/last ≤ T.
    """
    if first > 0.0 and 1.0 / first - 1.0 / last <= horizon:
        raise ValueError(
            f"a cosine schedule needs 1/beta_min − 1/beta_max > horizon (got {1.0 / first - 1.0 / last:.4g} and "
            f"{horizon:g}): use a smaller beta_min"
        )

    def excess(speed: float) -> float:
        # arctan(a) − arctan(b) in one term: nothing cancels where both are near π/2
        turn = math.atan2((last - first) * speed, speed * speed + first * last)
        return turn / speed - horizon

    high = 0.5 * math.pi / horizon  # there the whole turn is less than a quarter
    low = high
    while excess(low) <= 0.0:
        low *= 0.5
    speed = float(brentq(excess, low, high, xtol=1e-300, rtol=1e-15))
    start = math.atan2(first, speed)

    def between(a: float, b: float) -> float:
        # cos(θ + δ)/cos θ = 1 − (2 sin²(δ/2) + tan θ sin δ), in which nothing cancels while the bracket is small
        angle, turn = start + speed * a, speed * (b - a)
        fall = 2.0 * math.sin(0.5 * turn) ** 2 + math.tan(angle) * math.sin(turn)
        return -math.log1p(-fall) if fall < 0.5 else math.log(math.cos(angle) / math.cos(start + speed * b))

    return Schedule(lambda s: speed * math.tan(start + speed * s), between, "cosine schedule")


def growing_noise(
    level: Callable[[float], tuple[float, float]], growth: Callable[[float, float], float], label: str
) -> Schedule:
    """Rate σσ̇ for s → (σ, σ̇) and (a, b) → σ(b) − σ(a): over a span the variance grows by σ(b)² − σ(a)²."""

    def between(a: float, b: float) -> float:
        return 0.5 * growth(a, b) * (level(a)[0] + level(b)[0])

    return Schedule(lambda s: math.prod(level(s)), between, label)


def geometric_noise(first: float, last: float, horizon: float) -> Schedule:
    """σ = first (last/first)^{s/T} (Song et al. 2021)."""
    growth = math.log(last / first) / horizon

    def level(s: float) -> tuple[float, float]:
        now = first * math.exp(growth * s)
        return now, growth * now

    return growing_noise(level, lambda a, b: level(a)[0] * math.expm1(growth * (b - a)), "geometric schedule")


def linear_noise(first: float, last: float, horizon: float) -> Schedule:
    """σ linear in s (Karras et al. 2022)."""
    slope = (last - first) / horizon
    return growing_noise(lambda s: (first + slope * s, slope), lambda a, b: slope * (b - a), "linear schedule")


def cosine_noise(first: float, last: float, horizon: float) -> Schedule:
    """σ = tan θ(s), θ linear in s: the ratio of noise to signal of the cosine schedule."""
    start = math.atan(first)
    speed = (math.atan(last) - start) / horizon

    def level(s: float) -> tuple[float, float]:
        now = math.tan(start + speed * s)
        return now, speed * (1.0 + now * now)

    def growth(a: float, b: float) -> float:
        # tan β − tan α = sin(β − α)/(cos α cos β)
        return math.sin(speed * (b - a)) / (math.cos(start + speed * a) * math.cos(start + speed * b))

    return growing_noise(level, growth, "cosine schedule")


def formula_rate(formula: Formula, horizon: float) -> Schedule:
    """A rate given by a formula in s, its integral by adaptive Gauss quadrature.

    A span is the sum of the subintervals that it covers and of quadratures of its own on what it cuts of the first and
    the last: the rule's weights are positive, so no span is negative, and one that the rate all but leaves out, such as
    a short one at s = 0 of s⁵, keeps its digits. Raises ValueError, with the cure, where the rate is negative or not
    finite, is zero throughout, or cannot be integrated.
    """
    try:
        subintervals = resolve_between(lambda s: _values(formula, s), _edges(formula, horizon))
    except ValueError as error:
        raise ValueError(
            f"the schedule {formula.text} cannot be integrated from s = 0 to {horizon:g}: it must be finite and hold "
            "more than rounding there (for 1 - cos(s), for one, write 2*sin(s/2)**2)"
        ) from error
    _check_sign(formula, subintervals)
    edges, masses = (
        subintervals.edges,
        0.5 * np.diff(subintervals.edges) * (np.maximum(subintervals.values, 0.0) @ WEIGHTS),
    )

    def piece(a: float, b: float) -> float:
        cuts = a + (b - a) * np.arange(PARTS + 1) / PARTS
        values = np.maximum(_values(formula, nodes_between(cuts[:-1], cuts[1:]).ravel()), 0.0)
        return float(0.5 * (b - a) / PARTS * (values.reshape(PARTS, -1) @ WEIGHTS).sum())

    def between(a: float, b: float) -> float:
        first, last = (min(int(np.searchsorted(edges, end, side="right")) - 1, len(masses) - 1) for end in (a, b))
        if first == last:
            return piece(a, b)
        return piece(a, float(edges[first + 1])) + float(masses[first + 1 : last].sum()) + piece(float(edges[last]), b)

    return Schedule(lambda s: max(float(_values(formula, np.array([s]))[0]), 0.0), between, f"schedule {formula.text}")


def _edges(formula: Formula, horizon: float) -> Array:
    """Subintervals of [0, horizon], as many as usual, and more where a pulse would hide between their nodes."""
    return np.union1d(np.linspace(0.0, horizon, SUBINTERVALS + 1), hidden(formula, ((0.0, horizon),)).edges)


def _check_sign(formula: Formula, subintervals: Subintervals) -> None:
    most, least = float(subintervals.values.max()), float(subintervals.values.min())
    if least < -ROUNDING * most:
        place = subintervals.nodes[int(np.argmin(subintervals.values))]
        raise ValueError(f"the schedule {formula.text} is {least:.3g} at s = {place:.6g}: keep it >= 0, with max(…, 0)")
    if not most > 0.0:
        raise ValueError(f"the schedule {formula.text} is zero throughout: nothing would ever be noised")


def _values(formula: Formula, s: Array) -> Array:
    return np.asarray(formula.numpy(s=s))


@dataclass(frozen=True)
class Retimed:
    """A flow by another clock: q(s) = flow(τ(s))."""

    flow: Flow
    schedule: Schedule

    @property
    def description(self) -> str:
        """How q is computed."""
        return f"{self.schedule.label}; {self.flow.description}"

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return self.flow.density(self.schedule.elapsed(s), x)

    def score(self, s: float, x: Array) -> Array:
        """∇ log q(s, x) at points (n, d), shape (n, d)."""
        return self.flow.score(self.schedule.elapsed(s), x)

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d)."""
        return self.flow.sample(self.schedule.elapsed(s), n, rng)

    def squared_norm(self, s: float) -> float | None:
        """∫q(s, ·)², the flow's at τ(s); None where it has none."""
        return self.flow.squared_norm(self.schedule.elapsed(s))

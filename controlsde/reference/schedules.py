"""Schedules: at which rate a forward process runs, as a change of time.

A process with rate 1 has q(τ); under a schedule with rate r(s) ≥ 0 its clock shows τ(s) = ∫₀ˢ r, force and diffusivity
are r(s) times those of rate 1, and the marginal at forward time s is q(τ(s)). So every way of computing q serves
every schedule.

    vp  (variance preserving)   f = −β(s) x, D₀ = σ²β(s)    Ornstein–Uhlenbeck with diffusivity σ², rate β
    ve  (variance exploding)    f = 0,       D₀ = σσ̇         heat with diffusivity 1, rate σσ̇ = ½ dσ²/ds

In the notation of Song et al. (2021), dX = −½βX ds + √β dW, our β is half of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from controlsde.densities.panels import Panels, resolve
from controlsde.densities.protocol import Array
from controlsde.diffusivity import Diffusivity, Varying
from controlsde.problem.formula import Formula
from controlsde.reference.flows import Flow

PANELS = 16  # to begin the quadrature of a formula with


@dataclass(frozen=True)
class Schedule:
    """rate: s → r(s); elapsed: s → τ(s) = ∫₀ˢ r, exact or to thirteen digits. label: a few words."""

    rate: Callable[[float], float]
    elapsed: Callable[[float], float]
    label: str

    def diffusivity(self, base: float, horizon: float) -> Diffusivity:
        """D₀(t) = base · r(T − t) in the software's clock."""
        return Varying(lambda t: self.rate(max(horizon - t, 0.0)), lambda t: -self.elapsed(max(horizon - t, 0.0)), base)


def linear_rate(first: float, last: float, horizon: float) -> Schedule:
    """β from `first` to `last`, linear in s (Ho et al. 2020, Song et al. 2021)."""
    slope = (last - first) / horizon
    return Schedule(lambda s: first + slope * s, lambda s: first * s + 0.5 * slope * s * s, "linear schedule")


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
    whole = math.cos(start)
    return Schedule(
        lambda s: speed * math.tan(start + speed * s),
        lambda s: math.log(whole / math.cos(start + speed * s)) if s > 0.0 else 0.0,
        "cosine schedule",
    )


def growing_noise(level: Callable[[float], tuple[float, float]], label: str) -> Schedule:
    """Rate σσ̇ and τ = ½(σ² − σ(0)²) for s → (σ, σ̇): the variance grows by σ² − σ(0)²."""
    first, _ = level(0.0)

    def elapsed(s: float) -> float:
        now, _ = level(s)
        return 0.5 * (now - first) * (now + first)

    return Schedule(lambda s: math.prod(level(s)), elapsed, label)


def geometric_noise(first: float, last: float, horizon: float) -> Schedule:
    """σ = first (last/first)^{s/T} (Song et al. 2021)."""
    growth = math.log(last / first) / horizon

    def level(s: float) -> tuple[float, float]:
        now = first * math.exp(growth * s)
        return now, growth * now

    return growing_noise(level, "geometric schedule")


def linear_noise(first: float, last: float, horizon: float) -> Schedule:
    """σ linear in s (Karras et al. 2022)."""
    slope = (last - first) / horizon
    return growing_noise(lambda s: (first + slope * s, slope), "linear schedule")


def cosine_noise(first: float, last: float, horizon: float) -> Schedule:
    """σ = tan θ(s), θ linear in s: the ratio of noise to signal of the cosine schedule."""
    start = math.atan(first)
    speed = (math.atan(last) - start) / horizon

    def level(s: float) -> tuple[float, float]:
        now = math.tan(start + speed * s)
        return now, speed * (1.0 + now * now)

    return growing_noise(level, "cosine schedule")


def formula_rate(formula: Formula, horizon: float) -> Schedule:
    """A rate given by a formula in s, its integral by adaptive Gauss quadrature.

    Raises ValueError where it is not finite or cannot be integrated.
    """
    rates: Panels = resolve(lambda s: _values(formula, s), 0.0, horizon, PANELS)

    def elapsed(s: float) -> float:
        return float(rates.integral_to(np.array([s]))[0][0]) if s > 0.0 else 0.0

    return Schedule(lambda s: float(_values(formula, np.array([s]))[0]), elapsed, f"schedule {formula.text}")


def _values(formula: Formula, s: Array) -> Array:
    return np.asarray(formula.numpy(s=s))


@dataclass(frozen=True)
class Retimed:
    """See Flow. q(s) = flow(τ(s))."""

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

"""The diffusivity D(t) ≥ 0 of the state equation in the software's clock: steady, or following a schedule.

Whoever makes a reference gives D₀ as one of these; `times` makes D = ηD₀ of it. Solvers take its means over their
steps, the verification its values in between, the particles the exact variance 2∫D dt of every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST = 1e-300  # of a mean over a step, where there is any diffusion at all


class Diffusivity(Protocol):
    """D(t) on [0, T], length²/time."""

    @property
    def steady(self) -> bool:
        """Whether D does not depend on t."""
        ...

    def at(self, t: float) -> float:
        """D(t)."""
        ...

    def mean(self, start: float, end: float) -> float:
        """∫ D dt / (end − start) over start < end."""
        ...

    def scaled(self, noise: float) -> Diffusivity:
        """ηD for a noise level η ≥ 0."""
        ...


@dataclass(frozen=True)
class Steady:
    """One diffusivity at all times."""

    value: float
    steady: bool = True

    def at(self, t: float) -> float:  # noqa: ARG002 - the same at all times
        """D."""
        return self.value

    def mean(self, start: float, end: float) -> float:  # noqa: ARG002
        """D."""
        return self.value

    def scaled(self, noise: float) -> Steady:
        """ηD."""
        return Steady(noise * self.value)


@dataclass(frozen=True)
class Varying:
    """factor · rate(t), rate ≥ 0, with its primitive: `until(t)` = ∫ rate from any fixed time to t.

    between: (start, end) → ∫ rate, where that is known better than as the difference of two values of the primitive,
    of which a rate that vanishes leaves only the rounding.
    """

    rate: Callable[[float], float]
    until: Callable[[float], float]
    factor: float = 1.0
    between: Callable[[float, float], float] | None = None

    @property
    def steady(self) -> bool:
        """Whether D does not depend on t: only where there is none."""
        return self.factor == 0.0

    def at(self, t: float) -> float:
        """D(t)."""
        return self.factor * self.rate(t)

    def mean(self, start: float, end: float) -> float:
        """∫ D dt / (end − start), exact, and not negative: where the rate vanishes, rounding has no sign."""
        whole = self.until(end) - self.until(start) if self.between is None else self.between(start, end)
        return self.factor * max(whole, 0.0) / (end - start)

    def scaled(self, noise: float) -> Varying:
        """ηD."""
        return Varying(self.rate, self.until, noise * self.factor, self.between)


def step_means(diffusivity: Diffusivity, edges: Array, steps: int) -> Array:
    """Means of D over S equal steps of each of K pieces between `edges` (K+1,): shape (K, S).

    Of a D that only pauses, a step without any has `LEAST`, next to nothing: the walls of the state equation are those
    of a diffusion at all times, or at none.
    """
    fractions = np.arange(steps + 1) / steps
    times = edges[:-1, None] + np.diff(edges)[:, None] * fractions
    means = np.array([[diffusivity.mean(row[i], row[i + 1]) for i in range(steps)] for row in times])
    return np.maximum(means, LEAST) if diffusivity.mean(edges[0], edges[-1]) > 0.0 else 0.0 * means


def blocks_a_piece(diffusivity: Array) -> int:
    """How many matrices a piece has for D (K, S) of every step: one, or one a step where D varies within pieces."""
    return 1 if np.all(diffusivity == diffusivity[:, :1]) else diffusivity.shape[1]

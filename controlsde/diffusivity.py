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

    def times(self, noise: float) -> Diffusivity:
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

    def times(self, noise: float) -> Steady:
        """ηD."""
        return Steady(noise * self.value)


@dataclass(frozen=True)
class Varying:
    """factor · rate(t), with the primitive of the rate: `until(t)` = ∫ rate from any fixed time to t."""

    rate: Callable[[float], float]
    until: Callable[[float], float]
    factor: float = 1.0

    @property
    def steady(self) -> bool:
        """Whether D does not depend on t: only where there is none."""
        return self.factor == 0.0

    def at(self, t: float) -> float:
        """D(t)."""
        return self.factor * self.rate(t)

    def mean(self, start: float, end: float) -> float:
        """∫ D dt / (end − start), exact."""
        return self.factor * (self.until(end) - self.until(start)) / (end - start)

    def times(self, noise: float) -> Varying:
        """ηD."""
        return Varying(self.rate, self.until, noise * self.factor)


def step_means(diffusivity: Diffusivity, edges: Array, steps: int) -> Array:
    """Means of D over S equal steps of each of K pieces between `edges` (K+1,): shape (K, S)."""
    fractions = np.arange(steps + 1) / steps
    times = edges[:-1, None] + np.diff(edges)[:, None] * fractions
    return np.array([[diffusivity.mean(row[i], row[i + 1]) for i in range(steps)] for row in times])

"""A distance beside what exact draws show: how a number between particles and a density is to be read.

Comes in: a value, and the values of the same statistic for as many draws from the density itself. Goes out: `NullTest`.
With all of them exchangeable under the null, the rank of the value gives a p-value of exact level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NullTest:
    """A distance between particles and a density, beside what as many draws from the density show.

    null_mean, null_deviation: of the distance over such draws; p: the share of draws at least as far away.
    """

    value: float
    null_mean: float
    null_deviation: float
    p: float

    @property
    def z(self) -> float:
        """How far above the null, in its deviations."""
        return (self.value - self.null_mean) / self.null_deviation if self.null_deviation else math.inf

    def to_json(self) -> dict[str, float]:
        """The numbers as the JSON of a simulation holds them."""
        return {
            "value": self.value,
            "null_mean": self.null_mean,
            "null_deviation": self.null_deviation,
            "p": self.p,
        }


def null_test(value: float, nulls: Array) -> NullTest:
    """A value beside those of draws (B,), B ≥ 2: p = (1 + #{null ≥ value}) / (1 + B), never zero."""
    beyond = (1.0 + np.count_nonzero(nulls >= value)) / (1.0 + len(nulls))
    return NullTest(value, float(nulls.mean()), float(nulls.std(ddof=1)), float(beyond))

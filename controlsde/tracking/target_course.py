"""The target p(t) on the unknowns of a mesh as a smooth function of time, for pieces whose ends may move.

Comes in: what evaluates p at a time. Goes out: a quintic spline, twice and more continuously differentiable, with its
derivatives: exact ones of what the solvers track, whatever the reference is made of.

Intervals between knots are halved where the spline misses p in their middle by more than 1e-7 of the largest ‖p‖, so
that knots crowd where p moves fast: for most references some sixty; data with corners are followed down to T/2¹⁴.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline, make_interp_spline

Array = NDArray[np.float64]

DEGREE = 5
FIRST_INTERVALS = 16
TOLERANCE = 1e-7  # of the largest ‖p‖
SHORTEST_SHARE = 2.0**-14  # of the horizon, between two knots
MOST_KNOTS = 1000


@dataclass(frozen=True, eq=False)
class TargetCourse:
    """p(t) (n,) for t in [0, horizon]; build it with `course_of`."""

    spline: BSpline
    horizon: float

    def at(self, times: ArrayLike, derivative: int = 0) -> Array:
        """p, or one of its derivatives in time, at times of any shape: (…, n)."""
        inside = np.clip(np.asarray(times, dtype=float), 0.0, self.horizon)  # but for rounding they are
        return np.asarray(self.spline(inside, nu=derivative))


def course_of(density: Callable[[float], Array], horizon: float, mass: Array) -> TargetCourse:
    """The spline through density(t) (n,) on [0, horizon], in the norm of the mass (n,)."""
    known = {float(t): density(float(t)) for t in np.linspace(0.0, horizon, FIRST_INTERVALS + 1)}
    size = max(float(np.sqrt(values**2 @ mass)) for values in known.values())
    seen: dict[float, Array] = {}  # at the middles of intervals
    while True:
        times = np.array(sorted(known))
        spline = make_interp_spline(times, np.stack([known[t] for t in times]), k=DEGREE)
        middles = 0.5 * (times[1:] + times[:-1])
        for t in middles:
            if float(t) not in seen:
                seen[float(t)] = density(float(t))
        missed = np.sqrt((spline(middles) - np.stack([seen[float(t)] for t in middles])) ** 2 @ mass)
        halved = middles[(missed > TOLERANCE * size) & (np.diff(times) > SHORTEST_SHARE * horizon)]
        if not len(halved) or len(known) + len(halved) > MOST_KNOTS:
            return TargetCourse(spline, horizon)
        known.update({float(t): seen.pop(float(t)) for t in halved})

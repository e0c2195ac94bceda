"""Model-predictive control: the pieces that are left are solved again from where the density is.

Comes in: a tracking problem from its actual start, and a plan of weights. Goes out: the weights that were played.

Every so many pieces the remaining ones are a tracking problem of their own (`tracking.section`), minimised by the
Newton method of shooting from the plan as it stands: one start, no hops. Where the variation of the weights costs
something, the first of them is tied to the last one played,

    J_left(θ) + ½ c |θ_first − θ_played|².
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.solvers.shooting.trust_region import minimise
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.objective import Evaluated, Objective
from controlsde.tracking.section import section, variation_price
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

ITERATIONS = 200
TOLERANCE = 1e-6  # of the projected gradient, as shooting has it


def replanned(tracking: TrackingProblem, plan: Array, every: int = 1, progress: Progress = silent) -> Array:
    """Play a plan (K, P), solving what is left of it anew before piece 0, `every`, 2·`every`, …: the weights played.

    Raises NonFiniteError where the density breaks down; a plan that cannot be evaluated any further is played as it is.
    """
    played, density, pieces = np.array(plan), tracking.initial, tracking.grid.pieces
    for first in range(0, pieces, every):
        progress(Step("re-planning", fraction=first / pieces))
        left = section(tracking, first, pieces, density)
        tie = _Tie(variation_price(tracking, first), played[first - 1])
        played[first:] = _solved(left, played[first:], tie)
        stop = min(first + every, pieces)
        density = Objective(section(tracking, first, stop, density)).stages(played[first:stop])[-1, -1, -1]
    return played


@dataclass(frozen=True, eq=False)
class _Tie:
    """½ price |θ_first − before|², a function of the first piece of weights, before: (P,)."""

    price: float
    before: Array

    def value(self, weights: Array) -> float:
        return 0.5 * self.price * float(np.sum((weights[0] - self.before) ** 2))

    def added(self, weights: Array, local: Expansion) -> Expansion:
        size = len(self.before)
        gradient = local.gradient.copy()
        gradient[:size] += self.price * (weights[0] - self.before)
        curvature = np.zeros(len(gradient))
        curvature[:size] = self.price
        return Expansion(
            local.value + self.value(weights),
            gradient,
            local.gauss_newton + np.diag(curvature),
            local.hessian + np.diag(curvature),
        )


@dataclass(frozen=True, eq=False)
class _Tied:
    """J of the pieces that are left and its tie, at one point."""

    evaluated: Evaluated
    tie: _Tie

    @property
    def value(self) -> float:
        return self.evaluated.value + self.tie.value(self.evaluated.weights)

    def expand(self) -> Expansion:
        return self.tie.added(self.evaluated.weights, self.evaluated.expand())


def _solved(left: TrackingProblem, plan: Array, tie: _Tie) -> Array:
    """The weights at the end of the search from the plan; the plan itself where it cannot be evaluated."""
    objective, found = Objective(left), plan.ravel()

    def evaluate(point: Array) -> _Tied:
        return _Tied(objective.evaluate(point.reshape(plan.shape)), tie)

    try:
        for iterate in minimise(evaluate, found, objective.bounds, ITERATIONS, TOLERANCE):
            found = iterate.point
    except NonFiniteError:
        pass  # of the first point alone: the search itself goes round such points
    return found.reshape(plan.shape)

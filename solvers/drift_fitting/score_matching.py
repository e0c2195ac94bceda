"""Score matching: fit the network to the reference's exact drift v*, piece by piece, and look at no density.

Comes in: the objective of a tracking problem that knows its exact drift, and options. Goes out: an `Outcome`. On every
piece k the weights minimise

    ½ ∫_k ∫ |v(x; θ) − v*(t, x)|² p dx dt + ½ r Δt_k |θ|²,        |θ| ≤ bound,

a regression (see `drift_moments` and `drift_fit`) from several random starts and from what the neighbouring pieces
found. It is what one does who trains a network to a score. The price r is that of the objective; a price on the
variation couples the pieces and has no part. The objective J that is reported is the tracking objective, as of every
solver; `converged` and the gradient speak of the fits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import one_thread
from controlsde.solvers.drift_fitting.drift_fit import Fitted, Regression, fit
from controlsde.solvers.drift_fitting.drift_moments import DriftMoments
from controlsde.solvers.drift_fitting.options import ScoreMatching, Switching
from controlsde.solvers.outcome import Iteration, Outcome, Termination
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]


def solve(
    objective: Objective,
    options: ScoreMatching,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
) -> Outcome:
    """Fit the network to the exact drift on every piece from `options.starts` starts.

    initial: flattened weights (K, P) in place of the first random starts. A keyboard interrupt keeps the best fits so
    far. Raises ValueError where the tracking problem does not know its exact drift.
    """
    began = time.perf_counter()
    tracking = objective.tracking
    moments = DriftMoments.of(tracking)
    price, bound = (np.broadcast_to(part, tracking.weight_shape) for part in (tracking.effort, tracking.bound))
    regression = Regression(
        tracking.network, moments.points, moments.mass / moments.durations[:, None], moments.mean, price, bound
    )
    fitting = DriftFitting(moments, regression, fit_by(options, regression, initial, progress, "score matching"))
    return fitting.outcome(objective, fitting.fitted.weights, began)


def fit_by(
    options: ScoreMatching | Switching, regression: Regression, initial: Sequence[Array], progress: Progress, task: str
) -> Fitted:
    """The fits with a solver's options, telling of each iteration."""
    budget = options.starts, options.seed, options.iterations, options.tolerance
    with one_thread():
        return fit(regression, *budget, initial, lambda number: progress(Step(task, number)))


@dataclass(frozen=True, eq=False)
class DriftFitting:
    """Fits of a network to the exact drift on stretches of time, and what they say about the weights made of them."""

    moments: DriftMoments  # of the stretches
    regression: Regression
    fitted: Fitted

    @property
    def loss(self) -> float:
        """∫∫ |v − v*|² p dx dt."""
        return float(self.moments.durations @ self.regression.misfit(self.fitted.weights) + self.moments.spread.sum())

    def outcome(self, objective: Objective, weights: Array, began: float, words: str = "") -> Outcome:
        """The outcome for weights (K, P) that realise the fitted drift; all since `began` was for them."""
        fitted = self.fitted
        value, failure = float("nan"), None
        try:
            value = objective.value(weights)
        except NonFiniteError as error:
            failure = Termination("non-finite", what=error.what, piece=error.piece)
        norm = float(fitted.gradient_norm.max())
        termination = failure or self._termination()
        return Outcome(
            weights=weights,
            objective=value,
            gradient_norm=norm,
            converged=termination.reason == "converged",
            interrupted=fitted.interrupted,
            message=f"{self._message(termination)}: {self._loss_in_words()}{words}",
            iterations=fitted.iterations,
            history=(Iteration(fitted.iterations, value, norm),),
            solve_seconds=time.perf_counter() - began,
            termination=termination,
        )

    def _termination(self) -> Termination:
        if self.fitted.interrupted:
            return Termination("interrupted")
        if self.fitted.converged.all():
            return Termination("converged")
        return Termination("no-descent" if (self.fitted.stuck | self.fitted.converged).all() else "iterations")

    def _message(self, termination: Termination) -> str:
        if termination.reason == "non-finite":
            return f"{termination.what} stopped being finite in piece {(termination.piece or 0) + 1}"
        if termination.reason in ("converged", "interrupted"):
            return termination.reason
        fitted = self.fitted
        open_ones, count = int((~fitted.converged).sum()), len(fitted.converged)
        stopped = f"stop after {fitted.iterations} iterations"
        how = "end where no step lowers them" if termination.reason == "no-descent" else stopped
        return f"{open_ones} of {count} fits {how}, with a gradient of {float(fitted.gradient_norm.max()):.1e}"

    def _loss_in_words(self) -> str:
        spread = float(self.moments.spread.sum())
        return (
            f"the fit leaves {self.loss:.4g} of {self.moments.square:.4g} in ∫∫|v − v*|²p, of which {spread:.2g} is "
            "what v* changes in the meantime"
        )

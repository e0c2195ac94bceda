"""Switching: fit a wide network to the exact drift on periods of time, and let the narrow one play it in turns.

Comes in: the objective of a tracking problem that knows its exact drift, and options. Goes out: an `Outcome`. On every
period the wide network of `neurons` is fitted as in `score_matching`, at the price and within the bounds of the narrow
weights that play it (see `multiplexing`), so that nothing is cut afterwards. The pieces are the budget: more neurons
fit the drift better, and take longer turns. `neurons: auto` tries the numbers whose periods fill the pieces, and keeps
the least J.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, silent
from controlsde.solvers.drift_fitting.drift_fit import Regression
from controlsde.solvers.drift_fitting.drift_moments import DriftMoments
from controlsde.solvers.drift_fitting.multiplexing import Multiplexing
from controlsde.solvers.drift_fitting.options import Switching, fitting_groups
from controlsde.solvers.drift_fitting.score_matching import DriftFitting, fit_by
from controlsde.solvers.outcome import Outcome
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]


def solve(
    objective: Objective,
    options: Switching,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
) -> Outcome:
    """Fit and play the wide network; of several numbers of neurons, the one with the least J.

    initial: flattened weights (K, P), whose turns are heard as wide weights in place of the first random starts. A
    keyboard interrupt keeps the best so far. Raises ValueError where no period fills the pieces, or the tracking
    problem does not know its exact drift.
    """
    began = time.perf_counter()
    outcomes = list(_attempts(objective, options, progress, initial))
    if not outcomes:
        raise ValueError(_nothing_fits(objective.tracking.grid.pieces))
    best, *others = sorted(outcomes, key=lambda one: (not np.isfinite(one.objective), one.objective))
    interrupted = any(one.interrupted for one in outcomes)
    return replace(best, interrupted=interrupted, others=tuple(others), solve_seconds=time.perf_counter() - began)


def constructive_start(objective: Objective, seed: int, progress: Progress = silent) -> Array:
    """The weights (K, P) with the least J that switching finds in either ordering.

    Raises ValueError where no period fills the pieces, KeyboardInterrupt when interrupted: nothing is worth keeping.
    """
    outcomes = [
        solve(objective, Switching(ordering=ordering, seed=seed), progress)
        for ordering in ("symmetric", "forward")
        if fitting_groups(ordering, objective.tracking.grid.pieces)
    ]
    if any(one.interrupted for one in outcomes):
        raise KeyboardInterrupt
    if not outcomes:
        raise ValueError(_nothing_fits(objective.tracking.grid.pieces))
    return min(outcomes, key=lambda one: (not np.isfinite(one.objective), one.objective)).weights


def _nothing_fits(pieces: int) -> str:
    return f"no period of switching fills {pieces} pieces: use a number with more divisors, such as 16"


def _attempts(
    objective: Objective, options: Switching, progress: Progress, initial: Sequence[Array]
) -> Iterator[Outcome]:
    """The outcome for each number of neurons, until an interruption."""
    tracking = objective.tracking
    moments = DriftMoments.of(tracking)
    width, durations = tracking.network.width, tracking.grid.durations
    for groups in options.groups(tracking.grid.pieces, width):
        began = time.perf_counter()
        playing = Multiplexing.of(tracking.network, options.ordering, groups, durations)
        periods, length = playing.durations.shape
        merged = moments.merged(length)
        mass = merged.mass / merged.durations[:, None]
        price, bound = playing.price(tracking.effort), playing.bound(tracking.bound)
        regression = Regression(playing.wide, merged.points, mass, merged.mean, price, bound)
        task = f"switching, {playing.wide.width} neurons"
        fitted = fit_by(options, regression, [playing.heard(one) for one in initial], progress, task)
        words = f"; {playing.wide.width} neurons in turns of {width}, {periods} × {length} pieces, {options.ordering}"
        yield DriftFitting(merged, regression, fitted).outcome(objective, playing.played(fitted.weights), began, words)
        if fitted.interrupted:
            return

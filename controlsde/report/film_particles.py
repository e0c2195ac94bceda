"""Particles of a film: where a few of them are at each of its moments.

Comes in: a result, how many, a seed. Goes out: positions and who is alive, at the times of the result's densities.
They move by the result's own drift and noise, as the Monte Carlo room moves its own, and start from the reference at 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.foundation.progress import Progress, Step
from controlsde.monte_carlo.philox import Stream
from controlsde.result.result import Result
from controlsde.tracking.posed import Posed
from controlsde.verification.particle_measurement import experiment_of
from controlsde.workflow.simulation import drift_of, follow

Array = NDArray[np.float64]

LEAST_STEPS = 16  # a piece: a moment of a film is then never far from the end of a step
MOST_STEPS = 16  # a piece, of a drift that is no network: smooth, and dear
MOST_IN_ALL = 20_000  # steps of a film's particles: all of them are kept


@dataclass(frozen=True, eq=False)
class Moving:
    """What moves in a film beside the density: the drift; positions (moments, n, d), and who is alive (moments, n)."""

    drift: Drift
    positions: Array
    alive: NDArray[np.bool_]


def moving(result: Result, count: int, seed: int, progress: Progress) -> Moving:
    """The drift of a result, and `count` particles under it at the times of its densities.

    Raises ReferenceError where the reference cannot be built any more, ControlsError where there is no drift.
    """
    progress(Step("building the reference"))
    posed = Posed.of(result.problem)
    drift = drift_of(result, posed.reference)
    times = result.fields.times
    if not count:
        empty = np.empty((len(times), 0, posed.problem.dimension))
        return Moving(drift, empty, np.ones(empty.shape[:2], dtype=bool))
    asked = max(posed.problem.monte_carlo.steps_per_piece, LEAST_STEPS)
    asked = max(min(asked, MOST_IN_ALL // (len(drift.edges) - 1)), 1)
    experiment = replace(
        experiment_of(posed, drift),
        steps_per_piece=asked if result.controls is not None else min(asked, MOST_STEPS),
        stream=Stream.of(seed, posed.problem.name, posed.problem.noise, 0),
    )
    paths = follow(experiment, count, progress)
    nearest = np.abs(paths.times[:, None] - times).argmin(axis=0)
    return Moving(drift, paths.positions[:, nearest].swapaxes(0, 1), paths.alive[:, nearest].T)

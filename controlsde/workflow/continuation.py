"""Coarser problems on the way to the one asked for: each is solved from the answers to the one before.

Comes in: a problem whose solver says `refine`, its reference, and where to start. Goes out: weights for the problem's
own pieces, the most promising first.

A level may have fewer pieces (each of which is then cut in equal numbers of pieces, with the same weights, so that the
next level starts at the same drift), another noise level, or a coarser mesh or time scheme. Piece ends of a coarse
level are piece ends of the fine ones. Few pieces have few local minima, and a solution is a better start than chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, Step
from controlsde.problem.solver_specs import ContinuationLevel, SolverOptions
from controlsde.registry import SOLVERS
from controlsde.solvers.declaration import Solver
from controlsde.solvers.outcome import Outcome
from controlsde.tracking.objective import Objective, device_of
from controlsde.tracking.posed import Posed
from controlsde.tracking.time_grid import TimeGrid
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

KEPT = 4  # answers to a level from which the next one starts
SAME = 1e-6  # relative difference of J below which two answers are one


@dataclass(frozen=True, eq=False)
class Continued:
    """Weights (K, P) to start from, best first; the seconds that it took; whether it was cut short."""

    weights: tuple[Array, ...]
    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    interrupted: bool = False


def solve_levels(
    posed: Posed,
    options: SolverOptions,
    progress: Progress,
    initial: Sequence[Array] = (),
    executor: Executor | None = None,
) -> Continued:
    """Solve the levels one after the other; without any, the initial weights as they are."""
    solver: Solver = SOLVERS[options.kind]
    continued = Continued(tuple(initial))
    pieces = posed.problem.controls.pieces
    for number, level in enumerate(options.refine):
        count = level.pieces or pieces
        progress(Step(f"continuation level {number + 1} of {len(options.refine)}: {_words(level, count)}"))
        objective = Objective(level_tracking(posed, level), device_of(options))
        begin = [resized(weights, count) for weights in continued.weights]
        run = options.going_on(options.starts if number == 0 else max(1, len(begin)))
        outcome = solver.solve(objective, run, progress, begin, executor)
        continued = Continued(
            weights=tuple(resized(one.weights, pieces) for one in _promising(outcome)),
            build_seconds=continued.build_seconds + outcome.build_seconds,
            solve_seconds=continued.solve_seconds + outcome.solve_seconds,
            interrupted=outcome.interrupted,
        )
        if outcome.interrupted or not continued.weights:
            break
    return continued


def level_tracking(posed: Posed, level: ContinuationLevel) -> TrackingProblem:
    """The discrete tracking problem of one level."""
    changes: dict[str, Any] = {}
    if level.noise is not None:
        changes["noise"] = level.noise
    if level.elements is not None:
        changes["mesh"] = posed.problem.mesh.model_copy(update={"elements": level.elements})
    return posed.changed(**changes).on(grid=level_grid(posed, level))


def level_grid(posed: Posed, level: ContinuationLevel) -> TimeGrid:
    """Pieces of several of the problem's own, with as many steps in all where the level does not say otherwise."""
    own = posed.grid
    together = own.pieces // (level.pieces or own.pieces)
    return TimeGrid(
        edges=own.edges[::together],
        steps_per_piece=level.steps_per_piece or together * own.steps_per_piece,
        stages=level.stages or own.stages,
    )


def resized(weights: Array, pieces: int) -> Array:
    """Weights (K, P) for a multiple or a divisor of K pieces: repeated, or the first of each group."""
    have = len(weights)
    return np.repeat(weights, pieces // have, axis=0) if pieces >= have else weights[:: have // pieces].copy()


def _promising(outcome: Outcome) -> list[Outcome]:
    """The answers to go on with: the best few that differ."""
    kept: list[Outcome] = []
    for one in sorted((outcome, *outcome.others), key=lambda one: one.objective):
        known = any(abs(one.objective - other.objective) <= SAME * abs(other.objective) for other in kept)
        if np.isfinite(one.objective) and not known and len(kept) < KEPT:
            kept.append(one)
    return kept


def _words(level: ContinuationLevel, pieces: int) -> str:
    parts = [f"{pieces} piece{'s' if pieces > 1 else ''}"]
    parts += [f"noise {level.noise:g}"] if level.noise is not None else []
    parts += [f"{' x '.join(map(str, level.elements))} elements"] if level.elements is not None else []
    parts += [f"{level.stages} stage{'s' if level.stages > 1 else ''}"] if level.stages is not None else []
    return ", ".join(parts)

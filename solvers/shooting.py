"""Shooting: simulate the state, minimise J over the weights alone, from several starts.

Comes in: a tracking problem and options. Goes out: an `Outcome`. Methods: `newton` (exact Hessian), `gauss-newton`
(Levenberg–Marquardt), `l-bfgs`, `adam`. Many local minima are the rule, so the starts are random and several: from
four on, all take a first look of 40 iterations and the best quarter goes on to the end. They run in processes of
their own when that pays.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.stage_solvers import NonFiniteError
from controlsde.problem.schema import Shooting
from controlsde.progress import Progress, Step, silent
from controlsde.solvers.first_order import minimise_adam, minimise_l_bfgs
from controlsde.solvers.outcome import Ending, Iteration, Outcome
from controlsde.solvers.processes import one_thread, run_starts
from controlsde.solvers.reduced import ReducedObjective
from controlsde.solvers.starts import starts_from
from controlsde.solvers.trust_region import Iterate, minimise
from controlsde.tracking import TrackingProblem

Array = NDArray[np.float64]

SCREENED_FROM = 4  # starts: with fewer, all run to the end
SCREENING_ITERATIONS = 40
KEPT_SHARE = 0.25  # of the starts goes on after the first look


@dataclass
class _Run:
    """One start: its best iterate so far and its history, kept up to date so that an interruption loses nothing."""

    best: Iterate | None = None
    history: list[Iteration] = field(default_factory=list)
    trouble: Ending | None = None
    interrupted: bool = False

    def accept(self, iterate: Iterate) -> None:
        self.history.append(Iteration(iterate.number, iterate.value, iterate.gradient_norm))
        if self.best is None or iterate.value <= self.best.value:
            self.best = iterate
        self.trouble = iterate.trouble

    def followed_by(self, later: _Run) -> _Run:
        """This run and its continuation as one."""
        count = self.history[-1].number if self.history else 0
        shifted = [replace(row, number=row.number + count) for row in later.history[1:]]
        best = replace(later.best, number=later.best.number + count) if later.best else self.best
        return _Run(best, self.history + shifted, later.trouble, later.interrupted)


def solve(
    tracking: TrackingProblem,
    options: Shooting,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
    device: str = "cpu",
) -> Outcome:
    """Minimise J from `options.starts` starts and return the best.

    initial: flattened weights (K, P) in place of the first random starts. A keyboard interrupt keeps the best point
    so far.
    """
    began = time.perf_counter()
    objective = ReducedObjective(tracking, device=device)
    starts = starts_from(tracking, initial, options.starts, options.seed)
    built = time.perf_counter()
    runs = _run_all(objective, options, starts, progress)
    outcomes = [_outcome(run, options, tracking) for run in runs if run.best is not None]
    if not outcomes:
        trouble = (runs[0].trouble if runs else None) or Ending("interrupted", "before the first iteration")
        outcomes = [_nothing(starts[0], trouble)]
    best, *others = sorted(outcomes, key=lambda outcome: outcome.objective)
    interrupted = any(run.interrupted for run in runs)
    return replace(
        best,
        interrupted=interrupted,
        message="interrupted; this is the best point so far" if interrupted else best.message,
        starts=tuple(run.best.value if run.best else float("nan") for run in runs),
        others=tuple(others),
        build_seconds=built - began,
        solve_seconds=time.perf_counter() - built,
    )


def _outcome(run: _Run, options: Shooting, tracking: TrackingProblem) -> Outcome:
    assert run.best is not None  # callers pass runs that hold an iterate
    ending = _ending(run, options)
    return Outcome(
        weights=run.best.point.reshape(tracking.weight_shape),
        objective=run.best.value,
        gradient_norm=run.best.gradient_norm,
        converged=run.best.converged,
        interrupted=run.interrupted,
        message=_message(run, ending),
        iterations=run.best.number,
        history=tuple(run.history),
        ending=ending,
    )


def _ending(run: _Run, options: Shooting) -> Ending:
    """Why this run stopped."""
    if run.interrupted:
        return Ending("interrupted")
    if run.best is not None and run.best.converged:
        return Ending("converged")
    if run.trouble:
        return run.trouble
    gave_up = options.method == "l-bfgs" and len(run.history) < options.iterations  # its line search found nothing
    return Ending("no-descent" if gave_up else "iterations")


def _message(run: _Run, ending: Ending) -> str:
    gradient = f"with a gradient of {run.best.gradient_norm:.1e}" if run.best else ""
    if ending.reason == "interrupted":
        return "interrupted; this is the best point so far"
    if ending.reason == "non-finite":
        return f"{_broken(ending)}; kept the last good iterate"
    if ending.reason == "no-descent":
        return f"no step lowers the objective any further, {gradient}"
    if ending.reason == "screened":
        return f"set aside after {run.history[-1].number} iterations for more promising starts, {gradient}"
    if ending.reason == "iterations":
        return f"stopped after {run.history[-1].number} iterations {gradient}"
    return "converged"


def _broken(ending: Ending) -> str:
    piece = "" if ending.piece is None else f" in piece {ending.piece + 1}"
    return f"{ending.what} stopped being finite{piece}{', ' * bool(ending.words)}{ending.words}"


def _nothing(start: Array, ending: Ending) -> Outcome:
    """The outcome when no start could even be evaluated."""
    trouble = _broken(ending) if ending.reason == "non-finite" else f"{ending.reason} {ending.words}"
    return Outcome(
        weights=start,
        objective=float("nan"),
        gradient_norm=float("nan"),
        converged=False,
        interrupted=False,
        message=f"no start could be evaluated: {trouble}",
        iterations=0,
        history=(),
        ending=ending,
    )


def _run_all(objective: ReducedObjective, options: Shooting, starts: list[Array], progress: Progress) -> list[_Run]:
    """All starts; with many of them, second-order methods go on with the most promising after a first look."""
    screened = len(starts) >= SCREENED_FROM and options.method in ("newton", "gauss-newton")
    if not screened or options.iterations <= SCREENING_ITERATIONS:
        return _run_several(objective, options, starts, progress, "start")
    look = options.model_copy(update={"iterations": SCREENING_ITERATIONS})
    runs = _run_several(objective, look, starts, progress, "start")
    order = sorted((i for i, run in enumerate(runs) if run.best), key=lambda i: _best_value(runs[i]))
    kept = order[: math.ceil(KEPT_SHARE * len(starts))]
    if any(run.interrupted for run in runs):
        return runs
    rest = options.model_copy(update={"iterations": options.iterations - SCREENING_ITERATIONS})
    points = [_best_point(runs[i]).reshape(objective.tracking.weight_shape) for i in kept]
    for i, continued in zip(
        kept, _run_several(objective, rest, points, progress, "most promising start"), strict=False
    ):
        runs[i] = runs[i].followed_by(continued)
    for i in set(range(len(runs))) - set(kept):
        runs[i].trouble = runs[i].trouble or Ending("screened")
    return runs


def _best_value(run: _Run) -> float:
    return run.best.value if run.best else math.inf


def _best_point(run: _Run) -> Array:
    assert run.best is not None  # callers pass runs that hold an iterate
    return run.best.point


def _run_several(
    objective: ReducedObjective, options: Shooting, starts: list[Array], progress: Progress, label: str
) -> list[_Run]:
    """All of these starts to the end; where they were interrupted, the last run says so."""

    def finished(count: int, run: _Run) -> None:
        value = run.best.value if run.best else None
        progress(Step(f"shooting, {label}: {count} of {len(starts)} done", None, value))

    runs, interrupted = run_starts(
        starts,
        lambda number, start: _run_one(objective, options, start, progress, f"{label} {number + 1}/{len(starts)}"),
        partial(_run_elsewhere, objective.tracking, options),
        finished,
    )
    return [*runs, _Run(interrupted=True)] if interrupted and not runs[-1].interrupted else runs


def _run_one(objective: ReducedObjective, options: Shooting, start: Array, progress: Progress, label: str) -> _Run:
    run = _Run()
    shape = objective.tracking.weight_shape
    task = f"shooting, {label}"

    def accept(iterate: Iterate) -> None:
        run.accept(iterate)
        progress(Step(task, iterate.number, iterate.value))

    try:
        with one_thread():
            if options.method == "l-bfgs":
                minimise_l_bfgs(objective, start.ravel(), options.iterations, options.tolerance, accept)
            elif options.method == "adam":
                minimise_adam(objective, start.ravel(), options.iterations, options.tolerance, accept)
            else:
                iterates = minimise(
                    lambda point: objective.evaluate(point.reshape(shape)),
                    start.ravel(),
                    objective.tracking.bounds,
                    options.iterations,
                    options.tolerance,
                    options.method,
                )
                for iterate in iterates:
                    accept(iterate)
    except NonFiniteError as error:
        run.trouble = Ending("non-finite", what=error.what, piece=error.piece)
    except KeyboardInterrupt:
        run.interrupted = True
    return run


def _run_elsewhere(tracking: TrackingProblem, options: Shooting, start: Array) -> _Run:
    return _run_one(ReducedObjective(tracking), options, start, silent, "")

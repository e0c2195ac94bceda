"""Shooting: simulate the state, minimise J over the weights alone, from several starts.

Comes in: an objective and options. Goes out: an `Outcome`. Methods: `newton` (exact Hessian), `gauss-newton`
(Levenberg–Marquardt), `l-bfgs`, `adam`. Many local minima are the rule, so the starts are random and several: from
four on, all take a first look of 40 iterations and the most promising go on to the end. From there the second-order
methods hop on to lower valleys (see `hopping`). All run side by side when that pays.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, Step, silent
from controlsde.solvers.outcome import Outcome, Termination
from controlsde.solvers.shooting.multistart import Run, Search
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.starts import starts_from
from controlsde.solvers.workers import Workers
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]


def solve(
    objective: Objective,
    options: Shooting,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
    executor: Executor | None = None,
) -> Outcome:
    """Minimise J from `options.starts` starts and return the best.

    executor: where starts may run, by default processes of this machine. initial: flattened weights (K, P) in place of
    the first random starts; with `start: switching`, what that constructs comes after them. Where the lengths of the
    pieces are free and there is room, the answers of a search with equal pieces are among the starts, so that free
    lengths are never worse. A keyboard interrupt keeps the best point so far.
    """
    began = time.perf_counter()
    if objective.tracking.free is not None and len(initial) < options.starts:
        initial = [*initial, *_with_equal_pieces(objective, options, progress, executor)]
    switching: Literal["random", "switching"] = "switching" if options.start == "switching" else "random"
    starts = starts_from(objective, initial, options.starts, options.seed, switching, progress)
    built = time.perf_counter()
    with Workers(executor, threads=objective.compiled) as workers:
        search = Search(objective, options, progress, workers)
        runs = search.hop_on(search.first(starts))
    outcomes = [
        _outcome(number, run, options, objective.shape) for number, run in enumerate(runs) if run.best is not None
    ]
    if not outcomes:
        failure = (runs[0].failure if runs else None) or Termination("interrupted", "before the first iteration")
        outcomes = [_nothing(starts[0], failure)]
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


def _with_equal_pieces(
    objective: Objective, options: Shooting, progress: Progress, executor: Executor | None
) -> list[Array]:
    """The best answers, half as many as there are starts, of half the search on pieces that are all the same."""
    tracking = objective.tracking
    equal, _ = tracking.settled(np.zeros(tracking.weight_shape))
    half = options.model_copy(update={"starts": max(1, options.starts // 2), "hops": options.hops // 2})

    def labelled(step: Step) -> None:
        progress(replace(step, task=f"equal pieces, {step.task}"))

    same = Objective(equal, objective.device, compiled=objective.uses_loops)
    found = solve(same, half, labelled, executor=executor)
    known = [one for one in (found, *found.others) if np.isfinite(one.objective)]
    return [tracking.with_equal_lengths(one.weights) for one in known[: half.starts]]


def _outcome(number: int, run: Run, options: Shooting, shape: tuple[int, int]) -> Outcome:
    assert run.best is not None  # callers pass runs that hold an iterate
    termination = _termination(run, options)
    return Outcome(
        weights=run.best.point.reshape(shape),
        objective=run.best.value,
        gradient_norm=run.best.gradient_norm,
        converged=run.best.converged,
        interrupted=run.interrupted,
        message=_message(run, termination),
        iterations=run.best.number,
        history=tuple(row for row in run.history if row.number <= run.best.number),  # Adam may rise after its best
        start=number,
        termination=termination,
    )


def _termination(run: Run, options: Shooting) -> Termination:
    """Why this run stopped."""
    if run.interrupted:
        return Termination("interrupted")
    if run.best is not None and run.best.converged:
        return Termination("converged")
    if run.failure:
        return run.failure
    gave_up = options.method == "l-bfgs" and len(run.history) < options.iterations  # its line search found nothing
    return Termination("no-descent" if gave_up else "iterations")


def _message(run: Run, termination: Termination) -> str:
    gradient = f"with a gradient of {run.best.gradient_norm:.1e}" if run.best else ""
    if termination.reason == "interrupted":
        return "interrupted; this is the best point so far"
    if termination.reason == "non-finite":
        return f"{_broken(termination)}; kept the last good iterate"
    if termination.reason == "no-descent":
        return f"no step lowers the objective any further, {gradient}"
    if termination.reason == "stalled":
        return f"the objective stopped falling after {run.history[-1].number} iterations, {gradient}: it sits at a kink"
    if termination.reason == "pruned":
        return f"set aside after {run.history[-1].number} iterations for more promising starts, {gradient}"
    if termination.reason == "iterations":
        return f"stopped after {run.history[-1].number} iterations {gradient}"
    return "converged"


def _broken(termination: Termination) -> str:
    piece = "" if termination.piece is None else f" in piece {termination.piece + 1}"
    return f"{termination.what} stopped being finite{piece}{', ' * bool(termination.words)}{termination.words}"


def _nothing(start: Array, termination: Termination) -> Outcome:
    """The outcome when no start could even be evaluated."""
    failure = (
        _broken(termination) if termination.reason == "non-finite" else f"{termination.reason} {termination.words}"
    )
    return Outcome(
        weights=start,
        objective=float("nan"),
        gradient_norm=float("nan"),
        converged=False,
        interrupted=False,
        message=f"no start could be evaluated: {failure}",
        iterations=0,
        history=(),
        termination=termination,
    )

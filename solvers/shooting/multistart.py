"""The search of shooting: several starts, a first look at all, the best ones to the end, and hops from there.

Comes in: an objective, options and starts. Goes out: one `Run` for each start. Minimisations run in processes of
their own when that pays; randomness is passed in, so that they find what one process finds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.stage_solvers import NonFiniteError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import one_thread
from controlsde.solvers.outcome import Iteration, Termination
from controlsde.solvers.shooting.first_order import minimise_adam, minimise_l_bfgs
from controlsde.solvers.shooting.hopping import HOP_ITERATIONS, disturbed, hopeless, lower, shared_out
from controlsde.solvers.shooting.options import SECOND_ORDER, Shooting
from controlsde.solvers.shooting.trust_region import Iterate, minimise
from controlsde.solvers.workers import Workers
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]
S = TypeVar("S")

PRUNED_FROM = 4  # starts: with fewer, all run to the end
PRUNING_ITERATIONS = 40
KEPT_SHARE = 0.25  # of the starts goes on after the first look,
KEPT = 4  # or so many, or half of them


def kept_of(starts: int) -> int:
    """How many of so many starts go on after the first look."""
    return starts if starts < PRUNED_FROM else math.ceil(max(KEPT_SHARE * starts, min(KEPT, starts / 2)))


@dataclass
class Run:
    """One start: its best iterate so far and its history, kept up to date so that an interruption loses nothing."""

    best: Iterate | None = None
    history: list[Iteration] = field(default_factory=list)
    failure: Termination | None = None
    interrupted: bool = False
    seconds: float = 0.0

    def accept(self, iterate: Iterate) -> None:
        self.history.append(Iteration(iterate.number, iterate.value, iterate.gradient_norm))
        if self.best is None or iterate.value <= self.best.value:
            self.best = iterate
        self.failure = iterate.failure

    def followed_by(self, later: Run) -> Run:
        """This run and its continuation as one."""
        count = self.history[-1].number if self.history else 0
        shifted = [replace(row, number=row.number + count) for row in later.history[1:]]
        best = replace(later.best, number=later.best.number + count) if later.best else self.best
        failure = later.failure or (None if shifted else self.failure)  # what goes nowhere leaves it as it was
        return Run(best, self.history + shifted, failure, later.interrupted, self.seconds + later.seconds)


@dataclass(frozen=True, eq=False)
class _HopPlan:
    """Hops to take from an optimum, with other good answers at hand and randomness of its own."""

    begin: Iterate
    population: tuple[Array, ...]
    hops: int
    seed: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Search:
    """What all starts of one solve share."""

    objective: Objective
    options: Shooting
    progress: Progress
    workers: Workers

    def first(self, starts: list[Array]) -> list[Run]:
        """All starts; with many of them, second-order methods go on with the most promising after a first look."""
        options = self.options
        pruned = len(starts) >= PRUNED_FROM and options.method in SECOND_ORDER
        if not pruned or options.iterations <= PRUNING_ITERATIONS:
            return self._minimise(options, starts, "start")
        look = options.model_copy(update={"iterations": PRUNING_ITERATIONS})
        runs = self._minimise(look, starts, "start")
        if any(run.interrupted for run in runs):
            return runs
        promising = _by_value(runs)[: kept_of(len(starts))]
        kept = [i for i in promising if not _over(runs[i])]
        rest = options.model_copy(update={"iterations": options.iterations - PRUNING_ITERATIONS})
        points = [_best(runs[i]).point.reshape(self._shape) for i in kept]
        later = self._minimise(rest, points, "most promising start", max(run.seconds for run in runs))
        for i in set(range(len(runs))) - set(promising):
            runs[i].failure = runs[i].failure or Termination("pruned")
        for i, continued in zip(kept, later, strict=True):
            runs[i] = runs[i].followed_by(continued)
        return runs

    def hop_on(self, runs: list[Run]) -> list[Run]:
        """The same runs, the most promising ones carried on by hops."""
        options = self.options
        hops = options.hops if options.method in SECOND_ORDER else 0
        ended = [i for i in _by_value(runs) if not _pruned(runs[i])][:KEPT]
        if not hops or not ended or any(run.interrupted for run in runs):
            return runs
        for number, shares in enumerate(shared_out(hops, len(ended))):
            ended = sorted(ended, key=lambda i: _best(runs[i]).value)[: len(shares)]
            plans = [self._plan(runs, ended, i, share, number) for i, share in zip(ended, shares, strict=True)]
            one = max(run.seconds / max(len(run.history), 1) for run in runs) * HOP_ITERATIONS / 2
            for i, plan in zip(ended, self._hop_all(plans, one * max(shares)), strict=True):
                runs[i] = runs[i].followed_by(plan)
            if any(run.interrupted for run in runs):
                break
        return runs

    def _plan(self, runs: list[Run], ended: list[int], start: int, hops: int, number: int) -> _HopPlan:
        population = tuple(_best(runs[i]).point.reshape(self._shape) for i in ended if i != start)
        return _HopPlan(replace(_best(runs[start]), number=0), population, hops, (self.options.seed, start, number))

    @property
    def _shape(self) -> tuple[int, int]:
        return self.objective.shape

    def _minimise(self, options: Shooting, starts: list[Array], label: str, expected: float | None = None) -> list[Run]:
        """All of these starts to the end."""

        def here(number: int, start: Array) -> Run:
            return _run_one(self.objective, options, start, self.progress, f"{label} {number + 1}/{len(starts)}")

        elsewhere = partial(_run_elsewhere, self.objective, options)
        return self._run(starts, here, elsewhere, label, expected)

    def _hop_all(self, plans: list[_HopPlan], expected: float) -> list[Run]:
        """All of these plans to the end."""

        def here(number: int, plan: _HopPlan) -> Run:
            return _hop_from(self.objective, self.options, plan, self.progress, f"answer {number + 1}/{len(plans)}")

        elsewhere = partial(_hop_elsewhere, self.objective, self.options)
        label = f"{max(plan.hops for plan in plans)} hops from each of {len(plans)} answers"
        self.progress(Step(f"shooting, {label}"))
        return self._run(plans, here, elsewhere, label, expected)

    def _run(
        self,
        starts: list[S],
        here: Callable[[int, S], Run],
        elsewhere: Callable[[S], Run],
        label: str,
        expected: float | None,
    ) -> list[Run]:
        def finished(count: int, run: Run) -> None:
            value = run.best.value if run.best else None
            self.progress(Step(f"shooting, {label}: {count} of {len(starts)} done", None, value))

        runs = self.workers.run(starts, here, elsewhere, finished, expected)
        return [Run(interrupted=True) if run is None else run for run in runs]


def _by_value(runs: list[Run]) -> list[int]:
    """The runs that got anywhere, least J first."""
    return sorted((i for i, run in enumerate(runs) if run.best), key=lambda i: _best(runs[i]).value)


def _best(run: Run) -> Iterate:
    assert run.best is not None  # callers pass runs that hold an iterate
    return run.best


def _pruned(run: Run) -> bool:
    return run.failure is not None and run.failure.reason == "pruned"


def _over(run: Run) -> bool:
    """Whether more iterations would change nothing."""
    return _best(run).converged or run.failure is not None


def _run_one(
    objective: Objective,
    options: Shooting,
    start: Array,
    progress: Progress,
    label: str,
    stop: Callable[[Iterate], bool] = lambda _: False,
) -> Run:
    """One minimisation; `stop` may end a second-order one early."""
    run = Run()
    shape = objective.shape
    task = f"shooting, {label}"
    began = time.perf_counter()

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
                    objective.bounds,
                    options.iterations,
                    options.tolerance,
                    options.method,
                )
                for iterate in iterates:
                    accept(iterate)
                    if stop(iterate):
                        break
    except NonFiniteError as error:
        run.failure = Termination("non-finite", what=error.what, piece=error.piece)
    except KeyboardInterrupt:
        run.interrupted = True
    run.seconds = time.perf_counter() - began
    return run


def _hop_from(objective: Objective, options: Shooting, plan: _HopPlan, progress: Progress, label: str) -> Run:
    """One plan: hop after hop from the lowest valley so far, and to the bottom of the last one."""
    shape = objective.shape
    brief = options.model_copy(update={"iterations": min(HOP_ITERATIONS, options.iterations)})
    rng = np.random.default_rng(plan.seed)
    run = Run(best=plan.begin, history=[Iteration(0, plan.begin.value, plan.begin.gradient_norm)])
    for number in range(plan.hops):
        best = _best(run)
        start = disturbed(objective.tracking, best.point.reshape(shape), plan.population, rng)
        task = f"{label}, hop {number + 1}/{plan.hops}"
        hop = _run_one(objective, brief, start, progress, task, partial(hopeless, best=best.value))
        run.seconds += hop.seconds
        run.interrupted = hop.interrupted
        if hop.best is not None and lower(hop.best.value, best.value):
            run = replace(run.followed_by(hop), seconds=run.seconds)
        if run.interrupted:
            return run
    if _best(run).converged or _best(run) is plan.begin:
        return run
    rest = _run_one(objective, options, _best(run).point.reshape(shape), progress, f"{label}, to the bottom")
    return run.followed_by(rest)


def _run_elsewhere(objective: Objective, options: Shooting, start: Array) -> Run:
    return _run_one(objective, options, start, silent, "")


def _hop_elsewhere(objective: Objective, options: Shooting, plan: _HopPlan) -> Run:
    return _hop_from(objective, options, plan, silent, "")

"""The search of shooting: several starts, a first look at all, the best ones to the end, and hops from there.

Comes in: an objective, options and starts. Goes out: one `Run` for each start. Minimisations run side by side
when that pays; what they do depends on what they are given alone, so that they find what one after the other finds.
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

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import one_thread
from controlsde.solvers.outcome import Beginning, Iteration, Termination
from controlsde.solvers.shooting.first_order import minimise_adam, minimise_l_bfgs
from controlsde.solvers.shooting.hopping import HOP_ITERATIONS, STALE_SHARE, disturbed, hopeless, lower, rounds_of
from controlsde.solvers.shooting.options import SECOND_ORDER, Shooting
from controlsde.solvers.shooting.trust_region import Iterate, minimise
from controlsde.solvers.workers import Stopped, Workers, never
from controlsde.tracking.objective import Objective

Array = NDArray[np.float64]
S = TypeVar("S")

PRUNED_FROM = 4  # starts: with fewer, all run to the end
PRUNING_ITERATIONS = 40
KEPT_SHARE = 0.25  # of the starts goes on after the first look,
KEPT = 4  # or so many, or half of them
LONG = 1.0  # seconds of a hop that is told of by itself


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

    def followed_by(self, later: Run, begins: Beginning = "") -> Run:
        """This run and its continuation as one. begins: what the continuation is, where it is not more of the same."""
        count = self.history[-1].number if self.history else 0
        shifted = [replace(row, number=row.number + count) for row in later.history[1:]]
        if begins and shifted:
            shifted[0] = replace(shifted[0], begins=begins)
        best = replace(later.best, number=later.best.number + count) if later.best else self.best
        failure = later.failure or (None if shifted else self.failure)  # what goes nowhere leaves it as it was
        return Run(best, self.history + shifted, failure, later.interrupted, self.seconds + later.seconds)


@dataclass(frozen=True, eq=False)
class _Hop:
    """One hop from an answer, with other good answers at hand and randomness of its own."""

    begin: Iterate
    population: tuple[Array, ...]
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
        """The same runs, the most promising ones carried on by hops, and then to the bottom of where they are."""
        options = self.options
        hops = options.hops if options.method in SECOND_ORDER else 0
        ended = [i for i in _by_value(runs) if not _pruned(runs[i])][:KEPT]
        if not hops or not ended or any(run.interrupted for run in runs):
            return runs
        before, least, stale = list(runs), min(map(_value, runs)), 0
        one = max(run.seconds / max(len(run.history), 1) for run in runs) * HOP_ITERATIONS / 2
        taken = 0
        for number, ranks in enumerate(rounds_of(hops, len(ended))):
            ended = sorted(ended, key=lambda i: _best(runs[i]).value)
            chosen = [ended[rank] for rank in ranks]
            plans = [self._hop(runs, ended, start, (number, place)) for place, start in enumerate(chosen)]
            share = one * (hops - taken) / len(plans)  # whether side by side pays is a question of all that are left
            found = self._hop_all(plans, taken, share)
            taken += len(plans)
            for start, hop in sorted(zip(chosen, found, strict=True), key=lambda pair: _value(pair[1])):
                runs[start] = _onwards(runs[start], hop)
            if any(hop.interrupted for hop in found):
                return runs
            now = min(map(_value, runs))
            self.progress(Step(f"shooting, {taken} of {hops} hops done", None, now))
            stale = 0 if lower(now, least) else stale + len(plans)
            least = min(now, least)
            if stale >= STALE_SHARE * hops:
                break
        changed = [i for i in ended if _best(runs[i]) is not _best(before[i]) and not _best(runs[i]).converged]
        points = [_best(runs[i]).point.reshape(self._shape) for i in changed]
        for i, rest in zip(changed, self._minimise(options, points, "to the bottom, answer", one), strict=True):
            runs[i] = runs[i].followed_by(rest)
        return runs

    def _hop(self, runs: list[Run], ended: list[int], start: int, number: tuple[int, int]) -> _Hop:
        population = tuple(_best(runs[i]).point.reshape(self._shape) for i in ended if i != start)
        return _Hop(replace(_best(runs[start]), number=0), population, (self.options.seed, *number))

    @property
    def _shape(self) -> tuple[int, int]:
        return self.objective.shape

    def _minimise(self, options: Shooting, starts: list[Array], label: str, expected: float | None = None) -> list[Run]:
        """All of these starts to the end."""

        def here(number: int, start: Array) -> Run:
            return _run_one(self.objective, options, start, self.progress, f"{label} {number + 1}/{len(starts)}")

        def finished(count: int, run: Run) -> None:
            value = run.best.value if run.best else None
            self.progress(Step(f"shooting, {label}: {count} of {len(starts)} done", None, value))

        elsewhere = partial(_run_elsewhere, self.objective, options)
        return self._run(starts, here, elsewhere, finished, expected)

    def _hop_all(self, hops: list[_Hop], taken: int, expected: float) -> list[Run]:
        """All hops of a round."""
        total = self.options.hops

        def here(number: int, hop: _Hop) -> Run:
            return _hop_from(self.objective, self.options, hop, self.progress, f"hop {taken + number + 1}/{total}")

        def finished(count: int, run: Run) -> None:
            if run.seconds > LONG:  # else the round is told of when it ends
                self.progress(Step(f"shooting, {taken + count} of {total} hops done", None, None))

        return self._run(hops, here, partial(_hop_elsewhere, self.objective, self.options), finished, expected)

    def _run(
        self,
        starts: list[S],
        here: Callable[[int, S], Run],
        elsewhere: Callable[[S, Stopped], Run],
        finished: Callable[[int, Run], None],
        expected: float | None,
    ) -> list[Run]:
        runs = self.workers.run(starts, here, elsewhere, finished, expected)
        return [Run(interrupted=True) if run is None else run for run in runs]


def _by_value(runs: list[Run]) -> list[int]:
    """The runs that got anywhere, least J first."""
    return sorted((i for i, run in enumerate(runs) if run.best), key=lambda i: _best(runs[i]).value)


def _best(run: Run) -> Iterate:
    assert run.best is not None  # callers pass runs that hold an iterate
    return run.best


def _value(run: Run) -> float:
    return run.best.value if run.best else math.inf


def _onwards(before: Run, hop: Run) -> Run:
    """The run with a hop after it, where that ended lower; its seconds in any case."""
    seconds = before.seconds + hop.seconds
    found = hop.best is not None and lower(hop.best.value, _best(before).value)
    run = before.followed_by(hop, "hop") if found else before
    return replace(run, seconds=seconds, interrupted=before.interrupted or hop.interrupted)


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
    stopped: Stopped = never,
) -> Run:
    """One minimisation. `stop` may end a second-order one early, for want of prospects, and `stopped` any."""
    run = Run()
    shape = objective.shape
    task = f"shooting, {label}"
    began = time.perf_counter()

    def accept(iterate: Iterate) -> None:
        run.accept(iterate)
        progress(Step(task, iterate.number, iterate.value))
        if stopped():
            raise KeyboardInterrupt

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


def _hop_from(
    objective: Objective, options: Shooting, hop: _Hop, progress: Progress, label: str, stopped: Stopped = never
) -> Run:
    """From an answer, disturbed, down to where it ends or has no prospect any more."""
    brief = options.model_copy(update={"iterations": min(HOP_ITERATIONS, options.iterations)})
    rng = np.random.default_rng(hop.seed)
    start = disturbed(objective.tracking, hop.begin.point.reshape(objective.shape), hop.population, rng)
    return _run_one(objective, brief, start, progress, label, partial(hopeless, best=hop.begin.value), stopped)


def _run_elsewhere(objective: Objective, options: Shooting, start: Array, stopped: Stopped) -> Run:
    return _run_one(objective, options, start, silent, "", stopped=stopped)


def _hop_elsewhere(objective: Objective, options: Shooting, hop: _Hop, stopped: Stopped) -> Run:
    return _hop_from(objective, options, hop, silent, "", stopped)

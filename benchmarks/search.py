"""How often, and how soon, the default search of shooting comes within 2 % of the least objective known.

Every shipped problem of one dimension, with and without noise, from ten seeds. What is counted are expansions (gradient
and Hessian at one point), for they are what a search spends its time on and they do not depend on the machine.
The least objectives are those of `optima.json`, which ten times the default's budget and collocation have searched for.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from benchmarks.optima import WITHIN, Known, read, solved
from benchmarks.reporting import Goal, Report, Table
from controlsde.problem import load_problem
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.shooting.solver import solve
from controlsde.tracking.expansion import Expansion
from controlsde.tracking.objective import Evaluated, Objective
from controlsde.tracking.tracking_problem import TrackingProblem

SEEDS = 10
Array = NDArray[np.float64]


class CountedObjective(Objective):
    """An objective that notes after how many expansions J was as small as never before."""

    def __init__(self, tracking: TrackingProblem) -> None:
        super().__init__(tracking)
        self.expansions = 0
        self.falls: list[tuple[int, float]] = []
        self._lock = Lock()

    def evaluate(self, weights: Array) -> Evaluated:
        """J(θ), noted when it is expanded."""
        found = super().evaluate(weights)
        return _Noted(found.objective, found.weights, found.sweep, found.value)

    def note(self, value: float) -> None:
        """One more expansion, at a point with this objective."""
        with self._lock:
            self.expansions += 1
            if not self.falls or value < self.falls[-1][1]:
                self.falls.append((self.expansions, value))

    def until(self, value: float) -> int | None:
        """After how many expansions J was no more than this; None where it never was."""
        return next((count for count, fallen in self.falls if fallen <= value), None)


class _Noted(Evaluated):
    def expand(self) -> Expansion:
        assert isinstance(self.objective, CountedObjective)  # which made this
        self.objective.note(self.value)
        return super().expand()


@dataclass(frozen=True)
class Trial:
    """One search: the objective that it ended with, its expansions, and after how many it was within 2 %."""

    objective: float
    expansions: int
    until: int | None


def run(fast: bool) -> Report:
    """Ten seeds of every problem; with `fast`, two seeds of two problems."""
    listed = read()[: 2 if fast else None]
    rows, all_trials = [], []
    for known in listed:
        trials = searches(known, 2 if fast else SEEDS)
        rows.append(_row(known, trials))
        all_trials += trials
        print(f"{known.problem}, noise {known.noise:g}: {_arrived(trials)}", file=sys.stderr)
    rows.append(("all", "", "", _arrived(all_trials), *_numbers(all_trials), "", ""))
    columns = (
        "problem", "noise", "best known", f"within {WITHIN:.0%}", "expansions until then", "of all", "median ratio",
        "worst",
    )  # fmt: skip
    share = sum(trial.until is not None for trial in all_trials) / len(all_trials)
    return Report(
        f"The default search from {len(all_trials) // len(listed)} seeds",
        [Table("expansions: medians", columns, rows)],
        [Goal(f"searches within {WITHIN:.0%} of the best known", "reported", f"{share:.0%}", None)],
        notes=[f"expansions until then: of the searches that came within {WITHIN:.0%}"],
    )


def searches(known: Known, seeds: int) -> list[Trial]:
    """The default search on the mesh that the default solve ends with, from seeds 0 …"""
    problem = load_problem(known.problem, set={"noise": known.noise})
    tracking, _ = solved(problem, Shooting(starts=1, hops=0))
    trials = []
    for seed in range(seeds):
        objective = CountedObjective(tracking)
        outcome = solve(objective, Shooting(seed=seed))
        until = objective.until((1.0 + WITHIN) * known.objective)
        trials.append(Trial(outcome.objective, objective.expansions, until))
    return trials


def _row(known: Known, trials: Sequence[Trial]) -> tuple[str, ...]:
    ratios = [trial.objective / known.objective for trial in trials]
    return (
        known.problem,
        f"{known.noise:g}",
        f"{known.objective:.5g}",
        _arrived(trials),
        *_numbers(trials),
        f"{statistics.median(ratios):.4f}",
        f"{max(ratios):.4f}",
    )


def _arrived(trials: Sequence[Trial]) -> str:
    return f"{sum(trial.until is not None for trial in trials)} of {len(trials)}"


def _numbers(trials: Sequence[Trial]) -> tuple[str, str]:
    arrived = [trial.until for trial in trials if trial.until is not None]
    until = f"{statistics.median(arrived):.0f}" if arrived else "-"
    return until, f"{statistics.median(trial.expansions for trial in trials):.0f}"

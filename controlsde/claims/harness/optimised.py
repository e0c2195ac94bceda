"""Optimised controls for experiments: one problem from several random starts, every answer verified on its own.

Comes in: a problem and the seeds of its starts. Goes out: verified errors by seed, the best answer, and the spread.

A single start ends in one of many local minima. So nothing is read off one answer: the spread over the seeds tells how
far two numbers must lie apart before they differ. What did not pass its verification is counted, and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from controlsde.claims.harness.claim import Row, report
from controlsde.control.controls import Controls
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.problem import Problem, parse_problem
from controlsde.report.panels import Curve
from controlsde.result.result import Result
from controlsde.workflow.solving import SolveError, solve

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """One number over the verified answers: its mean, standard deviation (nan for a single one), least and greatest."""

    mean: float
    deviation: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values: Array) -> Spread:
        """The spread of values (n,); nan throughout where there are none."""
        if not len(values):
            return Spread(np.nan, np.nan, np.nan, np.nan, 0)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else np.nan
        return Spread(float(np.mean(values)), deviation, float(np.min(values)), float(np.max(values)), len(values))

    def __str__(self) -> str:
        """Mean and deviation; the mean alone of a single answer."""
        return f"{self.mean:.3f}" if np.isnan(self.deviation) else f"{self.mean:.3f} ± {self.deviation:.3f}"

    @property
    def standard_error(self) -> float:
        """The standard error of the mean."""
        return float(self.deviation / np.sqrt(self.count)) if self.count else np.nan

    def apart(self, other: Spread) -> float:
        """How far the means lie apart, in deviations of their difference over the seeds."""
        return float(abs(self.mean - other.mean) / np.hypot(self.deviation, other.deviation))


@dataclass(frozen=True, eq=False)
class Optimised:
    """The answers to one problem from starts of several seeds, each array (n,), nan where there is no such number.

    l2: verified ‖ρ(T) − p(T)‖. l2_rms: the root mean square of ‖ρ − p‖ over time. w1, w2: of ρ(T) and p(T), scaled to
    mass one; nan in several dimensions where the verification does not take them. objective: J of the solver.
    effort: ½∫|θ|² dt, without its price. verified: whether every check passed. best: the verified answer of least
    objective, or of all where none verified; None where no start could be evaluated.
    """

    seeds: tuple[int, ...]
    l2: Array
    l2_rms: Array
    w1: Array
    w2: Array
    objective: Array
    effort: Array
    verified: NDArray[np.bool_]
    best: Result | None

    @property
    def share_verified(self) -> float:
        """The share of the seeds whose answer passed its verification."""
        return float(np.mean(self.verified))

    def spread(self, name: str) -> Spread:
        """The spread of `l2`, `l2_rms`, `w1`, `w2`, `objective` or `effort` over the verified answers."""
        values = np.asarray(getattr(self, name))
        return Spread.of(values[self.verified & np.isfinite(values)])

    def best_of(self, name: str) -> float:
        """That number of the verified answer of least objective; nan where none verified."""
        if not np.any(self.verified):
            return float("nan")
        return float(getattr(self, name)[np.argmin(np.where(self.verified, self.objective, np.inf))])

    def rows(self, label: str, names: Sequence[str] = ("l2", "w2")) -> list[Row]:
        """Rows that expect nothing: best, mean and deviation of each number, and the share that verified."""
        rows = []
        for name in names:
            spread = self.spread(name)
            rows.append(report(f"{label}: {WORDS[name]}, best", self.best_of(name)))
            if spread.count > 1:
                rows.append(report(f"{label}: {WORDS[name]}, mean over the seeds", spread.mean))
                rows.append(report(f"{label}: {WORDS[name]}, standard deviation over the seeds", spread.deviation))
        return [*rows, report(f"{label}: share of the answers that verified", self.share_verified)]


def spread_curve(x: ArrayLike, spreads: Sequence[Spread], label: str, series: int) -> Curve:
    """Means over x, with deviations as bars; none for single answers."""
    deviations = [0.0 if np.isnan(one.deviation) else one.deviation for one in spreads]
    return Curve(x, [one.mean for one in spreads], label, error=deviations, series=series)


WORDS = {
    "l2": "‖ρ(T) − p(T)‖",
    "l2_rms": "‖ρ − p‖, root mean square over time",
    "w1": "W₁(ρ(T), p(T))",
    "w2": "W₂(ρ(T), p(T))",
    "objective": "J",
    "effort": "effort ½∫|θ|² dt",
}


def small_budget(
    pieces: int = 8, *, width: int = 1, activation: str = "tanh", tangential: bool = False, particles: int = 20000
) -> str:
    """The lines of a problem file that ask for one descent from one random start, verified with few particles."""
    return f"""
network: {{width: {width}, activation: {activation}, tangential: {str(tangential).lower()}}}
controls: {{pieces: {pieces}}}
solver: {{kind: shooting, starts: 1, hops: 0}}
monte_carlo: {{particles: {particles}, steps_per_piece: 32}}
"""


def optimise(
    problem: Problem | str, seeds: Sequence[int], progress: Progress = silent, label: str = "optimising"
) -> Optimised:
    """Solve a problem, or the text of one, once for each seed of its solver, and verify every answer.

    A start that cannot be evaluated counts as not verified. Raises ProblemError and ReferenceError as `parse_problem`
    and `solve` do, ValueError without seeds, KeyboardInterrupt where a solve was interrupted.
    """
    if not seeds:
        raise ValueError("give at least one seed")
    problem = parse_problem(problem) if isinstance(problem, str) else problem
    answers = []
    for number, seed in enumerate(seeds):
        progress(Step(f"{label}, seed {seed}", fraction=number / len(seeds)))
        answers.append(answer(problem, seed))
    return gathered(seeds, answers)


def answer(problem: Problem, seed: int) -> Result | None:
    """The answer to a problem, verified, with that seed of its solver; None where no start could be evaluated.

    Raises as `optimise` does.
    """
    options = problem.solver.model_copy(update={"seed": seed})
    try:
        result = solve(problem.model_copy(update={"solver": options}))
    except SolveError:
        return None
    if result.status == "interrupted":
        raise KeyboardInterrupt
    return result


def gathered(seeds: Sequence[int], answers: Sequence[Result | None]) -> Optimised:
    """The numbers of answers that are already there, one for each seed; None where a solve failed."""
    l2, l2_rms, w1, w2, objective, effort = np.array([_numbers(one) for one in answers], dtype=float).T
    verified = np.array([one is not None and one.verified for one in answers])
    there = [one for one in answers if one is not None]
    candidates = [one for one in there if one.verified] or there
    best = min(candidates, key=lambda one: one.objective) if candidates else None
    return Optimised(tuple(seeds), l2, l2_rms, w1, w2, objective, effort, verified, best)


def effort_of(controls: Controls) -> float:
    """½∫|θ|² dt."""
    squares = sum((part.reshape(len(part), -1) ** 2).sum(axis=1) for part in (controls.A, controls.W, controls.b))
    return float(0.5 * np.sum(squares * np.diff(controls.times)))


def _numbers(found: Result | None) -> tuple[float | None, ...]:
    """l2, l2_rms, w1, w2, objective, effort."""
    if found is None:
        return (np.nan,) * 6
    errors = found.tracking
    effort = np.nan if found.controls is None else effort_of(found.controls)
    return errors.l2_final, errors.l2_rms, errors.w1_final, errors.w2_final, found.objective, effort

"""Once more with the first remedy: solve or compare, change one key of the problem, again, and keep the better answer.

Comes in: a problem. Goes out: what `solve` or `compare` return, with a record of what was changed in every result.
A comparison is repeated whole, at every level, so that all of them keep the same budget and the same network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from controlsde.diagnosis import Diagnosis
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.problem import Problem, ProblemError
from controlsde.result.result import Result
from controlsde.result.retry import Retry
from controlsde.workflow.comparison import Comparison, compare
from controlsde.workflow.kept import file_name
from controlsde.workflow.prediction import refusals
from controlsde.workflow.solving import SolveError, solve


def solve_retrying(problem: Problem, progress: Progress = silent, executor: Executor | None = None) -> Result:
    """Solve, and where something went wrong that a remedy is known for, once more with it.

    Raises as `solving.solve` does, where both attempts do.
    """
    attempt = _attempt(problem, progress, executor)
    changed = _changed(problem, _diagnoses(attempt))
    if changed is None:
        return _or_raise(attempt)
    diagnosis, other = changed
    progress(Step(_announced(diagnosis)))
    try:
        again = _attempt(other, progress, executor)
    except KeyboardInterrupt:
        if isinstance(attempt, SolveError):
            raise
        return replace(attempt, retry=_record(diagnosis, kept=False, other=None, interrupted=True))
    if isinstance(again, SolveError):
        return replace(_or_raise(attempt), retry=_record(diagnosis, kept=False, other=None))
    if isinstance(attempt, SolveError):
        return replace(again, retry=_record(diagnosis, kept=True, other=None))
    if again.status == "interrupted":
        return replace(attempt, retry=_record(diagnosis, kept=False, other=again, interrupted=True))
    if _merit([again]) > _merit([attempt]):
        return replace(again, retry=_record(diagnosis, kept=True, other=attempt))
    return replace(attempt, retry=_record(diagnosis, kept=False, other=again))


def compare_retrying(
    problem: Problem,
    noise: Sequence[float],
    progress: Progress = silent,
    executor: Executor | None = None,
    folder: str | Path | None = None,
) -> Comparison:
    """Compare, and where something went wrong at a level that a remedy is known for, all levels once more with it.

    folder: keeps the results of the first comparison, as `compare` does, until those that were chosen take their place.
    Raises as `comparison.compare` does.
    """
    chosen = _chosen(problem, noise, progress, executor, folder)
    if folder is None:
        return chosen
    written = tuple(one.save(Path(folder) / f"{file_name(one.noise)}.nc") for one in chosen.results)
    return replace(chosen, results=written)


def _chosen(
    problem: Problem,
    noise: Sequence[float],
    progress: Progress,
    executor: Executor | None,
    folder: str | Path | None,
) -> Comparison:
    """The better one of two comparisons, or the first where nothing is to be mended."""
    first = compare(problem, noise, progress=progress, executor=executor, folder=folder)
    worst = min(first.results, key=lambda result: _merit([result]))
    changed = None if first.interrupted else _changed(problem, worst.diagnosis)
    if changed is None:
        return first
    diagnosis, other = changed
    progress(Step(_announced(diagnosis)))
    try:
        second = compare(other, noise, progress=progress, executor=executor)
    except (KeyboardInterrupt, SolveError) as error:
        return _recorded(first, None, diagnosis, kept=False, interrupted=isinstance(error, KeyboardInterrupt))
    if second.interrupted:
        return _recorded(first, second, diagnosis, kept=False, interrupted=True)
    if _merit(second.results) > _merit(first.results):
        return _recorded(second, first, diagnosis, kept=True)
    return _recorded(first, second, diagnosis, kept=False)


def _attempt(problem: Problem, progress: Progress, executor: Executor | None) -> Result | SolveError:
    try:
        return solve(problem, progress=progress, executor=executor)
    except SolveError as error:
        return error


def _or_raise(attempt: Result | SolveError) -> Result:
    if isinstance(attempt, SolveError):
        raise attempt
    return attempt


def _diagnoses(attempt: Result | SolveError) -> tuple[Diagnosis, ...]:
    return attempt.diagnosis


def _changed(problem: Problem, diagnoses: Sequence[Diagnosis]) -> tuple[Diagnosis, Problem] | None:
    """The first diagnosis with a remedy, and the problem changed by it; None without one, or where it may not run."""
    for diagnosis in diagnoses:
        if diagnosis.remedy is not None:
            try:
                changed = diagnosis.remedy.applied_to(problem)
            except ProblemError:
                return None
            return None if refusals(changed) else (diagnosis, changed)
    return None


def _merit(results: Sequence[Result]) -> tuple[int, int, int, float]:
    """More is better: converged and verified, then verified, then converged; at last the least error at T."""
    verified = sum(result.verified for result in results)
    converged = sum(result.status == "converged" for result in results)
    both = sum(result.verified and result.status == "converged" for result in results)
    error = sum(result.tracking.l2_final for result in results)
    return both, verified, converged, -error if math.isfinite(error) else -math.inf


def _announced(diagnosis: Diagnosis) -> str:
    option = diagnosis.remedy.option if diagnosis.remedy else ""
    return f"{diagnosis.cause}: once more with {option}"


def _record(diagnosis: Diagnosis, *, kept: bool, other: Result | None, interrupted: bool = False) -> Retry:
    remedy = diagnosis.remedy
    assert remedy is not None  # only a diagnosis with a remedy is followed
    if other is None:
        return Retry(diagnosis.cause, remedy, kept, interrupted)
    return Retry(diagnosis.cause, remedy, kept, interrupted, other.status, other.verified, other.tracking.l2_final)


def _recorded(
    kept_one: Comparison, other: Comparison | None, diagnosis: Diagnosis, *, kept: bool, interrupted: bool = False
) -> Comparison:
    """A comparison whose results say what was changed, each beside the other answer at its level."""
    others = {result.noise: result for result in other.results} if other else {}
    results = tuple(
        replace(
            result,
            retry=_record(diagnosis, kept=kept, other=others.get(result.noise), interrupted=interrupted),
        )
        for result in kept_one.results
    )
    return replace(kept_one, results=results, interrupted=kept_one.interrupted or interrupted)

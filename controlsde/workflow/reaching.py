"""What it takes to bring the density within ε of the data: the least energy, the fewest pieces, the narrowest network,
the shortest horizon.

Comes in: a problem, ε, and what is to be least. Goes out: one of three verdicts, never mixed up, and what was tried.

    reached       an answer whose error, measured by the verification, is at most ε, and whose certificate holds
    not found     a search has ended without one; nothing is said about what others might find
    impossible    proved: no drift, of any network, comes so near with so little energy

A ladder is climbed, see `reach_ladders`, until a rung is an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from controlsde.controllability.energy_bound import EnergyBoundError, energy_bounds
from controlsde.execution.executors import given_or_own
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.result.answer import plain_json
from controlsde.result.result import Result
from controlsde.tracking.posed import Posed
from controlsde.workflow.bounding import Frontier, frontier_of
from controlsde.workflow.comparison import at_noise
from controlsde.workflow.cost_alone import Cost, cost_alone
from controlsde.workflow.jobs import Job, Keeping, run_jobs
from controlsde.workflow.kept import Kept, cut_short, file_name
from controlsde.workflow.reach_ladders import LEAST, NORMS, Ladder, Least, Norm, ReachError, Rung, Tried, ladder
from controlsde.workflow.solving import SolveError, solve_posed

Verdict = Literal["reached", "not found", "impossible"]

BUDGET = 600.0  # seconds
RUNGS = 4  # of a ladder, at a guess
LONGER = 1.5  # a rung may take so many times what the one before took


@dataclass(frozen=True, eq=False)
class Reach:
    """The answer to one question at one noise level.

    value: the least energy, pieces, width or horizon that was found; None unless `reached`. bound: the least energy of
    any drift that comes within ε, proved; None where there is no such bound. frontier: its curve, if it was asked for.
    """

    problem: Problem
    within: float
    least: Least
    norm: Norm
    verdict: Verdict
    words: str
    value: float | None
    answer: Tried | None
    tried: tuple[Tried, ...]
    bound: float | None
    frontier: Frontier | None = None
    interrupted: bool = False

    @property
    def noise(self) -> float:
        """Noise level η."""
        return self.problem.noise

    @property
    def result(self) -> Result | None:
        """The answer, where there is one: what was reached, else the closest that was seen."""
        return self.answer.result if self.answer else None

    def to_json(self) -> dict[str, Any]:
        """The JSON of `reach`."""
        spent = self.answer.spent if self.answer else None
        document: dict[str, Any] = plain_json(
            {
                "problem": self.problem.name,
                "noise": self.noise,
                "within": self.within,
                "norm": self.norm,
                "least": self.least,
                "verdict": self.verdict,
                "value": self.value,
                "error": self.answer.error(self.norm) if self.answer else None,
                "energy": self.answer.energy if self.answer else None,
                "energy_bound": self.bound,
                "price": spent / self.bound if spent is not None and self.bound else None,
                "words": self.words,
                "tried": [one.to_json(self.norm) for one in self.tried],
                "result": self.result.path if self.result else None,
            }
        )
        return document


@own_settings()
def reach(
    problem: Problem,
    within: float,
    least: str = "pieces",
    norm: str = "l2",
    energy: float | None = None,
    budget: float = BUDGET,
    folder: str | Path | None = None,
    progress: Progress = silent,
    *,
    frontier: bool = False,
    executor: Executor | None = None,
) -> Reach:
    """How little it takes to bring the density within ε of the data, ‖ρ(T) − p(T)‖ ≤ ε or W₂ ≤ ε.

    energy: a limit on the energy that `bound` is of, above which an answer does not count. budget: seconds, after
    which no rung is begun that would not end in time. folder: keeps each rung's result, from which a search that was
    cut short goes on. executor: where the starts of a rung run side by side, when that pays; by default processes of
    this machine. A keyboard interrupt keeps what was found. Raises ReachError, ReferenceError.
    """
    least, norm = _checked(problem, within, least, norm, energy, budget)
    began = time.perf_counter()
    progress(Step("building the reference"))
    posed = Posed.of(problem)
    progress(Step("bounding the energy"))
    bound, curve = _bound(posed, within, norm), _curve(posed, frontier)
    found = Reach(problem, within, least, norm, "not found", "", None, None, (), bound, curve)
    if energy is not None and bound is not None and bound > energy:
        words = f"no drift comes within {within:g} with less energy than {bound:.6g}, and {energy:g} is allowed"
        return replace(found, verdict="impossible", words=words)
    good = partial(_good, within=within, norm=norm, energy=energy)
    place = Path(folder) if folder is not None else None
    steps = ladder(problem, posed, within, least, norm, limited=energy is not None)
    with given_or_own(executor) as pool:
        climbed = _climb(steps, good, budget, place, progress, pool)
    found = replace(found, tried=climbed.tried, interrupted=climbed.interrupted)
    answer = min(filter(good, climbed.tried), key=lambda one: one.value(least), default=None)
    if answer is not None:
        value = answer.value(least)
        words = f"reached: {_WORDS[least].format(value)} {_brings(answer, norm)}"
        return replace(found, verdict="reached", words=words, value=value, answer=answer)
    measured = [one for one in climbed.tried if np.isfinite(one.error(norm))]
    closest = min(measured, key=lambda one: one.error(norm), default=None)
    return replace(found, words=_not_found(climbed, closest, norm, time.perf_counter() - began), answer=closest)


def reach_each(
    problem: Problem,
    noise: Sequence[float],
    asked: Mapping[str, Any],
    progress: Progress = silent,
    executor: Executor | None = None,
) -> list[Reach]:
    """`reach` at every noise level: side by side where there are no fewer levels than workers, else one by one.

    asked: the arguments of `reach` beside the problem, by name. An interruption keeps what was found.
    """
    problems = [at_noise(problem, level) for level in noise]

    def cost() -> Cost:
        one = cost_alone(problem)
        return Cost(RUNGS * one.seconds, one.memory)

    jobs = [Job(f"noise {one.noise:g}", reach, (one,), asked) for one in problems]
    done = run_jobs(jobs, executor, cost, progress, Keeping(cut_short=lambda one: one.interrupted))
    found = done.there
    if not found:
        raise KeyboardInterrupt
    return [*found[:-1], replace(found[-1], interrupted=found[-1].interrupted or done.interrupted)]


@dataclass(frozen=True, eq=False)
class _Climbed:
    """The rungs that were climbed, and why no further one was."""

    tried: tuple[Tried, ...]
    ended: str
    interrupted: bool = False


def _climb(
    steps: Ladder,
    good: Callable[[Tried], bool],
    budget: float,
    folder: Path | None,
    progress: Progress,
    executor: Executor,
) -> _Climbed:
    """Rung by rung, until the ladder has its answer or ends, the budget is spent, or somebody interrupts."""
    began = time.perf_counter()
    tried: list[Tried] = []
    failures = 0
    for rung in steps.rungs:
        last = tried[-1].seconds if tried else 0.0
        if time.perf_counter() - began + LONGER * last > budget:
            return _Climbed(tuple(tried), f"the budget of {budget:g} s is spent")
        try:
            tried.append(_solve(rung, tried, folder, progress, executor))
        except KeyboardInterrupt:
            return _Climbed(tuple(tried), "interrupted", interrupted=True)
        if tried[-1].interrupted:
            return _Climbed(tuple(tried), "interrupted", interrupted=True)
        failures = 0 if good(tried[-1]) else failures + 1
        if (failures == 0 and steps.first_is_least) or failures >= steps.patience:
            break
    return _Climbed(tuple(tried), "the ladder ends")


def _not_found(climbed: _Climbed, closest: Tried | None, norm: Norm, seconds: float) -> str:
    count = len(climbed.tried)
    seen = f"the closest came within {closest.error(norm):.4g}" if closest else "nothing could be evaluated"
    return f"not found: {climbed.ended} after {count} attempt{'s' * (count != 1)} and {seconds:.0f} s; {seen}"


_WORDS = {
    "energy": "an energy of {:.5g}",
    "pieces": "{:g} pieces",
    "width": "{:g} neurons",
    "horizon": "a horizon of {:.4g}",
}


def _brings(answer: Tried, norm: Norm) -> str:
    distance = "‖ρ(T) − p(T)‖" if norm == "l2" else "W₂"
    return f"bring {distance} to {answer.error(norm):.4g}"


def _checked(
    problem: Problem, within: float, least: str, norm: str, energy: float | None, budget: float
) -> tuple[Least, Norm]:
    """What is to be least, and the norm, of a question that can be asked. Raises ReachError."""
    if not (np.isfinite(within) and within > 0):
        raise ReachError(f"must be > 0 (got {within:g}): a distance that is to be reached", argument="within")
    if least not in LEAST:
        raise ReachError(f"must be one of {', '.join(LEAST)} (got {least!r})", argument="least")
    if norm not in NORMS:
        raise ReachError(f"must be one of {', '.join(NORMS)} (got {norm!r})", argument="norm")
    if energy is not None and not (np.isfinite(energy) and energy > 0):
        raise ReachError(f"must be > 0 (got {energy:g}): a limit on the energy", argument="energy")
    if not budget > 0:
        raise ReachError(f"must be > 0 (got {budget:g}): seconds", argument="budget")
    if norm == "w2" and (least == "energy" or energy is not None):
        raise ReachError(
            "w2 goes with the fewest pieces, neurons or time: the energy is made least within ε in l2", argument="norm"
        )
    if problem.domain.walls == "absorbing" and (norm == "w2" or least == "energy" or energy is not None):
        raise ReachError(
            "absorbing walls lose mass: neither W₂ nor the least energy has a meaning there; use l2 and no energy",
            argument="norm",
        )
    if problem.drift is not None:
        raise ReachError("the problem gives its own drift: remove `drift:` to ask what a network can reach")
    reference = problem.reference
    if least == "horizon" and getattr(reference, "start", "") == "exact" and reference.kind == "reversed-diffusion":
        raise ReachError(
            "horizon has no answer with reference.start: exact: the shorter it is, the closer to the data it starts; "
            "use start: stationary, or reference.kind moser or displacement",
            argument="least",
        )
    return cast(Least, least), cast(Norm, norm)


def _bound(posed: Posed, within: float, norm: Norm) -> float | None:
    """The least energy of any drift; None where no such bound exists, or it is of another distance."""
    if norm != "l2":
        return None
    try:
        (bound,) = energy_bounds(posed, (within,))
    except EnergyBoundError:
        return None
    return bound.value


def _curve(posed: Posed, wanted: bool) -> Frontier | None:
    if not wanted or posed.problem.noise == 0:  # without noise each of its points takes a second or more
        return None
    try:
        return frontier_of(posed)
    except EnergyBoundError:
        return None


def _solve(rung: Rung, before: Sequence[Tried], folder: Path | None, progress: Progress, executor: Executor) -> Tried:
    """One rung: as it was kept, or solved from the answers to those before, verified, and kept."""
    began = time.perf_counter()
    kept = None
    if folder is not None:
        kept = Kept(folder / f"{rung.name}-{file_name(rung.problem.noise)}.nc", rung.problem, Result.load)
        found = kept.read()
        if found is not None:
            progress(Step(f"{_label(rung)}: as kept in {kept.path}"))
            return Tried(rung.problem, rung.within, found, sum(found.seconds.values()))

    def labelled(step: Step) -> None:
        progress(Step(f"{_label(rung)}: {step.task}", step.iteration, step.objective, step.fraction))

    posed = Posed.of(rung.problem)
    options = rung.problem.solver
    starts = rung.starts(posed, before)
    try:
        result = solve_posed(posed, options, labelled, starts, executor=executor)
    except SolveError as error:
        return Tried(rung.problem, rung.within, None, time.perf_counter() - began, str(error))
    if kept is not None and not cut_short(result):
        result = kept.write(result)
    return Tried(rung.problem, rung.within, result, time.perf_counter() - began)


def _label(rung: Rung) -> str:
    return rung.name.replace("-", " ")


def _good(one: Tried, within: float, norm: Norm, energy: float | None) -> bool:
    """Whether this rung is an answer: as near as asked for, with a certificate, and within the limit on the energy."""
    if one.result is None or not one.result.verified or not one.error(norm) <= within:
        return False
    return energy is None or (one.spent is not None and one.spent <= energy)

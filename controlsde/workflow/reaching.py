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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from controlsde.controllability.energy_bound import EnergyBoundError, energy_bounds
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.result.result import Result, plain_json
from controlsde.result.result_file import ResultError
from controlsde.tracking.posed import Posed
from controlsde.workflow.bounding import Frontier, frontier_of
from controlsde.workflow.comparison import at_noise
from controlsde.workflow.reach_ladders import LEAST, NORMS, Least, Norm, ReachError, Rung, Tried, rungs
from controlsde.workflow.solving import SolveError, solve_posed

Verdict = Literal["reached", "not found", "impossible"]

BUDGET = 600.0  # seconds
ALLOWED_FAILURES = 2  # horizons in a row that were not enough, before the search ends
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
        energy = self.answer.energy if self.answer else None
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
                "energy": energy,
                "energy_bound": self.bound,
                "price": energy / self.bound if energy is not None and self.bound else None,
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
) -> Reach:
    """How little it takes to bring the density within ε of the data, ‖ρ(T) − p(T)‖ ≤ ε or W₂ ≤ ε.

    energy: a limit on the energy, above which an answer does not count. budget: seconds, after which no rung is begun
    that would not end in time. folder: keeps each rung's result, from which a search that was cut short goes on. A
    keyboard interrupt keeps what was found. Raises ReachError, ReferenceError.
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
    tried: list[Tried] = []
    interrupted, failures = False, 0
    why = "the ladder ends"
    for rung in rungs(problem, posed, within, least, norm, energy):
        passed, last = time.perf_counter() - began, tried[-1].seconds if tried else 0.0
        if passed + LONGER * last > budget:
            why = f"the budget of {budget:g} s is spent"
            break
        try:
            one = _climb(rung, tried, Path(folder) if folder is not None else None, progress)
        except KeyboardInterrupt:
            interrupted, why = True, "interrupted"
            break
        tried.append(one)
        if one.result is not None and one.result.status == "interrupted":
            interrupted, why = True, "interrupted"
            break
        good = _good(one, within, norm, energy)
        failures = 0 if good else failures + 1
        if good and least in ("pieces", "width"):
            break
        if least == "horizon" and failures >= ALLOWED_FAILURES:
            break
    answer = _answer(tried, within, least, norm, energy)
    if answer is not None:
        value = answer.value(least)
        words = f"reached: {_WORDS[least].format(value)} {_brings(answer, norm)}"
        return replace(
            found,
            verdict="reached",
            words=words,
            value=value,
            answer=answer,
            tried=tuple(tried),
            interrupted=interrupted,
        )
    closest = min((one for one in tried if np.isfinite(one.error(norm))), key=lambda one: one.error(norm), default=None)
    seen = f"the closest came within {closest.error(norm):.4g}" if closest else "nothing could be evaluated"
    seconds = time.perf_counter() - began
    words = f"not found: {why} after {len(tried)} attempt{'s' * (len(tried) != 1)} and {seconds:.0f} s; {seen}"
    return replace(found, words=words, answer=closest, tried=tuple(tried), interrupted=interrupted)


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


def _climb(rung: Rung, before: Sequence[Tried], folder: Path | None, progress: Progress) -> Tried:
    """One rung: as it was kept, or solved from the answers to those before, verified, and kept."""
    began = time.perf_counter()
    place = None if folder is None else folder / f"{rung.name}-noise-{rung.problem.noise:g}.nc"
    kept = _kept(place, rung.problem)
    if kept is not None:
        progress(Step(f"{_label(rung)}: as kept in {place}"))
        return Tried(rung.problem, rung.within, kept, sum(kept.seconds.values()))

    def labelled(step: Step) -> None:
        progress(Step(f"{_label(rung)}: {step.task}", step.iteration, step.objective, step.fraction))

    posed = Posed.of(rung.problem)
    options = rung.problem.solver
    starts = rung.starts(posed, before)
    try:
        result = solve_posed(posed, options, labelled, starts)
    except SolveError as error:
        return Tried(rung.problem, rung.within, None, time.perf_counter() - began, str(error))
    if place is not None and result.status != "interrupted":
        result = result.save(place)
    return Tried(rung.problem, rung.within, result, time.perf_counter() - began)


def _label(rung: Rung) -> str:
    return f"noise {rung.problem.noise:g}, {rung.name.replace('-', ' ')}"


def _kept(place: Path | None, problem: Problem) -> Result | None:
    """The result of an earlier search for the same rung, where there is one."""
    if place is None or not place.is_file():
        return None
    try:
        found = Result.load(place)
    except ResultError:
        return None
    return found if found.problem == problem else None


def _good(one: Tried, within: float, norm: Norm, energy: float | None) -> bool:
    """Whether this rung is an answer: as near as asked for, with a certificate, and within the limit on the energy."""
    if one.result is None or not one.result.verified or not one.error(norm) <= within:
        return False
    return energy is None or (one.energy is not None and one.energy <= energy)


def _answer(tried: Sequence[Tried], within: float, least: Least, norm: Norm, energy: float | None) -> Tried | None:
    """The least of those that are answers."""
    good = [one for one in tried if _good(one, within, norm, energy)]
    return min(good, key=lambda one: one.value(least), default=None)


def at_levels(problem: Problem, noise: Sequence[float]) -> tuple[Problem, ...]:
    """The problem at each of these noise levels, or at its own where there are none."""
    return tuple(at_noise(problem, level) for level in noise) if noise else (problem,)

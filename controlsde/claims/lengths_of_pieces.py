"""Lengths of the pieces as controls: never worse than equal ones, and what they leave of `noise hurts few pieces`."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, report
from controlsde.control.controls import Controls
from controlsde.foundation.progress import Step, silent
from controlsde.problem import Problem, parse_problem
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result
from controlsde.tracking.posed import Posed
from controlsde.workflow.mesh_refinement import solve_resolved
from controlsde.workflow.solving import evaluate, initial_weights, solve

SHORTEST = 1e-3  # of a free piece, in units of time: below any that is begun with
ROUNDING = 1e-9  # of J: lengths that are put in as logarithms come out with so much
NESTED = "rounding: the search begins there, and only goes down"
HALVES = 0.5  # the length of each piece over that of the one before
ARTEFACT = 0.5  # of the ratio of the errors with equal pieces: what makes it one of the pieces, in words


@dataclass(frozen=True)
class Parameters:
    """pieces, noise levels η, of which the first and the last are compared; width of the network, horizon;

    elements, steps in each piece; starts, hops and iterations of the searches.
    """

    pieces: tuple[int, ...] = (2, 4)
    noise: tuple[float, ...] = (0.0, 1.0)
    width: int = 1
    horizon: float = 1.5
    elements: int = 12
    steps: int = 8
    starts: int = 4
    hops: int = 8
    iterations: int = 100


@dataclass(frozen=True, eq=False)
class Answers:
    """Verified answers to one problem but for the lengths: equal ones, each half as long, and free ones.

    from_equal, from_halves: J with free lengths that began as those answers. free: the least J of these two and, where
    there are several starts, of a search from random weights.
    """

    equal: Result
    halves: Result
    from_equal: float
    from_halves: float
    free: Result


def freed(parameters: Parameters, noise: float, pieces: int, start: Controls) -> tuple[float, Controls]:
    """J and controls with free lengths, from an answer with given ones: one descent from there."""
    problem = _problem(parameters, noise, pieces, "free", starts=1, hops=0)
    posed = Posed.of(problem)
    tracking, outcome = solve_resolved(posed, problem.solver, silent, (initial_weights(posed, start),))
    return outcome.objective, tracking.controls(outcome.weights)


def answers(parameters: Parameters, noise: float, pieces: int, executor: Executor | None = None) -> Answers:
    """One noise level, one number of pieces."""

    def search(lengths: str) -> Result:
        problem = _problem(parameters, noise, pieces, lengths, starts=parameters.starts, hops=parameters.hops)
        return solve(problem, executor=executor)

    equal, halves = search("1"), search(repr(HALVES))
    assert equal.controls is not None
    assert halves.controls is not None
    nested = [freed(parameters, noise, pieces, one) for one in (equal.controls, halves.controls)]
    objective, controls = min(nested, key=lambda one: one[0])
    free = search("free") if parameters.starts > 1 else None
    if free is None or objective < free.objective:
        free = evaluate(_problem(parameters, noise, pieces, "free", starts=1, hops=0), controls)
    return Answers(equal, halves, nested[0][0], nested[1][0], free)


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every number of pieces at every noise level."""
    rows: list[Row] = []
    found: dict[tuple[int, float], Answers] = {}
    for pieces in parameters.pieces:
        for noise in parameters.noise:
            label = f"{pieces} pieces, η = {noise:g}"
            setting.progress(Step(label))
            each = found[pieces, noise] = answers(parameters, noise, pieces, setting.executor)
            rows += _rows(label, each)
    least, most = parameters.noise[0], parameters.noise[-1]
    ratios: dict[str, list[float]] = {"equal": [], "free": []}
    for pieces in parameters.pieces if least < most else ():
        for name, seen in ratios.items():
            without, noisy = (_error(getattr(found[pieces, noise], name)) for noise in (least, most))
            seen.append(noisy / without)
            label = f"{pieces} pieces, {name} lengths: error at η = {most:g} over error at η = {least:g}"
            rows.append(report(label, seen[-1]))
    return Findings(tuple(rows), _panels(parameters, found, ratios), _note(parameters, found, ratios))


def _rows(label: str, each: Answers) -> list[Row]:
    rows = [
        at_most(f"{label}: J with free lengths, from {words}", given.objective, objective, allowed, NESTED)
        for words, given, objective in (
            ("the answer with equal ones", each.equal, each.from_equal),
            ("the answer with halves", each.halves, each.from_halves),
        )
        for allowed in (ROUNDING * given.objective,)
    ]
    every = {"equal lengths": each.equal, "each half of the one before": each.halves, "free lengths": each.free}
    for words, one in every.items():
        rows.append(report(f"{label}, {words}: J", one.objective))
        rows.append(report(f"{label}, {words}: ‖ρ(T) − p(T)‖", _error(one)))
    verified = [one.verified for one in every.values()]
    return [*rows, report(f"{label}: share of these three that verified", float(np.mean(verified)))]


def _error(one: Result) -> float:
    """‖ρ(T) − p(T)‖ as the verification found it."""
    return one.tracking.l2_final


def _lengths(one: Result) -> str:
    assert one.controls is not None
    return ", ".join(f"{length:.2g}" for length in np.diff(one.controls.times))


def _note(parameters: Parameters, found: dict[tuple[int, float], Answers], ratios: dict[str, list[float]]) -> str:
    least, most = parameters.noise[0], parameters.noise[-1]
    words = []
    for place, pieces in enumerate(parameters.pieces if least < most else ()):
        equal, free = ratios["equal"][place], ratios["free"][place]
        still, noisy = found[pieces, least], found[pieces, most]
        doubtful = sum(not one.verified for each in (still, noisy) for one in (each.equal, each.free))
        doubt = f"; {doubtful} of these four answers did not verify" if doubtful else ""
        words.append(
            f"{pieces} pieces: {_error(still.equal):.3g} and {_error(noisy.equal):.3g} with equal lengths at "
            f"η = {least:g} and {most:g}, a ratio of {equal:.3g}; {_error(still.free):.3g} and "
            f"{_error(noisy.free):.3g} with free ones, a ratio of {free:.3g} — {verdict(equal, free)} "
            f"(lengths at η = {most:g}: {_lengths(noisy.free)}{doubt})"
        )
    return " ".join(
        ["J with free lengths stands beside J with those that they began with.", *(f"{one}." for one in words)]
    )


def verdict(equal: float, free: float) -> str:
    """What the ratio of the errors with noise and without says, with equal lengths and with free ones."""
    if equal <= 1.0:
        return "noise does not hurt with equal lengths"
    if free <= 1.0:
        return "noise hurts with equal lengths only"
    if free <= ARTEFACT * equal:
        return "noise hurts less by far with free lengths, but it does"
    return "noise hurts with either"


def _panels(
    parameters: Parameters, found: dict[tuple[int, float], Answers], ratios: dict[str, list[float]]
) -> tuple[Panel, ...]:
    names = {"equal": "equal", "halves": "each half of the one before", "free": "free"}
    panels = []
    for noise in parameters.noise:
        curves = tuple(
            Curve(
                parameters.pieces, [_error(getattr(found[pieces, noise], name)) for pieces in parameters.pieces], label
            )
            for name, label in names.items()
        )
        panels.append(Panel(f"η = {noise:g}", "pieces", "‖ρ(T) − p(T)‖", curves, x_log=True, y_log=True))
    if not ratios["equal"]:
        return tuple(panels)
    both = tuple(
        Curve(parameters.pieces, seen, f"{name} lengths", series=2 * (name == "free")) for name, seen in ratios.items()
    )
    one = Curve(parameters.pieces, [1.0] * len(parameters.pieces), "noise neither helps nor hurts", "theory")
    title = f"error at η = {parameters.noise[-1]:g} over η = {parameters.noise[0]:g}"
    return (*panels, Panel("what noise does", "pieces", title, (*both, one), x_log=True, y_log=True))


def _problem(parameters: Parameters, noise: float, pieces: int, lengths: str, *, starts: int, hops: int) -> Problem:
    """Two bumps, where only the error at T counts, on one mesh and as many steps whatever the lengths."""
    free = f", shortest: {SHORTEST!r}" if lengths == "free" else ""
    given = "" if lengths == "1" else f", lengths: {lengths if lengths == 'free' else f'[{lengths}]'}{free}"
    return parse_problem(
        f"""
domain: {{box: [[-5, 5]]}}
reference:
  kind: reversed-diffusion
  horizon: {parameters.horizon!r}
  data: {{kind: mixture, weights: [0.5, 0.5], means: [[-1.5], [1.5]], stds: [0.3, 0.3]}}
noise: {noise!r}
network: {{width: {parameters.width}}}
controls: {{pieces: {pieces}{given}}}
objective: {{running: 0, effort: 1.0e-7}}
mesh: {{elements: [{parameters.elements}], steps_per_piece: {parameters.steps}}}
solver: {{starts: {starts}, hops: {hops}, iterations: {parameters.iterations}}}
monte_carlo: {{particles: 20000}}
"""
    )


CLAIM = Claim(
    id="free-lengths",
    source="P1",
    title="Lengths of the pieces as controls, and what they leave of `noise hurts few pieces`",
    statement=(
        "Controls are constant in pieces. Where the lengths of the pieces are controls, too, nothing is lost: equal "
        "lengths are among the free ones, and from their answer a search only goes down. With few pieces of equal "
        "length noise hurts, for what is built early is forgotten before T. How much of that is the fault of equal "
        "pieces is measured, and nothing is expected of it."
    ),
    formulas=(
        "min_{θ, Δt} J ≤ min_θ J at given Δt,  Δt_k = s + (T − K s) softmax(z)_k",
        "J = ½‖ρ(T) − p(T)‖² + 5·10⁻⁸ ∫|θ|² dt,  on one mesh, with as many steps in every piece",
    ),
    parameters=Parameters(),
    fast=Parameters(pieces=(2,), noise=(1.0,), starts=1, hops=0, iterations=40),
    experiment=experiment,
    meaning=(
        "A comparison of noise with no noise on equal pieces compares two things at once. With noise only the last "
        "stretch of time is remembered in detail, and a short piece belongs there; without noise it does not matter "
        "when something is done, and lengths change little. So a verdict about noise with few pieces should be "
        "passed with the lengths that suit each. The searches are quick, and errors are those that the verification "
        "finds on a finer mesh; where an answer did not verify, the solver's mesh was too coarse for it. A ratio below "
        "one says that noise need not hurt, and no more: a longer search may lower either error, and without noise "
        "there is more left to find."
    ),
    further=(
        "Eight pieces (`--set pieces=[8]`), smaller steps (`--set steps=12`) and longer searches "
        "(`--set starts=8 --set hops=32`); two neurons "
        "(`--set width=2`)."
    ),
)

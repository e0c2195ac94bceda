"""Two neurons in the plane, on a target whose exact field is known: switching, and controls optimised from there."""

from __future__ import annotations

from dataclasses import dataclass

from controlsde.claims.harness.claim import Claim, Findings, Row, Setting, at_most, report
from controlsde.claims.harness.fitting import power_law
from controlsde.foundation.progress import Step
from controlsde.problem import Problem, parse_problem
from controlsde.report.panels import Curve, Panel
from controlsde.result.result import Result
from controlsde.workflow.solving import solve

DIFFUSIVITY = 0.05
LEAST_FOR_SLOPE = 3  # points


@dataclass(frozen=True)
class Parameters:
    """target 1 + c cos πx cos πy; noise η; pieces, for both ways to controls; iterations of the optimisation; mesh."""

    strength: float = 0.8
    noise: tuple[float, ...] = (0.0, 1.0)
    pieces: tuple[int, ...] = (4, 8, 16)
    optimised_pieces: tuple[int, ...] = (4, 16)
    iterations: int = 25
    elements: int = 2
    degree: int = 6


def problem_of(parameters: Parameters, noise: float, pieces: int, solver: str) -> Problem:
    """Moser's flow from the uniform density on the unit square, with d = 2 neurons."""
    return parse_problem(
        f"""
domain: {{box: [[0, 1], [0, 1]]}}
reference:
  kind: moser
  from: uniform
  to: {{kind: formula, expression: "1 + {parameters.strength!r}*cos(pi*x)*cos(pi*y)"}}
  diffusivity: {DIFFUSIVITY}
noise: {noise!r}
network: {{width: 2, tangential: true}}
controls: {{pieces: {pieces}}}
objective: {{effort: 1.0e-6}}
mesh: {{elements: [{parameters.elements}, {parameters.elements}], degree: {parameters.degree}, steps_per_piece: 1}}
solver: {solver}
monte_carlo: {{particles: 20000}}
"""
    )


def ways(parameters: Parameters) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The two ways to controls: solver, and numbers of pieces."""
    shooting = f"{{kind: shooting, start: switching, starts: 1, hops: 0, iterations: {parameters.iterations}}}"
    return {
        "switching": ("{kind: switching}", parameters.pieces),
        "optimised": (shooting, parameters.optimised_pieces),
    }


def experiment(parameters: Parameters, setting: Setting) -> Findings:
    """Every noise level, way to controls and number of pieces."""
    rows: list[Row] = []
    panels = []
    notes = []
    for noise in parameters.noise:
        curves = []
        found: dict[tuple[str, int], Result] = {}
        for name, (solver, counts) in ways(parameters).items():
            for pieces in counts:
                setting.progress(Step(f"η = {noise:g}, {name}, {pieces} pieces"))
                problem = problem_of(parameters, noise, pieces, solver)
                result = found[name, pieces] = solve(problem, executor=setting.executor)
                label = f"η = {noise:g}, {name}, {pieces} pieces"
                rows.append(report(f"{label}: L², root mean square over time", result.tracking.l2_rms))
                rows.append(report(f"{label}: L² at T", result.tracking.l2_final))
                rows.append(report(f"{label}: verified (1) or not (0)", float(result.verified)))
            errors = [found[name, pieces].tracking.l2_rms for pieces in counts]
            if len(counts) > 1:
                few, many = counts[0], counts[-1]
                label = f"η = {noise:g}, {name}: L² over time with {many} pieces by that with {few}"
                rows.append(at_most(label, errors[0], errors[-1], 0.0, "more pieces can do what fewer do"))
            legend = name
            if len(counts) >= LEAST_FOR_SLOPE:
                slope = power_law(counts, errors)
                rows.append(report(f"η = {noise:g}, {name}: order of L² over time in the pieces", slope.value))
                legend = f"{name}: slope {slope}"
            curves.append(Curve(counts, errors, legend))
            notes.append(
                f"{errors[0]:.3g} … {errors[-1]:.3g} with {counts[0]} … {counts[-1]} pieces ({name}, η = {noise:g})"
            )
        for pieces in parameters.optimised_pieces:
            if ("switching", pieces) in found:
                start = found["switching", pieces].objective
                rows.append(
                    at_most(
                        f"η = {noise:g}, {pieces} pieces: J optimised by that of switching",
                        start,
                        found["optimised", pieces].objective,
                        1e-9 * start,
                        "rounding: a descent never rises",
                    )
                )
        panels.append(Panel(f"η = {noise:g}", "pieces", "L², root mean square over time", tuple(curves), True, True))
    return Findings(
        tuple(rows),
        tuple(panels),
        f"Two neurons follow Moser's field on the square. L², root mean square over time: {'; '.join(notes)}.",
    )


CLAIM = Claim(
    id="narrow-network-2d",
    source="P1",
    title="Width two is enough in the plane",
    statement=(
        "In the plane two neurons, as many as there are dimensions, follow a reference whose field is known exactly. "
        "Switching between neurons of a wider network proves it, optimisation does it well."
    ),
    formulas=(
        "p = (1 − t) + t (1 + c cos πx cos πy),  w = ∇φ/p,  φ = c cos πx cos πy / 2π² for T = 1",
        "v = τ ∘ A tanh(Wx + b), width d = 2, A, W, b constant on K pieces of time",
        "the error falls with K; no order is proven for optimised controls",
    ),
    parameters=Parameters(),
    fast=Parameters(noise=(1.0,), pieces=(4,), optimised_pieces=(4,), iterations=4, degree=5),
    experiment=experiment,
    meaning=(
        "The number of pieces does what the width does not. Switching needs many pieces before it is any good; the "
        "same pieces, optimised, reach an error many times smaller. Runs that did not pass their verification are "
        "marked: with few pieces switching is too coarse for its own mesh."
    ),
    further="More pieces (`--set optimised_pieces=[8,32]`) take minutes: where does the optimised error level off?",
)

"""FATROP against IPOPT on one discrete problem: iterations and time, from the same starts.

FATROP factorises dense blocks stage by stage, IPOPT (with MUMPS) one sparse matrix. Starts are random, or near: IPOPT's
answer from the first random start with every weight off by a random part of 2 %, where both must find one answer. From
a random start they often end in different valleys. Seconds are processor time of transcription and solve.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.reporting import Goal, Report, Table, seconds, times
from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.solvers.collocation.fatrop import solve_stage_wise
from controlsde.solvers.collocation.nonlinear_program import NlpSolution, WarmStart
from controlsde.solvers.collocation.solver import solve_nlp
from controlsde.solvers.collocation.stage_wise import stage_wise
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.starts import random_starts
from controlsde.tracking.tracking_problem import TrackingProblem, build_tracking

Array = NDArray[np.float64]

SAME_OBJECTIVE = 1e-6
NEAR = 0.02
ITERATIONS = 500
TOLERANCE = 1e-8
CASES: tuple[tuple[str, dict[str, object]], ...] = tuple(
    (name, {"noise": noise, "controls.pieces": pieces, "mesh.elements": elements, "mesh.degree": degree, **more})
    for name, noise, pieces, elements, degree, more in (
        ("circle", 1.0, 6, [2], 6, {}),
        ("two-bumps", 0.0, 6, [6], 6, {}),
        ("two-bumps", 1.0, 6, [6], 6, {}),
        ("moser-bumps", 1.0, 6, [6], 6, {}),
        ("two-bumps", 1.0, 6, [6], 6, {"mesh.stages": 1}),
        ("two-bumps", 1.0, 16, [8], 8, {}),
    )
)


@dataclass(frozen=True, eq=False)
class _Solved:
    solution: NlpSolution
    seconds: float


def run(fast: bool) -> Report:
    """Both solvers from two random starts (one if fast) and a near one."""
    rows, goals, ratios = [], [], []
    for name, settings in CASES[:3] if fast else CASES:
        tracking = _tracking(name, settings)
        starts = {f"random {i}": each for i, each in enumerate(random_starts(tracking, 1 if fast else 2, 0))}
        answer = _ipopt(tracking, starts["random 0"]).solution.weights
        rng = np.random.default_rng(0)
        starts["near"] = np.clip(
            answer * (1.0 + NEAR * rng.standard_normal(answer.shape)), -tracking.bound, tracking.bound
        )
        for start, weights in starts.items():
            sparse, dense = _ipopt(tracking, weights), _fatrop(tracking, weights)
            off = dense.solution.objective / sparse.solution.objective - 1.0
            if start == "near":
                assert abs(off) <= SAME_OBJECTIVE, f"{name}: the objectives differ by {off:.1e} (relative)"
            ratios.append(dense.seconds / sparse.seconds)
            rows.append(_row(name, settings, tracking, start, sparse, dense))
    slower = statistics.median(ratios)
    goals.append(Goal("FATROP's seconds over IPOPT's, median", "less than 1×", times(slower), slower < 1.0))
    columns = ("problem, noise, start", "nodes", "stages", "variables", "iterations", "FATROP", "seconds", "FATROP",
               "an iteration", "FATROP", "J", "FATROP, off by")  # fmt: skip
    return Report("FATROP and IPOPT on one problem", [Table("IPOPT, and FATROP beside it", columns, rows)], goals)


def _tracking(name: str, settings: dict[str, object]) -> TrackingProblem:
    problem = load_problem(name, set=settings)
    return build_tracking(problem, build_reference(problem.reference, problem.domain))


def _timed(solve: Callable[[], NlpSolution]) -> _Solved:
    began = time.process_time()
    solution = solve()
    return _Solved(solution, time.process_time() - began)


def _ipopt(tracking: TrackingProblem, weights: Array) -> _Solved:
    start = WarmStart(weights, tracking.targets)
    return _timed(lambda: solve_nlp(transcribe(tracking), start, ITERATIONS, TOLERANCE))


def _fatrop(tracking: TrackingProblem, weights: Array) -> _Solved:
    start = WarmStart(weights, tracking.targets)
    return _timed(lambda: solve_stage_wise(stage_wise(tracking), start, ITERATIONS, TOLERANCE))


def _row(
    name: str, settings: dict[str, object], tracking: TrackingProblem, start: str, sparse: _Solved, dense: _Solved
) -> tuple[str, ...]:
    both = (sparse, dense)
    return (
        f"{name}, {settings['noise']:g}, {start}",
        str(tracking.operator.size),
        str(tracking.grid.stages),
        str(transcribe(tracking).nlp["x"].shape[0]),
        *(f"{each.solution.iterations}{'' if each.solution.success else ' failed'}" for each in both),
        *(seconds(each.seconds) for each in both),
        *(seconds(each.seconds / max(each.solution.iterations, 1)) for each in both),
        f"{sparse.solution.objective:.6g}",
        f"{dense.solution.objective / sparse.solution.objective - 1.0:.1e}",
    )

"""Our collocation against the same program written plainly in CasADi's Opti.

The peer loops over steps and stages in MX as the textbook has it,  Y_i = ρ + h Σ_j a_ij A(v_k) Y_j,  with the same
mesh, Radau points, objective, bounds and initial point; that it is the same program is asserted at our answer. Both
are built and solved from scratch, IPOPT's tolerance and limit of iterations are the same; the peer once with IPOPT's
defaults and once with our options. `tuned` adds what an expert would try next: `expand`, and bounds that are passed
to IPOPT as bounds; it is slow, and runs from one start only. The close race, with our options, is run twice.

Starts are random, or near: our answer from the first random start with every weight off by a random part, and the
states on the reference again. From a random start answers often lie in different valleys; then J and the time of an
iteration tell more than the sum. Where two programs end in one valley, their objectives are asserted to agree.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import sizes, two_bumps
from benchmarks.reporting import Goal, Report, Table, seconds, times
from controlsde.fokker_planck.radau import radau
from controlsde.solvers.collocation.solver import IPOPT_OPTIONS, WarmStart, solve_nlp
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

LEAST_TIMES_DEFAULTS = 2.0
LEAST_TIMES_OUR_OPTIONS = 1.0
SAME_VALLEY = 1e-4  # relative distance of the densities (weights have symmetries) within which two answers are one
SAME_OBJECTIVE = 1e-6  # relative difference of J that they may have then
EQUAL = 1e-10  # relative difference of J at one point
FEASIBLE = 1e-6  # violation of the peer's constraints at our answer
ITERATIONS = 500
TOLERANCE = 1e-8
QUIET = {"ipopt.print_level": 0, "ipopt.sb": "yes", "print_time": False}
OURS, DEFAULTS = "ours", "Opti, IPOPT's defaults"
SAME, TUNED = "Opti, our IPOPT options", "Opti tuned, our IPOPT options"


@dataclass(frozen=True)
class Effort:
    """How much to measure."""

    random: int
    near: tuple[float, ...]  # relative size of the disturbance
    rounds: int  # of ours and of Opti with our options
    cap: float  # seconds for IPOPT


FULL = Effort(random=3, near=(0.05, 0.2), rounds=2, cap=60.0)
FAST = Effort(random=1, near=(0.05,), rounds=1, cap=20.0)


@dataclass(frozen=True, eq=False)
class Solved:
    """Seconds of the build and of the solve (with the making of the solver), and IPOPT's answer."""

    build: float
    solve: float
    value: float
    weights: Array
    stages: Array
    iterations: int
    status: str

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.build + self.solve

    @property
    def success(self) -> bool:
        """Whether IPOPT was content."""
        return self.status in ("Solve_Succeeded", "Solved_To_Acceptable_Level")


def ours(tracking: TrackingProblem, start: Array, cap: float) -> Solved:
    """Transcribe and solve as the package does."""
    began = time.perf_counter()
    transcription = transcribe(tracking)
    built = time.perf_counter()
    point = WarmStart(start, tracking.targets)
    solution = solve_nlp(transcription, point, ITERATIONS, TOLERANCE, options={"ipopt.max_wall_time": cap})
    ended = time.perf_counter()
    return Solved(
        built - began,
        ended - built,
        solution.objective,
        solution.weights,
        solution.stages,
        solution.iterations,
        solution.status,
    )


def opti(tracking: TrackingProblem, start: Array, options: dict[str, Any]) -> Solved:
    """The same program, written plainly."""
    began = time.perf_counter()
    program = plain_program(tracking, start)
    program.solver("ipopt", options)
    built = time.perf_counter()
    with suppress(RuntimeError):  # Opti raises where IPOPT did not succeed
        program.solve()
    ended = time.perf_counter()
    rows = np.asarray(program.debug.value(program.x)).reshape(len(start), -1)  # in the order of `pack`
    weights, stages = rows[:, : start.shape[1]], rows[:, start.shape[1] :].reshape(tracking.targets.shape)
    value, stats = float(program.debug.value(program.f)), program.stats()
    status = str(stats["return_status"])
    return Solved(built - began, ended - built, value, weights, stages, int(stats["iter_count"]), status)


def plain_program(tracking: TrackingProblem, start: Array) -> Any:
    """An Opti instance with variables, constraints, objective and initial point."""
    operator, grid, network = tracking.operator, tracking.grid, tracking.network
    scheme = radau(grid.stages)
    diffusion = ca.DM((operator.diffusivity * operator.diffusion).tocsc())
    combine, sampling, gather = (
        ca.DM(matrix.tocsc()) for matrix in (operator.combine, operator.sampling, operator.gather)
    )
    d, m = network.dimension, network.width
    program = ca.Opti()
    density: Any = ca.DM(tracking.initial)
    cost: Any = 0
    for piece in range(grid.pieces):
        theta = program.variable(network.weights_per_piece)
        program.subject_to(program.bounded(-tracking.bound, theta, tracking.bound))
        program.set_initial(theta, start[piece])
        cost += 0.5 * tracking.regularisation_matrix[piece, piece] * ca.sumsqr(theta)
        a = ca.reshape(theta[: d * m], m, d).T
        w = ca.reshape(theta[d * m : 2 * d * m], d, m).T
        drift = network.drift(operator.drift_points, a, w, theta[2 * d * m :])
        if operator.outward.any():
            outward = ca.DM(operator.outward)
            drift = ca.if_else(outward == 0, drift, outward * ca.fmax(outward * drift, 0))
        sampled = sampling @ ca.vec(drift.T)
        for step in range(grid.steps_per_piece):
            stages = [program.variable(operator.size) for _ in range(grid.stages)]
            rates = [diffusion @ stage + combine @ (sampled * (gather @ stage)) for stage in stages]
            for i, stage in enumerate(stages):
                change = sum(float(scheme.a[i, j]) * rate for j, rate in enumerate(rates))
                program.subject_to(stage == density + float(grid.step_lengths[piece]) * change)
                error = stage - tracking.targets[piece, step, i]
                cost += 0.5 * ca.dot(tracking.weight[piece, step, i] * error, error)
                program.set_initial(stage, tracking.targets[piece, step, i])
            density = stages[-1]
    program.minimize(cost)
    return program


def run(fast: bool) -> Report:
    """Measure at η = 1 and η = 0."""
    effort = FAST if fast else FULL
    tables, goals, notes = [], [], []
    for noise in (1.0, 0.0):
        tracking = two_bumps(noise)
        found = _races(tracking, effort)
        tables.append(_table(noise, found, effort.rounds))
        goals += [
            _goal(noise, found, DEFAULTS, LEAST_TIMES_DEFAULTS),
            _goal(noise, found, SAME, LEAST_TIMES_OUR_OPTIONS),
        ]
        notes += _notes(noise, found)
    variables = transcribe(tracking).nlp["x"].shape[0]
    return Report(f"Transcription: {sizes(tracking)}, {variables} variables", tables, goals, notes)


Found = dict[str, list[Solved]]
Races = dict[str, Found]


def _races(tracking: TrackingProblem, effort: Effort) -> Races:
    rng = np.random.default_rng(0)
    races = {
        f"random {number}": _race(tracking, start, effort)
        for number, start in enumerate(random_starts(tracking, effort.random, 0))
    }
    answer = races["random 0"][OURS][0].weights
    for number, size in enumerate(effort.near):
        start = np.clip(answer * (1.0 + size * rng.standard_normal(answer.shape)), -tracking.bound, tracking.bound)
        races[f"near, {size:.0%}"] = _race(tracking, start, effort, tuned=number == 0)
    return races


def _race(tracking: TrackingProblem, start: Array, effort: Effort, *, tuned: bool = False) -> Found:
    limits = {"ipopt.max_iter": ITERATIONS, "ipopt.tol": TOLERANCE, "ipopt.max_wall_time": effort.cap}
    expert = {"expand": True, "detect_simple_bounds": True}
    tasks: dict[str, Callable[[], Solved]] = {
        OURS: lambda: ours(tracking, start, effort.cap),
        SAME: lambda: opti(tracking, start, {**IPOPT_OPTIONS, **limits}),
        DEFAULTS: lambda: opti(tracking, start, {**QUIET, **limits}),
    }
    if tuned:
        tasks[TUNED] = lambda: opti(tracking, start, {**IPOPT_OPTIONS, **limits, **expert})
    found: Found = {name: [] for name in tasks}
    for number in range(effort.rounds):  # in turn: load that comes and goes meets all of them
        for name, task in tasks.items():
            if number == 0 or name in (OURS, SAME):
                found[name].append(task())
    _assert_same_program(tracking, found[OURS][0])
    for name, solved in found.items():
        _assert_same_answer(name, solved[0], found[OURS][0])
    return found


def _assert_same_program(tracking: TrackingProblem, solved: Solved) -> None:
    """At our answer the plain program has the same objective, and its constraints hold."""
    program = plain_program(tracking, solved.weights)  # creates its variables in the order that `pack` uses
    evaluate = ca.Function("evaluate", [program.x], [program.f, program.g, program.lbg, program.ubg])
    objective = Objective(tracking)
    variables = transcribe(tracking).pack(solved.weights, objective.stages(solved.weights))
    value, constraints, low, high = evaluate(variables)
    off = abs(float(value) / objective.value(solved.weights) - 1.0)
    violation = max(0.0, float(ca.mmax(low - constraints)), float(ca.mmax(constraints - high)))
    assert off <= EQUAL, f"the plain program's objective differs by {off:.1e} (relative)"
    assert violation <= FEASIBLE, f"our answer violates the plain program by {violation:.1e}"


def _assert_same_answer(name: str, solved: Solved, reference: Solved) -> None:
    """Where two converged in one valley, they found one objective."""
    if _together(solved, reference):
        off = abs(solved.value / reference.value - 1.0)
        assert off <= SAME_OBJECTIVE, f"{name}: in the same valley, but the objectives differ by {off:.1e} (relative)"


def _together(solved: Solved, reference: Solved) -> bool:
    distance = np.linalg.norm(solved.stages - reference.stages) / np.linalg.norm(reference.stages)
    return solved.success and reference.success and bool(distance <= SAME_VALLEY)


def _median(solved: Sequence[Solved]) -> float:
    return statistics.median(each.seconds for each in solved)


def _an_iteration(solved: Sequence[Solved]) -> float:
    return statistics.median(each.solve / max(each.iterations, 1) for each in solved)


def _table(noise: float, races: Races, rounds: int) -> Table:
    rows = []
    for start, found in races.items():
        for name, solved in found.items():
            first = solved[0]
            rows.append(
                (
                    f"{start}: {name}",
                    seconds(statistics.median(each.build for each in solved)),
                    seconds(statistics.median(each.solve for each in solved)),
                    seconds(_median(solved)),
                    seconds(min(each.seconds for each in solved)),
                    f"{first.iterations}",
                    seconds(_an_iteration(solved)),
                    f"{first.value:.6f}",
                    "ours" if _together(first, found[OURS][0]) else "other",
                    "converged" if first.success else first.status,
                    times(_median(solved) / _median(found[OURS])),
                )
            )
    columns = (
        "",
        "build",
        "solve",
        "both",
        "least",
        "iterations",
        "an iteration",
        "J",
        "valley",
        "verdict",
        "over ours",
    )
    return Table(f"η = {noise:g}: medians of {rounds} rounds, of one for IPOPT's defaults and for tuned", columns, rows)


def _goal(noise: float, races: Races, name: str, wanted: float) -> Goal:
    ratios = [_median(found[name]) / _median(found[OURS]) for found in races.values()]
    equal = [_median(found[name]) / _median(found[OURS]) for found in races.values() if _shared(found, name)]
    middle = statistics.median(ratios)
    bounded = sum(not found[name][0].success for found in races.values())
    words = f"median {times(middle)}, {times(min(ratios))} to {times(max(ratios))}"
    words += f"; {bounded} of {len(races)} did not converge" if bounded else ""
    words += f"; {times(statistics.median(equal))} where both find one answer" if equal else ""
    return Goal(f"η = {noise:g}: ours over {name}", f"≥ {wanted:g}×", words, middle >= wanted)


def _shared(found: Found, name: str) -> bool:
    return _together(found[name][0], found[OURS][0])


def _notes(noise: float, races: Races) -> list[str]:
    notes = []
    for name in (DEFAULTS, SAME):  # the solve of tuned is mostly the expansion of its graph
        both = [(found[name], found[OURS]) for found in races.values()]
        work = statistics.median(_an_iteration(theirs) / _an_iteration(own) for theirs, own in both)
        pairs = ", ".join(f"{theirs[0].iterations}/{own[0].iterations}" for theirs, own in both)
        notes.append(f"η = {noise:g}, {name}: an iteration takes {times(work)} ours; iterations, theirs/ours: {pairs}")
    return notes

"""The compiled objective against the interpreted one: values, gradients, Hessians, whole searches, whole solves.

In two dimensions only the state equation is compiled.

Both minimise the same discrete problem, and are compared before they are timed. The floor counts the operations of a
value with its Hessian, factors in the band of the mesh, and divides by the rate of a large matrix product.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.gradient import GEMM_SIZE, floor_flops
from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.timing import Timing, interleaved, ratio
from controlsde import Problem, list_problems, load_problem, solve
from controlsde.fokker_planck import sweeps
from controlsde.solvers.collocation import solver as collocation
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.starts import random_starts
from controlsde.tracking import objective as objectives
from controlsde.tracking.line import line_objective
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

PROBLEMS = ("two-bumps", "iris-petals")
BATCH = 8
SAME = 1e-11
LEAST_GRADIENT, LEAST_BATCH, MOST_OVER_FLOOR, LEAST_SOLVE = 5.0, 10.0, 6.0, 5.0
LEAST_HESSIAN = {"two-bumps": 7.0, "iris-petals": 12.0}
PLANES = ((2, 8), (3, 8), (4, 8), (6, 8), (4, 20))  # elements an axis, pieces
LEAST_PLANE = 3.0
MOST_COLLOCATED = 1.05
MOST_SECONDS = {"two-bumps": 5.0, "iris-petals": 12.0}
VALUE, GRADIENT, TOGETHER, HESSIAN = "value", "gradient", f"gradients, {BATCH} in one call, each", "value and Hessian"
COMPILED, INTERPRETED, GEMM = "compiled", "interpreted", "GEMM"


@contextmanager
def without_loops() -> Iterator[None]:
    """As if the package had been installed without a compiler."""
    with (
        mock.patch.object(line_objective, "line_loops", return_value=None),
        mock.patch.object(objectives, "library", return_value=None),
        mock.patch.object(sweeps, "library", return_value=None),
    ):
        yield


def hessian_flops(tracking: TrackingProblem) -> float:
    """Operations of one value with its Hessian: gradient, sensitivities through factors in a band, symmetric products.

    In piece k of K, (k + 1) P columns pass each of S steps; a solve of the real and of the complex matrix takes
    (2 + 8) n b a column and direction with one half of the band on either side, and the Gram product s n rows.
    """
    grid, size, band = tracking.grid, tracking.operator.size, tracking.mesh.axes[0].degree
    own = tracking.network.weights_per_piece
    columns = own * np.arange(1, grid.pieces + 1)
    steps, stages = grid.steps_per_piece, grid.stages
    solves = steps * columns.sum() * (2 + 8) * 2 * size * band
    products = steps * stages * size * (columns**2).sum()
    return sum(floor_flops(tracking).values()) + float(solves + products)


@dataclass(frozen=True, eq=False)
class Measured:
    """One problem: its objective both ways, the timings, and how far they are apart."""

    name: str
    tracking: TrackingProblem
    timing: dict[str, Timing]
    apart: float

    def gain(self, what: str) -> float:
        """Interpreted over compiled."""
        return ratio(self.timing[f"{INTERPRETED} {what}"], self.timing[f"{COMPILED} {what}"])

    @property
    def rate(self) -> float:
        """Operations a second of a large matrix product."""
        return 2.0 * GEMM_SIZE**3 / self.timing[GEMM].least

    @property
    def over_floor(self) -> float:
        """The compiled Hessian over what its operations would take at that rate."""
        return self.timing[f"{COMPILED} {HESSIAN}"].least * self.rate / hessian_flops(self.tracking)


def measured(name: str, rounds: int, **settings: object) -> Measured:
    """Compare and time both objectives of a shipped problem, at its own noise level."""
    tracking = Posed.of(load_problem(name, set=settings)).on()
    starts = random_starts(tracking, BATCH, 0)
    weights, batch = starts[0], np.stack(starts)
    square = np.random.default_rng(0).standard_normal((GEMM_SIZE, GEMM_SIZE))
    tasks: dict[str, Callable[[], object]] = {GEMM: lambda: square @ square}
    found = []
    for kind in (COMPILED, INTERPRETED):
        objective = Objective(tracking, compiled=kind == COMPILED)
        assert objective.compiled == (kind == COMPILED and tracking.mesh.dimension == 1)
        expansion = objective.evaluate(weights).expand()
        found.append((np.array([expansion.value]), expansion.gradient, expansion.hessian))
        tasks |= {
            f"{kind} {VALUE}": lambda one=objective: one.value(weights),
            f"{kind} {GRADIENT}": lambda one=objective: one.value_and_gradient(weights),
            f"{kind} {TOGETHER}": lambda one=objective: one.values_and_gradients(batch),
            f"{kind} {HESSIAN}": lambda one=objective: one.evaluate(weights).expand(),
        }
    apart = max(float(np.abs(ours - theirs).max() / np.abs(theirs).max()) for ours, theirs in zip(*found, strict=True))
    assert apart < SAME, f"{name}: the objectives differ by {apart:.1e}"
    return Measured(name, tracking, interleaved(tasks, rounds), apart)


def _planes(rounds: int) -> tuple[list[Table], list[Goal]]:
    """Two dimensions: compiled fronts against dense inverses, or above their limit against fronts in Python."""
    tables, goals = [], []
    for elements, pieces in PLANES:
        settings = {"mesh.elements": [elements] * 2, "controls.pieces": pieces, "noise": 1.0}
        one = measured("iris-plane", rounds, **settings)
        rows = []
        for what in (VALUE, GRADIENT, HESSIAN):
            medians = (one.timing[f"{kind} {what}"].median for kind in (COMPILED, INTERPRETED))
            rows.append((what, *map(seconds, medians), times(one.gain(what))))
        size = f"iris-plane, {one.tracking.operator.size} nodes, {pieces} pieces"
        tables.append(Table(f"{size} (both agree to {one.apart:.0e})", ("", COMPILED, INTERPRETED, "gain"), rows))
        gain = one.gain(HESSIAN)
        goals.append(Goal(f"{size}: {HESSIAN}", f"≥ {LEAST_PLANE:g}×", times(gain), gain >= LEAST_PLANE))
    return tables, goals


def _evaluations(one: Measured) -> Table:
    rows = []
    for what in (VALUE, GRADIENT, TOGETHER, HESSIAN):
        share = BATCH if what == TOGETHER else 1
        medians = (one.timing[f"{kind} {what}"].median / share for kind in (COMPILED, INTERPRETED))
        rows.append((what, *map(seconds, medians), times(one.gain(what))))
    floor = hessian_flops(one.tracking)
    rows.append((f"floor of the Hessian, {floor / 1e6:.1f} Mflop", seconds(floor / one.rate), "", ""))
    rows.append(("value and Hessian over the floor", times(one.over_floor), "", ""))
    title = f"{one.name}, {one.tracking.operator.size} nodes (both agree to {one.apart:.0e})"
    return Table(title, ("", COMPILED, INTERPRETED, "gain"), rows)


def _searched(name: str, options: Shooting) -> tuple[list[tuple[str, ...]], float]:
    """The whole search, both ways, and the gain."""
    tracking = Posed.of(load_problem(name)).on()
    rows, spent = [], {}
    for kind in (COMPILED, INTERPRETED):
        began = time.perf_counter()
        outcome = shooting.solve(Objective(tracking, compiled=kind == COMPILED), options)
        spent[kind] = time.perf_counter() - began
        rows.append((f"{name}, {kind}", seconds(spent[kind]), f"{outcome.objective:.9f}"))
    return rows, spent[INTERPRETED] / spent[COMPILED]


def _collocated(fast: bool) -> tuple[Table, Goal]:
    """What collocation and shooting reach by default, on every shipped problem of one dimension."""
    rows, ratios = [], []
    for name in PROBLEMS[:1] if fast else [name for name, _, _ in list_problems()]:
        problem = load_problem(name)
        if problem.dimension > 1 or not isinstance(problem.solver, Shooting):
            continue
        tracking, found = Posed.of(problem).on(), []
        for solver, options in ((shooting, problem.solver), (collocation, Collocation())):
            began = time.perf_counter()
            outcome = solver.solve(Objective(tracking), options)  # type: ignore[attr-defined]
            found.append((outcome.objective, time.perf_counter() - began))
        ratios.append(found[1][0] / found[0][0])
        rows.append((name, *(f"{value:.6f} in {seconds(spent)}" for value, spent in found), f"{ratios[-1]:.4f}"))
    worst = max(ratios, default=1.0)
    what = "collocation's objective over shooting's, the worst in one dimension"
    goal = Goal(what, f"≤ {MOST_COLLOCATED:g}", f"{worst:.4f}", worst <= MOST_COLLOCATED)
    return Table("Objectives by default", ("", "shooting", "collocation", "ratio"), rows), goal


def _solved(problem: Problem) -> tuple[float, float]:
    """Seconds from the problem to its verified result, and its objective."""
    began = time.perf_counter()
    result = solve(problem)
    return time.perf_counter() - began, float(result.objective or np.nan)


def run(fast: bool) -> Report:
    """Measure; with `fast`, few rounds and small searches."""
    reduced = {"solver.starts": 2, "solver.hops": 2} if fast else {}
    tables, goals, searches, solves = [], [], [], []
    for name in PROBLEMS:
        one = measured(name, rounds=3 if fast else 15)
        tables.append(_evaluations(one))
        problem = load_problem(name, set=reduced)
        assert isinstance(problem.solver, Shooting)
        rows, gain = _searched(name, problem.solver)
        searches += rows
        spent, objective = _solved(problem)
        with without_loops():
            before, its_objective = _solved(problem)
        whole, same = before / spent, objective / its_objective
        solves.append((name, seconds(spent), seconds(before), times(whole), f"{same:.6f}"))
        size = f"{name}, {one.tracking.operator.size} nodes: "
        for what, least in ((GRADIENT, LEAST_GRADIENT), (TOGETHER, LEAST_BATCH), (HESSIAN, LEAST_HESSIAN[name])):
            goals.append(Goal(size + what, f"≥ {least:g}×", times(one.gain(what)), one.gain(what) >= least))
        over = one.over_floor
        goals.append(
            Goal(size + "Hessian over its floor", f"≤ {MOST_OVER_FLOOR:g}×", times(over), over <= MOST_OVER_FLOOR)
        )
        goals.append(Goal(size + "the search", "reported", times(gain), None))
        goals.append(Goal(size + "solve, start to end", f"≥ {LEAST_SOLVE:g}×", times(whole), whole >= LEAST_SOLVE))
        most = MOST_SECONDS[name]
        goals.append(Goal(size + "the same in seconds", f"≤ {most:g} s", seconds(spent), spent <= most))
    planes, reached = _planes(2 if fast else 7)
    goals += reached
    tables += planes
    tables.append(Table("The search alone, by default", ("", "time", "objective"), searches))
    collocated, goal = _collocated(fast)
    tables.append(collocated)
    goals.append(goal)
    columns = ("", COMPILED, INTERPRETED, "gain", "objective, ratio")
    tables.append(Table("Solve and verify, in one process that has imported everything", columns, solves))
    return Report("Core: the compiled objective", tables, goals)

"""How the costs grow: objective and gradient, and the exact Hessian, with nodes, pieces, width and dimension.

One size grows, all others stay; an exponent is the slope of log(seconds) against log(size), by least squares. Where
small calls cost more than arithmetic the exponent is low, and says so only of the range that is printed.

In two dimensions the factorisation of λI − hA stands alone too: static condensation with nested dissection against
SciPy's SuperLU, as it comes and with the ordering and pivoting that its manual advises for a symmetric pattern; one
complex matrix. Their solutions are asserted to agree before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
import torch
from numpy.typing import NDArray

from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.timing import Timing, interleaved, ratio
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.assembly import Assembly, Entries
from controlsde.fokker_planck.condensation import CondensedFactors, Plan
from controlsde.fokker_planck.dissection import dissect
from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem, build_tracking

Array = NDArray[np.float64]

DEGREE = 8
AGREE = 1e-8  # relative difference of two solutions of one system
MOST_EXPONENT = 1.6  # of the condensed factorisation, in nodes: nested dissection in the plane has 1.5
GRADIENT, HESSIAN = "objective + gradient", "exact Hessian"
CONDENSED, SUPERLU, TUNED = "condensed", "SuperLU", "SuperLU tuned"


@dataclass(frozen=True)
class Family:
    """Problems that differ in one size only: its name, its values, and what else is set."""

    title: str
    problem: str
    size: str
    values: Sequence[int]
    settings: Callable[[int], dict[str, object]]
    measure: Callable[[TrackingProblem], int]


def _settings(dimension: int, elements: int, pieces: int, width: int) -> dict[str, object]:
    return {
        "mesh.elements": [elements] * dimension,
        "mesh.degree": DEGREE,
        "mesh.steps_per_piece": 2,
        "mesh.stages": 3,
        "controls.pieces": pieces,
        "network.width": width,
        "noise": 1.0,
    }


def _nodes(tracking: TrackingProblem) -> int:
    return tracking.operator.size


def _pieces(tracking: TrackingProblem) -> int:
    return tracking.grid.pieces


def _width(tracking: TrackingProblem) -> int:
    return tracking.network.width


def families(fast: bool) -> list[Family]:
    """What grows; with `fast` by one doubling, which only asks whether it runs."""
    line, plane = "two-bumps", "iris-plane"
    take = slice(0, 2) if fast else slice(None)
    return [
        Family("line", line, "nodes", (16, 32, 64, 128)[take], lambda n: _settings(1, n, 16, 1), _nodes),
        Family("line", line, "pieces", (8, 16, 32, 64)[take], lambda n: _settings(1, 8, n, 1), _pieces),
        Family("line", line, "width", (1, 2, 4, 8)[take], lambda n: _settings(1, 8, 16, n), _width),
        Family("plane", plane, "nodes", (3, 4, 5, 6)[take], lambda n: _settings(2, n, 4, 2), _nodes),
        Family("plane", plane, "pieces", (2, 4, 8)[take], lambda n: _settings(2, 4, n, 2), _pieces),
        Family("plane", plane, "width", (1, 2, 4)[take], lambda n: _settings(2, 4, 4, n), _width),
    ]


def exponent(sizes: Sequence[float], durations: Sequence[float]) -> float:
    """The slope of log(duration) against log(size), by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(durations), 1)[0])


def run(fast: bool) -> Report:
    """Measure all families, then the factorisation alone."""
    rounds = 1 if fast else 3
    tables, fitted = [], []
    for family in families(fast):
        table, row = _measure(family, rounds)
        tables.append(table)
        fitted.append(row)
    columns = ("seconds against", GRADIENT, HESSIAN)
    tables.append(Table("Fitted exponents", columns, fitted))
    alone, goal = _factorisation((2, 3) if fast else (2, 3, 4, 6, 8), rounds)
    return Report("Scaling", [*tables, alone], [goal])


def _measure(family: Family, rounds: int) -> tuple[Table, tuple[str, str, str]]:
    sizes: list[float] = []
    found: list[dict[str, Timing]] = []
    for value in family.values:
        problem = load_problem(family.problem, set=family.settings(value))
        tracking = build_tracking(problem, build_reference(problem.reference, problem.domain))
        objective, (weights,) = Objective(tracking), random_starts(tracking, 1, 0)
        sizes.append(family.measure(tracking))
        found.append(interleaved(_tasks(objective, weights), rounds))
    medians = {name: [each[name].median for each in found] for name in (GRADIENT, HESSIAN)}
    rows = [
        (f"{size:g}", *each[GRADIENT].cells(), *each[HESSIAN].cells()) for size, each in zip(sizes, found, strict=True)
    ]
    exponents = [f"{exponent(sizes, medians[name]):.2f}" for name in (GRADIENT, HESSIAN)]
    rows.append(("exponent", exponents[0], "", exponents[1], ""))
    title = f"In the {family.title}, {_fixed(family, tracking)}: medians and minima of {rounds} rounds"
    columns = (family.size, GRADIENT, "least", HESSIAN, "least")
    words = f"{family.title}: {family.size} {min(sizes):g} to {max(sizes):g}"
    return Table(title, columns, rows), (words, exponents[0], exponents[1])


def _tasks(objective: Objective, weights: Array) -> dict[str, Callable[[], object]]:
    return {
        GRADIENT: lambda: objective.value_and_gradient(weights),
        HESSIAN: lambda: objective.evaluate(weights).expand(),
    }


def _fixed(family: Family, tracking: TrackingProblem) -> str:
    sizes = {"nodes": _nodes(tracking), "pieces": _pieces(tracking), "width": _width(tracking)}
    return ", ".join(
        f"{value} {name}" if name != "width" else f"width {value}"
        for name, value in sizes.items()
        if name != family.size
    )


def _factorisation(elements: Sequence[int], rounds: int) -> tuple[Table, Goal]:
    """λI − hA of one swirling drift in the plane, factorised by all; the plan of the condensation is made before."""
    rows, nodes = [], []
    durations: dict[str, list[float]] = {name: [] for name in (CONDENSED, SUPERLU, TUNED)}
    for count in elements:
        values, plan, matrix = _stage_matrix(count)
        tasks = _factorisations(values, plan, matrix)
        right = np.random.default_rng(0).standard_normal((matrix.shape[0], 1)) + 0j
        solvers = {name: factorise() for name, factorise in tasks.items()}
        _assert_same_solutions(solvers, right)
        found = interleaved(tasks, rounds)
        solves = interleaved({name: partial(solver.solve, right, "N") for name, solver in solvers.items()}, rounds)
        nodes.append(matrix.shape[0])
        for name, each in durations.items():
            each.append(found[name].median)
        rows.append((f"{DEGREE * count + 1}² = {matrix.shape[0]}", *_compared(found), *_compared(solves)))
    slopes = {name: exponent(nodes, each) for name, each in durations.items()}
    rows.append(("exponent", *(f"{slope:.2f}" for slope in slopes.values()), *[""] * 7))
    columns = ("nodes", CONDENSED, SUPERLU, TUNED, "ratios", "", "a solve", SUPERLU, TUNED, "ratios", "")
    measured = f"{slopes[CONDENSED]:.2f} over {nodes[0]} to {nodes[-1]} nodes; SuperLU {slopes[SUPERLU]:.2f}"
    decided = None if len(nodes) < 4 else slopes[CONDENSED] <= MOST_EXPONENT
    goal = Goal("exponent of the factorisation in the plane", f"≤ {MOST_EXPONENT:g}", measured, decided)
    title = f"One complex factorisation in the plane, degree {DEGREE}: medians of {rounds} rounds"
    return Table(title, columns, rows), goal


def _factorisations(values: Array, plan: Plan, matrix: sp.csc_array) -> dict[str, Callable[[], Any]]:
    return {
        CONDENSED: lambda: CondensedFactors(plan, values),
        SUPERLU: lambda: sparse_linalg.splu(matrix),
        TUNED: lambda: sparse_linalg.splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.1, options={"SymmetricMode": True}
        ),
    }


def _compared(found: dict[str, Timing]) -> tuple[str, ...]:
    """Medians of all three, and both of SuperLU over ours."""
    medians = tuple(seconds(found[name].median) for name in (CONDENSED, SUPERLU, TUNED))
    return *medians, *(times(ratio(found[name], found[CONDENSED])) for name in (SUPERLU, TUNED))


def _stage_matrix(elements: int) -> tuple[Array, Plan, sp.csc_array]:
    """The entries of one λI − hA (nnz,), the plan of their elimination, and the same matrix for SuperLU."""
    mesh = Mesh.build(((-3.0, 3.0),) * 2, "reflecting", (elements,) * 2, DEGREE)
    operator = Operator.build(mesh, 0.5)
    entries = Entries.of(operator)
    plan = Plan(dissect(mesh, entries.pattern), entries.rows, entries.columns)
    x, y = operator.drift_points.T
    drift = torch.from_numpy(np.stack([y - 0.3 * x, -x - 0.3 * y], axis=1))[None]
    ones = torch.ones(1, dtype=torch.float64)
    matrices = Assembly(operator, entries, torch.device("cpu")).shifted(3, drift, 0.05 * ones, 0.5 * ones)
    values = matrices[-1][0].numpy()  # of the complex eigenvalue
    matrix = sp.coo_array((values, (entries.rows, entries.columns)), shape=(operator.size,) * 2)
    return values, plan, sp.csc_array(matrix)


def _assert_same_solutions(solvers: dict[str, Any], right: Array) -> None:
    own = solvers[CONDENSED].solve(right, "N")
    for name in (SUPERLU, TUNED):
        off = float(np.linalg.norm(solvers[name].solve(right, "N") - own) / np.linalg.norm(own))
        assert off <= AGREE, f"{CONDENSED} and {name} differ by {off:.1e} (relative)"

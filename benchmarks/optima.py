"""How close the default solver comes to the best objectives that anybody here has seen.

`benchmarks/optima.json` lists, for every shipped problem of one dimension with and without noise, the least objective
known, how it was found, and how many starts and hops have been tried. `python -m benchmarks optima` solves each by
default and compares; `python -m benchmarks.optima --search SEEDS` tries that many seeds of sixteen shooting starts with
512 hops from the best of them, and five cold starts of collocation, and writes what it finds into the list. Where
shooting found the best, collocation solves again from there: it must end at the same objective.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.reporting import Goal, Report, Table
from controlsde.foundation.files import write_whole
from controlsde.foundation.progress import silent
from controlsde.problem import Problem, load_problem
from controlsde.reference import build_reference
from controlsde.solvers.collocation import solver as collocation
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.outcome import Outcome
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import TrackingProblem
from controlsde.workflow.mesh_refinement import solve_resolved

PROBLEMS = (
    "two-bumps", "three-bumps", "iris-petals", "jump", "moser-bumps", "heat-compact", "circle", "double-well",
    "foellmer", "heavy-tail", "ve-geometric", "vp-cosine", "wide-network",
)  # fmt: skip
NOISES = (0.0, 1.0)
LIST = Path(__file__).with_name("optima.json")
WITHIN = 0.02
STARTS = 16
HOPS = 512
COLD = 5  # starts of collocation


@dataclass(frozen=True)
class Known:
    """The least objective of one problem at one noise level, and how it was found.

    other_solver: the objective of collocation from the weights that shooting found.
    """

    problem: str
    noise: float
    objective: float
    solver: str
    seed: int
    unknowns: int
    shooting_starts: int
    collocation_starts: int
    hops: int = 0
    other_solver: float | None = None


def run(fast: bool) -> Report:
    """Solve each by default and compare with the list; with `fast`, on a small budget."""
    rows, ratios = [], []
    for known in read():
        problem = load_problem(
            known.problem, set={"noise": known.noise, **({"solver.starts": 2, "solver.hops": 2} if fast else {})}
        )
        tracking, outcome = solved(problem, problem.solver)
        unknowns = tracking.operator.size
        ratios.append(outcome.objective / known.objective)
        rows.append(_row(known, outcome, unknowns, ratios[-1]))
        print(f"{known.problem}, noise {known.noise:g}: {ratios[-1]:.4f} of the best known", file=sys.stderr)
    within = sum(ratio <= 1.0 + WITHIN for ratio in ratios)
    columns = (
        "problem", "noise", "best known", "found by", "starts + collocation, hops", "collocation from there", "default",
        "ratio", "best quarter", "nodes",
    )  # fmt: skip
    goal = Goal(f"within {WITHIN:.0%} of the best known", str(len(ratios)), str(within), within == len(ratios))
    return Report(
        "Objectives of the default solver against the best known",
        [Table("the default, seed 0" if not fast else "two starts, two hops", columns, rows)],
        [goal],
        notes=["best quarter: the largest objective among the best quarter of the starts, over the least"],
    )


def _row(known: Known, outcome: Outcome, unknowns: int, ratio: float) -> tuple[str, ...]:
    values = np.sort([value for value in outcome.starts if np.isfinite(value)])
    quarter = values[max(0, len(values) // 4 - 1)] / values[0]
    return (
        known.problem,
        f"{known.noise:g}",
        f"{known.objective:.5g}",
        f"{known.solver}, seed {known.seed}",
        f"{known.shooting_starts} + {known.collocation_starts}, {known.hops}",
        "-" if known.other_solver is None else f"{known.other_solver:.5g}",
        f"{outcome.objective:.5g}",
        f"{ratio:.3f}",
        f"{quarter:.3f}",
        str(unknowns),
    )


def solved(problem: Problem, options: object) -> tuple[TrackingProblem, Outcome]:
    """One solve that survives refinement."""
    reference = build_reference(problem.reference, problem.domain)
    return solve_resolved(Posed(problem, reference), options, silent)


def read() -> list[Known]:
    """The list."""
    return [Known(**row) for row in json.loads(LIST.read_text(encoding="utf-8"))] if LIST.exists() else []


def search(seeds: int) -> None:
    """Try seeds 0 … of both solvers on every problem, and keep the best in the list."""
    for name in PROBLEMS:
        for noise in NOISES:
            known = next((one for one in read() if (one.problem, one.noise) == (name, noise)), None)
            for seed in range(known.hops // HOPS if known else 0, seeds):
                known = _better(load_problem(name, set={"noise": noise}), known, seed)
                _write(known)


def _better(problem: Problem, known: Known | None, seed: int) -> Known:
    shooting = problem.solver.model_copy(update={"seed": seed, "starts": STARTS, "hops": HOPS})
    tracking, outcome = solved(problem, shooting)
    found = [(outcome.objective, "shooting", tracking)]
    before = (known.shooting_starts, known.collocation_starts, known.hops) if known else (0, 0, 0)
    colder = before[1] < COLD
    if colder:
        cold_tracking, cold = solved(problem, Collocation(seed=seed, start="random"))
        found.append((cold.objective, "collocation", cold_tracking))
    told = ", ".join(f"{solver} {objective:.6g}" for objective, solver, _ in found)
    print(f"{problem.name}, noise {problem.noise:g}, seed {seed}: {told}", flush=True)
    objective, solver, tracking = min(found, key=lambda one: one[0])
    tried = (before[0] + STARTS, before[1] + colder, before[2] + HOPS)
    if known is not None and known.objective <= objective:
        return replace(known, shooting_starts=tried[0], collocation_starts=tried[1], hops=tried[2])
    again = (
        collocation.solve(Objective(tracking), Collocation(), silent, [outcome.weights])
        if solver == "shooting"
        else None
    )
    other = again.objective if again else None
    return Known(problem.name, problem.noise, objective, solver, seed, tracking.operator.size, *tried, other)


def _write(known: Known) -> None:
    others = [one for one in read() if (one.problem, one.noise) != (known.problem, known.noise)]
    order = {(name, noise): i for i, (name, noise) in enumerate((n, e) for n in PROBLEMS for e in NOISES)}
    rows = sorted([*others, known], key=lambda one: order[one.problem, one.noise])
    write_whole(LIST, (json.dumps([asdict(row) for row in rows], indent=1) + "\n").encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Search for better objectives and update benchmarks/optima.json.")
    parser.add_argument("--search", type=int, metavar="SEEDS", required=True)
    torch.set_num_threads(1)
    search(parser.parse_args().search)
    sys.exit(0)

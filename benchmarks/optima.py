"""How close the default solver comes to the best objectives that anybody here has seen.

`benchmarks/optima.json` lists, for six shipped problems with and without noise, the least objective known, how it was
found, and how many starts have been tried. `python -m benchmarks optima` solves each by default and compares;
`python -m benchmarks.optima --search SEEDS` tries that many seeds of sixteen shooting starts, and as many cold starts
of collocation, and writes what it finds into the list.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.reporting import Goal, Report, Table
from controlsde.adaptation import solve_resolved
from controlsde.files import atomic_file
from controlsde.problem import Problem, load_problem
from controlsde.problem.schema import Collocation
from controlsde.progress import silent
from controlsde.reference import build_reference
from controlsde.solvers import Outcome

PROBLEMS = ("two-bumps", "three-bumps", "iris-petals", "jump", "moser-bumps", "heat-compact")
NOISES = (0.0, 1.0)
LIST = Path(__file__).with_name("optima.json")
WITHIN = 0.02


@dataclass(frozen=True)
class Known:
    """The least objective of one problem at one noise level, and how it was found."""

    problem: str
    noise: float
    objective: float
    solver: str
    seed: int
    unknowns: int
    shooting_starts: int
    collocation_starts: int


def run(fast: bool) -> Report:
    """Solve each by default and compare with the list; with `fast`, on a small budget."""
    rows, ratios = [], []
    for known in read():
        problem = load_problem(known.problem, set={"noise": known.noise, **({"solver.starts": 2} if fast else {})})
        outcome, unknowns = solved(problem, problem.solver)
        ratios.append(outcome.objective / known.objective)
        rows.append(_row(known, outcome, unknowns, ratios[-1]))
    within = sum(ratio <= 1.0 + WITHIN for ratio in ratios)
    columns = ("problem", "noise", "best known", "found by", "of starts", "default", "ratio", "best quarter", "nodes")
    goal = Goal(f"within {WITHIN:.0%} of the best known", str(len(ratios)), str(within), within == len(ratios))
    return Report(
        "Objectives of the default solver against the best known",
        [Table("sixteen shooting starts, seed 0" if not fast else "two starts", columns, rows)],
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
        f"{known.shooting_starts} + {known.collocation_starts}",
        f"{outcome.objective:.5g}",
        f"{ratio:.3f}",
        f"{quarter:.3f}",
        str(unknowns),
    )


def solved(problem: Problem, options: object) -> tuple[Outcome, int]:
    """The outcome of one solve that survives refinement, and the unknowns of its mesh."""
    reference = build_reference(problem.reference, problem.domain)
    tracking, outcome = solve_resolved(problem, reference, options, silent)
    return outcome, tracking.operator.size


def read() -> list[Known]:
    """The list."""
    return [Known(**row) for row in json.loads(LIST.read_text(encoding="utf-8"))] if LIST.exists() else []


def search(seeds: int) -> None:
    """Try seeds 0 … of both solvers on every problem, and keep the best in the list."""
    for name in PROBLEMS:
        for noise in NOISES:
            known = next((one for one in read() if (one.problem, one.noise) == (name, noise)), None)
            base = load_problem(name, set={"noise": noise})
            done = known.shooting_starts // 16 if known else 0
            for seed in range(done, seeds):
                found = []
                for options in (base.solver.model_copy(update={"seed": seed}), Collocation(seed=seed)):
                    outcome, unknowns = solved(base, options)
                    found.append((outcome.objective, options.kind, seed, unknowns))
                known = _better(name, noise, known, found)
                _write(known)
                print(f"{name}, noise {noise:g}, seed {seed}: {found[0][0]:.6g}, {found[1][0]:.6g}", flush=True)


def _better(name: str, noise: float, known: Known | None, found: list[tuple[float, str, int, int]]) -> Known:
    candidates = list(found)
    if known is not None:
        candidates.append((known.objective, known.solver, known.seed, known.unknowns))
    objective, solver, seed, unknowns = min(candidates)
    before = (known.shooting_starts, known.collocation_starts) if known else (0, 0)
    return Known(name, noise, objective, solver, seed, unknowns, before[0] + 16, before[1] + 1)


def _write(known: Known) -> None:
    others = [one for one in read() if (one.problem, one.noise) != (known.problem, known.noise)]
    order = {(name, noise): i for i, (name, noise) in enumerate((n, e) for n in PROBLEMS for e in NOISES)}
    rows = sorted([*others, known], key=lambda one: order[one.problem, one.noise])
    with atomic_file(LIST) as temporary:
        Path(temporary).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Search for better objectives and update benchmarks/optima.json.")
    parser.add_argument("--search", type=int, metavar="SEEDS", required=True)
    torch.set_num_threads(1)
    search(parser.parse_args().search)
    sys.exit(0)

"""Does it pay to construct controls? Score matching, switching, and shooting from either kind of start, by budget.

Two bumps in one dimension, one neuron, with and without noise, on more and more pieces. Score matching fits the neuron
to the exact drift on each piece; switching fits a wider network and plays it in turns; shooting minimises the
objective, from random starts or from the better of both orderings of switching alone. All descents have the same few
iterations, and use them up. Errors are those of the verification. Seconds are wall time of one run, not a race.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.reporting import Goal, Report, Table, seconds
from controlsde.problem import load_problem
from controlsde.result.result import Result
from controlsde.workflow.solving import solve

BUDGETS = (64, 128, 256)
NOISES = (0.0, 1.0)
ITERATIONS = 40
RANDOM_STARTS = 4
MESH = {"mesh.elements": [12], "monte_carlo.particles": 10_000}
SWITCHING_START = {"kind": "shooting", "start": "switching", "starts": 1}
WAYS: dict[str, dict[str, object]] = {
    "score matching": {"kind": "score-matching"},
    "switching, symmetric": {"kind": "switching"},
    "switching, forward": {"kind": "switching", "ordering": "forward"},
    f"shooting, {RANDOM_STARTS} random starts": {"kind": "shooting", "starts": RANDOM_STARTS, "hops": 0},
    "shooting from switching": SWITCHING_START,
}


@dataclass(frozen=True, eq=False)
class _Solved:
    way: str
    result: Result

    @property
    def row(self) -> tuple[str, ...]:
        result = self.result
        taken = result.seconds["build"] + result.seconds["solve"]
        return (
            self.way,
            f"{result.tracking.l2_final:.4g}{'' if result.verified else ' (not verified)'}",
            f"{result.objective:.4g}",
            str(result.iterations),
            result.status,
            seconds(taken),
        )


def run(fast: bool) -> Report:
    """All ways at every budget and noise level; the least budget and ten iterations if fast."""
    tables, best = [], {"random": 0, "switching": 0}
    for noise in NOISES:
        for pieces in BUDGETS[:1] if fast else BUDGETS:
            solved = {way: _solved(way, noise, pieces, 10 if fast else ITERATIONS) for way in WAYS}
            constructed = min(solved["switching, symmetric"], solved["switching, forward"], key=_objective)
            descended = solved["shooting from switching"]
            assert _objective(descended) <= _objective(constructed), "shooting ended above its own start"
            from_random = _objective(solved[f"shooting, {RANDOM_STARTS} random starts"])
            best["switching" if _objective(descended) < from_random else "random"] += 1
            columns = ("", "L² at T", "objective", "iterations", "status", "seconds")
            tables.append(Table(f"noise {noise:g}, {pieces} pieces", columns, [one.row for one in solved.values()]))
    wins = f"{best['switching']} of {sum(best.values())}"
    goal = Goal("shooting from switching below the best of random starts", "all", wins, best["random"] == 0)
    return Report(
        "Constructed controls, and shooting from them",
        tables,
        [goal],
        notes=[f"at most {10 if fast else ITERATIONS} iterations a descent, no hops; seconds without the verification"],
    )


def _objective(solved: _Solved) -> float:
    return solved.result.objective


def _solved(way: str, noise: float, pieces: int, iterations: int) -> _Solved:
    options = dict(WAYS[way])
    if options["kind"] == "shooting":
        options["iterations"] = iterations
    problem = load_problem("two-bumps", set={**MESH, "noise": noise, "controls.pieces": pieces, "solver": options})
    solved = _Solved(way, solve(problem))
    print(f"noise {noise:g}, {pieces} pieces:", *solved.row, sep="  ", file=sys.stderr, flush=True)  # it takes long
    return solved

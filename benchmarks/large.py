"""A large collocation problem in two dimensions: 15,996 variables (21² nodes, 12 pieces), solved and verified.

First what the orderings of MUMPS make of it: each in a process of its own, for one iteration. Then the whole run with
the package's options, verification included. One thread; on a busy machine its processor time is what a free one takes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.problems import PLANE
from benchmarks.reporting import Goal, Report, Table, seconds
from controlsde import solve
from controlsde.problem import parse_problem

MOST_SECONDS = 600.0
LEAST_VARIABLES = 15_000
SMALL = {"mesh.elements": [3, 3], "controls.pieces": 6}
ORDERINGS: dict[str, dict[str, Any]] = {
    "ours: METIS, scaling 8, pivots above 1e-2": {},
    "pivots above 1e-6": {"ipopt.mumps_pivtol": 1e-6},
    "scaling 77": {"ipopt.mumps_scaling": 77},
    "AMD": {"ipopt.mumps_pivot_order": 0},
    "AMF": {"ipopt.mumps_pivot_order": 2},
}


def run(fast: bool) -> Report:
    """Orderings, and one solve."""
    settings: dict[str, object] = dict(SMALL) if fast else {}
    found = {name: _one_iteration(settings, options) for name, options in ORDERINGS.items()}
    began, used = time.perf_counter(), time.process_time()
    result = solve(parse_problem(PLANE, set={**settings, "solver.iterations": 500}))
    wall, used = time.perf_counter() - began, time.process_time() - used
    variables = next(iter(found.values()))["variables"]
    rows = [(name, *_cells(each)) for name, each in found.items()]
    columns = ("", "entries of the factors", "operations", "factorisation, s", "peak memory, MB")
    iterations = max(result.iterations, 1)
    outcome = (
        result.status, "yes" if result.verified else "no", str(result.iterations), seconds(result.seconds["solve"]),
        seconds(result.seconds["solve"] / iterations), seconds(wall), seconds(used), f"{result.objective:.6g}",
        f"{result.certificate.refined_l2_change:.1e}",
    )  # fmt: skip
    heads = (
        "",
        "verified",
        "iterations",
        "solve",
        "an iteration",
        "with verification",
        "processor time",
        "J",
        "change",
    )
    return Report(
        f"Collocation in two dimensions, {variables} variables",
        [Table("one factorisation", columns, rows), Table("the run", heads, [outcome])],
        [
            Goal("variables", f"at least {LEAST_VARIABLES}", str(variables),
                 None if fast else variables >= LEAST_VARIABLES),
            Goal("converged", "yes", result.status, result.status == "converged"),
            Goal("verified", "yes", "yes" if result.verified else "no", None if fast else result.verified),
            Goal("seconds of processor time", f"at most {MOST_SECONDS:g}", f"{used:.0f}",
                 None if fast else used <= MOST_SECONDS),
        ],
    )  # fmt: skip


def _cells(found: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{found['entries']:.2e}",
        f"{found['flops']:.2e}",
        f"{found['factorisation']:.2f}",
        f"{found['peak'] / 1e6:.0f}",
    )


def _one_iteration(settings: dict[str, object], options: dict[str, Any]) -> dict[str, Any]:
    environment = {**os.environ, **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}}
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.large", json.dumps([settings, options])],
        capture_output=True, text=True, check=True, env=environment, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    found: dict[str, Any] = json.loads(answer.stdout.rsplit("RESULT ", 1)[1])
    for key, what in (
        ("entries", r"INFOG \(29\)"),
        ("flops", "Operations in node elimination"),
        ("factorisation", "Elapsed time for factorization"),
    ):
        numbers = re.findall(what + r"[^=\n]*= *([-+0-9.D]+)", answer.stdout)
        found[key] = max(float(number.replace("D", "E")) for number in numbers)
    return found


def _child(settings: dict[str, object], options: dict[str, Any]) -> dict[str, Any]:
    """One iteration in this process, with MUMPS's report on stdout."""
    from controlsde.reference import build_reference
    from controlsde.solvers.collocation.solver import WarmStart, solve_nlp
    from controlsde.solvers.collocation.transcription import transcribe
    from controlsde.solvers.starts import random_starts
    from controlsde.tracking.tracking_problem import build_tracking

    problem = parse_problem(PLANE, set=settings)
    tracking = build_tracking(problem, build_reference(problem.reference, problem.domain))
    program = transcribe(tracking)
    start = WarmStart(random_starts(tracking, 1, 0)[0], tracking.targets)
    solve_nlp(program, start, 1, 1e-8, options={**options, "ipopt.mumps_print_level": 4})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"variables": program.nlp["x"].shape[0], "peak": peak}


if __name__ == "__main__":
    print("RESULT " + json.dumps(_child(*json.loads(sys.argv[1]))), flush=True)

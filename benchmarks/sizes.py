"""What `controlsde check` predicts against what happens: variables, non-zeros, factors, memory and time.

Every size runs in a process of its own, on one thread, for a few iterations. Memory is the peak of the process over
what it held before the solve; seconds are processor time, so that a busy machine counts little, and are predicted from
a calibration in the same process. MUMPS's own report gives the entries and the operations of the factors.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.problems import PLANE
from benchmarks.reporting import Goal, Report, Table
from controlsde.problem import Problem, load_problem, parse_problem
from controlsde.tracking.objective import Objective

WITHIN = 2.0
ITERATIONS, ITERATIONS_OF_SHOOTING = 3, 20
SIZES: tuple[tuple[str, dict[str, object]], ...] = (
    ("two-bumps", {"mesh.elements": [6], "controls.pieces": 8}),
    ("two-bumps", {"mesh.elements": [8], "controls.pieces": 16}),
    ("two-bumps", {"mesh.elements": [16], "controls.pieces": 32}),
    ("two-bumps", {"mesh.elements": [24], "controls.pieces": 16, "mesh.steps_per_piece": 4, "mesh.stages": 2}),
    ("wide-network", {"mesh.elements": [12], "controls.pieces": 16, "mesh.steps_per_piece": 2}),
    ("plane", {"mesh.elements": [2, 2], "controls.pieces": 6}),
    ("plane", {"mesh.elements": [3, 3], "controls.pieces": 12}),
    ("plane", {"mesh.elements": [4, 4], "controls.pieces": 6, "network.width": 4}),
    ("plane", {"mesh.elements": [3, 5], "controls.pieces": 8, "mesh.steps_per_piece": 2, "mesh.stages": 2}),
    ("plane", {"mesh.elements": [5, 5], "controls.pieces": 12}),
    ("two-bumps", {"mesh.elements": [8], "controls.pieces": 16, "objective.norm": "h-1"}),
    ("plane", {"mesh.elements": [4, 4], "controls.pieces": 6, "objective.norm": "h-1"}),
)
FEW = (0, 1, 5)


def run(fast: bool) -> Report:
    """Both solvers at every size."""
    chosen = [SIZES[i] for i in FEW] if fast else SIZES
    collocation = [_measure("collocation", *size) for size in chosen]
    shooting = [_measure("shooting", *size) for size in chosen]
    counted = all(
        each[f"predicted {key}"] == each[key] for each in collocation for key in ("variables", "jacobian", "hessian")
    )
    return Report(
        "Predicted over measured",
        [
            _table(
                "collocation",
                collocation,
                ("variables", "jacobian", "hessian", "entries", "flops", "memory", "seconds"),
            ),
            _table("shooting", shooting, ("memory", "seconds")),
        ],
        [
            Goal("variables and non-zeros", "exact", "exact" if counted else "not exact", counted),
            _goal("entries of the factors", collocation, "entries"),
            _goal("memory of collocation", collocation, "memory"),
            _goal("seconds of an iteration of collocation", collocation, "seconds"),
            _goal("memory of shooting", shooting, "memory"),
            _goal("seconds of an iteration of shooting", shooting, "seconds"),
        ],
        [
            "entries and operations of the factors as MUMPS reports them; memory over what the process held before",
            f"processor time of one iteration, from {ITERATIONS} (shooting: {ITERATIONS_OF_SHOOTING}), on one thread",
        ],
    )


def problem_named(name: str, settings: dict[str, object]) -> Problem:
    """A shipped problem, or the one in two dimensions that the benchmarks share."""
    return parse_problem(PLANE, set=settings) if name == "plane" else load_problem(name, set=settings)


def _measure(solver: str, name: str, settings: dict[str, object]) -> dict[str, Any]:
    environment = {**os.environ, **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}}
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.sizes", solver, name, json.dumps(settings)],
        capture_output=True, text=True, check=True, env=environment, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    found: dict[str, Any] = json.loads(answer.stdout.rsplit("RESULT ", 1)[1])
    if solver == "collocation":
        found["entries"] = max(_reported(answer.stdout, r"INFOG \(29\)"))
        found["flops"] = max(_reported(answer.stdout, "Operations in node elimination"))
    words = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in settings.items())
    return {**found, "size": f"{name}, {words}"}


def _reported(text: str, what: str) -> list[float]:
    return [float(number.replace("D", "E")) for number in re.findall(what + r"[^=\n]*= *([-+0-9.D]+)", text)]


def _table(solver: str, found: Sequence[dict[str, Any]], keys: tuple[str, ...]) -> Table:
    rows = [
        [
            each["size"],
            *(f"{each[key]:.3g}" for key in keys),
            *(f"{each[f'predicted {key}'] / each[key]:.2f}" for key in keys),
        ]
        for each in found
    ]
    return Table(
        f"{solver}: measured, and predicted over measured", ("", *keys, *(f"{key}, p/m" for key in keys)), rows
    )


def _goal(what: str, found: Sequence[dict[str, Any]], key: str) -> Goal:
    ratios = [each[f"predicted {key}"] / each[key] for each in found]
    met = all(1.0 / WITHIN <= ratio <= WITHIN for ratio in ratios)
    return Goal(what, f"within {WITHIN:g}", f"{min(ratios):.2f} to {max(ratios):.2f}", met)


def _held() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _forget_peak() -> None:
    """Let the peak begin again at what this process holds (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    """Bytes that this process held at most since then."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def _child(solver: str, name: str, settings: dict[str, object]) -> dict[str, Any]:
    """Run one size in this process."""
    import torch

    from controlsde.reference import build_reference
    from controlsde.solvers.collocation.costs import ProgramSizes, collocation_memory, collocation_seconds
    from controlsde.solvers.collocation.solver import WarmStart, solve_nlp
    from controlsde.solvers.collocation.transcription import transcribe
    from controlsde.solvers.costs import calibration_seconds
    from controlsde.solvers.shooting import solver as shooting
    from controlsde.solvers.shooting.costs import factor_bytes, shooting_memory, shooting_seconds
    from controlsde.solvers.shooting.options import Shooting
    from controlsde.solvers.starts import random_starts
    from controlsde.tracking.sizes import sizes_of
    from controlsde.tracking.tracking_problem import build_tracking

    torch.set_num_threads(1)
    problem = problem_named(name, settings)
    tracking = build_tracking(problem, build_reference(problem.reference, problem.domain))
    sizes = sizes_of(problem, tracking.mesh)
    calibration = min(calibration_seconds() for _ in range(5))
    before = _held()
    _forget_peak()
    if solver == "shooting":
        objective, options = Objective(tracking), Shooting(starts=1, iterations=ITERATIONS_OF_SHOOTING, tolerance=1e-14)
        objective.value_and_gradient(random_starts(tracking, 1, 0)[0])  # what is made once
        began = time.process_time()
        found = shooting.solve(objective, options)
        return {
            "seconds": (time.process_time() - began) / max(1, found.iterations),
            "memory": _peak() - before,
            "calibration": calibration,
            "predicted seconds": shooting_seconds(sizes, calibration),
            "predicted memory": shooting_memory(sizes, factor_bytes(sizes)),
        }
    program, sized = transcribe(tracking), ProgramSizes(sizes)
    start = WarmStart(random_starts(tracking, 1, 0)[0], tracking.targets)
    began = time.process_time()
    solve_nlp(program, start, ITERATIONS, 1e-12, options={"ipopt.mumps_print_level": 4})
    return {
        "variables": program.nlp["x"].shape[0],
        "jacobian": program.derivatives["jac_g"].sparsity_out(1).nnz(),
        "hessian": program.derivatives["hess_lag"].sparsity_out(0).nnz(),
        "seconds": (time.process_time() - began) / ITERATIONS,
        "memory": _peak() - before,
        "calibration": calibration,
        "predicted variables": sized.variables,
        "predicted jacobian": sized.jacobian,
        "predicted hessian": sized.hessian,
        "predicted entries": sized.factor_entries,
        "predicted flops": sized.factor_flops,
        "predicted seconds": collocation_seconds(sizes, calibration),
        "predicted memory": collocation_memory(sizes),
    }


if __name__ == "__main__":
    result = _child(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    print("RESULT " + json.dumps(result), flush=True)

"""Every shipped problem, solved and certified as shipped, by both solvers.

Not a speed but the whole: objective, verified errors, the certificate's numbers that come closest to their limits, and
the seconds that each took. Collocation starts cold where its program has at most 16,000 variables, and from the answer
of shooting, states and duals included, where it is larger: it then checks that this is an optimum of the program, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise

from benchmarks.reporting import Goal, Report, Table, seconds
from controlsde import Result, evaluate, list_problems, load_problem, solve
from controlsde.problem import Problem
from controlsde.workflow.prediction import predict

COLD = 16_000  # variables of the collocation program; more take tens of minutes from a cold start
AGREEMENT = 1e-6  # of the objectives, where one solver starts at the answer of the other
FAST = {"monte_carlo.particles": 5000, "solver.starts": 1, "solver.iterations": 20}
COLUMNS = (
    "problem", "noise", "solver", "start", "status", "verified", "objective", "L² at T", "particles", "W₂ at T",
    "mesh change", "refinement", "z", "nodes", "solve", "verify",
)  # fmt: skip


def run(fast: bool) -> Report:
    """Solve all of them; with `fast`, the one-dimensional ones on a budget that need not converge."""
    problems = [load_problem(name, set=FAST if fast else {}) for name, _, _ in list_problems()]
    if fast:
        problems = [problem for problem in problems if problem.dimension == 1]
    answers = [answer for problem in problems for answer in _answers(problem)]
    verified = sum(result.verified for _, result in answers)
    solved = [result for _, result in answers if result.status != "given"]
    converged = sum(result.status == "converged" for result in solved)
    pairs = [
        (before.objective, result.objective) for (_, before), (start, result) in pairwise(answers) if start == "warm"
    ]
    agree = sum(abs(one - other) <= AGREEMENT * one for one, other in pairs)
    return Report(
        "Certificates of the shipped problems",
        [Table("as shipped" if not fast else "on a small budget", COLUMNS, [_row(*answer) for answer in answers])],
        [
            Goal("verified", str(len(answers)), str(verified), verified == len(answers)),
            Goal("converged", str(len(solved)), str(converged), None if fast else converged == len(solved)),
            Goal(
                f"same objective to {AGREEMENT:g} from shooting's answer",
                str(len(pairs)),
                str(agree),
                agree == len(pairs) if pairs else None,
            ),
        ],
    )


def _answers(problem: Problem) -> Iterator[tuple[str, Result]]:
    """The answers of both solvers, or of the problem's own drift, and where they started."""
    if problem.drift is not None:
        yield "-", _told(evaluate(problem))
        return
    shooting = _told(solve(problem, solver="shooting"))
    yield "cold", shooting
    cold = predict(problem).collocation_variables <= COLD
    yield (
        ("cold" if cold else "warm"),
        _told(solve(problem, solver="collocation", initial=None if cold else shooting.controls)),
    )


def _told(result: Result) -> Result:
    print(f"{result.problem.name}, {result.solver}: {result.status}, {result.seconds['solve']:.0f} s", file=sys.stderr)
    return result


def _row(start: str, result: Result) -> tuple[str, ...]:
    certificate, tracking = result.certificate, result.tracking
    particles = certificate.monte_carlo
    return (
        result.problem.name,
        f"{result.noise:g}",
        result.solver,
        start,
        result.status,
        "yes" if result.verified else ", ".join(check.name for check in certificate.failed),
        "-" if result.status == "given" else f"{result.objective:.5g}",
        f"{tracking.l2_final:.4g}",
        f"{particles.l2_final:.4f} ± {particles.l2_final_se:.4f}" if particles else "-",
        "-" if tracking.w2_final is None else f"{tracking.w2_final:.4g}",
        f"{certificate.refined_l2_change:.1e}",
        f"{certificate.refinement:.1e}",
        f"{particles.z:.1f}" if particles else "-",
        str(certificate.nodes),
        seconds(result.seconds["solve"]),
        seconds(result.seconds["verify"]),
    )

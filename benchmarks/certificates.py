"""Every shipped problem, solved and certified as shipped, by both solvers, with and without noise.

Not a speed but the whole: objective, verified errors, the certificate's numbers that come closest to their limits, and
the seconds that each took.
"""

from __future__ import annotations

from benchmarks.reporting import Goal, Report, Table, seconds
from controlsde import Result, list_problems, load_problem, solve

SOLVERS = ("shooting", "collocation")
FAST = {"monte_carlo.particles": 5000, "solver.starts": 1, "solver.iterations": 20}
COLUMNS = (
    "problem", "noise", "solver", "status", "verified", "objective", "L² at T", "particles", "W₂ at T", "mesh change",
    "refinement", "z", "nodes", "solve", "verify",
)  # fmt: skip


def run(fast: bool) -> Report:
    """Solve all of them; with `fast`, on a budget that need not converge."""
    results = [
        solve(load_problem(name, set={"noise": noise, **(FAST if fast else {})}), solver=solver)
        for name, _, _ in list_problems()
        for noise in (0.0, 1.0)
        for solver in SOLVERS
    ]
    verified = sum(result.verified for result in results)
    converged = sum(result.status == "converged" for result in results)
    return Report(
        "Certificates of the shipped problems",
        [Table("as shipped" if not fast else "on a small budget", COLUMNS, [_row(result) for result in results])],
        [
            Goal("verified", str(len(results)), str(verified), verified == len(results)),
            Goal("converged", str(len(results)), str(converged), None if fast else converged == len(results)),
        ],
    )


def _row(result: Result) -> tuple[str, ...]:
    certificate, tracking = result.certificate, result.tracking
    particles = certificate.monte_carlo
    return (
        result.problem.name,
        f"{result.noise:g}",
        result.solver,
        result.status,
        "yes" if result.verified else ", ".join(check.name for check in certificate.failed),
        f"{result.objective:.5g}",
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

"""Solvers of the tracking problem, by name. Each takes an `Objective` and its options, and knows no YAML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlsde.problem.solver_specs import SOLVER_KINDS
from controlsde.solvers.outcome import Iteration, Outcome

__all__ = ["Iteration", "Outcome", "solver_named", "solver_names"]


def solver_names() -> tuple[str, ...]:
    """The kinds that `solver: {kind: …}` may name."""
    return SOLVER_KINDS


def solver_named(kind: str) -> Callable[..., Outcome]:
    """`solve(objective, options, progress, initial)` of one kind. Raises ValueError for an unknown kind.

    initial: a sequence of flattened weights (K, P) that take the place of the first random starts.
    """
    solve: Any
    if kind == "shooting":
        from controlsde.solvers.shooting.solver import solve
    elif kind == "collocation":
        from controlsde.solvers.collocation.solver import solve
    elif kind == "score-matching":
        from controlsde.solvers.drift_fitting.score_matching import solve
    elif kind == "switching":
        from controlsde.solvers.drift_fitting.switching import solve
    else:
        raise ValueError(f"solver.kind must be one of {', '.join(solver_names())} (got {kind!r})")
    return solve  # type: ignore[no-any-return]

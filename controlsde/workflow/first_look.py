"""A first look at a problem: little effort, so that an answer takes seconds on a line and a minute or two in a plane.

Comes in: a problem, and which keys are to stay as they are. Goes out: the keys to change, each with its new value; and
the same in words, for a first look must not pass for the whole search.

On a line fewer starts, hops and particles are enough. In more dimensions the time goes into second derivatives, whose
number grows with the square of the pieces: there one start is searched from, on half as many pieces. Time steps stay as
long as they were. A diffusion that is reversed gathers its detail at the end; few pieces are put there, each half as
long as the one before (docs/pieces-and-width.md), and often do better than twice as many of equal length. Lengths that
are free, which take several times as long to find, are given up for these. In free space fits have
one start and stop sooner.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from controlsde.problem import Problem
from controlsde.registry import SOLVERS

SEARCH = {1: (4, 8), 2: (1, 0)}  # most starts and hops, by dimension; in more as in two
MOST_PARTICLES = 20_000
FREE_PARTICLES, LEAST_GAIN, STEERED = 2_000, 0.05, 40  # in free space: particles, tolerance of fits, iterations
LEAST_PIECES, MOST_PIECES = 3, 4  # beyond a line, unless there are fewer
RATIO = 0.5  # of a piece to the one before


def little_effort(problem: Problem, kept: Collection[str] = ()) -> dict[str, Any]:
    """What to change of a problem: its keys, as `--set` takes them, and their new values.

    kept: keys (`solver.starts`), or whole parts (`solver`), that stay as they are.
    """
    if problem.domain.free:
        return _less_in_free_space(problem, kept)
    most: dict[str, Any] = {"monte_carlo.particles": MOST_PARTICLES}
    if problem.solver.kind == "shooting":
        most |= dict(zip(("solver.starts", "solver.hops"), SEARCH[min(problem.dimension, 2)], strict=True))
    changes = {key: min(value, _value(problem, key)) for key, value in most.items()} | _fewer_pieces(problem, kept)
    free = {key: value for key, value in changes.items() if not {key, key.split(".")[0]} & set(kept)}
    return {key: value for key, value in free.items() if value != _value(problem, key)}


def _less_in_free_space(problem: Problem, kept: Collection[str]) -> dict[str, Any]:
    """Fewer particles, and one start of fits that stop sooner; or fewer iterations."""
    changes: dict[str, Any] = {"monte_carlo.particles": min(FREE_PARTICLES, _value(problem, "monte_carlo.particles"))}
    if problem.solver.kind == "score-matching":
        changes |= {"solver.starts": 1, "solver.tolerance": max(LEAST_GAIN, _value(problem, "solver.tolerance"))}
    else:
        changes |= {"solver.iterations": min(STEERED, _value(problem, "solver.iterations"))}
    free = {key: value for key, value in changes.items() if not {key, key.split(".")[0]} & set(kept)}
    return {key: value for key, value in free.items() if value != _value(problem, key)}


def in_words(problem: Problem, changes: dict[str, Any]) -> str:
    """What the changes are to this problem; nothing where there are none."""
    told = [f"{key} {_told(_value(problem, key))} → {_told(value)}" for key, value in changes.items()]
    return f"--quick takes a first look: {', '.join(told)}" if told else ""


def _fewer_pieces(problem: Problem, kept: Collection[str]) -> dict[str, Any]:
    """About half as many pieces in more than one dimension, unless something else hangs on their number."""
    controls, solver = problem.controls, problem.solver
    if problem.dimension == 1 or not SOLVERS[solver.kind].minimises_objective or solver.refine:
        return {}
    if {"controls", "controls.pieces"} & set(kept) or len(controls.given_lengths or ()) > 1:
        return {}
    pieces = min(controls.pieces, MOST_PIECES, max(LEAST_PIECES, controls.pieces // 2))
    changes: dict[str, Any] = {"controls.pieces": pieces}
    if controls.given_lengths is None:  # equal, or free, which takes several times as long
        changes["controls.lengths"] = RATIO if problem.reference.kind == "reversed-diffusion" else None
    for key in ("mesh.steps_per_piece", "monte_carlo.steps_per_piece"):
        steps = _value(problem, key)
        if steps != "auto":
            changes[key] = -(-steps * controls.pieces // pieces)
    return changes


def _value(problem: Problem, key: str) -> Any:
    part, name = key.split(".")
    return getattr(getattr(problem, part), name)


def _told(value: Any) -> str:
    return "equal" if value is None else str(value)

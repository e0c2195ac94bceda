"""Solve on a mesh and a time grid that the answer does not depend on.

Comes in: a problem, its reference, a solver's options. Goes out: the tracking problem that was solved last, and the
outcome there.

A noise-free optimum makes densities much sharper than the reference, and an optimiser that sees one coarse mesh
happily exploits its errors. So every answer is run again, with the same weights, on a finer mesh and with smaller
steps. Where `auto` allows, what moves the density is refined, and the most promising starts go on from where they
are. What is given in numbers is never changed; then an answer that survives the finer mesh goes before one that
does not. (The verification measures all this again, by other integrators.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.stage_solvers import NonFiniteError
from controlsde.problem import Problem
from controlsde.progress import Progress, Step
from controlsde.reference import Reference
from controlsde.solvers import Outcome, solver_named
from controlsde.solvers.reduced import ReducedObjective
from controlsde.tracking import TimeGrid, TrackingProblem, build_mesh, build_tracking, time_grid

Array = NDArray[np.float64]

RESOLVED = 1e-2  # change of the density under refinement, over ‖p(T)‖, at which refinement stops
ACCEPTED = 2.5e-2  # and with which an answer is still taken where nothing may be refined; the certificate allows 3e-2
CANDIDATES = 4  # starts that are judged on the finer mesh, and go on there
MOST_ELEMENTS = {1: 40, 2: 6, 3: 3}  # per axis
MOST_STEPS = 16  # per piece
FINER = {1: 2.0, 2: 1.5, 3: 1.5}  # factor on the elements of every axis


@dataclass(frozen=True, eq=False)
class Judged:
    """One outcome on the finer mesh: J there, and how much the density moved (inf where it stopped being finite)."""

    outcome: Outcome
    objective: float
    change: float


def solve_resolved(
    problem: Problem, reference: Reference, options: Any, progress: Progress, initial: tuple[Array, ...] = ()
) -> tuple[TrackingProblem, Outcome]:
    """Solve, judge on a finer mesh, refine where the problem says `auto`, and go on until the answer settles."""
    solve = solver_named(options.kind)
    mesh, grid = build_mesh(problem, reference), time_grid(problem, reference)
    spent = 0.0, 0.0
    starts: tuple[float, ...] = ()
    while True:
        tracking = build_tracking(problem, reference, mesh, grid)
        best = solve(tracking, options, progress, initial)
        starts = starts or best.starts
        spent = spent[0] + best.build_seconds, spent[1] + best.solve_seconds
        chosen = replace(best, starts=starts, build_seconds=spent[0], solve_seconds=spent[1])
        if best.interrupted or not np.isfinite(best.objective):
            return tracking, chosen
        progress(Step("checking on a finer mesh"))
        judged = judge(problem, reference, tracking, best)
        promising = min(judged, key=lambda one: one.objective)
        elements, steps = _refined(problem, reference, tracking, promising)
        settled = promising.change <= RESOLVED or (elements, steps) == (_elements(mesh), grid.steps_per_piece)
        if settled or not np.isfinite(promising.objective):
            answer = _preferred(judged).outcome
            return tracking, replace(answer, starts=starts, build_seconds=spent[0], solve_seconds=spent[1])
        mesh, grid = _mesh(problem, elements), replace(grid, steps_per_piece=steps)
        ordered = sorted((one for one in judged if np.isfinite(one.objective)), key=lambda one: one.objective)
        initial = tuple(one.outcome.weights for one in ordered)
        options = options.model_copy(update={"starts": len(initial)})


def judge(problem: Problem, reference: Reference, tracking: TrackingProblem, best: Outcome) -> list[Judged]:
    """The best few outcomes of a solve, on a mesh and a time grid that are both finer."""
    elements = _finer(tracking.mesh)
    grid = replace(tracking.grid, steps_per_piece=2 * tracking.grid.steps_per_piece)
    finer = build_tracking(problem, reference, _mesh(problem, elements), grid)
    outcomes = [one for one in (best, *best.others) if np.isfinite(one.objective)][:CANDIDATES]
    return [Judged(one, *_run_again(tracking, finer, one.weights)) for one in outcomes]


def _preferred(judged: list[Judged]) -> Judged:
    """The least objective among the answers that survive refinement, or, if none does, on the finer mesh."""
    survivors = [one for one in judged if one.change <= ACCEPTED]
    return min(survivors or judged, key=lambda one: (one.objective, one.outcome.objective))


def _run_again(tracking: TrackingProblem, finer: TrackingProblem, weights: Array) -> tuple[float, float]:
    """J on the finer discretisation, and the largest ‖change of ρ‖ / ‖p(T)‖ over the ends of the pieces."""
    try:
        fine = ReducedObjective(finer).stages(weights)
    except NonFiniteError:
        return float("inf"), float("inf")
    coarse = ReducedObjective(tracking).stages(weights)
    target = finer.targets[-1, -1, -1]
    scale = float(np.sqrt(target**2 @ finer.mesh.mass))
    change = max(
        finer.mesh.l2_distance(finer.mesh.to_grid(after), tracking.mesh, tracking.mesh.to_grid(before))
        for before, after in zip(coarse[:, -1, -1], fine[:, -1, -1], strict=True)
    )
    return float(finer.objective(fine, weights)), change / scale


def _refined(
    problem: Problem, reference: Reference, tracking: TrackingProblem, answer: Judged
) -> tuple[tuple[int, ...], int]:
    """Elements by axis and steps per piece for the next solve: finer in whatever moves the density, where `auto`."""
    mesh, grid = tracking.mesh, tracking.grid
    elements, steps = _elements(mesh), grid.steps_per_piece
    if answer.change <= RESOLVED or not np.isfinite(answer.objective):
        return elements, steps

    def change(mesh: Mesh, grid: TimeGrid) -> float:
        finer = build_tracking(problem, reference, mesh, grid)
        return _run_again(tracking, finer, answer.outcome.weights)[1]

    if (
        problem.mesh.steps_per_piece == "auto"
        and change(_mesh(problem, elements), replace(grid, steps_per_piece=2 * steps)) > RESOLVED / 2
    ):
        steps = min(2 * steps, MOST_STEPS)
    if problem.mesh.elements == "auto" and change(_mesh(problem, _finer(mesh)), grid) > RESOLVED / 2:
        most = MOST_ELEMENTS[mesh.dimension]
        elements = tuple(max(old, min(new, most)) for old, new in zip(elements, _finer(mesh), strict=True))
    return elements, steps


def _elements(mesh: Mesh) -> tuple[int, ...]:
    return tuple(axis.elements for axis in mesh.axes)


def _finer(mesh: Mesh) -> tuple[int, ...]:
    return tuple(int(np.ceil(FINER[mesh.dimension] * axis.elements)) for axis in mesh.axes)


def _mesh(problem: Problem, elements: tuple[int, ...]) -> Mesh:
    return Mesh.build(problem.domain.box, problem.domain.walls, elements, problem.mesh.degree)

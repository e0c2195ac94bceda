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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.stage_solvers import NonFiniteError
from controlsde.problem import Problem
from controlsde.progress import Progress, Step
from controlsde.reference import Reference
from controlsde.rungs import Climbed, climb
from controlsde.solvers import Outcome, solver_named
from controlsde.solvers.end_limit import solve_within_limit
from controlsde.solvers.reduced import ReducedObjective
from controlsde.solvers.trust_region import projected_gradient_norm
from controlsde.tracking import TimeGrid, TrackingProblem, build_tracking

Array = NDArray[np.float64]

RESOLVED = 1e-2  # change of the density under refinement, over ‖p(T)‖, at which refinement stops
ACCEPTED = 3e-2  # and with which an answer is still taken where nothing may be refined, as in the certificate
SETTLING = 0.7  # refinement goes on while each one lessens the change by this factor; else the answer never settles
# beyond them a solve takes minutes
MOST_STAGE_VALUES = {
    "shooting": 1_000_000, "collocation": 40_000, "score-matching": 4_000_000, "switching": 4_000_000,
}  # fmt: skip
CANDIDATES = 4  # starts that are judged on the finer mesh, and go on there
MOST_ELEMENTS = {1: 40, 2: 6, 3: 3}  # per axis
MOST_STEPS = 16  # per piece
FINER = {1: 2.0, 2: 1.5, 3: 1.5}  # factor on the elements of every axis


Run = Callable[[TrackingProblem], Array]  # stage densities (K, S, s, n) of one drift on any discretisation


@dataclass(frozen=True, eq=False)
class Judged:
    """One outcome on a finer discretisation: J there, and how much the density moved (inf where it broke down)."""

    outcome: Outcome
    objective: float
    change: float


def solve_resolved(
    problem: Problem, reference: Reference, options: Any, progress: Progress, initial: tuple[Array, ...] = ()
) -> tuple[TrackingProblem, Outcome]:
    """Solve, judge on a finer mesh, refine where the problem says `auto`, and go on until the answer settles."""
    solve = _solver(options.kind)
    climbed = climb(problem, reference, options, progress, initial)
    tracking = build_tracking(problem, reference)
    spent = climbed.build_seconds, climbed.solve_seconds
    starts: tuple[float, ...] = ()  # of the problem itself: objectives of coarser ones are no measure of it
    if climbed.interrupted and climbed.weights:
        return tracking, _cut_short(tracking, climbed)
    if options.refine:
        initial = climbed.weights
        options = options.model_copy(update={"starts": max(1, len(initial))})
    change = float("inf")
    while True:
        best = solve(tracking, options, progress, initial)
        starts = starts or best.starts
        spent = spent[0] + best.build_seconds, spent[1] + best.solve_seconds
        judged: list[Judged] = []
        finer = None
        try:
            judged = _judge(problem, reference, tracking, best, progress)
            if judged and not best.interrupted:
                promising = min(judged, key=lambda one: one.objective)
                if RESOLVED < promising.change <= SETTLING * change:
                    finer = refined(problem, reference, tracking, _run(promising.outcome.weights))
                    change = promising.change
                if finer is not None and finer.targets.size > MOST_STAGE_VALUES[options.kind]:
                    finer = None
        except KeyboardInterrupt:  # what was solved is kept
            best, finer = replace(best, interrupted=True), None
        if finer is None:
            answer = _preferred(judged) if judged else best
            interrupted = best.interrupted
            return tracking, replace(
                answer, interrupted=interrupted, starts=starts, build_seconds=spent[0], solve_seconds=spent[1]
            )
        tracking = finer
        initial = tuple(one.outcome.weights for one in sorted(judged, key=lambda one: one.objective))
        options = options.going_on(len(initial))


def _cut_short(tracking: TrackingProblem, climbed: Climbed) -> Outcome:
    """The best answer of an interrupted rung, as the problem itself sees it."""
    weights = climbed.weights[0]
    value, gradient = ReducedObjective(tracking).value_and_gradient(weights)
    return Outcome(
        weights=weights,
        objective=value,
        gradient_norm=projected_gradient_norm(weights, gradient, tracking.bound),
        converged=False,
        interrupted=True,
        message="interrupted on a coarser problem; this is its best answer",
        iterations=0,
        history=(),
        build_seconds=climbed.build_seconds,
        solve_seconds=climbed.solve_seconds,
    )


def _solver(kind: str) -> Callable[..., Outcome]:
    """The solver of this name, with a search for the multiplier around it where the error at T is limited."""
    plain = solver_named(kind)

    def solve(tracking: TrackingProblem, options: Any, progress: Progress, initial: Sequence[Array] = ()) -> Outcome:
        if tracking.end_limit is None:
            return plain(tracking, options, progress, initial)
        return solve_within_limit(plain, tracking, options, progress, initial)

    return solve


def run_resolved(
    problem: Problem, reference: Reference, run: Run, grid: TimeGrid | None = None
) -> tuple[TrackingProblem, Array]:
    """A given drift on a discretisation that its density does not depend on, where the problem says `auto`.

    In one dimension: in more, a drift that varies in time would take minutes, and the first mesh has to do.

    grid: the time grid to begin with, where it is not the problem's own. Raises NonFiniteError when the density stops
    being finite.
    """
    tracking = build_tracking(problem, reference, grid=grid)
    while True:
        stages = run(tracking)
        finer = refined(problem, reference, tracking, run) if problem.dimension == 1 else None
        if finer is None:
            return tracking, stages
        tracking = finer


def refined(problem: Problem, reference: Reference, tracking: TrackingProblem, run: Run) -> TrackingProblem | None:
    """The tracking problem made finer in whatever moves the density and is `auto`; None where nothing is."""
    grid, elements = tracking.grid, _elements(tracking.mesh)
    smaller = replace(grid, steps_per_piece=min(2 * grid.steps_per_piece, MOST_STEPS))
    most = MOST_ELEMENTS[tracking.mesh.dimension]
    more = tuple(max(old, min(new, most)) for old, new in zip(elements, _finer(tracking.mesh), strict=True))
    in_time = problem.mesh.steps_per_piece == "auto" and smaller.steps_per_piece > grid.steps_per_piece
    in_space = problem.mesh.elements == "auto" and more != elements
    if not in_time and not in_space:
        return None
    stages = run(tracking)

    def moves(mesh: Mesh, grid: TimeGrid) -> bool:
        other = build_tracking(problem, reference, mesh, grid)
        return _change(tracking, stages, other, _attempt(run, other)) > RESOLVED / 2

    in_time = in_time and moves(_mesh(problem, elements), smaller)
    in_space = in_space and moves(_mesh(problem, more), grid)
    if not in_time and not in_space:
        return None
    mesh = _mesh(problem, more if in_space else elements)
    return build_tracking(problem, reference, mesh, smaller if in_time else grid)


def _judge(
    problem: Problem, reference: Reference, tracking: TrackingProblem, best: Outcome, progress: Progress
) -> list[Judged]:
    """The best few outcomes of a solve with J and the change of the density on a mesh and steps that are both finer."""
    outcomes = [one for one in (best, *best.others) if np.isfinite(one.objective)][:CANDIDATES]
    if not outcomes:
        return []
    progress(Step("checking on a finer mesh"))
    grid = replace(tracking.grid, steps_per_piece=2 * tracking.grid.steps_per_piece)
    finer = build_tracking(problem, reference, _mesh(problem, _finer(tracking.mesh)), grid)
    judged = []
    for one in outcomes:
        fine = _attempt(_run(one.weights), finer)
        objective = float("inf") if fine is None else float(finer.objective(fine, one.weights))
        judged.append(Judged(one, objective, _change(tracking, _run(one.weights)(tracking), finer, fine)))
    return judged


def _preferred(judged: list[Judged]) -> Outcome:
    """The least objective among the answers that survive refinement, or, if none does, on the finer mesh."""
    survivors = [one for one in judged if one.change <= ACCEPTED]
    if survivors:
        return min(survivors, key=lambda one: one.outcome.objective).outcome
    return min(judged, key=lambda one: one.objective).outcome


def _run(weights: Array) -> Run:
    return lambda tracking: ReducedObjective(tracking).stages(weights)


def _attempt(run: Run, tracking: TrackingProblem) -> Array | None:
    try:
        return run(tracking)
    except NonFiniteError:
        return None


def _change(tracking: TrackingProblem, stages: Array, finer: TrackingProblem, fine: Array | None) -> float:
    """Largest ‖change of ρ‖ / ‖p(T)‖ over the ends of the pieces; inf where the finer run broke down."""
    if fine is None:
        return float("inf")
    target = finer.targets[-1, -1, -1]
    scale = float(np.sqrt(target**2 @ finer.mesh.mass))
    return max(
        finer.mesh.l2_distance(finer.mesh.to_grid(after), tracking.mesh, tracking.mesh.to_grid(before)) / scale
        for before, after in zip(stages[:, -1, -1], fine[:, -1, -1], strict=True)
    )


def _elements(mesh: Mesh) -> tuple[int, ...]:
    return tuple(axis.elements for axis in mesh.axes)


def _finer(mesh: Mesh) -> tuple[int, ...]:
    return tuple(int(np.ceil(FINER[mesh.dimension] * axis.elements)) for axis in mesh.axes)


def _mesh(problem: Problem, elements: tuple[int, ...]) -> Mesh:
    return Mesh.build(problem.domain.box, problem.domain.walls, elements, problem.mesh.degree)

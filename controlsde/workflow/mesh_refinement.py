"""Solve on a mesh and a time grid that the answer does not depend on.

Comes in: a problem, its reference, a solver's options. Goes out: the tracking problem that was solved last, and the
outcome there.

A noise-free optimum makes densities much sharper than the reference, and an optimiser that sees one coarse mesh
happily exploits its errors. So every answer is run again, with the same weights, on a finer mesh and with smaller
steps. Where `auto` allows, what moves the density is refined, and the most promising starts go on from where they
are. What is given in numbers is never changed; then an answer that survives the finer mesh goes before one that
does not, and its message says which lower ones were set aside, and why. (The verification measures all this again, by
other integrators.)

A limit on the error at T is met on a mesh that is finer still: what the solver's own mesh adds to that error can be
more than the limit leaves. Where `auto` allows, refinement goes on until that is little of the limit.

J has one meaning: that of the problem, for one start's weights, on the mesh that was solved last. So of the starts that
stayed behind on a coarser mesh J is taken anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.progress import Progress, Step
from controlsde.problem import Problem
from controlsde.problem.solver_specs import SolverOptions
from controlsde.registry import SOLVERS
from controlsde.solvers.declaration import Solver
from controlsde.solvers.end_limit import solve_within_limit
from controlsde.solvers.outcome import Outcome, carried_on, reached
from controlsde.solvers.shooting.trust_region import projected_gradient_norm
from controlsde.tracking.objective import Objective, device_of
from controlsde.tracking.posed import Posed
from controlsde.tracking.time_grid import TimeGrid
from controlsde.tracking.tracking_problem import Run, TrackingProblem
from controlsde.verification.certificate import LIMITS
from controlsde.workflow.continuation import Continued, solve_levels

Array = NDArray[np.float64]

RESOLVED = 1e-2  # change of the density under refinement, over ‖p(T)‖, at which refinement stops
ACCEPTED = LIMITS["refined_l2_change"]  # and with which an answer is still taken where nothing may be refined
END_SHIFT = 0.1  # of a limit at T: what refinement adds to the error there, at which it stops
END_STEPS = 4  # times the steps, on finer elements, with which the error at T is measured
SETTLING = 0.7  # refinement goes on while each one lessens the change by this factor; else the answer never settles
CANDIDATES = 4  # starts that are judged on the finer mesh, and go on there
MOST_ELEMENTS = {1: 40, 2: 6, 3: 3}  # per axis
MOST_STEPS = 16  # per piece
FINER = {1: 2.0, 2: 1.5, 3: 1.5}  # factor on the elements of every axis


@dataclass(frozen=True, eq=False)
class Judged:
    """One outcome on a finer discretisation: J there, and how much the density moved (inf where it broke down)."""

    outcome: Outcome
    objective: float
    change: float


@dataclass(frozen=True, eq=False)
class Followed:
    """The weights (K, P) that each start of a problem reached so far, in order; None where it broke down or was left.

    came: of the starts of the solve under way, from which of the first they come.
    """

    weights: tuple[Array | None, ...]
    came: tuple[int, ...]

    @staticmethod
    def to(best: Outcome) -> Followed:
        """What the starts of the first solve reached."""
        count = len(best.starts)
        return Followed((None,) * count, tuple(range(count))).updated(best)

    def updated(self, best: Outcome) -> Followed:
        """The same with what another solve made of those that went on."""
        weights = list(self.weights)
        for one in (best, *best.others):
            if self.came and np.isfinite(one.objective):
                weights[self.came[one.start]] = one.weights
        return replace(self, weights=tuple(weights))

    def going_on(self, outcomes: Sequence[Outcome]) -> Followed:
        """The same, where these outcomes are the next starts."""
        return replace(self, came=tuple(self.came[one.start] for one in outcomes) if self.came else ())

    def objectives(self, best: Outcome, value: Callable[[Array | None], float]) -> tuple[float, ...]:
        """J of each start: as the last solve found it, of the other weights by `value`."""
        known = {self.came[one.start]: one.objective for one in (best, *best.others)} if self.came else {}
        return tuple(
            known[number] if number in known else value(weights) for number, weights in enumerate(self.weights)
        )


def solve_resolved(
    posed: Posed,
    options: SolverOptions,
    progress: Progress,
    initial: tuple[Array, ...] = (),
    executor: Executor | None = None,
) -> tuple[TrackingProblem, Outcome]:
    """Solve, judge on a finer mesh, refine where the problem says `auto`, and go on until the answer settles.

    executor: where starts may run, by default processes of this machine.
    """
    continued = solve_levels(posed, options, progress, initial, executor)
    tracking = posed.on()
    spent = continued.build_seconds, continued.solve_seconds
    if continued.interrupted and continued.weights:
        return tracking, _cut_short(tracking, continued)
    if options.refine:
        initial = continued.weights
        options = options.model_copy(update={"starts": max(1, len(initial))})
    followed: Followed | None = None  # of the problem itself: objectives of coarser ones are no measure of it
    change = float("inf")
    parents: Sequence[Outcome] = ()  # what the starts of the solve under way reached on the mesh before
    while True:
        best = _descended(parents, _solve(posed, tracking, options, progress, initial, executor))
        followed = Followed.to(best) if followed is None else followed.updated(best)
        spent = spent[0] + best.build_seconds, spent[1] + best.solve_seconds
        judged: list[Judged] = []
        finer, starts = None, followed.objectives(best, lambda _: float("nan"))
        try:
            best = _blamed(posed, tracking, best)
            judged = _judge(posed, tracking, best, progress)
            if judged and not best.interrupted:
                promising = min(judged, key=lambda one: one.objective)
                finer = _next(posed, tracking, promising, change)
                change = promising.change
                if finer is not None and finer.targets.size > SOLVERS[options.kind].most_stage_values:
                    finer = None
            if finer is None:
                starts = followed.objectives(best, partial(_value, tracking))
        except KeyboardInterrupt:  # what was solved is kept
            best, finer = replace(best, interrupted=True), None
        if finer is None:
            answer = replace(_told(best, judged, starts), build_seconds=spent[0], solve_seconds=spent[1])
            return tracking, answer
        tracking = finer
        parents = [one.outcome for one in sorted(judged, key=lambda one: one.objective)]
        initial, followed = tuple(one.weights for one in parents), followed.going_on(parents)
        options = options.going_on(len(initial))


def _descended(parents: Sequence[Outcome], best: Outcome) -> Outcome:
    """An outcome and its others, whose histories and iterations go back to the first mesh."""

    def one(child: Outcome) -> Outcome:
        if child.start >= len(parents):
            return child
        parent = parents[child.start]
        history = carried_on(parent.history, child.history)
        return replace(child, history=history, iterations=parent.iterations + child.iterations)

    return replace(one(best), others=tuple(one(other) for other in best.others))


def _next(posed: Posed, tracking: TrackingProblem, promising: Judged, change: float) -> TrackingProblem | None:
    """The finer problem to go on with; None where the answer has settled, will not, or nothing may be refined.

    change: of the density under the refinement before this one.
    """
    run = _run(promising.outcome.weights)
    if not promising.change <= SETTLING * change:
        return None
    if promising.change > RESOLVED:
        return refined(posed, tracking, run)
    limit = tracking.end_limit
    if limit is None:
        return None
    shift = abs(_end_error(posed, tracking)(promising.outcome.weights) - tracking.end_error(run(tracking)))
    # of elements and steps at least one makes up half of the change
    return refined(posed, tracking, run, 0.4 * promising.change) if shift > END_SHIFT * limit else None


def _told(best: Outcome, judged: list[Judged], starts: tuple[float, ...]) -> Outcome:
    """The answer among the judged, which says why lower ones were set aside; `best` where nothing was judged."""
    answer = _preferred(judged) if judged else best
    words = _why_not_lower(answer, judged, starts)
    message = f"{answer.message}; {words}" if words else answer.message
    return replace(answer, message=message, interrupted=best.interrupted, starts=starts)


def _why_not_lower(answer: Outcome, judged: list[Judged], starts: tuple[float, ...]) -> str:
    """Which starts with a lower objective are not the answer, and why; nothing where there are none."""
    lower = reached(starts, answer.objective).set_aside
    if not lower or not judged:
        return ""
    known = {one.outcome.objective: one for one in judged}
    reasons = [f"{value:.4g}, {_fault(known[value], known[answer.objective])}" for value in lower if value in known]
    left = len(lower) - len(reasons)
    if left:
        reasons.append(f"{left} that {'was' if left == 1 else 'were'} higher on a coarser mesh")
    several = f"{len(lower)} starts with lower objectives were"
    which = "a start with a lower objective was" if len(lower) == 1 else several
    return f"{which} set aside: {'; '.join(reasons)}"


def _fault(one: Judged, answer: Judged) -> str:
    """What a finer mesh shows of an outcome with a lower objective than the answer's."""
    if not np.isfinite(one.change):
        return "whose density breaks down on a finer mesh"
    if answer.change <= ACCEPTED:
        return f"whose density moves by {one.change:.2g} of ‖p(T)‖ on a finer mesh, where {ACCEPTED:g} is accepted"
    return f"which is {one.objective:.4g} on a finer mesh, where this answer has {answer.objective:.4g}"


def _blamed(posed: Posed, tracking: TrackingProblem, best: Outcome) -> Outcome:
    """An outcome whose error at T its mesh does not show with what that is owed to: elements or steps."""
    if best.termination.reason != "unseen-error":
        return best
    run, own = _run(best.weights), tracking.end_error(_run(best.weights)(tracking))
    smaller = replace(tracking.grid, steps_per_piece=END_STEPS * tracking.grid.steps_per_piece)
    others = {
        "elements": posed.on(posed.mesh(_finer(tracking.mesh)), tracking.grid),
        "steps": posed.on(posed.mesh(_elements(tracking.mesh)), smaller),
    }
    shifts = {name: abs(_measured(run, other) - own) for name, other in others.items()}
    return replace(best, termination=replace(best.termination, what=max(shifts, key=lambda name: shifts[name])))


def _cut_short(tracking: TrackingProblem, continued: Continued) -> Outcome:
    """The best answer of an interrupted level, as the problem itself sees it."""
    weights = continued.weights[0]
    value, gradient = Objective(tracking).value_and_gradient(weights)
    return Outcome(
        weights=weights,
        objective=value,
        gradient_norm=projected_gradient_norm(weights, gradient, tracking.bound),
        converged=False,
        interrupted=True,
        message="interrupted on a coarser problem; this is its best answer",
        iterations=0,
        history=(),
        build_seconds=continued.build_seconds,
        solve_seconds=continued.solve_seconds,
    )


def _solve(
    posed: Posed,
    tracking: TrackingProblem,
    options: SolverOptions,
    progress: Progress,
    initial: Sequence[Array],
    executor: Executor | None,
) -> Outcome:
    """The outcome of the solver that the options name, with a search for the multiplier where the error is limited."""
    solver: Solver = SOLVERS[options.kind]
    objective = Objective(tracking, device_of(options))
    if tracking.end_limit is None:
        return solver.solve(objective, options, progress, initial, executor)
    end_error = _end_error(posed, tracking)
    return solve_within_limit(
        partial(solver.solve, executor=executor), objective, options, progress, initial, end_error
    )


def _end_error(posed: Posed, tracking: TrackingProblem) -> Callable[[Array], float]:
    """‖ρ(T) − p(T)‖ of weights (K, P), nearly as the verification will find it: with more elements, smaller steps."""
    grid = replace(tracking.grid, steps_per_piece=END_STEPS * tracking.grid.steps_per_piece)
    finer = posed.on(posed.mesh(_finer(tracking.mesh)), grid)
    return lambda weights: _measured(_run(weights), finer)


def _measured(run: Run, tracking: TrackingProblem) -> float:
    """‖ρ(T) − p(T)‖ on this discretisation; inf where the density breaks down."""
    stages = _attempt(run, tracking)
    return float("inf") if stages is None else tracking.end_error(stages)


def _value(tracking: TrackingProblem, weights: Array | None) -> float:
    """J of weights (K, P); nan where there are none, or the density breaks down."""
    try:
        return float("nan") if weights is None else float(Objective(tracking).value(weights))
    except NonFiniteError:
        return float("nan")


def run_resolved(posed: Posed, run: Run, grid: TimeGrid | None = None) -> tuple[TrackingProblem, Array]:
    """A given drift on a discretisation that its density does not depend on, where the problem says `auto`.

    In one dimension: in more, a drift that varies in time would take minutes, and the first mesh has to do.

    grid: the time grid to begin with, where it is not the problem's own. Raises NonFiniteError when the density stops
    being finite.
    """
    tracking = posed.on(grid=grid)
    while True:
        stages = run(tracking)
        finer = refined(posed, tracking, run) if posed.problem.dimension == 1 else None
        if finer is None:
            return tracking, stages
        tracking = finer


def refined(posed: Posed, tracking: TrackingProblem, run: Run, moved: float = RESOLVED / 2) -> TrackingProblem | None:
    """The tracking problem made finer in whatever moves the density by more than `moved` and is `auto`, or None."""
    grid, elements = tracking.grid, _elements(tracking.mesh)
    smaller = replace(grid, steps_per_piece=min(2 * grid.steps_per_piece, MOST_STEPS))
    most = MOST_ELEMENTS[tracking.mesh.dimension]
    more = tuple(max(old, min(new, most)) for old, new in zip(elements, _finer(tracking.mesh), strict=True))
    in_time = posed.problem.mesh.steps_per_piece == "auto" and smaller.steps_per_piece > grid.steps_per_piece
    in_space = posed.problem.mesh.elements == "auto" and more != elements
    if not in_time and not in_space:
        return None
    stages = run(tracking)

    def moves(mesh: Mesh, grid: TimeGrid) -> bool:
        other = posed.on(mesh, grid)
        return _change(tracking, stages, other, _attempt(run, other)) > moved

    in_time = in_time and moves(posed.mesh(elements), smaller)
    in_space = in_space and moves(posed.mesh(more), grid)
    if not in_time and not in_space:
        return None
    mesh = posed.mesh(more if in_space else elements)
    return posed.on(mesh, smaller if in_time else grid)


def _judge(posed: Posed, tracking: TrackingProblem, best: Outcome, progress: Progress) -> list[Judged]:
    """The best few outcomes of a solve with J and the change of the density on a mesh and steps that are both finer."""
    outcomes = [one for one in (best, *best.others) if np.isfinite(one.objective)][:CANDIDATES]
    if not outcomes:
        return []
    progress(Step("checking on a finer mesh"))
    grid = replace(tracking.grid, steps_per_piece=2 * tracking.grid.steps_per_piece)
    finer = posed.on(posed.mesh(_finer(tracking.mesh)), grid)
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
    return lambda tracking: Objective(tracking).stages(weights)


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
    pairs = zip(tracking.ends(stages), finer.ends(fine), strict=True)
    return max(after.distance(before) / scale for before, after in pairs)


def _elements(mesh: Mesh) -> tuple[int, ...]:
    return tuple(axis.elements for axis in mesh.axes)


def _finer(mesh: Mesh) -> tuple[int, ...]:
    return tuple(int(np.ceil(FINER[mesh.dimension] * axis.elements)) for axis in mesh.axes)


def _mesh(problem: Problem, elements: tuple[int, ...]) -> Mesh:
    return Mesh.build(problem.domain.box, problem.domain.walls, elements, problem.mesh.degree)

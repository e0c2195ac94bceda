"""The way from a problem to a result: reference → tracking → solver → controls → verification → diagnosis → result.

Comes in: a problem (and controls, or the problem's own drift, for `evaluate`). Goes out: a `Result`.
"""

from __future__ import annotations

import time
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import Drift, ExactDrift, given_drift, network_drift
from controlsde.diagnosis import Case, Diagnosis, diagnose
from controlsde.diagnosis.trials import try_out, walls
from controlsde.execution.executors import given_or_own
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.errors import EXIT_NOT_CONVERGED, ControlsdeError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.foundation.versions import versions
from controlsde.problem import Problem
from controlsde.problem.solver_specs import SolverOptions
from controlsde.problem.values import dotted
from controlsde.registry import SOLVERS
from controlsde.result.result import Result
from controlsde.solvers.outcome import Beginning, Termination, history_of, rows_that_begin
from controlsde.tracking.free_lengths import logits_of
from controlsde.tracking.free_posed import FreePosed
from controlsde.tracking.objective import Objective, device_of
from controlsde.tracking.posed import Posed
from controlsde.tracking.time_grid import TimeGrid
from controlsde.tracking.tracking_problem import Run, TrackingProblem
from controlsde.verification import DiscreteRun, Evidence, TrackingErrors
from controlsde.verification.verifying import verify
from controlsde.workflow.mesh_refinement import run_resolved, solve_resolved

Array = NDArray[np.float64]


class SolveError(ControlsdeError, RuntimeError):
    """A solve that left nothing to report: no start could be evaluated. `diagnosis` says why, most likely first."""

    exit_code = EXIT_NOT_CONVERGED

    def __init__(self, message: str, diagnosis: tuple[Diagnosis, ...] = ()) -> None:
        super().__init__(message)
        self.diagnosis = diagnosis


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the verification is asked to judge, and how it came about.

    run: the stage densities of its drift on any discretisation.
    """

    run: Run
    termination: Termination
    solver: str
    status: str
    message: str
    objective: float
    gradient_norm: float | None
    iterations: int
    history: Array
    beginnings: tuple[Beginning, ...]
    starts: tuple[float, ...]
    seconds: dict[str, float]
    controls: Controls | None
    device: str = "cpu"
    known: float | None = None  # J that another search reached


@own_settings()
def solve(
    problem: Problem,
    solver: str | None = None,
    progress: Progress = silent,
    initial: Controls | None = None,
    executor: Executor | None = None,
) -> Result:
    """Solve a problem and verify the answer.

    solver: a kind of solver in place of the problem's own, with its default options. initial: controls to start from.
    executor: where starts run side by side when that pays; by default processes of this machine. Raises SolveError when
    nothing could be evaluated, ReferenceError when the reference cannot be built, ControlsError when `initial` does not
    fit. A keyboard interrupt returns the best point so far, with status `interrupted`.
    """
    if problem.drift is not None:
        raise SolveError("the problem gives its own drift: evaluate it instead, or remove `drift:`")
    options = solver_options(problem, solver)
    began = time.perf_counter()
    progress(Step("building the reference"))
    posed = Posed.of(problem)
    start = () if initial is None else (initial_weights(posed, initial),)
    with given_or_own(executor) as pool:
        return solve_posed(posed, options, progress, start, time.perf_counter() - began, pool)


def solve_posed(
    posed: Posed,
    options: SolverOptions,
    progress: Progress,
    start: tuple[Array, ...] = (),
    prepared: float = 0.0,
    executor: Executor | None = None,
) -> Result:
    """Solve a tracking problem from these weights (K, P) among others, and verify the answer.

    prepared: the seconds that were spent before. executor: where starts may run. Errors and interruptions as of
    `solve`.
    """
    tracking, outcome = solve_resolved(posed, options, progress, start, executor)
    tracking, weights = tracking.settled(outcome.weights)
    posed = posed.changed(solver=options)

    def run(other: TrackingProblem) -> Array:
        return Objective(other).stages(weights if other.free is None else outcome.weights)

    answer = _Answer(
        run=run,
        termination=outcome.termination,
        solver=options.kind,
        status="interrupted" if outcome.interrupted else "converged" if outcome.converged else "not-converged",
        message="interrupted; this is the best point so far" if outcome.interrupted else outcome.message,
        objective=outcome.objective,
        gradient_norm=outcome.gradient_norm,
        iterations=outcome.iterations,
        history=history_of(outcome),
        beginnings=tuple(row.begins for row in outcome.history),
        starts=outcome.starts,
        seconds={"build": prepared + outcome.build_seconds, "solve": outcome.solve_seconds},
        controls=tracking.controls(weights),
        device=device_of(options),
        known=outcome.known,
    )
    if not np.isfinite(outcome.objective):
        if outcome.interrupted:
            raise KeyboardInterrupt
        raise SolveError(outcome.message, diagnose(_case(posed.problem, tracking, answer)))
    stages = answer.run(tracking)
    drift = network_drift(tracking.network, tracking.controls(weights), posed.reference.horizon)
    try:
        return _verified(posed, tracking, stages, drift, answer, progress, thorough=not outcome.interrupted)
    except KeyboardInterrupt:
        if outcome.interrupted:
            raise
    # The controls are worth keeping: judge them without particles. A second interruption ends it all.
    message = "interrupted while it was verified; the controls are the solver's answer"
    answer = replace(answer, status="interrupted", message=message, termination=Termination("interrupted"))
    return _verified(posed, tracking, stages, drift, answer, progress, thorough=False)


@own_settings()
def evaluate(problem: Problem, controls: Controls | None = None, progress: Progress = silent) -> Result:
    """Verify given controls, or the problem's own `drift:`, without solving.

    Raises ControlsError when there is neither, or the controls do not fit the problem.
    """
    began = time.perf_counter()
    progress(Step("building the reference"))
    posed = Posed.of(problem)
    reference = posed.reference
    drift: Drift | None
    if controls is not None:
        drift = network_drift(posed.network, controls, reference.horizon)
    else:
        drift = given_drift(problem, reference, posed.grid.edges)
    if drift is None:
        raise ControlsError("must be given, or a `drift:` in the problem: nothing to evaluate", argument="controls")
    grid = TimeGrid(drift.edges, problem.mesh.first_steps, problem.mesh.stages)
    diffusivity = posed.diffusivity
    built = time.perf_counter()

    def run(tracking: TrackingProblem) -> Array:
        return discrete_stages(tracking, drift, diffusivity)

    try:
        tracking, stages = run_resolved(posed.with_given_pieces, run, grid)
    except NonFiniteError as error:
        raise ControlsError(f"{error.what} is not finite in piece {error.piece + 1}") from None
    weights = np.zeros(tracking.weight_shape) if controls is None else tracking.flatten(controls)
    answer = _Answer(
        run=run,
        termination=Termination("converged"),
        solver="given" if controls is not None else f"drift: {problem.drift.kind if problem.drift else ''}",
        status="given",
        message="given, not solved for",
        objective=float(tracking.objective(stages, weights)),
        gradient_norm=None,
        iterations=0,
        history=np.zeros((0, 3)),
        beginnings=(),
        starts=(),
        seconds={"build": built - began, "solve": time.perf_counter() - built},
        controls=controls,
    )
    return _verified(posed, tracking, stages, drift, answer, progress, thorough=True)


def discrete_stages(tracking: TrackingProblem, drift: Drift, diffusivity: Diffusivity) -> Array:
    """Stage densities (K, S, s, n) of any drift on the tracking problem's own mesh and time grid, with D = ηD₀(t)."""
    operator, grid = tracking.operator, tracking.grid
    stages = np.empty_like(tracking.targets)
    density = tracking.initial
    for piece in range(grid.pieces):
        edges = np.linspace(grid.edges[piece], grid.edges[piece + 1], grid.steps_per_piece + 1)
        values = evolve(
            operator,
            lambda t, piece=piece: drift.values(piece, t, operator.drift_points),  # type: ignore[misc]
            density,
            edges,
            grid.stages,
            diffusivity=diffusivity.at,
            steady=drift.constant and diffusivity.steady,
        )
        if not np.all(np.isfinite(values)):
            raise NonFiniteError(piece, "the density")
        stages[piece] = values
        density = values[-1, -1]
    return stages


def solver_options(problem: Problem, solver: str | None) -> SolverOptions:
    """The problem's solver options, or the defaults of another kind of solver.

    Raises ValueError for no such kind, or one that does not fit the problem.
    """
    from controlsde.problem.checks import inconsistencies

    if solver is None or solver == problem.solver.kind:
        return problem.solver
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)} (got {solver!r})")
    options: SolverOptions = problem.with_usual(SOLVERS[solver].options(seed=problem.solver.seed))
    for where, fault in inconsistencies(problem.model_copy(update={"solver": options})):
        raise ValueError(f"{dotted(where)} {fault}")
    return options


def initial_weights(posed: Posed | FreePosed, initial: Controls) -> Array:
    """The given controls as flattened weights (K, P) on the problem's pieces, of free lengths with theirs.

    Raises ControlsError where they do not fit.
    """
    network, pieces = posed.network, posed.problem.controls.pieces
    network_drift(network, initial, posed.reference.horizon)
    if pieces % initial.pieces:
        raise ControlsError(f"the initial controls have {initial.pieces} pieces, the problem {pieces}: not a multiple")
    split = initial.split(pieces // initial.pieces)
    weights = network.join(split.A, split.W, split.b)
    if posed.problem.controls.free:
        shortest = posed.problem.controls.shortest_of(posed.reference.horizon)
        weights = np.append(weights, logits_of(np.diff(split.times), shortest)[:, None], axis=1)
    return weights


def _on_last_mesh(answer: _Answer) -> Array:
    """The rows of its history since the mesh last became finer: those that say how the solver came to its end."""
    finer = rows_that_begin(answer.beginnings, "finer mesh")
    return answer.history[finer[-1] if len(finer) else 0 :]


def _verified(
    posed: Posed,
    tracking: TrackingProblem,
    stages: Array,
    drift: Drift,
    answer: _Answer,
    progress: Progress,
    *,
    thorough: bool,
) -> Result:
    began = time.perf_counter()
    times, curve = tracking.l2_curve(stages)
    run = DiscreteRun(tracking.mesh, tracking.ends(stages), times, curve)
    evidence: Evidence = verify(posed, drift, run, answer.gradient_norm, progress, thorough=thorough)
    case = _case(posed.problem, tracking, answer, evidence)
    if case.in_trouble:
        progress(Step("looking for what went wrong"))
        case = _examined(case, posed, tracking, drift, answer, evidence)
    l2_rms = float(np.sqrt(np.sum(tracking.grid.quadrature.ravel() * curve[1:] ** 2) / posed.reference.horizon))
    seconds = {**answer.seconds, "verify": time.perf_counter() - began}
    return Result(
        problem=posed.problem,
        solver=answer.solver,
        status=answer.status,
        message=answer.message,
        objective=answer.objective,
        iterations=answer.iterations,
        seconds={key: round(value, 3) for key, value in seconds.items()},
        tracking=evidence.tracking,
        discrete=TrackingErrors(float(curve.max()), l2_rms, float(curve[-1]), float(curve[0])),
        certificate=evidence.certificate,
        promises=evidence.promises,
        energy=evidence.energy,
        fields=evidence.fields,
        controls=answer.controls,
        history=answer.history,
        beginnings=answer.beginnings,
        starts=answer.starts,
        diagnosis=diagnose(case),
        versions=versions(),
        transport=evidence.transport,
        device=answer.device,
    )


def _case(problem: Problem, tracking: TrackingProblem, answer: _Answer, evidence: Evidence | None = None) -> Case:
    """What is known of an answer, for a diagnosis; without evidence where nothing could be evaluated."""
    worst = answer.termination.violation
    target = tracking.targets[-1, -1, -1]
    error = None
    if evidence is not None:
        error = evidence.tracking.l2_final / float(np.sqrt(target**2 @ tracking.mesh.mass))
    return Case(
        problem=problem,
        network=tracking.network,
        controls=answer.controls,
        status=answer.status,
        message=answer.message,
        termination=answer.termination,
        iterations=answer.iterations,
        gradient_norm=float("nan") if answer.gradient_norm is None else answer.gradient_norm,
        history=_on_last_mesh(answer),
        starts=answer.starts,
        objective=answer.objective,
        known=answer.known,
        elements=tuple(axis.elements for axis in tracking.mesh.axes),
        steps=tracking.grid.steps_per_piece,
        place=None if worst is None else tracking.mesh.place(worst.unknown),
        certificate=evidence.certificate if evidence else None,
        error=error,
        unseen=evidence.unseen if evidence else None,
        forward_unseen=evidence.forward_unseen if evidence else None,
        time_error=evidence.time_error if evidence else 0.0,
    )


def _examined(
    case: Case, posed: Posed, tracking: TrackingProblem, drift: Drift, answer: _Answer, evidence: Evidence
) -> Case:
    """The case with what must be run to tell its causes apart."""
    problem, reference = posed.problem, posed.reference

    def exact(tracking: TrackingProblem) -> Array:
        exact_drift = ExactDrift(reference, problem.noise, tracking.grid.edges, problem.domain.box)
        return discrete_stages(tracking, exact_drift, posed.diffusivity)

    run_exact = exact if case.poor else None
    trials = try_out(posed, tracking, answer.run, run_exact, evidence.certificate, evidence.fields)
    piled = walls(tracking, reference, drift, evidence.fields) if problem.noise == 0 and case.failed else ()
    return replace(case, trials=trials, walls=piled)

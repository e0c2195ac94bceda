"""Direct collocation: states and weights together in one sparse nonlinear program, solved by IPOPT or FATROP.

Comes in: an objective and options. Goes out: an `Outcome`, the multipliers and the costates. A cold start puts
the states on the reference and the weights at random, or as switching constructs them; a warm start takes weights and,
where given, duals. From one cold start, programs of this family end up to several times as high as the best that is
known; by default a search by shooting says where to begin.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.fokker_planck.radau import radau
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import one_thread
from controlsde.solvers.collocation.fatrop import require_fatrop, solve_stage_wise
from controlsde.solvers.collocation.free_lengths import transcribe_free
from controlsde.solvers.collocation.nonlinear_program import (
    IterateLog,
    NlpSolution,
    WarmStart,
    casadi_alone,
    interrupt_sets,
)
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.collocation.stage_wise import StageWiseProgram, stage_wise
from controlsde.solvers.collocation.transcription import Transcription, transcribe
from controlsde.solvers.outcome import Outcome, Reason, Termination, Violation
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.shooting.trust_region import projected_gradient_norm
from controlsde.solvers.starts import starts_from
from controlsde.solvers.workers import Stopped, Workers
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]

# MUMPS's default pivot tolerance (1e-6) sends IPOPT into regularisation on this family of problems; METIS ordering
# and its own scaling decide the time of a factorisation in two dimensions.
IPOPT_OPTIONS: dict[str, Any] = {
    "ipopt.linear_solver": "mumps",
    "ipopt.mumps_pivtol": 1e-2,
    "ipopt.mumps_pivot_order": 5,
    "ipopt.mumps_scaling": 8,
    "ipopt.mumps_mem_percent": 200,
    "ipopt.print_level": 0,
    "ipopt.sb": "yes",
    "print_time": False,
}
WARM_OPTIONS: dict[str, Any] = {
    "ipopt.warm_start_init_point": "yes",
    "ipopt.mu_init": 1e-9,
    "ipopt.warm_start_bound_push": 1e-12,
    "ipopt.warm_start_bound_frac": 1e-12,
    "ipopt.warm_start_slack_bound_push": 1e-12,
    "ipopt.warm_start_slack_bound_frac": 1e-12,
    "ipopt.warm_start_mult_bound_push": 1e-12,
}

SHORT_SEARCH = {1: (8, 64), 2: (2, 0)}  # starts and hops of a short search by shooting, by dimension

REASONS: dict[str, Reason] = {  # the solvers' words in ours
    "Solve_Succeeded": "converged",
    "User_Requested_Stop": "interrupted",
    "Maximum_Iterations_Exceeded": "iterations",
    "Infeasible_Problem_Detected": "infeasible",
    "Restoration_Failed": "infeasible",
    "Invalid_Number_Detected": "non-finite",
    "Error_In_Step_Computation": "no-descent",
    "Search_Direction_Becomes_Too_Small": "no-descent",
    "Solved_To_Acceptable_Level": "loose",
}


def warm_start_from(objective: Objective, weights: Array) -> WarmStart:
    """Primal and dual start at weights found by shooting.

    With stage multipliers Λ of the adjoint, λ_i = −Σ_j a_ji Λ_j makes the Lagrangian of the program stationary in
    the states (derived here).
    """
    stage_multipliers = objective.multipliers(weights)
    a = radau(objective.tracking.grid.stages).a
    return WarmStart(weights, objective.stages(weights), -np.einsum("ji,KSjn->KSin", a, stage_multipliers))


def solve_nlp(
    transcription: Transcription,
    start: WarmStart,
    iterations: int,
    tolerance: float,
    progress: Progress = silent,
    task: str = "collocation",
    options: dict[str, Any] | None = None,
) -> NlpSolution:
    """Run IPOPT once. A keyboard interrupt stops it and keeps its last iterate (status User_Requested_Stop)."""
    log = IterateLog(progress, task)
    monitor = _Monitor(transcription, log)
    settings = {**IPOPT_OPTIONS, "ipopt.max_iter": iterations, "ipopt.tol": tolerance, **(options or {})}
    arguments: dict[str, Any] = {}
    if start.multipliers is not None:
        settings.update(WARM_OPTIONS)
        x0 = transcription.pack(start.weights, start.stages)
        arguments["lam_g0"] = transcription.of_constraints(start.multipliers, x0)
    solver = ca.nlpsol(
        "collocation",
        "ipopt",
        transcription.nlp,
        {
            **settings,
            **transcription.derivatives,
            "iteration_callback": monitor,
            "iteration_callback_ignore_errors": False,
        },
    )
    with interrupt_sets(log), one_thread():  # now that IPOPT and its BLAS are loaded
        answer = solver(
            x0=transcription.pack(start.weights, start.stages),
            lbx=transcription.lower,
            ubx=transcription.upper,
            lbg=0.0,
            ubg=0.0,
            **arguments,
        )
    weights, stages = transcription.unpack(np.asarray(answer["x"]).ravel())
    multipliers = np.asarray(answer["lam_g"]).ravel()
    stats = solver.stats()
    return NlpSolution(
        weights=weights,
        stages=stages,
        multipliers=transcription.of_steps(multipliers),
        costates=transcription.costates(multipliers),
        objective=float(answer["f"]),
        iterations=int(stats["iter_count"]),
        success=str(stats["return_status"]) == "Solve_Succeeded",  # not "to acceptable level"
        status=str(stats["return_status"]),
        history=tuple(log.history),
        last_weights=tuple(log.weights),
        violation=_worst(transcription.of_steps(np.asarray(answer["g"]))),
        regularisation=tuple(stats["iterations"].get("regularization_size", ())),
    )


def _worst(residual: Array) -> Violation:
    """The largest residual (K, S, s, n) of the state equation, and where it is; a number that is none counts most."""
    size = np.where(np.isfinite(residual), np.abs(residual), np.inf)
    place = np.unravel_index(int(np.argmax(size)), size.shape)
    return Violation(float(size[place]), *(int(part) for part in place))


@casadi_alone()
def solve(
    objective: Objective,
    options: Collocation,
    progress: Progress = silent,
    initial: Sequence[Array] = (),
    executor: Executor | None = None,
) -> Outcome:
    """Minimise J by collocation from `options.starts` starts, and return the best.

    initial: weights (K, P) for warm starts in primal and dual. executor: where starts may run, by default processes of
    this machine. The objective evaluates the answers once more, through
    the state equation.
    """
    began = time.perf_counter()
    program = _program(objective.tracking, options)
    built = time.perf_counter()
    asked = options.start == "shooting" and len(initial) < options.starts
    shot = _shot(objective, options, progress, executor, whole=objective.uses_loops) if asked else None
    if shot is not None and shot.interrupted:
        return shot
    warm = [*initial, *([shot.weights] if shot is not None and shot.converged else [])]
    cold: Literal["random", "switching"] = "random" if options.start == "shooting" else options.start
    points = starts_from(objective, warm, options.starts, options.seed, cold, progress)
    starts = [_Start(weights, number < len(warm)) for number, weights in enumerate(points)]

    def here(number: int, start: _Start) -> Outcome:
        task = f"collocation, start {number + 1}/{len(starts)}"
        return _solve_one(program, objective, options, start, progress, task)

    def finished(count: int, outcome: Outcome) -> None:
        progress(Step(f"collocation: {count} of {len(starts)} starts done", None, outcome.objective))

    with Workers(executor) as workers:
        ended = workers.run(starts, here, partial(_solve_elsewhere, objective, options), finished)
    outcomes = [replace(one, start=number) for number, one in enumerate(one for one in ended if one is not None)]
    best, *others = sorted(outcomes, key=lambda one: (not np.isfinite(one.objective), not one.converged, one.objective))
    interrupted = len(outcomes) < len(ended) or any(one.interrupted for one in outcomes)
    cold_alone = not asked and len(initial) < options.starts
    if cold_alone and objective.uses_loops and not interrupted:  # what it is held to; compiled, it takes seconds
        shot = _shot(objective, options, progress, executor, whole=False)
        interrupted = shot.interrupted
    return replace(
        best,
        interrupted=interrupted,
        starts=tuple(one.objective for one in outcomes),
        others=tuple(others),
        known=shot.objective if shot is not None and shot.converged else None,
        build_seconds=built - began,
        solve_seconds=time.perf_counter() - built,
    )


def _shot(
    objective: Objective, options: Collocation, progress: Progress, executor: Executor | None, *, whole: bool
) -> Outcome:
    """What a search by shooting finds, its whole own or a short one: where to begin, or what an answer is held to."""
    dimension = objective.tracking.mesh.dimension
    starts, hops = SHORT_SEARCH[min(dimension, 2)]
    short = Shooting(starts=starts, hops=hops, seed=options.seed, device=options.device)
    own = Shooting(seed=options.seed, device=options.device).fitted(dimension)
    return shooting.solve(objective, own if whole else short, progress, executor=executor)


@dataclass(frozen=True, eq=False)
class _Start:
    """Weights (K, P) to start from: cold, with states on the reference, or warm, with their own states and duals."""

    weights: Array
    warm: bool


def _program(tracking: TrackingProblem, options: Collocation) -> Transcription | StageWiseProgram:
    """The program in the shape that the chosen solver wants. Raises SolverUnavailableError."""
    if options.nlp_solver == "fatrop":
        require_fatrop()
        return stage_wise(tracking)
    return transcribe(tracking) if tracking.free is None else transcribe_free(tracking)


def _solve_one(
    program: Transcription | StageWiseProgram,
    objective: Objective,
    options: Collocation,
    start: _Start,
    progress: Progress = silent,
    task: str = "collocation",
) -> Outcome:
    point = WarmStart(start.weights, objective.tracking.targets)
    if start.warm:
        point = warm_start_from(objective, start.weights)
    limits = options.iterations, options.tolerance
    if isinstance(program, StageWiseProgram):
        solution = solve_stage_wise(program, point, *limits, progress, task)
    else:
        pivoting = {"ipopt.mumps_pivtol": options.pivot_tolerance}
        solution = solve_nlp(program, point, *limits, progress, task, pivoting)
    return _outcome(objective, solution)


def _solve_elsewhere(objective: Objective, options: Collocation, start: _Start, stopped: Stopped) -> Outcome:  # noqa: ARG001
    return _solve_one(_program(objective.tracking, options), objective, options, start)


def _value(objective: Objective, weights: Array) -> float:
    """J of the weights alone, through the state equation; nan where that is not finite."""
    try:
        return objective.value(weights)
    except NonFiniteError:
        return float("nan")


def _best_weights(objective: Objective, solution: NlpSolution) -> Array:
    """The weights of the solution; if that is no solution, those with the least J among the last iterates."""
    if solution.success:
        return solution.weights
    candidates = (solution.weights, *solution.last_weights)
    values = [_value(objective, weights) for weights in candidates]
    return candidates[int(np.argmin(np.where(np.isfinite(values), values, np.inf)))]


def _outcome(objective: Objective, solution: NlpSolution) -> Outcome:
    weights = _best_weights(objective, solution)
    value, gradient_norm = _value(objective, weights), float("nan")
    agrees = bool(np.isclose(value, solution.objective, rtol=1e-6, atol=1e-12))
    if np.isfinite(value):
        _, gradient = objective.value_and_gradient(weights)
        gradient_norm = projected_gradient_norm(weights, gradient, objective.tracking.bound)
    converged, history = solution.success and agrees, solution.history
    if converged and history:  # the last of the program's values is J to 1e-6, and then J itself
        history = (*history[:-1], replace(history[-1], objective=value))
    return Outcome(
        weights=weights,
        objective=value,
        gradient_norm=gradient_norm,
        converged=converged,
        interrupted=solution.status == "User_Requested_Stop",
        message=_message(solution, value, agrees),
        iterations=solution.iterations,
        history=history,
        termination=_termination(solution, agrees),
    )


def _termination(solution: NlpSolution, agrees: bool) -> Termination:
    """Why IPOPT stopped, and what its last iterate and its iterations tell about it."""
    reason = REASONS.get(solution.status, "unknown")
    return Termination(
        reason="disagrees" if reason == "converged" and not agrees else reason,
        words=solution.status,
        what="the program" if reason == "non-finite" else "",
        violation=solution.violation,
        regularisation=solution.regularisation,
    )


def _message(solution: NlpSolution, value: float, agrees: bool) -> str:
    if solution.status == "User_Requested_Stop":
        return "interrupted; this is the best of the last points"
    if solution.success and agrees:
        return "converged"
    if solution.success:
        return (
            f"{solution.solver} reports {solution.status}, but the weights give {value:.6g} through the state "
            f"equation, not {solution.objective:.6g}"
        )
    return f"{solution.solver} stopped after {solution.iterations} iterations: {solution.status}"


class _Monitor(ca.Callback):
    """IPOPT's iteration callback: takes down the iterates, and stops on request."""

    def __init__(self, transcription: Transcription, log: IterateLog) -> None:
        ca.Callback.__init__(self)
        self._log = log
        self._transcription = transcription
        self._variables = transcription.nlp["x"].shape[0]
        self._constraints = transcription.nlp["g"].shape[0]
        self.construct("monitor", {})

    def get_n_in(self) -> int:
        """Number of outputs of an NLP solver: x, f, g, lam_x, lam_g, lam_p."""
        return int(ca.nlpsol_n_out())

    def get_n_out(self) -> int:
        """One: whether to stop."""
        return 1

    def get_sparsity_in(self, i: int) -> Any:
        """Shapes of the iterate's parts."""
        sizes = {
            "x": self._variables,
            "lam_x": self._variables,
            "g": self._constraints,
            "lam_g": self._constraints,
        }
        name = ca.nlpsol_out(i)
        return (
            ca.Sparsity.dense(1, 1) if name == "f" else ca.Sparsity.dense(sizes.get(name, 0), 1 if name in sizes else 0)
        )

    def eval(self, arguments: Any) -> Any:
        """Called by IPOPT after each iteration."""
        weights, _ = self._transcription.unpack(np.asarray(arguments[0]).ravel())
        self._log.record(float(arguments[1]), weights)
        return [int(self._log.interrupted)]

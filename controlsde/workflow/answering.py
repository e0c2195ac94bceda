"""Solve, evaluate, compare and simulate in whatever space a problem lives: a box, with a mesh, or free space.

Comes in: a problem, or a file. Goes out: a `Result`, or in free space a `FreeResult`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Unpack

from controlsde.control.controls import Controls
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.result.free_result import FreeResult
from controlsde.result.result import Result
from controlsde.result.result_file import is_free
from controlsde.tracking.free_posed import FreePosed
from controlsde.workflow import prediction, solving
from controlsde.workflow.comparison import DEFAULT_NOISE, Comparison
from controlsde.workflow.comparison import compare as compare_in_a_box
from controlsde.workflow.free_comparison import SEEDS, FreeComparison, compare_free
from controlsde.workflow.free_prediction import refusals_in_free_space, refusals_of_evaluation_in_free_space
from controlsde.workflow.free_simulation import FreeSimulation, simulate_free
from controlsde.workflow.free_solving import evaluate_free, solve_free
from controlsde.workflow.simulation import Simulation, SimulationKeys, SimulationSettings
from controlsde.workflow.simulation import simulate as simulate_in_a_box


class SeedsError(ControlsdeError, ValueError):
    """A number of seeds that makes no sense; one line with the cure."""


@own_settings()
def solve(
    problem: Problem,
    solver: str | None = None,
    progress: Progress = silent,
    initial: Controls | None = None,
    executor: Executor | None = None,
) -> Result | FreeResult:
    """Solve a problem and verify the answer.

    solver: a kind of solver in place of the problem's own, with its default options. initial: controls to start from.
    executor: where starts in a box run side by side when that pays; by default processes of this machine. Raises
    SolveError when nothing could be evaluated, ReferenceError when the reference cannot be built,
    ControlsError when `initial` does not fit. A keyboard interrupt returns the best point so far, with status
    `interrupted`.
    """
    if not problem.domain.free:
        return solving.solve(problem, solver, progress, initial, executor)
    if problem.drift is not None:
        raise solving.SolveError("the problem gives its own drift: evaluate it instead, or remove `drift:`")
    return solve_free(problem, solving.solver_options(problem, solver), progress, initial)


@own_settings()
def evaluate(problem: Problem, controls: Controls | None = None, progress: Progress = silent) -> Result | FreeResult:
    """Verify given controls, or the problem's own `drift:`, without solving.

    Raises ControlsError when there is neither, or the controls do not fit the problem.
    """
    run = evaluate_free if problem.domain.free else solving.evaluate
    return run(problem, controls, progress)


def load_result(path: str | Path) -> Result | FreeResult:
    """Read a result file of either space. Raises ResultError, in one line; see `Result.load`."""
    return FreeResult.load(path) if is_free(Path(path)) else Result.load(path)


@own_settings()
def compare(
    problem: Problem,
    noise: Sequence[float] = DEFAULT_NOISE,
    solver: str | None = None,
    progress: Progress = silent,
    seeds: int | None = None,
    executor: Executor | None = None,
    folder: str | Path | None = None,
) -> Comparison | FreeComparison:
    """Solve at every noise level with the same options, cross-apply the controls, and say what was found.

    seeds: in free space, how many fits there are at every level. executor: where what can run side by side does; by
    default processes of this machine, when that pays. The numbers do not depend on it. folder: keeps every result as
    soon as it is there; what it holds of the same problem, by the same version, is not found again. Raises
    NoiseLevelsError for no noise level, a repeated one, or one that is negative or not finite; SeedsError for seeds in
    a box, or less than one.
    """
    if problem.domain.free:
        if seeds is not None and seeds < 1:
            raise SeedsError(f"must be 1 or more (got {seeds})", argument="seeds")
        return compare_free(problem, noise, solver, progress, SEEDS if seeds is None else seeds, executor, folder)
    if seeds is not None:
        raise SeedsError("is for problems in free space; in a box every solve has starts of its own", argument="seeds")
    return compare_in_a_box(problem, noise, solver, progress, executor, folder)


@own_settings()
def simulate(
    result: Result | FreeResult,
    particles: int | None = None,
    *,
    progress: Progress = silent,
    executor: Executor | None = None,
    **keys: Unpack[SimulationKeys],
) -> Simulation | FreeSimulation:
    """Simulate the controlled process of a result. What is not given is as in its problem's `monte_carlo`.

    device, steps_per_piece, scheme, seed, repetition, time_budget, target_se, paths: see `SimulationSettings`. An
    interruption keeps what was counted in a box. executor: of workers that move particles in a box; by default threads
    of this process. Raises SimulationError for numbers that make no sense, DeviceError for
    a device that is not there.
    """
    if isinstance(result, FreeResult):
        return simulate_free(result, SimulationSettings(particles, **keys), progress)
    return simulate_in_a_box(result, particles, progress=progress, executor=executor, **keys)


def refusals(problem: Problem) -> tuple[str, ...]:
    """Why a solve of this problem is refused, by estimates that build no mesh; empty when it may run."""
    if problem.domain.free:
        return refusals_in_free_space(FreePosed.of(problem))
    return prediction.refusals(problem)


def refusals_of_evaluation(problem: Problem) -> tuple[str, ...]:
    """Why an evaluation is refused: as `refusals`, without what only a solver needs."""
    if problem.domain.free:
        return refusals_of_evaluation_in_free_space(FreePosed.of(problem))
    return prediction.refusals_of_evaluation(problem)

"""The way from a problem in free space to a result: data → reference → solver → controls → verification → result.

Comes in: a problem (and controls, or the problem's own drift, for `evaluate`). Goes out: a `FreeResult`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import Drift, network_drift
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.versions import versions
from controlsde.problem import Problem
from controlsde.problem.solver_specs import SolverOptions
from controlsde.registry import SOLVERS
from controlsde.result.free_result import FreeResult
from controlsde.solvers.outcome import Beginning, Outcome, history_of
from controlsde.tracking.free_posed import FreePosed
from controlsde.verification.free_verifying import Known, verify
from controlsde.workflow.solving import initial_weights

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the verification is asked to judge, and how it came about. loss: what a fit claims of itself."""

    solver: str
    status: str
    message: str
    objective: float
    gradient_norm: float | None
    loss: float | None
    iterations: int
    history: Array
    beginnings: tuple[Beginning, ...]
    starts: tuple[float, ...]
    seconds: dict[str, float]
    controls: Controls | None


def solve_free(
    problem: Problem, options: SolverOptions, progress: Progress = silent, initial: Controls | None = None
) -> FreeResult:
    """Solve a problem in free space and verify the answer; arguments and errors as of `solve`."""
    began = time.perf_counter()
    progress(Step("building the reference"))
    posed = FreePosed.of(problem).changed(solver=options)
    start = () if initial is None else (initial_weights(posed, initial),)
    return solve_free_posed(posed, progress, start, time.perf_counter() - began)


def solve_free_posed(
    posed: FreePosed,
    progress: Progress = silent,
    start: tuple[Array, ...] = (),
    prepared: float = 0.0,
    known: Known | None = None,
) -> FreeResult:
    """Solve a problem whose reference is known from these weights (K, P) among others, and verify the answer.

    prepared: the seconds that were spent before. known: what an earlier verification of the same problem has found.
    Errors and interruptions as of `solve`.
    """
    began, options = time.perf_counter(), posed.problem.solver
    outcome = SOLVERS[options.kind].solve_in_free_space(posed.tracking, options, progress, start)
    answer = _answer(posed, options, outcome, {"build": prepared, "solve": time.perf_counter() - began})
    assert answer.controls is not None  # of a solver
    drift = network_drift(posed.network, answer.controls, posed.reference.horizon)
    try:
        return _verified(posed, drift, answer, progress, known, thorough=not outcome.interrupted)
    except KeyboardInterrupt:
        if outcome.interrupted:
            raise
    # The controls are worth keeping: judge them in short. A second interruption ends it all.
    message = "interrupted while it was verified; the controls are the solver's answer"
    answer = replace(answer, status="interrupted", message=message)
    return _verified(posed, drift, answer, progress, known, thorough=False)


def evaluate_free(problem: Problem, controls: Controls | None = None, progress: Progress = silent) -> FreeResult:
    """Verify given controls, or the problem's own `drift:`, in free space; arguments and errors as of `evaluate`."""
    began = time.perf_counter()
    progress(Step("building the reference"))
    posed = FreePosed.of(problem)
    drift: Drift | None
    if controls is not None:
        drift = network_drift(posed.network, controls, posed.reference.horizon)
    else:
        drift = posed.given_drift
    if drift is None:
        raise ControlsError("must be given, or a `drift:` in the problem: nothing to evaluate", argument="controls")
    answer = _Answer(
        solver="given" if controls is not None else f"drift: {problem.drift.kind if problem.drift else ''}",
        status="given",
        message="given, not solved for",
        objective=float("nan"),
        gradient_norm=None,
        loss=None,
        iterations=0,
        history=np.zeros((0, 3)),
        beginnings=(),
        starts=(),
        seconds={"build": time.perf_counter() - began, "solve": 0.0},
        controls=controls,
    )
    return _verified(posed, drift, answer, progress, None, thorough=True)


def _answer(posed: FreePosed, options: SolverOptions, outcome: Outcome, seconds: dict[str, float]) -> _Answer:
    return _Answer(
        solver=options.kind,
        status="interrupted" if outcome.interrupted else "converged" if outcome.converged else "not-converged",
        message="interrupted; this is the best point so far" if outcome.interrupted else outcome.message,
        objective=outcome.objective,
        gradient_norm=outcome.gradient_norm,
        loss=outcome.loss,
        iterations=outcome.iterations,
        history=history_of(outcome),
        beginnings=tuple(row.begins for row in outcome.history),
        starts=outcome.starts,
        seconds=seconds,
        controls=posed.tracking.controls(outcome.weights),
    )


def _verified(
    posed: FreePosed, drift: Drift, answer: _Answer, progress: Progress, known: Known | None, *, thorough: bool
) -> FreeResult:
    began = time.perf_counter()
    evidence = verify(posed, drift, answer.loss, answer.gradient_norm, progress, thorough=thorough, known=known)
    seconds = {**answer.seconds, "verify": time.perf_counter() - began}
    return FreeResult(
        problem=posed.problem,
        solver=answer.solver,
        status=answer.status,
        message=answer.message,
        objective=answer.objective,
        iterations=answer.iterations,
        seconds={key: round(value, 3) for key, value in seconds.items()},
        controls=answer.controls,
        history=answer.history,
        beginnings=answer.beginnings,
        starts=answer.starts,
        device=evidence.certificate.device,
        versions=versions(),
        tracking=evidence.tracking,
        certificate=evidence.certificate,
        particles=evidence.particles,
        energy=evidence.energy,
        energy_se=evidence.energy_se,
    )

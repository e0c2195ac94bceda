"""FATROP, an interior-point method for optimal control, on the stage-wise program.

It factorises stage by stage with dense blocks, where IPOPT hands one sparse matrix to MUMPS. CasADi lets nobody watch
FATROP, so the objective does it: f and ∇f are Python callbacks, and ∇f is evaluated at the iterates alone. An
interrupted solve is ended by a gradient that is no number; FATROP then stops at its last iterate.

Comes in: a stage-wise program and a start. Goes out: an `NlpSolution`. FATROP takes no multipliers to start from; it
estimates its own.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, silent
from controlsde.solvers.collocation.nonlinear_program import (
    IterateLog,
    NlpSolution,
    SolverUnavailableError,
    WarmStart,
    interrupt_sets,
)
from controlsde.solvers.collocation.stage_wise import StageWiseProgram

Array = NDArray[np.float64]


def require_fatrop() -> None:
    """Raise SolverUnavailableError where CasADi has no FATROP."""
    if not ca.has_nlpsol("fatrop"):
        raise SolverUnavailableError(
            "solver.nlp_solver: this installation of CasADi has no FATROP; use solver.nlp_solver: ipopt"
        )


def solve_stage_wise(
    program: StageWiseProgram,
    start: WarmStart,
    iterations: int,
    tolerance: float,
    progress: Progress = silent,
    task: str = "collocation, FATROP",
) -> NlpSolution:
    """Run FATROP once. A keyboard interrupt stops it and keeps its last iterate (status User_Requested_Stop).

    The multipliers of `start` are not used. Raises SolverUnavailableError where CasADi has no FATROP.
    """
    require_fatrop()
    log = IterateLog(progress, task)
    slope = _Slope(program, log)
    objective = _Objective(program, slope)
    solver = ca.nlpsol(
        "collocation",
        "fatrop",
        {"x": program.variables, "f": objective(program.variables), "g": program.constraints},
        {
            **program.structure,
            "structure_detection": "manual",
            "equality": [True] * program.constraints.shape[0],
            "fatrop": {"print_level": 0, "max_iter": iterations - 1, "tol": tolerance},  # it makes one more
            "print_time": False,
            "show_eval_warnings": False,
        },
    )
    with interrupt_sets(log):
        answer = solver(
            x0=program.pack(start.weights, start.stages), lbx=program.lower, ubx=program.upper, lbg=0.0, ubg=0.0
        )
    weights, stages = program.unpack(np.asarray(answer["x"]))
    multipliers = np.asarray(answer["lam_g"]).ravel()
    stats = solver.stats()
    status = _status(stats, iterations, log)
    return NlpSolution(
        weights=weights,
        stages=stages,
        multipliers=program.step_multipliers(multipliers),
        costates=program.costates(multipliers),
        objective=float(answer["f"]),
        iterations=int(stats["fatrop"]["iterations_count"]),
        success=status == "Solve_Succeeded",
        status=status,
        history=tuple(log.history),
        last_weights=tuple(log.weights),
        solver="FATROP",
    )


def _status(stats: dict[str, Any], iterations: int, log: IterateLog) -> str:
    """FATROP says yes or no; why, in IPOPT's words, as far as it can be told."""
    if log.interrupted:
        return "User_Requested_Stop"
    if stats["success"]:
        return "Solve_Succeeded"
    if int(stats["fatrop"]["iterations_count"]) >= iterations:
        return "Maximum_Iterations_Exceeded"
    return "Error_In_Step_Computation"


class _OfVariables(ca.Callback):
    """A function of the dense variables z of a program."""

    def __init__(self, program: StageWiseProgram) -> None:
        ca.Callback.__init__(self)
        self._program = program

    def get_n_in(self) -> int:
        """z."""
        return 1

    def get_n_out(self) -> int:
        """One."""
        return 1

    def get_sparsity_in(self, i: int) -> Any:  # noqa: ARG002
        """z is dense."""
        return ca.Sparsity.dense(len(self._program.weight), 1)

    def has_jacobian(self) -> bool:
        """It has."""
        return True


class _Objective(_OfVariables):
    """f(z) = ½ Σ weight ∘ (z − target)²."""

    def __init__(self, program: StageWiseProgram, slope: _Slope) -> None:
        super().__init__(program)
        self._slope = slope
        self.construct("objective", {})

    def eval(self, arguments: Any) -> Any:
        """Called for each trial point."""
        return [_value(self._program, np.asarray(arguments[0]).ravel())]

    def get_jacobian(self, name: str, inputs: Any, outputs: Any, options: Any) -> Any:
        """∇fᵀ as a function of z and f."""
        z, value = ca.MX.sym("z", len(self._program.weight)), ca.MX.sym("f")
        return ca.Function(name, [z, value], [self._slope(z)], inputs, outputs, options)


class _Slope(_OfVariables):
    """∇f(z)ᵀ = weight ∘ (z − target), which also takes down each new iterate; not a number once interrupted."""

    def __init__(self, program: StageWiseProgram, log: IterateLog) -> None:
        super().__init__(program)
        self._log = log
        self._seen: Array | None = None
        self.construct("slope", {})

    def get_sparsity_out(self, i: int) -> Any:  # noqa: ARG002
        """A dense row."""
        return ca.Sparsity.dense(1, len(self._program.weight))

    def eval(self, arguments: Any) -> Any:
        """Called at each iterate, several times."""
        z = np.asarray(arguments[0]).ravel()
        if self._seen is None or not np.array_equal(z, self._seen):
            self._seen = z.copy()
            self._log.record(_value(self._program, z), self._program.unpack(z)[0])
        slope = self._program.weight * (z - self._program.target)
        return [ca.DM(np.full_like(slope, np.nan) if self._log.interrupted else slope).T]

    def has_jac_sparsity(self, oind: int, iind: int) -> bool:  # noqa: ARG002
        """It is known: CasADi would search it, and find it dense."""
        return True

    def get_jac_sparsity(self, oind: int, iind: int, symmetric: bool) -> Any:  # noqa: ARG002
        """Diagonal."""
        return ca.Sparsity.diag(len(self._program.weight))

    def get_jacobian(self, name: str, inputs: Any, outputs: Any, options: Any) -> Any:
        """The constant diagonal of weights, as a function of z and ∇fᵀ."""
        size = len(self._program.weight)
        z, slope = ca.MX.sym("z", size), ca.MX.sym("slope", 1, size)
        return ca.Function(name, [z, slope], [ca.MX(ca.diag(ca.DM(self._program.weight)))], inputs, outputs, options)


def _value(program: StageWiseProgram, z: Array) -> float:
    return 0.5 * float(np.sum(program.weight * (z - program.target) ** 2))

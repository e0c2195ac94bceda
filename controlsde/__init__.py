"""controlsde: steer a probability density with and without noise.

The public names, each imported on first use, so that `import controlsde` is quick.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controlsde.control.controls import Controls, ControlsError
    from controlsde.controllability.energy_bound import EnergyBound, EnergyBoundError, energy_bound
    from controlsde.execution.executors import ExecutorError
    from controlsde.problem import Problem, ProblemError, list_problems, load_problem
    from controlsde.reference import ReferenceError, build_reference  # noqa: A004
    from controlsde.report.film_encoding import FilmError
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result
    from controlsde.result.result_file import ResultError
    from controlsde.sweeps.sweep import Sweep, sweep
    from controlsde.sweeps.variations import SweepError, Variations
    from controlsde.workflow.answering import compare, evaluate, load_result, simulate, solve
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.feedback import Feedback, FeedbackError, feedback
    from controlsde.workflow.free_comparison import FreeComparison
    from controlsde.workflow.free_simulation import FreeSimulation
    from controlsde.workflow.linearising import Controllability, controllability
    from controlsde.workflow.previewing import Preview, preview
    from controlsde.workflow.reach_ladders import ReachError
    from controlsde.workflow.reaching import Reach, reach
    from controlsde.workflow.simulation import Simulation, SimulationError
    from controlsde.workflow.solving import SolveError

__all__ = [
    "Comparison",
    "Controllability",
    "Controls",
    "ControlsError",
    "EnergyBound",
    "EnergyBoundError",
    "ExecutorError",
    "Feedback",
    "FeedbackError",
    "FilmError",
    "FreeComparison",
    "FreeResult",
    "FreeSimulation",
    "Preview",
    "Problem",
    "ProblemError",
    "Reach",
    "ReachError",
    "ReferenceError",
    "Result",
    "ResultError",
    "Simulation",
    "SimulationError",
    "SolveError",
    "Sweep",
    "SweepError",
    "Variations",
    "build_reference",
    "compare",
    "controllability",
    "energy_bound",
    "evaluate",
    "feedback",
    "list_problems",
    "load_problem",
    "load_result",
    "preview",
    "reach",
    "simulate",
    "solve",
    "sweep",
]

_HOME = {
    "Comparison": "workflow.comparison",
    "Controllability": "workflow.linearising",
    "Controls": "control.controls",
    "ControlsError": "control.controls",
    "EnergyBound": "controllability.energy_bound",
    "EnergyBoundError": "controllability.energy_bound",
    "ExecutorError": "execution.executors",
    "Feedback": "workflow.feedback",
    "FeedbackError": "workflow.feedback",
    "FilmError": "report.film_encoding",
    "FreeComparison": "workflow.free_comparison",
    "FreeResult": "result.free_result",
    "FreeSimulation": "workflow.free_simulation",
    "Preview": "workflow.previewing",
    "Problem": "problem",
    "ProblemError": "problem",
    "Reach": "workflow.reaching",
    "ReachError": "workflow.reach_ladders",
    "ReferenceError": "reference",
    "Result": "result.result",
    "ResultError": "result.result_file",
    "Simulation": "workflow.simulation",
    "SimulationError": "workflow.simulation",
    "SolveError": "workflow.solving",
    "Sweep": "sweeps.sweep",
    "SweepError": "sweeps.variations",
    "Variations": "sweeps.variations",
    "build_reference": "reference",
    "compare": "workflow.answering",
    "controllability": "workflow.linearising",
    "energy_bound": "controllability.energy_bound",
    "evaluate": "workflow.answering",
    "feedback": "workflow.feedback",
    "list_problems": "problem",
    "load_result": "workflow.answering",
    "load_problem": "problem",
    "preview": "workflow.previewing",
    "reach": "workflow.reaching",
    "simulate": "workflow.answering",
    "solve": "workflow.answering",
    "sweep": "sweeps.sweep",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'controlsde' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"controlsde.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

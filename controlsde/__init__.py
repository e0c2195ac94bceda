"""controlsde: steer a probability density with and without noise.

The public names, each imported on first use, so that `import controlsde` is quick.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controlsde.comparison import Comparison, compare
    from controlsde.controls import Controls, ControlsError
    from controlsde.pipeline import SolveError, evaluate, solve
    from controlsde.problem import Problem, ProblemError, list_problems, load_problem
    from controlsde.reference import ReferenceError, build_reference  # noqa: A004
    from controlsde.results import Result, ResultError
    from controlsde.simulation import Simulation, SimulationError, simulate

__all__ = [
    "Comparison",
    "Controls",
    "ControlsError",
    "Problem",
    "ProblemError",
    "ReferenceError",
    "Result",
    "ResultError",
    "Simulation",
    "SimulationError",
    "SolveError",
    "build_reference",
    "compare",
    "evaluate",
    "list_problems",
    "load_problem",
    "simulate",
    "solve",
]

_HOME = {
    "Comparison": "comparison",
    "Controls": "controls",
    "ControlsError": "controls",
    "Problem": "problem",
    "ProblemError": "problem",
    "ReferenceError": "reference",
    "Result": "results",
    "ResultError": "results",
    "Simulation": "simulation",
    "SimulationError": "simulation",
    "SolveError": "pipeline",
    "build_reference": "reference",
    "compare": "comparison",
    "evaluate": "pipeline",
    "list_problems": "problem",
    "load_problem": "problem",
    "simulate": "simulation",
    "solve": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'controlsde' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"controlsde.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

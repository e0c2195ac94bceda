"""What the user asks: the problem file, read with line numbers, checked, and resolved.

The names below are imported on first use: the options of the solvers are built on parts of this folder, and the schema
on those options.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controlsde.problem.formula import Formula, FormulaError
    from controlsde.problem.loading import list_problems, load_problem, parse_problem, place_of
    from controlsde.problem.overrides import parse_override
    from controlsde.problem.problem import Problem, json_schema
    from controlsde.problem.yaml_text import ProblemError

__all__ = [
    "Formula",
    "FormulaError",
    "Problem",
    "ProblemError",
    "json_schema",
    "list_problems",
    "load_problem",
    "parse_override",
    "parse_problem",
    "place_of",
]

_HOME = {
    "Formula": "formula",
    "FormulaError": "formula",
    "Problem": "problem",
    "ProblemError": "yaml_text",
    "json_schema": "problem",
    "list_problems": "loading",
    "load_problem": "loading",
    "parse_override": "overrides",
    "parse_problem": "loading",
    "place_of": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'controlsde.problem' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"controlsde.problem.{_HOME[name]}"), name)

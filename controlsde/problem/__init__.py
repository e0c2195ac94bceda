"""What the user asks: the problem file, read with line numbers, checked, and resolved."""

from controlsde.problem.formula import Formula, FormulaError
from controlsde.problem.loading import list_problems, load_problem, parse_problem, place_of
from controlsde.problem.overrides import parse_override
from controlsde.problem.schema import Problem, json_schema
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

"""What a command is given: problems, noise levels, results and controls, and what is to be said of them.

Comes in: names, paths, and what is set on top. Goes out: what is in the file, and warnings on stderr: that an earlier
version wrote it, without a checksum; that controls were made for another network. Nothing heavy is imported before it
is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.cli.exits import UsageError, say

if TYPE_CHECKING:
    from controlsde.problem import Problem
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result


def load_problem(source: str, overrides: list[str] | None) -> Problem:
    """The problem of a file or a shipped name, with what is set on top of it."""
    from controlsde.problem import load_problem as load
    from controlsde.problem import parse_override

    return load(source, set=dict(parse_override(text) for text in overrides or []))


def noise_levels(source: str, overrides: list[str] | None, noise: Sequence[float]) -> tuple[float, ...]:
    """The noise levels of the command line, each as valid as one in the file."""
    from controlsde.workflow.comparison import check_levels

    levels = check_levels(noise)
    for level in levels:
        load_problem(source, [*(overrides or []), f"noise={level!r}"])
    return levels


def load_to_solve(
    source: str, overrides: list[str] | None, solver: str | None, quick: bool = False
) -> tuple[Problem, str]:
    """The problem, with another kind of solver if one is named: as `--set solver=KIND` before all other overrides.

    quick: with little effort, but for what the overrides say. The second result tells what that changes, if anything.
    """
    loaded = _to_solve(source, overrides, solver)
    if not quick:
        return loaded, ""
    from controlsde.problem import parse_override
    from controlsde.workflow.first_look import in_words, little_effort

    changes = little_effort(loaded, {parse_override(text)[0] for text in overrides or []})
    settings = [f"{key}={'null' if value is None else value}" for key, value in changes.items()]
    return _to_solve(source, [*(overrides or []), *settings], solver), in_words(loaded, changes)


def _to_solve(source: str, overrides: list[str] | None, solver: str | None) -> Problem:
    if solver is not None and _own_solver(source) != _known_solver(solver):
        overrides = [f"solver={solver}", *(overrides or [])]
    loaded = load_problem(source, overrides)
    if solver not in (None, loaded.solver.kind):
        raise UsageError(f"--solver {solver} and --set solver={loaded.solver.kind} contradict each other; give one")
    if loaded.drift is not None:
        raise UsageError(f"{source}: gives its own drift; run `controlsde evaluate`, or remove the key drift")
    return loaded


def _own_solver(source: str) -> str | None:
    """The kind of solver that a file asks for; None when the file alone is not a valid problem."""
    from controlsde.problem import ProblemError

    try:
        return load_problem(source, None).solver.kind
    except ProblemError:
        return None


def _known_solver(name: str) -> str:
    from controlsde.registry import SOLVERS

    if name not in SOLVERS:
        raise UsageError(f"--solver must be one of {', '.join(SOLVERS)} (got {name!r})")
    return name


def load_any_result(path: Path) -> Result | FreeResult:
    """A result of either space; where nobody can tell whether it is as it was written, that is said."""
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result_file import is_free

    return FreeResult.load(path) if is_free(path) else load_result(path)


def load_result(path: Path) -> Result:
    """A result in a box; where nobody can tell whether it is as it was written, that is said."""
    from controlsde.result.result import Result

    loaded = Result.load(path)
    if loaded.digest is None:
        _warn_of_no_checksum(path)
    return loaded


def _warn_of_no_checksum(path: Path) -> None:
    say(f"warning: {path} is of an earlier version and has no checksum: a change of its numbers would not be seen")


def warn_about_controls(controls: Path, problem: Problem) -> None:
    """Say so where controls have no checksum, or are about to run in a network that they were not made for."""
    words, checked = _words_of(controls)
    if not checked:
        _warn_of_no_checksum(controls)
    for key, old in words.items():
        new = _as_yaml(getattr(problem.network, key))
        if old != new:
            say(f"warning: {controls} was made for network.{key}={old}, not {new}")


def _words_of(controls: Path) -> tuple[dict[str, str], bool]:
    """Activation and tangential, as YAML writes them, that a file was made for; nothing where it does not say.

    And whether its numbers could be checked; those that another program wrote are as that program says.
    """
    from controlsde.control.controls import FORMAT as CONTROLS
    from controlsde.control.weights_file import SUFFIX, is_without_digest, read_weights
    from controlsde.foundation import netcdf
    from controlsde.result.result_file import ResultError
    from controlsde.workflow.answering import load_result as load_any

    keys = ("activation", "tangential")
    if controls.suffix == SUFFIX:
        words = read_weights(controls)[1]
        return {key: words[key] for key in keys if key in words}, not is_without_digest(words)
    try:
        result = load_any(controls)
    except ResultError:  # controls alone do not say what they were made for
        stored = netcdf.read(controls, ())
        return {}, stored.digest is not None or stored.attributes.get("format") != CONTROLS
    return {key: _as_yaml(getattr(result.problem.network, key)) for key in keys}, result.digest is not None


def _as_yaml(value: str | bool) -> str:
    return str(value).lower()

"""The command line: what a user types, what is printed where, and the exit codes.

Results go to stdout (one JSON document with --json), progress, tables and messages to stderr. Nothing heavy is
imported before a command needs it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from controlsde.problem import Problem
    from controlsde.results import Result

EXIT_UNEXPECTED = 1
EXIT_INVALID = 2
EXIT_NOT_CONVERGED = 3
EXIT_NOT_VERIFIED = 4
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="controlsde",
    help="Steer a probability density with and without noise: solve, compare and verify tracking problems.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ProblemArgument = Annotated[
    str, typer.Argument(metavar="PROBLEM", help="A YAML file, or the name of a shipped problem.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. network.width=2.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the result and figures here.")
]
SolverOption = Annotated[
    str | None,
    typer.Option("--solver", metavar="KIND", help="shooting or collocation, in place of the file's."),
]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no tables.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="One line for every iteration.")]


@app.command()
def solve(
    problem: ProblemArgument,
    overrides: SetOption = None,
    output: OutputOption = None,
    solver: SolverOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve a problem, verify the answer, write the result and figures."""
    loaded = _load(problem, overrides)
    folder = _folder(output, loaded.name)

    from controlsde.console import Console
    from controlsde.pipeline import solve as run

    console = Console(quiet=quiet, verbose=verbose)
    with console.progress() as progress:
        result = run(loaded, _known_solver(solver), progress)
        result = _write(result, folder)
    console.result(result, folder)
    if as_json:
        _print_json(result.to_json())
    _finish([result])


@app.command()
def compare(
    problem: ProblemArgument,
    noise: Annotated[
        list[float] | None, typer.Option("--noise", metavar="η", help="A noise level; repeatable.")
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    solver: SolverOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve at each noise level with the same budget and apply every control at every level."""
    from controlsde.comparison import DEFAULT_NOISE, check_levels
    from controlsde.comparison import compare as run

    loaded = _load(problem, overrides)
    levels = check_levels(noise or DEFAULT_NOISE)
    folder = _folder(output, loaded.name)

    from dataclasses import replace

    from controlsde.console import Console

    console = Console(quiet=quiet, verbose=verbose)
    with console.progress() as progress:
        comparison = run(loaded, levels, _known_solver(solver), progress)
        written = tuple(_write(result, folder, f"noise-{result.noise:g}") for result in comparison.results)
        comparison = replace(comparison, results=written)
        from controlsde.report.figures import save_comparison

        save_comparison(comparison, folder)
    console.comparison(comparison, folder)
    if as_json:
        _print_json(comparison.to_json())
    _finish(list(comparison.results))


@app.command()
def evaluate(
    problem: ProblemArgument,
    controls: Annotated[
        Path | None, typer.Option("--controls", metavar="FILE", help="A result (.nc) that holds controls.")
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Verify given controls, or the problem's own drift, without solving."""
    from controlsde.controls import Controls

    loaded = _load(problem, overrides)
    given = Controls.load(controls) if controls else None

    from controlsde.console import Console
    from controlsde.pipeline import evaluate as run

    console = Console(quiet=quiet, verbose=verbose)
    with console.progress() as progress:
        result = run(loaded, given, progress)
        folder = _folder(output, loaded.name) if output else None
        if folder:
            result = _write(result, folder)
    console.result(result, folder)
    if as_json:
        _print_json(result.to_json())
    _finish([result])


@app.command()
def check(problem: ProblemArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Validate a problem and predict its sizes, memory and resolution, without running it."""
    loaded = _load(problem, overrides)

    from controlsde.console import Console
    from controlsde.sizes import predict

    prediction = predict(loaded)
    Console().prediction(loaded, prediction)
    if as_json:
        _print_json(prediction.to_json())
    if prediction.refused:
        _fail([f"{problem}: {reason}" for reason in prediction.refused], EXIT_INVALID)


@app.command()
def problems(as_json: JsonOption = False) -> None:
    """List the shipped problems."""
    from controlsde.problem import list_problems

    shipped = list_problems()
    if as_json:
        _print_json([{"name": name, "description": text, "path": str(path)} for name, text, path in shipped])
        return
    width = max(len(name) for name, _, _ in shipped)
    for name, text, _ in shipped:
        typer.echo(f"{name:<{width}}  {' '.join(text.split())}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of problem files."""
    from controlsde.problem import json_schema

    _print_json(json_schema())


def main() -> None:
    """Run the command line; every known kind of failure ends in one clear line and its exit code."""
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except (ValueError, RuntimeError, ArithmeticError, OSError, MemoryError) as error:
        sys.exit(_explain(error))


def _explain(error: BaseException) -> int:
    """Print an error in the user's words, and return the exit code; a failure nobody foresaw shows its trace."""
    from controlsde.controls import ControlsError
    from controlsde.problem import ProblemError

    if isinstance(error, ProblemError):
        for line in error.messages:
            _say(line)
        return EXIT_INVALID
    if isinstance(error, ControlsError | UsageError):
        _say(str(error))
        return EXIT_INVALID
    if isinstance(error, OSError):
        _say(f"{error.filename or 'file'}: {error.strerror or error}")
        return EXIT_INVALID
    kind = type(error).__name__
    if kind in ("NoiseLevelsError", "ReferenceError", "ResultError"):
        _say(str(error))
        return EXIT_INVALID
    if kind == "SolveError":
        _say(str(error))
        return EXIT_NOT_CONVERGED
    import traceback

    traceback.print_exception(error)
    _say("this should not have happened; please report it with the lines above")
    return EXIT_UNEXPECTED


class UsageError(ValueError):
    """Something on the command line that cannot be used; one line with the cure."""


def _load(source: str, overrides: list[str] | None) -> Problem:
    from controlsde.problem import load_problem, parse_override

    return load_problem(source, set=dict(parse_override(text) for text in overrides or []))


def _known_solver(name: str | None) -> str | None:
    from controlsde.solvers import solver_names

    if name is not None and name not in solver_names():
        raise UsageError(f"--solver must be one of {', '.join(solver_names())} (got {name!r})")
    return name


def _folder(output: Path | None, name: str) -> Path:
    """The folder for results, checked to be writable before anything runs."""
    folder = output or Path("results") / name
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder with -o DIR")
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        raise UsageError(f"{nearest}: not writable; give another folder with -o DIR")
    return folder


def _write(result: Result, folder: Path, stem: str = "result") -> Result:
    from controlsde.report.figures import save_figures

    saved = result.save(folder / f"{stem}.nc")
    save_figures(saved, folder / stem if stem != "result" else folder)
    return saved


def _finish(results: list[Result]) -> None:
    """Leave with the exit code that the results deserve."""
    if any(result.status == "interrupted" for result in results):
        raise typer.Exit(EXIT_INTERRUPTED)
    if any(result.status == "not-converged" for result in results):
        raise typer.Exit(EXIT_NOT_CONVERGED)
    if not all(result.verified for result in results):
        raise typer.Exit(EXIT_NOT_VERIFIED)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _fail(lines: list[str], code: int) -> None:
    for line in lines:
        _say(line)
    raise typer.Exit(code)

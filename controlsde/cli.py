"""The command line: what a user types, what is printed where, and the exit codes.

Results go to stdout (one JSON document with --json), progress, tables and messages to stderr. Nothing heavy is
imported before a command needs it.
"""

from __future__ import annotations

import json
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from controlsde.console import Console
    from controlsde.problem import Problem
    from controlsde.progress import Progress
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
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. network.width=2; repeatable."),
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
    """Solve a problem, verify the answer, write result and figures."""
    loaded = _load_to_solve(problem, overrides, solver)
    folder = _folder(output, loaded.name)

    from controlsde.console import Console
    from controlsde.pipeline import solve as run
    from controlsde.progress import Step
    from controlsde.sizes import refusals

    _refuse(problem, refusals(loaded))

    console = Console(quiet=quiet, verbose=verbose)
    with _running(console, problem) as progress:
        result = run(loaded, progress=progress)
        progress(Step("writing the result and figures"))
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
    """Solve at several noise levels, and cross-apply the controls."""
    from controlsde.comparison import DEFAULT_NOISE, check_levels
    from controlsde.comparison import compare as run

    loaded = _load_to_solve(problem, overrides, solver)
    levels = check_levels(noise or DEFAULT_NOISE)
    for level in levels:  # each must be as valid as one in the file
        _load(problem, [*(overrides or []), f"noise={level!r}"])
    stems = _stems(levels)
    folder = _folder(output, loaded.name, *stems.values())

    from dataclasses import replace

    from controlsde.console import Console
    from controlsde.progress import Step
    from controlsde.sizes import refusals

    _refuse(problem, refusals(loaded))
    console = Console(quiet=quiet, verbose=verbose)
    with _running(console, problem) as progress:
        comparison = run(loaded, levels, progress=progress)
        progress(Step("writing the results and figures"))
        written = tuple(_write(result, folder, stems[result.noise]) for result in comparison.results)
        comparison = replace(comparison, results=written)
        from controlsde.report.figures import save_comparison

        save_comparison(comparison, folder)
    console.comparison(comparison, folder)
    if as_json:
        _print_json(comparison.to_json())
    if comparison.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
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
    """Verify given controls or a given drift, without solving."""
    from controlsde.controls import Controls

    loaded = _load(problem, overrides)
    given = Controls.load(controls) if controls else None
    if given is not None and loaded.drift is not None:
        raise UsageError(f"{problem}: gives its own drift, and --controls gives another; leave one of them out")
    if controls is not None:
        _warn_of_another_network(controls, loaded)
    folder = _folder(output, loaded.name) if output else None

    from controlsde.console import Console
    from controlsde.pipeline import evaluate as run
    from controlsde.progress import Step
    from controlsde.sizes import refusals_of_evaluation

    _refuse(problem, refusals_of_evaluation(loaded))
    console = Console(quiet=quiet, verbose=verbose)
    with _running(console, problem) as progress:
        result = run(loaded, given, progress)
        if folder:
            progress(Step("writing the result and figures"))
            result = _write(result, folder)
    console.result(result, folder)
    if as_json:
        _print_json(result.to_json())
    _finish([result])


@app.command()
def check(problem: ProblemArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Validate a problem and predict its sizes, without running it."""
    loaded = _load(problem, overrides)

    from controlsde.console import Console
    from controlsde.sizes import predict

    with _placed(problem):
        prediction = predict(loaded)
    Console().prediction(loaded, prediction)
    if as_json:
        _print_json(prediction.to_json())
    _refuse(problem, prediction.refused)


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
    if not sys.warnoptions:  # the certificate tells what went wrong with the numbers, in words
        warnings.simplefilter("ignore")
    _end_gently()
    try:
        app(prog_name="controlsde")
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except (ValueError, RuntimeError, ArithmeticError, OSError, MemoryError) as error:
        sys.exit(_explain(error))


def _end_gently() -> None:
    """Treat a request to end, or a closed terminal, like Ctrl-C: keep what there is, and leave no process behind."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), interrupt)


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
        _say(f"{error.filename or 'output'}: {error.strerror or error}")
        return EXIT_INVALID if error.filename else EXIT_UNEXPECTED  # a path that was given, or a full disk
    kind = type(error).__name__
    if kind in ("NoiseLevelsError", "ReferenceError", "ResultError", "SolverUnavailableError"):
        _say(str(error))
        return EXIT_INVALID
    if kind == "SolveError":
        _say(str(error))
        return EXIT_NOT_CONVERGED
    if isinstance(error, MemoryError):
        _say("out of memory; `controlsde check PROBLEM` predicts how much a problem needs")
        return EXIT_UNEXPECTED
    import traceback

    traceback.print_exception(error)
    _say("this should not have happened; please report it with the lines above")
    return EXIT_UNEXPECTED


class UsageError(ValueError):
    """Something on the command line that cannot be used; one line with the cure."""


def _load(source: str, overrides: list[str] | None) -> Problem:
    from controlsde.problem import load_problem, parse_override

    return load_problem(source, set=dict(parse_override(text) for text in overrides or []))


def _load_to_solve(source: str, overrides: list[str] | None, solver: str | None) -> Problem:
    """The problem, with another kind of solver if one is named: as `--set solver=KIND` before all other overrides."""
    if solver is not None and _own_solver(source) != _known_solver(solver):
        overrides = [f"solver={solver}", *(overrides or [])]
    loaded = _load(source, overrides)
    if solver not in (None, loaded.solver.kind):
        raise UsageError(f"--solver {solver} and --set solver={loaded.solver.kind} contradict each other; give one")
    if loaded.drift is not None:
        raise UsageError(f"{source}: gives its own drift; run `controlsde evaluate`, or remove the key drift")
    return loaded


def _own_solver(source: str) -> str | None:
    """The kind of solver that a file asks for; None when the file alone is not a valid problem."""
    from controlsde.problem import ProblemError

    try:
        return _load(source, None).solver.kind
    except ProblemError:
        return None


def _known_solver(name: str) -> str:
    from controlsde.solvers import solver_names

    if name not in solver_names():
        raise UsageError(f"--solver must be one of {', '.join(solver_names())} (got {name!r})")
    return name


def _folder(output: Path | None, name: str, *stems: str) -> Path:
    """The folder for results, checked to be writable before anything runs; nothing is left in it.

    stems: of the files and folders of several results that will be written there.
    """
    import tempfile

    folder = output or Path("results") / name
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        raise UsageError(f"{nearest}: is not a folder; give another with -o DIR")
    try:
        with tempfile.TemporaryDirectory(dir=nearest, prefix=".controlsde-"):
            pass
    except OSError as error:
        raise UsageError(f"{nearest}: not writable ({error.strerror}); give another folder with -o DIR") from None
    for stem in stems or ("result",):
        if (folder / f"{stem}.nc").is_dir():
            raise UsageError(f"{folder / stem}.nc: is a folder where the result would be written; move it away")
        if stems and (folder / stem).is_file():
            raise UsageError(f"{folder / stem}: is a file where a folder of figures would be written; move it away")
    return folder


def _stems(levels: tuple[float, ...]) -> dict[float, str]:
    """The file name of each noise level: as short as tells them apart."""
    short = {level: f"noise-{level:g}" for level in levels}
    return short if len(set(short.values())) == len(levels) else {level: f"noise-{level!r}" for level in levels}


def _warn_of_another_network(controls: Path, problem: Problem) -> None:
    """Say so where a result's controls are about to run in a network of another form than they were made for."""
    from controlsde.results import Result, ResultError

    try:
        made_for = Result.load(controls).problem.network
    except ResultError:  # controls alone do not say what they were made for
        return
    for key in ("activation", "tangential"):
        old, new = getattr(made_for, key), getattr(problem.network, key)
        if old != new:
            _say(f"warning: {controls} was made for network.{key}={str(old).lower()}, not {str(new).lower()}")


def _refuse(problem: str, reasons: tuple[str, ...]) -> None:
    """Stop before anything large is built."""
    if reasons:
        _fail([f"{problem}: {reason}" for reason in reasons], EXIT_INVALID)


@contextmanager
def _placed(problem: str) -> Iterator[None]:
    """Errors about a problem's parts that do not fit say which problem that was."""
    from controlsde.controls import ControlsError

    try:
        yield
    except ValueError as error:
        if isinstance(error, ControlsError) or type(error).__name__ == "ReferenceError":
            raise UsageError(f"{problem}: {error}") from None
        raise


@contextmanager
def _running(console: Console, problem: str) -> Iterator[Progress]:
    """Progress of the work inside; an interruption that no solver turned into a result ends the command."""
    try:
        with _placed(problem), console.progress() as progress:
            yield progress
    except KeyboardInterrupt:
        _fail(["interrupted; what was not yet written is lost"], EXIT_INTERRUPTED)


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

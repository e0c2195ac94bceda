"""The command line: what a user types, what is printed where, and the exit codes.

Results go to stdout (one JSON document with --json), progress, tables and messages to stderr. Nothing heavy is
imported before a command needs it.
"""

from __future__ import annotations

import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from controlsde.cli import free_commands
from controlsde.cli.arguments import (
    located,
    place_in,
    plain_count,
    plain_number,
    refuse_controls,
)
from controlsde.cli.claim_commands import app as claims_app
from controlsde.cli.controllability_commands import COMMANDS as CONTROLLABILITY
from controlsde.cli.exits import (
    UsageError,
    ending_gently,
    explain,
    finish,
    finish_simulation,
    refuse,
    running,
    say,
)
from controlsde.cli.inputs import (
    load_any_result,
    load_problem,
    load_to_solve,
    noise_levels,
    warn_about_controls,
)
from controlsde.cli.options import (
    ExecutorOption,
    JsonOption,
    OutputOption,
    ProblemArgument,
    QuickOption,
    QuietOption,
    RetryOption,
    SetOption,
    SolverOption,
    VerboseOption,
    WorkersOption,
)
from controlsde.cli.outputs import (
    draw_comparison,
    draw_simulation,
    output_folder,
    print_json,
    write,
)
from controlsde.cli.page_commands import COMMANDS as PAGES
from controlsde.cli.plain_words import of_comparison
from controlsde.cli.showing import show, show_result
from controlsde.cli.side_by_side import SideBySide, leads
from controlsde.cli.sweep_commands import COMMANDS as SWEEPING
from controlsde.cli.view_commands import COMMANDS as VIEWING
from controlsde.foundation.errors import EXIT_INTERRUPTED
from controlsde.foundation.memory import make_sure_of_room

if TYPE_CHECKING:
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result

PROBLEM_WANTED = (
    "name a YAML file or a shipped problem, such as two-bumps or, of real data, iris-petals; `controlsde problems` "
    "lists all"
)

app = typer.Typer(
    name="controlsde",
    help="Steer a probability density with and without noise: solve, compare and verify tracking problems.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(claims_app, name="claims")


@app.callback()
def prepare(context: typer.Context) -> None:
    """Before any command: room for what it loads."""
    make_sure_of_room(context.invoked_subcommand)


@app.command()
def solve(
    problem: ProblemArgument,
    overrides: SetOption = None,
    output: OutputOption = None,
    solver: SolverOption = None,
    quick: QuickOption = False,
    retry: RetryOption = False,
    executor: ExecutorOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve a problem, verify the answer, write result and figures."""
    place = SideBySide.asked(executor, workers)
    loaded, lessened = load_to_solve(problem, overrides, solver, quick)
    folder = output_folder(output, loaded.name)

    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet or not leads(executor), verbose=verbose)
    with running(console, problem, LOADING):
        from controlsde.workflow.answering import refusals
        from controlsde.workflow.answering import solve as solve_once
        from controlsde.workflow.retrying import solve_retrying

        refuse(problem, refusals(loaded))
    if lessened:
        console.note(lessened)
    with running(console, problem) as progress, located(problem, overrides, loaded):
        retried = retry and not loaded.domain.free  # no remedy is known there
        with place.started() as pool:
            result = (
                solve_retrying(loaded, progress, pool)
                if retried
                else solve_once(loaded, progress=progress, executor=pool)
            )
        progress(Step("writing the result"))
        result = write(result, folder)
    console.result(result, folder)
    if as_json:
        print_json(result.to_json())
    show_result(result, folder, console, problem)
    finish([result])


@app.command()
def compare(
    problem: ProblemArgument,
    noise: Annotated[
        list[float] | None,
        typer.Option("--noise", metavar="η", parser=plain_number, help="A noise level; repeatable."),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", metavar="N", parser=plain_count, help="In free space: fits at each level, 3 where nobody says."
        ),
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    solver: SolverOption = None,
    quick: QuickOption = False,
    retry: RetryOption = False,
    executor: ExecutorOption = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve at several noise levels, and cross-apply the controls."""
    place = SideBySide.asked(executor, workers)
    from controlsde.cli.console import LOADING, Console

    loaded, lessened = load_to_solve(problem, overrides, solver, quick)
    console = Console(quiet=quiet or not leads(executor), verbose=verbose)
    with running(console, problem, LOADING):
        from controlsde.workflow.comparison import DEFAULT_NOISE, keeping
        from controlsde.workflow.comparison import compare as compare_once
        from controlsde.workflow.cost_alone import cost_alone
        from controlsde.workflow.expectation import expected_time
        from controlsde.workflow.jobs import expected_together
        from controlsde.workflow.prediction import refusals
        from controlsde.workflow.retrying import compare_retrying

        levels = noise_levels(problem, overrides, noise or DEFAULT_NOISE)
    if loaded.domain.free:
        asked = free_commands.Asked(problem, overrides, loaded, console, as_json)
        free_commands.compare(asked, levels, seeds, output, lessened, place, quick=quick)
        return
    if seeds is not None:
        raise UsageError("--seeds is for problems in free space; in a box every solve has starts of its own")
    with running(console, problem, LOADING):
        from controlsde.workflow.kept import file_name

        names = {level: file_name(level) for level in levels}
        folder = output_folder(output, loaded.name, *names.values())
        refuse(problem, refusals(loaded))
        files = keeping(loaded, levels, folder=folder)
        missing = sum(files.kept(number) is None for number in range(len(levels)))
        one = cost_alone(loaded)
        together = place.together(missing, one)
        expected = expected_together(missing, together, one, expected_time(loaded, missing))
    if lessened:
        console.note(lessened)
    console.note(of_comparison(loaded, levels, expected, str(folder), together, len(levels) - missing))
    if not noise:
        quicker = "" if quick else "; --quick takes less effort"
        console.note(f"--noise η, repeated, chooses other noise levels{quicker}")
    with running(console, problem) as progress, located(problem, overrides, loaded):
        with place.started() as pool:
            if retry:
                comparison = compare_retrying(loaded, levels, progress, pool, folder)
            else:
                comparison = compare_once(loaded, levels, progress=progress, executor=pool, folder=folder)
        comparison.save(folder)
    console.comparison(comparison, folder)
    if as_json:
        print_json(comparison.to_json())
    show(comparison, partial(draw_comparison, comparison, folder, names), folder, console, problem)
    if comparison.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    finish(list(comparison.results))


@app.command()
def evaluate(
    problem: ProblemArgument,
    controls: Annotated[
        Path | None,
        typer.Option("--controls", metavar="FILE", help="A result (.nc) or weights (.safetensors) that hold controls."),
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Verify given controls or a given drift, without solving."""
    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    loaded = load_problem(problem, overrides)
    console = Console(quiet=quiet, verbose=verbose)
    with running(console, problem, LOADING):
        from controlsde.control.controls import Controls
        from controlsde.workflow.answering import evaluate as run
        from controlsde.workflow.answering import refusals_of_evaluation

    given = Controls.load(controls) if controls else None
    if given is not None and loaded.drift is not None:
        raise UsageError(f"{problem}: gives its own drift, and --controls gives another; leave one of them out")
    if controls is not None:
        warn_about_controls(controls, loaded)
    folder = output_folder(output, loaded.name) if output else None

    with running(console, problem, LOADING):
        refuse(problem, refusals_of_evaluation(loaded))
    with running(console, problem) as progress, located(problem, overrides, loaded):
        result = run(loaded, given, progress)
        if folder:
            progress(Step("writing the result"))
            result = write(result, folder)
    console.result(result, folder)
    if as_json:
        print_json(result.to_json())
    if folder:
        show_result(result, folder, console, problem)
    finish([result])


@app.command()
def simulate(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result (.nc) of solve, compare or evaluate.")],
    particles: Annotated[
        int | None,
        typer.Option(
            "--particles", metavar="N", parser=plain_count, help="How many, in place of the problem's number."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda, in place of the problem's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", parser=plain_count, help="Steps a piece.")
    ] = None,
    scheme: Annotated[
        str | None, typer.Option("--scheme", metavar="NAME", help="heun (weak order 2) or euler-maruyama (1).")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", parser=plain_count, help="Of the noise.")] = None,
    repetition: Annotated[
        int,
        typer.Option(
            "--repetition",
            metavar="N",
            parser=plain_count,
            help="Another number draws other noise under the same seed.",
        ),
    ] = 0,
    time_budget: Annotated[
        float | None,
        typer.Option("--time-budget", metavar="S", parser=plain_number, help="Stop after so many seconds."),
    ] = None,
    target_se: Annotated[
        float | None,
        typer.Option(
            "--target-se", metavar="E", parser=plain_number, help="Stop when the L² error at T has this standard error."
        ),
    ] = None,
    paths: Annotated[
        int,
        typer.Option(
            "--paths", metavar="K", parser=plain_count, help="Keep the ways of K particles in the output file."
        ),
    ] = 0,
    executor: ExecutorOption = None,
    workers: WorkersOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Monte Carlo of a saved result, by threads of this process or workers elsewhere."""
    place = SideBySide.asked(executor, workers)
    if paths and output is None:
        raise UsageError("--paths is kept in a file: say where with -o DIR")
    folder = output_folder(output, "simulation", "simulation") if output else None

    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet or not leads(executor), verbose=verbose)
    with running(console, str(result), LOADING):
        from controlsde.workflow.simulation import SimulationSettings
        from controlsde.workflow.simulation import simulate as run

        loaded = load_any_result(result)
    if loaded.problem.domain.free:
        if executor or workers:
            raise UsageError("--executor and --workers are for boxes: in free space particles move in this process")
        settings = SimulationSettings(particles, device, steps, scheme, seed, repetition, time_budget, target_se, paths)
        free_commands.simulate(str(result), cast("FreeResult", loaded), settings, folder, console, as_json=as_json)
        return
    with running(console, str(result)) as progress:
        with place.started() as pool:
            simulation = run(
                cast("Result", loaded),
                particles,
                device=device,
                steps_per_piece=steps,
                scheme=scheme,
                seed=seed,
                repetition=repetition,
                time_budget=time_budget,
                target_se=target_se,
                paths=paths,
                progress=progress,
                executor=pool,
            )
        if folder:
            progress(Step("writing the simulation"))
            simulation = simulation.save(folder / "simulation.nc")
    console.simulation(simulation)
    if as_json:
        print_json(simulation.to_json())
    if folder:
        show(simulation, lambda _: draw_simulation(simulation, folder), folder, console, str(result))
    finish_simulation(simulation)


for _command in (*CONTROLLABILITY, *SWEEPING, *VIEWING, *PAGES):
    app.command()(_command)


@app.command()
def check(problem: ProblemArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Validate a problem and predict its sizes, without running it."""
    loaded = load_problem(problem, overrides)

    from controlsde.cli.console import Console

    console = Console()
    if loaded.domain.free:
        free_commands.check(free_commands.Asked(problem, overrides, loaded, console, as_json))
        return
    with running(console, problem, "building the reference"), located(problem, overrides, loaded):
        from controlsde.workflow.expectation import expected_time
        from controlsde.workflow.prediction import predict

        prediction, expected = predict(loaded), expected_time(loaded)
    console.prediction(loaded, prediction, expected)
    if as_json:
        print_json(prediction.to_json())
    place = place_in(problem, overrides, prediction.refused_at) if prediction.refused_at else problem
    refuse(place, prediction.refused)


@app.command()
def problems(as_json: JsonOption = False) -> None:
    """List the shipped problems."""
    from controlsde.cli.shipped import print_table, shipped_problems

    shipped = shipped_problems()
    if as_json:
        print_json([one.to_json() for one in shipped])
        return
    print_table(shipped)


@app.command()
def schema() -> None:
    """Print the JSON Schema of problem files."""
    from controlsde.problem import json_schema

    print_json(json_schema())


def _lacks_a_problem(cause: BaseException | None) -> bool:
    """Whether a command ended because nobody named its problem, which Typer says, but not what to do about it."""
    lacking = getattr(getattr(cause, "param", None), "name", None)
    return type(cause).__name__ == "MissingParameter" and lacking == "problem"


def main() -> None:
    """Run the command line; every known kind of failure ends in one clear line and its exit code."""
    with warnings.catch_warnings(), ending_gently():
        if not sys.warnoptions:  # the certificate tells what went wrong with the numbers, in words
            warnings.simplefilter("ignore")
        try:
            refuse_controls(sys.argv[1:])
            app(prog_name="controlsde")
        except KeyboardInterrupt:
            say("interrupted")
            sys.exit(EXIT_INTERRUPTED)
        except SystemExit as end:
            if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):  # Typer ends without a word
                say("interrupted")
            if _lacks_a_problem(end.__context__):
                say(PROBLEM_WANTED)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said safely
            sys.exit(explain(error))

"""The command line: what a user types, what is printed where, and the exit codes.

Results go to stdout (one JSON document with --json), progress, tables and messages to stderr. Nothing heavy is
imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlsde.cli.arguments import (
    located,
    place_in,
    plain_count,
    plain_number,
    refuse_controls,
)
from controlsde.cli.claim_commands import app as claims_app
from controlsde.cli.exits import (
    UsageError,
    ending_gently,
    explain,
    finish,
    finish_feedback,
    finish_reach,
    finish_simulation,
    placed,
    refuse,
    running,
    say,
)
from controlsde.cli.inputs import load_result, warn_about_controls
from controlsde.cli.outputs import (
    draw,
    draw_bounds,
    draw_comparison,
    draw_controllability,
    draw_feedback,
    draw_reach,
    draw_simulation,
    output_folder,
    stems,
    write,
)
from controlsde.foundation.errors import EXIT_INTERRUPTED
from controlsde.foundation.memory import make_sure_of_room
from controlsde.foundation.wording import in_json

if TYPE_CHECKING:
    from controlsde.problem import Problem

app = typer.Typer(
    name="controlsde",
    help="Steer a probability density with and without noise: solve, compare and verify tracking problems.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(claims_app, name="claims")

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
QUICK_SEARCH = {1: (4, 8), 2: (2, 0)}  # starts and hops, by dimension
QUICK_PARTICLES = 20_000
SolverOption = Annotated[
    str | None,
    typer.Option(
        "--solver", metavar="KIND", help="shooting, collocation, score-matching or switching, in place of the file's."
    ),
]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no tables.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="One line for every iteration.")]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="A first answer in seconds: fewer starts, hops and particles than by default.")
]
RetryOption = Annotated[
    bool, typer.Option("--retry", help="Where something went wrong, try the first remedy, and keep the better answer.")
]


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
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve a problem, verify the answer, write result and figures."""
    loaded = _load_to_solve(problem, overrides, solver, quick)
    folder = output_folder(output, loaded.name)

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.workflow.prediction import refusals
    from controlsde.workflow.retrying import solve_retrying
    from controlsde.workflow.solving import solve as solve_once

    refuse(problem, refusals(loaded))

    console = Console(quiet=quiet, verbose=verbose)
    with running(console, problem) as progress, located(problem, overrides, loaded):
        result = solve_retrying(loaded, progress) if retry else solve_once(loaded, progress=progress)
        progress(Step("writing the result"))
        result = write(result, folder)
    console.result(result, folder)
    if as_json:
        _print_json(result.to_json())
    with running(console, problem) as progress:
        progress(Step("drawing the figures"))
        draw(result, folder)
    finish([result])


@app.command()
def compare(
    problem: ProblemArgument,
    noise: Annotated[
        list[float] | None,
        typer.Option("--noise", metavar="η", parser=plain_number, help="A noise level; repeatable."),
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    solver: SolverOption = None,
    quick: QuickOption = False,
    retry: RetryOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Solve at several noise levels, and cross-apply the controls."""
    from controlsde.workflow.comparison import DEFAULT_NOISE
    from controlsde.workflow.comparison import compare as compare_once

    loaded = _load_to_solve(problem, overrides, solver, quick)
    levels = _levels(problem, overrides, noise or DEFAULT_NOISE)
    names = stems(levels)
    folder = output_folder(output, loaded.name, *names.values())

    from dataclasses import replace

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.workflow.prediction import refusals
    from controlsde.workflow.retrying import compare_retrying

    refuse(problem, refusals(loaded))
    console = Console(quiet=quiet, verbose=verbose)
    with running(console, problem) as progress, located(problem, overrides, loaded):
        if retry:
            comparison = compare_retrying(loaded, levels, progress)
        else:
            comparison = compare_once(loaded, levels, progress=progress)
        progress(Step("writing the results"))
        written = tuple(write(result, folder, names[result.noise]) for result in comparison.results)
        comparison = replace(comparison, results=written)
    console.comparison(comparison, folder)
    if as_json:
        _print_json(comparison.to_json())
    with running(console, problem) as progress:
        progress(Step("drawing the figures"))
        draw_comparison(comparison, folder, names)
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
    from controlsde.control.controls import Controls

    loaded = _load(problem, overrides)
    given = Controls.load(controls) if controls else None
    if given is not None and loaded.drift is not None:
        raise UsageError(f"{problem}: gives its own drift, and --controls gives another; leave one of them out")
    if controls is not None:
        warn_about_controls(controls, loaded)
    folder = output_folder(output, loaded.name) if output else None

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.workflow.prediction import refusals_of_evaluation
    from controlsde.workflow.solving import evaluate as run

    refuse(problem, refusals_of_evaluation(loaded))
    console = Console(quiet=quiet, verbose=verbose)
    with running(console, problem) as progress, located(problem, overrides, loaded):
        result = run(loaded, given, progress)
        if folder:
            progress(Step("writing the result"))
            result = write(result, folder)
    console.result(result, folder)
    if as_json:
        _print_json(result.to_json())
    if folder:
        with running(console, problem) as progress:
            progress(Step("drawing the figures"))
            draw(result, folder)
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
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Monte Carlo of a saved result; under torchrun, by several processes."""
    if paths and output is None:
        raise UsageError("--paths is kept in a file: say where with -o DIR")
    folder = output_folder(output, "simulation", "simulation") if output else None

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.monte_carlo.process_group import crew as started_together
    from controlsde.workflow.simulation import simulate as run

    with started_together() as crew:
        console = Console(quiet=quiet or not crew.leads, verbose=verbose)
        loaded = load_result(result)
        with running(console, str(result)) as progress:
            simulation = run(
                loaded,
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
                crew=crew,
            )
            if folder and crew.leads:
                progress(Step("writing the simulation"))
                simulation = simulation.save(folder / "simulation.nc")
    if crew.leads:
        console.simulation(simulation)
        if as_json:
            _print_json(simulation.to_json())
        if folder:
            with running(console, str(result)) as progress:
                progress(Step("drawing the figure"))
                draw_simulation(simulation, folder)
    finish_simulation(simulation)


@app.command()
def bound(
    problem: ProblemArgument,
    within: Annotated[
        list[float] | None,
        typer.Option(
            "--within", metavar="ε", parser=plain_number, help="A distance ‖ρ(T) − p(T)‖ in L², or 0; repeatable."
        ),
    ] = None,
    noise: Annotated[
        list[float] | None,
        typer.Option(
            "--noise", metavar="η", parser=plain_number, help="A noise level, in place of the problem's; repeatable."
        ),
    ] = None,
    answer: Annotated[
        list[Path] | None,
        typer.Option("--answer", metavar="RESULT", help="A result to set against the curve; repeatable."),
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The least energy of any drift that comes so near to the data: proved, without solving."""
    loaded = _load(problem, overrides)
    if not within:
        raise UsageError("--within is needed: a distance ε, such as 0.05; repeatable")
    levels = _levels(problem, overrides, noise or [loaded.noise])
    answers = [load_result(each) for each in answer or []]
    folder = output_folder(output, loaded.name, "bound") if output else None

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.workflow.bounding import bound as run

    console = Console(quiet=quiet, verbose=verbose)
    with running(console, problem) as progress, located(problem, overrides, loaded):
        found = run(loaded, within, levels, progress, frontiers=folder is not None, answers=answers)
        if folder:
            progress(Step("drawing the frontier"))
            draw_bounds(found, folder)
    console.bounds(found, folder)
    if as_json:
        _print_json(found.to_json())


@app.command()
def controllability(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="A result (.nc) of solve, compare or evaluate.")],
    metric: Annotated[
        str,
        typer.Option("--metric", metavar="NAME", help="energy, ∫∫|δv|²ρ of the drift's change, or effort, ∑Δt|δθ|²."),
    ] = "energy",
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """What the weights of a result can change of its density at T, to first order about them."""
    folder = output_folder(output, "controllability", "controllability") if output else None

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.workflow.linearising import controllability as run

    loaded = load_result(result)
    console = Console(quiet=quiet, verbose=verbose)
    with running(console, str(result)) as progress:
        found = run(loaded, metric, progress=progress)
        if folder:
            progress(Step("drawing the figures"))
            draw_controllability(found, folder)
    console.controllability(found, folder)
    if as_json:
        _print_json(found.to_json())


@app.command()
def feedback(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Results (.nc) of one problem, for instance at two noise levels."),
    ],
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="DENSITY",
            help="Where the process really starts: '{kind: …}' as in a problem file, uniform, stationary or exact.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", metavar="WAY", help="riccati (a linear law) or replan (solve the rest); repeatable."),
    ] = None,
    every: Annotated[
        int, typer.Option("--every", metavar="K", parser=plain_count, help="Pieces between two plans of replan.")
    ] = 1,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """A wrong start: what a result's controls make of it, and what feedback does."""
    if start is None:
        raise UsageError("--start is needed: the density from which the process starts, such as stationary")
    folder = output_folder(output, "feedback", "feedback") if output else None

    from controlsde.cli.console import Console
    from controlsde.workflow.feedback import Feedback, feedbacks, methods_of

    console = Console(quiet=quiet, verbose=verbose)
    methods, found = methods_of(by or ["riccati"]), list[Feedback]()
    for path in results:
        loaded = load_result(path)
        with running(console, str(path)) as progress:
            found += feedbacks(loaded, start, methods, every, progress)
    console.feedback(found, folder)
    if as_json:
        documents = [one.to_json() for one in found]
        _print_json(documents[0] if len(documents) == 1 else documents)
    if folder:
        draw_feedback(found, folder)
    finish_feedback(found)


@app.command()
def reach(
    problem: ProblemArgument,
    within: Annotated[
        float | None,
        typer.Option("--within", metavar="ε", parser=plain_number, help="The distance to the data that is wanted."),
    ] = None,
    least: Annotated[
        str, typer.Option("--least", metavar="WHAT", help="energy, pieces, width or horizon: what is to be least.")
    ] = "pieces",
    noise: Annotated[
        list[float] | None,
        typer.Option(
            "--noise", metavar="η", parser=plain_number, help="A noise level, in place of the problem's; repeatable."
        ),
    ] = None,
    norm: Annotated[str, typer.Option("--norm", metavar="NAME", help="Of the distance: l2 or w2.")] = "l2",
    energy: Annotated[
        float | None,
        typer.Option("--energy", metavar="E", parser=plain_number, help="A limit on the energy ∫∫|v|²ρ."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="SECONDS", parser=plain_number, help="Begin nothing that would end later."),
    ] = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The least energy, pieces, width or horizon that brings the density so near: reached, not found, or impossible."""
    loaded = _load(problem, overrides)
    if within is None:
        raise UsageError("--within is needed: the distance ε to come within, such as 0.05")
    levels = _levels(problem, overrides, noise or [loaded.noise])
    folder = output_folder(output, loaded.name, "reach") if output else None

    from controlsde.cli.console import Console
    from controlsde.foundation.progress import Step
    from controlsde.workflow.reaching import BUDGET, Reach, at_levels
    from controlsde.workflow.reaching import reach as run

    console = Console(quiet=quiet, verbose=verbose)
    found = list[Reach]()
    with running(console, problem) as progress, located(problem, overrides, loaded):
        for each in at_levels(loaded, levels):
            limit = BUDGET if budget is None else budget
            one = run(each, within, least, norm, energy, limit, folder, progress, frontier=folder is not None)
            found.append(one)
            if one.interrupted:
                break
        if folder:
            progress(Step("drawing the ladder"))
            draw_reach(found, folder)
    console.reach(found, folder)
    if as_json:
        _print_json(found[0].to_json() if len(levels) == 1 else [one.to_json() for one in found])
    finish_reach(found)


@app.command()
def check(problem: ProblemArgument, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Validate a problem and predict its sizes, without running it."""
    loaded = _load(problem, overrides)

    from controlsde.cli.console import Console
    from controlsde.workflow.prediction import predict

    with placed(problem), located(problem, overrides, loaded):
        prediction = predict(loaded)
    Console().prediction(loaded, prediction)
    if as_json:
        _print_json(prediction.to_json())
    place = place_in(problem, overrides, prediction.refused_at) if prediction.refused_at else problem
    refuse(place, prediction.refused)


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
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said safely
            sys.exit(explain(error))


def _load(source: str, overrides: list[str] | None) -> Problem:
    from controlsde.problem import load_problem, parse_override

    return load_problem(source, set=dict(parse_override(text) for text in overrides or []))


def _levels(source: str, overrides: list[str] | None, noise: Sequence[float]) -> tuple[float, ...]:
    """The noise levels of the command line, each as valid as one in the file."""
    from controlsde.workflow.comparison import check_levels

    levels = check_levels(noise)
    for level in levels:
        _load(source, [*(overrides or []), f"noise={level!r}"])
    return levels


def _load_to_solve(source: str, overrides: list[str] | None, solver: str | None, quick: bool = False) -> Problem:
    """The problem, with another kind of solver if one is named: as `--set solver=KIND` before all other overrides.

    quick: with little effort, but for what the overrides say.
    """
    from controlsde.problem import parse_override

    given = {parse_override(text)[0] for text in overrides or []} if quick else set()
    if solver is not None and _own_solver(source) != _known_solver(solver):
        overrides = [f"solver={solver}", *(overrides or [])]
    loaded = _load(source, overrides)
    if quick:
        little = _little_effort(loaded).items()
        free = [f"{key}={value}" for key, value in little if not {key, key.split(".")[0]} & given]
        loaded = _load(source, [*(overrides or []), *free])
    if solver not in (None, loaded.solver.kind):
        raise UsageError(f"--solver {solver} and --set solver={loaded.solver.kind} contradict each other; give one")
    if loaded.drift is not None:
        raise UsageError(f"{source}: gives its own drift; run `controlsde evaluate`, or remove the key drift")
    return loaded


def _little_effort(problem: Problem) -> dict[str, int]:
    """Keys of a problem, and what they are for a first answer."""
    little = {"monte_carlo.particles": QUICK_PARTICLES}
    if problem.solver.kind == "shooting":
        little |= dict(zip(("solver.starts", "solver.hops"), QUICK_SEARCH[min(problem.dimension, 2)], strict=True))
    return {key: min(value, _value_of(problem, key)) for key, value in little.items()}


def _value_of(problem: Problem, key: str) -> int:
    part, name = key.split(".")
    return int(getattr(getattr(problem, part), name))


def _own_solver(source: str) -> str | None:
    """The kind of solver that a file asks for; None when the file alone is not a valid problem."""
    from controlsde.problem import ProblemError

    try:
        return _load(source, None).solver.kind
    except ProblemError:
        return None


def _known_solver(name: str) -> str:
    from controlsde.registry import SOLVERS

    if name not in SOLVERS:
        raise UsageError(f"--solver must be one of {', '.join(SOLVERS)} (got {name!r})")
    return name


def _print_json(document: Any) -> None:
    typer.echo(in_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)))

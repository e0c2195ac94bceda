"""The commands that ask what can be reached: `bound`, `reach`, `controllability`, `feedback`.

Comes in: what a user types. Goes out: tables on stderr, JSON on stdout, files, exit codes. Nothing heavy is imported
before it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlsde.cli.arguments import located, plain_count, plain_number
from controlsde.cli.exits import UsageError, finish_feedback, finish_reach, running
from controlsde.cli.inputs import load_problem, load_result, noise_levels
from controlsde.cli.options import (
    ExecutorOption,
    JsonOption,
    NoiseOption,
    OutputOption,
    ProblemArgument,
    QuietOption,
    SetOption,
    VerboseOption,
    WorkersOption,
)
from controlsde.cli.outputs import (
    draw_bounds,
    draw_controllability,
    draw_feedback,
    draw_reach,
    output_folder,
    print_json,
)
from controlsde.cli.side_by_side import SideBySide, leads


def bound(
    problem: ProblemArgument,
    within: Annotated[
        list[float] | None,
        typer.Option(
            "--within", metavar="ε", parser=plain_number, help="A distance ‖ρ(T) − p(T)‖ in L², or 0; repeatable."
        ),
    ] = None,
    noise: NoiseOption = None,
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
    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    loaded = load_problem(problem, overrides)
    if not within:
        raise UsageError("--within is needed: a distance ε, such as 0.05; repeatable")
    console = Console(quiet=quiet, verbose=verbose)
    with running(console, problem, LOADING):
        from controlsde.workflow.bounding import bound as run

        levels = noise_levels(problem, overrides, noise or [loaded.noise])
        answers = [load_result(each) for each in answer or []]
    folder = output_folder(output, loaded.name, "bound") if output else None
    with running(console, problem) as progress, located(problem, overrides, loaded):
        found = run(loaded, within, levels, progress, frontiers=folder is not None, answers=answers)
        if folder:
            progress(Step("drawing the frontier"))
            draw_bounds(found, folder)
    console.bounds(found, folder)
    if as_json:
        print_json(found.to_json())


def reach(
    problem: ProblemArgument,
    within: Annotated[
        float | None,
        typer.Option("--within", metavar="ε", parser=plain_number, help="The distance to the data that is wanted."),
    ] = None,
    least: Annotated[
        str, typer.Option("--least", metavar="WHAT", help="energy, pieces, width or horizon: what is to be least.")
    ] = "pieces",
    noise: NoiseOption = None,
    norm: Annotated[str, typer.Option("--norm", metavar="NAME", help="Of the distance: l2 or w2.")] = "l2",
    energy: Annotated[
        float | None,
        typer.Option("--energy", metavar="E", parser=plain_number, help="A limit on the energy ∫∫|v|²ρ."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="SECONDS", parser=plain_number, help="Begin nothing that would end later."),
    ] = None,
    executor: ExecutorOption = None,
    workers: WorkersOption = None,
    overrides: SetOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The least energy, pieces, width or horizon that brings the density so near: reached, not found, or impossible."""
    place = SideBySide.asked(executor, workers)
    loaded = load_problem(problem, overrides)
    if within is None:
        raise UsageError("--within is needed: the distance ε to come within, such as 0.05")

    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet or not leads(executor), verbose=verbose)
    with running(console, problem, LOADING):
        from controlsde.workflow.reaching import BUDGET, reach_each

        levels = noise_levels(problem, overrides, noise or [loaded.noise])
    folder = output_folder(output, loaded.name, "reach") if output else None
    asked = {
        "within": within,
        "least": least,
        "norm": norm,
        "energy": energy,
        "budget": BUDGET if budget is None else budget,
        "folder": folder.resolve() if folder else None,  # workers may be elsewhere
        "frontier": folder is not None,
    }
    with running(console, problem) as progress, located(problem, overrides, loaded):
        with place.started() as pool:
            found = reach_each(loaded, levels, asked, progress, pool)
        if folder:
            progress(Step("drawing the ladder"))
            draw_reach(found, folder)
    console.reach(found, folder)
    if as_json:
        print_json(found[0].to_json() if len(levels) == 1 else [one.to_json() for one in found])
    finish_reach(found)


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

    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet, verbose=verbose)
    with running(console, str(result), LOADING):
        from controlsde.workflow.linearising import controllability as run

        loaded = load_result(result)
    with running(console, str(result)) as progress:
        found = run(loaded, metric, progress=progress)
        if folder:
            progress(Step("drawing the figures"))
            draw_controllability(found, folder)
    console.controllability(found, folder)
    if as_json:
        print_json(found.to_json())


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

    from controlsde.cli.console import LOADING, Console

    console = Console(quiet=quiet, verbose=verbose)
    with running(console, str(results[0]), LOADING):
        from controlsde.workflow.feedback import Feedback, feedbacks, methods_of

    methods, found = methods_of(by or ["riccati"]), list[Feedback]()
    for path in results:
        loaded = load_result(path)
        with running(console, str(path)) as progress:
            found += feedbacks(loaded, start, methods, every, progress)
    console.feedback(found, folder)
    if as_json:
        documents = [one.to_json() for one in found]
        print_json(documents[0] if len(documents) == 1 else documents)
    if folder:
        with running(console, str(results[0]), "drawing the figure"):
            draw_feedback(found, folder)
    finish_feedback(found)


COMMANDS = (bound, reach, controllability, feedback)

"""What commands do with a problem in free space where that differs from a box: comparing, simulating, checking.

Comes in: what the command line says. Goes out: results on disk and on screen, as of the same commands in a box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from controlsde.cli.arguments import located, place_in
from controlsde.cli.exits import UsageError, finish, finish_simulation, refuse, running
from controlsde.cli.outputs import draw_comparison, draw_simulation, output_folder, print_json
from controlsde.cli.plain_words import of_free_comparison
from controlsde.cli.showing import show
from controlsde.foundation.errors import EXIT_INTERRUPTED
from controlsde.foundation.progress import Step

if TYPE_CHECKING:
    from controlsde.cli.console import Console
    from controlsde.cli.side_by_side import SideBySide
    from controlsde.problem import Problem
    from controlsde.result.free_result import FreeResult
    from controlsde.workflow.simulation import SimulationSettings

MOST_SEEDS = 100


@dataclass(frozen=True)
class Asked:
    """A problem as the command line names it, with what is set on top, and what is wanted of the output."""

    source: str
    overrides: list[str] | None
    problem: Problem
    console: Console
    as_json: bool


def compare(
    asked: Asked,
    levels: tuple[float, ...],
    seeds: int | None,
    output: Path | None,
    note: str,
    place: SideBySide,
    *,
    quick: bool,
) -> None:
    """Solve at several noise levels from several seeds; note: what a first look leaves out."""
    from controlsde.tracking.free_posed import FreePosed
    from controlsde.workflow.cost_alone import cost_alone
    from controlsde.workflow.free_comparison import SEEDS, compare_free, files_of, fits_of
    from controlsde.workflow.free_prediction import expected_in_free_space, refusals_in_free_space
    from controlsde.workflow.jobs import expected_together
    from controlsde.workflow.kept import file_name

    if seeds is None:
        seeds = 1 if quick else SEEDS
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"--seeds must be a number from 1 to {MOST_SEEDS} (got {seeds})")
    problem, console = asked.problem, asked.console
    with running(console, asked.source, "building the reference"), located(asked.source, asked.overrides, problem):
        posed = FreePosed.of(problem)
        refused = refusals_in_free_space(posed)
        fits = fits_of(problem, levels, seeds)
        stems = [one.path.stem for of_seed in files_of(fits, Path()) for one in of_seed]
        folder = output_folder(output, problem.name, *stems)
        kept = sum(one.read() is not None for of_seed in files_of(fits, folder) for one in of_seed)
        one, missing = cost_alone(problem), len(levels) * seeds - kept
        together = place.together(missing, one)
        expected = expected_together(missing, together, one, expected_in_free_space(posed, missing))
    refuse(asked.source, refused)
    for line in (note, of_free_comparison(problem, levels, seeds, expected, str(folder), together, kept)):
        if line:
            console.note(line)
    with running(console, asked.source) as progress, located(asked.source, asked.overrides, problem):
        with place.started() as pool:
            comparison = compare_free(problem, levels, None, progress, seeds, pool, folder)
        comparison.save(folder)
    console.free_comparison(comparison, folder)
    if asked.as_json:
        print_json(comparison.to_json())
    drawn = partial(draw_comparison, comparison, folder, {level: file_name(level) for level in levels})
    show(comparison, drawn, folder, console, asked.source)
    if comparison.interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)
    finish([result for level in comparison.at_levels for result in level])


def simulate(
    path: str, result: FreeResult, settings: SimulationSettings, folder: Path | None, console: Console, *, as_json: bool
) -> None:
    """Move other particles by the controls of a result."""
    from controlsde.workflow.free_simulation import simulate_free

    with running(console, path) as progress:
        simulation = simulate_free(result, settings, progress)
        if folder:
            progress(Step("writing the simulation"))
            simulation = simulation.save(folder / "simulation.nc")
    console.free_simulation(simulation)
    if as_json:
        print_json(simulation.to_json())
    if folder:
        show(simulation, lambda _: draw_simulation(simulation, folder), folder, console, path)
    finish_simulation(simulation)


def check(asked: Asked) -> None:
    """Validate a problem and predict its sizes, without running it."""
    from controlsde.tracking.free_posed import FreePosed
    from controlsde.workflow.free_prediction import expected_in_free_space, predict_free

    source, problem = asked.source, asked.problem
    with running(asked.console, source, "building the reference"), located(source, asked.overrides, problem):
        posed = FreePosed.of(problem)
        prediction, expected = predict_free(posed), expected_in_free_space(posed)
    asked.console.free_prediction(problem, prediction, expected)
    if asked.as_json:
        print_json(prediction.to_json())
    place = place_in(source, asked.overrides, prediction.refused_at) if prediction.refused_at else source
    refuse(place, prediction.refused)

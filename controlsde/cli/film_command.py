"""The command `film`: results side by side, moving.

Comes in: result files and the name of a film. Goes out: the film, whole or not at all. Nothing heavy is imported before
it is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controlsde.cli.arguments import plain_count, plain_number
from controlsde.cli.exits import running
from controlsde.cli.inputs import load_result
from controlsde.cli.options import QuietOption, VerboseOption
from controlsde.cli.outputs import output_file


def film(
    results: Annotated[
        list[Path], typer.Argument(metavar="RESULT...", help="Results (.nc) of solve, compare or evaluate.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="A .gif, .webp or .mp4; else film.gif beside the first result."
        ),
    ] = None,
    fps: Annotated[
        float, typer.Option("--fps", metavar="N", parser=plain_number, help="Frames a second, 0.5 to 50.")
    ] = 12.0,
    particles: Annotated[
        int, typer.Option("--particles", metavar="N", parser=plain_count, help="How many dots; 0 for none.")
    ] = 300,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", parser=plain_count, help="Of the particles' starts and noise.")
    ] = 0,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """A film of a result, or of several side by side: density, reference, particles, drift."""
    target = output_file(output or results[0].parent / "film.gif")

    from controlsde.cli.console import LOADING, Console
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet, verbose=verbose)
    with running(console, str(target), LOADING) as progress:
        from controlsde.report.film import save_film

        progress(Step("loading the results"))
        loaded = [load_result(result) for result in results]
        save_film(loaded, target, fps, particles=particles, seed=seed, progress=progress)
    console.note(f"film: {target}")

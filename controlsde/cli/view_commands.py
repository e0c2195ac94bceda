"""The commands that show results which are there already: a page, a film."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlsde.cli.arguments import plain_count, plain_number
from controlsde.cli.exits import UsageError
from controlsde.cli.inputs import load_any_result
from controlsde.cli.options import QuietOption, VerboseOption
from controlsde.cli.outputs import REPORT, output_file, writable_folder

if TYPE_CHECKING:
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.free_comparison import FreeComparison

ResultsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="RESULT…", help="Results (.nc), or a folder of solve or compare; several go together."),
]


def report(
    results: ResultsArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Where to write it; report.html beside the first result."),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Write one self-contained HTML page about results: verdict, film, errors, certificate, problem."""
    target = _target(output, results[0])
    writable_folder(target.parent)  # before anything is loaded

    from controlsde.cli.console import Console
    from controlsde.cli.exits import running
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet)
    with running(console, str(results[0])) as progress:
        progress(Step("reading the results"))
        shown = shown_in(results)
        progress(Step("writing the report"))
        if isinstance(shown, list):
            from controlsde.report.page.writing import report_results

            written = report_results(shown, target)
        else:
            written = shown.report(target)
    console.report(written)


def film(
    results: ResultsArgument,
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
    target = output_file(output or _beside(results[0]) / "film.gif")

    from controlsde.cli.console import LOADING, Console
    from controlsde.cli.exits import running
    from controlsde.foundation.progress import Step

    console = Console(quiet=quiet, verbose=verbose)
    with running(console, str(target), LOADING) as progress:
        from controlsde.report.film import save_film

        progress(Step("loading the results"))
        save_film(_in_boxes(shown_in(results)), target, fps, particles=particles, seed=seed, progress=progress)
    console.note(f"film: {target}")


def shown_in(places: list[Path]) -> list[Result | FreeResult] | Comparison | FreeComparison:
    """The comparison in a folder or its comparison.json, where nothing else is given; or all results that are named.

    A folder stands for its comparison or, where it has none, for its result.nc.
    """
    from controlsde.workflow.comparison_file import NAME

    comparisons = [place for place in places if place.name == NAME or (place / NAME).is_file()]
    if comparisons and len(places) == 1:
        return _comparison_in(comparisons[0])
    found: list[Result | FreeResult] = []
    for place in places:
        if place in comparisons:
            found += _comparison_in(place).results
        else:
            found.append(load_any_result(place / "result.nc" if (place / "result.nc").is_file() else place))
    return found


def _comparison_in(place: Path) -> Comparison | FreeComparison:
    """The comparison in a folder, or in its file, of either space."""
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.free_comparison import FreeComparison
    from controlsde.workflow.free_comparison_file import is_free

    return FreeComparison.load(place) if is_free(place) else Comparison.load(place)


def _in_boxes(shown: list[Result | FreeResult] | Comparison | FreeComparison) -> list[Result] | Comparison:
    """The same, where all of it lives in a box; raises ResultError for particles, which have no film."""
    from controlsde.result.result import Result
    from controlsde.result.result_file import ResultError
    from controlsde.workflow.comparison import Comparison

    if isinstance(shown, Comparison):
        return shown
    results = shown if isinstance(shown, list) else list(shown.results)
    boxes = [one for one in results if isinstance(one, Result)]
    if len(boxes) < len(results):
        free = next(one for one in results if not isinstance(one, Result))
        raise ResultError(
            f"{free.path or free.problem.name}: lives in free space, where there is no density on a mesh to film; "
            "`controlsde report` shows its particles on their way"
        )
    return boxes


def _beside(first: Path) -> Path:
    """The folder of what is shown first."""
    return first if first.is_dir() else first.parent


def _target(output: Path | None, first: Path) -> Path:
    if output is None:
        return _beside(first) / REPORT
    if output.is_dir():
        raise UsageError(f"{output}: is a folder; give a file, such as {output / REPORT}")
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: a report is a page; give a name that ends in .html")
    return output


COMMANDS = (report, film)

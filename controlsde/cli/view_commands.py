"""The commands that show results which are there already: a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlsde.cli.exits import UsageError
from controlsde.cli.inputs import load_result
from controlsde.cli.options import QuietOption
from controlsde.cli.outputs import REPORT, writable_folder

if TYPE_CHECKING:
    from controlsde.result.result import Result
    from controlsde.workflow.comparison import Comparison

ResultsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="RESULT…", help="Results (.nc), or a folder of solve or compare; several make one page."),
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


def shown_in(places: list[Path]) -> list[Result] | Comparison:
    """The comparison in a folder or its comparison.json, where nothing else is given; or all results that are named.

    A folder stands for its comparison or, where it has none, for its result.nc.
    """
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.comparison_file import NAME

    comparisons = [place for place in places if place.name == NAME or (place / NAME).is_file()]
    if comparisons and len(places) == 1:
        return Comparison.load(comparisons[0])
    found: list[Result] = []
    for place in places:
        if place in comparisons:
            found += Comparison.load(place).results
        else:
            found.append(load_result(place / "result.nc" if (place / "result.nc").is_file() else place))
    return found


def _target(output: Path | None, first: Path) -> Path:
    if output is None:
        return (first if first.is_dir() else first.parent) / REPORT
    if output.is_dir():
        raise UsageError(f"{output}: is a folder; give a file, such as {output / REPORT}")
    if output.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{output}: a report is a page; give a name that ends in .html")
    return output


COMMANDS = (report,)

"""What follows once an answer is written: its figures, its page, and where that is.

Comes in: an answer, and how its figures are drawn. Goes out: files in its folder, and a line on screen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.cli.exits import running
from controlsde.cli.outputs import draw, report
from controlsde.foundation.progress import Progress, Step

if TYPE_CHECKING:
    from controlsde.cli.console import Console
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.free_comparison import FreeComparison
    from controlsde.workflow.free_simulation import FreeSimulation
    from controlsde.workflow.simulation import Simulation


def show(
    shown: Result | FreeResult | Comparison | FreeComparison | Simulation | FreeSimulation,
    drawn: Callable[[Progress], None],
    folder: Path,
    console: Console,
    source: str,
) -> None:
    """Draw the figures, write the page, and say where it is. source: what errors name."""
    with running(console, source, "drawing the figures") as progress:
        drawn(progress)
        progress(Step("writing the report"))
        page = report(shown, folder)
    console.report(page)


def show_result(result: Result | FreeResult, folder: Path, console: Console, source: str) -> None:
    """The same for the result of one problem."""
    show(result, lambda progress: draw(result, folder, progress=progress), folder, console, source)

"""Where a command writes: the folder, checked before anything runs; results, and then figures, by name.

JSON goes to stdout. A result is written and said before any picture of it is drawn, and a picture that fails is a
warning.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from controlsde.cli.exits import UsageError, say
from controlsde.foundation import files
from controlsde.foundation.progress import Progress, silent
from controlsde.foundation.wording import in_json

if TYPE_CHECKING:
    from controlsde.result.answer import Answer
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result
    from controlsde.workflow.bounding import Bounds
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.feedback import Feedback
    from controlsde.workflow.free_comparison import FreeComparison
    from controlsde.workflow.free_simulation import FreeSimulation
    from controlsde.workflow.linearising import Controllability
    from controlsde.workflow.reaching import Reach
    from controlsde.workflow.simulation import Simulation

Kind = TypeVar("Kind", bound="Answer")

PICTURES = (
    "density", "weights", "error", "convergence", "simulation", "densities", "errors", "cross", "distances", "frontier",
    "directions", "insertion",
    "feedback", "reach", "marginals", "plane", "images", "course", "likelihoods",
)  # fmt: skip
REPORT = "report.html"
WRITTEN = ("result.nc", "simulation.nc", REPORT, "comparison.json", *(f"{name}.png" for name in PICTURES))


def output_folder(output: Path | None, name: str, *stems: str) -> Path:
    """The folder for results, checked to be writable before anything runs; what killed runs left in it is removed.

    stems: of the files and folders of several results that will be written there.
    """
    folder = writable_folder(output or Path("results") / name)
    remove_leftovers(folder)
    for stem in stems or ("result",):
        if (folder / f"{stem}.nc").is_dir():
            raise UsageError(f"{folder / stem}.nc: is a folder where the result would be written; move it away")
        if stems and (folder / stem).is_file():
            raise UsageError(f"{folder / stem}: is a file where a folder of figures would be written; move it away")
    return folder


def output_file(target: Path) -> Path:
    """The same file, where its folder can be made and written in and nothing is in the way."""
    if target.is_dir():
        raise UsageError(f"{target}: is a folder; give the name of a file in it with -o FILE")
    writable_folder(target.parent)
    return target


def writable_folder(folder: Path) -> Path:
    """The same folder, where it can be made and written in; nothing is left in it."""
    import tempfile

    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not nearest.is_dir():
        raise UsageError(f"{nearest}: is not a folder; give another with -o DIR")
    files.remove_leftovers(nearest)
    try:
        with tempfile.TemporaryDirectory(dir=nearest, prefix=files.temporary_prefix()):
            pass
    except OSError as error:
        raise UsageError(f"{nearest}: not writable ({error.strerror}); give another folder with -o DIR") from None
    return folder


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left of files in a folder of results, and of the pictures in the folders in it."""
    with suppress(OSError):
        inside = list(folder.iterdir())
        levels = [f"{path.name}.nc" for path in inside if path.is_dir() and path.name.startswith("noise-")]
        files.remove_leftovers(folder, [*WRITTEN, *levels])
        for place in (path for path in inside if path.is_dir() and path.name.startswith("noise-")):
            files.remove_leftovers(place, WRITTEN)


def write(result: Kind, folder: Path, stem: str = "result") -> Kind:
    """The file of a result."""
    return result.save(folder / f"{stem}.nc")


def draw(result: Result | FreeResult, folder: Path, stem: str = "result", progress: Progress = silent) -> None:
    """The figures of a result."""
    from controlsde.report.figures import save_figures

    save_figures(result, folder / stem if stem != "result" else folder, warn, progress)


def draw_comparison(
    comparison: Comparison | FreeComparison, folder: Path, names: dict[float, str], progress: Progress = silent
) -> None:
    """The figures of a comparison, and those of its results, which have these names."""
    from controlsde.report.figures import save_comparison

    save_comparison(comparison, folder, warn, progress)
    for result in comparison.results:
        draw(result, folder, names[result.noise], progress)


def draw_simulation(simulation: Simulation | FreeSimulation, folder: Path) -> None:
    """The figure of a simulation."""
    from controlsde.report.figures import save_simulation

    save_simulation(simulation, folder, warn)


def draw_bounds(bounds: Bounds, folder: Path) -> None:
    """The frontier of the least energy."""
    from controlsde.report.figures import save_bounds

    save_bounds(bounds, folder, warn)


def draw_controllability(found: Controllability, folder: Path) -> None:
    """The directions with their spectrum, and the insertion map."""
    from controlsde.report.figures import save_controllability

    save_controllability(found, folder, warn)


def draw_feedback(found: Sequence[Feedback], folder: Path) -> None:
    """The errors from a wrong start against time."""
    from controlsde.report.figures import save_feedback

    save_feedback(found, folder, warn)


def draw_reach(found: Sequence[Reach], folder: Path) -> None:
    """What was tried to come within a distance."""
    from controlsde.report.figures import save_reach

    save_reach(found, folder, warn)


def report(shown: Answer | Comparison | FreeComparison | Simulation | FreeSimulation, folder: Path) -> Path | None:
    """The page about what was computed; None, with a warning, where it could not be written."""
    from controlsde.report.figures import FAILURES, reason

    target = folder / REPORT
    try:
        return shown.report(target)
    except FAILURES as error:
        with suppress(OSError):  # that of an earlier result does not stay in its place
            target.unlink(missing_ok=True)
        warn(f"{target} was not written: {reason(error)}")
        return None


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(in_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)))


def warn(line: str) -> None:
    say(f"warning: {line}")

"""Every picture of a result and of a comparison, written as PNG files into a folder.

A result: density.png, weights.png, error.png, convergence.png, without those that would be empty.
A simulation: simulation.png. A comparison: densities.png, errors.png, cross.png, distances.png. Bounds of the energy:
frontier.png. What weights can change: directions.png, insertion.png. A wrong start: feedback.png. A ladder: reach.png.

A picture that cannot be drawn is an error; or, for those who say where to (`failed`), a line about it, and the others
are drawn all the same. A picture of an earlier result does not stay in its place then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.foundation.progress import Progress, Step, silent
from controlsde.report import compared, curves, densities, frontier, ladders, linearised, particles, wrong_start
from controlsde.report.canvas import own_style, save
from controlsde.result.result import Result
from controlsde.workflow.bounding import Bounds
from controlsde.workflow.comparison import Comparison
from controlsde.workflow.feedback import Feedback
from controlsde.workflow.linearising import Controllability
from controlsde.workflow.reaching import Reach
from controlsde.workflow.simulation import Simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Failed = Callable[[str], None]  # is told which picture was not drawn, and why, in one line

# All that drawing may end in, matplotlib's own errors and a full disk among them: no picture is worth a result.
FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
LONGEST = 200  # characters of a reason


def save_figures(
    result: Result, folder: Path, failed: Failed | None = None, progress: Progress = silent
) -> tuple[Path, ...]:
    """Draw one result and return the files written: density over time, weights, error, convergence."""
    return save_all(
        {
            "density": lambda: densities.density_strip(result),
            "weights": lambda: curves.weights(result),
            "error": lambda: curves.error_against_time(result),
            "convergence": lambda: curves.convergence(result),
        },
        folder,
        failed,
        progress,
    )


def save_simulation(simulation: Simulation, folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw a simulation and return the files written: its histograms on both densities."""
    return save_all({"simulation": lambda: particles.histograms(simulation)}, folder, failed)


def save_comparison(
    comparison: Comparison, folder: Path, failed: Failed | None = None, progress: Progress = silent
) -> tuple[Path, ...]:
    """Draw a comparison and return the files written: final densities, errors over time, cross table, distances."""
    text, alarm = compared.findings(comparison)
    title = f"{comparison.problem.name}: densities at T with and without noise"
    return save_all(
        {
            "densities": lambda: densities.final_densities(comparison.results, title, text, alarm=alarm),
            "errors": lambda: compared.error_curves(comparison),
            "cross": lambda: compared.cross_table(comparison),
            "distances": lambda: compared.distance_bars(comparison),
        },
        folder,
        failed,
        progress,
    )


def save_bounds(bounds: Bounds, folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw the least energy of any drift against the distance, and return the files written."""
    return save_all({"frontier": lambda: frontier.least_energies(bounds)}, folder, failed)


def save_controllability(found: Controllability, folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw what weights can change and where one more neuron would help, and return the files written."""
    return save_all(
        {"directions": lambda: linearised.directions(found), "insertion": lambda: linearised.insertion(found)},
        folder,
        failed,
    )


def save_feedback(found: Sequence[Feedback], folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw the errors from a wrong start against time, and return the files written."""
    return save_all({"feedback": lambda: wrong_start.courses(found)}, folder, failed)


def save_all(
    pictures: Mapping[str, Callable[[], Figure | None]],
    folder: Path,
    failed: Failed | None = None,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """Write what there is to draw, and remove an earlier picture of what there is no longer."""
    written = []
    for name, draw in pictures.items():
        target = folder / f"{name}.png"
        progress(Step(f"drawing {target}"))
        try:
            path = _drawn(draw, target)
        except FAILURES as error:
            if failed is None:
                raise
            with suppress(OSError):
                target.unlink(missing_ok=True)
            failed(f"{target} was not drawn: {reason(error)}")
        else:
            written += [path] if path else []
    return tuple(written)


def _drawn(draw: Callable[[], Figure | None], target: Path) -> Path | None:
    with own_style():
        figure = draw()
        if figure is not None:
            return save(figure, target)
    target.unlink(missing_ok=True)
    return None


def reason(error: BaseException) -> str:
    """The first line of an error's words, or its kind where it has none."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def save_reach(found: Sequence[Reach], folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw what was tried to come within a distance, and return the files written."""
    return save_all({"reach": lambda: ladders.ladders(found)}, folder, failed)

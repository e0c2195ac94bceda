"""Every picture of a result and of a comparison, written as PNG files into a folder.

A result: density.png, weights.png, error.png, convergence.png, without those that would be empty; in free space
marginals.png, plane.png, images.png where coordinates are pictures, course.png, distances.png, weights.png,
convergence.png. A simulation: simulation.png. A comparison: densities.png, errors.png, cross.png, distances.png; in
free space images.png, plane.png, distances.png, likelihoods.png, cross.png. Bounds of the energy: frontier.png. What
weights can change: directions.png, insertion.png. A wrong start: feedback.png. A ladder: reach.png.

A picture that cannot be drawn is an error; or, for those who say where to (`failed`), a line about it, and the others
are drawn all the same. A picture of an earlier result does not stay in its place then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.foundation.progress import Progress, Step, silent
from controlsde.report import (
    compared,
    contact_sheet,
    curves,
    densities,
    free_densities,
    free_distances,
    frontier,
    ladders,
    particles,
)
from controlsde.report.canvas import doubtful, own_style, save, standing
from controlsde.report.free_scene import FreeScene
from controlsde.result.free_result import FreeResult
from controlsde.result.result import Result
from controlsde.workflow.bounding import Bounds
from controlsde.workflow.comparison import Comparison
from controlsde.workflow.free_comparison import FreeComparison
from controlsde.workflow.free_simulation import FreeSimulation
from controlsde.workflow.reaching import Reach
from controlsde.workflow.simulation import Simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from controlsde.workflow.feedback import Feedback
    from controlsde.workflow.linearising import Controllability

Pictures = Mapping[str, "Callable[[], Figure | None]"]
Failed = Callable[[str], None]  # is told which picture was not drawn, and why, in one line

# All that drawing may end in, matplotlib's own errors and a full disk among them: no picture is worth a result.
FAILURES = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, MemoryError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
LONGEST = 200  # characters of a reason


def save_figures(
    result: Result | FreeResult, folder: Path, failed: Failed | None = None, progress: Progress = silent
) -> tuple[Path, ...]:
    """Draw one result and return the files written; see the head."""
    drawn = _of_particles(result) if isinstance(result, FreeResult) else _of_densities(result)
    return save_all(drawn, folder, failed, progress)


def save_simulation(
    simulation: Simulation | FreeSimulation, folder: Path, failed: Failed | None = None
) -> tuple[Path, ...]:
    """Draw a simulation and return the files written: its histograms on the densities."""
    return save_all({"simulation": lambda: _simulated(simulation)}, folder, failed)


def save_comparison(
    comparison: Comparison | FreeComparison, folder: Path, failed: Failed | None = None, progress: Progress = silent
) -> tuple[Path, ...]:
    """Draw a comparison and return the files written; see the head."""
    if isinstance(comparison, FreeComparison):
        return save_all(_compared_particles(comparison), folder, failed, progress)
    return save_all(_compared_densities(comparison), folder, failed, progress)


def _of_densities(result: Result) -> Pictures:
    return {
        "density": lambda: densities.density_strip(result),
        "weights": lambda: curves.weights(result),
        "error": lambda: curves.error_against_time(result),
        "convergence": lambda: curves.convergence(result),
    }


def _of_particles(result: FreeResult) -> Pictures:
    scene = FreeScene(result)
    return {
        "marginals": lambda: free_densities.marginals(scene),
        "plane": lambda: free_densities.plane(scene),
        "images": lambda: contact_sheet.contact_sheet(
            [result], scene, f"{standing(result)}; {contact_sheet.legend_of([result])}", alarm=doubtful(result)
        ),
        "course": lambda: free_distances.course(scene),
        "distances": lambda: free_distances.distances(result),
        "weights": lambda: curves.weights(result),
        "convergence": lambda: curves.convergence(result),
    }


def _compared_densities(comparison: Comparison) -> Pictures:
    text, alarm = compared.findings(comparison)
    title = f"{comparison.problem.name}: densities at T with and without noise"
    return {
        "densities": lambda: densities.final_densities(comparison.results, title, text, alarm=alarm),
        "errors": lambda: compared.error_curves(comparison),
        "cross": lambda: compared.cross_table(comparison),
        "distances": lambda: compared.distance_bars(comparison),
    }


def _compared_particles(comparison: FreeComparison) -> Pictures:
    text, alarm = compared.findings(comparison)
    scene = FreeScene(comparison.results[0])
    return {
        "images": lambda: contact_sheet.contact_sheet(
            comparison.results, scene, f"{text}; {contact_sheet.legend_of(comparison.results)}", alarm=alarm
        ),
        "plane": lambda: free_densities.plane_at_end(scene, comparison),
        "distances": lambda: free_distances.compared_distances(comparison),
        "likelihoods": lambda: free_distances.likelihoods(comparison),
        "cross": lambda: compared.cross_table(comparison),
    }


def _simulated(simulation: Simulation | FreeSimulation) -> Figure | None:
    if isinstance(simulation, FreeSimulation):
        return free_densities.simulated(FreeScene(simulation.result), simulation)
    return particles.histograms(simulation)


def save_bounds(bounds: Bounds, folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw the least energy of any drift against the distance, and return the files written."""
    return save_all({"frontier": lambda: frontier.least_energies(bounds)}, folder, failed)


def save_controllability(found: Controllability, folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw what weights can change and where one more neuron would help, and return the files written."""
    from controlsde.report import linearised  # brings PyTorch, which takes seconds to load

    return save_all(
        {"directions": lambda: linearised.directions(found), "insertion": lambda: linearised.insertion(found)},
        folder,
        failed,
    )


def save_feedback(found: Sequence[Feedback], folder: Path, failed: Failed | None = None) -> tuple[Path, ...]:
    """Draw the errors from a wrong start against time, and return the files written."""
    from controlsde.report import wrong_start  # as above

    return save_all({"feedback": lambda: wrong_start.courses(found)}, folder, failed)


def save_all(
    pictures: Pictures,
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

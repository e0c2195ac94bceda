"""Every picture of a result and of a comparison, written as PNG files into a folder.

A result: density.png, weights.png, error.png, convergence.png, without those that would be empty.
A simulation: simulation.png. A comparison: densities.png, errors.png, cross.png, distances.png.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from controlsde.comparison import Comparison
from controlsde.report import compared, curves, densities, particles
from controlsde.report.canvas import save
from controlsde.results import Result
from controlsde.simulation import Simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figures(result: Result, folder: Path) -> tuple[Path, ...]:
    """Draw one result and return the files written: density over time, weights, error, convergence."""
    return _save_all(
        {
            "density": lambda: densities.density_strip(result),
            "weights": lambda: curves.weights(result),
            "error": lambda: curves.error_against_time(result),
            "convergence": lambda: curves.convergence(result),
        },
        folder,
    )


def save_simulation(simulation: Simulation, folder: Path) -> tuple[Path, ...]:
    """Draw a simulation and return the files written: its histograms on both densities."""
    return _save_all({"simulation": lambda: particles.histograms(simulation)}, folder)


def save_comparison(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Draw a comparison and return the files written: final densities, errors over time, cross table, distances."""
    text, alarm = compared.findings(comparison)
    title = f"{comparison.problem.name}: densities at T with and without noise"
    return _save_all(
        {
            "densities": lambda: densities.final_densities(comparison.results, title, text, alarm=alarm),
            "errors": lambda: compared.error_curves(comparison),
            "cross": lambda: compared.cross_table(comparison),
            "distances": lambda: compared.distance_bars(comparison),
        },
        folder,
    )


def _save_all(pictures: Mapping[str, Callable[[], Figure | None]], folder: Path) -> tuple[Path, ...]:
    """Write what there is to draw, and remove an earlier picture of what there is no longer."""
    written = []
    for name, draw in pictures.items():
        target = folder / f"{name}.png"
        figure = draw()
        if figure is None:
            target.unlink(missing_ok=True)
        else:
            written.append(save(figure, target))
    return tuple(written)

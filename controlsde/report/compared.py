"""Pictures of a comparison: error curves, distances and the cross table, by noise level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.comparison import Comparison
from controlsde.report.canvas import (
    ERROR_MAP,
    INK,
    NORMAL,
    SMALL,
    dress,
    finite,
    legend,
    new_figure,
    noise_colour,
    number,
)
from controlsde.report.curves import add_particles
from controlsde.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

LINES = ("-", "--", "-.", ":")


def findings(comparison: Comparison) -> tuple[str, bool]:
    """What to say under the titles, and whether it is a warning."""
    bad = [f"{result.noise:g}" for result in comparison.results if not result.verified]
    stuck = [f"{result.noise:g}" for result in comparison.results if result.status != "converged"]
    parts = [f"not verified at noise {', '.join(bad)}"] if bad else []
    parts += [f"not converged at noise {', '.join(stuck)}"] if stuck else []
    if parts:
        return "; ".join(parts) + ": do not compare those numbers", True
    return "same budget at every noise level, every answer verified", False


def error_curves(comparison: Comparison) -> Figure:
    """The verified L² error against time, a curve for each noise level."""
    figure = _figure(4.6, comparison, "L² error against time")
    axes = figure.subplots()
    for place, result in enumerate(comparison.results):
        fields = result.fields
        axes.plot(
            fields.curve_times,
            fields.l2,
            color=noise_colour(result.noise),
            linestyle=LINES[place % len(LINES)],
            linewidth=2.2,
            label=f"noise {result.noise:g}",
        )
    dress(axes, "t", "‖ρ(t) − p(t)‖ in L², verified")
    axes.set_ylim(bottom=0.0)
    times = comparison.results[0].fields.curve_times
    axes.set_xlim(times[0], times[-1])
    legend(axes, loc="best")
    return figure


def cross_table(comparison: Comparison) -> Figure:
    """The final L² error of the controls of each row under the noise of each column."""
    count = len(comparison.cross)
    figure = _figure(1.7 + max(0.75 * count, 1.6), comparison, "controls applied under every noise")
    axes = figure.subplots()
    table = np.ma.masked_invalid(comparison.cross)
    top = finite(comparison.cross).max() or 1.0
    image = axes.pcolormesh(table, cmap=ERROR_MAP, vmin=0.0, vmax=top, edgecolors="white", linewidth=2)
    for (i, j), value in np.ndenumerate(comparison.cross):
        dark = np.isfinite(value) and value > 0.55 * top
        axes.text(
            j + 0.5,
            i + 0.5,
            number(float(value)),
            ha="center",
            va="center",
            fontsize=NORMAL,
            color="white" if dark else INK,
            weight="bold" if i == j else "normal",
        )
    levels = [f"{level:g}" for level in comparison.noise]
    dress(axes, "noise η at which they run", "controls optimised at noise η")
    axes.set_xticks(np.arange(count) + 0.5, levels)
    axes.set_yticks(np.arange(count) + 0.5, levels)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label("L² error at T", fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)
    return figure


def distance_bars(comparison: Comparison) -> Figure:
    """The final distances by noise level: L² with the particles' error bar, and a transport or weaker distance."""
    figure = _figure(4.4, comparison, "distances to the reference at T")
    second = _second_distance(comparison)
    panels = figure.subplots(1, 2 if second else 1, squeeze=False)[0]
    _bars(panels[0], comparison.results, [result.tracking.l2_final for result in comparison.results])
    for place, result in enumerate(comparison.results):
        add_particles(panels[0], result, place, INK)
    dress(panels[0], "noise η", "", "L² error: verified (bar), particles (diamond, ± 2 standard errors)")
    if second:
        label, values = second
        _bars(panels[1], comparison.results, values)
        dress(panels[1], "noise η", "", label)
    for axes in panels:
        axes.grid(visible=False, axis="x")
    return figure


def _second_distance(comparison: Comparison) -> tuple[str, list[float]] | None:
    choices = {
        "w2_final": "Wasserstein-2 distance W₂, in units of x",
        "h_1_final": "Ḣ⁻¹ distance",
        "tv_final": "total variation",
    }
    for name, label in choices.items():
        values = [getattr(result.tracking, name) for result in comparison.results]
        if all(value is not None for value in values):
            return label, values
    return None


def _bars(axes: Axes, results: tuple[Result, ...], values: list[float]) -> None:
    places = np.arange(len(results))
    heights = np.nan_to_num(np.asarray(values, dtype=float), posinf=0.0)
    axes.bar(places, heights, width=0.6, color=[noise_colour(result.noise) for result in results], alpha=0.75)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            number(value),
            (place - 0.28, heights[place]),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=SMALL,
            ha="left",
        )
    axes.set_xticks(places, [f"{result.noise:g}" for result in results])
    axes.set_xlim(-0.6, len(results) - 0.4)
    axes.margins(y=0.12)


def _figure(height: float, comparison: Comparison, what: str) -> Figure:
    text, alarm = findings(comparison)
    return new_figure(height, f"{comparison.problem.name}: {what}", text, alarm=alarm)

"""Pictures of a comparison: error curves, distances and the cross table, by noise level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.report.canvas import (
    ERROR_MAP,
    INK,
    LARGE,
    NORMAL,
    dress,
    finite,
    line_named,
    new_figure,
    noise_colour,
    number,
)
from controlsde.report.curves import add_particles, error_scale
from controlsde.result.answer import Answer
from controlsde.result.result import Result
from controlsde.workflow.comparison import Comparison
from controlsde.workflow.free_comparison import FreeComparison

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

LINES = ("-", "--", "-.", ":")


def findings(comparison: Comparison | FreeComparison) -> tuple[str, bool]:
    """What to say under the titles, and whether it is a warning."""
    levels = _at_levels(comparison)
    bad = [f"{level[0].noise:g}" for level in levels if not all(result.verified for result in level)]
    stuck = [f"{level[0].noise:g}" for level in levels if any(result.status != "converged" for result in level)]
    parts = [f"not verified at noise {', '.join(bad)}"] if bad else []
    parts += [f"not converged at noise {', '.join(stuck)}"] if stuck else []
    if parts:
        return "; ".join(parts), True
    return "same budget at every noise level, every answer verified", False


def _at_levels(comparison: Comparison | FreeComparison) -> Sequence[Sequence[Answer]]:
    """Every result of every noise level: one in a box, in free space one for each seed."""
    if isinstance(comparison, FreeComparison):
        return comparison.at_levels
    return [[result] for result in comparison.results]


def error_curves(comparison: Comparison) -> Figure:
    """The verified L² error against time, a curve for each noise level."""
    styles: list[dict[str, Any]] = [
        {"color": noise_colour(result.noise), "linestyle": LINES[place % len(LINES)], "linewidth": 2.2}
        for place, result in enumerate(comparison.results)
    ]
    lines = [line_named(f"noise {one.noise:g}", **style) for one, style in zip(comparison.results, styles, strict=True)]
    figure = _figure(4.6, comparison, "L² error against time", lines)
    axes = figure.subplots()
    for result, style in zip(comparison.results, styles, strict=True):
        axes.plot(result.fields.curve_times, result.fields.l2, **style)
    dress(axes, "t", "‖ρ(t) − p(t)‖ in L², verified")
    error_scale(axes, *(result.fields.l2[1:] for result in comparison.results))
    times = comparison.results[0].fields.curve_times
    axes.set_xlim(times[0], times[-1])
    return figure


def cross_table(comparison: Comparison | FreeComparison) -> Figure:
    """The final error of the controls of each row under the noise of each column."""
    count = len(comparison.cross)
    figure = _figure(1.7 + max(0.75 * count, 1.6), comparison, "controls applied under every noise")
    axes = figure.subplots()
    # Shades of the logarithm, so that one large error does not make all the others look alike.
    shades = np.log(np.clip(np.ma.masked_invalid(comparison.cross), 1e-12, None))
    low, high = float(shades.min()), float(shades.max())
    span = max(high - low, 1.0)
    axes.pcolormesh(
        shades, cmap=ERROR_MAP, vmin=low - 0.1 * span, vmax=high + 0.4 * span, edgecolors="white", linewidth=3
    )
    for (i, j), value in np.ndenumerate(comparison.cross):
        dark = np.isfinite(value) and np.log(max(value, 1e-12)) > low + 0.6 * span
        axes.text(
            j + 0.5,
            i + 0.5,
            number(float(value)),
            ha="center",
            va="center",
            fontsize=LARGE,
            color="white" if dark else INK,
            weight="bold" if i == j else "normal",
        )
    levels = [f"{level:g}" for level in comparison.noise]
    error = "mollified distance squared" if isinstance(comparison, FreeComparison) else "L² error"
    what = f"{error} at T; darker is larger, bold is at its own noise"
    dress(axes, "noise η at which they run", "controls optimised at noise η", what)
    axes.set_xticks(np.arange(count) + 0.5, levels)
    axes.set_yticks(np.arange(count) + 0.5, levels)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    return figure


def distance_bars(comparison: Comparison) -> Figure:
    """The final distances by noise level: L² with the particles' error bar, and a transport or weaker distance."""
    figure = _figure(4.4, comparison, "distances to the reference at T")
    second = _second_distance(comparison)
    panels = figure.subplots(1, 2 if second else 1, squeeze=False)[0]
    tops = [_reach(result) for result in comparison.results]
    _bars(panels[0], comparison.results, [result.tracking.l2_final for result in comparison.results], tops)
    for place, result in enumerate(comparison.results):
        add_particles(panels[0], result, place, INK)
    dress(panels[0], "noise η", "", "L² error: verified (bar), particles (diamond, ± 2 standard errors)")
    if second:
        label, values = second
        _bars(panels[1], comparison.results, values, values)
        dress(panels[1], "noise η", "", label)
    for axes in panels:
        axes.grid(visible=False, axis="x")
    return figure


def _reach(result: Result) -> float:
    """How high the bar of L² goes, or the particles' error bar over it."""
    evidence = result.certificate.monte_carlo
    upper = evidence.l2_final + 2 * evidence.l2_final_se if evidence else 0.0
    return float(finite([result.tracking.l2_final, upper]).max())


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


def _bars(axes: Axes, results: tuple[Result, ...], values: list[float], tops: list[float]) -> None:
    """A bar for each result, with its value written over `tops`, which is where all marks of the bar end."""
    places = np.arange(len(results))
    heights = np.nan_to_num(np.asarray(values, dtype=float), posinf=0.0)
    axes.bar(places, heights, width=0.6, color=[noise_colour(result.noise) for result in results], alpha=0.6)
    for place, value, top in zip(places, values, tops, strict=True):
        axes.annotate(
            number(value),
            (place, top if np.isfinite(top) else 0.0),
            xytext=(0, 4),
            textcoords="offset points",
            fontsize=NORMAL,
            ha="center",
        )
    axes.set_xticks(places, [f"{result.noise:g}" for result in results])
    axes.set_xlim(-0.6, len(results) - 0.4)
    axes.set_ylim(0.0, 1.12 * (finite(tops).max() or 1.0))


def _figure(
    height: float, comparison: Comparison | FreeComparison, what: str, explained: Sequence[Artist] = ()
) -> Figure:
    text, alarm = findings(comparison)
    return new_figure(height, f"{comparison.problem.name}: {what}", text, alarm=alarm, explained=explained)

"""Figures of experiments: a row of panels with points, lines and fitted slopes.

Comes in: panels as plain data. Goes out: a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from controlsde.report.canvas import FAINT, INK, SERIES, SMALL, dress, legend, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_HEIGHT = 3.6  # inches
ACROSS = 3  # panels in a row
MARKERS = ("o", "s", "^", "D", "v", "P")
MOST_IN_LEGEND = 8


@dataclass(frozen=True, eq=False)
class Curve:
    """Values y over x, both (n,), with what they are.

    style: `points` is what was measured, joined by a thin line; `line` a curve; `theory` what was expected, dashed.
    error: half the length of error bars (n,). series: curves of one number share a colour; None takes the next.
    """

    x: ArrayLike
    y: ArrayLike
    label: str = ""
    style: Literal["points", "line", "theory"] = "points"
    error: ArrayLike | None = None
    series: int | None = None


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves on common axes. ticks: words in place of the numbers 0, 1, 2 … on the x axis."""

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    x_log: bool = False
    y_log: bool = False
    ticks: tuple[str, ...] = ()


def draw_panels(panels: Sequence[Panel], title: str, subtitle: str = "", *, alarm: bool = False) -> Figure:
    """All panels under one title, at most three in a row."""
    columns = min(len(panels), ACROSS)
    rows = -(-len(panels) // columns)
    figure = new_figure(rows * PANEL_HEIGHT + 0.7, title, subtitle, alarm=alarm)
    grid = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(grid.ravel()):
        if place < len(panels):
            _draw(axes, panels[place])
        else:
            axes.set_visible(False)
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    drawn = 0
    for curve in panel.curves:
        number = drawn if curve.series is None else curve.series
        drawn += curve.style != "theory"
        _draw_curve(axes, curve, number)
    if panel.x_log:
        axes.set_xscale("log")
        _plain_ticks(axes, panel)
    if panel.y_log and any(np.any(np.asarray(curve.y) > 0) for curve in panel.curves):
        axes.set_yscale("log")
    dress(axes, panel.x, panel.y, panel.title)
    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks)
        if sum(map(len, panel.ticks)) > 30:
            axes.tick_params(axis="x", rotation=30)
    labels = [curve.label for curve in panel.curves if curve.label]
    if 0 < len(labels) <= MOST_IN_LEGEND:
        legend(axes)


def _draw_curve(axes: Axes, curve: Curve, number: int) -> None:
    x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
    colour = SERIES[number % len(SERIES)]
    if curve.style == "theory":
        shade = INK if curve.series is None else colour
        axes.plot(x, y, "--", color=shade, linewidth=1.2, label=curve.label, zorder=3)
    elif curve.style == "line":
        axes.plot(x, y, color=colour, linewidth=1.6, label=curve.label)
    else:
        error = None if curve.error is None else np.asarray(curve.error, dtype=float)
        marker = MARKERS[number % len(MARKERS)]
        axes.errorbar(
            x, y, error, color=colour, marker=marker, markersize=4.5, linewidth=0.7, capsize=2.5, label=curve.label
        )


def _plain_ticks(axes: Axes, panel: Panel) -> None:
    """The measured abscissae themselves as ticks, where they are few."""
    from matplotlib.ticker import NullFormatter, NullLocator

    places = np.unique(np.concatenate([np.asarray(c.x, dtype=float) for c in panel.curves if c.style == "points"]))
    if 1 < len(places) <= 8:
        axes.set_xticks(places, [f"{place:.4g}" for place in places])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", labelsize=SMALL, colors=FAINT)

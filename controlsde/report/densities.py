"""Pictures of densities: small multiples over time in one dimension; those of two and three are in `images.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.report import images
from controlsde.report.canvas import (
    FAINT,
    INK,
    REFERENCE,
    SMALL,
    doubtful,
    dress,
    finite,
    label_edges,
    line_named,
    new_figure,
    noise_colour,
    number,
    standing,
)
from controlsde.report.moments import chosen_times, error_then, moment, strip_title
from controlsde.result.result import Result

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

PANELS, COLUMNS = 8, 4
TALLEST = 2.5  # the reference's peak, times this, is as far up as a panel reaches


def density_strip(result: Result) -> Figure:
    """The controlled density against the reference, at times from the start to the end."""
    return _curves(result) if len(result.fields.axes) == 1 else images.density_images(result)


def final_densities(results: tuple[Result, ...], title: str, subtitle: str, *, alarm: bool) -> Figure:
    """The densities at T of several noise levels, each against the reference."""
    if len(results[0].fields.axes) == 1:
        return _final_curves(results, title, subtitle, alarm=alarm)
    return images.final_images(results, title, subtitle, alarm=alarm)


def _curves(result: Result) -> Figure:
    fields = result.fields
    chosen = chosen_times(fields.times, PANELS)
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    colour = noise_colour(result.noise)
    figure = new_figure(
        0.9 + 2.3 * rows,
        strip_title(result),
        standing(result),
        alarm=doubtful(result),
        explained=_explained(colour, colour, alpha=0.35),
    )
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    shown = height_limits(fields.density[chosen], fields.reference[chosen])
    for axes, index in zip(panels.ravel(), chosen, strict=False):
        _curve(axes, fields.axes[0], fields.density[index], fields.reference[index], colour, shown)
        dress(axes, title=moment(result, index))
        axes.set_title(f"L² error {number(error_then(result, index))}", fontsize=SMALL, color=FAINT, loc="right")
    label_edges(panels, len(chosen), "x", "density")
    return figure


def _explained(face: str, edge: str, alpha: float | None = None) -> list[Artist]:
    """What the legend shows: the filled density and the dashed reference."""
    from matplotlib.patches import Patch

    filled = Patch(facecolor=face, edgecolor=edge, alpha=alpha, label="controlled density ρ")
    return [filled, line_named("reference p", color=REFERENCE, linestyle="--", linewidth=1.3)]


def height_limits(density: Array, reference: Array) -> tuple[float, float]:
    """The limits from a little below zero to the peaks, unless the density's towers over the reference's."""
    top = min(finite(density).max(), TALLEST * finite(reference).max())
    top = 1.08 * max(top, finite(reference).max())
    bottom = max(finite(density).min(), -0.25 * top)
    return (1.15 * min(bottom, 0.0) - 0.01 * top, top or 1.0)


def _curve(axes: Axes, x: Array, density: Array, reference: Array, colour: str, limits: tuple[float, float]) -> None:
    axes.fill_between(x, density, 0.0, color=colour, alpha=0.3, linewidth=0)
    axes.plot(x, density, color=colour, linewidth=1.6)
    axes.plot(x, reference, color=REFERENCE, linestyle="--", linewidth=1.3)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(*limits)
    peak = finite(density).max()
    if peak > limits[1]:
        where = x[int(np.nanargmax(density))]
        share = (where - x[0]) / (x[-1] - x[0])
        axes.text(
            float(np.clip(share, 0.03, 0.97)),
            0.97,
            f"peak {number(peak)} at x = {where:.3g}",
            transform=axes.transAxes,
            ha="left" if share < 0.35 else "right" if share > 0.65 else "center",
            va="top",
            fontsize=SMALL,
            color=INK,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5},
        )


def _final_curves(results: tuple[Result, ...], title: str, subtitle: str, *, alarm: bool) -> Figure:
    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    height = 1.0 + (3.6 if rows == 1 else 2.6 * rows)
    figure = new_figure(height, title, subtitle, alarm=alarm, explained=_explained("#bbbbbb", FAINT))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    shown = height_limits(
        np.concatenate([result.fields.density[-1] for result in results]), results[0].fields.reference[-1]
    )
    for axes, result in zip(panels.ravel(), results, strict=False):
        fields = result.fields
        colour = noise_colour(result.noise)
        _curve(axes, fields.axes[0], fields.density[-1], fields.reference[-1], colour, shown)
        dress(axes, title=f"noise {result.noise:g}")
        axes.set_title(f"L² error {number(result.tracking.l2_final)}", fontsize=SMALL, color=FAINT, loc="right")
    label_edges(panels, len(results), "x", f"density at T = {results[0].fields.times[-1]:g}")
    return figure

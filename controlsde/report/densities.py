"""Pictures of densities: small multiples over time in one dimension, rows of images in two.

A density of three dimensions is shown integrated over the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.report.canvas import (
    DENSITY_MAP,
    FAINT,
    INK,
    NORMAL,
    REFERENCE,
    SMALL,
    WIDTH,
    doubtful,
    dress,
    finite,
    label_edges,
    new_figure,
    noise_colour,
    number,
    standing,
)
from controlsde.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

PANELS, COLUMNS = 8, 4  # in one dimension
IMAGES = 6  # in two: columns
TALLEST = 2.5  # the reference's peak, times this, is as far up as a panel reaches


def density_strip(result: Result) -> Figure:
    """The controlled density against the reference, at times from the start to the end."""
    return _curves(result) if len(result.fields.axes) == 1 else _images(result)


def final_densities(results: tuple[Result, ...], title: str, subtitle: str, *, alarm: bool) -> Figure:
    """The densities at T of several noise levels, each against the reference."""
    if len(results[0].fields.axes) == 1:
        return _final_curves(results, title, subtitle, alarm=alarm)
    return _final_images(results, title, subtitle, alarm=alarm)


def _error(result: Result, index: int) -> float:
    """The L² error at the time of a field; its curve has times of its own."""
    fields = result.fields
    return float(np.interp(fields.times[index], fields.curve_times, fields.l2))


def chosen_times(times: Array, count: int) -> list[int]:
    """Indices of at most `count` times, about equally spaced, with the first and the last."""
    wanted = np.linspace(times[0], times[-1], min(count, len(times)))
    return sorted({int(np.argmin(np.abs(times - t))) for t in wanted})


def _title(result: Result) -> str:
    return f"{result.problem.name}, noise {result.noise:g}: how the density follows its reference"


def _when(result: Result, index: int) -> str:
    fields = result.fields
    t = f"t = {fields.times[index]:.3g}"
    if result.problem.reference.kind == "reversed-diffusion":
        ends = {0: " (noise)", len(fields.times) - 1: " (data)"}
    else:
        ends = {0: " (start)", len(fields.times) - 1: " (end)"}
    return t + ends.get(index, "")


def _curves(result: Result) -> Figure:
    from matplotlib.patches import Patch

    fields = result.fields
    chosen = chosen_times(fields.times, PANELS)
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = new_figure(0.9 + 2.3 * rows, _title(result), standing(result), alarm=doubtful(result))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    colour = noise_colour(result.noise)
    limits = _limits(fields.density[chosen], fields.reference[chosen])
    for axes, index in zip(panels.ravel(), chosen, strict=False):
        _curve(axes, fields.axes[0], fields.density[index], fields.reference[index], colour, limits)
        dress(axes, title=_when(result, index))
        axes.set_title(f"L² error {number(_error(result, index))}", fontsize=SMALL, color=FAINT, loc="right")
    label_edges(panels, len(chosen), "x", "density")
    handles = [Patch(facecolor=colour, alpha=0.35, edgecolor=colour, label="controlled density ρ"), _dashed()]
    _legend_on_top(figure, handles)
    return figure


def _legend_on_top(figure: Figure, handles: list[object]) -> None:
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(0.995, 1 - 0.3 / height),
        ncols=len(handles),
        fontsize=SMALL,
        frameon=False,
    )


def _dashed() -> object:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=REFERENCE, linestyle="--", linewidth=1.3, label="reference p")


def _limits(density: Array, reference: Array) -> tuple[float, float]:
    """From a little below zero to the peaks, unless the density's towers over the reference's."""
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


def _flat(values: Array, axes: tuple[Array, ...]) -> Array:
    """A density of three dimensions integrated over the last; one of two as it is."""
    return np.asarray(np.trapezoid(values, axes[2], axis=-1)) if len(axes) == 3 else values


def _image(axes: Axes, grid: tuple[Array, ...], values: Array, top: float) -> object:
    from matplotlib.colors import PowerNorm

    shown = np.clip(np.nan_to_num(values, posinf=top), 0.0, None).T
    image = axes.pcolormesh(grid[0], grid[1], shown, cmap=DENSITY_MAP, norm=PowerNorm(0.5, 0.0, top), shading="gouraud")
    if not np.isfinite(values).all():
        axes.text(0.5, 0.5, "not finite", transform=axes.transAxes, ha="center", va="center", fontsize=SMALL)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=SMALL, colors=INK)
    return image


def _image_height(grid: tuple[Array, ...], columns: int, rows: int) -> float:
    wide = (WIDTH - 1.8) / columns
    ratio = (grid[1][-1] - grid[1][0]) / (grid[0][-1] - grid[0][0])
    return 1.55 + rows * float(np.clip(ratio, 0.25, 2.5)) * wide


def _colour_label(grid: tuple[Array, ...]) -> str:
    return "∫ρ dz, √ scale" if len(grid) == 3 else "density, √ scale"


def _images(result: Result) -> Figure:
    fields = result.fields
    chosen = chosen_times(fields.times, IMAGES)
    rows = {"controlled ρ": fields.density, "reference p": fields.reference}
    shown = [_flat(values[chosen], fields.axes) for values in rows.values()]
    top = finite(*shown).max() or 1.0
    height = _image_height(fields.axes, len(chosen), 2)
    figure = new_figure(height, _title(result), standing(result), alarm=doubtful(result))
    panels = figure.subplots(2, len(chosen), sharex=True, sharey=True, squeeze=False)
    image = None
    for row, (label, values) in enumerate(zip(rows, shown, strict=True)):
        for column, index in enumerate(chosen):
            axes = panels[row, column]
            image = _image(axes, fields.axes, values[column], top)
            if row == 0:
                axes.set_title(
                    f"{_when(result, index)}\nL² error {number(_error(result, index))}", fontsize=SMALL, loc="left"
                )
            else:
                axes.set_xlabel("x", fontsize=NORMAL)
        panels[row, 0].set_ylabel(f"{label}\n\ny", fontsize=NORMAL)
    _colour_bar(figure, image, panels, _colour_label(fields.axes))
    return figure


def _colour_bar(figure: Figure, image: object, panels: Array, label: str) -> None:
    bar = figure.colorbar(image, ax=panels, shrink=0.9, pad=0.01, aspect=30)  # type: ignore[arg-type]
    bar.set_label(label, fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)


def _final_curves(results: tuple[Result, ...], title: str, subtitle: str, *, alarm: bool) -> Figure:
    from matplotlib.patches import Patch

    columns = min(3, len(results))
    rows = -(-len(results) // columns)
    figure = new_figure(1.0 + (3.6 if rows == 1 else 2.6 * rows), title, subtitle, alarm=alarm)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    limits = _limits(np.concatenate([result.fields.density[-1] for result in results]), results[0].fields.reference[-1])
    for axes, result in zip(panels.ravel(), results, strict=False):
        fields = result.fields
        colour = noise_colour(result.noise)
        _curve(axes, fields.axes[0], fields.density[-1], fields.reference[-1], colour, limits)
        dress(axes, title=f"noise {result.noise:g}")
        axes.set_title(f"L² error {number(result.tracking.l2_final)}", fontsize=SMALL, color=FAINT, loc="right")
    label_edges(panels, len(results), "x", f"density at T = {results[0].fields.times[-1]:g}")
    _legend_on_top(figure, [Patch(facecolor="#bbbbbb", edgecolor=FAINT, label="controlled density ρ"), _dashed()])
    return figure


def _final_images(results: tuple[Result, ...], title: str, subtitle: str, *, alarm: bool) -> Figure:
    grid = results[0].fields.axes
    shown = {f"noise {result.noise:g}": _flat(result.fields.density[-1], result.fields.axes) for result in results}
    errors = [result.tracking.l2_final for result in results]
    shown["reference p"] = _flat(results[0].fields.reference[-1], grid)
    top = finite(*shown.values()).max() or 1.0
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(_image_height(grid, columns, rows), title, subtitle, alarm=alarm)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    image = None
    for number_, (axes, (label, values)) in enumerate(zip(panels.ravel(), shown.items(), strict=False)):
        own = results[number_].fields.axes if number_ < len(results) else grid
        image = _image(axes, own, values, top)
        error = f", L² error {number(errors[number_])}" if number_ < len(errors) else ""
        axes.set_title(label + error, fontsize=SMALL, loc="left")
    label_edges(panels, len(shown), "x", "y")
    _colour_bar(figure, image, panels, _colour_label(grid))
    return figure

"""Pictures of densities in two dimensions: the reference, the controlled density under its drift, and their difference.

A density of three dimensions is shown integrated over the last, without the drift.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.report.canvas import (
    DENSITY_MAP,
    INK,
    NORMAL,
    SERIES,
    SIGNED_MAP,
    SMALL,
    WIDTH,
    doubtful,
    finite,
    new_figure,
    number,
    standing,
)
from controlsde.report.moments import chosen_times, error_then, moment, strip_title
from controlsde.result.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from controlsde.control.drift import Drift

Array = NDArray[np.float64]

MOMENTS = 6  # columns
LABEL = 1.1  # inches that a row needs for its label
ARROWS = 9  # along the longer side of the box
INHABITED = 1e-2  # of the largest density: elsewhere a drift moves next to nothing, and has no arrow


def density_images(result: Result) -> Figure:
    """Reference, controlled density with arrows of the drift, and error, from the start to the end."""
    fields = result.fields
    chosen = chosen_times(fields.times, MOMENTS)
    density, reference = (flat(values[chosen], fields.axes) for values in (fields.density, fields.reference))
    height = _height(fields.axes, len(chosen), 3, titles=0.45)
    arrows = arrows_of(result, chosen)
    speed = max((float(np.hypot(*drift.T).max()) for _, drift in arrows if len(drift)), default=0.0)
    note = f"; arrows: the drift, |v| up to {number(speed)}" if speed > 0 else ""
    figure = new_figure(height, strip_title(result), standing(result) + note, alarm=doubtful(result))
    panels = figure.subplots(3, len(chosen), sharex=True, sharey=True, squeeze=False)
    top, size = finite(density, reference).max() or 1.0, _size(density - reference)
    for column, index in enumerate(chosen):
        target, controlled, error = panels[:, column]
        image = show_density(target, fields.axes, reference[column], top)
        show_density(controlled, fields.axes, density[column], top)
        difference = show_error(error, fields.axes, density[column] - reference[column], size)
        _draw_arrows(controlled, *arrows[column], longest_arrow(fields.axes) / speed if speed > 0 else 0.0)
        title = f"{moment(result, index)}\nL² error {number(error_then(result, index))}"
        target.set_title(title, fontsize=SMALL, loc="left")
        error.set_xlabel("x", fontsize=NORMAL)
    for label, axes in zip(("reference p", "controlled ρ", "error ρ − p"), panels[:, 0], strict=True):
        axes.set_ylabel(f"{label}\n\ny", fontsize=NORMAL)
    _colour_bars(figure, fields.axes, image, panels[:2], difference, panels[2:])
    return figure


def final_images(results: tuple[Result, ...], title: str, subtitle: str, *, alarm: bool) -> Figure:
    """A row for each noise level: the reference at T, the controlled density, and the error."""
    density, reference = (
        [flat(getattr(result.fields, name)[-1], result.fields.axes) for result in results]
        for name in ("density", "reference")
    )
    errors = [one - target for one, target in zip(density, reference, strict=True)]
    top, size = finite(*density, reference[0]).max() or 1.0, max(_size(error) for error in errors)
    grid = results[0].fields.axes
    height = _height(grid, 3, len(results), titles=0.25 * len(results))
    figure = new_figure(height, title, subtitle, alarm=alarm)
    panels = figure.subplots(len(results), 3, sharex=True, sharey=True, squeeze=False)
    for row, result in enumerate(results):
        target, controlled, error = panels[row]
        image = show_density(target, result.fields.axes, reference[row], top)
        show_density(controlled, result.fields.axes, density[row], top)
        difference = show_error(error, result.fields.axes, errors[row], size)
        target.set_title("reference p", fontsize=SMALL, loc="left")
        label = f"controlled ρ, L² error {number(result.tracking.l2_final)}"
        controlled.set_title(label, fontsize=SMALL, loc="left")
        error.set_title("error ρ − p", fontsize=SMALL, loc="left")
        target.set_ylabel(f"noise {result.noise:g}\n\ny", fontsize=NORMAL)
    for axes in panels[-1]:
        axes.set_xlabel("x", fontsize=NORMAL)
    _colour_bars(figure, grid, image, panels[:, :2], difference, panels[:, 2:])
    return figure


def flat(values: Array, axes: tuple[Array, ...]) -> Array:
    """A density of three dimensions integrated over the last; one of two as it is."""
    return np.asarray(np.trapezoid(values, axes[2], axis=-1)) if len(axes) == 3 else values


def show_density(axes: Axes, grid: tuple[Array, ...], values: Array, top: float) -> object:
    """Values (n_x, n_y) in shades of their square root, from 0 to `top`."""
    from matplotlib.colors import PowerNorm

    shown = np.clip(np.nan_to_num(values, posinf=top), 0.0, None)
    return _image(axes, grid, values, shown, cmap=DENSITY_MAP, norm=PowerNorm(0.5, 0.0, top))


def show_error(axes: Axes, grid: tuple[Array, ...], values: Array, size: float) -> object:
    """Differences (n_x, n_y) in red where there is too much and in blue where there is too little."""
    shown = np.clip(np.nan_to_num(values), -size, size)
    return _image(axes, grid, values, shown, cmap=SIGNED_MAP, vmin=-size, vmax=size)


def _image(axes: Axes, grid: tuple[Array, ...], values: Array, shown: Array, **colours: object) -> object:
    image = axes.pcolormesh(grid[0], grid[1], shown.T, shading="gouraud", **colours)  # type: ignore[arg-type]
    if not np.isfinite(values).all():
        axes.text(0.5, 0.5, "not finite", transform=axes.transAxes, ha="center", va="center", fontsize=SMALL)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=SMALL, colors=INK)
    return image


def _size(errors: Array) -> float:
    largest = float(np.abs(finite(errors)).max())
    return largest or 1.0


def _height(grid: tuple[Array, ...], columns: int, rows: int, titles: float) -> float:
    wide = (WIDTH - (2.4 if columns > 3 else 3.2)) / columns
    ratio = float((grid[1][-1] - grid[1][0]) / (grid[0][-1] - grid[0][0]))
    return 1.2 + titles + rows * max(min(ratio, 2.5) * wide, LABEL)


def longest_arrow(grid: tuple[Array, ...]) -> float:
    """How long an arrow may be: twice the gap between two."""
    return 2.0 * max(float(axis[-1] - axis[0]) for axis in grid) / ARROWS


def _drift(result: Result) -> Drift | None:
    """The drift, from the result alone; None for a reference's exact one."""
    from controlsde.control.drift import FormulaDrift, network_drift
    from controlsde.tracking.tracking_problem import build_network

    if result.controls is not None:
        return network_drift(build_network(result.problem), result.controls, result.controls.times[-1])
    given = result.problem.drift
    if given is not None and given.kind == "formula":
        return FormulaDrift(given.compiled(), result.fields.times[[0, -1]])
    return None


def arrows_of(result: Result, chosen: list[int]) -> list[tuple[Array, Array]]:
    """Places (n, 2) and drifts (n, 2) where there is mass, for each of the chosen times."""
    fields = result.fields
    drift = _drift(result) if len(fields.axes) == 2 else None
    if drift is None:
        return [(np.zeros((0, 2)), np.zeros((0, 2)))] * len(chosen)
    places, nearest = arrow_places(result)
    arrows = []
    for index in chosen:
        density, t = fields.density[index], float(fields.times[index])
        piece = int(np.clip(np.searchsorted(drift.edges, t, side="right") - 1, 0, len(drift.edges) - 2))
        here = density[nearest[0], nearest[1]] > INHABITED * finite(density).max()
        values = drift.values(piece, t, places[here])
        good = np.isfinite(values).all(axis=1)
        arrows.append((places[here][good], values[good]))
    return arrows


def arrow_places(result: Result, along: int = ARROWS) -> tuple[Array, tuple[NDArray[np.int64], ...]]:
    """Where arrows stand (n, 2), so many along the longer side; for each axis the grid points nearest to them (n,)."""
    axes = result.fields.axes
    sides = np.array([axis[-1] - axis[0] for axis in axes])
    counts = np.maximum(np.ceil(along * sides / sides.max()).astype(int), 3)
    centres = [a[0] + (np.arange(n) + 0.5) * (a[-1] - a[0]) / n for a, n in zip(axes, counts, strict=True)]
    places = np.stack([axis.ravel() for axis in np.meshgrid(*centres, indexing="ij")], axis=1)
    return places, tuple(np.abs(axis[:, None] - places[None, :, k]).argmin(axis=0) for k, axis in enumerate(axes))


def _draw_arrows(axes: Axes, places: Array, drift: Array, scale: float) -> None:
    if len(places) and scale > 0:
        axes.quiver(
            *places.T,
            *(scale * drift).T,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            color=SERIES[5],
            edgecolor="white",
            linewidth=0.25,
            width=0.011,
            headwidth=3.6,
            headlength=4.0,
            headaxislength=3.6,
            pivot="middle",
        )


def _colour_bars(
    figure: Figure, grid: tuple[Array, ...], image: object, panels: Array, difference: object, others: Array
) -> None:
    """A bar beside the panels of densities, and one beside those of errors."""
    integrated = len(grid) == 3
    labels = ("∫ρ dz, √ scale", "∫(ρ − p) dz") if integrated else ("density, √ scale", "ρ − p")
    for label, shown, beside in zip(labels, (image, difference), (panels, others), strict=True):
        bar = figure.colorbar(shown, ax=beside, shrink=0.9, pad=0.02, aspect=20 * len(beside))  # type: ignore[arg-type]
        bar.set_label(label, fontsize=NORMAL)
        bar.ax.tick_params(labelsize=SMALL)

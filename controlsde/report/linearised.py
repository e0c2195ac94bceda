"""Pictures of what weights can change of the density at T, to first order: directions, spectra, the insertion map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.density_field import DensityField
from controlsde.report.canvas import (
    ALARM,
    FAINT,
    INK,
    NORMAL,
    SERIES,
    SMALL,
    dress,
    legend,
    new_figure,
    noise_colour,
    number,
)
from controlsde.report.images import flat, show_density, show_error
from controlsde.workflow.linearising import WITHIN, Controllability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

SHOWN = 3  # directions from the first, and as many up to the last
ABOUT = "to first order about these controls"
MAP = "YlGnBu"


def directions(found: Controllability) -> Figure | None:
    """The first and the last directions within reach, and the singular values beside those of any drift.

    None where the weights change nothing.
    """
    count = found.rank(WITHIN)
    if not count:
        return None
    first = list(range(min(SHOWN, count)))
    last = [place for place in range(max(count - SHOWN, 0), count) if place not in first]
    title = f"{found.problem.name}, noise {found.noise:g}: what these weights can change of ρ(T)"
    share = found.trace_share
    on_mesh = "" if share is None else f"; {100 * share:.2g} % of any drift's trace"
    words = f"{ABOUT}, by {found.metric}: {count} directions within {WITHIN:g} of the largest{on_mesh}"
    if found.gramian.linearisation.tracking.mesh.dimension == 1:
        figure = new_figure(4.6, title, words)
        panels = figure.subplots(1, 3)
        _curves(panels[0], found, first, "the first")
        _curves(panels[1], found, last, f"the last within {WITHIN:g}")
        panels[1].set_visible(bool(last))
        _spectra(panels[2], found)
        return figure
    figure = new_figure(6.2, title, words)
    grid = figure.add_gridspec(2, SHOWN + 1, width_ratios=[1.0] * SHOWN + [1.4])
    for row, places in enumerate((first, last)):
        for column, place in enumerate(places):
            _image(figure.add_subplot(grid[row, column]), found, place)
    _spectra(figure.add_subplot(grid[:, SHOWN]), found)
    return figure


def _curves(axes: Axes, found: Controllability, places: list[int], title: str) -> None:
    mesh = found.gramian.linearisation.tracking.mesh
    fine = np.linspace(*mesh.box[0], 801)
    density = DensityField.of_unknowns(mesh, found.density).on((fine,))
    axes.fill_between(fine, density, color=FAINT, alpha=0.25, linewidth=0.0, label="ρ(T)")
    for series, place in enumerate(places):
        values = DensityField.of_unknowns(mesh, found.directions[:, place]).on((fine,))
        label = f"{place + 1}: σ = {number(float(found.singular_values[place]))}"
        axes.plot(fine, values, color=SERIES[series], linewidth=1.5, label=label)
    dress(axes, "x", "change of density, of L² norm 1", title)
    legend(axes, loc="upper left", bbox_to_anchor=(-0.03, -0.15), borderaxespad=0.0, ncols=2)


def _image(axes: Axes, found: Controllability, place: int) -> None:
    mesh = found.gramian.linearisation.tracking.mesh
    axis_points = tuple(axis.grid for axis in mesh.axes)
    values = flat(mesh.to_grid(found.directions[:, place]).reshape(mesh.shape), axis_points)
    show_error(axes, axis_points, values, float(np.abs(values).max()))
    axes.set_title(f"{place + 1}: σ = {number(float(found.singular_values[place]))}", fontsize=SMALL, loc="left")


def _spectra(axes: Axes, found: Controllability) -> None:
    """Singular values by their number."""
    curves: list[tuple[Array, str, dict[str, Any]]] = [
        (found.singular_values, "these weights", {"color": noise_colour(found.noise), "marker": "o", "markersize": 3.5})
    ]
    if found.any_drift is not None:
        label = "any drift" if found.any_drift.exact else "any drift, at least"
        curves.append((found.any_drift.singular_values, label, {"color": INK, "linestyle": "--"}))
    largest = max(float(values.max(initial=0.0)) for values, _, _ in curves)
    least = 1e-9 * largest
    for values, label, style in curves:
        shown = values[values > least]
        axes.plot(np.arange(1, len(shown) + 1), shown, linewidth=1.3, label=label, **style)
    axes.axhline(WITHIN * float(found.singular_values[0]), color=FAINT, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xscale("log")
    dress(axes, "number", "singular value σ", "spectrum")
    legend(axes, loc="lower left")


def insertion(found: Controllability) -> Figure:
    """Where one more neuron would lower J fastest: by piece, and in the best piece by its place."""
    best = found.insertion
    piece, candidate = best.best
    speed, fastest = float(best.speeds[piece, candidate]), float(best.any_drift[piece])
    share = f", {100 * speed / fastest:.0f} % of what any drift could there" if fastest > 0.0 else ""
    figure = new_figure(
        4.2,
        f"{found.problem.name}, noise {found.noise:g}: where one more neuron would lower J fastest",
        f"{ABOUT}; best in {best.edges[piece]:.3g} ≤ t < {best.edges[piece + 1]:.3g}: "
        f"−dJ/d√energy = {number(speed)}{share}",
    )
    left, right = figure.subplots(1, 2)
    for values, label, style in (
        (best.any_drift, "any drift", {"color": INK, "linestyle": "--"}),
        (best.best_of_pieces, "one more neuron", {"color": noise_colour(found.noise)}),
    ):
        left.step(best.edges, np.append(values, values[-1]), where="post", linewidth=1.6, label=label, **style)
    if min(float(best.any_drift.min()), float(best.best_of_pieces.min())) > 0.0:
        left.set_yscale("log")
    dress(left, "t", "−dJ/d√energy", "the best of every piece")
    legend(left, loc="best")
    if len(best.W[candidate]) == 1:
        _map(figure, right, found)
    else:
        _line(right, found)
    return figure


def _map(figure: Figure, axes: Axes, found: Controllability) -> None:
    best = found.insertion
    piece, candidate = best.best
    image = axes.pcolormesh(best.centres, best.steepnesses, best.map_of(piece), shading="nearest", cmap=MAP)
    weight = float(best.W[candidate, 0])
    axes.plot(-best.b[candidate] / weight, abs(weight), "o", color=ALARM, markersize=6)
    axes.set_yscale("log")
    dress(axes, "centre −b/W", "steepness |W|", "the best piece")
    axes.grid(visible=False)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("−dJ/d√energy", fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)


def _line(axes: Axes, found: Controllability) -> None:
    """Where the best neuron bends, W·x + b = 0, on the density at the end of its piece."""
    best, linearisation = found.insertion, found.gramian.linearisation
    piece, candidate = best.best
    mesh = linearisation.tracking.mesh
    axis_points = tuple(axis.grid for axis in mesh.axes)
    values = flat(mesh.to_grid(linearisation.stages[piece, -1, -1]).reshape(mesh.shape), axis_points)
    show_density(axes, axis_points, values, float(values.max()))
    weight = best.W[candidate]
    axes.set_title(f"ρ at t = {best.edges[piece + 1]:.3g}, and where it bends", fontsize=NORMAL, loc="left")
    if mesh.dimension == 2:
        foot = -best.b[candidate] * weight / (weight @ weight)
        along = np.array([-weight[1], weight[0]]) / np.linalg.norm(weight)
        length = 2.0 * max(high - low for low, high in mesh.box)
        ends = np.stack([foot - length * along, foot + length * along])
        axes.plot(*ends.T, color=ALARM, linewidth=1.6)
        axes.set_xlim(*mesh.box[0])
        axes.set_ylim(*mesh.box[1])
    axes.set_xlabel("x", fontsize=NORMAL)
    axes.set_ylabel("y", fontsize=NORMAL)

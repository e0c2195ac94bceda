"""Pictures of numbers in free space: distances beside their nulls and one Gaussian, their course, likelihoods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.report.canvas import (
    FAINT,
    INK,
    ONE_GAUSSIAN,
    SMALL,
    doubtful,
    dress,
    finite,
    line_named,
    new_figure,
    noise_colour,
    number,
    standing,
)
from controlsde.report.compared import findings
from controlsde.report.free_scene import FreeScene, Levels, distances_of
from controlsde.result.free_result import FreeResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from controlsde.workflow.free_comparison import FreeComparison

Array = NDArray[np.float64]

ACROSS = 3  # panels
DOT: dict[str, Any] = {"marker": "o", "markersize": 6.5, "linestyle": "none", "markeredgecolor": "white"}
NULL: dict[str, Any] = {"color": FAINT, "alpha": 0.25, "linewidth": 0}
GAUSSIAN: dict[str, Any] = {"color": ONE_GAUSSIAN, "linestyle": "--", "linewidth": 1.5}
KIND = {"exact": ("o", "exact"), "bound": ("^", "bound")}


def distances(result: FreeResult) -> Figure | None:
    """Every distance of ρ(T) from p(T); None where none was taken."""
    drawn = distances_of([[result]])
    if not drawn:
        return None
    title = f"{result.problem.name}, noise {result.noise:g}: distances of ρ(T) from p(T)"
    return _distances(drawn, [result.noise], title, standing(result), alarm=doubtful(result))


def compared_distances(comparison: FreeComparison) -> Figure | None:
    """The same at every noise level, a dot for each seed."""
    drawn = distances_of(comparison.at_levels)
    if not drawn:
        return None
    text, alarm = findings(comparison)
    title = f"{comparison.problem.name}: distances of ρ(T) from p(T), a dot for each seed"
    return _distances(drawn, comparison.noise, title, text, alarm=alarm)


def _distances(drawn: Sequence[Levels], noise: Sequence[float], title: str, subtitle: str, *, alarm: bool) -> Figure:
    columns = min(ACROSS, len(drawn))
    rows = -(-len(drawn) // columns)
    null = line_named("draws of p: mean ± 2 standard deviations", **{**NULL, "linewidth": 7})
    explained = [null, line_named("one Gaussian", **GAUSSIAN)]
    figure = new_figure(0.9 + 2.5 * rows, title, subtitle, alarm=alarm, explained=explained)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(drawn) :]:
        axes.set_visible(False)
    for axes, one in zip(panels, drawn, strict=False):
        low, high = one.null_mean - 2 * one.null_sd, one.null_mean + 2 * one.null_sd
        if np.isfinite([low, high]).all():
            axes.axhspan(low, high, **NULL)
        if one.gaussian is not None:
            axes.axhline(one.gaussian, **GAUSSIAN)
        for place, (level, values) in enumerate(zip(noise, one.values, strict=True)):
            axes.plot(beside(place, len(values)), values, color=noise_colour(level), **DOT)
        dress(axes, "noise η", "", one.title)
        _levels(axes, noise)
        top = finite(*one.values, [one.gaussian or 0.0, high]).max()
        axes.set_ylim(min(0.0, 1.3 * float(finite(*one.values, [low]).min())), 1.12 * top or 1.0)
    return figure


def beside(place: int, count: int) -> Array:
    """Places on the axis for so many dots of one noise level."""
    return np.asarray(place + 0.12 * (np.arange(count) - 0.5 * (count - 1)))


def _levels(axes: Axes, noise: Sequence[float]) -> None:
    axes.set_xticks(np.arange(len(noise)), [f"{level:g}" for level in noise])
    axes.set_xlim(-0.6, len(noise) - 0.4)
    axes.grid(visible=False, axis="x")


def course(scene: FreeScene) -> Figure | None:
    """The mollified distance against time, beside the level of chance; None where no particle stayed finite."""
    result = scene.result
    cloud = result.particles
    good = np.isfinite(cloud.curve)
    if good.sum() < 2:
        return None
    line: dict[str, Any] = {
        "color": noise_colour(result.noise), "linewidth": 1.6, "marker": ".", "markersize": 8
    }  # fmt: skip
    n = cloud.positions.shape[1]
    words = f"{n:,} draws of p: within 2 standard deviations of 0"
    explained = [line_named("ρ", **line), line_named(words, **{**NULL, "linewidth": 7})]
    title = f"{result.problem.name}, noise {result.noise:g}: mollified distance squared on the way, "
    title += f"{number(float(cloud.curve[good][-1]))} at {'T' if good[-1] else 'the last time that is finite'}"
    figure = new_figure(4.4, title, standing(result), alarm=doubtful(result), explained=explained)
    axes = figure.subplots()
    times, deviations = scene.chance()
    axes.fill_between(times, -2 * deviations, 2 * deviations, **NULL)
    axes.plot(cloud.times, cloud.curve, **line)
    level = 2 * float(finite(deviations).max())
    if level > 0 and finite(cloud.curve).max() > 30 * level:  # beyond chance by magnitudes, within it linear
        axes.set_yscale("symlog", linthresh=level)
    dress(axes, "t", "share of p's own norm")
    axes.set_xlim(cloud.times[0], cloud.times[-1])
    return figure


def likelihoods(comparison: FreeComparison) -> Figure | None:
    """Log-likelihood, KL and the loss of the fit against noise; None where nothing was measured."""
    levels = comparison.at_levels
    told = [[one.tracking.log_likelihood for one in level if one.tracking.log_likelihood] for level in levels]
    if not any(told):
        return None
    text, alarm = findings(comparison)
    explained = [_named("exact"), _named("bound"), line_named("p itself", color=INK, linewidth=1.5)]
    explained += [line_named("one Gaussian", **GAUSSIAN), line_named("bound by paths", color=INK, **_hollow("D"))]
    title = f"{comparison.problem.name}: likelihood and KL by noise, a mark for each seed"
    figure = new_figure(4.6, title, text, alarm=alarm, explained=explained)
    left, middle, right = figure.subplots(1, 3)
    first = next(one for level in told for one in level)
    left.axhline(first.reference, color=INK, linewidth=1.5)
    left.axhline(first.gaussian, **GAUSSIAN)
    for place, (noise, level) in enumerate(zip(comparison.noise, told, strict=True)):
        colour = noise_colour(noise)
        for x, one in zip(beside(place, len(level)), level, strict=True):
            marker = KIND[one.kind][0]
            left.errorbar(x, one.value, yerr=2 * one.se, color=colour, **{**DOT, "marker": marker})
            upper = "v" if one.kind == "bound" else "o"
            middle.errorbar(x, one.kl, yerr=2 * one.kl_se, color=colour, **{**DOT, "marker": upper})
            if one.path_kl is not None:
                middle.plot(x, one.path_kl, color=colour, **_hollow("D"))
    for place, results in enumerate(levels):
        losses = [one.tracking.score_loss.relative for one in results if one.tracking.score_loss]
        right.plot(beside(place, len(losses)), losses, color=noise_colour(results[0].noise), **DOT)
    where = "held-out rows" if first.held_out else "draws of p"
    dress(left, "noise η", "nats", f"log-likelihood of {where}")
    dress(middle, "noise η", "nats", "KL(p‖ρ)")
    dress(right, "noise η", "", "loss of the fit, √ of its share")
    for axes in (middle, right):
        low, high = axes.get_ylim()
        axes.set_ylim(min(0.0, low), 1.06 * high)
    for axes in (left, middle, right):
        _levels(axes, comparison.noise)
        axes.tick_params(labelsize=SMALL)
    return figure


def _named(kind: str) -> Line2D:
    marker, name = KIND[kind]
    label = name if kind == "exact" else "bound (▲ at least, ▼ at most)"
    return line_named(label, color=INK, **{**DOT, "marker": marker})


def _hollow(marker: str) -> dict[str, Any]:
    return {"marker": marker, "markersize": 6, "linestyle": "none", "markerfacecolor": "none"}

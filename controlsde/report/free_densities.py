"""Pictures of particles in free space: their marginals at T, and the plane of p's first two principal axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controlsde.report.canvas import (
    FAINT,
    INK,
    NORMAL,
    ONE_GAUSSIAN,
    REFERENCE,
    SMALL,
    doubtful,
    dress,
    line_named,
    new_figure,
    noise_colour,
    standing,
)
from controlsde.report.compared import findings
from controlsde.report.free_scene import ALL, HELD, Dots, FreeScene, Marginal, Plane
from controlsde.report.moments import end_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from controlsde.workflow.free_comparison import FreeComparison
    from controlsde.workflow.free_simulation import FreeSimulation

COLUMNS = 4
P_LINE: dict[str, Any] = {"color": REFERENCE, "linewidth": 1.5}
GAUSSIAN_LINE: dict[str, Any] = {"color": ONE_GAUSSIAN, "linewidth": 1.4, "linestyle": "--"}
CONTOURS: tuple[dict[str, Any], ...] = (
    {"color": INK, "linewidth": 1.1},
    {"color": INK, "linewidth": 0.9, "linestyle": "--"},
)


def marginals(scene: FreeScene) -> Figure | None:
    """The particles' histograms at T on p's own marginals; None where no particle is left."""
    result = scene.result
    drawn = [one for (one,) in scene.marginals(result.particles.final)]
    return _marginals(scene, drawn, "particles at T along", standing(result), doubtful(result)) if drawn else None


def simulated(scene: FreeScene, simulation: FreeSimulation) -> Figure | None:
    """The same of the particles of a simulation."""
    verdict = "agree with" if simulation.verified else "DISAGREE with"
    subtitle = f"{simulation.particles:,} particles {verdict} those of the result: p-value {simulation.agreement.p:.2g}"
    drawn = [one for (one,) in scene.marginals(simulation.cloud.final)]
    what = f"{simulation.particles:,} other particles at T along"
    return _marginals(scene, drawn, what, subtitle, not simulation.verified) if drawn else None


def _marginals(scene: FreeScene, drawn: Sequence[Marginal], what: str, subtitle: str, alarm: bool) -> Figure:
    result = scene.result
    which = "every coordinate" if scene.target.dimension <= ALL else "principal axes and the worst coordinates"
    title = f"{result.problem.name}, noise {result.noise:g}: {what} {which}"
    columns = min(COLUMNS, len(drawn))
    rows = -(-len(drawn) // columns)
    explained = [line_named("p", **P_LINE), line_named("one Gaussian", **GAUSSIAN_LINE)]
    figure = new_figure(0.9 + 1.95 * rows, title, subtitle, alarm=alarm, explained=explained)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(drawn) :]:
        axes.set_visible(False)
    for place, (axes, one) in enumerate(zip(panels, drawn, strict=False)):
        axes.stairs(one.histogram, one.edges, fill=True, color=noise_colour(result.noise), alpha=0.4)
        axes.plot(one.x, one.gaussian, **GAUSSIAN_LINE)
        axes.plot(one.x, one.density, **P_LINE)
        dress(axes, one.label, "density" if place % columns == 0 else "")
        axes.locator_params(nbins=4)
        axes.set_xlim(one.edges[0], one.edges[-1])
        axes.set_ylim(bottom=0.0)
    return figure


def plane(scene: FreeScene) -> Figure | None:
    """A row for p, ρ and one Gaussian, a column for each time; None on a line."""
    result, drawn = scene.result, scene.planes()
    if not drawn:
        return None
    title = f"{result.problem.name}, noise {result.noise:g}: the plane of the first two principal axes"
    figure = new_figure(6.9, title, standing(result), alarm=doubtful(result), explained=_explained())
    panels = figure.subplots(3, len(drawn), squeeze=False, sharex="col", sharey="col")
    begin, end = end_names(result)
    for column, one in enumerate(drawn):
        for axes, dots, colour in zip(panels[:, column], one.dots, _colours([result.noise]), strict=True):
            _dots(axes, one, dots, colour)
        name = {0: f" ({begin})", len(drawn) - 1: f" ({end})"}.get(column, "")
        panels[0, column].set_title(f"t = {one.time:.3g}{name}", fontsize=NORMAL, loc="left")
        panels[2, column].set_xlabel(scene.axis_label(0) if column == 0 else "", fontsize=SMALL)
    for row, dots in enumerate(drawn[0].dots):
        label = f"{dots.label}\n{scene.axis_label(1)}" if row == 2 else dots.label
        panels[row, 0].set_ylabel(label, fontsize=SMALL)
    return figure


def plane_at_end(scene: FreeScene, comparison: FreeComparison) -> Figure | None:
    """At T: p, ρ at every noise level, one Gaussian; None on a line."""
    drawn = scene.plane_at_end(comparison.results)
    if drawn is None:
        return None
    text, alarm = findings(comparison)
    columns = min(COLUMNS, len(drawn.dots))
    rows = -(-len(drawn.dots) // columns)
    title = f"{comparison.problem.name}: particles at T in the plane of the first two principal axes"
    figure = new_figure(0.9 + 2.5 * rows, title, text, alarm=alarm, explained=_explained())
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    colours = _colours([one.noise for one in comparison.results])
    flat = panels.ravel()
    for axes in flat[len(drawn.dots) :]:
        axes.set_visible(False)
    for place, (axes, dots, colour) in enumerate(zip(flat, drawn.dots, colours, strict=False)):
        _dots(axes, drawn, dots, colour)
        axes.set_title(dots.label, fontsize=NORMAL, loc="left")
        if place + columns >= len(drawn.dots):
            axes.tick_params(labelbottom=True)
            axes.set_xlabel(scene.axis_label(0), fontsize=SMALL)
        if place % columns == 0:
            axes.set_ylabel(scene.axis_label(1), fontsize=SMALL)
    return figure


def _colours(levels: Sequence[float]) -> list[str]:
    """Of p, of every noise level, of the Gaussian."""
    return [INK, *(noise_colour(level) for level in levels), ONE_GAUSSIAN]


def _explained() -> list[Any]:
    words = [f"holds {100 * share:.0f} % of p" for share in HELD]
    return [line_named(word, **style) for word, style in zip(words, CONTOURS, strict=True)]


def _dots(axes: Axes, plane: Plane, dots: Dots, colour: str) -> None:
    """Dots on the contours of p, and how many are not shown."""
    axes.scatter(dots.points[:, 0], dots.points[:, 1], s=5, color=colour, alpha=0.55, linewidths=0)
    for lines, style in zip(plane.contours, CONTOURS, strict=True):
        for line in lines:
            axes.plot(*line.T, **style)
    axes.set_xlim(*plane.limits[0])
    axes.set_ylim(*plane.limits[1])
    axes.locator_params(nbins=4)
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.spines[["top", "right"]].set_visible(False)
    if dots.beyond:
        words = f"{dots.beyond} beyond"
        axes.text(0.98, 0.97, words, transform=axes.transAxes, ha="right", va="top", fontsize=SMALL, color=FAINT)

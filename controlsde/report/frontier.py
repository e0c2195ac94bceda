"""The picture of the least energies: how much any drift needs to come within a distance, and what none can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlsde.report.canvas import ALARM, FAINT, INK, NORMAL, SMALL, dress, legend, new_figure, noise_colour, number
from controlsde.workflow.bounding import Answer, Bounds, Frontier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.6  # inches of a row of panels
MOST_BESIDE = 3
SHADE = 0.12
FAR = 2.0  # times the highest point of a curve
MARKERS = "sD^vP*X"  # by width: told apart by more than colour


def least_energies(bounds: Bounds) -> Figure | None:
    """One panel a noise level: the proved curve, the region below it, and the bounds that were asked for."""
    frontiers = bounds.frontiers
    if not frontiers:
        return None
    columns = min(len(frontiers), MOST_BESIDE)
    rows = -(-len(frontiers) // columns)
    figure = new_figure(
        HEIGHT * rows + 0.6,
        f"{bounds.problem.name}: the least energy of any drift",
        "Every drift, of a network or not, lies above the curve: proved, without solving.",
    )
    panels = figure.subplots(rows, columns, squeeze=False)
    for place, axes in enumerate(panels.ravel()):
        axes.set_visible(place < len(frontiers))
        if place < len(frontiers):
            _panel(axes, bounds, frontiers[place])
        if place % columns == 0:
            axes.set_ylabel(f"energy ∫∫{'' if bounds.steady else '(D̄/D) '}|v|²ρ dx dt", fontsize=NORMAL, color=INK)
    return figure


def _panel(axes: Axes, bounds: Bounds, frontier: Frontier) -> None:
    colour = noise_colour(frontier.noise)
    dress(axes, "distance to the data, ε = ‖ρ(T) − p(T)‖", title=f"noise {frontier.noise:g}")
    asked = [one for one in bounds.bounds if one.noise == frontier.noise]
    at_zero = [one.value for one in asked if one.within == 0.0]
    within, energy = list(frontier.within), list(frontier.energy)
    if at_zero:
        within, energy = [0.0, *within], [at_zero[0], *energy]
    axes.plot(within, energy, color=colour, linewidth=2.0, label="least energy of any drift")
    axes.fill_between(within, energy, color=colour, alpha=SHADE, linewidth=0.0)
    axes.plot(
        [one.within for one in asked],
        [one.value for one in asked],
        color=ALARM,
        marker="o",
        markersize=5,
        linestyle="none",
        label="as asked for",
    )
    furthest, highest = float(frontier.within[-1]), max(energy)
    axes.set_xlim(0.0, 1.04 * furthest)
    axes.set_ylim(0.0, 1.15 * highest)
    _answers(axes, [one for one in bounds.answers if one.noise == frontier.noise], highest)
    axes.text(0.1 * furthest, 0.2 * highest, "no drift can", fontsize=NORMAL, color=colour)
    axes.annotate(
        f"no drift: {number(furthest)}",
        (furthest, 0.0),
        xytext=(-2, 26),
        textcoords="offset points",
        ha="right",
        fontsize=SMALL,
        color=FAINT,
        arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.8},
    )
    legend(axes, loc="upper right")


def _answers(axes: Axes, answers: list[Answer], highest: float) -> None:
    """What networks spent; where that is far above the curve, on a scale that is logarithmic from the curve on."""
    if not answers:
        return
    for rank, width in enumerate(sorted({one.width for one in answers})):
        own = [one for one in answers if one.width == width]
        axes.plot(
            [one.within for one in own],
            [one.energy for one in own],
            color=INK,
            marker=MARKERS[rank % len(MARKERS)],
            markersize=6,
            linestyle="none",
            label=f"network of width {width}",
        )
    most = max(one.energy for one in answers)
    if most > FAR * highest:
        axes.set_yscale("symlog", linthresh=highest)
        axes.set_ylim(0.0, 3.0 * most)
    else:
        axes.set_ylim(0.0, 1.15 * max(highest, most))
    axes.set_xlim(0.0, max(axes.get_xlim()[1], 1.04 * max(one.within for one in answers)))

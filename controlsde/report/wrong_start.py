"""The picture of a wrong start: the error against time as intended, in open loop, and with feedback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from controlsde.report.canvas import ALARM, INK, NORMAL, SERIES, dress, legend, new_figure, number
from controlsde.workflow.feedback import Course, Feedback

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 3.6  # inches of a row of panels
MOST_BESIDE = 3
EARLY, ROOM = 0.1, 0.05  # of a course; of what is least after that
LOOPS = {"riccati": (SERIES[0], "Riccati"), "replan": (SERIES[2], "re-planned")}


def courses(found: Sequence[Feedback]) -> Figure:
    """One panel a result, all on one scale: ‖ρ − p‖ against t, with the error at T of each course."""
    results = list(dict.fromkeys(id(one.result) for one in found))
    columns = min(len(results), MOST_BESIDE)
    rows = -(-len(results) // columns)
    sound = all(one.verified for one in found)
    start = f"Started from {found[0].start}, not from the density that the controls were computed for."
    figure = new_figure(
        HEIGHT * rows + 0.6,
        f"{found[0].result.problem.name}: a wrong start, in open loop and with feedback",
        start if sound else f"{start} NOT VERIFIED: on a finer mesh some of these densities are others.",
        alarm=not sound,
    )
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(panels.ravel()):
        axes.set_visible(place < len(results))
        if place < len(results):
            _panel(axes, found, [one for one in found if id(one.result) == results[place]])
        if place % columns == 0:
            axes.set_ylabel("‖ρ − p‖", fontsize=NORMAL, color=INK)
    return figure


def _panel(axes: Axes, found: Sequence[Feedback], here: Sequence[Feedback]) -> None:
    first = here[0]
    dress(axes, "t", title=f"noise {first.noise:g}")
    _curve(axes, first.open_loop, "open loop", ALARM)
    for one in here:
        colour, name = LOOPS[one.by]
        _curve(axes, one.closed_loop, name, colour)
    _curve(axes, first.nominal, "right start", INK, "--")
    axes.set_yscale("log")
    # below, room for the legend; the first moments of an exact start are left out
    axes.set_ylim(bottom=ROOM * min(float(np.quantile(course.l2, EARLY)) for course in _all(found)))
    axes.set_xlim(float(first.nominal.times[0]), float(first.nominal.times[-1]))
    legend(axes, loc="lower right")


def _all(found: Sequence[Feedback]) -> list[Course]:
    return [course for one in found for course in one.courses.values()]


def _curve(axes: Axes, course: Course, name: str, colour: str, style: str = "-") -> None:
    label = f"{name}: {number(course.l2_final)} at T"
    shown = np.where(course.l2 > 0, course.l2, np.nan)  # an exact start has no logarithm
    axes.plot(course.times, shown, color=colour, linestyle=style, linewidth=1.8, label=label)

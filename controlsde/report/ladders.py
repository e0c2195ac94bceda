"""The picture of what was tried to reach a distance: error against what is to be least, and energy beside its bound.

Comes in: answers of `reach`, one a noise level. Goes out: a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from controlsde.report.canvas import ALARM, INK, NORMAL, dress, legend, new_figure, noise_colour
from controlsde.workflow.reaching import Reach

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 4.2
SHADE = 0.12
AXES = {"energy": "asked distance", "pieces": "pieces K", "width": "width m", "horizon": "horizon T"}
MARKERS = "osD^vP*X"  # one a noise level: told apart by more than colour


def ladders(found: Sequence[Reach]) -> Figure | None:
    """On the left error against what is to be least, on the right against the energy, above the proved curve."""
    if not any(one.tried for one in found):
        return None
    first = found[0]
    figure = new_figure(
        HEIGHT,
        f"{first.problem.name}: what it takes to come within {first.within:g}",
        "Every answer that was tried, as the verification measures it; filled where its certificate holds.",
    )
    left, right = figure.subplots(1, 2)
    distance = "‖ρ(T) − p(T)‖" if first.norm == "l2" else "W₂ to the data"
    dress(left, AXES[first.least], title="reached or not")
    dress(right, "energy ∫∫|v|²ρ dx dt", title="and at what energy")
    for axes in (left, right):
        axes.set_ylabel(f"error at T, {distance}", fontsize=NORMAL, color=INK)
        axes.set_yscale("log")
        axes.axhline(first.within, color=ALARM, linewidth=1.2, linestyle="--", label=f"within {first.within:g}")
    for number, one in enumerate(found):
        marker, colour = MARKERS[number % len(MARKERS)], noise_colour(one.noise)
        places = [row.within if one.least == "energy" else row.value(one.least) for row in one.tried]
        _curve(left, one, places, marker, colour, joined=True)
        _curve(right, one, [row.energy for row in one.tried], marker, colour)
        if one.frontier is not None and one.norm == "l2":
            within, energy = one.frontier.within, one.frontier.energy
            right.plot(
                energy, within, color=colour, linewidth=2.0, label=f"least energy of any drift, noise {one.noise:g}"
            )
            right.fill_betweenx(within, energy, color=colour, alpha=SHADE, linewidth=0.0)
    if first.least in ("pieces", "width"):
        left.xaxis.get_major_locator().set_params(integer=True)
    right.set_xscale("symlog", linthresh=1.0)
    right.set_xlim(left=0.0)
    for axes in (left, right):
        legend(axes, loc="best")
    return figure


def _curve(
    axes: Axes, one: Reach, places: Sequence[float | None], marker: str, colour: str, *, joined: bool = False
) -> None:
    rows = zip(places, one.tried, strict=True)
    known = [
        (at, row.error(one.norm), bool(row.result and row.result.verified))
        for at, row in rows
        if at is not None and np.isfinite(row.error(one.norm))
    ]
    if not known:
        return
    at, errors, good = (np.array(column) for column in zip(*known, strict=True))
    order = np.argsort(at, kind="stable")
    if joined:
        axes.plot(at[order], errors[order], color=colour, linewidth=1.0, alpha=0.6)
    style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none", "markersize": 7}
    axes.plot(at[good], errors[good], **style, label=f"noise {one.noise:g}")
    if not good.all():
        axes.plot(at[~good], errors[~good], **style, markerfacecolor="none", label=f"noise {one.noise:g}, not verified")

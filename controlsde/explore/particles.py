"""A few particles of a preview, for the eye: their ways under the drift and noise that the preview shows.

Comes in: a `Preview`. Goes out: in one dimension a chart of x against t, in two their places at the moments of the
pictures. The same noise and starts whatever the weights are, so that ways move as sliders do. Nothing is measured by
them: `simulate` and the verification do that, with many more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.explore.scenes import FRAMES, NOW
from controlsde.monte_carlo.philox import Stream
from controlsde.report.moments import chosen_times
from controlsde.report.page.chart import Curve, Scale, chart
from controlsde.tracking.posed import Posed
from controlsde.verification.particle_measurement import experiment_of
from controlsde.workflow.previewing import Preview
from controlsde.workflow.simulation import Paths, follow

Array = NDArray[np.float64]

WAYS = 40  # drawn in one dimension
DOTS = 220  # in two
STEPS = 48  # in all, or a step a piece if that is more


def particles(shown: Preview) -> dict[str, Any]:
    """What the page draws of particles; nothing where no drift moves them."""
    count = WAYS if shown.problem.dimension == 1 else DOTS
    paths = _followed(shown, count)
    if paths is None:
        return {}
    return _ways(shown, paths) if shown.problem.dimension == 1 else _dots(shown, paths)


def _followed(shown: Preview, count: int) -> Paths | None:
    if shown.drift is None:
        return None
    posed = Posed(shown.problem, shown.reference_trajectory)
    pieces = len(shown.drift.edges) - 1
    experiment = replace(
        experiment_of(posed, shown.drift, device="cpu"),
        steps_per_piece=max(-(-STEPS // pieces), 1),
        stream=Stream.of(0, "explorer", 1.0, 0),
    )
    return follow(experiment, count)


def _ways(shown: Preview, paths: Paths) -> dict[str, Any]:
    """A chart of all ways: those that left through an absorbing wall end there, and a jump around a period is a gap."""
    axis = shown.mesh.axes[0]
    places = np.where(paths.alive, paths.positions[..., 0], np.nan)
    length = axis.high - axis.low
    if axis.walls == "periodic":
        jumps = np.abs(np.diff(places, axis=1, prepend=places[:, :1])) > 0.5 * length
        places = np.where(jumps, np.nan, places)
    gap = np.full((len(places), 1), np.nan)
    times = np.tile(np.append(paths.times, np.nan), len(places))
    curve = Curve(times, np.hstack([places, gap]).ravel(), NOW, thin=True)
    x, y = Scale(0.0, float(paths.times[-1]), "t"), Scale(axis.low, axis.high, "x")
    words = f"The ways of {len(places)} particles: x against t"
    return {"chart": chart([curve], x, y, words, height=260)}


def _dots(shown: Preview, paths: Paths) -> dict[str, Any]:
    """Places (moments, particles, 2) as shares of the box, from its lower left corner."""
    moments = shown.times[chosen_times(shown.times, FRAMES[2])]
    nearest = np.abs(paths.times[:, None] - moments).argmin(axis=0)
    low = np.array([axis.low for axis in shown.mesh.axes])
    sides = np.array([axis.high for axis in shown.mesh.axes]) - low
    places = (paths.positions[:, nearest].swapaxes(0, 1) - low) / sides
    alive = paths.alive[:, nearest].T
    return {"dots": [np.round(each[there], 4).tolist() for each, there in zip(places, alive, strict=True)]}

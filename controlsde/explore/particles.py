"""A few particles of a preview, for the eye: their ways under the drift and noise that the preview shows.

Comes in: a problem with its reference, and a drift. Goes out: in one dimension a chart of x against t, in two their
places at the moments of the pictures. The same noise and starts whatever the weights are, so that ways move as sliders
do. Nothing is measured by them: `simulate` and the verification do that, with many more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.explore.scenes import NOW
from controlsde.monte_carlo.philox import Stream
from controlsde.report.page.chart import Curve, Scale, chart
from controlsde.tracking.posed import Posed
from controlsde.verification.particle_measurement import experiment_of
from controlsde.workflow.simulation import Paths, follow

Array = NDArray[np.float64]

WAYS = 40  # drawn in one dimension
DOTS = 160  # in two
MOMENTS = 17  # of those
STEPS = 48  # in all, or a step a piece if that is more


def particles(posed: Posed, drift: Drift) -> dict[str, Any]:
    """What the page draws of particles."""
    plane = posed.problem.dimension > 1
    pieces = len(drift.edges) - 1
    experiment = replace(
        experiment_of(posed, drift, device="cpu"),
        steps_per_piece=max(-(-STEPS // pieces), 1),
        stream=Stream.of(0, "explorer", 1.0, 0),
    )
    paths = follow(experiment, DOTS if plane else WAYS)
    return _dots(posed, paths) if plane else _ways(posed, paths)


def _ways(posed: Posed, paths: Paths) -> dict[str, Any]:
    """A chart of all ways: those that left through an absorbing wall end there, and a jump around a period is a gap."""
    ((low, high),) = posed.problem.domain.box
    places = np.where(paths.alive, paths.positions[..., 0], np.nan)
    if posed.problem.domain.walls == "periodic":
        jumps = np.abs(np.diff(places, axis=1, prepend=places[:, :1])) > 0.5 * (high - low)
        places = np.where(jumps, np.nan, places)
    gap = np.full((len(places), 1), np.nan)
    times = np.tile(np.append(paths.times, np.nan), len(places))
    curve = Curve(times, np.hstack([places, gap]).ravel(), NOW, thin=True)
    x, y = Scale(0.0, float(paths.times[-1]), "t"), Scale(low, high, "x")
    words = f"The ways of {len(places)} particles: x against t"
    return {"chart": chart([curve], x, y, words, height=260)}


def _dots(posed: Posed, paths: Paths) -> dict[str, Any]:
    """Places as shares of the box, from its lower left corner, at about `MOMENTS` times."""
    box = np.asarray(posed.problem.domain.box)
    nearest = np.unique(np.linspace(0, len(paths.times) - 1, MOMENTS).round().astype(int))
    places = (paths.positions[:, nearest].swapaxes(0, 1) - box[:, 0]) / (box[:, 1] - box[:, 0])
    alive = paths.alive[:, nearest].T
    dots = [np.round(each[there], 3).tolist() for each, there in zip(places, alive, strict=True)]
    return {"times": paths.times[nearest].tolist(), "dots": dots}

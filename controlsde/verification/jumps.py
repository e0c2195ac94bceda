"""Whether a reference density jumps: then, with noise, no function is its exact drift.

Comes in: a reference and its box. Goes out: yes or no. Between two points of a line, log p must change by the integral
of the score along it. Where that fails most, the line is looked at more and more closely: a steep slope is resolved in
the end, a jump never is.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from controlsde.reference import Reference

Array = NDArray[np.float64]

INTERVALS = 256  # of a line
CLOSER = 3  # times, each by the factor INTERVALS/4
MISSED = 0.02  # of log p, that a jump leaves
LEAST = 1e-3  # of the largest density on the line: elsewhere nothing is looked at
OFFSETS = (0.13, 0.38, 0.5, 0.71, 0.9)  # where lines along one axis cross the others, in shares of the box


def jumps(reference: Reference, box: tuple[tuple[float, float], ...]) -> bool:
    """Whether p(T/2, ·) jumps along some line parallel to an axis."""
    t = 0.5 * reference.horizon
    for axis in range(len(box)):
        others = [range(len(OFFSETS)) if other != axis else range(1) for other in range(len(box))]
        for places in itertools.product(*others):
            start = np.array([low + OFFSETS[n] * (high - low) for n, (low, high) in zip(places, box, strict=True)])
            if _jumps_on_line(reference, t, start, axis, *box[axis]):
                return True
    return False


def _jumps_on_line(reference: Reference, t: float, start: Array, axis: int, low: float, high: float) -> bool:
    highest: float | None = None
    for _ in range(1 + CLOSER):
        edges = np.linspace(low, high, INTERVALS + 1)
        points = np.tile(start, (2 * INTERVALS + 1, 1))
        points[:, axis] = np.linspace(low, high, 2 * INTERVALS + 1)
        p = reference.density(t, points)
        score = reference.score(t, points)[:, axis]
        highest = float(p.max()) if highest is None else highest
        seen = np.minimum(p[:-2:2], p[2::2]) > LEAST * highest
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.diff(np.log(p[::2]))
        slope = (edges[1] - edges[0]) * (score[:-2:2] + 4.0 * score[1:-1:2] + score[2::2]) / 6.0
        gap = np.where(seen, np.abs(change - slope), 0.0)
        worst = int(np.argmax(gap))
        if not gap[worst] > MISSED:
            return False
        low, high = float(edges[max(worst - 1, 0)]), float(edges[min(worst + 2, INTERVALS)])
    return True

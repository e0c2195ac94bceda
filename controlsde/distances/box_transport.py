"""W₂ between densities on a box of two or three dimensions, or a torus: an estimate, and a bound that it must respect.

Comes in: edges of a uniform grid, masses of its cells. Goes out: W₂ by debiased entropic transport with a blur of one
cell, ε = 2h², and a certified lower bound. In one dimension `transport.py` has the exact formula.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from controlsde.distances.dual_bound import lower_bound
from controlsde.distances.sinkhorn import debiased_sinkhorn
from controlsde.distances.softmin import squared_distances
from controlsde.foundation.stored_json import COUNT, FLAG, Form, values

Array = NDArray[np.float64]

WORK = {2: 2 * 64**3, 3: 3 * 20**4}  # Σ_k n_k ∏_k n_k of a grid with n_k cells on axis k: terms of one softmin
FEWEST = 8  # cells on an axis
CUTS = {2: 4, 3: 2}  # of a cell on each axis, for the lower bound


@dataclass(frozen=True)
class BoxTransport:
    """W₂ as estimated, never below `lower_bound`, which no W₂ between these cell masses is below.

    converged: whether Sinkhorn's method did. marginal_error: of its plan, in total variation. cells: by axis.
    clipped: the larger share of mass that was negative, of the two densities, and was set to zero.
    """

    FORM: ClassVar[dict[str, Form]] = {
        "converged": FLAG,
        "iterations": COUNT,
        "cells": [COUNT],
        **values("value", "lower_bound", "marginal_error", "clipped"),
    }

    value: float
    lower_bound: float
    converged: bool
    iterations: int
    marginal_error: float
    clipped: float
    cells: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {
            "value": self.value,
            "lower_bound": self.lower_bound,
            "converged": self.converged,
            "iterations": self.iterations,
            "marginal_error": self.marginal_error,
            "clipped": self.clipped,
            "cells": list(self.cells),
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> BoxTransport:
        """What `to_json` wrote."""
        return BoxTransport(**{**stored, "cells": tuple(stored["cells"])})


def transport_edges(box: tuple[tuple[float, float], ...], work: float) -> tuple[Array, ...]:
    """Edges of cells over a box, by axis, for about so many terms of a softmin: 2n³ for n × n cells.

    The cells are as nearly cubes as can be, with at least `FEWEST` on an axis.
    """
    lengths = [high - low for low, high in box]
    side = (math.prod(lengths) * sum(lengths) / work) ** (1.0 / (len(box) + 1))
    counts = [max(FEWEST, round(length / side)) for length in lengths]
    return tuple(np.linspace(low, high, count + 1) for (low, high), count in zip(box, counts, strict=True))


def wasserstein_2_in_box(edges: tuple[Array, ...], walls: str, first: Array, second: Array) -> BoxTransport:
    """W₂ of two densities by their cell masses (n_1, …, n_d), clipped at zero and scaled to one; periodic: on a torus.

    Raises ValueError for masses that are not finite, do not fit the edges, or of which nothing is positive.
    """
    cells = tuple(len(edge) - 1 for edge in edges)
    a, lost_a = _positive(first, cells)
    b, lost_b = _positive(second, cells)
    periods = tuple(float(edge[-1] - edge[0]) for edge in edges) if walls == "periodic" else None
    centres = tuple(0.5 * (edge[1:] + edge[:-1]) for edge in edges)
    epsilon = 2.0 * max(float(edge[1] - edge[0]) for edge in edges) ** 2
    entropic = debiased_sinkhorn(squared_distances(centres, centres, periods), a, b, epsilon)
    bound = lower_bound(edges, periods, a, b, epsilon, entropic, CUTS.get(len(edges), 1))
    return BoxTransport(
        value=math.sqrt(max(entropic.value, bound)),
        lower_bound=math.sqrt(bound),
        converged=entropic.converged,
        iterations=entropic.iterations,
        marginal_error=entropic.marginal_error,
        clipped=max(lost_a, lost_b),
        cells=cells,
    )


def _positive(masses: Array, cells: tuple[int, ...]) -> tuple[Array, float]:
    """Masses clipped at zero and scaled to one, and the share of them that was negative."""
    if masses.shape != cells:
        raise ValueError(f"masses of shape {masses.shape} do not fit {cells} cells")
    total = float(np.abs(masses).sum())
    kept = np.maximum(masses, 0.0)
    if not (math.isfinite(total) and kept.sum() > 0.0):
        raise ValueError("masses must be finite, and some positive")
    return kept / kept.sum(), float(np.maximum(-masses, 0.0).sum()) / total

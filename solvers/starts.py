"""Where the solvers start: random weights, the same for the same seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controlsde.tracking import TrackingProblem

Array = NDArray[np.float64]


def random_starts(tracking: TrackingProblem, count: int, seed: int) -> list[Array]:
    """`count` random weights (K, P) inside the bounds; start i depends on (seed, i) alone."""
    pieces, _ = tracking.weight_shape
    limit = tracking.bound
    return [
        np.clip(tracking.network.random_weights(pieces, np.random.default_rng([seed, number])), -limit, limit)
        for number in range(count)
    ]

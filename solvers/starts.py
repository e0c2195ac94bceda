"""Where the solvers start: given weights, what switching constructs, random weights; the same for the same seed.

Two families of random weights in turn. Contracting starts pull towards a point drawn from the reference at the end of
each piece, with a neuron about as wide as the density there: time-multiplexed attraction, which is how narrow optimal
controls look. Free starts bend anywhere in the box, in either direction. On two bumps (16 pieces, width 1) a
contracting start ends in the best known valley about one time in four, a free start one time in five.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.progress import Progress, silent
from controlsde.solvers.drift_fitting.switching import constructive_start
from controlsde.tracking.objective import Objective
from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]


def starts_from(
    objective: Objective,
    initial: Sequence[Array],
    count: int,
    seed: int,
    start: Literal["random", "switching"] = "random",
    progress: Progress = silent,
) -> list[Array]:
    """`count` starts: the given weights first, then what switching constructs if asked to, random ones after them."""
    first = list(initial)
    if start == "switching" and len(first) < count:
        first.append(objective.tracking.with_equal_lengths(constructive_start(objective, seed, progress)))
    return [*first, *random_starts(objective.tracking, count, seed)][:count]


def random_starts(tracking: TrackingProblem, count: int, seed: int) -> list[Array]:
    """`count` random weights (K, P) inside the bounds; start i depends on (seed, i) alone."""
    pieces, _ = tracking.weight_shape
    starts = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        weights = (
            contracting_weights(tracking, rng) if number % 2 == 0 else tracking.network.random_weights(pieces, rng)
        )
        starts.append(np.clip(tracking.with_equal_lengths(weights), -tracking.bound, tracking.bound))
    return starts


def contracting_weights(tracking: TrackingProblem, rng: np.random.Generator) -> Array:
    """Weights (K, P) whose neurons pull towards points of the reference density at the ends of the pieces.

    For neuron j of a piece: W_j = e^{ξ/2} u_j / spread with u_j a random unit vector (+1 in one dimension),
    b_j = −W_j·c with c drawn from p, A_j = −2 |ξ′| u_j spread.
    """
    network = tracking.network
    pieces = tracking.grid.pieces
    d, m = network.dimension, network.width
    points = tracking.mesh.restrict(tracking.mesh.points.T).T  # of the unknowns, (n, d)
    probability = np.maximum(tracking.targets[:, -1, -1], 0.0) * tracking.mesh.mass
    probability /= probability.sum(axis=1, keepdims=True)
    mean = probability @ points
    spread = np.sqrt(np.maximum((probability @ points**2 - mean**2).mean(axis=1), 1e-12))
    centres = np.stack([points[rng.choice(len(points), size=m, p=row)] for row in probability])  # (K, m, d)
    directions = rng.standard_normal((pieces, m, d))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    if d == 1:
        directions = np.abs(directions)
    steepness = np.exp(0.5 * rng.standard_normal((pieces, m, 1)))
    w = steepness * directions / spread[:, None, None]
    strength = -2.0 * np.abs(rng.standard_normal((pieces, m, 1))) * spread[:, None, None]
    a = (strength * directions).swapaxes(1, 2) / np.sqrt(m)
    return network.join(a, w, -np.einsum("kmd,kmd->km", w, centres))

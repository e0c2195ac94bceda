"""The sliced Wasserstein-2 distance between particles and a mixture: √ of the mean W₂² over random directions.

On a line W₂² = ∫₀¹ |Q_ρ − Q_p|² du, taken at the middles (i − ½)/n of the n steps of the particles' own quantile
function. The mixture's quantiles are those of its marginals in closed form: draws in their place would add their own
error, as large as that of the particles.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from controlsde.densities.density import Array
from controlsde.densities.free_mixture import FreeMixture
from controlsde.distances.lines import Lines

DIRECTIONS = 64


def random_directions(dimension: int, count: int, rng: np.random.Generator) -> Array:
    """Unit columns, uniform on the sphere: (d, count); on a line there is one."""
    if dimension == 1:
        return np.ones((1, 1))
    drawn = rng.standard_normal((dimension, count))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0))


def sliced_against(mixture: FreeMixture, n: int, directions: Array) -> Callable[[Array], float]:
    """What takes n points (n, d) to their sliced W₂ distance to the mixture, along columns of directions (d, L)."""
    quantiles = Lines.of(mixture, directions).quantiles(n).T

    def distance(points: Array) -> float:
        ordered = np.sort(directions.T @ points.T, axis=1)
        return math.sqrt(float(np.mean((ordered - quantiles) ** 2)))

    return distance

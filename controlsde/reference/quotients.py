"""Division by densities, which may be too small to divide by."""

from __future__ import annotations

import math

import numpy as np

from controlsde.densities.density import Array, Box

FLOOR = 1e-10  # times the uniform density: scores of numerical densities divide by no less
TINY = 1e-300  # a density below has no digits left to divide by


def ratio(numerator: Array, density: Array) -> Array:
    """numerator / density; 0 where the density has no digits left."""
    return np.where(density > TINY, numerator / np.maximum(density, TINY), 0.0)


def floored_score(density: Array, gradient: Array, box: Box) -> Array:
    """∇q / max(q, 1e-10/volume) of densities (n,) with gradients (n, d): (n, d), small where q has no digits left."""
    volume = math.prod(high - low for low, high in box)
    return np.asarray(gradient / np.maximum(density, FLOOR / volume)[:, None])

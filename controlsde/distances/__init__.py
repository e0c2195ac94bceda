"""Distances between densities on a box: L², total variation, KL, W₁, W₂, Ḣ⁻¹."""

from controlsde.distances.pointwise import kullback_leibler, l2, negative_mass, total_variation
from controlsde.distances.transport import sobolev_minus_1, wasserstein_1, wasserstein_2

__all__ = [
    "kullback_leibler",
    "l2",
    "negative_mass",
    "sobolev_minus_1",
    "total_variation",
    "wasserstein_1",
    "wasserstein_2",
]

"""Distances between densities on a box: L², total variation, KL, W₁, W₂, Ḣ⁻¹."""

from controlsde.distances.box_transport import BoxTransport, transport_edges, wasserstein_2_in_box
from controlsde.distances.pointwise import kullback_leibler, l2, negative_mass, total_variation
from controlsde.distances.transport import sobolev_minus_1, wasserstein_1, wasserstein_2

__all__ = [
    "BoxTransport",
    "kullback_leibler",
    "l2",
    "negative_mass",
    "sobolev_minus_1",
    "total_variation",
    "transport_edges",
    "wasserstein_1",
    "wasserstein_2",
    "wasserstein_2_in_box",
]

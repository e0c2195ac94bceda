"""Reference trajectories p(t, x), with the noise-free field w and the exact drifts that carry them."""

from controlsde.reference.reference import Reference, ReferenceError  # noqa: A004
from controlsde.reference.reference_building import build_diffusivity, build_reference
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference

__all__ = ["Reference", "ReferenceError", "ReversedDiffusionReference", "build_diffusivity", "build_reference"]

"""The densities at both ends of a reference, as a problem gives them: what the trajectory must begin and end in.

Comes in: a reference in the problem file, and its domain. Goes out: densities with norms of their own, against which
what a mesh or a grid sees of the trajectory can be held.
"""

from __future__ import annotations

from controlsde.densities import CorrelatedMixture, Density, GaussianMixture, build_density
from controlsde.problem import schema
from controlsde.reference.forward import MAX_MASS_OUTSIDE
from controlsde.reference.reference_building import on_box

Spec = schema.ReversedDiffusion | schema.Moser | schema.Displacement | schema.Foellmer


def end_density(spec: Spec, domain: schema.Domain) -> Density:
    """The density at t = T: the data, or `to`."""
    return _inside(spec.to if isinstance(spec, schema.Moser | schema.Displacement) else spec.data, domain)


def start_density(spec: Spec, domain: schema.Domain) -> Density | None:
    """The density at t = 0 where the problem gives one, as `from`; None where it follows from the data."""
    return _inside(spec.from_, domain) if isinstance(spec, schema.Moser | schema.Displacement) else None


def _inside(spec: schema.DensitySpec, domain: schema.Domain) -> Density:
    """Cut to the box, unless next to nothing lies outside."""
    periodic = domain.walls == "periodic"
    density = build_density(spec, domain.box)
    if periodic or not isinstance(density, GaussianMixture | CorrelatedMixture):
        return on_box(spec, domain.box, periodic)
    return density if density.mass_outside(domain.box) <= MAX_MASS_OUTSIDE else on_box(spec, domain.box, periodic)

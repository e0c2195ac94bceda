"""From a reference in the problem file, and its domain, to a `Reference`."""

from __future__ import annotations

import numpy as np

from controlsde.densities import Density, GaussianMixture, TruncatedMixture, UniformDensity, build_density
from controlsde.problem import schema
from controlsde.reference.flows import ClosedForm, Flow, Free, Process
from controlsde.reference.protocol import Reference, ReferenceError  # noqa: A004
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference

MAX_MASS_OUTSIDE = 1.1e-6  # a free-space process counts as inside the box up to this much
WATCHED = 65  # forward times at which the mass outside the box is looked at


def build_reference(spec: schema.ReversedDiffusion | schema.Moser, domain: schema.Domain) -> Reference:
    """The reference trajectory that `spec` asks for on `domain`.

    Raises ReferenceError, one line with the cure, when it cannot be computed.
    """
    if isinstance(spec, schema.Moser):
        raise ReferenceError("moser references are not built yet")
    data = build_density(spec.data, domain.box)
    pull = 1.0 if isinstance(spec.forward, schema.OrnsteinUhlenbeck) else 0.0
    process = Process(pull, spec.forward.diffusivity)
    flow = _flow(data, process, spec.horizon, domain)
    return ReversedDiffusionReference(
        flow, process, spec.horizon, len(domain.box), _start(spec, process, domain)
    )


def _flow(data: Density, process: Process, horizon: float, domain: schema.Domain) -> Flow:
    if (
        process.pull > 0.0
        and isinstance(data, GaussianMixture)
        and free_mass_outside(data, process, horizon, domain) <= MAX_MASS_OUTSIDE
    ):
        return ClosedForm(data, data.products, process, Free())
    raise ReferenceError("not built yet")


def free_mass_outside(
    data: GaussianMixture, process: Process, horizon: float, domain: schema.Domain
) -> float:
    """The largest mass outside the box that the free process has at any time in [0, horizon]."""
    times = horizon * np.linspace(0.0, 1.0, WATCHED) ** 2
    return max(data.spread(process.shrink(s), process.blur(s)).mass_outside(domain.box) for s in times)


def _start(spec: schema.ReversedDiffusion, process: Process, domain: schema.Domain) -> Density | None:
    if spec.start == "exact":
        return None
    dimension = len(domain.box)
    if process.pull == 0.0:
        return UniformDensity(domain.box)
    stationary = GaussianMixture(
        np.ones(1), np.zeros((1, dimension)), np.full((1, dimension), process.diffusivity)
    )
    if stationary.mass_outside(domain.box) <= MAX_MASS_OUTSIDE:
        return stationary
    return TruncatedMixture(stationary, domain.box)

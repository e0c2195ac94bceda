"""From a reference in the problem file, and its domain, to a `Reference`."""

from __future__ import annotations

import math

import numpy as np

from controlsde.densities import (
    Density,
    GaussianMixture,
    LineDensity,
    TruncatedMixture,
    UniformDensity,
    build_density,
    condition,
)
from controlsde.densities.protocol import Box
from controlsde.problem import schema
from controlsde.reference.displacement import GaussianDisplacement, IntervalDisplacement
from controlsde.reference.flows import REACH, Process
from controlsde.reference.forward import MAX_MASS_OUTSIDE, forward_flow
from controlsde.reference.moser import MoserReference
from controlsde.reference.moser_box import BoxMoserReference
from controlsde.reference.protocol import Reference, ReferenceError  # noqa: A004
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference


def build_reference(
    spec: schema.ReversedDiffusion | schema.Moser | schema.Displacement, domain: schema.Domain
) -> Reference:
    """The reference trajectory that `spec` asks for on `domain`.

    Raises ReferenceError, one line with the cure, when it cannot be computed.
    """
    try:
        if isinstance(spec, schema.Moser):
            return _moser(spec, domain)
        if isinstance(spec, schema.Displacement):
            return _displacement(spec, domain)
        return _reversed_diffusion(spec, domain)
    except ReferenceError:
        raise
    except ValueError as error:
        raise ReferenceError(f"the reference cannot be built: {error}") from error


def _reversed_diffusion(spec: schema.ReversedDiffusion, domain: schema.Domain) -> Reference:
    process = Process(1.0 if isinstance(spec.forward, schema.OrnsteinUhlenbeck) else 0.0, spec.forward.diffusivity)
    data = build_density(spec.data, domain.box)
    flow = forward_flow(data, process, spec.horizon, domain.box, domain.walls)
    start = None if spec.start == "exact" else _stationary(process, domain.box)
    return ReversedDiffusionReference(flow, process, spec.horizon, len(domain.box), start)


def _stationary(process: Process, box: Box) -> Density:
    """The forward process's limit: uniform for heat, N(0, D₀) for Ornstein–Uhlenbeck, cut if it leaks."""
    if process.pull == 0.0:
        return UniformDensity(box)
    limit = GaussianMixture(np.ones(1), np.zeros((1, len(box))), np.full((1, len(box)), process.diffusivity))
    return limit if limit.mass_outside(box) <= MAX_MASS_OUTSIDE else TruncatedMixture(limit, box)


def _moser(spec: schema.Moser, domain: schema.Domain) -> Reference:
    periodic = domain.walls == "periodic"
    if len(domain.box) > 1:
        first, last = (_on_box(part, domain.box, periodic) for part in (spec.from_, spec.to))
        return BoxMoserReference(first, last, domain.box, spec.horizon, spec.diffusivity, periodic)
    start, end = (_on_interval(part, domain.box, periodic) for part in (spec.from_, spec.to))
    return MoserReference(start, end, domain.box[0], spec.horizon, spec.diffusivity, periodic)


def _displacement(spec: schema.Displacement, domain: schema.Domain) -> Reference:
    if domain.walls == "periodic":
        raise ReferenceError(
            "displacement references move mass on straight lines, which a circle does not have: use walls: reflecting"
        )
    if len(domain.box) == 1:
        whole = [build_density(part, domain.box) for part in (spec.from_, spec.to)]
        if isinstance(whole[0], GaussianMixture) and isinstance(whole[1], GaussianMixture):
            interval = _long_interval(whole[0], whole[1], domain.box[0])
            return IntervalDisplacement(whole[0], whole[1], interval, spec.horizon, spec.diffusivity)
        start, end = (_on_interval(part, domain.box, False) for part in (spec.from_, spec.to))
        return IntervalDisplacement(start, end, domain.box[0], spec.horizon, spec.diffusivity)
    first, last = (_gaussian(part, domain.box) for part in (spec.from_, spec.to))
    return GaussianDisplacement(first, last, spec.horizon, spec.diffusivity)


def _long_interval(start: GaussianMixture, end: GaussianMixture, side: tuple[float, float]) -> tuple[float, float]:
    """Where the mass that passes through the box may come from and go to: the narrowest may become the broadest."""
    stds = np.sqrt(np.concatenate([start.variances, end.variances]))
    reach = (side[1] - side[0]) * (1.0 + float(stds.max() / stds.min()))
    return side[0] - reach, side[1] + reach


def _gaussian(spec: schema.DensitySpec, box: Box) -> GaussianMixture:
    density = build_density(spec, box)
    if not isinstance(density, GaussianMixture) or density.weights.size > 1:
        raise ReferenceError(
            "displacement references in several dimensions join two Gaussians: give from and to as mixtures of one "
            "component, or use one dimension"
        )
    return density


def _on_interval(spec: schema.DensitySpec, box: Box, periodic: bool) -> LineDensity:
    inside = _on_box(spec, box, periodic)
    if not isinstance(inside, LineDensity):
        raise ReferenceError("references between two densities need ones with distribution functions")
    return inside


def _on_box(spec: schema.DensitySpec, box: Box, periodic: bool) -> Density:
    density = build_density(spec, box)
    if periodic and isinstance(density, GaussianMixture):
        density = _wrapped(density, box)
    return condition(density, box)


def _wrapped(mixture: GaussianMixture, box: Box) -> GaussianMixture:
    """The mixture and its images, one box length apart along each axis, as far as they reach into the box."""
    for axis, (low, high) in enumerate(box):
        length = high - low
        spread = REACH * np.sqrt(mixture.variances[:, axis])
        reach = float(np.max(np.abs(mixture.means[:, axis] - 0.5 * (low + high)) + spread))
        count = math.ceil(reach / length + 0.5)
        shifts = np.zeros((2 * count + 1, len(box)))
        shifts[:, axis] = length * np.arange(-count, count + 1)
        mixture = GaussianMixture(
            np.tile(mixture.weights, len(shifts)),
            (mixture.means[None, :, :] + shifts[:, None, :]).reshape(-1, len(box)),
            np.tile(mixture.variances, (len(shifts), 1)),
        )
    return mixture

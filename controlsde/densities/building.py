"""From a density in the problem file to a `Density`."""

from __future__ import annotations

import numpy as np

from controlsde.densities.boxes import BoxesDensity
from controlsde.densities.conditioned import ConditionedDensity
from controlsde.densities.correlated import CorrelatedMixture
from controlsde.densities.formula import FormulaDensity
from controlsde.densities.image import ImageDensity
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.protocol import Box, Density
from controlsde.densities.truncated import TruncatedMixture
from controlsde.problem import schema

MAX_UNKNOWN = 1e-6  # of a named density's mass, that two quadratures may differ by


def build_density(spec: schema.DensitySpec, box: Box) -> Density:
    """The density that `spec` describes, for a domain `box` of one (low, high) a dimension.

    Mixtures and samples are whole, so that a little of their mass may lie outside the box; `condition` cuts
    them. Uniform, boxes, truncated and formula densities live in the box and have mass one there. Raises
    ValueError, with the cure, when the density does not fit the box or cannot be normalised.
    """
    match spec:
        case schema.Mixture():
            return _mixture(spec)
        case schema.Samples():
            return _from_samples(spec)
        case schema.Uniform():
            return BoxesDensity.uniform(_inner_box(spec, box))
        case schema.Boxes():
            return BoxesDensity(spec.boxes, spec.weights)
        case schema.Truncated():
            whole = GaussianMixture(np.ones(1), np.array([spec.mean]), np.array([spec.std]) ** 2)
            return TruncatedMixture(whole, _inner_box(spec, box))
        case schema.StudentT() | schema.Funnel():
            return _named(spec, box)
        case schema.Image():
            return _picture(spec, box)
        case schema.FormulaSpec():
            return FormulaDensity.from_expression(spec.compiled(len(box)), box)


def _mixture(spec: schema.Mixture) -> GaussianMixture | CorrelatedMixture:
    weights, means = np.array(spec.weights), np.array(spec.means)
    if spec.covariances is None:
        return GaussianMixture(weights, means, np.array(spec.stds) ** 2)
    mixture = CorrelatedMixture(weights, means, np.array(spec.covariances))
    independent = np.all(mixture.covariances == mixture.variances[:, :, None] * np.eye(spec.dimension))
    return GaussianMixture(weights, means, mixture.variances) if independent else mixture


def _named(spec: schema.StudentT | schema.Funnel, box: Box) -> FormulaDensity:
    density = FormulaDensity.from_expression(spec.compiled(len(box)), box)
    if density.normalisation_error > MAX_UNKNOWN:
        raise ValueError(
            f"the {spec.kind} is too narrow somewhere for its box (two quadratures of its mass differ by "
            f"{density.normalisation_error:.1e}): use a smaller domain.box, or a broader {spec.kind}"
        )
    return density


def _picture(spec: schema.Image, box: Box) -> ImageDensity:
    if spec.pixels is None:
        raise ValueError("the image holds no pixels: load the problem with load_problem, or give pixels")
    greys = np.array(spec.pixels)[::-1].T  # from rows downwards to (columns, rows upwards)
    masses = greys - np.min(greys) if spec.mass == "bright" else np.max(greys) - greys
    return ImageDensity(masses, box, (spec.bandwidth[0], spec.bandwidth[1]), spec.floor)


def _from_samples(spec: schema.Samples) -> GaussianMixture:
    points = np.array(spec.points, dtype=np.float64)
    if points.size == 0:
        raise ValueError("samples hold no points: load the problem with load_problem, or give points")
    variances = np.broadcast_to(np.array(spec.bandwidth) ** 2, points.shape)
    return GaussianMixture(np.ones(len(points)), points, variances)


def _inner_box(spec: schema.Uniform | schema.Truncated, box: Box) -> Box:
    low = spec.low if spec.low is not None else tuple(side[0] for side in box)
    high = spec.high if spec.high is not None else tuple(side[1] for side in box)
    if len(low) != len(box) or len(high) != len(box):
        raise ValueError(f"low and high must have {len(box)} number(s), one a dimension of domain.box")
    return tuple(zip(low, high, strict=True))


def condition(density: Density, box: Box) -> Density:
    """`density` given that the point is in `box`. Other kinds than mixtures live in the box already."""
    if isinstance(density, GaussianMixture):
        return TruncatedMixture(density, box)
    return ConditionedDensity.condition_on(density, box) if isinstance(density, CorrelatedMixture) else density

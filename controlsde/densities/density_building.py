"""From a density in the problem file to a `Density`."""

from __future__ import annotations

import numpy as np

from controlsde.densities.boxes import BoxesDensity
from controlsde.densities.conditioned import ConditionedDensity
from controlsde.densities.correlated import CorrelatedMixture
from controlsde.densities.density import Box, Density
from controlsde.densities.formula_density import FormulaDensity
from controlsde.densities.image import ImageDensity
from controlsde.densities.mixture import GaussianMixture
from controlsde.densities.truncated import TruncatedMixture
from controlsde.problem import schema
from controlsde.registry import DENSITIES

MAX_UNKNOWN = 1e-6  # of a named density's mass, that two quadratures may differ by


def build_density(spec: schema.DensitySpec, box: Box) -> Density:
    """The density that `spec` describes, for a domain `box` of one (low, high) a dimension.

    Mixtures and samples are whole, so that a little of their mass may lie outside the box; `condition` cuts
    them. Uniform, boxes, truncated and formula densities live in the box and have mass one there. Raises
    ValueError, with the cure, when the density does not fit the box or cannot be normalised.
    """
    density: Density = DENSITIES[spec.kind].build(spec, box)
    return density


def mixture(spec: schema.Mixture, box: Box) -> GaussianMixture | CorrelatedMixture:  # noqa: ARG001
    """Gaussians, as such with independent coordinates where they have them."""
    weights, means = np.array(spec.weights), np.array(spec.means)
    if spec.covariances is None:
        return GaussianMixture(weights, means, np.array(spec.stds) ** 2)
    mixture = CorrelatedMixture(weights, means, np.array(spec.covariances))
    independent = np.all(mixture.covariances == mixture.variances[:, :, None] * np.eye(spec.dimension))
    return GaussianMixture(weights, means, mixture.variances) if independent else mixture


def named(spec: schema.StudentT | schema.Funnel, box: Box) -> FormulaDensity:
    """A named density by its formula, conditioned on the box."""
    density = FormulaDensity.from_expression(spec.compiled(len(box)), box)
    if density.normalisation_error > MAX_UNKNOWN:
        raise ValueError(
            f"the {spec.kind} is too narrow somewhere for its box (two quadratures of its mass differ by "
            f"{density.normalisation_error:.1e}): use a smaller domain.box, or a broader {spec.kind}"
        )
    return density


def picture(spec: schema.Image, box: Box) -> ImageDensity:
    """The blurred pixels, stretched over the box."""
    if spec.pixels is None:
        raise ValueError("the image holds no pixels: load the problem with load_problem, or give pixels")
    greys = np.array(spec.pixels)[::-1].T  # from rows downwards to (columns, rows upwards)
    masses = greys - np.min(greys) if spec.mass == "bright" else np.max(greys) - greys
    return ImageDensity(masses, box, (spec.bandwidth[0], spec.bandwidth[1]), spec.floor)


def from_samples(spec: schema.Samples, box: Box) -> GaussianMixture:  # noqa: ARG001
    """A Gaussian about each point."""
    points = np.array(spec.rows, dtype=np.float64)
    if points.size == 0:
        raise ValueError("samples hold no points: load the problem with load_problem, or give points")
    variances = np.broadcast_to(np.array(spec.bandwidth) ** 2, points.shape)
    return GaussianMixture(np.ones(len(points)), points, variances)


def fitted(spec: schema.Gaussians, box: Box) -> CorrelatedMixture:  # noqa: ARG001
    """Fitted Gaussians are for free space: a box would cut them anywhere."""
    raise ValueError("gaussians needs free space, domain.space: free")


def product(spec: schema.Product, box: Box) -> GaussianMixture:  # noqa: ARG001
    """The mixture of all products of the factors' components."""
    weights, means, stds = (np.array(part) for part in zip(*spec.gaussians, strict=True))
    return GaussianMixture(weights, means, stds**2)


def uniform(spec: schema.Uniform, box: Box) -> BoxesDensity:
    """Flat between its limits."""
    return BoxesDensity.uniform(_inner_box(spec, box))


def boxes(spec: schema.Boxes, box: Box) -> BoxesDensity:  # noqa: ARG001
    """Flat on each of its boxes."""
    return BoxesDensity(spec.boxes, spec.weights)


def truncated(spec: schema.Truncated, box: Box) -> TruncatedMixture:
    """One Gaussian between its limits."""
    whole = GaussianMixture(np.ones(1), np.array([spec.mean]), np.array([spec.std]) ** 2)
    return TruncatedMixture(whole, _inner_box(spec, box))


def formula(spec: schema.FormulaSpec, box: Box) -> FormulaDensity:
    """Proportional to a formula, normalised on the box."""
    return FormulaDensity.from_expression(spec.compiled(len(box)), box)


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

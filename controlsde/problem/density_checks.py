"""Whether a density fits the box: its dimension, its place, its size.

In: a density whose keys are each valid, where it is written, and the box. Out: `(location, message)` pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from controlsde.problem.density_specs import (
    Boxes,
    FormulaSpec,
    Funnel,
    Gaussians,
    Image,
    Mixture,
    Product,
    Samples,
    StudentT,
    Truncated,
    Uniform,
    variables,
)
from controlsde.problem.formula import FormulaError
from controlsde.problem.leaving import MAX_MASS_OUTSIDE, components, mass_outside, outside_cure
from controlsde.problem.reference_specs import DensitySpec
from controlsde.problem.values import Box, Inconsistency, Location
from controlsde.registry import DENSITIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MIN_MASS_INSIDE = 1e-9
SMALLEST_PEAK, LARGEST_PEAK = 1e-100, 1e100
LEAST_BLUR = 0.01  # of the box: the quadrature of pictures resolves no less
MIN_TAIL = 1e-9  # of the peak: a density that is nowhere larger on the box lies elsewhere

GRID = {1: 2001, 2: 101, 3: 31}


def density_inconsistencies(where: Location, density: DensitySpec, box: Box) -> Iterator[Inconsistency]:
    """What does not fit about one density, written at `where`, on a box."""
    yield from DENSITIES[density.kind].inconsistencies(where, density, box)


def samples(where: Location, density: Samples, box: Box) -> Iterator[Inconsistency]:
    """Points that were read, and that lie in the box."""
    if density.held_out:
        yield (*where, "held_out"), "is for free space, where the likelihood of the rows held out is told: remove it"
    else:
        yield from (_unread(where, density) if density.file is not None else gaussians(where, density, box))


def fitted(where: Location, density: Gaussians, box: Box) -> Iterator[Inconsistency]:  # noqa: ARG001
    """Fitted Gaussians are for free space."""
    yield (
        (*where, "kind"),
        "gaussians needs free space, domain.space: free; in a box use samples, or a mixture of known covariances",
    )


def samples_in_free_space(where: Location, density: Samples | Gaussians) -> Iterator[Inconsistency]:
    """Points that were read, and kernels that are round: of one bandwidth in all coordinates."""
    if density.file is not None:
        yield from _unread(where, density)
    elif isinstance(density, Samples) and len(set(density.bandwidth)) > 1:
        yield (
            (*where, "bandwidth"),
            "must be one number in free space, where kernels are round: give one, or auto, with standardize: true",
        )
    elif isinstance(density, Gaussians) and all(len(set(column)) == 1 for column in zip(*density.points, strict=True)):
        yield (*where, "points"), f"must differ (all {len(density.points)} are one); use kind: mixture for one Gaussian"


def image(where: Location, density: Image, box: Box) -> Iterator[Inconsistency]:
    """Pixels that were read, and a blur that the box resolves."""
    yield from (_unread(where, density) if density.file is not None else _picture(where, density, box))


def _unread(where: Location, density: Samples | Gaussians | Image) -> Iterator[Inconsistency]:
    contents = "pixels" if isinstance(density, Image) else "points"
    yield (
        (*where, "file"),
        f"has not been read: load the problem with load_problem, or give {contents} instead",
    )


def wrong_length(expected: int, got: int) -> str:
    """A list with another number of entries than the box has dimensions."""
    return f"must have {expected} number(s), one a dimension of domain.box (got {got})"


def gaussians(where: Location, density: Mixture | Product | Samples, box: Box) -> Iterator[Inconsistency]:
    """Components, or smoothed points, of the right dimension and with next to no mass outside the box."""
    key = {"samples": "points", "mixture": "means"}.get(density.kind, "factors")
    if density.dimension != len(box):
        yield (
            (*where, key),
            f"must hold points of dimension {len(box)}, as domain.box has (got {density.dimension})",
        )
        return
    outside = mass_outside(components(density), box)
    if outside > MAX_MASS_OUTSIDE:
        told = f"has mass {outside:.3g} outside the box, and at most {MAX_MASS_OUTSIDE:g} is allowed"
        yield where, f"{told}; {outside_cure(density, box)}"


def limits(where: Location, density: Uniform | Truncated, box: Box) -> Iterator[Inconsistency]:
    """Limits inside the box, the low one below the high one."""
    for name, given in (("low", density.low), ("high", density.high)):
        if given is not None and len(given) != len(box):
            yield (*where, name), wrong_length(len(box), len(given))
            return
    for i, (wall_low, wall_high) in enumerate(box):
        low = wall_low if density.low is None else density.low[i]
        high = wall_high if density.high is None else density.high[i]
        allowed = f"[{wall_low:g}, {wall_high:g}]"
        outside = [(k, v) for k, v in (("low", low), ("high", high)) if not wall_low <= v <= wall_high]
        for key, limit in outside:
            yield (*where, key, i), f"must lie inside the box {allowed} (got {limit:g})"
        if not outside and not low < high:
            key = "low" if density.high is None else "high"
            yield (*where, key, i), f"must leave low < high (got low {low:g}, high {high:g})"


def boxes(where: Location, density: Boxes, box: Box) -> Iterator[Inconsistency]:
    """Boxes inside the box."""
    if density.dimension != len(box):
        yield (
            (*where, "boxes"),
            f"must hold boxes of dimension {len(box)}, as domain.box has (got {density.dimension})",
        )
        return
    for i, part in enumerate(density.boxes):
        for axis, ((low, high), (wall_low, wall_high)) in enumerate(zip(part, box, strict=True)):
            if not wall_low <= low < high <= wall_high:
                allowed = f"[{wall_low:g}, {wall_high:g}]"
                yield (*where, "boxes", i, axis), f"must lie inside the box {allowed} (got [{low:g}, {high:g}])"


def truncated(where: Location, density: Truncated, box: Box) -> Iterator[Inconsistency]:
    """Limits inside the box, with some of the Gaussian between them."""
    if density.dimension != len(box):
        yield (*where, "mean"), wrong_length(len(box), density.dimension)
        return
    found = list(limits(where, density, box))
    yield from found
    if found:
        return
    low = density.low or tuple(wall for wall, _ in box)
    high = density.high or tuple(wall for _, wall in box)
    cut = tuple(zip(low, high, strict=True))
    inside = 1 - mass_outside([(1.0, density.mean, density.std)], cut)
    if inside < MIN_MASS_INSIDE:
        yield (*where, "mean"), f"puts only {inside:.3g} of the Gaussian between the limits; move it inside"


def student_t(where: Location, density: StudentT, box: Box) -> Iterator[Inconsistency]:
    """A location that is not far outside the box."""
    if density.dimension != len(box):
        yield (*where, "location"), wrong_length(len(box), density.dimension)
        return
    # It falls with the distance from its location: it is largest where the box is nearest to that.
    distances = [
        (min(max(m, low), high) - m) / s for m, s, (low, high) in zip(density.location, density.scale, box, strict=True)
    ]
    nu = density.degrees_of_freedom
    largest = -0.5 * (nu + len(box)) * math.log1p(math.fsum(r * r for r in distances) / nu)
    if largest < math.log(MIN_TAIL):
        yield (*where, "location"), f"is so far outside the box that less than {MIN_TAIL:g} of the peak is on it"


def funnel(where: Location, density: Funnel, box: Box) -> Iterator[Inconsistency]:
    """Two dimensions or more, and an origin near the box."""
    if len(box) == 1:
        yield (*where, "kind"), "funnel needs at least two dimensions (domain.box has 1)"
        return
    import numpy as np

    values = density.compiled(len(box)).numpy(**dict(zip(variables(len(box)), regular_grid(box), strict=True)))
    if not np.isfinite(values).all() or values.max() < MIN_TAIL:
        yield where, "must have the origin, where its neck opens, in or near the box; move or narrow domain.box"


def _picture(where: Location, density: Image, box: Box) -> Iterator[Inconsistency]:
    if len(box) != 2:
        yield (*where, "kind"), f"image needs two dimensions (domain.box has {len(box)})"
        return
    for width, (low, high) in zip(density.bandwidth, box, strict=True):
        least = LEAST_BLUR * (high - low)
        if not least <= width <= high - low:
            limits = f"from a hundredth of the box, {least:.4g}, to the whole of it, {high - low:.4g}"
            yield (*where, "bandwidth"), f"must be {limits} (got {width:g})"
            return


def formula(where: Location, density: FormulaSpec, box: Box) -> Iterator[Inconsistency]:
    """A formula that is finite and nonnegative on a grid, and somewhere positive."""
    place = (*where, "expression")
    try:
        compiled = density.compiled(len(box))
    except FormulaError as error:
        yield place, f"column {error.column}: {error.reason}"
        return
    import numpy as np

    points = regular_grid(box)
    values = compiled.numpy(**dict(zip(variables(len(box)), points, strict=True)))
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        yield place, f"must be finite on the box (got {values[bad]:g} at {shown_point(points, bad)})"
    elif values.min() < 0:
        bad = int(values.argmin())
        yield place, f"must be nonnegative on the box (got {values[bad]:.6g} at {shown_point(points, bad)})"
    elif values.max() == 0:
        count = " x ".join([str(GRID[len(box)])] * len(box))
        yield (
            place,
            f"must be positive somewhere on the box (it is zero everywhere on a grid of {count} points)",
        )
    elif not SMALLEST_PEAK < values.max() < LARGEST_PEAK:
        limits = f"between {SMALLEST_PEAK:g} and {LARGEST_PEAK:g}"
        yield place, f"must have its largest value {limits} (got {values.max():g}); multiply it by a constant"


def regular_grid(box: Box, count: int | None = None) -> list[Array]:
    """Return the coordinates of the points of a regular grid, walls included: d arrays of one length.

    count: points on an axis, in place of `GRID`.
    """
    import numpy as np

    axes = [np.linspace(low, high, count or GRID[len(box)]) for low, high in box]
    return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]


def shown_point(points: list[Array], index: int) -> str:
    """`x = 1, y = 2`, for one of the points."""
    names = variables(len(points))
    return ", ".join(f"{name} = {axis[index]:.6g}" for name, axis in zip(names, points, strict=True))

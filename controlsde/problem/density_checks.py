"""Whether a density fits the box: its dimension, its place, its size.

In: a density whose keys are each valid, where it is written, and the box. Out: `(location, message)` pairs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from controlsde.problem.density_specs import (
    Boxes,
    DensitySpec,
    FormulaSpec,
    Funnel,
    Image,
    Mixture,
    Samples,
    StudentT,
    Truncated,
    Uniform,
    variables,
)
from controlsde.problem.formula import FormulaError
from controlsde.problem.leaving import MAX_MASS_OUTSIDE, Box, components, mass_outside, outside_cure
from controlsde.problem.values import Location, Misfit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MIN_MASS_INSIDE = 1e-9
SMALLEST_PEAK, LARGEST_PEAK = 1e-100, 1e100
LEAST_BLUR = 0.01  # of the box: the quadrature of pictures resolves no less
MIN_TAIL = 1e-9  # of the peak: a density that is nowhere larger on the box lies elsewhere

GRID = {1: 2001, 2: 101, 3: 31}


def density_misfits(where: Location, density: DensitySpec, box: Box) -> Iterator[Misfit]:
    """What does not fit about one density, written at `where`, on a box."""
    match density:
        case Mixture():
            yield from _gaussians(where, "means", density, box)
        case Samples() | Image() if density.file is not None:
            yield (
                (*where, "file"),
                f"has not been read: load the problem with load_problem, or give {_contents(density)} instead",
            )
        case Samples():
            yield from _gaussians(where, "points", density, box)
        case Uniform():
            yield from _limits(where, density, box)
        case Boxes():
            yield from _boxes(where, density, box)
        case Truncated():
            yield from _truncated(where, density, box)
        case StudentT():
            yield from _student_t(where, density, box)
        case Funnel():
            yield from _funnel(where, density, box)
        case Image():
            yield from _image(where, density, box)
        case FormulaSpec():
            yield from _formula(where, density, box)


def _contents(density: Samples | Image) -> str:
    return "pixels" if isinstance(density, Image) else "points"


def wrong_length(expected: int, got: int) -> str:
    """A list with another number of entries than the box has dimensions."""
    return f"must have {expected} number(s), one a dimension of domain.box (got {got})"


def _gaussians(where: Location, key: str, density: Mixture | Samples, box: Box) -> Iterator[Misfit]:
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


def _limits(where: Location, density: Uniform | Truncated, box: Box) -> Iterator[Misfit]:
    for name, limits in (("low", density.low), ("high", density.high)):
        if limits is not None and len(limits) != len(box):
            yield (*where, name), wrong_length(len(box), len(limits))
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


def _boxes(where: Location, density: Boxes, box: Box) -> Iterator[Misfit]:
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


def _truncated(where: Location, density: Truncated, box: Box) -> Iterator[Misfit]:
    if density.dimension != len(box):
        yield (*where, "mean"), wrong_length(len(box), density.dimension)
        return
    found = list(_limits(where, density, box))
    yield from found
    if found:
        return
    low = density.low or tuple(wall for wall, _ in box)
    high = density.high or tuple(wall for _, wall in box)
    cut = tuple(zip(low, high, strict=True))
    inside = 1 - mass_outside([(1.0, density.mean, density.std)], cut)
    if inside < MIN_MASS_INSIDE:
        yield (*where, "mean"), f"puts only {inside:.3g} of the Gaussian between the limits; move it inside"


def _student_t(where: Location, density: StudentT, box: Box) -> Iterator[Misfit]:
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


def _funnel(where: Location, density: Funnel, box: Box) -> Iterator[Misfit]:
    if len(box) == 1:
        yield (*where, "kind"), "funnel needs at least two dimensions (domain.box has 1)"
        return
    import numpy as np

    values = density.compiled(len(box)).numpy(**dict(zip(variables(len(box)), regular_grid(box), strict=True)))
    if not np.isfinite(values).all() or values.max() < MIN_TAIL:
        yield where, "must have the origin, where its neck opens, in or near the box; move or narrow domain.box"


def _image(where: Location, density: Image, box: Box) -> Iterator[Misfit]:
    if len(box) != 2:
        yield (*where, "kind"), f"image needs two dimensions (domain.box has {len(box)})"
        return
    for width, (low, high) in zip(density.bandwidth, box, strict=True):
        least = LEAST_BLUR * (high - low)
        if not least <= width <= high - low:
            limits = f"from a hundredth of the box, {least:.4g}, to the whole of it, {high - low:.4g}"
            yield (*where, "bandwidth"), f"must be {limits} (got {width:g})"
            return


def _formula(where: Location, density: FormulaSpec, box: Box) -> Iterator[Misfit]:
    place = (*where, "expression")
    try:
        formula = density.compiled(len(box))
    except FormulaError as error:
        yield place, f"column {error.column}: {error.reason}"
        return
    import numpy as np

    points = regular_grid(box)
    values = formula.numpy(**dict(zip(variables(len(box)), points, strict=True)))
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

"""Whether the parts of a problem fit each other: dimensions, sizes, and densities inside the box.

In: a problem whose parts are each valid. Out: a list of `(location, message)`, empty when all is well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from controlsde.problem.density_specs import (
    DensitySpec,
    Formula,
    Funnel,
    Image,
    Mixture,
    Samples,
    StudentT,
    Truncated,
    Uniform,
    variables,
)
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.formula import FormulaError
from controlsde.problem.values import Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from controlsde.problem.schema import (
        FormulaDrift,
        FormulaForward,
        Problem,
        ReversedDiffusion,
        VarianceExploding,
        VariancePreserving,
    )

    Array = NDArray[np.float64]

Box = tuple[tuple[float, float], ...]
Misfit = tuple[Location, str]
# A Gaussian component: weight, mean and standard deviations.
Component = tuple[float, tuple[float, ...], tuple[float, ...]]

MAX_MASS_OUTSIDE = 1e-6
MIN_MASS_INSIDE = 1e-9
SMALLEST_PEAK, LARGEST_PEAK = 1e-100, 1e100
LEAST_BLUR = 0.01  # of the box: the quadrature of pictures resolves no less
MIN_TAIL = 1e-9  # of the peak: a density that is nowhere larger on the box lies elsewhere
MAX_NODES = 2_000_000
LEAST_SHARE = 1e-6  # of the horizon, of a control piece
MAX_FORMULA_DIMENSION = 2  # of a forward process by formula, whose equation is solved on a mesh

GRID = {1: 2001, 2: 101, 3: 31}


def misfits(problem: Problem) -> list[Misfit]:
    """Return everything about `problem` that does not fit together."""
    return [
        *_mesh(problem),
        *_objective(problem),
        *_solver(problem),
        *_controls(problem),
        *_rungs(problem),
        *_reference(problem),
        *_drift(problem),
    ]


def _objective(problem: Problem) -> Iterator[Misfit]:
    objective = problem.objective
    if objective.running == 0 and objective.terminal == 0 and objective.terminal_error is None:
        yield (
            ("objective", "running"),
            "is 0, and so is objective.terminal: nothing is tracked; weigh one of them, or give a terminal_error",
        )
    if problem.objective.norm == "h-1" and problem.domain.walls == "absorbing":
        yield ("objective", "norm"), "h-1 compares densities of one mass, which absorbing walls do not keep: use l2"


def _solver(problem: Problem) -> Iterator[Misfit]:
    objective, solver = problem.objective, problem.solver
    if solver.kind != "collocation" or solver.nlp_solver != "fatrop":
        return
    for key, given in (("norm", objective.norm == "h-1"), ("variation", objective.variation > 0)):
        if given:
            yield ("solver", "nlp_solver"), f"fatrop takes no objective.{key} that couples its variables: use ipopt"


def _controls(problem: Problem) -> Iterator[Misfit]:
    lengths, pieces = problem.controls.lengths, problem.controls.pieces
    if lengths is not None and len(lengths) not in {1, pieces}:
        yield (
            ("controls", "lengths"),
            f"must hold one length for each of the {pieces} controls.pieces, or one ratio (got {len(lengths)})",
        )
    elif lengths is not None and min(problem.controls.shares) < LEAST_SHARE:
        yield ("controls", "lengths"), f"make a piece shorter than {LEAST_SHARE:g} of the horizon"


def _rungs(problem: Problem) -> Iterator[Misfit]:
    before = 1
    for number, rung in enumerate(problem.solver.refine):
        where: Location = ("solver", "refine", number)
        pieces = rung.pieces or problem.controls.pieces
        if problem.controls.pieces % pieces:
            yield (*where, "pieces"), f"must divide the problem's {problem.controls.pieces} pieces (got {pieces})"
        elif pieces % before:
            yield (*where, "pieces"), f"must be a multiple of the {before} pieces of the rung before (got {pieces})"
        before = pieces
        if rung.elements is not None:
            yield from _elements((*where, "elements"), rung.elements, problem)


def _mesh(problem: Problem) -> Iterator[Misfit]:
    if problem.mesh.elements != "auto":
        yield from _elements(("mesh", "elements"), problem.mesh.elements, problem)


def _elements(where: Location, elements: tuple[int, ...], problem: Problem) -> Iterator[Misfit]:
    if len(elements) != problem.dimension:
        yield where, _wrong_length(problem.dimension, len(elements))
        return
    nodes = math.prod(count * problem.mesh.degree + 1 for count in elements)
    if nodes > MAX_NODES:
        yield (
            where,
            f"make {nodes} nodes, and at most {MAX_NODES} are allowed; use fewer elements or a lower degree",
        )


def _reference(problem: Problem) -> Iterator[Misfit]:
    from controlsde.problem.schema import Displacement, Foellmer, Moser

    reference, box = problem.reference, problem.domain.box
    if isinstance(reference, Moser | Displacement):
        yield from _density(("reference", "from"), reference.from_, box)
        yield from _density(("reference", "to"), reference.to, box)
        return
    yield from _density(("reference", "data"), reference.data, box)
    if isinstance(reference, Foellmer):
        yield from _start_point(reference.point, box)
    else:
        yield from _forward(reference, box)


def _forward(reference: ReversedDiffusion, box: Box) -> Iterator[Misfit]:
    match reference.forward.kind:
        case "formula":
            yield from _forward_drift(reference.forward, box)
        case "vp" | "ve":
            yield from _schedule(reference.forward, reference.horizon)


def _start_point(point: tuple[float, ...], box: Box) -> Iterator[Misfit]:
    where = ("reference", "point")
    if len(point) != len(box):
        yield where, _wrong_length(len(box), len(point))
        return
    for i, (value, (low, high)) in enumerate(zip(point, box, strict=True)):
        if not low < value < high:
            yield (*where, i), f"must lie inside the box [{low:g}, {high:g}] (got {value:g})"


def _schedule(forward: VariancePreserving | VarianceExploding, horizon: float) -> Iterator[Misfit]:
    where = ("reference", "forward", "schedule")
    formula = forward.formula()
    if formula is None:
        low, high = forward.limits
        if forward.kind == "vp" and forward.schedule == "cosine" and low > 0:
            reach = 1.0 / low - 1.0 / high
            if reach <= horizon:
                yield (
                    ("reference", "forward", "beta_min"),
                    f"must leave 1/beta_min - 1/beta_max > horizon for a cosine schedule (got {reach:.4g}, horizon "
                    f"{horizon:g}); use a smaller beta_min",
                )
        return
    import numpy as np

    times = horizon * np.linspace(0.0, 1.0, GRID[1])
    rates = formula.numpy(s=times)
    bad = ~np.isfinite(rates) | (rates < 0) | ((rates == 0) & (times > 0) & (times < horizon))
    if bad.any():
        first = int(np.argmax(bad))
        yield (
            where,
            f"must be finite and positive between s = 0 and the horizon (got {rates[first]:g} at s = {times[first]:g})",
        )


def _forward_drift(forward: FormulaForward, box: Box) -> Iterator[Misfit]:
    where = ("reference", "forward", "drift")
    if len(box) > MAX_FORMULA_DIMENSION:
        yield (
            ("reference", "forward", "kind"),
            f"'formula' is solved in up to {MAX_FORMULA_DIMENSION} dimensions (domain.box has {len(box)}); "
            "use ornstein-uhlenbeck, heat, vp or ve",
        )
        return
    if len(forward.drift) != len(box):
        yield where, _wrong_formulas(len(box), len(forward.drift))
        return
    yield from _finite_formulas(where, forward.drift, variables(len(box)), _grid(box))


def _density(where: Location, density: DensitySpec, box: Box) -> Iterator[Misfit]:
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
        case Truncated():
            yield from _truncated(where, density, box)
        case StudentT():
            yield from _student_t(where, density, box)
        case Funnel():
            yield from _funnel(where, density, box)
        case Image():
            yield from _image(where, density, box)
        case Formula():
            yield from _formula(where, density, box)


def _contents(density: Samples | Image) -> str:
    return "pixels" if isinstance(density, Image) else "points"


def _wrong_length(expected: int, got: int) -> str:
    return f"must have {expected} number(s), one a dimension of domain.box (got {got})"


def _gaussians(where: Location, key: str, density: Mixture | Samples, box: Box) -> Iterator[Misfit]:
    if density.dimension != len(box):
        yield (
            (*where, key),
            f"must hold points of dimension {len(box)}, as domain.box has (got {density.dimension})",
        )
        return
    outside = _mass_outside(_components(density), box)
    if outside > MAX_MASS_OUTSIDE:
        yield where, _widen(outside, _components(density), box)


def _components(density: Mixture | Samples) -> list[Component]:
    if isinstance(density, Mixture):
        return list(zip(density.weights, density.means, density.marginal_stds, strict=True))
    share = 1 / len(density.points)
    return [(share, point, density.bandwidth) for point in density.points]


def _mass_outside(components: list[Component], box: Box) -> float:
    """Return the mass of a mixture of Gaussians outside the box, also when it is tiny.

    Exact for independent coordinates; a small one is right to its square for correlated ones.
    """
    total = 0.0
    for weight, mean, std in components:
        log_inside = 0.0
        for (low, high), m, s in zip(box, mean, std, strict=True):
            tails = 0.5 * (math.erfc((m - low) / s / math.sqrt(2)) + math.erfc((high - m) / s / math.sqrt(2)))
            if tails >= 1:
                log_inside = -math.inf
                break
            log_inside += math.log1p(-tails)
        total -= weight * math.expm1(log_inside)
    return total


def _widen(outside: float, components: list[Component], box: Box) -> str:
    """Say how much mass is outside, and name a box that is wide enough."""
    wide = [list(limits) for limits in box]
    for _, mean, std in components:
        for limits, m, s in zip(wide, mean, std, strict=True):
            limits[0] = min(limits[0], math.floor(10 * (m - 5.5 * s)) / 10)
            limits[1] = max(limits[1], math.ceil(10 * (m + 5.5 * s)) / 10)
    cure = ", ".join(f"[{low:g}, {high:g}]" for low, high in wide)
    return (
        f"has mass {outside:.3g} outside the box, and at most {MAX_MASS_OUTSIDE:g} is allowed; "
        f"widen domain.box to [{cure}], or use a density with kind: truncated"
    )


def _limits(where: Location, density: Uniform | Truncated, box: Box) -> Iterator[Misfit]:
    for name, limits in (("low", density.low), ("high", density.high)):
        if limits is not None and len(limits) != len(box):
            yield (*where, name), _wrong_length(len(box), len(limits))
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


def _truncated(where: Location, density: Truncated, box: Box) -> Iterator[Misfit]:
    if density.dimension != len(box):
        yield (*where, "mean"), _wrong_length(len(box), density.dimension)
        return
    found = list(_limits(where, density, box))
    yield from found
    if found:
        return
    low = density.low or tuple(wall for wall, _ in box)
    high = density.high or tuple(wall for _, wall in box)
    cut = tuple(zip(low, high, strict=True))
    inside = 1 - _mass_outside([(1.0, density.mean, density.std)], cut)
    if inside < MIN_MASS_INSIDE:
        yield (*where, "mean"), f"puts only {inside:.3g} of the Gaussian between the limits; move it inside"


def _student_t(where: Location, density: StudentT, box: Box) -> Iterator[Misfit]:
    if density.dimension != len(box):
        yield (*where, "location"), _wrong_length(len(box), density.dimension)
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

    values = density.compiled(len(box)).numpy(**dict(zip(variables(len(box)), _grid(box), strict=True)))
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


def _formula(where: Location, density: Formula, box: Box) -> Iterator[Misfit]:
    place = (*where, "expression")
    try:
        formula = density.compiled(len(box))
    except FormulaError as error:
        yield place, f"column {error.column}: {error.reason}"
        return
    import numpy as np

    points = _grid(box)
    values = formula.numpy(**dict(zip(variables(len(box)), points, strict=True)))
    if not np.isfinite(values).all():
        bad = int(np.argmin(np.isfinite(values)))
        yield place, f"must be finite on the box (got {values[bad]:g} at {_point(points, bad)})"
    elif values.min() < 0:
        bad = int(values.argmin())
        yield place, f"must be nonnegative on the box (got {values[bad]:.6g} at {_point(points, bad)})"
    elif values.max() == 0:
        yield place, "must be positive somewhere on the box (it is zero everywhere)"
    elif not SMALLEST_PEAK < values.max() < LARGEST_PEAK:
        limits = f"between {SMALLEST_PEAK:g} and {LARGEST_PEAK:g}"
        yield place, f"must have its largest value {limits} (got {values.max():g}); multiply it by a constant"


def _drift(problem: Problem) -> Iterator[Misfit]:
    if problem.drift is None or problem.drift.kind != "formula":
        return
    drift: FormulaDrift = problem.drift
    where, box = ("drift", "expressions"), problem.domain.box
    if len(drift.expressions) != len(box):
        yield where, _wrong_formulas(len(box), len(drift.expressions))
        return
    horizon = problem.reference.horizon
    names = (*variables(len(box)), "t")
    yield from _finite_formulas(where, drift.expressions, names, _grid(box), (0.0, 0.5 * horizon, horizon))


def _wrong_formulas(expected: int, got: int) -> str:
    return f"must have {expected} formula(s), one a dimension of domain.box (got {got})"


def _finite_formulas(
    where: Location, texts: tuple[str, ...], names: tuple[str, ...], points: list[Array], times: tuple[float, ...] = ()
) -> Iterator[Misfit]:
    """Faults of formulas in the coordinates and, where `times` to try are given, in t."""
    import numpy as np

    for i, text in enumerate(texts):
        try:
            formula = Expression(text, names)
        except FormulaError as error:
            yield (*where, i), f"column {error.column}: {error.reason}"
            continue
        clocks: list[tuple[Array, ...]] = [(np.array(time),) for time in times] or [()]
        for clock in clocks:
            values = formula.numpy(**dict(zip(names, (*points, *clock), strict=True)))
            if not np.isfinite(values).all():
                bad = int(np.argmin(np.isfinite(values)))
                at = ", ".join([_point(points, bad), *(f"t = {time:g}" for time in clock)])
                yield (*where, i), f"must be finite on the box (got {values[bad]:g} at {at})"
                break


def _grid(box: Box) -> list[Array]:
    """Return the coordinates of the points of a regular grid, walls included: d arrays of one length."""
    import numpy as np

    axes = [np.linspace(low, high, GRID[len(box)]) for low, high in box]
    return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]


def _point(points: list[Array], index: int) -> str:
    names = variables(len(points))
    return ", ".join(f"{name} = {axis[index]:.6g}" for name, axis in zip(names, points, strict=True))

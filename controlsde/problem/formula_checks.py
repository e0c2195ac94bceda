"""Whether the formulas of a problem can be computed with: drifts, forward processes and their schedules.

In: a problem whose parts are each valid. Out: `(location, message)` pairs. A formula is tried on a grid of points, and
of times where it names them; what it does between those is for enclosures to say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controlsde.problem.density_checks import GRID, regular_grid, shown_point
from controlsde.problem.density_specs import variables
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.formula import FormulaError
from controlsde.problem.values import Box, Inconsistency, Location

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from controlsde.problem.schema import FormulaForward, Parts, VarianceExploding, VariancePreserving

    Array = NDArray[np.float64]

MAX_FORMULA_DIMENSION = 2  # of a forward process by formula, whose equation is solved on a mesh
# A problem has at most this many pieces: a drift that crosses the box within the shortest of them is none that any
# step could follow, and far from where its powers overflow.
MOST_CROSSINGS = 1e5  # of the box, within the horizon
ROUNDING = 1e-12  # of its largest value, by which a schedule may be below zero where it vanishes
MOST_RATE = 1e6  # of a schedule, as for one with a name
TIMES = 33
HALVINGS = 60
JUMP = 0.1  # of the largest change between points of the grid, that is left where they are next to each other
MOST_VALUES = 20_000_000  # operations times points times times: a second or so


@dataclass(frozen=True)
class Tried:
    """Where formulas are tried: the names of the coordinates, the box, and the horizon if they may name the time.

    single: whether they must be finite in single precision, in which particles with noise move.
    """

    names: tuple[str, ...]
    box: Box
    horizon: float
    clock: str | None = None
    single: bool = False


def drift_inconsistencies(problem: Parts) -> Iterator[Inconsistency]:
    """What does not fit about the drift that a problem gives for itself."""
    if problem.drift is None or problem.drift.kind != "formula":
        return
    box = problem.domain.box
    where, texts = ("drift", "expressions"), problem.drift.expressions
    if len(texts) != len(box):
        yield where, _wrong_formulas(len(box), len(texts))
        return
    names = variables(len(box))
    yield from _formulas(where, texts, Tried(names, box, problem.reference.horizon, "t", problem.noise > 0))


def forward_inconsistencies(forward: FormulaForward, box: Box, horizon: float) -> Iterator[Inconsistency]:
    """What does not fit about a forward process by formula."""
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
    yield from _formulas(where, forward.drift, Tried(variables(len(box)), box, horizon))


def schedule_inconsistencies(
    forward: VariancePreserving | VarianceExploding, horizon: float
) -> Iterator[Inconsistency]:
    """What does not fit about a schedule and the horizon."""
    formula = forward.formula()
    if formula is None:
        yield from _named_schedule(forward, horizon)
        return
    import numpy as np

    times = horizon * np.linspace(0.0, 1.0, GRID[1])
    rates = formula.numpy(s=times)
    largest = rates.max(initial=0.0, where=np.isfinite(rates))
    bad = ~np.isfinite(rates) | (rates < -ROUNDING * largest)
    where = ("reference", "forward", "schedule")
    if not bad.any() and largest == 0:
        yield where, "is zero from s = 0 to the horizon: nothing would ever be noised; let it be positive somewhere"
    elif bad.any():
        first = int(np.argmax(bad))
        yield (
            where,
            f"must be finite and positive between s = 0 and the horizon (got {rates[first]:g} at s = {times[first]:g})"
            "; bound it with max(…, 0) and min(…)",
        )
    elif largest > MOST_RATE:
        first = int(np.argmax(rates))
        yield where, f"must be at most {MOST_RATE:g} (got {rates[first]:g} at s = {times[first]:g}); scale it down"


def _named_schedule(forward: VariancePreserving | VarianceExploding, horizon: float) -> Iterator[Inconsistency]:
    low, high = forward.limits
    if forward.kind != "vp" or forward.schedule != "cosine" or low <= 0:
        return
    reach = 1.0 / low - 1.0 / high
    if reach <= horizon:
        yield (
            ("reference", "forward", "beta_min"),
            f"must leave 1/beta_min - 1/beta_max > horizon for a cosine schedule (got {reach:.4g}, horizon "
            f"{horizon:g}); use a smaller beta_min",
        )


def _wrong_formulas(expected: int, got: int) -> str:
    return f"must have {expected} formula(s), one a dimension of domain.box (got {got})"


def _formulas(where: Location, texts: Sequence[str], tried: Tried) -> Iterator[Inconsistency]:
    """Faults of the components of a drift, one formula a dimension."""
    names = (*tried.names, *([tried.clock] if tried.clock else []))
    for i, text in enumerate(texts):
        try:
            formula = Expression(text, names)
        except FormulaError as error:
            yield (*where, i), f"column {error.column}: {error.reason}"
            continue
        low, high = tried.box[i]
        fault = _fault(formula, tried, MOST_CROSSINGS * (high - low) / tried.horizon)
        if fault:
            yield (*where, i), fault


def _fault(formula: Expression, tried: Tried, fastest: float) -> str | None:
    """The first thing that is wrong with the values of a component; None where all is well."""
    import numpy as np

    number, count = _effort(formula, tried)
    points = regular_grid(tried.box, count)
    coordinates = dict(zip(tried.names, points, strict=True))
    times = tried.horizon * np.linspace(0.0, 1.0, number)
    for time in times:
        clock, at = ({tried.clock: np.array(time)}, f", t = {time:g}") if tried.clock else ({}, "")
        values = formula.numpy(**coordinates, **clock)
        if not np.isfinite(values).all():
            bad = int(np.argmin(np.isfinite(values)))
            found = f"(got {values[bad]:g} at {shown_point(points, bad)}{at})"
            return f"must be finite on the box {found}; bound it with min(…) and max(…)"
        bad = int(np.argmax(np.abs(values)))
        if abs(values[bad]) > fastest:
            return (
                f"must be at most {fastest:g} in size (got {values[bad]:g} at {shown_point(points, bad)}{at}): it "
                f"would cross the box in less than {1 / MOST_CROSSINGS:g} of the horizon; scale it down, or cut it "
                "with min(…) and max(…)"
            )
    return _single_fault(formula, tried, points, times) if tried.single else None


def _single_fault(formula: Expression, tried: Tried, points: list[Array], times: Array) -> str | None:
    """Where a component that is finite is not so in single precision."""
    import numpy as np

    coordinates = dict(zip(tried.names, points, strict=True))
    for time in times:
        clock, at = ({tried.clock: np.array(time)}, f", t = {time:g}") if tried.clock else ({}, "")
        finite = np.isfinite(formula.single(**coordinates, **clock))
        if not finite.all():
            return (
                f"must be finite in single precision, in which particles move (it is not at "
                f"{shown_point(points, int(np.argmin(finite)))}{at}); no part of it may be beyond 1e38"
            )
    return None


def _effort(formula: Expression, tried: Tried) -> tuple[int, int]:
    """How many times, and points on each axis: fewer for a formula that is very long."""
    dimension, operations = len(tried.box), sum(1 for _ in formula.nodes())
    times = TIMES if tried.clock and formula.uses(tried.clock) else 1
    while times > 3 and operations * times * GRID[dimension] ** dimension > MOST_VALUES:
        times = times // 2 + 1
    count = GRID[dimension]
    while count > 9 and operations * times * count**dimension > MOST_VALUES:
        count = count // 2 + 1
    return times, count


def jump_of(texts: Sequence[str], box: Box) -> str | None:
    """The point at which the first of the formulas that jumps does so, `x = 1`; None where none is seen to.

    Between points of a grid where a formula changes most, the half is taken in which it changes more, until the points
    are next to each other: what is continuous has then changed by nothing.
    """
    import numpy as np

    names = variables(len(box))
    grid = regular_grid(box)
    shape = (GRID[len(box)],) * len(box)
    for text in texts:
        formula = Expression(text, names)

        def value(point: Array, formula: Expression = formula) -> float:
            return float(formula.numpy(**dict(zip(names, point, strict=True))))

        values = formula.numpy(**dict(zip(names, grid, strict=True))).reshape(shape)
        for axis in range(len(box)):
            steps = np.abs(np.diff(values, axis=axis))
            first = np.array(np.unravel_index(int(np.argmax(steps)), steps.shape))
            second = first + (np.arange(len(box)) == axis)
            left, right = (np.array([one.reshape(shape)[tuple(at)] for one in grid]) for at in (first, second))
            for _ in range(HALVINGS):
                middle = 0.5 * (left + right)
                rise, fall = abs(value(middle) - value(left)), abs(value(right) - value(middle))
                left, right = (left, middle) if rise >= fall else (middle, right)
            if abs(value(right) - value(left)) > JUMP * float(np.max(steps)):
                return shown_point([np.array([_rounded(at, side)]) for at, side in zip(left, box, strict=True)], 0)
    return None


def _rounded(at: float, side: tuple[float, float]) -> float:
    """A coordinate without the digits below a billionth of the box."""
    return round(at, 9 - math.floor(math.log10(side[1] - side[0]))) + 0.0

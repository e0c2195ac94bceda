"""Whether the parts of a problem fit each other: dimensions, sizes, and densities inside the box.

In: a problem whose parts are each valid. Out: a list of `(location, message)`, empty when all is well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from controlsde.problem.density_checks import (
    GRID,
    Box,
    Misfit,
    density_misfits,
    regular_grid,
    shown_point,
    wrong_length,
)
from controlsde.problem.density_specs import variables
from controlsde.problem.formula import Formula as Expression
from controlsde.problem.formula import FormulaError
from controlsde.problem.solver_specs import FITTING, MOST_GROUPS, SECOND_ORDER, Ordering, fitting_groups, period
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

MAX_NODES = 2_000_000
LEAST_SHARE = 1e-6  # of the horizon, of a control piece
ROUNDING = 1e-12  # of its largest value, by which a schedule may be below zero where it vanishes
MAX_FORMULA_DIMENSION = 2  # of a forward process by formula, whose equation is solved on a mesh


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
    if solver.kind == "shooting" and solver.hops and solver.method not in SECOND_ORDER:
        yield ("solver", "hops"), f"is for solver.method newton or gauss-newton (got {solver.method}): use 0"
    if solver.kind in FITTING and objective.terminal_error is not None:
        yield (
            ("objective", "terminal_error"),
            f"is for solver.kind shooting or collocation, which see the error (got {solver.kind}); use one of these, "
            "with solver.start: switching",
        )
    yield from _switching(problem)
    if solver.kind != "collocation" or solver.nlp_solver != "fatrop":
        return
    for key, given in (("norm", objective.norm == "h-1"), ("variation", objective.variation > 0)):
        if given:
            yield ("solver", "nlp_solver"), f"fatrop takes no objective.{key} that couples its variables: use ipopt"


def _switching(problem: Problem) -> Iterator[Misfit]:
    """Whether periods of switching fill the pieces; of a coarser problem, where that is solved first."""
    solver, pieces, width = problem.solver, problem.controls.pieces, int(problem.network.width or problem.dimension)
    if solver.kind == "switching":
        if solver.neurons == "auto":
            yield from _whole_periods(problem, ("controls", "pieces"), pieces, (solver.ordering,))
        elif solver.neurons % width or solver.neurons < 2 * width:
            yield (
                ("solver", "neurons"),
                f"must be a multiple of network.width {width}, at least twice that (got {solver.neurons}): "
                f"use {width * max(2, -(-solver.neurons // width))}",
            )
        elif pieces % (turn := period(solver.ordering, solver.neurons // width)):
            yield (
                ("controls", "pieces"),
                f"must be a multiple of {turn}, the pieces of a {solver.ordering} period of {solver.neurons} "
                f"solver.neurons (got {pieces}): use {turn * -(-pieces // turn)}",
            )
    elif solver.kind != "score-matching" and solver.start == "switching":
        first = solver.refine[0].pieces if solver.refine else None
        where: Location = ("solver", "refine", 0, "pieces") if first else ("controls", "pieces")
        yield from _whole_periods(problem, where, first or pieces, ("symmetric", "forward"))


def _whole_periods(problem: Problem, where: Location, pieces: int, orderings: tuple[Ordering, ...]) -> Iterator[Misfit]:
    def fits(count: int) -> bool:
        return any(fitting_groups(ordering, count) for ordering in orderings)

    if not fits(pieces):
        kinds = "an even number" if orderings == ("symmetric",) else "a number"
        least = period(orderings[-1], 2)
        most = period(orderings[-1], MOST_GROUPS)
        cure = str(next(count for count in range(pieces + 1, 2 * pieces + least + 1) if fits(count)))
        if orderings == ("symmetric",) and fitting_groups("forward", pieces):
            cure += ", or solver.ordering: forward"
        if problem.solver.kind != "switching":
            cure += ", or solver.start: random"
        yield where, f"must hold whole periods of switching, each {kinds} of {least} to {most} pieces: use {cure}"


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
        yield where, wrong_length(problem.dimension, len(elements))
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
        yield from density_misfits(("reference", "from"), reference.from_, box)
        yield from density_misfits(("reference", "to"), reference.to, box)
        return
    yield from density_misfits(("reference", "data"), reference.data, box)
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
        yield where, wrong_length(len(box), len(point))
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
    largest = rates.max(initial=0.0, where=np.isfinite(rates))
    bad = ~np.isfinite(rates) | (rates < -ROUNDING * largest)
    if not bad.any() and largest == 0:
        yield where, "is zero from s = 0 to the horizon: nothing would ever be noised; let it be positive somewhere"
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
    yield from _finite_formulas(where, forward.drift, variables(len(box)), regular_grid(box))


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
    yield from _finite_formulas(where, drift.expressions, names, regular_grid(box), (0.0, 0.5 * horizon, horizon))


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
                at = ", ".join([shown_point(points, bad), *(f"t = {time:g}" for time in clock)])
                yield (*where, i), f"must be finite on the box (got {values[bad]:g} at {at})"
                break

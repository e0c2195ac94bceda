"""Whether the parts of a problem fit each other: dimensions, sizes, and densities inside the box.

In: a problem whose parts are each valid. Out: a list of `(location, message)`, empty when all is well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from controlsde.problem.density_checks import density_inconsistencies, wrong_length
from controlsde.problem.formula_checks import drift_inconsistencies, forward_inconsistencies, schedule_inconsistencies
from controlsde.problem.free_checks import free_inconsistencies
from controlsde.problem.schema import Displacement, Foellmer, Moser, Parts, ReversedDiffusion
from controlsde.problem.solver_specs import Rest
from controlsde.problem.values import Box, Inconsistency, Location
from controlsde.registry import SOLVERS

MAX_NODES = 2_000_000
LEAST_SHARE = 1e-6  # of the horizon, of a control piece


def inconsistencies(problem: Parts) -> list[Inconsistency]:
    """Return everything about `problem` that does not fit together."""
    if problem.domain.free:
        served = SOLVERS[problem.solver.kind].in_free_space is not None
        more = [*_solver(problem), *_controls(problem)] if served else []
        return [*free_inconsistencies(problem), *_objective(problem), *more]
    return [
        *_norm(problem),
        *_mesh(problem),
        *_objective(problem),
        *_solver(problem),
        *_controls(problem),
        *_levels(problem),
        *_reference(problem),
        *drift_inconsistencies(problem),
    ]


def _norm(problem: Parts) -> Iterator[Inconsistency]:
    if problem.objective.norm == "mollified":
        yield (
            ("objective", "norm"),
            "mollified is for particles in free space, domain.space: free; on a mesh use l2 or h-1",
        )
    elif problem.objective.scales is not None:
        yield ("objective", "scales"), "is for norm: mollified; remove it"


def _objective(problem: Parts) -> Iterator[Inconsistency]:
    objective = problem.objective
    if objective.running == 0 and objective.terminal == 0 and objective.terminal_error is None:
        yield (
            ("objective", "running"),
            "is 0, and so is objective.terminal: nothing is tracked; weigh one of them, or give a terminal_error",
        )
    if problem.objective.norm == "h-1" and problem.domain.walls == "absorbing":
        yield ("objective", "norm"), "h-1 compares densities of one mass, which absorbing walls do not keep: use l2"


def _solver(problem: Parts) -> Iterator[Inconsistency]:
    kind = problem.solver.kind
    if problem.objective.terminal_error is not None and not SOLVERS[kind].meets_limits:
        able = " or ".join(name for name in SOLVERS if SOLVERS[name].meets_limits)
        yield (
            ("objective", "terminal_error"),
            f"is for solver.kind {able}, which see the error (got {kind}); use one of these, "
            "with solver.start: switching",
        )
    if problem.solver.device == "cuda" and "cuda" not in SOLVERS[kind].devices:
        able = " or ".join(name for name in SOLVERS if "cuda" in SOLVERS[name].devices)
        yield ("solver", "device"), f"cuda is for solver.kind {able} (got {kind}): use cpu, or auto"
    if not problem.domain.free and problem.dimension not in SOLVERS[kind].dimensions:
        able = ", ".join(map(str, SOLVERS[kind].dimensions))
        yield ("solver", "kind"), f"{kind} solves problems of dimension {able} (domain.box has {problem.dimension})"
    yield from problem.solver.inconsistencies(
        Rest(problem.dimension, problem.network, problem.controls, problem.objective, problem.domain.free)
    )


def _controls(problem: Parts) -> Iterator[Inconsistency]:
    lengths, pieces = problem.controls.given_lengths, problem.controls.pieces
    if problem.controls.free:
        yield from _free(problem)
    elif problem.controls.shortest is not None:
        yield ("controls", "shortest"), "is for controls.lengths: free; give that, or leave it out"
    if lengths is not None and len(lengths) not in {1, pieces}:
        yield (
            ("controls", "lengths"),
            f"must hold one length for each of the {pieces} controls.pieces, or one ratio (got {len(lengths)})",
        )
    elif lengths is not None and min(problem.controls.shares) < LEAST_SHARE:
        yield ("controls", "lengths"), f"make a piece shorter than {LEAST_SHARE:g} of the horizon"


def _free(problem: Parts) -> Iterator[Inconsistency]:
    """Whether the solver can find lengths, and the shortest pieces have room."""
    controls, horizon, kind = problem.controls, problem.reference.horizon, problem.solver.kind
    if not SOLVERS[kind].frees_lengths:
        able = " or ".join(name for name in SOLVERS if SOLVERS[name].frees_lengths)
        yield ("controls", "lengths"), f"free is for solver.kind {able} (got {kind}); use one of these, or give lengths"
    if controls.shortest is not None and controls.pieces * controls.shortest > horizon:
        yield (
            ("controls", "shortest"),
            f"times {controls.pieces} pieces is {controls.pieces * controls.shortest:g}, "
            f"and the horizon is {horizon:g}; make it at most {horizon / controls.pieces:.3g}",
        )


def _levels(problem: Parts) -> Iterator[Inconsistency]:
    before = 1
    for number, level in enumerate(problem.solver.refine):
        where: Location = ("solver", "refine", number)
        pieces = level.pieces or problem.controls.pieces
        if problem.controls.pieces % pieces:
            yield (*where, "pieces"), f"must divide the problem's {problem.controls.pieces} pieces (got {pieces})"
        elif pieces % before:
            yield (*where, "pieces"), f"must be a multiple of the {before} pieces of the level before (got {pieces})"
        before = pieces
        if level.elements is not None:
            yield from _elements((*where, "elements"), level.elements, problem)


def _mesh(problem: Parts) -> Iterator[Inconsistency]:
    if problem.mesh.elements != "auto":
        yield from _elements(("mesh", "elements"), problem.mesh.elements, problem)


def _elements(where: Location, elements: tuple[int, ...], problem: Parts) -> Iterator[Inconsistency]:
    if len(elements) != problem.dimension:
        yield where, wrong_length(problem.dimension, len(elements))
        return
    nodes = math.prod(count * problem.mesh.degree + 1 for count in elements)
    if nodes > MAX_NODES:
        yield (
            where,
            f"make {nodes} nodes, and at most {MAX_NODES} are allowed; use fewer elements or a lower degree",
        )


def _reference(problem: Parts) -> Iterator[Inconsistency]:
    reference, box = problem.reference, problem.domain.box
    if isinstance(reference, Moser | Displacement):
        yield from density_inconsistencies(("reference", "from"), reference.from_, box)
        yield from density_inconsistencies(("reference", "to"), reference.to, box)
        return
    yield from density_inconsistencies(("reference", "data"), reference.data, box)
    if isinstance(reference, Foellmer):
        yield from _start_point(reference.point, box)
    else:
        yield from _forward(reference, box)


def _forward(reference: ReversedDiffusion, box: Box) -> Iterator[Inconsistency]:
    match reference.forward.kind:
        case "formula":
            yield from forward_inconsistencies(reference.forward, box, reference.horizon)
        case "vp" | "ve":
            yield from schedule_inconsistencies(reference.forward, reference.horizon)


def _start_point(point: tuple[float, ...], box: Box) -> Iterator[Inconsistency]:
    where = ("reference", "point")
    if len(point) != len(box):
        yield where, wrong_length(len(box), len(point))
        return
    for i, (value, (low, high)) in enumerate(zip(point, box, strict=True)):
        if not low < value < high:
            yield (*where, i), f"must lie inside the box [{low:g}, {high:g}] (got {value:g})"

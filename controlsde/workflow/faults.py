"""Which key of a problem is at fault where its parts are each valid and yet nothing can be built of them.

Comes in: a problem, and what went wrong. Goes out: the location of the key, and the reason with a cure that works: the
number of elements that hold a density, or the least width that the largest mesh holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from controlsde.densities import build_density
from controlsde.fokker_planck.mesh import Mesh
from controlsde.problem import Problem
from controlsde.problem.formula_checks import jump_of
from controlsde.problem.schema import FormulaForward, Mixture, ReversedDiffusion, Samples, StudentT, Truncated
from controlsde.problem.values import Location
from controlsde.reference import Reference, ReferenceError, build_reference  # noqa: A004
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import holds

RESOLVED = 1e-2  # top-mode share of a density that a mesh resolves
MOST_ELEMENTS = {1: 3072, 2: 24, 3: 4}  # an axis: beyond them a solve takes days
MOST_EVALUATED = 30_000_000  # nodes times terms of a density, to look for a mesh
GROWTH = {1: 2.0, 2: 1.5, 3: 1.34}
NARROWEST = {"mixture": "stds", "samples": "bandwidth", "truncated": "std", "student-t": "scale"}
HALVINGS = 7  # of the range of widths that are tried
MARGIN = 1.1  # on the width that just fits

Affordable = Callable[[Mesh], bool]


@dataclass(frozen=True)
class Fault:
    """What is wrong with the key at `where`."""

    where: Location
    reason: str


def fault_of(problem: Problem, error: Exception, affordable: Affordable) -> Fault:
    """The key that an error in building or in running a problem is about; the whole reference where no key is known."""
    reference = problem.reference
    for where, spec in _densities(problem):
        try:
            build_density(spec, problem.domain.box)
        except (ValueError, ArithmeticError) as fault:
            part = ("expression",) if spec.kind == "formula" else ()
            return Fault((*where, *part), str(fault))
    if isinstance(reference, ReversedDiffusion) and isinstance(reference.forward, FormulaForward):
        return _forward_fault(reference.forward, problem, error)
    try:
        built = build_reference(reference, problem.domain)
        posed = Posed(problem, built)
        narrow = too_narrow(posed, posed.mesh(), affordable)
    except (ReferenceError, ArithmeticError):
        narrow = None
    return narrow or Fault(getattr(error, "where", ()) or _suspect(problem, error), str(error))


def _suspect(problem: Problem, error: Exception) -> Location:
    """The key that is most likely at fault where each part can be built alone."""
    if problem.domain.walls == "periodic" and "walls: reflecting" in str(error):
        return ("domain", "walls")
    keys = [where for where, _ in _densities(problem)]
    return keys[0] if len(keys) == 1 else ("reference",)


def _densities(problem: Problem) -> Iterator[tuple[Location, Any]]:
    for name, key in (("data", "data"), ("from_", "from"), ("to", "to")):
        spec = getattr(problem.reference, name, None)
        if spec is not None:
            yield ("reference", key), spec


def _forward_fault(forward: FormulaForward, problem: Problem, error: Exception) -> Fault:
    where: Location = ("reference", "forward", "drift")
    at = jump_of(forward.drift, problem.domain.box)
    if at is None:
        return Fault(where, str(error))
    return Fault(
        where,
        f"jumps at {at}, and the equation that is solved for the reference needs a derivative there: use a steep "
        "tanh(k*x) in place of sign or where",
    )


def too_narrow(posed: Posed, mesh: Mesh, affordable: Affordable) -> Fault | None:
    """A density that falls between the nodes of a mesh, and what helps; None where the mesh holds the reference.

    affordable: whether a solve on a mesh may run here.
    """
    masses = {t: float(mesh.weights @ posed.reference.density(t, mesh.points)) for t in (0.0, posed.reference.horizon)}
    worst = max(masses, key=lambda t: abs(masses[t] - 1.0) if math.isfinite(masses[t]) else math.inf)
    if holds(masses[worst]):
        return None
    keys = [where for where, _ in _densities(posed.problem)]
    where = keys[0] if worst == 0.0 else keys[-1]
    missed = (
        f"the mesh holds a mass of {masses[worst]:.2g} of the reference, where it should hold 1: the density falls "
        "between the nodes"
    )
    elements = needed_elements(posed, mesh, affordable)
    if elements:
        return Fault(where, f"{missed}; use mesh.elements: {shown_elements(elements)}")
    return Fault(where, f"{missed} of any mesh that a solve can afford{_broader(posed.problem, where, affordable)}")


def shown_elements(elements: tuple[int, ...]) -> str:
    """[8,8], as `--set` takes it."""
    return f"[{','.join(map(str, elements))}]"


def needed_elements(posed: Posed, mesh: Mesh, affordable: Affordable) -> tuple[int, ...] | None:
    """Elements with which a mesh holds and resolves the reference; None where no affordable mesh does."""
    for finer in _finer(posed.problem, mesh, affordable):
        if _resolves(finer, posed.reference):
            between = _mesh(
                posed.problem,
                tuple(math.ceil(axis.elements / math.sqrt(GROWTH[mesh.dimension])) for axis in finer.axes),
            )
            return _elements(between if _resolves(between, posed.reference) else finer)
    return None


def _finer(problem: Problem, mesh: Mesh, affordable: Affordable) -> Iterator[Mesh]:
    """Finer and finer meshes, as long as they are affordable, and the reference on them soon known."""
    elements = _elements(mesh)
    parts = max(_parts(spec) for _, spec in _densities(problem))
    while True:
        elements = tuple(math.ceil(GROWTH[len(elements)] * count) for count in elements)
        if max(elements) > MOST_ELEMENTS[len(elements)]:
            return
        finer = _mesh(problem, elements)
        if len(finer.points) * parts > MOST_EVALUATED or not affordable(finer):
            return
        yield finer


def _mesh(problem: Problem, elements: tuple[int, ...]) -> Mesh:
    return Mesh.build(problem.domain.box, problem.domain.walls, elements, problem.mesh.degree)


def _elements(mesh: Mesh) -> tuple[int, ...]:
    return tuple(axis.elements for axis in mesh.axes)


def _parts(spec: Any) -> int:
    """How many terms a density has."""
    return len(getattr(spec, "points", ())) or len(getattr(spec, "means", ())) or 1


def _resolves(mesh: Mesh, reference: Reference) -> bool:
    for t in (0.0, 0.5 * reference.horizon, reference.horizon):
        density = reference.density(t, mesh.points)
        if not holds(float(mesh.weights @ density)) or not mesh.resolution(density) <= RESOLVED:
            return False
    return True


def _broader(problem: Problem, where: Location, affordable: Affordable) -> str:
    """The least width that the finest mesh holds, of a density that has one, and that mesh."""
    advice = "; use a broader density or a smaller domain.box"
    name = "from_" if where[-1] == "from" else str(where[-1])
    spec = getattr(problem.reference, name)
    key = NARROWEST.get(spec.kind)
    meshes = list(_finer(problem, _mesh(problem, (2,) * problem.dimension), affordable))
    if key is None or not meshes or (isinstance(spec, Mixture) and spec.stds is None):
        return advice
    finest = meshes[-1]

    def fits(least: float) -> bool:
        broader = _with_least(spec, least)
        widened = problem.reference.model_copy(update={name: broader})
        try:
            return _resolves(finest, build_reference(widened, problem.domain))
        except ReferenceError:
            return False

    high = min(side[1] - side[0] for side in problem.domain.box) / 10
    low = min(map(min, _rows(getattr(spec, key))))
    if not fits(high):
        return advice
    for _ in range(3 * HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if fits(middle) else (middle, high)
        if high < MARGIN * low:
            break
    elements = shown_elements(_elements(finest))
    least = float(f"{MARGIN * high:.2g}")
    return f": the least {key} that fit here are {least:g}, with mesh.elements: {elements}; or use a smaller domain.box"


def _rows(widths: Any) -> list[tuple[float, ...]]:
    return [row if isinstance(row, tuple) else (row,) for row in widths]


def _with_least(spec: Mixture | Samples | Truncated | StudentT, least: float) -> Any:
    """The density with every width at least so large."""
    key = NARROWEST[spec.kind]
    widths = getattr(spec, key)
    if isinstance(widths[0], tuple):
        return spec.model_copy(update={key: tuple(tuple(max(one, least) for one in row) for row in widths)})
    return spec.model_copy(update={key: tuple(max(one, least) for one in widths)})

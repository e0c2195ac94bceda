"""Whether a problem in free space fits together: no mesh, no walls, data of which everything is known in closed form.

In: a problem whose parts are each valid, in free space. Out: `(location, message)` pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

from controlsde.problem.formula_checks import schedule_inconsistencies
from controlsde.problem.reference_specs import ReversedDiffusion
from controlsde.problem.schema import Parts
from controlsde.problem.values import MAX_DIMENSION, Inconsistency
from controlsde.registry import DENSITIES, SOLVERS

ON_A_MESH = {
    "energy": 0.0,
    "variation": 0.0,
    "terminal_error": None,
}  # parts of the objective, and what leaves them out


def free_inconsistencies(problem: Parts) -> Iterator[Inconsistency]:
    """What does not fit free space, or each other there."""
    yield from _reference(problem)
    yield from _parts_of_a_mesh(problem)
    yield from _solver(problem)
    if problem.drift is not None and problem.drift.kind == "formula":
        yield from _drift(problem)


def _reference(problem: Parts) -> Iterator[Inconsistency]:
    reference = problem.reference
    if not isinstance(reference, ReversedDiffusion):
        yield (
            ("reference", "kind"),
            f"{reference.kind} needs a box; in free space use reversed-diffusion, or give domain.box",
        )
        return
    forward = reference.forward
    if forward.kind == "formula":
        yield (
            ("reference", "forward", "kind"),
            "formula is solved on a mesh; in free space use ornstein-uhlenbeck, heat, vp or ve",
        )
    elif forward.kind in ("vp", "ve"):
        yield from schedule_inconsistencies(forward, reference.horizon)
    if reference.start == "stationary" and forward.kind in ("heat", "ve"):
        yield (
            ("reference", "start"),
            f"stationary: {forward.kind} has no stationary density in free space; use start: exact",
        )
    kind = DENSITIES[reference.data.kind]
    if kind.in_free_space is None:
        able = ", ".join(name for name in DENSITIES if DENSITIES[name].in_free_space)
        yield ("reference", "data", "kind"), f"{reference.data.kind} needs a box; in free space use one of {able}"
        return
    dimension = getattr(reference.data, "dimension", 0)
    if dimension != problem.dimension:
        yield (
            ("domain", "dimension"),
            f"is {problem.dimension}, and the data have {dimension} column(s): make them agree, or leave it out",
        )
        return
    yield from kind.free_inconsistencies(("reference", "data"), reference.data)


def _parts_of_a_mesh(problem: Parts) -> Iterator[Inconsistency]:
    if "mesh" in problem.model_fields_set:
        yield ("mesh",), "has no place in free space, where densities are particles: remove it"
    if problem.network.tangential:
        yield ("network", "tangential"), "is for walls, of which free space has none: remove it"
    objective = problem.objective
    if objective.norm != "mollified":
        yield ("objective", "norm"), f"{objective.norm} needs a mesh; in free space use mollified"
    for key, nothing in ON_A_MESH.items():
        if getattr(objective, key) != nothing:
            yield ("objective", key), "is measured on a mesh, which free space has none of: remove it"


def _solver(problem: Parts) -> Iterator[Inconsistency]:
    kind = problem.solver.kind
    if SOLVERS[kind].in_free_space is None:
        able = " or ".join(name for name in SOLVERS if SOLVERS[name].in_free_space)
        yield ("solver", "kind"), f"{kind} needs a mesh, which free space has none of: use {able}"


def _drift(problem: Parts) -> Iterator[Inconsistency]:
    if problem.dimension > MAX_DIMENSION:
        yield (
            ("drift", "kind"),
            f"formula names x, y and z, and there are {problem.dimension} coordinates: use exact, or a network's "
            "controls",
        )
    elif len(problem.drift.expressions) != problem.dimension:  # type: ignore[union-attr]
        yield (
            ("drift", "expressions"),
            f"must have {problem.dimension} formula(s), one a coordinate (got {len(problem.drift.expressions)})",  # type: ignore[union-attr]
        )

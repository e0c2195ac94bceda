"""What a problem will cost, predicted before anything runs: sizes, memory, resolution of the reference.

Comes in: a problem. Goes out: numbers, and reasons to refuse it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from controlsde.fokker_planck.operator import DENSE_LIMIT
from controlsde.problem import Problem

MOST_MEMORY = 16 * 2**30  # bytes for the largest arrays of a solve
MOST_VARIABLES = 2_000_000  # of a collocation program
MOST_PARTICLE_STEPS = 1e12
AUTO_GUESS = {1: 12, 2: 6, 3: 3}  # elements that `auto` takes on an axis; in two and three dimensions the most


@dataclass(frozen=True)
class Prediction:
    """Sizes of the discrete problem; `resolution` is the worst top-mode share of the reference on the mesh."""

    unknowns: int
    elements: tuple[int, ...]
    stage_values: int
    weights: int
    collocation_variables: int
    solver_memory_bytes: int
    verification_unknowns: int
    particle_steps: float
    resolution: float | None
    reference: str
    warnings: tuple[str, ...]
    refused: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As printed by `check --json`."""
        return {"valid": not self.refused, **asdict(self)}


def predict(problem: Problem) -> Prediction:
    """Predict the sizes of a problem. Raises ReferenceError when its reference cannot be built."""
    too_large = _refuse(problem, _estimated_unknowns(problem))
    if too_large:  # do not even build a mesh of that size
        return _prediction(problem, _estimated_unknowns(problem), (), None, "not built", too_large)
    from controlsde.reference import build_reference
    from controlsde.tracking import build_mesh

    reference = build_reference(problem.reference, problem.domain)
    mesh = build_mesh(problem, reference)
    times = (0.0, 0.5 * reference.horizon, reference.horizon)
    resolution = max(mesh.resolution(reference.density(t, mesh.points)) for t in times)
    elements = tuple(axis.elements for axis in mesh.axes)
    masses = [float(mesh.weights @ reference.density(t, mesh.points)) for t in (0.0, reference.horizon)]
    worst = max(masses, key=lambda mass: abs(mass - 1.0))
    refused = (*_refuse(problem, len(mesh.mass)), *_too_narrow(worst))
    return _prediction(problem, len(mesh.mass), elements, resolution, reference.description, refused)


def _estimated_unknowns(problem: Problem) -> int:
    elements = problem.mesh.elements
    counts = (AUTO_GUESS[problem.dimension],) * problem.dimension if elements == "auto" else elements
    total = 1
    for count in counts:
        total *= int(count) * problem.mesh.degree + 1
    return total


def _stage_values(problem: Problem, unknowns: int) -> int:
    return unknowns * problem.mesh.stages * problem.mesh.first_steps * problem.controls.pieces


def _weights(problem: Problem) -> int:
    return problem.controls.pieces * problem.network.width * (2 * problem.dimension + 1)


def _memory(problem: Problem, unknowns: int) -> int:
    """Bytes of the largest arrays of a solve: of an evaluation, sensitivities, and the Hessian where there is one."""
    weights = _weights(problem)
    sensitivities = 8 * problem.mesh.stages * unknowns * weights
    second_order = problem.solver.kind == "shooting" and problem.solver.method in ("newton", "gauss-newton")
    hessian = 3 * 8 * weights**2 if second_order else 0
    return _memory_of_evaluation(problem, unknowns) + sensitivities + hessian


def _memory_of_evaluation(problem: Problem, unknowns: int) -> int:
    """Bytes of stages and their adjoint, inverses or factors, densities of the verification, and particles."""
    pieces = problem.controls.pieces
    dense = unknowns <= DENSE_LIMIT[problem.dimension]
    factors = 16 * unknowns**2 * 4 if dense else _sparse_factors(unknowns)
    # In three dimensions the verification's finer meshes cost more than all else.
    verification = _sparse_factors(unknowns * 2**3) if problem.dimension == 3 else 0
    densities = 2 * 8 * (4 * pieces + 1) * unknowns * int(2**problem.dimension)
    particles = 8 * 6 * problem.monte_carlo.particles * problem.dimension
    stages = 8 * 4 * _stage_values(problem, unknowns)
    return stages + _matrices(problem) * factors + verification + densities + particles


def _sparse_factors(unknowns: int) -> int:
    """Bytes of one real and one complex sparse factorisation."""
    return int(24 * 40 * unknowns**1.5)


def _matrices(problem: Problem) -> int:
    """How many matrices are factorised: one a piece, or one a step where the diffusivity varies in time."""
    reference = problem.reference
    varies = reference.kind == "reversed-diffusion" and reference.forward.kind in ("vp", "ve") and problem.noise > 0
    return problem.controls.pieces * (problem.mesh.first_steps if varies else 1)


def refusals(problem: Problem) -> tuple[str, ...]:
    """Why a solve of this problem is refused, by estimates that build nothing; empty when it may run."""
    return _refuse(problem, _estimated_unknowns(problem))


def refusals_of_evaluation(problem: Problem) -> tuple[str, ...]:
    """Why an evaluation is refused: as `refusals`, without what only a solver needs."""
    memory = _memory_of_evaluation(problem, _estimated_unknowns(problem))
    return (*_too_much_memory("an evaluation", memory), *_too_many_steps(problem))


def _refuse(problem: Problem, unknowns: int) -> tuple[str, ...]:
    reasons = [*_too_much_memory("a solve", _memory(problem, unknowns))]
    variables = _stage_values(problem, unknowns) + _weights(problem)
    if problem.solver.kind == "collocation" and variables > MOST_VARIABLES:
        reasons.append(f"collocation would have {variables:,} variables; use --set solver=shooting or a smaller mesh")
    return (*reasons, *_too_many_steps(problem))


def _too_much_memory(what: str, memory: int) -> tuple[str, ...]:
    if memory <= MOST_MEMORY:
        return ()
    return (
        f"{what} would need about {memory / 2**30:,.0f} GiB, and at most {MOST_MEMORY // 2**30} are allowed; use "
        "smaller mesh.elements, mesh.degree, controls.pieces, mesh.steps_per_piece, network.width or "
        "monte_carlo.particles",
    )


def _too_narrow(mass: float) -> tuple[str, ...]:
    from controlsde.tracking import holds

    if holds(mass):
        return ()
    return (
        f"the mesh holds a mass of {mass:.2g} of the reference, where it should hold 1: the density falls between "
        "the nodes; use more mesh.elements, a broader density or a smaller domain.box",
    )


def _too_many_steps(problem: Problem) -> tuple[str, ...]:
    steps = _particle_steps(problem)
    if steps <= MOST_PARTICLE_STEPS:
        return ()
    return (f"{steps:.0e} particle steps would take days; use fewer monte_carlo.particles or steps_per_piece",)


def _particle_steps(problem: Problem) -> float:
    return float(problem.monte_carlo.particles) * problem.monte_carlo.steps_per_piece * problem.controls.pieces


def _prediction(
    problem: Problem,
    unknowns: int,
    elements: tuple[int, ...],
    resolution: float | None,
    reference: str,
    refused: tuple[str, ...],
) -> Prediction:
    warnings = []
    if resolution is not None and resolution > 1e-2:
        finer = ",".join(str(2 * count) for count in elements)
        warnings.append(
            f"the mesh does not resolve the reference (top-mode share {resolution:.1e}); try "
            f"--set 'mesh.elements=[{finer}]', or expect this of a density with a jump"
        )
    return Prediction(
        unknowns=unknowns,
        elements=elements,
        stage_values=_stage_values(problem, unknowns),
        weights=_weights(problem),
        collocation_variables=_stage_values(problem, unknowns) + _weights(problem),
        solver_memory_bytes=_memory(problem, unknowns),
        verification_unknowns=unknowns * 3**problem.dimension,
        particle_steps=_particle_steps(problem),
        resolution=resolution,
        reference=reference,
        warnings=tuple(warnings),
        refused=refused,
    )

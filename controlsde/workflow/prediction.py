"""What a problem will cost, predicted before anything runs: sizes, memory, resolution of the reference.

Comes in: a problem. Goes out: numbers, and reasons to refuse it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import loky

from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.operator import DENSE_LIMIT
from controlsde.foundation.surroundings import own_arithmetic
from controlsde.problem import Problem
from controlsde.problem.data_hints import data_hints
from controlsde.problem.sample_specs import Samples
from controlsde.problem.values import Location
from controlsde.registry import SOLVERS
from controlsde.solvers.collocation.costs import ITERATIONS, ProgramSizes, collocation_memory, collocation_seconds
from controlsde.solvers.costs import Costs, calibration_seconds
from controlsde.solvers.declaration import Solver
from controlsde.solvers.shooting.costs import shooting_iterations, shooting_seconds
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.posed import Posed
from controlsde.tracking.sizes import Sizes, estimated_unknowns, matrices_of, sizes_of, sparse_factor_bytes

MOST_MEMORY = 16 * 2**30  # bytes for the largest arrays of a solve
SMALLER = "mesh.elements, mesh.degree, controls.pieces, mesh.steps_per_piece or mesh.stages, or the other solver"
MOST_UNRESOLVED = 1e-2  # top-mode share of a reference that its mesh resolves
MOST_OF_MACHINE = 0.8  # share of the machine's memory that a solve may take
MOST_PARTICLE_STEPS = 2e12  # about an hour on two processors
STEPS_OF_COUNTING = 150


@dataclass(frozen=True)
class Prediction:
    """Sizes of the discrete problem; `resolution` is the worst top-mode share of the reference on the mesh.

    bandwidth: of the kernels about samples, one a dimension where they differ; None for other data.
    """

    unknowns: int
    elements: tuple[int, ...]
    stage_values: int
    weights: int
    collocation_variables: int
    jacobian_nonzeros: int
    hessian_nonzeros: int
    factor_entries: int
    collocation_memory_bytes: int
    collocation_seconds: float
    shooting_iteration_seconds: float
    shooting_seconds: float
    fit_seconds: float
    solver_memory_bytes: int
    machine_memory_bytes: int | None
    verification_unknowns: int
    particle_steps: float
    resolution: float | None
    bandwidth: float | tuple[float, ...] | None
    reference: str
    warnings: tuple[str, ...]
    refused: tuple[str, ...]
    refused_at: Location = ()  # the key that it is about; none where sizes are of several

    def to_json(self) -> dict[str, Any]:
        """The numbers as `check --json` prints them."""
        told = {key: value for key, value in asdict(self).items() if key != "refused_at"}
        return {"valid": not self.refused, **told}


@own_arithmetic()
def predict(problem: Problem) -> Prediction:
    """Predict the sizes of a problem. Raises ReferenceError when its reference cannot be built."""
    estimated = sizes_of(problem, None)
    too_large = _refuse(problem, estimated)
    if too_large:  # do not even build a mesh of that size
        return _prediction(problem, estimated, (), None, "not built", (), too_large)
    from controlsde.workflow.faults import needed_elements, too_narrow

    posed = Posed.of(problem)
    mesh, reference = posed.mesh(), posed.reference
    times = (0.0, 0.5 * reference.horizon, reference.horizon)
    resolution = max(mesh.resolution(reference.density(t, mesh.points)) for t in times)
    elements = tuple(axis.elements for axis in mesh.axes)
    narrow = too_narrow(posed, mesh, affordable(problem))
    sizes = sizes_of(problem, mesh)
    refused = (*_refuse(problem, sizes), *([narrow.reason] if narrow else ()))
    finer = None
    if not narrow and resolution > MOST_UNRESOLVED:
        finer = needed_elements(posed, mesh, affordable(problem))
    predicted = _prediction(problem, sizes, elements, resolution, *_words(posed), refused, finer)
    return replace(predicted, refused_at=narrow.where) if narrow else predicted


def affordable(problem: Problem) -> Callable[[Mesh], bool]:
    """Whether a solve on a mesh is not refused, and fits into this machine."""

    def may_run(mesh: Mesh) -> bool:
        sizes = sizes_of(problem, mesh)
        return not _refuse(problem, sizes) and not memory_that_does_not_fit(_memory(problem, sizes), machine_memory())

    return may_run


def _words(posed: Posed) -> tuple[str, tuple[str, ...]]:
    """How the reference is computed, and warnings about what no grid sees, and what it is compared with."""
    from controlsde.verification.sight import warnings

    unseen = warnings(posed)
    if posed.problem.domain.walls != "absorbing":
        return posed.reference.description, unseen
    from controlsde.verification.absorption import warning

    found = warning(posed.reference, posed.problem.domain.box, posed.problem.noise)
    told = f"{posed.reference.description}; its walls reflect, and keep its mass"
    return told, (*unseen, *((found,) if found else ()))


def _stage_values(problem: Problem, unknowns: int) -> int:
    return unknowns * problem.mesh.stages * problem.mesh.first_steps * problem.controls.pieces


def _memory(problem: Problem, sizes: Sizes) -> int:
    """Bytes of a solve: of what its solver needs and of an evaluation."""
    return int(_memory_of_evaluation(problem, sizes.unknowns) + solver_costs(problem, sizes).memory)


def solver_costs(problem: Problem, sizes: Sizes) -> Costs:
    """What the problem's solver says that it costs."""
    solver: Solver = SOLVERS[problem.solver.kind]
    return solver.costs(problem.solver, sizes)


def _memory_of_evaluation(problem: Problem, unknowns: int) -> int:
    """Bytes of stages and their adjoint, inverses or factors, and densities of the verification."""
    pieces = problem.controls.pieces
    dense = unknowns <= DENSE_LIMIT[problem.dimension]
    factors = 16 * unknowns**2 * 4 if dense else sparse_factor_bytes(unknowns)
    # In three dimensions the verification's finer meshes cost more than all else.
    verification = sparse_factor_bytes(unknowns * 2**3) if problem.dimension == 3 else 0
    densities = 2 * 8 * (4 * pieces + 1) * unknowns * int(2**problem.dimension)
    stages = 8 * 4 * _stage_values(problem, unknowns)
    return stages + matrices_of(problem) * factors + verification + densities


def bandwidth_of(problem: Problem) -> float | tuple[float, ...] | None:
    """The width of the kernels about samples, in the units of the points, or one a dimension where they differ."""
    data = getattr(problem.reference, "data", None)
    if not isinstance(data, Samples):
        return None
    widths = tuple(float(width) for width in data.bandwidth)
    return widths[0] if len(set(widths)) == 1 else widths


def refusals(problem: Problem) -> tuple[str, ...]:
    """Why a solve of this problem is refused, by estimates that build nothing; empty when it may run."""
    return _refuse(problem, sizes_of(problem, None))


def refusals_of_evaluation(problem: Problem) -> tuple[str, ...]:
    """Why an evaluation is refused: as `refusals`, without what only a solver needs."""
    memory = _memory_of_evaluation(problem, estimated_unknowns(problem))
    return (*_too_much_memory("an evaluation", memory), *too_many_steps(_particle_steps(problem)), *no_device(problem))


def _refuse(problem: Problem, sizes: Sizes) -> tuple[str, ...]:
    too_much = _too_much_memory("a solve", _memory(problem, sizes))
    return (
        *too_much,
        *solver_costs(problem, sizes).refused,
        *too_many_steps(_particle_steps(problem)),
        *no_device(problem, solved=True),
    )


def _too_much_memory(what: str, memory: int) -> tuple[str, ...]:
    if memory <= MOST_MEMORY:
        return ()
    return (
        f"{what} would need about {memory / 2**30:,.0f} GiB, and at most {MOST_MEMORY // 2**30} are allowed; use "
        "smaller mesh.elements, mesh.degree, controls.pieces, mesh.steps_per_piece or network.width",
    )


def machine_memory() -> int | None:
    """Bytes of memory that this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def memory_that_does_not_fit(memory: int, machine: int | None, fewer: str = SMALLER) -> tuple[str, ...]:
    """A word about memory that this machine does not have; fewer: what to make smaller."""
    if machine is None or memory <= MOST_OF_MACHINE * machine:
        return ()
    return (
        f"a solve needs about {memory / 2**30:,.1f} GiB, and this machine has {machine / 2**30:,.1f} GiB: use smaller "
        f"{fewer}",
    )


def too_many_steps(steps: float) -> tuple[str, ...]:
    """Why so many particle steps are refused."""
    if steps <= MOST_PARTICLE_STEPS:
        return ()
    return (f"{steps:.0e} particle steps would take hours; use fewer monte_carlo.particles or steps_per_piece",)


def no_device(problem: Problem, *, solved: bool = False) -> tuple[str, ...]:
    """Why a device that was asked for is refused: there is none."""
    keys = ["solver.device"] if solved and problem.solver.device == "cuda" else []
    keys += ["monte_carlo.device"] if problem.monte_carlo.device == "cuda" else []
    if not keys:
        return ()
    import torch

    if torch.cuda.is_available():
        return ()
    return tuple(f"{key} is cuda, and PyTorch sees no CUDA device here; use cpu, or auto" for key in keys)


def _particle_steps(problem: Problem) -> float:
    """What is counted of a particle at the end takes as long as some steps."""
    steps = problem.monte_carlo.steps_per_piece * problem.controls.pieces
    return float(problem.monte_carlo.particles) * (steps + STEPS_OF_COUNTING)


def _shooting_iterations(problem: Problem) -> int:
    """Iterations of a second-order method, with the problem's own starts and hops, or the usual where it collocates."""
    own = problem.solver
    options = own if isinstance(own, Shooting) else Shooting().fitted(problem.dimension)
    return shooting_iterations(options.starts, options.hops)


def _prediction(
    problem: Problem,
    sizes: Sizes,
    elements: tuple[int, ...],
    resolution: float | None,
    reference: str,
    warnings_of_reference: tuple[str, ...],
    refused: tuple[str, ...],
    finer: tuple[int, ...] | None = None,
) -> Prediction:
    warnings = [] if refused else [*warnings_of_reference, *data_hints(problem)]
    if resolution is not None and resolution > MOST_UNRESOLVED and not refused:
        words = ",".join(str(count) for count in finer or tuple(2 * count for count in elements))
        warnings.append(
            f"the mesh does not resolve the reference (top-mode share {resolution:.1e}); try "
            f"mesh.elements: [{words}]{'' if finer else ', or expect this of a density with a jump'}"
        )
    memory, machine, speed = _memory(problem, sizes), machine_memory(), calibration_seconds()
    if not refused:
        warnings += memory_that_does_not_fit(memory, machine)
    program = ProgramSizes(sizes)
    return Prediction(
        unknowns=sizes.unknowns,
        elements=elements,
        stage_values=sizes.stage_values,
        weights=sizes.weights,
        collocation_variables=program.variables,
        jacobian_nonzeros=program.jacobian,
        hessian_nonzeros=program.hessian,
        factor_entries=int(program.factor_entries),
        collocation_memory_bytes=int(collocation_memory(sizes)),
        collocation_seconds=ITERATIONS * collocation_seconds(sizes, speed),
        shooting_iteration_seconds=shooting_seconds(sizes, speed),
        shooting_seconds=_shooting_iterations(problem) * shooting_seconds(sizes, speed) / loky.cpu_count(),
        fit_seconds=speed * solver_costs(problem, sizes).fits,
        solver_memory_bytes=memory,
        machine_memory_bytes=machine,
        verification_unknowns=sizes.unknowns * 3**problem.dimension,
        particle_steps=_particle_steps(problem),
        resolution=resolution,
        bandwidth=bandwidth_of(problem),
        reference=reference,
        warnings=tuple(warnings),
        refused=refused,
    )

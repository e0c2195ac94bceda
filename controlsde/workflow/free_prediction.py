"""What a problem in free space will cost, predicted before anything runs: sizes, memory, time, what its scales see.

Comes in: a problem. Goes out: numbers, and reasons to refuse it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from controlsde.foundation.surroundings import own_arithmetic
from controlsde.problem import Problem
from controlsde.problem.data_hints import data_hints
from controlsde.problem.values import Location, dotted
from controlsde.registry import SOLVERS
from controlsde.solvers.costs import Costs, calibration_seconds
from controlsde.solvers.declaration import Solver
from controlsde.tracking.free_posed import FreePosed, given_scales
from controlsde.tracking.mollified import automatic_scales, reason_against
from controlsde.verification.free_verifying import FINAL, KEPT, PAIRS
from controlsde.workflow.expectation import Expected
from controlsde.workflow.prediction import (
    MOST_MEMORY,
    machine_memory,
    memory_that_does_not_fit,
    no_device,
    too_many_steps,
)

FEWER = "network.width, controls.pieces or monte_carlo.particles"
SCALES: Location = ("objective", "scales")
VERIFICATION = 1500.0  # calibrations of a verification whatever the size, and
PARTICLE_FLOPS = 2e7  # floating-point operations of the particles, that take as long as one calibration


@dataclass(frozen=True)
class FreePrediction:
    """Sizes of a problem in free space. scales: of the mollified norm, and what they see; bandwidth: of kernels."""

    dimension: int
    components: int
    rows: int | None
    held_out: int
    bandwidth: float | None
    scales: tuple[float, ...]
    weights: int
    solver_seconds: float
    solver_memory_bytes: int
    machine_memory_bytes: int | None
    particle_steps: float
    reference: str
    data: str
    warnings: tuple[str, ...]
    refused: tuple[str, ...]
    refused_at: Location = ()

    def to_json(self) -> dict[str, Any]:
        """The numbers as `check --json` prints them."""
        told = {key: value for key, value in asdict(self).items() if key != "refused_at"}
        return {"valid": not self.refused, **told}


@own_arithmetic()
def predict_free(posed: FreePosed) -> FreePrediction:
    """Predict the sizes of a problem in free space."""
    problem = posed.problem
    data, costs = posed.data, _costs(posed)
    reasons, where = _refused(posed)
    memory, machine = _memory(posed, costs), machine_memory()
    scales = given_scales(problem) or automatic_scales(data.mixture, PAIRS)
    warnings = [] if reasons else [*memory_that_does_not_fit(memory, machine, FEWER), *data_hints(problem)]
    return FreePrediction(
        dimension=data.dimension,
        components=len(data.mixture.weights),
        rows=None if data.rows is None else len(data.rows),
        held_out=0 if data.held_out is None else len(data.held_out),
        bandwidth=data.bandwidth,
        scales=scales,
        weights=posed.tracking.pieces * posed.network.weights_per_piece,
        solver_seconds=calibration_seconds() * costs.fits,
        solver_memory_bytes=memory,
        machine_memory_bytes=machine,
        particle_steps=_particle_steps(problem),
        reference=posed.reference.description,
        data=data.description,
        warnings=tuple(warnings),
        refused=reasons,
        refused_at=where,
    )


def refusals_in_free_space(posed: FreePosed) -> tuple[str, ...]:
    """Why a solve of this problem is refused; empty when it may run."""
    return _refused(posed)[0]


def expected_in_free_space(posed: FreePosed, solves: int = 1) -> Expected:
    """How long so many solves of a problem are likely to take on one processor, verification included."""
    speed = calibration_seconds()
    solver = speed * _costs(posed).fits
    flops = 4.0 * posed.network.dimension * posed.network.width * _particle_steps(posed.problem)
    beside = speed * (VERIFICATION + flops / PARTICLE_FLOPS)
    return Expected(solves * solver, solves * (solver + beside))


def refusals_of_evaluation_in_free_space(posed: FreePosed) -> tuple[str, ...]:
    """Why an evaluation is refused: as `refusals_in_free_space`, without what only a solver needs."""
    steps = _particle_steps(posed.problem)
    return (*_blind(posed), *_too_much(_memory_of_particles(posed)), *too_many_steps(steps))


def _refused(posed: FreePosed) -> tuple[tuple[str, ...], Location]:
    problem, blind = posed.problem, _blind(posed)
    if blind:
        return blind, SCALES
    costs = _costs(posed)
    too_much = _too_much(_memory(posed, costs))
    return (*too_much, *costs.refused, *too_many_steps(_particle_steps(problem)), *no_device(problem, solved=True)), ()


def _blind(posed: FreePosed) -> tuple[str, ...]:
    """Why a scale that the problem gives sees nothing."""
    reasons = (reason_against(posed.data.mixture, scale, PAIRS) for scale in given_scales(posed.problem) or ())
    return tuple(f"{dotted(SCALES)}: {reason}" for reason in reasons if reason)[:1]


def _too_much(memory: int) -> tuple[str, ...]:
    if memory <= MOST_MEMORY:
        return ()
    needed = f"a solve would need about {memory / 2**30:,.0f} GiB, and at most {MOST_MEMORY // 2**30} are allowed"
    return (f"{needed}; use a smaller {FEWER}",)


def _costs(posed: FreePosed) -> Costs:
    solver: Solver = SOLVERS[posed.problem.solver.kind]
    return solver.costs_in_free_space(posed.problem.solver, posed.tracking)


def _memory(posed: FreePosed, costs: Costs) -> int:
    """Bytes of a solve: of what its solver needs, or of its verification, whichever is more."""
    return int(max(costs.memory, _memory_of_particles(posed)))


def _memory_of_particles(posed: FreePosed) -> int:
    """Bytes of particles, their ways, and their pairs."""
    d, particles = posed.data.dimension, posed.problem.monte_carlo.particles
    return 8 * d * (2 * KEPT * (posed.tracking.pieces + 1) + FINAL + 4 * particles) + 8 * 4 * PAIRS**2


def _particle_steps(problem: Problem) -> float:
    return float(problem.monte_carlo.particles) * problem.monte_carlo.steps_per_piece * problem.controls.pieces

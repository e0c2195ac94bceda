"""How long a solve or a comparison is likely to take on this machine, before anything is built, with its uncertainty.

Comes in: a problem, how many noise levels. Goes out: seconds of an idle machine, from … to. The solver's part is what
`prediction` says of it; iterations are predicted within a factor of two, and so is the whole no better. What comes with
every solve (workers that start, the verification, pictures) is counted in calibrations: work that takes as long as one
run of `calibration_seconds`, so that a slow machine is told slow times.
"""

from __future__ import annotations

from dataclasses import dataclass

import loky

from controlsde.problem import Problem
from controlsde.solvers.collocation.costs import ITERATIONS, collocation_seconds
from controlsde.solvers.costs import calibration_seconds
from controlsde.solvers.shooting.costs import shooting_iterations, shooting_seconds
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.sizes import sizes_of
from controlsde.workflow.prediction import solver_costs

FREE_LENGTHS = 3.3  # times as long where the lengths of the pieces are free: 2.2 to 5.3 were seen on a line
UNCERTAIN = 2.0  # the factor by which it may be less, or more
BESIDE = {1: 900.0, 2: 2500.0, 3: 20_000.0}  # calibrations beside the solver's, by dimension, for a level
PARTICLE_STEPS_PER_CALIBRATION = 2.5e5


@dataclass(frozen=True)
class Expected:
    """Seconds on an idle machine: of the solver, and of the whole, which may be `least` or `most` as well."""

    solver: float
    whole: float

    @property
    def least(self) -> float:
        """Half of it."""
        return self.whole / UNCERTAIN

    @property
    def most(self) -> float:
        """Twice as long."""
        return self.whole * UNCERTAIN


def expected_time(problem: Problem, levels: int = 1, speed: float | None = None) -> Expected:
    """How long it takes to solve a problem at so many noise levels, verification and pictures included.

    speed: what `calibration_seconds` measured of the machine; by default it is measured now.
    """
    speed = calibration_seconds() if speed is None else speed
    sizes = sizes_of(problem, None)
    options = problem.solver
    fits = speed * solver_costs(problem, sizes).fits
    if isinstance(options, Shooting):
        iterations = shooting_iterations(options.starts, options.hops)
        solver = fits + iterations * shooting_seconds(sizes, speed) / loky.cpu_count()
    elif options.kind == "collocation":
        solver = fits + ITERATIONS * collocation_seconds(sizes, speed)
    else:
        solver = fits
    if problem.controls.free:
        solver *= FREE_LENGTHS
    particles = problem.monte_carlo.particles * problem.monte_carlo.steps_per_piece * problem.controls.pieces
    beside = BESIDE[problem.dimension] + particles / PARTICLE_STEPS_PER_CALIBRATION / loky.cpu_count()
    return Expected(levels * solver, levels * (solver + speed * beside))


def spoken(seconds: float) -> str:
    """A duration as one would say it of a guess: seconds by fives, then minutes, hours, days."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 3 and value % 1 > 0.25 else f"{value:.0f} {unit}"
    return f"{5 * max(round(seconds / 5), 1):.0f} s"

"""Monte Carlo of a saved result: as many particles as wanted, against the density that was verified and the target.

Comes in: a `Result`. Goes out: a `Simulation`: estimates with standard errors, tests against resampled nulls, a check,
and a NetCDF file with the particles' density and, if asked for, paths.
"""

from __future__ import annotations

import json
import math
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import Drift, given_drift, network_drift
from controlsde.distances.nulls import NullTest
from controlsde.execution.executors import room_of
from controlsde.foundation import netcdf
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.files import write_whole
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.monte_carlo import statistics
from controlsde.monte_carlo.backends.choice import DeviceError
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.experiment import Experiment
from controlsde.monte_carlo.statistics import Estimate, Moments
from controlsde.monte_carlo.streaming import INTERRUPTED, Effort, Elsewhere, Starts
from controlsde.monte_carlo.sums import CELL, Sums
from controlsde.problem import Problem, parse_problem
from controlsde.reference import Reference
from controlsde.result.answer import plain_json
from controlsde.result.result import Result
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import build_network, time_grid
from controlsde.verification.certificate import LIMITS, Check
from controlsde.verification.grid import FinalGrid
from controlsde.verification.particle_measurement import Measured, experiment_of, measure

if TYPE_CHECKING:
    import xarray as xr

    from controlsde.result.free_result import FreeResult

Array = NDArray[np.float64]

FORMAT = "controlsde-simulation"
FORMAT_VERSION = 1
MOST_PATH_NUMBERS = 2**28  # positions of paths in one file, 2 GiB
MOST_STEP_BIAS = 0.03  # of ‖p(T)‖, as the certificate allows a solver's mesh
NULLS = 2**40  # the number of the generator that draws the nulls, beyond those of all cells


class SimulationError(ControlsdeError, ValueError):
    """A simulation that cannot be run as asked; one line with the cure."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Particles 0 … K−1 at the end of every step: times (S+1,), positions (K, S+1, d), alive (K, S+1)."""

    times: Array
    positions: Array
    alive: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Simulation:
    """What particles say about a result.

    density_l2: the mollified L² distance between the particles' law and the verified density. expected_killed: the mass
    that the verified density lost. w1, sliced_w2: tests against the verified density and the target, where there are.
    values, spreads: the particles' mollified density at the points of the result's mesh (n,), with standard errors.
    """

    result: Result
    experiment: Experiment
    measured: Measured
    requested: int
    seed: int
    repetition: int
    processes: int
    density_l2: Estimate
    killed: Estimate
    expected_killed: float
    moments: Moments | None
    w1: dict[str, NullTest]
    sliced_w2: dict[str, NullTest]
    values: Array
    spreads: Array
    checks: tuple[Check, ...]
    paths: Paths | None = None
    path: str | None = None

    @property
    def particles(self) -> int:
        """How many were counted."""
        return self.measured.evidence.particles

    @property
    def stopped(self) -> str | None:
        """What ended it before all were counted: time-budget | target-se | interrupted."""
        return self.measured.simulated.stopped

    @property
    def interrupted(self) -> bool:
        """Whether the user ended it."""
        return self.stopped == INTERRUPTED

    @property
    def verified(self) -> bool:
        """Whether the particles agree with the verified density."""
        return all(check.passed for check in self.checks)

    @property
    def expected_l2(self) -> float:
        """The mollified L² distance between the verified density and the target: what `l2_final` estimates."""
        measured = self.measured
        gap = measured.of_density - measured.of_target
        return math.sqrt(float(measured.layout.modes.weights @ gap**2))

    @property
    def expected_moments(self) -> tuple[Array, Array]:
        """Mean (d,) and covariance (d, d) of the verified density at T: what `moments` estimates.

        Where walls absorb, of what is left: moments are those of the living.
        """
        final = self.result.fields.final
        mesh = final.mesh
        share = mesh.weights * final.values
        share = share / share.sum()
        mean = share @ mesh.points
        away = mesh.points - mean
        return mean, (share * away.T) @ away

    @property
    def particle_steps_per_second(self) -> float:
        """The particle steps a second of the whole run, statistics included."""
        simulated = self.measured.simulated
        return self.particles * self.experiment.process.clock.steps / max(simulated.seconds, 1e-9)

    def to_json(self) -> dict[str, Any]:
        """The JSON of `simulate`; NaN and infinity become null."""
        evidence, simulated = self.measured.evidence, self.measured.simulated
        document: dict[str, Any] = plain_json(
            {
                "problem": self.result.problem.name,
                "result": self.result.path,
                "noise": self.result.noise,
                "particles": self.particles,
                "requested": self.requested,
                "stopped": self.stopped,
                "seconds": simulated.seconds,
                "particle_steps_per_second": self.particle_steps_per_second,
                "device": evidence.device,
                "backend": evidence.backend,
                "processes": self.processes,
                "scheme": self.experiment.process.scheme,
                "steps_per_piece": self.experiment.steps_per_piece,
                "seed": self.seed,
                "repetition": self.repetition,
                "verified": self.verified,
                "l2_final": evidence.l2_final,
                "l2_final_se": evidence.l2_final_se,
                "l2_expected": self.expected_l2,
                "z": evidence.z,
                "z_modes": evidence.z_modes,
                "density_l2": self.density_l2.to_json(),
                "step_bias": {
                    "value": evidence.step_bias,
                    "se": evidence.step_bias_se,
                    "law": self.measured.step_shift,
                },
                "killed_mass": {**self.killed.to_json(), "expected": self.expected_killed},
                "moments": self._moments_json(),
                "w1_final": {name: test.to_json() for name, test in self.w1.items()} or None,
                "sliced_w2_final": {name: test.to_json() for name, test in self.sliced_w2.items()} or None,
                "checks": [check.to_json() for check in self.checks],
                "notes": list(simulated.notes),
                "output": self.path,
            }
        )
        return document

    def _moments_json(self) -> dict[str, Any] | None:
        if self.moments is None:
            return None
        mean, covariance = self.expected_moments
        expected = {"expected_mean": mean.tolist(), "expected_covariance": covariance.tolist()}
        return {**self.moments.to_json(), **expected}

    def to_dataset(self) -> xr.Dataset:
        """The particles' density with its standard errors, histograms along the axes, and paths where there are."""
        import xarray as xr

        space = ["x", "y", "z"][: self.result.problem.dimension]
        axes = self.result.fields.axes
        shape = tuple(len(axis) for axis in axes)
        layout, sums = self.measured.layout, self.measured.simulated.sums
        data: dict[str, Any] = {
            "density": (space, self.values.reshape(shape)),
            "density_se": (space, self.spreads.reshape(shape)),
            "verified_density": (space, self.result.fields.density[-1]),
            "reference": (space, self.result.fields.reference[-1]),
            "histogram": (("axis", "bin"), sums.marginals),
            "bin_edges": (("axis", "bin_edge"), np.stack([np.linspace(*side, layout.bins + 1) for side in layout.box])),
        }
        coordinates: dict[str, Any] = {**dict(zip(space, axes, strict=True)), "axis": space}
        if self.paths:
            data["paths"] = (("particle", "time", "axis"), self.paths.positions)
            data["alive"] = (("particle", "time"), self.paths.alive)
            coordinates["time"] = self.paths.times
        return xr.Dataset(
            data, coordinates, attributes_of(self.result, self.particles, self.to_json(), self.measured.evidence.device)
        )

    @own_settings()
    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about the particles and the result that moved them.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        from controlsde.registry import VIEWS

        written: Path = VIEWS["report of a simulation"](self, path)
        return written

    def save(self, path: str | Path) -> Simulation:
        """Write the NetCDF file in one step, and return the simulation with its path."""
        write_whole(Path(path), netcdf.to_bytes(self.to_dataset())[0])
        return replace(self, path=str(path))


def attributes_of(result: Result | FreeResult, particles: int, document: dict[str, Any], device: str) -> dict[str, Any]:
    """What the file of a simulation says of itself in every space: its format, problem, summary and versions."""
    summary = {key: value for key, value in document.items() if key != "output"}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "title": f"{result.problem.name}, noise {result.noise:g}: {particles} particles",
        "problem": result.problem.to_yaml(),
        "summary": json.dumps(summary),
        "versions": json.dumps(result.versions),
        "device": device,
    }


class SimulationKeys(TypedDict, total=False):
    """What `simulate` may be told by name; see `SimulationSettings`."""

    device: str | None
    steps_per_piece: int | None
    scheme: str | None
    seed: int | None
    repetition: int
    time_budget: float | None
    target_se: float | None
    paths: int


@dataclass(frozen=True)
class SimulationSettings:
    """What a simulation is asked for. What is None is as in the problem's `monte_carlo`.

    repetition: another number draws other noise. time_budget: seconds after which it stops. target_se: the standard
    error of the L² error at T with which it is content. paths: of how many particles the way is kept. Raises
    SimulationError for numbers that make no sense.
    """

    particles: int | None = None
    device: str | None = None
    steps_per_piece: int | None = None
    scheme: str | None = None
    seed: int | None = None
    repetition: int = 0
    time_budget: float | None = None
    target_se: float | None = None
    paths: int = 0

    def __post_init__(self) -> None:
        for name in ("time_budget", "target_se"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SimulationError(f"must be a number above 0 (got {value:g})", argument=name)
        for name in ("repetition", "paths"):
            if getattr(self, name) < 0:
                raise SimulationError(f"must be 0 or more (got {getattr(self, name)})", argument=name)

    def applied_to(self, problem: Problem) -> Problem:
        """The problem with these numbers in `monte_carlo`. Raises ProblemError where they are not allowed."""
        names = ("particles", "device", "steps_per_piece", "scheme", "seed")
        given = {f"monte_carlo.{name}": getattr(self, name) for name in names if getattr(self, name) is not None}
        return parse_problem(problem.to_yaml(), set=given) if given else problem


@own_settings()
def simulate(
    result: Result,
    particles: int | None = None,
    *,
    progress: Progress = silent,
    executor: Executor | None = None,
    **keys: Unpack[SimulationKeys],
) -> Simulation:
    """Simulate the controlled process of a result. What is not given is as in its problem's `monte_carlo`.

    device, steps_per_piece, scheme, seed, repetition, time_budget, target_se, paths: see `SimulationSettings`. An
    interruption keeps what was counted. executor: of workers that move particles; by default threads of this process.
    Raises SimulationError for numbers that make no sense, DeviceError for a device
    that is not there.
    """
    settings = SimulationSettings(particles, **keys)
    problem = settings.applied_to(result.problem)
    posed = Posed.of(problem)
    reference = posed.reference
    experiment = experiment_of(posed, drift_of(result, reference), repetition=settings.repetition)
    _check_paths(experiment, settings.paths)
    final = result.fields.final
    grid = FinalGrid.over(problem.domain.box)
    density = final.on(grid.centres)
    target = reference.density(reference.horizon, grid.points)
    if not np.all(np.isfinite(density)):
        raise SimulationError(f"{result.path or 'the result'}: its density is not finite; solve again")
    effort = Effort(problem.monte_carlo.particles, settings.time_budget, settings.target_se)
    elsewhere = None
    if executor is not None:
        backend = experiment.backend(effort.particles).name
        work = partial(_sums, problem, result.controls, settings.repetition, effort.particles, backend)
        elsewhere = Elsewhere(executor, work)
    measured = measure(experiment, grid, density, target, effort, progress, doing="simulating", elsewhere=elsewhere)
    progress(Step("comparing with the verified density"))
    sample, layout, sums = measured.sample, measured.layout, measured.simulated.sums
    density_l2 = statistics.mollified_l2(layout.modes, sample, measured.of_density)
    values, spreads = statistics.density_at(layout.modes, sample, final.mesh.points)
    rng = experiment.stream.generator(NULLS)
    scale = distances.l2(grid.weights, target, 0.0 * target)
    known = result.certificate.refinement * scale + measured.step_shift
    limit = LIMITS["monte_carlo_z"] * density_l2.standard_error + (known if math.isfinite(known) else 0.0)
    tests = _transport_tests(measured, grid, density, target, rng) if problem.domain.walls == "reflecting" else {}
    return Simulation(
        result=result,
        experiment=experiment,
        measured=measured,
        requested=effort.particles,
        seed=problem.monte_carlo.seed,
        repetition=settings.repetition,
        processes=1 if executor is None else room_of(executor),
        density_l2=density_l2,
        killed=statistics.killed_mass(sums),
        expected_killed=max(1.0 - final.mass, 0.0),
        moments=statistics.moments(layout, sums),
        w1=tests if problem.dimension == 1 else {},
        sliced_w2=tests if problem.dimension > 1 else {},
        values=values,
        spreads=spreads,
        checks=(
            Check("density_l2", density_l2.value, limit, density_l2.value <= limit),
            _step_check(measured, MOST_STEP_BIAS * scale),
        ),
        paths=follow(experiment, settings.paths, progress) if settings.paths else None,
    )


def _step_check(measured: Measured, most: float) -> Check:
    """Whether the steps are fine enough for anything to be said: their bias is small, or lost in its own error."""
    evidence = measured.evidence
    limit = max(most, LIMITS["monte_carlo_z"] * evidence.step_bias_se)
    return Check("step_bias", abs(evidence.step_bias), limit, abs(evidence.step_bias) <= limit)


def _sums(
    problem: Problem, controls: Controls | None, repetition: int, particles: int, backend: str, cells: range
) -> Sums:
    """The sums of cells on a worker, which builds the experiment for itself. Raises DeviceError for another backend."""
    posed = Posed.of(problem)
    experiment = experiment_of(posed, _drift(problem, controls, posed.reference), repetition=repetition)
    ours = experiment.backend(particles)
    if ours.name != backend:
        raise DeviceError(
            f"a worker moves particles by {ours.name}, and this process by {backend}, whose numbers differ in the last "
            "digits: use workers like this machine, or --device cpu"
        )
    return experiment.sums(experiment.layout, ours, particles, cells)


def drift_of(result: Result, reference: Reference) -> Drift:
    """The drift that a result is about: its network's, or its problem's own."""
    return _drift(result.problem, result.controls, reference)


def _drift(problem: Problem, controls: Controls | None, reference: Reference) -> Drift:
    if controls is not None:
        return network_drift(build_network(problem), controls, reference.horizon)
    drift = given_drift(problem, reference, time_grid(problem, reference).edges)
    if drift is None:
        raise ControlsError("the result has neither controls nor a drift of its own; solve again")
    return drift


def _transport_tests(
    measured: Measured, grid: FinalGrid, density: Array, target: Array, rng: np.random.Generator
) -> dict[str, NullTest]:
    layout, sums = measured.layout, measured.simulated.sums
    both = {"density": density, "target": target}
    if not sums.alive[0]:
        return {}
    if layout.dimension == 1:
        return {name: statistics.wasserstein_1(layout, sums, values, rng) for name, values in both.items()}
    slicing = statistics.Slicing.of_cells(layout, grid.centres)
    return {name: statistics.sliced_wasserstein_2(slicing, sums, values, rng) for name, values in both.items()}


def _check_paths(experiment: Experiment, count: int) -> None:
    numbers = count * (experiment.process.clock.steps + 1) * experiment.process.dimension
    if numbers > MOST_PATH_NUMBERS:
        most = count * MOST_PATH_NUMBERS // numbers
        told = f"{count} would fill {8 * numbers / 2**30:.0f} GiB; at most {most} fit in 2 GiB"
        raise SimulationError(told, argument="paths")


def follow(experiment: Experiment, count: int, progress: Progress = silent) -> Paths:
    """The ways of the first particles, by the reference simulation: the same noise, in double precision."""
    process = experiment.process
    starts = Starts(experiment.draw, process, experiment.stream)
    start = np.concatenate([starts.cell(number) for number in range(-(-count // CELL))])[:count]
    positions = np.empty((count, process.clock.steps + 1, process.dimension))
    alive = np.ones((count, process.clock.steps + 1), dtype=bool)
    positions[:, 0] = process.outward(start)
    numbers = np.arange(count, dtype=np.uint64)
    for s, now in enumerate(plain.steps(process, experiment.stream, numbers, start)):
        positions[:, s + 1], alive[:, s + 1] = process.outward(now.z), now.alive
        progress(Step("following paths", fraction=(s + 1) / process.clock.steps))
    clock = process.clock
    return Paths(np.append(clock.begin, clock.begin[-1] + clock.length[-1]), positions, alive)

"""Monte Carlo of a saved result in free space: other particles, as many as wanted, against p(T) and what was verified.

Comes in: a `FreeResult`. Goes out: a `FreeSimulation`: distances beside their nulls, a check that the particles of the
result and these are of one law, and a NetCDF file with the particles.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import ControlsError
from controlsde.control.drift import Drift, network_drift
from controlsde.distances.nulls import NullTest
from controlsde.distances.particle_distances import measure_all
from controlsde.distances.two_samples import same_law
from controlsde.foundation import netcdf
from controlsde.foundation.files import write_whole
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.monte_carlo.cloud import Cloud, FreeExperiment
from controlsde.registry import VIEWS
from controlsde.result.answer import plain_json
from controlsde.result.free_result import FreeResult
from controlsde.tracking.free_posed import FreePosed
from controlsde.verification.certificate import Check
from controlsde.verification.free_verifying import MEASURING, NULLS, PAIRS, experiment_of
from controlsde.workflow.simulation import SimulationError, SimulationSettings, attributes_of

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]

LEAST_P = 1e-3  # at this p-value or below it the particles and those of the result are said to differ
UNSERVED = ("time_budget", "target_se")  # of a box, where particles are summed in a stream
REPETITION = 1  # of the noise, where nobody says: other particles than those of the result


@dataclass(frozen=True, eq=False)
class FreeSimulation:
    """What other particles say about a result in free space.

    tests: their distances from p(T). agreement: whether they and the particles of the result are of one law. checks: of
    that, and that none is lost.
    """

    result: FreeResult
    experiment: FreeExperiment
    cloud: Cloud
    requested: int
    seed: int
    repetition: int
    seconds: float
    tests: dict[str, NullTest]
    agreement: NullTest
    checks: tuple[Check, ...]
    paths: int = 0
    path: str | None = None

    @property
    def particles(self) -> int:
        """How many were moved."""
        return self.cloud.particles

    @property
    def interrupted(self) -> bool:
        """Never: an interruption ends it all, for particles that stand on their way say nothing of T."""
        return False

    @property
    def verified(self) -> bool:
        """Whether the particles agree with those of the result."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The JSON of `simulate`; NaN and infinity become null."""
        mean, covariance = self.cloud.final.mean(axis=0), np.cov(self.cloud.final.T)
        document: dict[str, Any] = plain_json(
            {
                "problem": self.result.problem.name,
                "result": self.result.path,
                "noise": self.result.noise,
                "particles": self.particles,
                "requested": self.requested,
                "stopped": None,
                "seconds": self.seconds,
                "device": self.cloud.device,
                "backend": self.cloud.backend,
                "scheme": self.experiment.process().scheme,
                "steps_per_piece": self.experiment.steps_per_piece,
                "seed": self.seed,
                "repetition": self.repetition,
                "verified": self.verified,
                "tracking": {name: test.to_json() for name, test in self.tests.items()},
                "agreement": self.agreement.to_json(),
                "moments": {"mean": mean.tolist(), "covariance": np.atleast_2d(covariance).tolist()},
                "checks": [check.to_json() for check in self.checks],
                "output": self.path,
            }
        )
        return document

    def to_dataset(self) -> xr.Dataset:
        """The particles at T, the ways of those that were asked for, and the summary."""
        import xarray as xr

        data: dict[str, Any] = {"final": (("particle", "coordinate"), self.cloud.final)}
        coordinates: dict[str, Any] = {"coordinate": list(self.result.particles.names)}
        if self.paths:
            data["paths"] = (("time", "path", "coordinate"), self.cloud.positions)
            coordinates["time"] = self.cloud.times
        attributes = attributes_of(self.result, self.particles, self.to_json(), self.cloud.device)
        return xr.Dataset(data, coordinates, {"space": "free", **attributes})

    @own_settings()
    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about these particles and the result they belong to.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        written: Path = VIEWS["report of a simulation"](self, path)
        return written

    def save(self, path: str | Path) -> FreeSimulation:
        """Write the NetCDF file in one step, and return the simulation with its path."""
        write_whole(Path(path), netcdf.to_bytes(self.to_dataset())[0])
        return replace(self, path=str(path))


@own_settings()
def simulate_free(result: FreeResult, settings: SimulationSettings, progress: Progress = silent) -> FreeSimulation:
    """Move other particles by the controls of a result. Raises SimulationError for what only a box can be asked.

    DeviceError for a device that is not there.
    """
    for name in UNSERVED:
        if getattr(settings, name) is not None:
            raise SimulationError("is for problems in a box, whose particles are summed in a stream", argument=name)
    problem = settings.applied_to(result.problem)
    posed = FreePosed.of(problem)
    repetition = settings.repetition or REPETITION
    experiment = experiment_of(posed, drift_of(result, posed), repetition=repetition)
    began = time.perf_counter()
    progress(Step("simulating: particles", fraction=0.0))
    cloud = experiment.run(
        problem.monte_carlo.particles,
        settings.paths,
        report=lambda share: progress(Step("simulating: particles", fraction=share)),
    )
    seconds = time.perf_counter() - began
    lost = 1.0 - float(np.all(np.isfinite(cloud.final), axis=1).mean())
    if lost:
        raise SimulationError(f"{lost:.1%} of the particles are not finite at T: raise --steps, or solve again")
    progress(Step("distances and their nulls"))
    rng = experiment.stream.generator(MEASURING)
    tests = measure_all({"controlled": cloud.final}, posed.reference.data, rng, NULLS, PAIRS)["controlled"]
    agreement = same_law(result.particles.final, cloud.final, rng)
    return FreeSimulation(
        result=result,
        experiment=experiment,
        cloud=cloud,
        requested=problem.monte_carlo.particles,
        seed=problem.monte_carlo.seed,
        repetition=repetition,
        seconds=seconds,
        tests=tests,
        agreement=agreement,
        checks=(Check("same_law", -math.log10(agreement.p), -math.log10(LEAST_P), agreement.p > LEAST_P),),
        paths=settings.paths,
    )


def drift_of(result: FreeResult, posed: FreePosed) -> Drift:
    """The drift that a result is about: its network's, or its problem's own."""
    if result.controls is not None:
        return network_drift(posed.network, result.controls, posed.reference.horizon)
    drift = posed.given_drift
    if drift is None:
        raise ControlsError("the result has neither controls nor a drift of its own; solve again")
    return drift

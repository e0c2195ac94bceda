"""The result of a solve or an evaluation, its JSON, and its file.

Comes in: what the solver found and what the verification measured. Goes out: one frozen `Result`; one NetCDF file
that xarray opens and that holds everything to start again from: the resolved problem, the controls, the seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.diagnosis import Diagnosis
from controlsde.distances import BoxTransport
from controlsde.foundation.files import write_whole
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.registry import VIEWS
from controlsde.result.result_file import FORMAT, FORMAT_VERSION, ResultError, read, stored_beginnings
from controlsde.result.retry import Retry
from controlsde.solvers.outcome import Beginning
from controlsde.verification.certificate import Certificate
from controlsde.verification.energy import Energy
from controlsde.verification.evidence import Fields, TrackingErrors
from controlsde.verification.promises import Promises

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from controlsde.result.torch_module import ControlledProcess

Array = NDArray[np.float64]

NO_NETWORK = "this result has no network: its drift was given by the problem's own `drift:`"


@dataclass(frozen=True, eq=False)
class Result:
    """What is known about one control of one problem at one noise level.

    status: converged | not-converged | interrupted | given. verified: every check of the certificate passed.
    diagnosis: what went wrong, most likely first. retry: what was changed, where it was solved twice.
    transport: how W₂ was estimated where there is no exact formula for it, else None. promises: what the theory bounds
    by the score-matching loss, beside what was measured; energy: what the drift spent, and the least that any drift
    needs; both None in files of older versions. digest: the SHA-256 of the
    file at `path`, None where there is no file, or one of an earlier version, which has no seal.
    """

    problem: Problem
    solver: str
    status: str
    message: str
    objective: float
    iterations: int
    seconds: dict[str, float]
    tracking: TrackingErrors
    discrete: TrackingErrors
    certificate: Certificate
    fields: Fields
    controls: Controls | None
    history: Array  # (iterations, 3): number, objective, gradient norm
    beginnings: tuple[Beginning, ...] = ()  # of the rows of the history; empty where nobody knows
    starts: tuple[float, ...] = ()
    diagnosis: tuple[Diagnosis, ...] = ()
    retry: Retry | None = None
    device: str = "cpu"
    versions: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    transport: BoxTransport | None = None
    promises: Promises | None = None
    energy: Energy | None = None
    digest: str | None = None

    @property
    def noise(self) -> float:
        """Noise level η."""
        return self.problem.noise

    @property
    def verified(self) -> bool:
        """Whether every check of the certificate passed."""
        return self.certificate.passed

    @property
    def density(self) -> xr.DataArray:
        """ρ as an xarray with dimensions (time, x[, y, z])."""
        return self.to_dataset()["density"]

    @property
    def reference(self) -> xr.DataArray:
        """p as an xarray with dimensions (time, x[, y, z])."""
        return self.to_dataset()["reference"]

    def to_json(self) -> dict[str, Any]:
        """The JSON of `solve`, `evaluate` and each entry of `compare`; NaN and infinity become null."""
        document: dict[str, Any] = plain_json(
            {
                "problem": self.problem.name,
                "solver": self.solver,
                "noise": self.noise,
                "status": self.status,
                "message": self.message,
                "verified": self.verified,
                "objective": self.objective,
                "iterations": self.iterations,
                "starts": list(self.starts),
                "seconds": self.seconds,
                "tracking": self.tracking.to_json(),
                "discrete": self.discrete.l2_json(),
                "distances": {"w2_final": self.transport.to_json() if self.transport else None},
                "promises": self.promises.to_json() if self.promises else None,
                "energy": self.energy.value if self.energy else None,
                "energy_bound": self.energy.bound if self.energy else None,
                "price": self.energy.price if self.energy else None,
                "energy_details": self.energy.to_json() if self.energy else None,
                "certificate": self.certificate.to_json(),
                "diagnosis": [entry.to_json() for entry in self.diagnosis],
                "retry": self.retry.to_json() if self.retry else None,
                "result": self.path,
            }
        )
        return document

    def to_dataset(self) -> xr.Dataset:
        """Everything as one xarray.Dataset."""
        import xarray as xr

        space = ["x", "y", "z"][: len(self.fields.axes)]
        data: dict[str, Any] = {
            "density": (("time", *space), self.fields.density),
            "reference": (("time", *space), self.fields.reference),
            "l2": (("curve_time",), self.fields.l2),
            "discrete_l2": (("discrete_time",), self.fields.discrete_l2),
            "history": (("iteration", "history_column"), self.history),
            "starts": (("start",), np.asarray(self.starts, dtype=float)),
        }
        if self.beginnings:
            data["beginning"] = (("iteration",), *stored_beginnings(self.beginnings))
        if self.controls is not None:
            data |= self.controls.variables()
        coordinates: dict[str, Any] = {
            "time": self.fields.times,
            "curve_time": self.fields.curve_times,
            "discrete_time": self.fields.discrete_times,
            **dict(zip(space, self.fields.axes, strict=True)),
        }
        summary = {key: value for key, value in self.to_json().items() if key != "result"}
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "title": f"{self.problem.name}, noise {self.noise:g}",
            "problem": self.problem.to_yaml(),
            "summary": json.dumps(summary),
            "versions": json.dumps(self.versions),
            "device": self.device,
            "degree": self.fields.degree,
        }
        return xr.Dataset(data, coordinates, attributes)

    def to_torch(self, dtype: torch.dtype | None = None) -> ControlledProcess:
        """The controlled process as a `torch.nn.Module`: f, g, sde_type, noise_type for torchsde, forward(t, x).

        Reflecting and periodic walls are unfolded: integrate freely, then call the module's `fold`. Absorbing walls are
        left out: paths go on beyond them. dtype: of the parameters, PyTorch's default if not given. Raises ResultError
        for a result without a network's controls.
        """
        from controlsde.reference import build_diffusivity
        from controlsde.result.torch_module import ControlledProcess
        from controlsde.tracking.tracking_problem import build_network

        if self.controls is None:
            raise ResultError(NO_NETWORK)
        diffusivity = build_diffusivity(self.problem.reference).scaled(self.noise)
        network, walls = build_network(self.problem), self.problem.domain.walls
        return ControlledProcess(network, self.controls, diffusivity, walls, dtype)

    @own_settings()
    def to_onnx(
        self, path: str | Path, steps_per_piece: int | Sequence[int] = 64, method: str = "euler-maruyama"
    ) -> None:
        """Write one step of the controlled process as an ONNX graph: (x, noise, step) → (x_next, t_next), in float32.

        See `onnx_export`. method: euler-maruyama | heun. Raises ResultError for a result without a network's controls,
        OnnxExportError without the package onnx, for absorbing walls, or for arguments that make no step.
        """
        import torch

        from controlsde.result.onnx_export import export_step

        export_step(self.to_torch(torch.float64), path, steps_per_piece, method)

    def animate(self, path: str | Path, fps: float = 12.0, *, particles: int = 300, seed: int = 0) -> Path:
        """Write a film, .gif, .webp or .mp4 by the path's ending, and return its path: ρ, p, particles and the drift.

        fps: frames a second. particles: how many dots, 0 for none; seed: of their starts and their noise. Raises
        FilmError, in one line with the cure, for what cannot be a film, and for .mp4 where ffmpeg is not to be found.
        """
        written: Path = VIEWS["film"]([self], path, fps, particles=particles, seed=seed)
        return written

    def save_weights(self, path: str | Path) -> None:
        """Write A, W, b and times as a safetensors file, in one step, that `Controls.load` reads.

        Its metadata, all strings: format, format_version, problem, activation, tangential (true | false), walls, box
        (JSON) and noise. Raises ResultError for a result without a network's controls, or a name that ends otherwise.
        """
        from controlsde.control.weights_file import SUFFIX, network_words, write_weights
        from controlsde.tracking.tracking_problem import build_network

        if self.controls is None:
            raise ResultError(NO_NETWORK)
        if Path(path).suffix != SUFFIX:
            raise ResultError(f"{path}: weights are written as safetensors; give a name that ends in {SUFFIX}")
        words = network_words(build_network(self.problem), self.problem.domain.walls, self.noise)
        write_weights(Path(path), vars(self.controls), {"problem": self.problem.name, **words})

    def save(self, path: str | Path) -> Result:
        """Write the NetCDF file in one step, sealed, and return the result with its path and digest.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        from controlsde.foundation import netcdf

        content, digest = netcdf.to_bytes(self.to_dataset())
        write_whole(Path(path), content)
        return replace(self, path=str(path), digest=digest)

    @own_settings()
    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about this result: verdict, film, errors, certificate, problem.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        written: Path = VIEWS["report of a result"](self, path)
        return written

    @staticmethod
    def load(path: str | Path) -> Result:
        """Read a result file.

        Raises ResultError, in one line, when it is missing, cut short, of another kind or version, or was changed since
        it was written. The digest is None in files of earlier versions, of which nobody can tell.
        """
        return Result(**read(Path(path)))


def plain_json(value: Any) -> Any:
    """Ready for JSON: NumPy numbers to Python's, what is not finite to None."""
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value

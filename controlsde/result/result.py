"""The result of a solve or an evaluation, its JSON, and its file.

Comes in: what the solver found and what the verification measured. Goes out: one frozen `Result`; one NetCDF file
that xarray opens and that holds everything to start again from: the resolved problem, the controls, the seeds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.distances import BoxTransport
from controlsde.registry import VIEWS
from controlsde.result.answer import Answer, plain_json
from controlsde.result.result_file import FORMAT, FORMAT_VERSION, read, stored_beginnings
from controlsde.verification.certificate import Certificate
from controlsde.verification.energy import Energy
from controlsde.verification.evidence import Fields, TrackingErrors
from controlsde.verification.promises import Promises

if TYPE_CHECKING:
    import xarray as xr


Array = NDArray[np.float64]

NO_NETWORK = "this result has no network: its drift was given by the problem's own `drift:`"


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(Answer):
    """What is known about one control of one problem in a box at one noise level; see `Answer`, too.

    verified: every check of the certificate passed. transport: how W₂ was estimated where there is no exact formula for
    it, else None. promises: what the theory bounds by the score-matching loss, beside what was measured; energy: what
    the drift spent, and the least that any drift needs; both None in files of older versions.
    """

    tracking: TrackingErrors
    discrete: TrackingErrors
    certificate: Certificate
    fields: Fields
    transport: BoxTransport | None = None
    promises: Promises | None = None
    energy: Energy | None = None

    @property
    def judged(self) -> Certificate:
        """The certificate."""
        return self.certificate

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
                **self.head_json(),
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

    def animate(self, path: str | Path, fps: float = 12.0, *, particles: int = 300, seed: int = 0) -> Path:
        """Write a film, .gif, .webp or .mp4 by the path's ending, and return its path: ρ, p, particles and the drift.

        fps: frames a second. particles: how many dots, 0 for none; seed: of their starts and their noise. Raises
        FilmError, in one line with the cure, for what cannot be a film, and for .mp4 where ffmpeg is not to be found.
        """
        written: Path = VIEWS["film"]([self], path, fps, particles=particles, seed=seed)
        return written

    @staticmethod
    def load(path: str | Path) -> Result:
        """Read a result file.

        Raises ResultError, in one line, when it is missing, cut short, of another kind or version, or was changed since
        it was written. The digest is None in files of earlier versions, of which nobody can tell.
        """
        return Result(**read(Path(path)))

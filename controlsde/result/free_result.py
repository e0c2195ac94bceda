"""The result of a solve or an evaluation in free space: particles in place of densities on a mesh.

Comes in: what the solver found and what the verification measured. Goes out: one frozen `FreeResult`, its JSON, and one
NetCDF file that holds everything to start again from.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.surroundings import own_settings
from controlsde.registry import VIEWS
from controlsde.result.answer import Answer, plain_json
from controlsde.result.free_result_file import FORMAT_VERSION, read
from controlsde.result.result_file import FORMAT, ResultError, stored_beginnings
from controlsde.verification.free_certificate import FreeCertificate
from controlsde.verification.free_evidence import FreeErrors, Particles

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FreeResult(Answer):
    """What is known about one control of one problem in free space at one noise level; see `Answer`, too.

    energy: ∫E|v|² dt along the particles, with its standard error.
    """

    tracking: FreeErrors
    certificate: FreeCertificate
    particles: Particles
    energy: float
    energy_se: float

    @property
    def judged(self) -> FreeCertificate:
        """The certificate."""
        return self.certificate

    def to_json(self) -> dict[str, Any]:
        """The JSON of `solve`, `evaluate` and each entry of `compare`; NaN and infinity become null."""
        document: dict[str, Any] = plain_json(
            {
                **self.head_json(),
                "tracking": self.tracking.to_json(),
                "energy": self.energy,
                "energy_se": self.energy_se,
                "energy_bound": None,
                "price": None,
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

        cloud = self.particles
        data: dict[str, Any] = {
            "positions": (("time", "path", "coordinate"), np.asarray(cloud.positions, np.float32)),
            "reference": (("time", "sample", "coordinate"), np.asarray(cloud.reference, np.float32)),
            "final": (("particle", "coordinate"), np.asarray(cloud.final, np.float32)),
            "held_out": (("row", "coordinate"), cloud.held_out),
            "mollified": (("time",), cloud.curve),
            "shift": (("coordinate",), cloud.shift),
            "scale": (("coordinate",), cloud.scale),
            "history": (("iteration", "history_column"), self.history),
            "starts": (("start",), np.asarray(self.starts, dtype=float)),
        }
        if self.beginnings:
            data["beginning"] = (("iteration",), *stored_beginnings(self.beginnings))
        if self.controls is not None:
            data |= self.controls.variables()
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "space": "free",
            "title": f"{self.problem.name}, noise {self.noise:g}",
            "problem": self.problem.to_yaml(),
            "names": json.dumps(cloud.names),
            "summary": json.dumps({key: value for key, value in self.to_json().items() if key != "result"}),
            "versions": json.dumps(self.versions),
            "device": self.device,
        }
        return xr.Dataset(data, {"time": cloud.times}, attributes)

    def to_images(self, shape: tuple[int, int], count: int = 64) -> Array:
        """The first particles at T as pictures, (count, *shape), in the units of the data, rows from top to bottom.

        shape: (rows, columns), whose product is the number of coordinates. Raises ResultError where it is not.
        """
        rows, columns = shape
        if rows * columns != self.particles.dimension:
            raise ResultError(
                f"pictures of {rows} x {columns} pixels need {rows * columns} coordinates, and there are "
                f"{self.particles.dimension}"
            )
        return self.particles.measured(self.particles.final[:count]).reshape(-1, rows, columns)

    @own_settings()
    def contact_sheet(self, path: str | Path, shape: tuple[int, int] | None = None) -> Path:
        """Write a PNG of pictures: the data, p(T), ρ(T), and one Gaussian of the same moments.

        shape: (rows, columns) of a picture, where the names of the coordinates, as pixel_0_0 to pixel_7_7, do not say
        it. Raises ResultError where nothing says it or it does not fit, OSError where nothing can be written.
        """
        written: Path = VIEWS["contact sheet"](self, path, shape)
        return written

    @staticmethod
    def load(path: str | Path) -> FreeResult:
        """Read a result file of free space.

        Raises ResultError, in one line, when it is missing, cut short, of another kind or version, or was changed since
        it was written.
        """
        return FreeResult(**read(Path(path)))

"""What is known of every answer, whatever space its densities live in: who found it, the controls, and their exports.

Comes in: what the workflow found. Goes out: the part that `Result`, on a mesh, and `FreeResult`, of particles, have in
common.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls
from controlsde.diagnosis import Diagnosis
from controlsde.foundation.files import write_whole
from controlsde.foundation.surroundings import own_settings
from controlsde.monte_carlo.process import NO_WALLS
from controlsde.problem import Problem
from controlsde.registry import VIEWS
from controlsde.result.result_file import ResultError
from controlsde.result.retry import Retry
from controlsde.solvers.outcome import Beginning
from controlsde.verification.certificate import Check

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from controlsde.result.torch_module import ControlledProcess

Array = NDArray[np.float64]

NO_NETWORK = "this result has no network: its drift was given by the problem's own `drift:`"


class Judged(Protocol):
    """A certificate of either kind."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every value beside its limit."""
        ...

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        ...

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer(ABC):
    """One control of one problem at one noise level, as far as no density is asked for.

    status: converged | not-converged | interrupted | given. history: number, objective and gradient norm of every
    iteration, (iterations, 3); beginnings: of its rows, empty where nobody knows. diagnosis: what went wrong, most
    likely first. retry: what was changed, where it was solved twice. path: of its file; digest: the SHA-256 of that,
    None where there is no file, or one of an earlier version, which has no seal.
    """

    problem: Problem
    solver: str
    status: str
    message: str
    objective: float
    iterations: int
    seconds: dict[str, float]
    controls: Controls | None
    history: Array
    beginnings: tuple[Beginning, ...] = ()
    starts: tuple[float, ...] = ()
    diagnosis: tuple[Diagnosis, ...] = ()
    retry: Retry | None = None
    device: str = "cpu"
    versions: dict[str, str] = field(default_factory=dict)
    path: str | None = None
    digest: str | None = None

    @property
    @abstractmethod
    def judged(self) -> Judged:
        """The certificate."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The JSON of `solve`, `evaluate` and each entry of `compare`; NaN and infinity become null."""

    @abstractmethod
    def to_dataset(self) -> xr.Dataset:
        """Everything as one xarray.Dataset."""

    @property
    def noise(self) -> float:
        """Noise level η."""
        return self.problem.noise

    @property
    def verified(self) -> bool:
        """Whether every check of the certificate passed."""
        return self.judged.passed

    def head_json(self) -> dict[str, Any]:
        """The first keys of the JSON: who found what, and how long it took."""
        return {
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
        }

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
        return ControlledProcess(build_network(self.problem), self.controls, diffusivity, self.walls, dtype)

    @property
    def walls(self) -> str:
        """What walls do; `none` in free space."""
        return NO_WALLS if self.problem.domain.free else self.problem.domain.walls

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
        words = network_words(build_network(self.problem), self.walls, self.noise)
        write_weights(Path(path), vars(self.controls), {"problem": self.problem.name, **words})

    def save(self, path: str | Path) -> Self:
        """Write the NetCDF file in one step, sealed, and return the result with its path and digest.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        from controlsde.foundation import netcdf

        content, digest = netcdf.to_bytes(self.to_dataset())
        write_whole(Path(path), content)
        return replace(self, path=str(path), digest=digest)

    @own_settings()
    def report(self, path: str | Path) -> Path:
        """Write a self-contained HTML page about this result: verdict, errors, certificate, problem.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        written: Path = VIEWS["report of a result"](self, path)
        return written


def plain_json(value: Any) -> Any:
    """Ready for JSON: NumPy numbers to Python's, what is not finite to None."""
    if isinstance(value, dict):
        return {key: plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value

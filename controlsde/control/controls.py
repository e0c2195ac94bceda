"""Controls: the piecewise-constant weights of the network drift, and their time grid.

Comes in: arrays A, W, b and the times at which they switch. Goes out: weights by piece, splitting, files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from controlsde.control.weights_file import SUFFIX, WeightsFileError, read_weights, write_weights
from controlsde.foundation import kinds, netcdf
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.files import write_whole

Array = NDArray[np.float64]

FORMAT = "controlsde-controls"


class ControlsError(ControlsdeError, ValueError):
    """Controls that do not fit together, or a file that does not hold controls."""

    of_problem = True


@dataclass(frozen=True, eq=False)
class Controls:
    """Weights of K pieces: A (K, d, m), W (K, m, d), b (K, m), constant on [times_k, times_{k+1}).

    Raises ControlsError when shapes disagree, times do not increase, or a number is not finite.
    """

    A: Array
    W: Array
    b: Array
    times: Array

    def __init__(self, A: ArrayLike, W: ArrayLike, b: ArrayLike, times: ArrayLike) -> None:
        values = {"A": A, "W": W, "b": b, "times": times}
        for name, value in values.items():
            try:
                array = np.asarray(value, dtype=float)
            except (TypeError, ValueError):
                raise ControlsError(f"controls.{name} must be an array of numbers") from None
            object.__setattr__(self, name, array)
        if self.A.ndim != 3 or self.W.ndim != 3 or self.b.ndim != 2 or self.times.ndim != 1:
            raise ControlsError("controls need A (pieces, d, m), W (pieces, m, d), b (pieces, m), times (pieces+1,)")
        pieces, d, m = self.A.shape
        if 0 in self.A.shape:
            raise ControlsError(f"controls need at least one piece, dimension and neuron (A has shape {self.A.shape})")
        expected = {"W": (pieces, m, d), "b": (pieces, m), "times": (pieces + 1,)}
        for name, shape in expected.items():
            got = getattr(self, name).shape
            if got != shape:
                raise ControlsError(f"A has shape {self.A.shape}, so {name} must have shape {shape} (got {got})")
        for name in values:
            if not np.all(np.isfinite(getattr(self, name))):
                raise ControlsError(f"controls.{name} holds a number that is not finite")
        if not np.all(np.diff(self.times) > 0):
            raise ControlsError("controls.times must increase")

    @property
    def pieces(self) -> int:
        """Number of pieces K."""
        return int(self.A.shape[0])

    @property
    def dimension(self) -> int:
        """Dimension d of the state space."""
        return int(self.A.shape[1])

    @property
    def width(self) -> int:
        """Width m of the network."""
        return int(self.A.shape[2])

    @property
    def durations(self) -> Array:
        """Length of each piece, shape (K,)."""
        return np.diff(self.times)

    def piece(self, number: int) -> tuple[Array, Array, Array]:
        """A (d, m), W (m, d), b (m) of one piece."""
        return self.A[number], self.W[number], self.b[number]

    def piece_at(self, t: float) -> int:
        """The piece that holds time t; the last one at the horizon."""
        return int(np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, self.pieces - 1))

    def split(self, parts: int) -> Controls:
        """The same drift on a grid in which each piece is cut in `parts` equal ones."""
        fractions = np.arange(parts) / parts
        times = np.append((self.times[:-1, None] + self.durations[:, None] * fractions).ravel(), self.times[-1])
        a, w, b = (np.repeat(part, parts, axis=0) for part in (self.A, self.W, self.b))
        return Controls(a, w, b, times)

    def variables(self) -> dict[str, tuple[tuple[str, ...], Array]]:
        """A, W, b and the times of the pieces as variables of a NetCDF file: dimensions and values by name."""
        return {
            "A": (("piece", "dimension", "neuron"), self.A),
            "W": (("piece", "neuron", "dimension"), self.W),
            "b": (("piece", "neuron"), self.b),
            "piece_times": (("piece_edge",), self.times),
        }

    def save(self, path: str | Path) -> None:
        """Write a file, in one step, that `load` and `controlsde evaluate --controls` read.

        NetCDF, or safetensors where the name ends so; `Result.save_weights` adds what network the weights are for.
        """
        target = Path(path)
        if target.suffix == SUFFIX:
            write_weights(target, vars(self), {})
            return
        import xarray as xr

        attributes = {"format": FORMAT, "format_version": 1}
        write_whole(target, netcdf.to_bytes(xr.Dataset(self.variables(), attrs=attributes))[0])

    @staticmethod
    def load(path: str | Path) -> Controls:
        """Controls from a result file, or from one that `save` wrote.

        NetCDF with A, W, b and piece_times, or, where the name ends in .safetensors, A, W, b and times. Raises
        ControlsError when the file is missing, cut short, changed since it was written, or holds no controls.
        """
        path = Path(path)
        try:
            _refuse_other_kinds(path)
            return _from_safetensors(path) if path.suffix == SUFFIX else _from_netcdf(path)
        except (ControlsError, WeightsFileError) as error:
            raise ControlsError(f"{path}: {error}") from None
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise ControlsError(f"{path}: cannot be read ({reason})") from None


def _refuse_other_kinds(path: Path) -> None:
    """Say what a file is where it is one that is known, and holds no controls."""
    give = f"give a result (.nc) that `controlsde solve` wrote, or weights ({SUFFIX})"
    kind = kinds.kind_of(path) if path.exists() else None
    if not path.exists() or kind == kinds.FOLDER:
        there = "is a folder, and no such file holds controls" if kind else "no such file"
        raise ControlsError(f"{there}; {give}")
    if kind == kinds.WEIGHTS and path.suffix != SUFFIX:
        raise ControlsError(f"that is {kind}; give it a name that ends in {SUFFIX}")
    if kind == kinds.SIMULATION:
        raise ControlsError(f"that is {kind}, which has no controls; give the result that it was made of")
    if kind not in (None, kinds.EMPTY, kinds.TEXT, kinds.RESULT, kinds.CONTROLS, kinds.NETCDF, kinds.WEIGHTS):
        raise ControlsError(f"that is {kind}, not controls; {give}")


def _from_safetensors(path: Path) -> Controls:
    arrays, _ = read_weights(path)
    return Controls(**arrays)


def _from_netcdf(path: Path) -> Controls:
    names = ("A", "W", "b", "piece_times")
    try:
        stored = netcdf.read(path, names)
    except netcdf.ChangedError as error:
        raise ControlsError(f"{error}; take a copy that is whole, or solve again") from None
    except netcdf.NetcdfError as error:
        raise ControlsError(f"not a readable NetCDF file (cut short, or of another kind): it {error}") from None
    missing = [name for name in names if name not in stored.arrays]
    if missing:
        raise ControlsError(f"holds no controls ({', '.join(missing)} missing)")
    return Controls(*(stored.arrays[name] for name in names))

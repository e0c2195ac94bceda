"""Which program moves the particles: chosen by the device, the drift and the size of the run, and stated in results.

Each is in the folder of its name, where `backend.offer(process, device, particle_steps)` gives a `Backend`, or says in
a few words why not; nothing where it is not for this device. The first of the registry that serves is taken.

| backend | runs on | drifts |
|---|---|---|
| `numpy` | processor | any; to be read, and to compare with |
| `torch` | processor, CUDA | any |
| `numba` | processor | networks |
| `triton` | CUDA | networks up to 16 wide, in up to 16 dimensions |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.devices import device_may_be_here
from controlsde.foundation.errors import ControlsdeError
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process
from controlsde.monte_carlo.sums import Layout, Sums
from controlsde.registry import BACKENDS

DEVICES = ("auto", "cpu", "cuda")
STAGES = 4  # of a step without noise, each of which costs what a step with noise does
CUDA_CELLS = 256  # of particles at a time on a device, 4 million

Summed = Callable[[Process, Stream, int, NDArray[np.floating], Layout], Sums]
Advance = Callable[[Process, Stream, int, NDArray[np.floating], Callable[[], bool]], Positions]


class DeviceError(ControlsdeError, ValueError):
    """A device that is unknown or absent; the message is one line with the cure."""


@dataclass(frozen=True)
class Backend:
    """name, device: as results state them. advance(process, stream, first, start, stop) moves a chunk of particles.

    cells: how many cells of particles one call may hold. note: why not a faster one, where there is a reason.
    sums(process, stream, first, start, layout): of a chunk, where the backend adds them up on the device itself.
    """

    name: str
    device: str
    advance: Advance
    cells: int = 1
    note: str | None = None
    sums: Summed | None = None


def choose(process: Process, device: str, particles: int) -> Backend:
    """The fastest backend for so many particles. Raises DeviceError."""
    if device not in DEVICES:
        raise DeviceError(f"device must be one of {', '.join(DEVICES)} (got {device!r})")
    has_cuda = _sees_cuda()
    if device == "cuda" and not has_cuda:
        raise DeviceError("device cuda: PyTorch sees no CUDA device here; use cpu, or auto")
    place = "cuda" if has_cuda and device != "cpu" else "cpu"
    steps = process.clock.steps if process.noisy else STAGES * process.clock.steps
    note = None
    for name in BACKENDS:
        offered: Backend | str = BACKENDS[name](process, place, float(particles) * steps)
        if isinstance(offered, Backend):
            return replace(offered, note=note)
        note = note or offered or None
    raise DeviceError(f"no backend moves these particles on {place}; use another device")


def _sees_cuda() -> bool:
    """Whether PyTorch sees a CUDA device; it is not imported to say no where the system has none."""
    if not device_may_be_here():
        return False
    import torch

    return bool(torch.cuda.is_available())

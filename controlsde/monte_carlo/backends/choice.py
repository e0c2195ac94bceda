"""Which program moves the particles: chosen by the device, the drift and the size of the run, and stated in results.

Each is in the folder of its name.

| backend | runs on | drifts |
|---|---|---|
| `numpy` | processor | any; to be read, and to compare with |
| `torch` | processor, CUDA | any |
| `numba` | processor | networks |
| `triton` | CUDA | networks up to 16 wide, in up to 16 dimensions |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process
from controlsde.monte_carlo.sums import Layout, Sums

DEVICES = ("auto", "cpu", "cuda")
WORTH_COMPILING = 5e7  # particle steps: what PyTorch does, at 5e6 to 6e7 a second, while the loops are compiled
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
    import torch

    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise DeviceError("device cuda: PyTorch sees no CUDA device here; use cpu, or auto")
    if device == "cuda" or (device == "auto" and has_cuda):
        return _on_cuda(process)
    steps = process.clock.steps if process.noisy else STAGES * process.clock.steps
    return _on_processor(process, float(particles) * steps)


def _on_processor(process: Process, particle_steps: float) -> Backend:
    from controlsde.monte_carlo.backends.numba import simulation as fused

    if process.network is None:
        return Backend("torch", "cpu", _torch_on("cpu"))
    if particle_steps < WORTH_COMPILING and not fused.ready(process.noisy):
        return Backend("torch", "cpu", _torch_on("cpu"), note="too short a run to compile its loops for")
    return Backend("numba", "cpu", _numba)


def _on_cuda(process: Process) -> Backend:
    from controlsde.monte_carlo.backends.triton import simulation as fused_cuda

    trouble = fused_cuda.obstacle(process)
    if trouble:
        return Backend("torch", "cuda", _torch_on("cuda"), CUDA_CELLS, note=trouble)
    on_a_line = process.dimension == 1 and process.walls == "reflecting"
    return Backend("triton", "cuda", _triton, CUDA_CELLS, sums=_triton_sums if on_a_line else None)


def numpy_backend() -> Backend:
    """The reference in double precision."""
    return Backend("numpy", "cpu", _numpy)


def _numpy(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
) -> Positions:
    from controlsde.monte_carlo.backends.numpy import simulation as plain

    del stop  # cells are short
    particles = np.arange(first, first + len(start), dtype=np.uint64)
    return plain.simulate(process, stream, particles, np.asarray(start, dtype=float))


def _numba(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
) -> Positions:
    from controlsde.monte_carlo.backends.numba import simulation as fused

    del stop  # cells take milliseconds
    return fused.simulate(process, stream, first, start)


def _torch_on(device: str) -> Advance:
    def advance(
        process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
    ) -> Positions:
        from controlsde.monte_carlo.backends.torch import simulation as tensors

        return tensors.simulate(process, stream, first, start, device, stop)

    return advance


def _triton(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
) -> Positions:
    from controlsde.monte_carlo.backends.triton import simulation as fused_cuda

    del stop  # a launch ends by itself
    return fused_cuda.simulate(process, stream, first, start)


def _triton_sums(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], layout: Layout, device: str = "cuda"
) -> Sums:
    """On a line between reflecting walls the kernel adds up all that is asked for."""
    from controlsde.monte_carlo.backends.triton import simulation as fused_cuda

    found = fused_cuda.reduce(process, stream, first, start, device, layout.bins, layout.modes.waves)
    cube = found.powers[2][None]
    return Sums(
        np.array([found.count]),
        np.array([found.alive]),
        np.array([found.count - found.alive]),  # these walls kill nobody
        found.waves[0],
        found.powers,
        np.stack([found.products[0], cube, found.products[1]]),
        found.histogram,
        Sums.zero(layout).slices,
    )

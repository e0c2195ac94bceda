"""The offer of this backend: networks, in one kernel on a CUDA device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.backends.choice import CUDA_CELLS, Backend
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process
from controlsde.monte_carlo.sums import Layout, Sums


def offer(process: Process, device: str, particle_steps: float) -> Backend | str:  # noqa: ARG001
    """Networks of moderate width on a CUDA device; on a line between reflecting walls it adds up all that is asked."""
    if device != "cuda":
        return ""
    from controlsde.monte_carlo.backends.triton import stepping

    obstacle = stepping.obstacle(process)
    if obstacle:
        return obstacle
    on_a_line = process.dimension == 1 and process.walls == "reflecting"
    return Backend("triton", "cuda", advance, CUDA_CELLS, sums=sums if on_a_line else None)


def advance(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
) -> Positions:
    """Move a chunk; see `Backend`."""
    from controlsde.monte_carlo.backends.triton import stepping

    del stop  # a launch ends by itself
    return stepping.simulate(process, stream, first, start)


def sums(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], layout: Layout, device: str = "cuda"
) -> Sums:
    """Move a chunk on a line between reflecting walls, and add up all that is asked for on the device."""
    from controlsde.monte_carlo.backends.triton import stepping

    found = stepping.reduce(process, stream, first, start, device, layout.bins, layout.modes.waves)
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

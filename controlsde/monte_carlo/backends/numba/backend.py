"""The offer of this backend: networks, in one compiled loop on the processor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.backends.choice import Backend
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process

WORTH_COMPILING = 5e7  # particle steps: what PyTorch does, at 5e6 to 6e7 a second, while the loops are compiled


def offer(process: Process, device: str, particle_steps: float) -> Backend | str:
    """Networks on the processor, where the loops are compiled or the run is long enough to compile them for."""
    from controlsde.monte_carlo.backends.numba import stepping

    if device != "cpu" or process.network is None:
        return ""
    if particle_steps < WORTH_COMPILING and not stepping.ready(process.noisy):
        return "too short a run to compile its loops for"
    return Backend("numba", "cpu", advance)


def advance(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
) -> Positions:
    """Move a chunk; see `Backend`."""
    from controlsde.monte_carlo.backends.numba import stepping

    del stop  # cells take milliseconds
    return stepping.simulate(process, stream, first, start)

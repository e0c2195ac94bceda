"""The offer of this backend: any drift on any device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.backends.choice import CUDA_CELLS, Advance, Backend
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process


def offer(process: Process, device: str, particle_steps: float) -> Backend | str:  # noqa: ARG001
    """Any process, anywhere."""
    return Backend("torch", device, advance_on(device), CUDA_CELLS if device == "cuda" else 1)


def advance_on(device: str) -> Advance:
    """What moves a chunk on one device; see `Backend`."""

    def advance(
        process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
    ) -> Positions:
        from controlsde.monte_carlo.backends.torch import stepping

        return stepping.simulate(process, stream, first, start, device, stop)

    return advance

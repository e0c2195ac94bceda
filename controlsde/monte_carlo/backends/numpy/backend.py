"""The offer of this backend: any process, on the processor; to be read, and to compare with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.backends.choice import Backend
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process


def offer(process: Process, device: str, particle_steps: float) -> Backend | str:  # noqa: ARG001
    """Any process, on the processor."""
    return Backend("numpy", "cpu", advance) if device == "cpu" else ""


def advance(
    process: Process, stream: Stream, first: int, start: NDArray[np.floating], stop: Callable[[], bool]
) -> Positions:
    """Move a chunk; see `Backend`."""
    from controlsde.monte_carlo.backends.numpy import stepping

    del stop  # cells are short
    particles = np.arange(first, first + len(start), dtype=np.uint64)
    return stepping.simulate(process, stream, particles, np.asarray(start, dtype=float))

"""Simulations as the tests pose them: a drift given as a function, positions in the units of the box."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from controlsde.fokker_planck.diffusivity import Diffusivity, Steady
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.backends.torch import stepping as tensors
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions, Process
from controlsde.monte_carlo.sums import CELL

FREE = ((-50.0, 50.0),)
UNIT = ((0.0, 1.0),)


@dataclass
class Field:
    """A drift from a function of (piece, t, x) of tensors; it notes the times at which each piece was asked for."""

    function: Callable[..., Any]
    edges: np.ndarray
    asked: list[tuple[int, float]] = field(default_factory=list)

    def torch_values(self, piece, t, x):
        self.asked.append((piece, t))
        return self.function(piece, t, x)

    def values(self, piece, t, x):
        return self.torch_values(piece, t, torch.from_numpy(np.ascontiguousarray(x))).numpy()


def still(horizon: float) -> Field:
    return Field(lambda _, __, x: torch.zeros_like(x), np.array([0.0, horizon]))


@dataclass(frozen=True)
class Setting:
    diffusivity: Diffusivity
    walls: str
    box: tuple[tuple[float, float], ...]
    steps: int
    seed: int
    scheme: str = "heun"


def setting(diffusivity=0.0, walls="reflecting", box=UNIT, steps=64, seed=0, scheme="heun"):
    return Setting(Steady(diffusivity), walls, box, steps, seed, scheme)


@dataclass(frozen=True)
class Moved:
    positions: np.ndarray
    alive: np.ndarray


def simulate(drift, start, chosen: Setting, backend: str = "torch") -> Moved:
    """All particles from start (n, d), cell by cell."""
    process = Process.of(drift, chosen.diffusivity, chosen.box, chosen.walls, chosen.steps, chosen.scheme)
    stream = Stream.of(chosen.seed, "test", 0.0)
    moved = []
    for first in range(0, len(start), CELL):
        part = process.inward(np.asarray(start[first : first + CELL], dtype=float))
        moved.append(_move(process, stream, first, part, backend))
    return Moved(
        np.concatenate([process.outward(part.z) for part in moved]),
        np.concatenate([part.alive for part in moved]),
    )


def _move(process: Process, stream: Stream, first: int, start: np.ndarray, backend: str) -> Positions:
    if backend == "torch":
        return tensors.simulate(process, stream, first, start)
    return plain.simulate(process, stream, np.arange(first, first + len(start), dtype=np.uint64), start)

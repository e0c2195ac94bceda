"""Particles that are kept: moved through all pieces, and remembered where pieces end.

Comes in: a drift on free space, D(t), where particles start, a stream of random numbers. Goes out: a `Cloud`. What is
summed in a box and forgotten is kept here, for in free space there is no grid to sum on. Particles depend on their
number alone, not on how many are moved together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.monte_carlo.backends.choice import Backend, choose
from controlsde.monte_carlo.experiment import PARTS, rule
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import NO_WALLS, Process
from controlsde.monte_carlo.statistics import Estimate
from controlsde.monte_carlo.streaming import Draw, threads_for

Array = NDArray[np.float64]

BATCH = 512  # particles that start and move together
STREAMS_OF_PARTS = 16  # keys of the streams of pieces and their parts begin here: lower ones are taken


@dataclass(frozen=True, eq=False)
class Cloud:
    """Where particles are: times (K+1,), the ends of the pieces; positions (K+1, n, d) of the first n of them.

    final: of all, at T, (N, d). device, backend: what moved them.
    """

    times: Array
    positions: Array
    final: Array
    device: str
    backend: str

    @property
    def particles(self) -> int:
        """How many there are."""
        return len(self.final)


@dataclass(frozen=True, eq=False)
class FreeExperiment:
    """dX = v dt + √(2D) dW on R^d; draw(n, rng) gives n starting points (n, d)."""

    drift: Drift
    diffusivity: Diffusivity
    dimension: int
    draw: Draw
    steps_per_piece: int
    scheme: str
    stream: Stream
    device: str = "auto"

    def process(self, halvings: int = 0, along: int = 0) -> Process:
        """The process with its steps halved so many times, drawn along the path of one halved `along` times more."""
        unit = ((-1.0, 1.0),) * self.dimension
        steps = self.steps_per_piece * 2**halvings
        return Process.of(self.drift, self.diffusivity, unit, NO_WALLS, steps, self.scheme, 2**along)

    def run(
        self,
        particles: int,
        kept: int,
        *,
        halvings: int = 0,
        along: int = 0,
        report: Callable[[float], None] = lambda _share: None,
    ) -> Cloud:
        """Move so many particles; the first `kept` of them are remembered at the ends of all pieces.

        halvings, along: as of `process`. report receives the share that is done. Raises DeviceError.
        """
        process = self.process(halvings, along)
        backend = choose(process, self.device, particles)
        counts = [min(BATCH, particles - first) for first in range(0, particles, BATCH)]
        done = [0]

        def batch(number: int) -> tuple[Array, Array]:
            moved = self._moved(process, backend, number, counts[number], kept - number * BATCH)
            done[0] += 1
            report(done[0] / len(counts))
            return moved

        with threads_for(backend) as (pool, _):
            found = list(pool.map(batch, range(len(counts))))
        ways, ends = zip(*found, strict=True)
        edges = np.asarray(self.drift.edges, dtype=float)
        return Cloud(edges, np.concatenate(ways, axis=1), np.concatenate(ends), backend.device, backend.name)

    def energy(self, particles: int) -> Estimate:
        """∫₀ᵀ E|v(t, X)|² dt along the paths of so many particles, in parts of every piece by Simpson's rule."""
        process = self.process()
        backend = choose(process, self.device, particles)
        counts = [min(BATCH, particles - first) for first in range(0, particles, BATCH)]
        with threads_for(backend) as (pool, _):
            found = pool.map(
                lambda number: self._energies(process, backend, number, counts[number]), range(len(counts))
            )
            energies = np.concatenate(list(found))
        return Estimate(float(energies.mean()), float(energies.std()) / math.sqrt(particles))

    def _energies(self, process: Process, backend: Backend, number: int, count: int) -> Array:
        """∫|v|² dt of every particle of a batch, (count,)."""
        steps = np.bincount(process.clock.piece)
        parts = next(each for each in PARTS if np.all(steps % each == 0))
        before, total = np.zeros(0), np.zeros(count)
        for number_of_part, (piece, t, length, x) in enumerate(self._way(process, backend, number, count, parts)):
            place = number_of_part % (parts + 1)
            left, right = rule(place - 1, parts) if place else (0.0, 0.0)
            speed = (self.drift.values(piece, t, np.asarray(x, dtype=float)) ** 2).sum(axis=1)
            if place:
                total += length * (left * before + right * speed)
            before = speed
        return total

    def _moved(self, process: Process, backend: Backend, number: int, count: int, kept: int) -> tuple[Array, Array]:
        """Where the first `kept` of a batch are at the ends of pieces, (K+1, kept, d), and all of them at T."""
        kept = max(0, min(kept, count))
        ways: list[Array] = []
        for place, (_, _, _, x) in enumerate(self._way(process, backend, number, count, 1)):
            if place == 0 or place % 2:  # the beginning of every later piece is the end of the one before
                ways.append(np.asarray(x[:kept], dtype=float))
        return np.stack(ways), np.asarray(x, dtype=float)

    def _way(
        self, process: Process, backend: Backend, number: int, count: int, parts: int
    ) -> Iterator[tuple[int, float, float, NDArray[np.floating]]]:
        """A batch at the beginning of every piece and after each of its parts: piece, time, length of the part, x."""
        z: NDArray[np.floating] = self.draw(BATCH, self.stream.generator(number))[:count]
        steps = np.bincount(process.clock.piece)
        first = np.cumsum(steps) - steps
        for piece, (begin, of_part) in enumerate(zip(first.tolist(), (steps // parts).tolist(), strict=True)):
            t = float(process.clock.begin[begin])
            length = float(process.clock.length[begin]) * of_part
            yield piece, t, length, z
            for part in range(parts):
                clock = process.clock.part(begin + part * of_part, begin + (part + 1) * of_part)
                stream = replace(self.stream, key=self.stream.key ^ (STREAMS_OF_PARTS + piece * parts + part))
                z = backend.advance(replace(process, clock=clock), stream, number * BATCH, z, lambda: False).z
                yield piece, t + (part + 1) * length, length, z

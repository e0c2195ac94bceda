"""One experiment with particles: what moves, from where, how finely; run, and asked what its steps still cost.

Comes in: a drift, D(t), a box, where particles start, a stream of random numbers. Goes out: `Simulated`, and the bias
of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.monte_carlo.backends.choice import Backend, choose
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import RUNGE_KUTTA, Process
from controlsde.monte_carlo.statistics import Estimate, Sample, mollified_l2, sample_of
from controlsde.monte_carlo.streaming import (
    Draw,
    Effort,
    Elsewhere,
    Simulated,
    Starts,
    stream_particles,
    sums_of_cells,
    threads_for,
)
from controlsde.monte_carlo.sums import CELL, Layout, Sums

Array = NDArray[np.float64]

WEAK_ORDER = {"euler-maruyama": 1, "heun": 2, RUNGE_KUTTA: 4}
BIAS_STEPS = 3  # of a particle that measures the bias, for each step of the others: one way once, one way halved
BIAS_CELLS = 4  # cells of particles that measure the bias of the steps, at most; one for drifts that take longer
TINY = 1e-300
ENERGY_PARTICLES = 4096  # that measure the energy of a drift that is no network
PARTS = (8, 6, 4, 2, 1)  # of a piece, between which |v|² is taken


@dataclass(frozen=True)
class StepBias:
    """What the length of the steps does.

    error: the shift of the L² distance to a density. law: the mollified L² distance by which the whole law moves,
    unbiased in its square.
    """

    error: Estimate
    law: float


@dataclass(frozen=True, eq=False)
class Experiment:
    """dX = v dt + √(2D) dW on a box; draw(n, rng) gives n starting points (n, d)."""

    drift: Drift
    diffusivity: Diffusivity
    box: tuple[tuple[float, float], ...]
    walls: str
    draw: Draw
    steps_per_piece: int
    scheme: str
    stream: Stream
    device: str = "auto"

    @property
    def process(self) -> Process:
        """The process with the steps that were asked for."""
        return self._process(self.steps_per_piece, 1)

    def _process(self, steps: int, draws: int) -> Process:
        return Process.of(self.drift, self.diffusivity, self.box, self.walls, steps, self.scheme, draws)

    @property
    def _bias_cells(self) -> int:
        return BIAS_CELLS if self.process.network else 1

    @property
    def layout(self) -> Layout:
        """The layout of the sums."""
        return Layout.of_box(self.box, self.walls)

    def backend(self, particles: int) -> Backend:
        """What moves so many particles, and those of `step_bias`. Raises DeviceError."""
        return choose(self.process, self.device, particles + BIAS_STEPS * self._bias_cells * CELL)

    def run(
        self,
        effort: Effort,
        layout: Layout,
        backend: Backend,
        *,
        coefficients: Array | None = None,
        report: Callable[[int], None] = lambda _count: None,
        elsewhere: Elsewhere | None = None,
    ) -> Simulated:
        """Move and count particles. coefficients (m,): of the density whose L² distance `effort.target_se` is about."""

        def standard_error(sums: Sums) -> float:
            assert coefficients is not None
            return mollified_l2(layout.modes, sample_of(layout, sums), coefficients).standard_error

        return stream_particles(
            self.process,
            self.stream,
            self.draw,
            layout,
            backend,
            effort,
            standard_error=None if coefficients is None else standard_error,
            report=report,
            elsewhere=elsewhere,
        )

    def sums(self, layout: Layout, backend: Backend, particles: int, cells: range) -> Sums:
        """The sums of neighbouring cells among so many particles: what a worker of `run` does."""
        return sums_of_cells(self.process, self.stream, self.draw, layout, backend, particles, cells)

    def energy(self, backend: Backend, particles: int) -> Estimate:
        """∫₀ᵀ E|v(t, X)|² dt along the paths of so many particles of their own, a few cells of them at most.

        |v|² is taken at both ends of parts of every piece, for v jumps between pieces, and summed by Simpson's rule for
        an even number of parts, else by the trapezoidal rule. What walls have absorbed counts no more.
        """
        process = self.process
        most = CELL * self._bias_cells if process.network else ENERGY_PARTICLES
        n = min(most, particles)
        steps = np.bincount(process.clock.piece)
        count = next(parts for parts in PARTS if np.all(steps % parts == 0))
        starts = Starts(self.draw, process, replace(self.stream, key=self.stream.key ^ 2))

        def along(number: int) -> Array:
            begin = starts.cell(number)[: n - number * CELL]
            return self._energies(backend, process, number * CELL, begin, count)

        with threads_for(backend) as (pool, _):
            found = np.concatenate(list(pool.map(along, range(-(-n // CELL)))))
        return Estimate(float(found.mean()), float(found.std()) / math.sqrt(n))

    def _energies(
        self, backend: Backend, process: Process, first: int, start: NDArray[np.floating], count: int
    ) -> Array:
        """∫|v|² dt of every particle of a cell that starts at `start`, every piece in so many parts: (n,)."""
        clock, walls = process.clock, process.walls
        z, alive, total = start, np.ones(len(start), dtype=bool), np.zeros(len(start))
        of_parts = np.repeat(np.bincount(clock.piece) // count, count)
        begins = np.cumsum(of_parts) - of_parts
        for number, (begin, steps) in enumerate(zip(begins.tolist(), of_parts.tolist(), strict=True)):
            piece = int(clock.piece[begin])
            length = float(clock.length[begin]) * steps
            t = float(clock.begin[begin])
            left, right = rule(number % count, count)
            total += left * length * self._squared_speeds(process, piece, t, z) * alive
            stream = replace(self.stream, key=self.stream.key ^ (3 + number))
            part = replace(process, clock=clock.part(begin, begin + steps))
            moved = backend.advance(part, stream, first, z, lambda: False)
            z = moved.z
            alive = alive & moved.alive if walls == "absorbing" else alive
            total += right * length * self._squared_speeds(process, piece, t + length, z) * alive
        return total

    def _squared_speeds(self, process: Process, piece: int, t: float, z: NDArray[np.floating]) -> Array:
        return np.asarray((self.drift.values(piece, t, process.outward(z.astype(float))) ** 2).sum(axis=1))

    def step_bias(self, layout: Layout, backend: Backend, sample: Sample, coefficients: Array) -> StepBias:
        """How much the steps shift the mollified L² distance to a density with these coefficients (m,), and the law.

        The same Brownian paths are followed with steps h and h/2. To first order the distance changes by Σ l_k Δφ̄_k,
        l_k = w_k (φ̄_k − c_k)/L²; and of a scheme of weak order p the bias at h is 2^p/(2^p − 1) times the change.
        """
        order = WEAK_ORDER[self.process.scheme]
        fine = self._process(2 * self.steps_per_piece, 1)
        coarse = self._process(self.steps_per_piece, 2)
        lever = layout.modes.weights * (sample.mean - coefficients)
        lever /= max(math.sqrt(float(lever @ (sample.mean - coefficients))), TINY)
        starts = Starts(self.draw, fine, replace(self.stream, key=self.stream.key ^ 1))
        n = min(CELL * self._bias_cells, sample.particles)

        def changes(number: int) -> tuple[Array, Array]:
            start = starts.cell(number)[: n - number * CELL]
            values = []
            for process in (coarse, fine):
                moved = backend.advance(process, starts.stream, number * CELL, start, lambda: False)
                values.append(layout.modes(process.outward(moved.z.astype(float))) * moved.alive[:, None])
            change = values[0] - values[1]
            along = change @ lever
            return np.stack([change.sum(axis=0), np.sum(change**2, axis=0)]), np.array([along.sum(), along @ along])

        with threads_for(backend) as (pool, _):
            found = list(pool.map(changes, range(-(-n // CELL))))
        mean, square = np.sum([modes for modes, _ in found], axis=0) / n
        along, along_square = np.sum([direction for _, direction in found], axis=0) / n
        factor = 2.0**order / (2.0**order - 1.0)
        spread = math.sqrt(max(float(along_square - along**2), 0.0) / n)
        shift = float(layout.modes.weights @ (mean**2 - (square - mean**2) / n))
        return StepBias(Estimate(factor * float(along), factor * spread), factor * math.sqrt(max(shift, 0.0)))


def rule(number: int, parts: int) -> tuple[float, float]:
    """Shares of a part's length with which its two ends count: Simpson's over pairs of parts, or trapezoidal."""
    if parts % 2:
        return 0.5, 0.5
    return (1.0 / 3.0, 2.0 / 3.0) if number % 2 == 0 else (2.0 / 3.0, 1.0 / 3.0)

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

from controlsde.diffusivity import Diffusivity
from controlsde.drift import Drift
from controlsde.monte_carlo.backends import Backend, choose
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import RUNGE_KUTTA, Process
from controlsde.monte_carlo.processes import Crew
from controlsde.monte_carlo.statistics import Estimate, Sample, mollified_l2, sample_of
from controlsde.monte_carlo.streaming import Draw, Effort, Simulated, Starts, stream_particles, threads_for
from controlsde.monte_carlo.sums import CELL, Layout, Sums

Array = NDArray[np.float64]

WEAK_ORDER = {"euler-maruyama": 1, "heun": 2, RUNGE_KUTTA: 4}
BIAS_CELLS = 4  # cells of particles that measure the bias of the steps; one for drifts that take longer
TIMID = 1e-300


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
        """With the steps that were asked for."""
        return self._process(self.steps_per_piece, 1)

    def _process(self, steps: int, draws: int) -> Process:
        return Process.of(self.drift, self.diffusivity, self.box, self.walls, steps, self.scheme, draws)

    @property
    def layout(self) -> Layout:
        """Of the sums."""
        return Layout.of_box(self.box, self.walls)

    def backend(self, particles: int) -> Backend:
        """What moves so many particles. Raises DeviceError."""
        return choose(self.process, self.device, particles)

    def run(
        self,
        effort: Effort,
        layout: Layout,
        backend: Backend,
        *,
        coefficients: Array | None = None,
        report: Callable[[int, float], None] = lambda _count, _seconds: None,
        crew: Crew | None = None,
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
            crew=crew,
        )

    def step_bias(self, layout: Layout, backend: Backend, sample: Sample, coefficients: Array) -> Estimate:
        """How much the steps shift the mollified L² distance to a density with these coefficients (m,).

        The same Brownian paths are followed with steps h and h/2. To first order the distance changes by Σ l_k Δφ̄_k,
        l_k = w_k (φ̄_k − c_k)/L²; and of a scheme of weak order p the bias at h is 2^p/(2^p − 1) times the change.
        """
        order = WEAK_ORDER[self.process.scheme]
        fine = self._process(2 * self.steps_per_piece, 1)
        coarse = self._process(self.steps_per_piece, 2)
        lever = layout.modes.weights * (sample.mean - coefficients)
        lever /= max(math.sqrt(float(lever @ (sample.mean - coefficients))), TIMID)
        starts = Starts(self.draw, fine, replace(self.stream, key=self.stream.key ^ 1))

        def changes(number: int) -> Array:
            start = starts.cell(number)
            values = []
            for process in (coarse, fine):
                moved = backend.advance(process, starts.stream, number * CELL, start, lambda: False)
                weighed = layout.modes(process.outward(moved.z.astype(float))) @ lever
                values.append(np.where(moved.alive, weighed, 0.0))
            return np.asarray(values[0] - values[1])

        with threads_for(backend) as (pool, _):
            change = np.concatenate(list(pool.map(changes, range(BIAS_CELLS if self.process.network else 1))))
        factor = 2.0**order / (2.0**order - 1.0)
        return Estimate(factor * float(change.mean()), factor * float(change.std()) / math.sqrt(len(change)))

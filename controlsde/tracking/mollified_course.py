"""The mollified distance to a reference at any time, for pieces whose ends move.

    E(t) = Σ_g T_g(t)/sd_g(t),

T_g of `mollified` against p(t), sd_g its standard deviation where the particles are draws of p(t). The norms ‖K_g * p‖²
and sd_g cost much at each time, and are smooth in it: logarithms of both are cubic splines through Chebyshev's points
of [0, T], which are dense where the data are narrow. p(t) itself is exact.

Comes in: a reference, scales, how many particles. Goes out: T_g and sd_g at any t, and ∂E/∂t at fixed particles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from controlsde.reference.free_space import FreeReference
from controlsde.tracking.cloud import Cloud
from controlsde.tracking.mollified import Mollified

Array = NDArray[np.float64]

NODES = 33  # of the splines: see the head; on iris they are right to 1e-4 in between
STEP = 1e-5  # of central differences in time, as a share of T


@dataclass(frozen=True, eq=False)
class MollifiedCourse:
    """scales (G,). logarithms: spline of (log ‖K_g * p(t)‖², log E k², log sd_g), (3, G) at every t."""

    reference: FreeReference
    scales: Array
    logarithms: CubicSpline

    @staticmethod
    def of(reference: FreeReference, scales: Sequence[float], particles: int, seed: Sequence[int]) -> MollifiedCourse:
        """Norms, and null deviations of so many particles, at the nodes. seed: of what these draw."""
        g = np.asarray(scales, dtype=float)
        times = 0.5 * reference.horizon * (1.0 - np.cos(np.pi * np.arange(NODES) / (NODES - 1)))
        rows = []
        for k, t in enumerate(times):
            error = Mollified.of(reference.mixture(float(t)), g)
            deviations = error.null_deviations(particles, np.random.default_rng([*seed, k]))
            rows.append(np.stack([error.log_norms, error.log_squares, np.log(deviations)]))
        return MollifiedCourse(reference, g, CubicSpline(times, np.stack(rows)))

    def at(self, t: float) -> tuple[Mollified, Array]:
        """T_g and sd_g (G,) of a time."""
        norms, squares, deviations = self.logarithms(t)
        return Mollified(self.reference.mixture(t), self.scales, norms, squares), np.exp(deviations)

    def slope(self, t: float, points: Array) -> float:
        """∂E/∂t of particles (n, d) that stay where they are, by central differences of p, at 0 < t < T."""
        here, _ = self.at(t)
        pairs = here.values(Cloud(points)) + 2.0 * here.with_mixture(points).mean(axis=1) - 1.0

        def value(time: float) -> float:
            there, deviations = self.at(time)
            own = pairs * np.exp(here.log_norms - there.log_norms)
            return float(((own - 2.0 * there.with_mixture(points).mean(axis=1) + 1.0) / deviations).sum())

        step = STEP * self.reference.horizon
        return (value(t + step) - value(t - step)) / (2.0 * step)

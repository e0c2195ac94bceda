"""The stochastic process that the peers of the particles race over, as the project poses it."""

from __future__ import annotations

import numpy as np

from benchmarks import sde_peers
from benchmarks.sde_peers import DIFFUSIVITY, HORIZON, PIECES
from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.process import Process


def process(d: int, steps: int, scheme: str = "euler-maruyama") -> Process:
    """The SDE of the peers as we pose it."""
    weights = sde_peers.problem(d)
    box = ((-1.0, 1.0),) * d
    controls = Controls(weights.a, weights.w, weights.b, np.linspace(0.0, HORIZON, PIECES + 1))
    drift = NetworkDrift(Network(d, d, "tanh", False, box), controls)
    return Process.of(drift, Steady(DIFFUSIVITY), box, "reflecting", steps // PIECES, scheme)

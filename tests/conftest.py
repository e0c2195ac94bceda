"""For all tests: the particles' loops are compiled before any of them runs, so that no backend changes on the way.

And numbers that stop being finite unnoticed are warned of, which fails a test: the library itself keeps quiet of them.
"""

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.foundation import surroundings
from controlsde.monte_carlo.backends.numba import simulation as fused
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process


@pytest.fixture(scope="session", autouse=True)
def compiled_loops():
    """With noise and without."""
    box = ((0.0, 1.0),)
    network = Network(1, 1, "tanh", False, box)
    weights = network.split(np.zeros((1, 3)))
    drift = NetworkDrift(network, Controls(*weights, np.array([0.0, 1.0])))
    for diffusivity in (0.0, 1.0):
        fused.simulate(Process.of(drift, Steady(diffusivity), box, "reflecting", 4), Stream(0), 0, np.zeros((1, 1)))
    assert fused.ready(noisy=True)
    assert fused.ready(noisy=False)


@pytest.fixture(scope="session", autouse=True)
def watched_arithmetic():
    """NumPy's own settings inside the library, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "FLOATING_POINT", {**np.geterr()})
        yield

"""Small tracking problems that tests share.

And for all tests: the loops of the particles are compiled before any of them runs, so that no backend changes on the
way, and numbers that stop being finite unnoticed are warned of, which fails a test: the library itself keeps quiet.
"""

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.foundation import surroundings
from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.tracking.tracking_problem import build_tracking
from controlsde.verification import characteristics, verifying

VARYING = {"reference.forward": {"kind": "vp", "schedule": "0.2 + s"}, "mesh.steps_per_piece": 3}
SMALL = {"controls.pieces": 6, "mesh.elements": [6], "mesh.degree": 6}


def build_small(name="two-bumps", **changes):
    problem = load_problem(name, set={**SMALL, **changes})
    return build_tracking(problem, build_reference(problem.reference, problem.domain))


@pytest.fixture(params=[0.0, 1.0], ids=["noise-free", "noisy"])
def tracking(request):
    return build_small(noise=request.param)


@pytest.fixture(params=["noise-free", "noisy", "varying"])
def any_tracking(request):
    """As `tracking`, and with a diffusivity that varies within pieces."""
    if request.param == "varying":
        return build_small(**VARYING)
    return build_small(noise=1.0 if request.param == "noisy" else 0.0)


@pytest.fixture
def small_tracking():
    """Builds a shipped problem on a small mesh: (name, **overrides)."""
    return build_small


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


@pytest.fixture
def few_characteristics(monkeypatch):
    """Fewer points and a looser tolerance than users get: the same check, sooner."""
    monkeypatch.setitem(verifying.CHARACTERISTIC_POINTS, 1, 64)
    monkeypatch.setattr(characteristics, "TOLERANCE", 1e-4)


@pytest.fixture(scope="session", autouse=True)
def watched_arithmetic():
    """NumPy's own settings inside the library, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "FLOATING_POINT", {**np.geterr()})
        yield

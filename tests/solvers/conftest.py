"""Small tracking problems that the solver tests share."""

import pytest

from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.tracking.discrete_problem import build_tracking

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

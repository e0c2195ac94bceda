"""Small tracking problems and made-up results that tests share.

And for all tests: the loops of the particles are compiled before any of them runs, so that no backend changes on the
way, and numbers that stop being finite unnoticed are warned of, which fails a test: the library itself keeps quiet. No
work goes to processes of its own, for pytest's have all processors already, unless a test asks for
`several_processors`.
"""

import os

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation import surroundings
from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process
from controlsde.problem import load_problem
from controlsde.reference import build_reference
from controlsde.tracking.tracking_problem import build_tracking
from controlsde.verification import characteristics, verifying

os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # commands that tests start inherit it

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
def several_processors(monkeypatch):
    """Work may go to processes, as it does outside of tests."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")


@pytest.fixture(scope="session")
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


MADE = """\
name: {name}
description: {description}
domain: {{box: {box}}}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {{kind: uniform}}
noise: {noise}
network: {{width: {width}}}
controls: {{pieces: 4}}
"""


def make_result(
    noise=1.0, *, elements=(8,), degree=6, moments=9, name="small", description="made up", failing=False,
    status="converged", network=True, width=1, broken=False,
):  # fmt: skip
    """A result that nobody solved: a Gaussian that moves, after one that moves a little slower.

    failing: its mesh was too coarse. broken: half-way its density stops being finite. network: or a drift of its own.
    """
    import json

    from controlsde.problem import parse_problem
    from controlsde.result.result import Result
    from controlsde.verification.certificate import Measurements, MonteCarloEvidence, judge
    from controlsde.verification.energy import Energy
    from controlsde.verification.evidence import Fields, TrackingErrors
    from controlsde.verification.promises import Promises

    dimension = len(elements)
    box = [[-2.0, 2.0], [-1.0, 1.0], [-3.0, 3.0]][:dimension]
    text = MADE.format(
        name=json.dumps(name), description=json.dumps(description), box=box, noise=noise, width=width * dimension
    )
    problem = parse_problem(text if network else f"{text}drift: exact\n")
    mesh = Mesh.build(problem.domain.box, "reflecting", elements, degree)
    times, curve_times = np.linspace(0.0, 1.0, moments), np.linspace(0.0, 1.0, 2 * moments - 1)
    spread = 0.1 + 0.1 * noise

    def bump(speed, t):
        x, *others = np.meshgrid(*(axis.grid for axis in mesh.axes), indexing="ij")
        away = (x - speed * (t - 0.5)) ** 2 + sum(y**2 for y in others)
        return np.exp(-away / spread) / (np.pi * spread) ** (dimension / 2)

    density, reference = (np.array([bump(speed, t) for t in times]) for speed in (0.8, 1.0))
    l2 = 0.02 + 0.1 * curve_times * (1 + noise)
    final = float(l2[-1])
    if broken:
        density[moments // 2 :], l2[moments:], final = np.nan, np.nan, float("nan")
    fields = Fields(mesh, times, density, reference, curve_times, l2, curve_times, 0.9 * l2)
    tracking = TrackingErrors(final, final, final, 0.02, 0.1, 0.2, None, 0.3, 0.05)
    particles = MonteCarloEvidence(2000, final + 0.001, 0.004, 0.5, 0.7, 1.0, 0.0, 0.001, "cpu", "numpy")
    measured = Measurements(
        mass_error=1e-13, negative_mass=0.0, resolution=1e-3, refined_l2_change=0.2 if failing else 0.012,
        refinement=1e-4, target_mass=1e-6, target_change=1e-3, characteristics_l2_change=None if noise else 1e-3,
        monte_carlo=particles, gradient_norm=1e-7, nodes=mesh.shape[0], drift_unseen=1e-5,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    m, history = width * dimension, np.geomspace(1.0, 0.01234567, 20)
    history[12] = 0.2
    controls = Controls(
        rng.normal(size=(4, dimension, m)),
        rng.normal(size=(4, m, dimension)),
        rng.normal(size=(4, m)),
        times[:: moments // 4],
    )
    return Result(
        problem=problem, solver="shooting" if network else "exact drift", status=status if network else "given",
        message="stopped early" if status == "not-converged" else status, objective=float(history[-1]), iterations=19,
        seconds={"build": 0.1, "solve": 2.0, "verify": 1.0}, tracking=tracking, discrete=tracking,
        certificate=judge(measured, closed=True, noisy=noise > 0), fields=fields,
        controls=controls if network else None,
        history=np.stack([np.arange(20.0), history, history], axis=1) if network else np.zeros((0, 3)),
        starts=(0.01234567, 0.02, float("nan")) if network else (), versions={"python": "3", "controlsde": "0.1.0"},
        promises=Promises(1.0, 1e-6, *((3.0, final, 2.0, 0.3) if noise else (None, final, None, 0.3, "no bound"))),
        energy=Energy(2.0, 2.0, final, 2.01, 0.02, *((0.5, 0.5) if noise else ())),
    )  # fmt: skip


@pytest.fixture(scope="session")
def made_result():
    """Builds results that nobody solved: (noise, **what is special about them)."""
    return make_result

"""One noise, several programs: the same paths to rounding, and the same bits on one of them in any batch."""

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from controlsde.control.controls import Controls
from controlsde.control.drift import FormulaDrift, NetworkDrift
from controlsde.control.network import ACTIVATIONS, Network
from controlsde.fokker_planck.diffusivity import Steady, Varying
from controlsde.monte_carlo.backends.choice import DeviceError, choose
from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.backends.torch import stepping as tensors
from controlsde.monte_carlo.experiment import Experiment
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import BoxNetwork, Process
from controlsde.problem.formula import Formula
from controlsde.registry import BACKENDS

STREAM = Stream(77)
WALLS = ("reflecting", "periodic", "absorbing")
SCHEMES = ("heun", "euler-maruyama")


def network_process(
    dimension=1,
    width=1,
    activation="tanh",
    tangential=False,
    walls="reflecting",
    scheme="heun",
    diffusivity=0.05,
    steps=8,
    draws=1,
    low=-1.0,
    high=1.0,
):
    box = tuple((low - 0.1 * axis, high + 0.3 * axis) for axis in range(dimension))
    network = Network(dimension, width, activation, tangential, box)
    a, w, b = network.split(network.random_weights(3, np.random.default_rng(1)))
    drift = NetworkDrift(network, Controls(a, w, b, np.array([0.0, 0.2, 0.7, 1.0])))
    return Process.of(drift, Steady(diffusivity), box, walls, steps, scheme, draws)


def start_of(process, count=1500):
    return np.random.default_rng(0).uniform(-1, 1, (count, process.dimension))


def by_numpy(process, first, start):
    return plain.simulate(process, STREAM, np.arange(first, first + len(start), dtype=np.uint64), start)


CASES = [
    *({"walls": walls, "scheme": scheme} for walls, scheme in itertools.product(WALLS, SCHEMES)),
    *({"activation": activation, "dimension": 2, "width": 3} for activation in ACTIVATIONS),
    {"dimension": 3, "width": 2, "walls": "absorbing"},
    {"dimension": 2, "width": 2, "tangential": True, "walls": "periodic"},
    {"draws": 2},
    {"draws": 2, "dimension": 3, "width": 1, "steps": 3},
    {"diffusivity": 5.0, "steps": 3},  # steps that feel both walls
    {"low": 1000.0, "high": 1005.0},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_program_moves_particles_as_the_reference_does(case):
    process = network_process(**case)
    start = start_of(process)
    expected = by_numpy(process, 5, start)
    for moved in (fused.simulate(process, STREAM, 5, start), tensors.simulate(process, STREAM, 5, start)):
        assert_array_equal(moved.alive, expected.alive)
        assert_allclose(moved.z[moved.alive], expected.z[moved.alive], atol=5e-6)
    assert expected.alive.all() == (process.walls != "absorbing")
    assert np.abs(expected.z - start).mean() > 0.1


@pytest.mark.parametrize("walls", WALLS)
def test_without_noise_every_program_agrees_in_double_precision(walls):
    process = network_process(dimension=2, width=2, walls=walls, diffusivity=0.0)
    start = start_of(process)
    expected = by_numpy(process, 0, start)
    for moved in (fused.simulate(process, STREAM, 0, start), tensors.simulate(process, STREAM, 0, start)):
        assert_array_equal(moved.alive, expected.alive)
        assert_allclose(moved.z[moved.alive], expected.z[moved.alive], atol=1e-13)


@pytest.mark.parametrize("walls", WALLS)
def test_compiled_paths_have_the_same_bits_in_any_batch(walls):
    process = network_process(dimension=3, width=2, walls=walls)
    start = start_of(process, 2000)
    whole = fused.simulate(process, STREAM, 0, start)
    for first, count in ((0, 1), (777, 600), (1999, 1)):
        part = fused.simulate(process, STREAM, first, start[first : first + count])
        assert_array_equal(part.z, whole.z[first : first + count])
        assert_array_equal(part.alive, whole.alive[first : first + count])


def test_a_network_in_box_coordinates_is_the_network():
    box = ((-3.0, 1.0), (10.0, 10.5))
    network = Network(2, 3, "softplus", True, box)
    a, w, b = network.split(network.random_weights(2, np.random.default_rng(3)))
    controls = Controls(a, w, b, np.array([0.0, 1.0, 2.0]))
    inside = BoxNetwork.of(network, controls)
    z = np.random.default_rng(4).uniform(-1, 1, (50, 2))
    x = np.array([-1.0, 10.25]) + np.array([2.0, 0.25]) * z
    hidden = np.logaddexp(0, z @ inside.w[1].T + inside.b[1])
    assert_allclose(
        (1 - z**8) * (hidden @ inside.a[1].T) * [2.0, 0.25], network.drift(x, *controls.piece(1)), atol=1e-12
    )


def test_a_coarse_step_follows_the_path_of_the_fine_ones():
    varying = Varying(lambda t: np.exp(t), lambda t: np.exp(t), 0.3)
    drift = FormulaDrift((Formula("0*x", ("x", "t")),), np.array([0.0, 0.5, 1.0]))
    box = ((-100.0, 100.0),)
    start = np.zeros((400, 1))
    fine = by_numpy(Process.of(drift, varying, box, "reflecting", 8), 0, start)
    coarse = by_numpy(Process.of(drift, varying, box, "reflecting", 4, draws=2), 0, start)
    assert_allclose(coarse.z, fine.z, atol=1e-12)
    assert fine.z.std() * 100 == pytest.approx(np.sqrt(2 * 0.3 * (np.e - 1)), rel=0.15)


def test_networks_run_in_compiled_loops_and_other_drifts_on_torch(monkeypatch):
    monkeypatch.setattr(fused, "ready", lambda _noisy: False)
    formula = FormulaDrift((Formula("-x", ("x", "t")),), np.array([0.0, 1.0]))
    assert choose(Process.of(formula, Steady(1.0), ((-1.0, 1.0),), "reflecting", 8), "auto", 10**9).name == "torch"
    assert choose(network_process(), "cpu", 10**9).name == "numba"
    brief = choose(network_process(), "cpu", 1000)
    assert (brief.name, brief.device) == ("torch", "cpu")
    assert "too short" in brief.note
    monkeypatch.setattr(fused, "ready", lambda _noisy: True)
    assert choose(network_process(), "auto", 1000).name == "numba"


def test_particles_for_the_step_bias_count_in_what_compiling_is_worth(monkeypatch):
    monkeypatch.setattr(fused, "ready", lambda _noisy: False)
    network = Network(1, 1, "tanh", False, ((0.0, 1.0),))
    drift = NetworkDrift(network, Controls([[[1.0]]], [[[1.0]]], [[0.0]], [0.0, 1.0]))
    experiment = Experiment(
        drift, Steady(0.1), network.box, "reflecting", lambda n, rng: rng.random((n, 1)), 512, "heun", Stream(1), "cpu"
    )
    assert choose(experiment.process, "cpu", 1000).name == "torch"
    assert experiment.backend(1000).name == "numba"


@pytest.mark.parametrize(("device", "words"), [("tpu", "auto, cpu, cuda"), ("cuda", "no CUDA device")])
def test_a_device_that_is_not_there_is_refused_with_the_cure(device, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=words):
        choose(network_process(), device, 10)


def test_the_reference_is_a_backend_too():
    process = network_process()
    start = start_of(process, 20)
    moved = BACKENDS["numpy"](process, "cpu", 0.0).advance(process, STREAM, 3, start, lambda: False)
    assert_array_equal(moved.z, by_numpy(process, 3, start).z)


def test_a_simulation_on_torch_ends_when_it_is_asked_to():
    asked = iter([False, False, True])
    with pytest.raises(tensors.Stopped):
        tensors.simulate(network_process(), STREAM, 0, np.zeros((10, 1)), stop=lambda: next(asked))
    assert not list(asked)

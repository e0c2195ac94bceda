"""Particles on a CUDA device as `simulate` runs them: on PyTorch for any drift, and counted as on the processor."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from controlsde.control.controls import Controls
from controlsde.control.drift import FormulaDrift, NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.backends.torch import stepping as tensors
from controlsde.monte_carlo.experiment import Experiment
from controlsde.monte_carlo.philox import NORMALS, UNIFORMS, Stream, normals, uniforms
from controlsde.monte_carlo.process import Process
from controlsde.monte_carlo.statistics import mollified_l2, sample_of
from controlsde.monte_carlo.streaming import Effort
from controlsde.problem.formula import Formula

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

STREAM = Stream(77)
BOX = ((-1.0, 2.0), (0.0, 1.0))


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize("scheme", ["heun", "euler-maruyama"])
def test_pytorch_on_the_device_moves_particles_as_the_reference_does(walls, scheme):
    drift = FormulaDrift(tuple(Formula(text, ("x", "y", "t")) for text in ("sin(3*y)-x", "x*t")), np.array([0.0, 0.5]))
    process = Process.of(drift, Steady(0.05), BOX, walls, 8, scheme)
    start = np.random.default_rng(0).uniform(-1, 1, (2000, 2))
    expected = plain.simulate(process, STREAM, np.arange(5, 2005, dtype=np.uint64), start)
    moved = tensors.simulate(process, STREAM, 5, start, "cuda")
    assert_array_equal(moved.alive, expected.alive)
    assert_allclose(moved.z[moved.alive], expected.z[moved.alive], atol=1e-5)


def test_the_numbers_on_the_device_are_those_of_the_reference():
    first, particles = 2**32 - 100, np.arange(2**32 - 100, 2**32 + 500, dtype=np.uint64)
    numbers = tensors.Numbers(STREAM, first, 600, 3, torch.device("cuda"))
    for step in (0, 5):
        assert_allclose(numbers.normals(step).cpu().numpy().T, normals(STREAM, particles, step, 3), atol=1e-5)
        assert_array_equal(numbers.uniforms(step, 3).cpu().numpy().T, uniforms(STREAM, particles, step, 3))
    assert numbers.held == {NORMALS: 1, UNIFORMS: 1}


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_network_is_counted_on_the_device_as_on_the_processor(dimension):
    box = BOX[:dimension]
    network = Network(dimension, 2, "tanh", False, box)
    weights = network.split(network.random_weights(3, np.random.default_rng(1)))
    drift = NetworkDrift(network, Controls(*weights, np.linspace(0.0, 1.0, 4)))
    low, high = np.array(box).T
    here = Experiment(
        drift, Steady(0.1), box, "reflecting", lambda n, rng: rng.uniform(low, high, (n, dimension)), 8, "heun", STREAM,
        "cpu",
    )  # fmt: skip
    there = dataclasses.replace(here, device="cuda")
    samples = []
    for experiment in (here, there):
        backend = experiment.backend(10**9)
        sums = experiment.run(Effort(100_000), here.layout, backend).sums
        samples.append(sample_of(here.layout, sums))
        assert (sums.count, sums.alive[0]) == (100_000, 100_000)
    assert there.backend(10**9).name == "triton"
    modes = here.layout.modes
    assert_allclose(samples[1].mean, samples[0].mean, atol=2e-4 * modes.peaks.max())  # a few particles change a bin
    assert mollified_l2(modes, samples[1], samples[0].mean).value < 5e-3

"""The particles of the CUDA kernels on a device: those of the reference, and sums of the same bits every time."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.backends.numpy import stepping as plain
from controlsde.monte_carlo.backends.triton import stepping as fused_cuda
from controlsde.monte_carlo.backends.triton.stepping import UNIT
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Process

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
pytest.importorskip("triton")

DEVICE = "cuda"
STREAM = Stream.of(3, "cuda", 1.0)
FIRST = 2**32 - 1000
COUNT = 20_000


def process(d, m=2, activation="tanh", tangential=False, walls="reflecting", scheme="heun", diffusivity=0.1, **clock):
    """Two pieces of a random network on a box that is not centred."""
    box = ((-1.5, 1.0),) * d
    network = Network(d, m, activation, tangential, box)
    weights = network.split(network.random_weights(2, np.random.default_rng(d + m)))
    drift = NetworkDrift(network, Controls(*weights, np.array([0.0, 0.4, 1.0])))
    return Process.of(drift, Steady(diffusivity), box, walls, **{"steps_per_piece": 6, **clock}, scheme=scheme)


def starts(count, d):
    return np.random.default_rng(1).uniform(-1.0, 1.0, (count, d))


CASES = {
    "euler-in-1": partial(process, 1, 1, scheme="euler-maruyama"),
    "heun-in-1": partial(process, 1, 1),
    "whole-groups-of-steps": partial(process, 1, 2, steps_per_piece=8),
    "heun-in-2": partial(process, 2),
    "heun-in-3": partial(process, 3, 3),
    "heun-in-8": partial(process, 8, 8),
    "euler-in-16": partial(process, 16, 16, scheme="euler-maruyama"),
    "periodic": partial(process, 2, walls="periodic", diffusivity=0.5),
    "absorbing": partial(process, 2, walls="absorbing"),
    "absorbing-euler": partial(process, 3, 1, walls="absorbing", scheme="euler-maruyama", diffusivity=0.01),
    "steps-that-feel-both-walls": partial(process, 1, 1, diffusivity=30.0),
    "tangential": partial(process, 2, tangential=True),
    "sigmoid": partial(process, 1, activation="sigmoid"),
    "softplus": partial(process, 1, activation="softplus"),
    "sin": partial(process, 1, activation="sin"),
    "relu": partial(process, 1, activation="relu"),
    "two-draws": partial(process, 1, draws=2),
}


@pytest.mark.parametrize("case", CASES)
def test_with_noise_particles_end_where_the_reference_takes_them(case):
    # The chip's logarithm errs by 2⁻²² near 1, a radius ρ of Box and Muller thus by about 2⁻²²/ρ: hardly ever much.
    of = CASES[case]()
    start = starts(COUNT, of.dimension)
    found = fused_cuda.simulate(of, STREAM, FIRST, start, DEVICE)
    expected = plain.simulate(of, STREAM, np.arange(FIRST, FIRST + COUNT, dtype=np.uint64), start)
    assert np.mean(found.alive != expected.alive) < 1e-4
    apart = (found.z - expected.z)[expected.alive & found.alive]
    if of.walls == "periodic":
        apart -= 2.0 * np.round(0.5 * apart)
    scale = 1.0 + 5.0 * float(of.deviation.max())
    assert np.quantile(np.abs(apart), 0.99) < 1e-5 * scale
    assert np.quantile(np.abs(apart), 0.9999) < 1e-3 * scale
    assert abs(apart.mean()) < 1e-6 * scale
    assert np.abs(found.z - start).max() > 0.01


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
def test_without_noise_particles_agree_to_double_precision(walls):
    of = process(3, 3, walls=walls, diffusivity=0.0, steps_per_piece=16)
    start = starts(COUNT, 3)
    found = fused_cuda.simulate(of, STREAM, FIRST, start, DEVICE)
    expected = plain.simulate(of, STREAM, np.arange(FIRST, FIRST + COUNT, dtype=np.uint64), start)
    assert_array_equal(found.alive, expected.alive)
    apart = (found.z - expected.z)[expected.alive]
    if walls == "periodic":
        apart -= 2.0 * np.round(0.5 * apart)
    assert np.abs(apart).max() < 1e-12


def whole(reduced):
    """All sums in one row."""
    sums = (reduced.histogram, reduced.powers, reduced.products, reduced.waves)
    return np.concatenate([[reduced.count, reduced.alive], *(part.ravel() for part in sums)])


@pytest.mark.parametrize("build", [partial(process, 2, walls="absorbing"), partial(process, 1, diffusivity=0.0)])
def test_sums_are_the_same_bits_again_and_in_parts(build):
    of = build()
    start = starts(COUNT, of.dimension)
    first = fused_cuda.reduce(of, STREAM, FIRST, start, DEVICE)
    assert_array_equal(whole(fused_cuda.reduce(of, STREAM, FIRST, start, DEVICE)), whole(first))
    middle = COUNT // 3  # in the middle of a block
    parts = fused_cuda.reduce(of, STREAM, FIRST, start[:middle], DEVICE)
    parts += fused_cuda.reduce(of, STREAM, FIRST + middle, start[middle:], DEVICE)
    assert_array_equal(whole(parts), whole(first))


def test_sums_are_those_of_the_positions():
    of, bins, modes = process(2, walls="absorbing"), 64, 128
    start = starts(COUNT, 2)
    moved = fused_cuda.simulate(of, STREAM, FIRST, start, DEVICE)
    found = fused_cuda.reduce(of, STREAM, FIRST, start, DEVICE, bins, modes)
    z = moved.z[moved.alive].astype(float)
    assert found.alive == len(z)
    assert_array_equal(found.histogram.sum(axis=1), len(z))
    expected = [np.histogram(axis, bins, (-1.0, 1.0))[0] for axis in z.T]
    assert np.abs(found.histogram - expected).sum() <= 4  # beside an edge
    assert_allclose(found.powers * UNIT, [(z**p).sum(axis=0) for p in (1, 2, 3, 4)], atol=2e-7 * len(z))
    assert_allclose(found.products[0] * UNIT, z.T @ z, atol=2e-7 * len(z))
    assert_allclose(found.products[1] * UNIT, (z * z).T @ (z * z), atol=2e-7 * len(z))
    waves = np.cos(0.5 * np.pi * np.arange(modes) * (z[:, :, None] + 1.0)).sum(axis=0)
    assert np.all(np.abs(found.waves * UNIT - waves) < len(z) * (UNIT + 1e-7 * np.arange(modes)))

"""The generator: published vectors in every program, normal numbers, and a pure function of where a number is used."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from controlsde.monte_carlo import philox
from controlsde.monte_carlo.backends.numba import arithmetic
from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.backends.torch import stepping as tensors
from controlsde.monte_carlo.philox import NORMALS, UNIFORMS, Stream

# counter, key, words: the vectors of Random123 for philox4x32 with ten rounds
VECTORS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@arithmetic.compiled
def _words(c0, c1, c2, c3, k0, k1):
    return arithmetic.philox(c0, c1, c2, c3, k0, k1)


def in_numpy(counter, key):
    return [int(word) for word in philox.philox(tuple(np.array(c, np.uint32) for c in counter), key)]


def in_torch(counter, key):
    return [int(word) for word in tensors.philox(tuple(torch.tensor([c]) for c in counter), key)]


def compiled(counter, key):
    return [int(word) for word in _words(*map(np.uint32, (*counter, *key)))]


@pytest.mark.parametrize("generator", [in_numpy, in_torch, compiled])
@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_every_program_gives_the_published_words(generator, counter, key, words):
    assert tuple(generator(counter, key)) == words


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_every_program_gives_the_same_numbers(dimension):
    stream, first, count = Stream(0x0123456789ABCDEF), 2**32 - 100, 600  # the particles' number passes 32 bits
    particles = np.arange(first, first + count, dtype=np.uint64)
    here = tensors.Numbers(stream, first, count, dimension, torch.device("cpu"))
    for step in (0, 3, 4, 9):
        expected = philox.normals(stream, particles, step, dimension)
        assert_allclose(here.normals(step).numpy().T, expected, atol=1e-6)
        assert_array_equal(
            here.uniforms(step, dimension).numpy().T, philox.uniforms(stream, particles, step, dimension)
        )
    elsewhere = here._fill_anywhere(NORMALS, 7)
    assert_allclose(elsewhere, here._fill_on_processor(NORMALS, 7), atol=1e-6)
    assert_array_equal(here._fill_anywhere(UNIFORMS, 7), here._fill_on_processor(UNIFORMS, 7))


def test_normal_numbers_are_normal_in_bulk_and_tails():
    rows = np.empty((4, 500_000), np.float32)
    fused.fill(NORMALS, Stream(3), 0, 11, rows)
    sample = rows.ravel().astype(float)
    n = len(sample)
    assert stats.kstest(sample, "norm").pvalue > 1e-3
    for power, spread in ((1, 1.0), (2, 2.0), (3, 15.0), (4, 96.0), (6, 10170.0)):  # variances of the powers
        exact = {1: 0, 2: 1, 3: 0, 4: 3, 6: 15}[power]
        assert abs(np.mean(sample**power) - exact) < 4 * np.sqrt(spread / n)
    beyond = np.count_nonzero(np.abs(sample) > 4)
    expected = n * 2 * stats.norm.sf(4)
    assert abs(beyond - expected) < 4 * np.sqrt(expected)


def test_numbers_of_particles_steps_dimensions_and_purposes_are_uncorrelated():
    particles = np.arange(200_000, dtype=np.uint64)
    columns = [philox.normals(Stream(1), particles, step, 3) for step in range(5)]
    columns += [stats.norm.ppf(philox.uniforms(Stream(1), particles, 0, 3) * (1 - 1e-7))]
    columns += [philox.normals(Stream(2), particles, 0, 3), np.roll(columns[0], 1, axis=0)]
    correlation = np.corrcoef(np.concatenate(columns, axis=1).T)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 5 / np.sqrt(len(particles))


def test_a_number_depends_on_the_particle_and_not_on_its_neighbours():
    stream, particles = Stream(9), np.array([5, 1_000_003, 7], dtype=np.uint64)
    together = philox.normals(stream, particles, 6, 2)
    for row, particle in zip(together, particles, strict=True):
        assert_array_equal(philox.normals(stream, np.array([particle]), 6, 2)[0], row)
    for first, count in ((0, 4096), (1000, 513)):
        rows = np.empty((4, count), np.float32)
        fused.fill(NORMALS, stream, first, 3, rows)
        if first == 0:
            whole = rows
    assert_array_equal(rows, whole[:, 1000:1513])


def test_streams_differ_by_seed_problem_noise_and_repetition():
    streams = {
        Stream.of(seed, problem, noise, repetition).key
        for seed in (0, 1)
        for problem in ("two-bumps", "jump")
        for noise in (0.0, 0.5, 1.0)
        for repetition in (0, 1)
    }
    assert len(streams) == 24
    assert Stream.of(0, "jump", 1, 0) == Stream.of(0, "jump", 1.0)

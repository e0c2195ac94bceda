"""Random numbers as a pure function of (stream, particle, step, dimension): Philox 4×32-10, written to be read.

Comes in: a key of 64 bits, which names the stream, and integers. Goes out: words, normal and uniform numbers. Nothing
has a state, so paths do not depend on batches, threads, processes or devices.

Layout of the counter (four words of 32 bits):

    (particle, low word)  (particle, high word)  (block)  (purpose)

The normal number of step s and dimension c of d has the index n = s·d + c: block n // 4, and n % 4 within the four
normals that one call of the generator gives, by Box and Muller from two words each,

    r = √(−2 log u),  u = (word + ½)/2³²;    (r cos α, r sin α),  α = 2π word′/2³².

The uniform numbers, for walls, are the words of another purpose in the same order.

Source: Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3 (2011); their test vectors are tests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # what a key grows by from round to round
NORMALS, UNIFORMS = 0, 1  # purposes
LANES = 4  # numbers of one call
LOW = 0xFFFFFFFF
UNIT = 2.0**-32


@dataclass(frozen=True)
class Stream:
    """A key of 64 bits: independent random numbers for every key."""

    key: int

    @staticmethod
    def of(seed: int, problem: str, noise: float, repetition: int = 0) -> Stream:
        """The stream of one problem (by name), noise level η and repetition, under a seed."""
        text = f"{seed}\n{problem}\n{float(noise)!r}\n{repetition}"
        return Stream(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))

    @property
    def words(self) -> tuple[int, int]:
        """The key as two words of 32 bits, low first."""
        return self.key & LOW, self.key >> 32

    def generator(self, number: int) -> np.random.Generator:
        """NumPy's generator for things that are drawn whole: the starts of one cell of particles, resamples."""
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.key, number])))


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds over arrays of counters, each of the same shape."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = c0 * np.uint64(MULTIPLIERS[0]), c2 * np.uint64(MULTIPLIERS[1])  # 32 × 32 bits fill 64
        c0, c1, c2, c3 = (
            (second >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            second & np.uint64(LOW),
            (first >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            first & np.uint64(LOW),
        )
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return c0.astype(np.uint32), c1.astype(np.uint32), c2.astype(np.uint32), c3.astype(np.uint32)


def words(stream: Stream, particles: NDArray[np.uint64], block: int, purpose: int) -> Words:
    """The four words of one block for each particle: shape (4, n)."""
    shape = particles.shape
    counter = (
        (particles & np.uint64(LOW)).astype(np.uint32),
        (particles >> np.uint64(32)).astype(np.uint32),
        np.full(shape, block, np.uint32),
        np.full(shape, purpose, np.uint32),
    )
    return np.stack(philox(counter, stream.words))


def unit(word: Words) -> Floats:
    """(word + ½)/2³² in (0, 1], rounded to single precision as every backend does it."""
    return word.astype(np.float32) * np.float32(UNIT) + np.float32(0.5 * UNIT)


def box_muller(first: Words, second: Words) -> tuple[Floats, Floats]:
    """Two normal numbers from two words."""
    radius = np.sqrt(-2.0 * np.log(unit(first).astype(np.float64)))
    angle = np.pi * (second.view(np.int32).astype(np.float32) * np.float32(2.0 * UNIT)).astype(np.float64)
    return (radius * np.cos(angle)).astype(np.float32), (radius * np.sin(angle)).astype(np.float32)


def normals(stream: Stream, particles: NDArray[np.uint64], step: int, dimension: int) -> Floats:
    """The normal numbers of one step: shape (n, d)."""
    numbers = step * dimension + np.arange(dimension)
    drawn: dict[int, tuple[Floats, ...]] = {}
    for block in np.unique(numbers // LANES):
        four = words(stream, particles, int(block), NORMALS)
        drawn[int(block)] = (*box_muller(four[0], four[1]), *box_muller(four[2], four[3]))
    return np.stack([drawn[n // LANES][n % LANES] for n in numbers.tolist()], axis=1)


def uniforms(stream: Stream, particles: NDArray[np.uint64], step: int, dimension: int) -> Floats:
    """The uniform numbers of one step, in (0, 1]: shape (n, d)."""
    numbers = step * dimension + np.arange(dimension)
    drawn = {int(block): words(stream, particles, int(block), UNIFORMS) for block in np.unique(numbers // LANES)}
    return unit(np.stack([drawn[n // LANES][n % LANES] for n in numbers.tolist()], axis=1))

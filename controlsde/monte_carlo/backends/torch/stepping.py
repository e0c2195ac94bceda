"""The simulation on PyTorch, for any drift and any device: a structure of arrays, step by step, in place.

Comes in: a `Process`, a `Stream`, positions of a chunk of particles. Goes out: positions at T. Schemes and walls are
those of the backend `numpy`. On the processor the numbers of the generator come from the compiled loops of `numba`, and
walls look at the particles near them alone; on CUDA both are dense, so that no step waits for the device to answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from controlsde.monte_carlo.backends.numba import stepping as fused
from controlsde.monte_carlo.philox import LANES, LOW, MULTIPLIERS, NORMALS, ROUNDS, UNIFORMS, UNIT, WEYL, Stream
from controlsde.monte_carlo.process import NO_WALLS, TOUCHING, WIDEST, Positions, Process
from controlsde.monte_carlo.walls import fold, wrap

FARTHEST = 16.0  # box lengths from zero within which single precision is enough to evaluate a drift at X


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The simulation was asked to stop before its end."""


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Four words from counters and a key, in integers of 64 bits that hold 32 (see `philox.py`)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        first, second = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # modulo 2⁶⁴, which keeps all 64 bits
        c0 = ((second >> 32) & LOW) ^ c1 ^ k0
        c2 = ((first >> 32) & LOW) ^ c3 ^ k1
        c1, c3 = second & LOW, first & LOW
        k0, k1 = (k0 + WEYL[0]) & LOW, (k1 + WEYL[1]) & LOW
    return c0, c1, c2, c3


def unit(word: Tensor) -> Tensor:
    """(word + ½)/2³² in (0, 1], in single precision."""
    return word.float() * UNIT + 0.5 * UNIT


def box_muller(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two normal numbers from two words."""
    radius = (-2.0 * unit(first).log()).sqrt()
    signed = torch.where(second > LOW >> 1, second - (LOW + 1), second)
    angle = math.pi * (signed.float() * (2.0 * UNIT))
    return radius * angle.cos(), radius * angle.sin()


class Numbers:
    """The normal and uniform numbers of a chunk of particles, four steps at a time: rows of shape (n,)."""

    def __init__(self, stream: Stream, first: int, count: int, dimension: int, device: torch.device) -> None:
        self.stream, self.first, self.count, self.dimension, self.device = stream, first, count, dimension, device
        self.held = {NORMALS: -1, UNIFORMS: -1}
        self.rows: dict[int, Tensor] = {}

    def normals(self, step: int) -> Tensor:
        """(d, n) of one step."""
        return self._rows(NORMALS, step, self.dimension)

    def uniforms(self, step: int, dimension: int) -> Tensor:
        """(dimension, n) of one step."""
        return self._rows(UNIFORMS, step, dimension)

    def _rows(self, purpose: int, step: int, dimension: int) -> Tensor:
        if self.held[purpose] != step // LANES:
            self.held[purpose] = step // LANES
            fill = self._fill_on_processor if self.device.type == "cpu" else self._fill_anywhere
            self.rows[purpose] = torch.cat(
                [fill(purpose, step // LANES * dimension + call) for call in range(dimension)]
            )
        begin = step % LANES * dimension
        return self.rows[purpose][begin : begin + dimension]

    def _fill_on_processor(self, purpose: int, block: int) -> Tensor:
        rows = np.empty((LANES, self.count), np.float32)
        fused.fill(purpose, self.stream, self.first, block, rows)
        return torch.from_numpy(rows)

    def _fill_anywhere(self, purpose: int, block: int) -> Tensor:
        particle = torch.arange(self.first, self.first + self.count, device=self.device)
        counter = (
            particle & LOW,
            particle >> 32,
            torch.full_like(particle, block),
            torch.full_like(particle, purpose),
        )
        a, b, c, d = philox(counter, self.stream.words)
        if purpose == UNIFORMS:
            return torch.stack([unit(a), unit(b), unit(c), unit(d)])
        return torch.stack([*box_muller(a, b), *box_muller(c, d)])


def simulate(
    process: Process,
    stream: Stream,
    first: int,
    start: np.ndarray[tuple[int, ...], np.dtype[np.floating]],
    device: str = "cpu",
    stop: Callable[[], bool] = lambda: False,
) -> Positions:
    """Move particles first, first + 1, … from start (n, d), in box coordinates, to the end.

    stop is asked before every step. Raises Stopped when it says yes.
    """
    where = torch.device(device)
    precision = torch.float32 if process.noisy else torch.float64
    z = torch.as_tensor(np.ascontiguousarray(start.T), dtype=precision, device=where)
    alive = torch.ones(z.shape[1], dtype=torch.bool, device=where)
    numbers = Numbers(stream, first, z.shape[1], process.dimension, where)
    motion = _Motion(process, numbers, z)
    with torch.no_grad():
        for s in range(process.clock.steps):
            if stop():
                raise Stopped
            z, alive = motion.step(s, z, alive)
    return Positions(z.T.cpu().numpy(), alive.cpu().numpy())


class _Motion:
    """One step after another of a chunk of particles z (d, n)."""

    def __init__(self, process: Process, numbers: Numbers, like: Tensor) -> None:
        self.process, self.numbers = process, numbers
        far = any(max(abs(low), abs(high)) > FARTHEST * (high - low) for low, high in process.box)
        self.precision = torch.float64 if far else like.dtype
        self.centre = torch.as_tensor(process.centre, dtype=self.precision, device=like.device)
        self.half = torch.as_tensor(process.half, dtype=self.precision, device=like.device)
        self.deviation = torch.as_tensor(process.deviation, dtype=like.dtype, device=like.device)[..., None]

    def step(self, s: int, z: Tensor, alive: Tensor) -> tuple[Tensor, Tensor]:
        process = self.process
        after = self._advance(s, z)
        variance = process.variance[s]
        if process.walls == "absorbing":
            uniform = self.numbers.uniforms(s, 1)[0] if process.noisy else None
            alive = alive & survives(z, after, variance, uniform)
        if process.walls == "reflecting" and process.scheme == "heun":
            after = self._push(s, z, after, variance)
        return place(process.walls, after), alive

    def _advance(self, s: int, z: Tensor) -> Tensor:
        clock = self.process.clock
        piece, t, h = int(clock.piece[s]), float(clock.begin[s]), float(clock.length[s])
        walls = self.process.walls
        if not self.process.noisy:
            k1 = self._velocity(piece, t, z)
            k2 = self._velocity(piece, t + 0.5 * h, place(walls, z + 0.5 * h * k1))
            k3 = self._velocity(piece, t + 0.5 * h, place(walls, z + 0.5 * h * k2))
            k4 = self._velocity(piece, t + h, place(walls, z + h * k3))
            return z + (h / 6.0) * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        shock = torch.zeros_like(z)
        for q in range(clock.draws):
            shock.addcmul_(self.deviation[s, q], self.numbers.normals(s * clock.draws + q))
        first = self._velocity(piece, t, z)
        if self.process.scheme == "euler-maruyama":
            return shock.add_(first, alpha=h).add_(z)
        second = self._velocity(piece, t + h, place(walls, (z + shock).add_(first, alpha=h)))
        return shock.add_(first.add_(second), alpha=0.5 * h).add_(z)

    def _velocity(self, piece: int, t: float, z: Tensor) -> Tensor:
        x = self.centre + self.half * z.T.to(self.precision)
        return (self.process.drift.torch_values(piece, t, x) / self.half).T.to(z.dtype).contiguous()

    def _push(self, s: int, z: Tensor, after: Tensor, variance: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Tensor:
        dense = z.device.type != "cpu"
        for c in range(len(z)):
            if variance[c] > WIDEST:
                continue
            if dense:
                after[c] = push_back(z[c], after[c], float(variance[c]), self.numbers.uniforms(s, len(z))[c])
                continue
            low, high = (1.0 + z[c]) * (1.0 + after[c]), (1.0 - z[c]) * (1.0 - after[c])
            near = low.minimum(high) < TOUCHING * float(variance[c])
            if bool(near.any()):
                uniform = self.numbers.uniforms(s, len(z))[c]
                after[c, near] = push_back(z[c, near], after[c, near], float(variance[c]), uniform[near])
        return after


def place(walls: str, z: Tensor) -> Tensor:
    """Into the box: by whole periods, or folded (absorbed ones may be anywhere)."""
    if walls == NO_WALLS:
        return z
    return wrap(z, -1.0, 1.0) if walls == "periodic" else fold(z, -1.0, 1.0)


def push_back(before: Tensor, after: Tensor, variance: float, uniform: Tensor) -> Tensor:
    """Where steps end when the walls reflect, (n,), as in `numpy.stepping.push_back`; not folded yet."""
    swing = ((after - before) ** 2 - 2.0 * variance * uniform.log()).sqrt()
    middle = 0.5 * (before + after)
    up = (0.5 * swing - middle - 1.0).clamp(min=0.0)
    down = (middle + 0.5 * swing - 1.0).clamp(min=0.0)
    return after + (up - down)


def survives(
    before: Tensor,
    after: Tensor,
    variance: np.ndarray[tuple[int], np.dtype[np.float64]],
    uniform: Tensor | None,
) -> Tensor:
    """Which particles (n,) a step leaves alive, as in `numpy.stepping.survives`; positions (d, n)."""
    inside = (after.abs() < 1.0).all(dim=0)
    if uniform is None:
        return inside
    rate = torch.as_tensor(-2.0 / variance, dtype=after.dtype, device=after.device)[:, None]
    low = (rate * (1.0 + before) * (1.0 + after)).exp().clamp(max=1.0)
    high = (rate * (1.0 - before) * (1.0 - after)).exp().clamp(max=1.0)
    stays = ((1.0 - low) * (1.0 - high)).prod(dim=0)
    return inside & (uniform <= stays) & (stays > 0.0)

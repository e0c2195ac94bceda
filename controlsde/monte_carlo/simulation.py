"""Particles of dX = v(t, X) dt + √(2D(t)) dW between walls: a plain simulation on PyTorch.

Comes in: a drift by piece, initial positions, an integer clock (piece, step). Goes out: positions at T.

With noise: the stochastic Heun scheme, of weak order 2 for additive noise inside the domain, pushed back at the walls
as a path that touches them is (see `walls`)

    X̃ = X + v(t, X) h + √(2D) ΔW,      X⁺ = X + ½ (v(t, X) + v(t + h, X̃)) h + √(2D) ΔW;

with √(2D) ΔW of the exact variance 2∫D dt where D varies (which keeps the weak order); without noise: the classical
Runge–Kutta scheme of order 4, with a quarter of the steps. Time is counted in whole steps of
a piece, so that no particle ever sees the weights of another piece. Random numbers depend on (seed, chunk) alone,
with chunks of a fixed size, so results do not depend on memory or threads.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.diffusivity import Diffusivity
from controlsde.drift import Drift
from controlsde.monte_carlo.walls import fold, push_back, survives, wrap

Array = NDArray[np.float64]

CHUNK = 16_384
FARTHEST = 16.0  # box lengths from zero for which single precision is enough


@dataclass(frozen=True, eq=False)
class Particles:
    """Positions at T (n, d) and which particles are alive (n,): all, unless the walls absorb."""

    positions: Array
    alive: NDArray[np.bool_]


@dataclass(frozen=True)
class Setting:
    """Everything but the drift and the positions: D(t), walls, box, steps a piece, seed."""

    diffusivity: Diffusivity
    walls: str
    box: tuple[tuple[float, float], ...]
    steps_per_piece: int
    seed: int


def simulate(
    drift: Drift, initial: Array, setting: Setting, report: Callable[[float], None] = lambda _: None
) -> Particles:
    """Move particles from initial positions (n, d) at t = 0 to the end of the drift's last piece.

    report receives the finished fraction.
    """
    firsts = range(0, len(initial), CHUNK)
    stop = threading.Event()

    def run(number: int) -> tuple[Tensor, Tensor]:
        seed = int(np.random.SeedSequence([setting.seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        generator = torch.Generator().manual_seed(seed)
        chunk = torch.from_numpy(np.ascontiguousarray(initial[firsts[number] : firsts[number] + CHUNK]))
        return _simulate_chunk(drift, chunk, setting, generator, stop)

    done: list[tuple[Tensor, Tensor]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one chunk a thread instead: chunks fit the cache, and nothing waits
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for chunk in pool.map(run, range(len(firsts))):
            done.append(chunk)
            report(len(done) / len(firsts))
    finally:
        stop.set()  # after an interruption, running chunks end at their next step
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
    return Particles(
        np.concatenate([moved.numpy() for moved, _ in done]),
        np.concatenate([living.numpy() for _, living in done]),
    )


def _simulate_chunk(
    drift: Drift, start: Tensor, setting: Setting, generator: torch.Generator, stop: threading.Event
) -> tuple[Tensor, Tensor]:
    noisy = setting.diffusivity.mean(float(drift.edges[0]), float(drift.edges[-1])) > 0
    x = start.float() if noisy and _near_zero(setting.box) else start
    low, high = (x.new_tensor(side) for side in zip(*setting.box, strict=True))
    alive = torch.ones(len(x), dtype=torch.bool)
    steps = setting.steps_per_piece if noisy else max(1, math.ceil(setting.steps_per_piece / 4))
    place = wrap if setting.walls == "periodic" else fold
    for piece, (begin, end) in enumerate(zip(drift.edges[:-1], drift.edges[1:], strict=True)):
        h = float(end - begin) / steps
        for step in range(steps):
            if stop.is_set():
                break
            t = float(begin) + step * h
            variance = 2.0 * h * setting.diffusivity.mean(t, t + h) if noisy else 0.0  # of the noise of this step
            if noisy:
                shock = torch.randn(x.shape, generator=generator) * math.sqrt(variance)
                after = _heun(drift, piece, t, h, x, shock, lambda y: place(y, low, high))
            else:
                after = _runge_kutta(drift, piece, t, h, x, lambda y: place(y, low, high))
            if setting.walls == "absorbing":
                uniform = torch.rand(len(x), generator=generator)
                alive &= survives(x, after, low, high, variance, uniform.to(x))
            if noisy and setting.walls == "reflecting":
                x = push_back(x, after, low, high, variance, lambda n: torch.rand(n, generator=generator).to(low))
            else:
                x = place(after, low, high)
    return x.double(), alive


def _near_zero(box: tuple[tuple[float, float], ...]) -> bool:
    """Whether single precision places a particle in the box well enough for the noise to hide its rounding."""
    return all(max(abs(low), abs(high)) <= FARTHEST * (high - low) for low, high in box)


def _heun(
    drift: Drift, piece: int, t: float, h: float, x: Tensor, shock: Tensor, place: Callable[[Tensor], Tensor]
) -> Tensor:
    first = drift.torch_values(piece, t, x)
    second = drift.torch_values(piece, t + h, place(x + h * first + shock))
    return x + 0.5 * h * (first + second) + shock


def _runge_kutta(drift: Drift, piece: int, t: float, h: float, x: Tensor, place: Callable[[Tensor], Tensor]) -> Tensor:
    k1 = drift.torch_values(piece, t, x)
    k2 = drift.torch_values(piece, t + 0.5 * h, place(x + 0.5 * h * k1))
    k3 = drift.torch_values(piece, t + 0.5 * h, place(x + 0.5 * h * k2))
    k4 = drift.torch_values(piece, t + h, place(x + h * k3))
    return x + (h / 6.0) * (k1 + 2 * k2 + 2 * k3 + k4)

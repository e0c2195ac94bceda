"""The simulation in NumPy and double precision, to be read: what every other backend has to agree with.

With noise, one of two schemes, with ΔW of the exact variance ∫2D dt of the step:

- Euler–Maruyama, of weak order 1, folded at reflecting walls:      Z⁺ = F(Z + v h + ΔW);
- stochastic Heun, of weak order 2 for additive noise inside the domain, pushed back at reflecting walls as a path that
  touches them is (see `push_back`):

      Z̃ = F(Z + v(t, Z) h + ΔW),      Z⁺ = Z + ½ (v(t, Z) + v(t + h, Z̃)) h + ΔW.

Without noise, Runge and Kutta's scheme of order 4. Absorbing walls kill within a step, too (see `survives`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.philox import Stream, normals, uniforms
from controlsde.monte_carlo.process import NO_WALLS, WIDEST, Positions, Process

Array = NDArray[np.float64]


def simulate(process: Process, stream: Stream, particles: NDArray[np.uint64], start: Array) -> Positions:
    """Move particles of these numbers (n,) from start (n, d), in box coordinates, to the end."""
    positions = Positions(start, np.ones(len(start), dtype=bool))
    for positions in steps(process, stream, particles, start):  # noqa: B007 - the last one is wanted
        pass
    return positions


def steps(process: Process, stream: Stream, particles: NDArray[np.uint64], start: Array) -> Iterator[Positions]:
    """Where the particles are after every step."""
    z = np.array(start, dtype=float)
    alive = np.ones(len(z), dtype=bool)
    for s in range(process.clock.steps):
        after = advance(process, stream, particles, s, z)
        if process.walls == "absorbing":
            uniform = uniforms(stream, particles, s, 1)[:, 0] if process.noisy else np.ones(len(z))
            alive = alive & survives(z, after, process.variance[s], uniform)
        if process.walls == "reflecting" and process.scheme == "heun":
            z = push_back(z, after, process.variance[s], uniforms(stream, particles, s, process.dimension))
        else:
            z = place(process.walls, after)
        yield Positions(z, alive)


def advance(process: Process, stream: Stream, particles: NDArray[np.uint64], s: int, z: Array) -> Array:
    """Where step s takes particles, before walls act on its end: (n, d)."""
    piece, t, h = int(process.clock.piece[s]), float(process.clock.begin[s]), float(process.clock.length[s])

    def velocity(fraction: float, at: Array) -> Array:
        return np.asarray(process.drift.values(piece, t + fraction * h, process.outward(at)) / process.half)

    def inside(y: Array) -> Array:
        return place(process.walls, y)

    if not process.noisy:
        return _runge_kutta(velocity, inside, h, z)
    shock = noise(process, stream, particles, s)
    first = velocity(0.0, z)
    if process.scheme == "euler-maruyama":
        return np.asarray(z + h * first + shock)
    second = velocity(1.0, inside(z + h * first + shock))
    return np.asarray(z + 0.5 * h * (first + second) + shock)


def noise(process: Process, stream: Stream, particles: NDArray[np.uint64], s: int) -> Array:
    """ΔW of step s in box coordinates: (n, d)."""
    draws = process.clock.draws
    total = np.zeros((len(particles), process.dimension))
    for q in range(draws):
        total += process.deviation[s, q] * normals(stream, particles, s * draws + q, process.dimension)
    return total


def _runge_kutta(
    velocity: Callable[[float, Array], Array], inside: Callable[[Array], Array], h: float, z: Array
) -> Array:
    k1 = velocity(0.0, z)
    k2 = velocity(0.5, inside(z + 0.5 * h * k1))
    k3 = velocity(0.5, inside(z + 0.5 * h * k2))
    k4 = velocity(1.0, inside(z + h * k3))
    return np.asarray(z + (h / 6.0) * (k1 + 2 * k2 + 2 * k3 + k4))


def place(walls: str, z: Array) -> Array:
    """Back into the box: by whole periods, or folded, a triangle wave of period 4 (absorbed ones may be anywhere)."""
    if walls == NO_WALLS:
        return z
    if walls == "periodic":
        return np.asarray(z - 2.0 * np.floor(0.5 * (z + 1.0)))
    phase = (z + 1.0) - 4.0 * np.floor(0.25 * (z + 1.0))
    return np.where(np.abs(z) <= 1.0, z, 1.0 - np.abs(phase - 2.0))


def push_back(before: Array, after: Array, variance: Array, uniform: NDArray[np.floating]) -> Array:
    """Where steps from `before`, in the box, to `after` end when the walls reflect: (n, d).

    By Skorokhod's reflection a path that sinks to m below the wall ends higher by −1 − m. Given both ends the path is a
    Brownian bridge with the variance of the step, whatever the drift, and its least value is

        m = ½ (z + z′ − √((z′ − z)² − 2·variance·log U)),      U uniform,

    so that at one wall a step of constant drift has the exact law, mass pressed against the wall included (Asmussen,
    Glynn & Pitman 1995; Lépingle 1995). Folding the end instead has the law of no drift at the wall; steps so long that
    they feel both walls are folded. variance: (d,); uniform: (n, d) in (0, 1].
    """
    swing = np.sqrt((after - before) ** 2 - 2.0 * variance * np.log(uniform))
    up = np.maximum(-1.0 - 0.5 * (before + after - swing), 0.0)
    down = np.maximum(0.5 * (before + after + swing) - 1.0, 0.0)
    feels_one = variance <= WIDEST
    return place("reflecting", after + np.where(feels_one, up - down, 0.0))


def survives(before: Array, after: Array, variance: Array, uniform: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which particles (n,) a step from `before` to `after` (n, d) leaves alive between absorbing walls.

    A path may touch the wall within a step that begins and ends inside: a Brownian bridge does so with probability
    exp(−2 (1 − z)(1 − z′)/variance) at the wall 1. variance: (d,); uniform: (n,) in (0, 1].
    """
    inside = np.all(np.abs(after) < 1.0, axis=1)
    if not np.any(variance > 0.0):
        return np.asarray(inside)
    with np.errstate(over="ignore"):
        low = np.minimum(np.exp(-2.0 * (1.0 + before) * (1.0 + after) / variance), 1.0)
        high = np.minimum(np.exp(-2.0 * (1.0 - before) * (1.0 - after) / variance), 1.0)
    stays = np.prod((1.0 - low) * (1.0 - high), axis=1)
    return np.asarray(inside & (uniform <= stays) & (stays > 0.0))

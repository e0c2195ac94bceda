"""All steps of a network's particles in one compiled loop on the processor: generator, drift and walls together.

Comes in: a `Process` whose drift is a network, positions of a cell of particles. Goes out: positions at T. Blocks of
BLOCK particles stay in the first cache for the whole way; every loop runs over a block and fills vector registers.

Layout: structure of arrays, z (d, n); numbers of four steps at a time, (4d, BLOCK): one call of Philox fills four rows.
"""

from __future__ import annotations

from inspect import getfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.monte_carlo.backends.numba import arithmetic
from controlsde.monte_carlo.backends.numba.arithmetic import (
    DEEPEST,
    LOG2_E,
    below,
    box_muller,
    cached,
    compiled,
    exp2,
    fma,
    largest,
    least,
    like,
    log,
    philox,
    root,
    sin,
    softplus,
    tanh,
    unit,
)
from controlsde.monte_carlo.philox import NORMALS, UNIFORMS, Stream
from controlsde.monte_carlo.process import TOUCHING, WIDEST, Positions, Process

SOURCES = (arithmetic.__file__, getfile(Stream), getfile(Process), __file__)  # of what is compiled in

f32, u32, u64 = np.float32, np.uint32, np.uint64

BLOCK = 512
WALLS = {"reflecting": 0, "periodic": 1, "absorbing": 2}
SCHEMES = {"euler-maruyama": 0, "heun": 1, "runge-kutta": 2}
ACTIVATIONS = {"tanh": 0, "sigmoid": 1, "softplus": 2, "sin": 3, "relu": 4}


@compiled
def fill_normals(first: Any, block: Any, k0: Any, k1: Any, out: Any) -> None:
    """The four normal numbers of one block for particles first, first + 1, …: out (4, BLOCK)."""
    for i in range(out.shape[1]):
        particle = first + u64(i)
        a, b, c, d = philox(u32(particle), u32(particle >> u64(32)), block, u32(NORMALS), k0, k1)
        out[0, i], out[1, i] = box_muller(a, b)
        out[2, i], out[3, i] = box_muller(c, d)


@compiled
def fill_uniforms(first: Any, block: Any, k0: Any, k1: Any, out: Any) -> None:
    """The four uniform numbers of one block: out (4, BLOCK)."""
    for i in range(out.shape[1]):
        particle = first + u64(i)
        a, b, c, d = philox(u32(particle), u32(particle >> u64(32)), block, u32(UNIFORMS), k0, k1)
        out[0, i], out[1, i], out[2, i], out[3, i] = unit(a), unit(b), unit(c), unit(d)


@compiled
def _fill(purpose: int, first: Any, block: Any, k0: Any, k1: Any, out: Any) -> None:
    if purpose == NORMALS:
        fill_normals(first, block, k0, k1, out)
    else:
        fill_uniforms(first, block, k0, k1, out)


@compiled
def _held(purpose: int, held: int, step: int, first: Any, k0: Any, k1: Any, rows: Any) -> int:
    """Have rows (4d, BLOCK) hold the numbers of the group of four steps of this one, and return that group."""
    group = step // 4
    if group != held:
        calls = rows.shape[0] // 4
        for j in range(calls):
            _fill(purpose, first, u32(group * calls + j), k0, k1, rows[4 * j : 4 * j + 4])
    return group


@compiled
def _affine(out: Any, w: Any, x: Any, b: Any) -> None:
    for i in range(out.size):
        out[i] = fma(w, x[i], b)


@compiled
def _add(out: Any, w: Any, x: Any) -> None:
    for i in range(out.size):
        out[i] = fma(w, x[i], out[i])


@compiled
def _times(out: Any, w: Any, x: Any) -> None:
    for i in range(out.size):
        out[i] = w * x[i]


@compiled
def _activate(z: Any, activation: int) -> None:
    one, half, zero = like(z[0], 1.0), like(z[0], 0.5), like(z[0], 0.0)
    if activation == 0:
        for i in range(z.size):
            z[i] = tanh(z[i])
    elif activation == 1:
        for i in range(z.size):
            z[i] = half * (one + tanh(half * z[i]))
    elif activation == 2:
        for i in range(z.size):
            z[i] = softplus(z[i])
    elif activation == 3:
        for i in range(z.size):
            z[i] = sin(z[i])
    else:
        for i in range(z.size):
            z[i] = largest(z[i], zero)


@compiled
def _tangential(v: Any, x: Any) -> None:
    one = like(v[0], 1.0)
    for i in range(v.size):
        square = x[i] * x[i]
        fourth = square * square
        v[i] = v[i] * (one - fourth * fourth)


@compiled
def _drift(v: Any, x: Any, hidden: Any, a: Any, w: Any, b: Any, activation: int, tangential: bool) -> None:
    """v (d, B) = τ ∘ A σ(W x + b) at x (d, B)."""
    for j in range(b.size):
        _affine(hidden, w[j, 0], x[0], b[j])
        for c in range(1, x.shape[0]):
            _add(hidden, w[j, c], x[c])
        _activate(hidden, activation)
        for c in range(x.shape[0]):
            if j == 0:
                _times(v[c], a[c, j], hidden)
            else:
                _add(v[c], a[c, j], hidden)
    if tangential:
        for c in range(x.shape[0]):
            _tangential(v[c], x[c])


@compiled
def _place(z: Any, walls: int) -> None:
    """Into the box: by whole periods, or folded, a triangle wave of period 4."""
    one, two, half = like(z[0], 1.0), like(z[0], 2.0), like(z[0], 0.5)
    four, quarter = like(z[0], 4.0), like(z[0], 0.25)
    if walls == 1:
        for i in range(z.size):
            z[i] = z[i] - two * below(half * (z[i] + one))
    else:
        for i in range(z.size):
            phase = (z[i] + one) - four * below(quarter * (z[i] + one))
            z[i] = z[i] if abs(z[i]) <= one else one - abs(phase - two)


@compiled
def _sum(out: Any, x: Any, h: Any, v: Any, shock: Any) -> None:
    for i in range(out.size):
        out[i] = fma(h, v[i], x[i]) + shock[i]


@compiled
def _shift(out: Any, x: Any, h: Any, v: Any) -> None:
    for i in range(out.size):
        out[i] = fma(h, v[i], x[i])


@compiled
def _touching(before: Any, after: Any, variance: Any) -> Any:
    """How many of these steps may touch a wall on their way."""
    count = np.int32(0)
    bound = f32(TOUCHING) * variance
    one = f32(1.0)
    for i in range(before.size):
        low = (one + before[i]) * (one + after[i])
        high = (one - before[i]) * (one - after[i])
        count += np.int32(1) if least(low, high) < bound else np.int32(0)
    return count


@compiled
def _push(before: Any, after: Any, variance: Any, uniform: Any) -> None:
    """Push `after` back from the walls in place, as `numpy.stepping.push_back` does; it is folded later."""
    one, half, zero = f32(1.0), f32(0.5), f32(0.0)
    for i in range(before.size):
        x, y = before[i], after[i]
        gap = y - x
        swing = root(fma(f32(-2.0) * variance, log(uniform[i]), gap * gap))
        middle = half * (x + y)
        reach = half * swing
        up = largest(reach - middle - one, zero)
        down = largest(middle + reach - one, zero)
        after[i] = y + (up - down)


@compiled
def _survival(before: Any, after: Any, variance: Any, stays: Any) -> None:
    """Multiply `stays` by the chance that a bridge touches no wall of this axis; 0 where it ends outside."""
    one, zero = f32(1.0), f32(0.0)
    rate = f32(-2.0) * LOG2_E / variance
    for i in range(before.size):
        low = largest(rate * (one + before[i]) * (one + after[i]), DEEPEST)
        high = largest(rate * (one - before[i]) * (one - after[i]), DEEPEST)
        chance = (one - exp2(least(low, zero))) * (one - exp2(least(high, zero)))
        stays[i] = stays[i] * chance if abs(after[i]) < one else zero


@compiled
def _absorb(alive: Any, stays: Any, before: Any, after: Any, variance: Any, uniform: Any) -> None:
    """Set `alive` to 0 where `numpy.stepping.survives` is false; stays (BLOCK,) is room to work in."""
    zero = f32(0.0)
    stays[:] = f32(1.0)
    for c in range(before.shape[0]):
        _survival(before[c], after[c], variance[c], stays)
    for i in range(stays.size):
        alive[i] = alive[i] if (uniform[i] <= stays[i]) & (stays[i] > zero) else np.uint8(0)


@cached(*SOURCES)
def walk(
    z: Any,
    alive: Any,
    first: Any,
    k0: Any,
    k1: Any,
    a: Any,
    w: Any,
    b: Any,
    piece: Any,
    length: Any,
    deviation: Any,
    variance: Any,
    activation: int,
    tangential: bool,
    walls: int,
    scheme: int,
) -> None:
    """Move z (d, n), n a multiple of BLOCK, in place; alive (n,). deviation (S, draws, d), variance (S, d)."""
    d, n = z.shape
    draws = deviation.shape[1]
    half = f32(0.5)
    work = np.empty((5, d, BLOCK), f32)
    x, v, other, shock, after = work[0], work[1], work[2], work[3], work[4]
    hidden, stays = np.empty(BLOCK, f32), np.empty(BLOCK, f32)
    normal, uniform = np.empty((4 * d, BLOCK), f32), np.empty((4 * d, BLOCK), f32)
    for start in range(0, n, BLOCK):
        particle = first + u64(start)
        living = alive[start : start + BLOCK]
        for c in range(d):
            x[c, :] = z[c, start : start + BLOCK]
        normals_of, uniforms_of = -1, -1  # the group of four steps that the buffers hold
        for s in range(piece.size):
            k, h = piece[s], length[s]
            for q in range(draws):
                fine = s * draws + q
                normals_of = _held(NORMALS, normals_of, fine, particle, k0, k1, normal)
                row = (fine % 4) * d
                for c in range(d):
                    if q == 0:
                        _times(shock[c], deviation[s, q, c], normal[row + c])
                    else:
                        _add(shock[c], deviation[s, q, c], normal[row + c])
            _drift(v, x, hidden, a[k], w[k], b[k], activation, tangential)
            for c in range(d):
                _sum(after[c], x[c], h, v[c], shock[c])
            if scheme == 1:
                for c in range(d):
                    _place(after[c], walls)
                _drift(other, after, hidden, a[k], w[k], b[k], activation, tangential)
                for c in range(d):
                    _add(v[c], f32(1.0), other[c])
                    _sum(after[c], x[c], half * h, v[c], shock[c])
            if walls == 2:
                touched = 0
                for c in range(d):
                    touched += _touching(x[c], after[c], variance[s, c])
                if touched > 0:
                    uniforms_of = _held(UNIFORMS, uniforms_of, s, particle, k0, k1, uniform[:4])
                    _absorb(living, stays, x, after, variance[s], uniform[s % 4])
            for c in range(d):
                pushed = walls == 0 and scheme == 1 and variance[s, c] <= WIDEST
                if pushed and _touching(x[c], after[c], variance[s, c]) > 0:
                    uniforms_of = _held(UNIFORMS, uniforms_of, s, particle, k0, k1, uniform)
                    _push(x[c], after[c], variance[s, c], uniform[(s % 4) * d + c])
                _place(after[c], walls)
                x[c, :] = after[c]
        for c in range(d):
            z[c, start : start + BLOCK] = x[c]


@cached(*SOURCES)
def flow(
    z: Any,
    alive: Any,
    a: Any,
    w: Any,
    b: Any,
    piece: Any,
    length: Any,
    activation: int,
    tangential: bool,
    walls: int,
) -> None:
    """Move z (d, n), n a multiple of BLOCK, without noise, in double precision: Runge and Kutta's scheme of order 4."""
    d, n = z.shape
    work = np.empty((4, d, BLOCK))
    x, total, v, at = work[0], work[1], work[2], work[3]
    hidden = np.empty(BLOCK)
    ahead = np.array([0.0, 0.5, 0.5, 1.0])
    share = np.array([1.0, 2.0, 2.0, 1.0]) / 6.0
    for start in range(0, n, BLOCK):
        for c in range(d):
            x[c, :] = z[c, start : start + BLOCK]
        for s in range(piece.size):
            k, h = piece[s], length[s]
            for stage in range(4):
                for c in range(d):
                    if stage == 0:
                        at[c, :] = x[c]
                    else:
                        _shift(at[c], x[c], ahead[stage] * h, v[c])
                        _place(at[c], walls)
                _drift(v, at, hidden, a[k], w[k], b[k], activation, tangential)
                for c in range(d):
                    if stage == 0:
                        _times(total[c], share[stage], v[c])
                    else:
                        _add(total[c], share[stage], v[c])
            for c in range(d):
                _add(x[c], h, total[c])
                if walls == 2:
                    for i in range(BLOCK):
                        if not abs(x[c, i]) < 1.0:
                            alive[start + i] = np.uint8(0)
                _place(x[c], walls)
        for c in range(d):
            z[c, start : start + BLOCK] = x[c]


@cached(*SOURCES)
def _fill_once(purpose: int, first: Any, block: Any, k0: Any, k1: Any, out: Any) -> None:
    _fill(purpose, first, block, k0, k1, out)


def fill(purpose: int, stream: Stream, first: int, block: int, out: NDArray[np.float32]) -> None:
    """The four numbers of one block for particles first, first + 1, …: out (4, n)."""
    k0, k1 = stream.words
    _fill_once(purpose, u64(first), u32(block), u32(k0), u32(k1), out)


def ready(noisy: bool) -> bool:
    """Whether the loops are compiled, here or in an earlier process."""
    loop = walk if noisy else flow
    if loop.signatures:
        return True
    return any(Path(loop.stats.cache_path).glob(f"*{loop.py_func.__qualname__}-*.nbc"))


def simulate(process: Process, stream: Stream, first: int, start: NDArray[np.floating]) -> Positions:
    """Move particles first, first + 1, … from start (n, d), in box coordinates, to the end. The drift is a network."""
    network = process.network
    assert network is not None
    precision = np.float32 if process.noisy else np.float64
    count = len(start)
    z = np.zeros((process.dimension, -(-count // BLOCK) * BLOCK), precision)
    z[:, :count] = start.T
    alive = np.ones(z.shape[1], np.uint8)
    weights = tuple(np.ascontiguousarray(part, precision) for part in (network.a, network.w, network.b))
    clock = process.clock
    form = (ACTIVATIONS[network.activation], network.tangential, WALLS[process.walls])
    if process.noisy:
        numbers = (clock.length.astype(f32), process.deviation.astype(f32), process.variance.astype(f32))
        k0, k1 = stream.words
        walk(z, alive, u64(first), u32(k0), u32(k1), *weights, clock.piece, *numbers, *form, SCHEMES[process.scheme])
    else:
        flow(z, alive, *weights, clock.piece, clock.length, *form)
    return Positions(z[:, :count].T, alive[:count].astype(bool))

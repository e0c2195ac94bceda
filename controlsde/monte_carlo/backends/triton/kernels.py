"""Particles in the registers of a CUDA device over all steps of all pieces, written in Triton: device code alone.

Comes in: starts (d, n), weights of every piece, numbers of every step, a key. Goes out: positions at T, or sums of
whole numbers over the particles, or both. `stepping.py` prepares the tables, launches, and is what others import.

One program moves BLOCK particles, which one warp holds, BLOCK/32 a thread. Steps come in groups of 4/gcd(4, d), after
which the numbers n = s·d + c of `philox.py` stand at lane 0 again: lanes are known when the kernel is compiled, and no
word of the generator is thrown away.

Layouts, all numbers in rows that are padded to whole fours, which are fetched at once:

    piece    c_0 … c_d−1, then m times  b_j  W_j0 … W_j,d−1  A_0j … A_d−1,j     drift c + A σ(W z + b), see `simulation`
    step     h  deviation_00 … deviation_draws−1,d−1  variance_0 … variance_d−1
    sums     alive  histogram (d, BINS)  Σ z^p (4, d)  Σ z_i z_j, then Σ z_i² z_j², for i < j  Σ cos kθ (d, MODES)

FAST takes the approximate functions of the chip by inline assembly; without it the kernels are plain Triton, which its
interpreter runs on any processor.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from controlsde.monte_carlo import process
from controlsde.monte_carlo.backends.triton.arithmetic import (
    MINUS_TWO_LOG_2,
    UNIFORMS,
    compiled,
    exp2,
    inverse,
    log2,
    nearest,
    normals,
    root,
    sine,
    unit,
    words,
)
from controlsde.monte_carlo.backends.triton.reductions import collect

LOG2_E = tl.constexpr(1.4426950408889634)
TURN = tl.constexpr(6.283185307179586)
DEEPEST = tl.constexpr(-126.0)
TOUCHING = tl.constexpr(process.TOUCHING)
SLACK = tl.constexpr(1e-6)  # what rounding may do to a product of distances
WIDEST = tl.constexpr(process.WIDEST)


def kernel(function: Any) -> Any:
    """What the host launches: compiled once for all numbers of particles, steps and keys."""
    return triton.jit(function, do_not_specialize=["count", "groups", "low", "high", "k0", "k1", "zero"])


@compiled
def fold(z: tl.tensor) -> tl.tensor:
    """A triangle wave of period 4: r = z − 4 [z/4] in [−2, 2], then 2 clamp(r) − r; the identity on [−1, 1]."""
    r = z - 4.0 * nearest(0.25 * z)
    return 2.0 * tl.minimum(tl.maximum(r, -1.0), 1.0) - r


@compiled
def place(z: tl.tensor, WALLS: tl.constexpr) -> tl.tensor:
    """Into the box."""
    if WALLS == "periodic":
        return z - 2.0 * nearest(0.5 * z)
    else:
        return fold(z)


@compiled
def activate(y: tl.tensor, ACTIVATION: tl.constexpr, FAST: tl.constexpr) -> tl.tensor:
    """σ in the units of the tables, see `simulation.weight_table`: powers of 2, and whole turns."""
    if ACTIVATION == "logistic":
        return inverse(1.0 + exp2(-y, FAST), FAST)
    elif ACTIVATION == "softplus":
        return tl.maximum(y, 0.0) + log2(1.0 + exp2(-tl.abs(y), FAST), FAST)
    elif ACTIVATION == "sin":
        return sine((y - nearest(y)) * TURN, FAST) if FAST else sine(y * TURN, FAST)
    else:
        tl.static_assert(ACTIVATION == "relu")
        return tl.maximum(y, 0.0)


@compiled
def quad(pointer: tl.tensor, FAST: tl.constexpr, PURE: tl.constexpr) -> tl.tuple:
    """Four numbers side by side, for all threads."""
    if FAST:
        a, b, c, d = tl.inline_asm_elementwise(
            "ld.global.nc.v4.f32 {$0, $1, $2, $3}, [$4];",
            "=f,=f,=f,=f,l",
            [pointer.to(tl.uint64)],
            (tl.float32, tl.float32, tl.float32, tl.float32),
            PURE,
            1,
        )
        return a, b, c, d
    else:
        return tl.load(pointer), tl.load(pointer + 1), tl.load(pointer + 2), tl.load(pointer + 3)


@compiled
def append(row: tl.tuple, number: tl.tensor) -> tl.tuple:
    """A tuple with one number more."""
    return row + (number,)  # noqa: RUF005


@compiled
def row(pointer: tl.tensor, COUNT: tl.constexpr, FAST: tl.constexpr) -> tl.tuple:
    """COUNT numbers side by side, or up to three more."""
    found = ()
    for i in tl.static_range(0, COUNT, 4):
        found = found + quad(pointer + i, FAST, True)
    return found


@compiled
def drift(
    x: tl.tuple,
    held: tl.tuple,
    pointer: tl.tensor,
    D: tl.constexpr,
    M: tl.constexpr,
    ACTIVATION: tl.constexpr,
    TANGENTIAL: tl.constexpr,
    HOLD: tl.constexpr,
    FAST: tl.constexpr,
) -> tl.tuple:
    """v = τ ∘ (c + A σ(W x + b)). HOLD: the weights are `held`, else fetched from the pointer, four at a time."""
    four = held
    v = ()
    for i in tl.static_range(D):
        if not HOLD and i % 4 == 0:
            four = quad(pointer + i, FAST, False)
        v = append(v, four[i if HOLD else i % 4])
    for j in tl.static_range(M):
        total = ()
        for i in tl.static_range(2 * D + 1):
            if not HOLD and (D + j * (2 * D + 1) + i) % 4 == 0:
                four = quad(pointer + (D + j * (2 * D + 1) + i), FAST, False)
            weight = four[D + j * (2 * D + 1) + i if HOLD else (D + j * (2 * D + 1) + i) % 4]
            if i == 0:
                hidden = weight
            elif i <= D:
                hidden = weight * x[i - 1] + hidden
            else:
                total = append(total, weight * hidden + v[i - D - 1])
            if i == D:
                hidden = activate(hidden, ACTIVATION, FAST)
        v = total
    if TANGENTIAL:
        total = ()
        for c in tl.static_range(D):
            square = x[c] * x[c]
            fourth = square * square
            total = append(total, v[c] * (1.0 - fourth * fourth))
        v = total
    return v


@compiled
def bound(variance: tl.tensor) -> tl.tensor:
    """1 less the product of distances within which a step of this variance may touch a wall."""
    return variance * (-TOUCHING) + (1.0 - SLACK)


@compiled
def touch(before: tl.tuple, after: tl.tuple, step: tl.tuple, D: tl.constexpr, DRAWS: tl.constexpr) -> tl.tensor:
    """Whether any of these steps may touch a wall: (1 ± z)(1 ± z′), the lesser of both, is 1 + z z′ − |z + z′|."""
    room = before[0] * after[0] + bound(step[1 + DRAWS * D]) - tl.abs(before[0] + after[0])
    for c in tl.static_range(1, D):
        room_of = before[c] * after[c] + bound(step[1 + DRAWS * D + c]) - tl.abs(before[c] + after[c])
        room = tl.minimum(room, room_of)
    return tl.max((room < 0.0).to(tl.int32), axis=0) > 0


@compiled
def push(before: tl.tensor, after: tl.tensor, variance: tl.tensor, uniform: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """Where steps end when the walls reflect, as in `numpy.stepping.push_back`; folding comes later."""
    gap = after - before
    reach = 0.5 * root(gap * gap + variance * (log2(uniform, FAST) * MINUS_TWO_LOG_2), FAST)
    middle = 0.5 * (before + after)
    up = tl.maximum(reach - middle - 1.0, 0.0)
    down = tl.maximum(middle + reach - 1.0, 0.0)
    return after + tl.where(variance <= WIDEST, up - down, 0.0)


@compiled
def survival(before: tl.tensor, after: tl.tensor, variance: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """The chance that a bridge touches neither wall (`numpy.stepping.survives`); 0 where it ends outside."""
    rate = inverse(variance, FAST) * (-2.0 * LOG2_E)
    low = tl.maximum(rate * (1.0 + before) * (1.0 + after), DEEPEST)
    high = tl.maximum(rate * (1.0 - before) * (1.0 - after), DEEPEST)
    chance = (1.0 - exp2(tl.minimum(low, 0.0), FAST)) * (1.0 - exp2(tl.minimum(high, 0.0), FAST))
    return tl.where(tl.abs(after) < 1.0, chance, 0.0)


@compiled
def shaken(
    x: tl.tuple,
    four: tl.tuple,
    particle: tl.tuple,
    key: tl.tuple,
    block: tl.tensor,
    step: tl.tuple,
    J: tl.constexpr,
    D: tl.constexpr,
    DRAWS: tl.constexpr,
    FAST: tl.constexpr,
) -> tl.tuple:
    """x + ΔW of the J-th step of a group, and the four numbers of which some may be left for the next step."""
    for q in tl.static_range(DRAWS):
        after = ()
        for c in tl.static_range(D):
            if ((J * DRAWS + q) * D + c) % 4 == 0:
                four = normals(particle, key, block + ((J * DRAWS + q) * D + c) // 4, FAST)
            after = append(after, step[1 + q * D + c] * four[((J * DRAWS + q) * D + c) % 4] + x[c])
        x = after
    return x, four


@compiled
def push_all(
    before: tl.tuple,
    after: tl.tuple,
    step: tl.tuple,
    particle: tl.tuple,
    key: tl.tuple,
    block: tl.tensor,
    J: tl.constexpr,
    D: tl.constexpr,
    DRAWS: tl.constexpr,
    FAST: tl.constexpr,
) -> tl.tuple:
    """Where the J-th step of a group ends that may have touched a wall."""
    pushed = ()
    drawn = ()
    for c in tl.static_range(D):
        if c == 0 or (J * D + c) % 4 == 0:
            drawn = words(particle, key, block + (J * D + c) // 4, UNIFORMS, FAST)
        uniform = unit(drawn[(J * D + c) % 4])
        pushed = append(pushed, push(before[c], after[c], step[1 + DRAWS * D + c], uniform, FAST))
    return pushed


@compiled
def survive(
    before: tl.tuple,
    after: tl.tuple,
    step: tl.tuple,
    particle: tl.tuple,
    key: tl.tuple,
    number: tl.tensor,
    D: tl.constexpr,
    DRAWS: tl.constexpr,
    FAST: tl.constexpr,
) -> tl.tensor:
    """Which particles the step of this number leaves alive."""
    stays = survival(before[0], after[0], step[1 + DRAWS * D], FAST)
    for c in tl.static_range(1, D):
        stays *= survival(before[c], after[c], step[1 + DRAWS * D + c], FAST)
    a, b, c, d = words(particle, key, number // 4, UNIFORMS, FAST)
    lane = number % 4
    word = tl.where(lane < 2, tl.where(lane == 0, a, b), tl.where(lane == 2, c, d))
    return (unit(word) <= stays) & (stays > 0.0)


@compiled
def placed(z: tl.tuple, WALLS: tl.constexpr, D: tl.constexpr) -> tl.tuple:
    """Every coordinate into the box."""
    inside = ()
    for c in tl.static_range(D):
        inside = append(inside, place(z[c], WALLS))
    return inside


@compiled
def moved(x: tl.tuple, h: tl.tensor, v: tl.tuple, D: tl.constexpr) -> tl.tuple:
    """x + h v."""
    after = ()
    for c in tl.static_range(D):
        after = append(after, h * v[c] + x[c])
    return after


@compiled
def loaded(start: tl.tensor, index: tl.tensor, count: tl.tensor, D: tl.constexpr) -> tl.tuple:
    """The coordinates of a block."""
    x = ()
    for c in tl.static_range(D):
        place_of = c * count.to(tl.int64) + index
        x = append(x, tl.load(start + place_of, mask=index < count, other=0.0))
    return x


@compiled
def store(
    end: tl.tensor,
    living: tl.tensor,
    x: tl.tuple,
    alive: tl.tensor,
    index: tl.tensor,
    count: tl.tensor,
    D: tl.constexpr,
) -> None:
    """Write a block to end (D, count) and living (count,)."""
    for c in tl.static_range(D):
        tl.store(end + (c * count.to(tl.int64) + index), x[c], mask=index < count)
    tl.store(living + index, alive.to(tl.uint8), mask=index < count)


@kernel
def walk(
    start: tl.tensor,
    end: tl.tensor,
    living: tl.tensor,
    sums: tl.tensor,
    weights: tl.tensor,
    steps: tl.tensor,
    piece: tl.tensor,
    count: tl.tensor,
    groups: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    k0: tl.tensor,
    k1: tl.tensor,
    zero: tl.tensor,
    D: tl.constexpr,
    M: tl.constexpr,
    DRAWS: tl.constexpr,
    SCHEME: tl.constexpr,
    WALLS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    TANGENTIAL: tl.constexpr,
    UNROLL: tl.constexpr,
    ALIGNED: tl.constexpr,
    HOLD: tl.constexpr,
    PIECE: tl.constexpr,
    STEP: tl.constexpr,
    BLOCK: tl.constexpr,
    FAST: tl.constexpr,
    STORE: tl.constexpr,
    COPIES: tl.constexpr,
    BINS: tl.constexpr,
    MODES: tl.constexpr,
) -> None:
    """All steps of particles from start (D, count), single precision.

    low, high, k0, k1: words of the first particle's number and of the key, as signed numbers. groups: of UNROLL steps.
    ALIGNED: whether no group reaches into the next piece. HOLD: whether a piece's weights stay in registers. PIECE,
    STEP: numbers from one row of the tables to the next. STORE: whether to write end (D, count) and living (count,).
    COPIES: of the row of sums, which programs take in turn; 0 for no sums.

    zero: 0, of which the compiler does not know. Multiples of it make the addresses differ from which the drifts of a
    group fetch weights; otherwise the weights of the first would wait for the others, in more registers than there are.
    """
    program = tl.program_id(0)
    index = program * BLOCK + tl.arange(0, BLOCK)
    number = low.to(tl.uint32, bitcast=True).to(tl.uint64) + index.to(tl.uint64)
    particle = (number.to(tl.uint32), (number >> 32).to(tl.uint32) + high.to(tl.uint32, bitcast=True))
    key = (k0.to(tl.uint32, bitcast=True), k1.to(tl.uint32, bitcast=True))
    alive = index < count
    x = loaded(start, index, count, D)
    for group in range(groups):
        four = ()
        for j in tl.static_range(UNROLL):
            s = group * UNROLL + j
            if j == 0 or not ALIGNED:
                w = weights + tl.load(piece + s) * PIECE
                held = row(w, PIECE if HOLD else 0, FAST)
            step = row(steps + s * STEP, STEP, FAST)
            block = group * (UNROLL * DRAWS * D // 4)
            free, four = shaken(x, four, particle, key, block, step, j, D, DRAWS, FAST)
            v = drift(x, held, w + 2 * j * zero, D, M, ACTIVATION, TANGENTIAL, HOLD, FAST)
            after = moved(free, step[0], v, D)
            if SCHEME == "heun":
                other = drift(
                    placed(after, WALLS, D), held, w + (2 * j + 1) * zero, D, M, ACTIVATION, TANGENTIAL, HOLD, FAST
                )
                after = moved(moved(free, 0.5 * step[0], v, D), 0.5 * step[0], other, D)
            if WALLS == "absorbing":  # noqa: SIM102 (both are decided, at different times)
                if touch(x, after, step, D, DRAWS):
                    alive = alive & survive(x, after, step, particle, key, s, D, DRAWS, FAST)
            if WALLS == "reflecting" and SCHEME == "heun":  # noqa: SIM102
                if touch(x, after, step, D, DRAWS):
                    after = push_all(x, after, step, particle, key, group * (UNROLL * D // 4), j, D, DRAWS, FAST)
            x = placed(after, WALLS, D)
    if STORE:
        store(end, living, x, alive, index, count, D)
    if COPIES > 0:
        size = 1 + D * (BINS + 4 + D - 1 + MODES)
        collect(x, alive, sums + (program % COPIES) * size, D, BINS, MODES)


@kernel
def flow(
    start: tl.tensor,
    end: tl.tensor,
    living: tl.tensor,
    sums: tl.tensor,
    weights: tl.tensor,
    length: tl.tensor,
    piece: tl.tensor,
    count: tl.tensor,
    groups: tl.tensor,
    zero: tl.tensor,
    D: tl.constexpr,
    M: tl.constexpr,
    WALLS: tl.constexpr,
    ACTIVATION: tl.constexpr,
    TANGENTIAL: tl.constexpr,
    PIECE: tl.constexpr,
    BLOCK: tl.constexpr,
    STORE: tl.constexpr,
    COPIES: tl.constexpr,
    BINS: tl.constexpr,
    MODES: tl.constexpr,
) -> None:
    """All steps without noise, double precision: Runge and Kutta's scheme of order 4.

    groups: the number of steps. zero: as in `walk`, for the four stages.
    """
    program = tl.program_id(0)
    index = program * BLOCK + tl.arange(0, BLOCK)
    alive = index < count
    x = loaded(start, index, count, D)
    for s in range(groups):
        w = weights + tl.load(piece + s) * PIECE
        h = tl.load(length + s)
        at, after = x, x
        for stage in range(4):
            v = drift(at, (), w + stage * zero, D, M, ACTIVATION, TANGENTIAL, False, False)
            share, ahead = h / 6.0, 0.5 * h
            if stage == 1 or stage == 2:
                share = h / 3.0
            if stage == 2:
                ahead = h
            after = moved(after, share, v, D)
            at = placed(moved(x, ahead, v, D), WALLS, D)
        if WALLS == "absorbing":
            for c in tl.static_range(D):
                alive = alive & (tl.abs(after[c]) < 1.0)
        x = placed(after, WALLS, D)
    if STORE:
        store(end, living, x, alive, index, count, D)
    if COPIES > 0:
        size = 1 + D * (BINS + 4 + D - 1 + MODES)
        single = ()
        for c in tl.static_range(D):
            single = append(single, x[c].to(tl.float32))
        collect(single, alive, sums + (program % COPIES) * size, D, BINS, MODES)

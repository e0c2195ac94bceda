"""Functions and the generator for CUDA kernels, in Triton: the chip's approximate instructions where FAST says so.

Comes in: numbers or words in registers. Goes out: values; normal and uniform numbers as `philox.py` defines them. It is
to `kernels.py` what `numba/arithmetic.py` is to `numba/stepping.py`.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from controlsde.monte_carlo import philox as reference

FIRST = tl.constexpr(reference.MULTIPLIERS[0])
SECOND = tl.constexpr(reference.MULTIPLIERS[1])
FIRST_WEYL = tl.constexpr(reference.WEYL[0])
SECOND_WEYL = tl.constexpr(reference.WEYL[1])
ROUNDS = tl.constexpr(reference.ROUNDS)
NORMALS = tl.constexpr(reference.NORMALS)
UNIFORMS = tl.constexpr(reference.UNIFORMS)
UNIT = tl.constexpr(reference.UNIT)
HALF_TURN = tl.constexpr(3.141592653589793 * 2.0**-31)  # the angle of one unit of a word
MINUS_TWO_LOG_2 = tl.constexpr(-1.3862943611198906)
NEAREST = tl.constexpr(12582912.0)  # 1.5·2²³: what is added to it is rounded to a whole number, |x| < 2²²


def compiled(function: Any) -> Any:
    """Compile for the device when it is first called."""
    return triton.jit(function)


@compiled
def exp2(y: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """2^y."""
    if FAST:
        return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [y], tl.float32, True, 1)
    else:
        return tl.exp2(y)


@compiled
def log2(x: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """log₂ x."""
    if FAST:
        return tl.inline_asm_elementwise("lg2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
    else:
        return tl.log2(x)


@compiled
def root(x: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """√x."""
    if FAST:
        return tl.inline_asm_elementwise("sqrt.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
    else:
        return tl.sqrt(x)


@compiled
def inverse(x: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """1/x."""
    if FAST:
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
    else:
        return 1.0 / x


@compiled
def sine(x: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """sin x, for |x| ≤ π where it is fast."""
    if FAST:
        return tl.inline_asm_elementwise("sin.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
    else:
        return tl.sin(x)


@compiled
def cosine(x: tl.tensor, FAST: tl.constexpr) -> tl.tensor:
    """cos x, for |x| ≤ π where it is fast."""
    if FAST:
        return tl.inline_asm_elementwise("cos.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
    else:
        return tl.cos(x)


@compiled
def product(a: tl.tensor, b: tl.tensor, FAST: tl.constexpr) -> tl.tuple:
    """a·b of two words: its low and high word, in one instruction where it is fast."""
    if FAST:
        low, high = tl.inline_asm_elementwise(
            "{ .reg .b64 t; mul.wide.u32 t, $2, $3; mov.b64 {$0, $1}, t; }",
            "=r,=r,r,r",
            [a, b],
            (tl.uint32, tl.uint32),
            True,
            1,
        )
        return low, high
    else:
        return a * b, tl.umulhi(a, b)


@compiled
def philox(
    c0: tl.tensor,
    c1: tl.tensor,
    c2: tl.tensor,
    c3: tl.tensor,
    k0: tl.tensor,
    k1: tl.tensor,
    FAST: tl.constexpr,
) -> tl.tuple:
    """Philox 4×32-10: four words from a counter and a key (see `philox.py`)."""
    first, second = tl.zeros_like(c0) + FIRST, tl.zeros_like(c0) + SECOND
    for _ in tl.static_range(ROUNDS):
        low, high = product(c0, first, FAST)
        other_low, other_high = product(c2, second, FAST)
        c0, c1, c2, c3 = other_high ^ c1 ^ k0, other_low, high ^ c3 ^ k1, low
        k0, k1 = k0 + FIRST_WEYL, k1 + SECOND_WEYL
    return c0, c1, c2, c3


@compiled
def words(particle: tl.tuple, key: tl.tuple, block: tl.tensor, PURPOSE: tl.constexpr, FAST: tl.constexpr) -> tl.tuple:
    """The four words of one block. particle: its number's low and high word."""
    c2 = tl.zeros_like(particle[0]) + block
    return philox(particle[0], particle[1], c2, tl.zeros_like(particle[0]) + PURPOSE, key[0], key[1], FAST)


@compiled
def unit(word: tl.tensor) -> tl.tensor:
    """(word + ½)/2³² in (0, 1]."""
    return word.to(tl.float32) * UNIT + 0.5 * UNIT


@compiled
def box_muller(first: tl.tensor, second: tl.tensor, FAST: tl.constexpr) -> tl.tuple:
    """Two normal numbers from two words."""
    radius = root(log2(unit(first), FAST) * MINUS_TWO_LOG_2, FAST)
    angle = second.to(tl.int32, bitcast=True).to(tl.float32) * HALF_TURN
    return radius * cosine(angle, FAST), radius * sine(angle, FAST)


@compiled
def normals(particle: tl.tuple, key: tl.tuple, block: tl.tensor, FAST: tl.constexpr) -> tl.tuple:
    """The four normal numbers of one block."""
    a, b, c, d = words(particle, key, block, NORMALS, FAST)
    first, second = box_muller(a, b, FAST)
    third, fourth = box_muller(c, d, FAST)
    return first, second, third, fourth


@compiled
def nearest(x: tl.tensor) -> tl.tensor:
    """The nearest whole number, |x| < 2²² in single precision."""
    if x.dtype == tl.float64:
        return tl.floor(x + 0.5)
    else:
        return (x + NEAREST) - NEAREST

"""Elementary functions for compiled loops: polynomials of fused multiply–adds, the same bits on every processor.

Numba leaves loops that call a mathematics library unvectorised, and a library's vector and scalar versions round
differently. These functions have neither trouble: they are sums and products alone, correctly rounded and in a fixed
order, so that a particle's path depends neither on its place in a vector nor on the width of the machine's vectors.

Comes in: numbers in single or double precision. Goes out: values within a few units in the last place of the larger of
the value and 1 (tests compare all of them with exact ones). Coefficients: least squares at Chebyshev points.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

f32, i32, i64, u32, u64 = np.float32, np.int32, np.int64, np.uint32, np.uint64

LOG_2 = f32(0.693147182)
TWO_LOG2_E = f32(2.885390043)
LOG2_E = f32(1.442695041)
TURN = f32(2.0**-31)  # half turns of one unit of a word
UNIT = f32(2.0**-32)
HALF_UNIT = f32(2.0**-33)
FLAT = f32(40.0)  # 1 − 2/(1 + 2^y) is ±1 beyond
DEEPEST = f32(-126.0)  # the least exponent of 2 in single precision
INVERSE_TURN = f32(0.31830987)  # 1/π

_D_LOG2_E = 1.4426950408889634
_D_FLAT = 80.0


def compiled(function: Any) -> Any:
    """Compile without the interpreter's lock, with the division of IEEE 754."""
    return njit(nogil=True, error_model="numpy")(function)


def compiled_in_any_order(function: Any) -> Any:
    """The same for sums whose terms may be added in any order, which vectors need."""
    return njit(nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})(function)


def inlined(function: Any) -> Any:
    """The same for what is called on every number of a loop, which only then is vectorised."""
    return njit(error_model="numpy", inline="always")(function)


def _float(kind: Any) -> Any:
    return ir.FloatType() if kind == types.float32 else ir.DoubleType()


def cached(*sources: str) -> Callable[[Any], Any]:
    """The same as `compiled`, kept on disk between processes for as long as none of these source files changes.

    Numba watches a function's own file alone; the digest of all of them becomes a part of the name of what it keeps.
    """
    digest = hashlib.blake2b(b"".join(Path(source).read_bytes() for source in sources), digest_size=8).hexdigest()

    def decorate(function: Any) -> Any:
        function.__qualname__ += f"_{digest}"
        return njit(nogil=True, error_model="numpy", cache=True)(function)

    return decorate


@intrinsic
def fma(context: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001
    """a·b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.fma(*arguments)

    return (a(a, a, a), generate) if a == b == c and a in (types.float32, types.float64) else None


@intrinsic
def like(context: Any, a: Any, number: Any) -> Any:  # noqa: ARG001
    """A number in the precision of a."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.cast(builder, arguments[1], signature.args[1], signature.return_type)

    return a(a, types.float64), generate


def _unary(name: str) -> Any:
    """An LLVM intrinsic of one number as a function."""

    @intrinsic
    def function(context: Any, a: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            return builder.call(builder.module.declare_intrinsic(name, [_float(a)]), arguments)

        return a(a), generate

    return function


root = _unary("llvm.sqrt")
nearest = _unary("llvm.rint")
below = _unary("llvm.floor")


def _chosen(comparison: str) -> Any:
    @intrinsic
    def function(context: Any, a: Any, b: Any) -> Any:  # noqa: ARG001
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            return builder.select(builder.fcmp_ordered(comparison, *arguments), *arguments)

        return (a(a, b), generate) if a == b else None

    return function


least = _chosen("<")
largest = _chosen(">")


@intrinsic
def word_of(context: Any, a: Any) -> Any:  # noqa: ARG001
    """The bits of a number in single precision."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), generate


@intrinsic
def single_of(context: Any, a: Any) -> Any:  # noqa: ARG001
    """The number in single precision with these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


@intrinsic
def double_of(context: Any, a: Any) -> Any:  # noqa: ARG001
    """The number in double precision with these bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@inlined
def log(x: Any) -> Any:
    """log x of a positive number in single precision: x = 2^e m, m in [2/3, 4/3)."""
    bits = word_of(x)
    exponent = i32(bits - u32(0x3F2AAAAB)) >> i32(23)
    f = single_of(u32(bits - u32(exponent << i32(23)))) - f32(1.0)
    r = fma(f32(0.11619525265847983), f, f32(-0.12429866372235347))
    r = fma(r, f, f32(0.10851657504627925))
    r = fma(r, f, f32(-0.12287236515867375))
    r = fma(r, f, f32(0.14296291707194336))
    r = fma(r, f, f32(-0.16673398305856138))
    r = fma(r, f, f32(0.19999850678147485))
    r = fma(r, f, f32(-0.24999943056918003))
    r = fma(r, f, f32(0.3333333366880683))
    r = fma(r, f, f32(-0.5))
    return fma(f32(exponent), LOG_2, fma(r, f * f, f))


@inlined
def exp2(y: Any) -> Any:
    """2^y in single precision for −126 ≤ y ≤ 126."""
    whole = nearest(y)
    f = y - whole
    r = fma(f32(0.0001546973198244552), f, f32(0.0013400432164930069))
    r = fma(r, f, f32(0.009618025602939641))
    r = fma(r, f, f32(0.05550327214210538))
    r = fma(r, f, f32(0.2402265121359531))
    r = fma(r, f, f32(0.6931472067106195))
    r = fma(r, f, f32(1.0))
    return single_of(u32(word_of(r) + u32(i32(whole) << i32(23))))


@inlined
def half_turns(a: Any) -> Any:
    """(sin πa, cos πa) in single precision for |a| < 2²⁰."""
    quarter = nearest(a + a)
    f = fma(quarter, f32(-0.5), a)
    s = f * f
    sine = fma(f32(-0.5890768774087146), s, f32(2.5497671314593005))
    sine = fma(sine, s, f32(-5.1677078252273345)) * s
    sine = fma(sine, f, f32(3.1415926439200548) * f)
    cosine = fma(f32(0.23132925105953478), s, f32(-1.3350445062737795))
    cosine = fma(cosine, s, f32(4.058707260757423))
    cosine = fma(cosine, s, f32(-4.93480216256109))
    cosine = fma(cosine, s, f32(1.0))
    turn = u32(i32(quarter))
    odd = (turn & u32(1)) != u32(0)
    sine, cosine = (cosine if odd else sine), (sine if odd else cosine)
    return (
        single_of(word_of(sine) ^ ((turn & u32(2)) << u32(30))),
        single_of(word_of(cosine) ^ (((turn + u32(1)) & u32(2)) << u32(30))),
    )


@inlined
def exp2_double(y: Any) -> Any:
    """2^y in double precision for −1022 ≤ y ≤ 1022: the Taylor polynomial of degree 13 on [−½, ½]."""
    whole = nearest(y)
    f = (y - whole) * 0.6931471805599453
    r = fma(1.0 / 6227020800.0, f, 1.0 / 479001600.0)
    r = fma(r, f, 1.0 / 39916800.0)
    r = fma(r, f, 1.0 / 3628800.0)
    r = fma(r, f, 1.0 / 362880.0)
    r = fma(r, f, 1.0 / 40320.0)
    r = fma(r, f, 1.0 / 5040.0)
    r = fma(r, f, 1.0 / 720.0)
    r = fma(r, f, 1.0 / 120.0)
    r = fma(r, f, 1.0 / 24.0)
    r = fma(r, f, 1.0 / 6.0)
    r = fma(r, f, 0.5)
    r = fma(r, f, 1.0)
    r = fma(r, f, 1.0)
    return r * double_of(u64((i64(whole) + i64(1023)) << i64(52)))


@inlined
def _tanh_single(z: Any) -> Any:
    y = least(largest(z * TWO_LOG2_E, -FLAT), FLAT)
    return f32(1.0) - f32(2.0) / (exp2(y) + f32(1.0))


@inlined
def _tanh_double(z: Any) -> Any:
    y = least(largest(z * (2.0 * _D_LOG2_E), -_D_FLAT), _D_FLAT)
    return 1.0 - 2.0 / (exp2_double(y) + 1.0)


@inlined
def _softplus_single(z: Any) -> Any:
    return largest(z, f32(0.0)) + log(f32(1.0) + exp2(largest(-abs(z) * LOG2_E, DEEPEST)))


@inlined
def _softplus_double(z: Any) -> Any:
    return largest(z, 0.0) + np.log1p(np.exp(-abs(z)))


@inlined
def _sin_single(z: Any) -> Any:
    return half_turns(z * INVERSE_TURN)[0]


@inlined
def _sin_double(z: Any) -> Any:
    return np.sin(z)


def tanh(z: Any) -> Any:
    """tanh z, for compiled code."""
    raise NotImplementedError("for compiled code")


def softplus(z: Any) -> Any:
    """log(1 + e^z), for compiled code."""
    raise NotImplementedError("for compiled code")


def sin(z: Any) -> Any:
    """sin z, for compiled code."""
    raise NotImplementedError("for compiled code")


def _by_precision(function: Any, single: Any, double: Any) -> None:
    def choose(z: Any) -> Any:
        def in_single(z: Any) -> Any:
            return single(z)

        def in_double(z: Any) -> Any:
            return double(z)

        return in_single if z == types.float32 else in_double

    overload(function, inline="always")(choose)


_by_precision(tanh, _tanh_single, _tanh_double)
_by_precision(softplus, _softplus_single, _softplus_double)
_by_precision(sin, _sin_single, _sin_double)


@inlined
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Philox 4×32-10: four words from a counter and a key (see `philox.py`)."""
    for _ in range(10):
        first, second = u64(0xD2511F53) * u64(c0), u64(0xCD9E8D57) * u64(c2)
        c0, c1, c2, c3 = u32(second >> u64(32)) ^ c1 ^ k0, u32(second), u32(first >> u64(32)) ^ c3 ^ k1, u32(first)
        k0, k1 = u32(k0 + u32(0x9E3779B9)), u32(k1 + u32(0xBB67AE85))
    return c0, c1, c2, c3


@inlined
def unit(word: Any) -> Any:
    """(word + ½)/2³² in (0, 1]."""
    return fma(f32(word), UNIT, HALF_UNIT)


@inlined
def box_muller(first: Any, second: Any) -> Any:
    """Two normal numbers from two words."""
    radius = root(f32(-2.0) * log(unit(first)))
    sine, cosine = half_turns(f32(i32(second)) * TURN)
    return radius * cosine, radius * sine

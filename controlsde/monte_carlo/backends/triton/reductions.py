"""Sums of whole numbers over the particles of a block, for CUDA kernels, in Triton: any order gives the same bits.

Comes in: positions in registers, who is alive, a row of sums in memory (see the layout in `kernels.py`). Goes out:
nothing; the row has grown.
"""

from __future__ import annotations

import triton.language as tl

from controlsde.monte_carlo.backends.triton.arithmetic import NEAREST, compiled

NEAREST_BITS = tl.constexpr(0x4B400000)
FRACTION = tl.constexpr(2.0**22)  # sums count in units of its inverse


@compiled
def fixed(value: tl.tensor, alive: tl.tensor) -> tl.tensor:
    """Values up to 1 or so as whole numbers in units of 2⁻²², nothing for the dead."""
    whole = (value * FRACTION + NEAREST).to(tl.int32, bitcast=True) - NEAREST_BITS
    return tl.where(alive, whole, 0)


@compiled
def add(pointer: tl.tensor, whole: tl.tensor) -> None:
    """Add up a block of whole numbers, |Σ| < 2³¹, to a sum in memory."""
    tl.atomic_add(pointer, tl.sum(whole, axis=0).to(tl.int64))


@compiled
def quarter_wave(z: tl.tensor) -> tl.tuple:
    """(cos θ, sin θ) of θ = π(z + 1)/2 for |z| ≤ 1, with φ = πz/4: cos θ = −2 sin φ cos φ, sin θ = 1 − 2 sin² φ."""
    f = 0.25 * z
    s = f * f
    p = -0.5890768774087146 * s + 2.5497671314593005
    p = (p * s - 5.1677078252273345) * s
    sine_of = p * f + 3.1415926439200548 * f
    q = 0.23132925105953478 * s - 1.3350445062737795
    q = q * s + 4.058707260757423
    q = q * s - 4.93480216256109
    cosine_of = q * s + 1.0
    return -2.0 * sine_of * cosine_of, 1.0 - 2.0 * sine_of * sine_of


@compiled
def collect(
    x: tl.tuple, alive: tl.tensor, sums: tl.tensor, D: tl.constexpr, BINS: tl.constexpr, MODES: tl.constexpr
) -> None:
    """Add the particles of a block to a row of sums; up to 256, for their sums to fit 32 bits."""
    tl.static_assert(x[0].shape[0] <= 256)
    if D == 1:
        alive = alive & (x[0] == x[0])  # a place that is no number counts as dead; more axes lack registers for it
    add(sums, alive.to(tl.int32))
    for c in tl.static_range(D):
        bins = ((x[c] + 1.0) * (0.5 * BINS)).to(tl.int32)
        bins = tl.minimum(tl.maximum(bins, 0), BINS - 1)
        tl.atomic_add(sums + 1 + c * BINS + bins, tl.full(bins.shape, 1, tl.int64), mask=alive)
    powers = sums + 1 + D * BINS
    for c in tl.static_range(D):
        square = x[c] * x[c]
        add(powers + c, fixed(x[c], alive))
        add(powers + D + c, fixed(square, alive))
        add(powers + 2 * D + c, fixed(square * x[c], alive))
        add(powers + 3 * D + c, fixed(square * square, alive))
    pairs = powers + 4 * D
    for i in tl.static_range(D):
        for j in tl.static_range(i + 1, D):
            product = x[i] * x[j]
            add(pairs, fixed(product, alive))
            add(pairs + D * (D - 1) // 2, fixed(product * product, alive))
            pairs += 1
    waves = powers + 4 * D + D * (D - 1)
    for c in tl.static_range(D):
        turn_cosine, turn_sine = quarter_wave(x[c])
        real, imaginary = tl.full(turn_sine.shape, 1.0, tl.float32), tl.zeros_like(turn_sine)
        for k in range(MODES):
            add(waves + c * MODES + k, fixed(real, alive))
            real, imaginary = (
                real * turn_cosine - imaginary * turn_sine,
                real * turn_sine + imaginary * turn_cosine,
            )

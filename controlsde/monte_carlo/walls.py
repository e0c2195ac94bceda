"""The box unfolded over space, for libraries that integrate freely: fold what comes back at walls, or wrap it."""

from __future__ import annotations

from torch import Tensor


def fold(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Reflect at both walls, however far the overshoot: a triangle wave of period 2(high − low)."""
    length = high - low
    once = length - (length - (x - low).abs()).abs()  # all that one reflection at each wall can do
    if bool((once < 0).any()):
        phase = (x - low).remainder(2.0 * length)
        once = length - (phase - length).abs()
    return low + once


def wrap(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Bring x back to [low, high) by whole periods."""
    return low + (x - low).remainder(high - low)

"""What walls do to particles: fold at reflecting walls, wrap at periodic ones, kill at absorbing ones."""

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


def survives(before: Tensor, after: Tensor, low: Tensor, high: Tensor, variance: float, uniform: Tensor) -> Tensor:
    """Which particles (n,) a step from `before` to `after` (n, d) leaves alive between absorbing walls.

    A path may touch the wall within a step that begins and ends inside: a Brownian bridge with variance 2Dh does so
    with probability exp(−2 (b − x)(b − x′) / 2Dh) at a wall b. uniform: (n,) random numbers in [0, 1).
    """
    inside = ((after > low) & (after < high)).all(dim=1)
    if variance == 0.0:
        return inside
    touch_low = (-2.0 * (before - low) * (after - low) / variance).exp()
    touch_high = (-2.0 * (high - before) * (high - after) / variance).exp()
    stays = ((1.0 - touch_low.clamp(max=1.0)) * (1.0 - touch_high.clamp(max=1.0))).prod(dim=1)
    return inside & (uniform < stays)

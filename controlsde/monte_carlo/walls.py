"""What walls do to particles: push back at reflecting walls, wrap at periodic ones, kill at absorbing ones."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

LONGEST = 12.0  # times 2Dh, the least squared length of a box of which a step feels one wall alone: twice in 1e10 steps
REACH = 6.0  # standard deviations of a step from which a wall is not felt: once in 1e15 steps


def fold(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Reflect at both walls, however far the overshoot: a triangle wave of period 2(high − low)."""
    length = high - low
    once = length - (length - (x - low).abs()).abs()  # all that one reflection at each wall can do
    if bool((once < 0).any()):
        phase = (x - low).remainder(2.0 * length)
        once = length - (phase - length).abs()
    return low + once


def push_back(
    before: Tensor, after: Tensor, low: Tensor, high: Tensor, variance: float, draw: Callable[[int], Tensor]
) -> Tensor:
    """Where steps from `before`, in the box, to `after` (n, d) end when the walls reflect: (n, d).

    By Skorokhod's reflection a path that sinks to m below the wall ends higher by low − m. Given both ends the path is
    a Brownian bridge with variance 2Dh, whatever the drift, and its least value is

        m = ½ (x + x′ − √((x′ − x)² − 2·2Dh·log U)),      U uniform,

    so that at one wall a step of constant drift has the exact law, mass pressed against the wall included (Asmussen,
    Glynn & Pitman 1995; Lépingle 1995). Folding the end instead has the law of no drift at the wall; steps so long that
    they feel both walls are folded. draw(k) gives k uniform numbers in [0, 1), one for each coordinate near a wall.
    """
    if variance == 0.0:
        return fold(after, low, high)
    reach = REACH * variance**0.5
    feels_one = variance <= (high - low) ** 2 / LONGEST  # the others are folded: exact where there is no drift
    near = feels_one & ((before.minimum(after) < low + reach) | (before.maximum(after) > high - reach))
    count = int(near.sum())
    if count == 0:
        return fold(after, low, high)
    sides = [side.expand_as(after)[near] for side in (low, high)]
    x, y = before[near], after[near]
    swing = ((y - x) ** 2 - 2.0 * variance * (1.0 - draw(count)).log()).sqrt()
    up = (sides[0] - 0.5 * (x + y - swing)).clamp(min=0.0)
    down = (0.5 * (x + y + swing) - sides[1]).clamp(min=0.0)
    moved = after.clone()
    moved[near] = y + up - down
    return fold(moved, low, high)


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

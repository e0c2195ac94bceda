"""Reflecting and periodic walls for PyTorch: fold or wrap points of free space into a box."""

from __future__ import annotations

import torch
from torch import Tensor


def fold(x: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Reflect at both walls, however far the overshoot: a triangle wave of period 2(high − low)."""
    length = high - low
    phase = (x - low).remainder(2.0 * length)
    return torch.where((x >= low) & (x <= high), x, low + length - (phase - length).abs())


def wrap(x: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """Bring x back to [low, high) by whole periods."""
    return low + (x - low).remainder(high - low)

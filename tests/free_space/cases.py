"""Small problems in free space, and controls for them, that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np

from controlsde.control.controls import Controls
from controlsde.problem import Problem, parse_problem

BUMPS = """
name: bumps
domain: {space: free}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {kind: mixture, weights: [0.4, 0.6], means: [[-1, 0, 0.5], [1, 0.5, 0]], stds: [0.4, 0.4]}
network: {width: 3}
controls: {pieces: 4}
monte_carlo: {particles: 800, steps_per_piece: 8}
"""


def bumps(**changes: Any) -> Problem:
    """Two Gaussians in three dimensions, with keys changed, dots as two underscores."""
    return parse_problem(BUMPS, set={key.replace("__", "."): value for key, value in changes.items()})


def some_controls(seed: int = 0, scale: float = 0.5) -> Controls:
    """Controls of the right shape for `bumps` that track nothing."""
    rng = np.random.default_rng(seed)
    a, w, b = (scale * rng.standard_normal(shape) for shape in ((4, 3, 3), (4, 3, 3), (4, 3)))
    return Controls(a, w, b, np.linspace(0.0, 1.0, 5))

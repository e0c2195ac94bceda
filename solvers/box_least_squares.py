"""Many small linear least-squares problems with bounds at once, solved exactly.

Comes in: triangular factors R (B, m, m), right-hand sides y (B, m), bounds (B, m). Goes out: for each of the B problems
the minimiser of |R a − y|² in the box |a| ≤ bound.

The primal active-set method (Nocedal & Wright, "Numerical Optimization", section 16.5), all problems in step: solve for
the free variables; walk there, and hold what meets its bound first; where nothing does, free the held variable that
pulls inward hardest, or end. Singular R are met by their pseudo-inverse, which takes the smallest of the minimisers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUNDING = 1e-12  # of the size of a gradient, below which it pulls nowhere
PASSES_PER_VARIABLE = 6


def box_least_squares(factor: Array, right: Array, bound: Array) -> Array:
    """The minimisers (B, m)."""
    answer = np.einsum("bij,bj->bi", np.linalg.pinv(factor), right)
    outside = np.flatnonzero((np.abs(answer) > bound).any(axis=1))
    if len(outside):
        answer[outside] = _active_set(factor[outside], right[outside], bound[outside], answer[outside])
    return answer


def _active_set(factor: Array, right: Array, bound: Array, unbounded: Array) -> Array:
    count, size = unbounded.shape
    point = np.clip(unbounded, -bound, bound)
    held = np.abs(unbounded) > bound
    scale = np.linalg.norm(factor, axis=1) * np.linalg.norm(right, axis=1)[:, None]
    running = np.arange(count)
    for _ in range(PASSES_PER_VARIABLE * size + 10):
        r, y, a, h, limit = factor[running], right[running], point[running], held[running], bound[running]
        rest = y - np.einsum("bij,bj->bi", r, np.where(h, a, 0.0))
        goal = np.where(h, a, np.einsum("bij,bj->bi", np.linalg.pinv(np.where(h[:, None], 0.0, r)), rest))
        step = goal - a
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(h | (step == 0), np.inf, (np.sign(step) * limit - a) / step)
        length = np.minimum(room.min(axis=1), 1.0)
        arrived = length >= 1.0
        a = np.clip(a + length[:, None] * step, -limit, limit)
        a = np.where(arrived[:, None] & ~h, goal, a)
        meets = ~arrived[:, None] & (room <= length[:, None])
        a = np.where(meets, np.sign(step) * limit, a)
        gradient = np.einsum("bij,bi->bj", r, np.einsum("bij,bj->bi", r, a) - y)
        pull = np.where(h & arrived[:, None], np.sign(a) * gradient, -np.inf)  # > 0: inward
        hardest = pull.argmax(axis=1)
        rows = np.arange(len(running))
        released = arrived & (pull[rows, hardest] > ROUNDING * scale[running][rows, hardest])
        h = h | meets
        h[rows[released], hardest[released]] = False
        point[running], held[running] = a, h
        running = running[~arrived | released]
        if not len(running):
            break
    return point

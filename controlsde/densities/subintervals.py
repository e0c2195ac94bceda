"""Adaptive quadrature on an interval: subintervals of sixteen Gauss nodes, halved until they resolve a function.

Jumps and kinks are chased down to subintervals of 2^-50 of the interval, so that integrals of piecewise smooth
functions, and the distribution functions that grow from them, keep about thirteen digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

from controlsde.densities.density import Array

ORDER = 16
NODES, WEIGHTS = legendre.leggauss(ORDER)
# Legendre coefficients of the interpolant through values at the nodes: c_k = (2k+1)/2 Σ_j w_j P_k(ξ_j) f_j
TO_LEGENDRE = (np.arange(ORDER) + 0.5)[:, None] * legendre.legvander(NODES, ORDER - 1).T * WEIGHTS
MAX_HALVINGS = 50
MAX_PANELS = 50_000
TOLERANCE = 1e-14


@dataclass(frozen=True)
class Subintervals:
    """Subintervals between `edges` (P+1,), ascending, with `values` (P, 16) of a function at their nodes.

    `unresolved` is the share of the integral on subintervals that could not be halved further.
    """

    edges: Array
    values: Array
    unresolved: float

    @property
    def nodes(self) -> Array:
        """All quadrature nodes, shape (16P,), ascending."""
        return nodes_between(self.edges[:-1], self.edges[1:]).ravel()

    @property
    def weights(self) -> Array:
        """The quadrature weights of the nodes, shape (16P,)."""
        return (0.5 * np.diff(self.edges)[:, None] * WEIGHTS).ravel()

    @property
    def masses(self) -> Array:
        """The integral over each subinterval, shape (P,)."""
        return np.asarray(0.5 * np.diff(self.edges) * (self.values @ WEIGHTS))

    def integral_to(self, x: Array) -> tuple[Array, Array]:
        """∫ from the left end to x, and from x to the right end, for x (n,): each (n,).

        On a subinterval the interpolant is integrated: ∫_{-1}^ξ P_k is (P_{k+1} - P_{k-1})/(2k+1); 1 + ξ for k = 0.
        """
        inner = np.clip(x, self.edges[0], self.edges[-1])
        index = np.clip(np.searchsorted(self.edges, inner, side="right") - 1, 0, len(self.edges) - 2)
        width = self.edges[index + 1] - self.edges[index]
        local = 2.0 * (inner - self.edges[index]) / width - 1.0
        basis = legendre.legvander(local, ORDER)
        primitive = np.empty((inner.size, ORDER))
        primitive[:, 0] = 1.0 + local
        primitive[:, 1:] = (basis[:, 2:] - basis[:, :-2]) / (2.0 * np.arange(1, ORDER) + 1.0)
        part = 0.5 * width * np.sum(primitive * (self.values @ TO_LEGENDRE.T)[index], axis=1)
        before = np.concatenate([[0.0], np.cumsum(self.masses)])
        after = np.concatenate([[0.0], np.cumsum(self.masses[::-1])])[::-1]
        return before[index] + part, after[index] - part


def nodes_between(left: Array, right: Array) -> Array:
    """The Gauss nodes of subintervals from left (P,) to right (P,), shape (P, 16)."""
    return np.asarray(0.5 * (left + right)[:, None] + 0.5 * (right - left)[:, None] * NODES)


def resolve(function: Callable[[Array], Array], low: float, high: float, subintervals: int = 32) -> Subintervals:
    """Halve so many equal parts of [low, high] until each resolves `function` (n,) → (n,): see `resolve_between`."""
    return resolve_between(function, np.linspace(low, high, subintervals + 1))


def resolve_between(function: Callable[[Array], Array], edges: Array) -> Subintervals:
    """Halve the subintervals between edges (P+1,), ascending, until each resolves `function` (n,) → (n,).

    A subinterval resolves the function when its two highest Legendre coefficients, times its share of the
    interval, are below 1e-14 of the mean. Raises ValueError when a value is not finite or when the function
    is so rough that 50,000 subintervals do not do.
    """
    left, right = edges[:-1], edges[1:]
    length = edges[-1] - edges[0]
    done: list[tuple[Array, Array, Array]] = []
    scale, unresolved = 0.0, 0.0
    for level in range(MAX_HALVINGS + 1):
        values = _finite(function(nodes_between(left, right).ravel()).reshape(-1, ORDER))
        mean = 0.5 * np.abs(values) @ WEIGHTS
        share = (right - left) / length
        scale = scale or float(mean @ share)
        error = np.sum(np.abs(values @ TO_LEGENDRE[-2:].T), axis=1) * share
        rough = error > TOLERANCE * scale
        if level == MAX_HALVINGS:
            unresolved = float(np.sum((mean * share)[rough])) / scale if scale > 0.0 else 0.0
            rough = np.zeros_like(rough)
        done.append((left[~rough], right[~rough], values[~rough]))
        if not np.any(rough):
            break
        middle = 0.5 * (left + right)[rough]
        left, right = np.concatenate([left[rough], middle]), np.concatenate([middle, right[rough]])
        if left.size > MAX_PANELS:
            raise ValueError("the function is unbounded or varies on every scale: it cannot be integrated")
    starts, ends, values = (np.concatenate([part[i] for part in done]) for i in range(3))
    order = np.argsort(starts)
    return Subintervals(np.append(starts[order], ends[order][-1]), values[order], unresolved)


def _finite(values: Array) -> Array:
    if not np.all(np.isfinite(values)):
        raise ValueError("the function is not finite everywhere on the box")
    return values

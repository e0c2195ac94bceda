"""Gauss–Lobatto–Legendre points on [-1, 1]: nodes, weights, differentiation, interpolation, Legendre modes.

Comes in: a polynomial degree p. Goes out: arrays on the p + 1 nodes of the reference element.
Formulas: Canuto, Hussaini, Quarteroni, Zang, "Spectral Methods: Fundamentals in Single Domains" (2006), §2.3.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

Array = NDArray[np.float64]


@lru_cache
def nodes_and_weights(degree: int) -> tuple[Array, Array]:
    """The p + 1 nodes (-1, zeros of P_p', 1) and weights 2 / (p (p+1) P_p(x)²), each of shape (p+1,), read-only.

    Raises ValueError for degree < 1.
    """
    if degree < 1:
        raise ValueError(f"a Gauss–Lobatto rule needs degree >= 1 (got {degree})")
    top = np.zeros(degree + 1)
    top[-1] = 1.0
    derivative = legendre.legder(top)
    inner = np.sort(np.real(legendre.legroots(derivative)))
    second = legendre.legder(derivative)
    for _ in range(3):  # Newton's method takes the companion-matrix roots to rounding
        inner = inner - legendre.legval(inner, derivative) / legendre.legval(inner, second)
    nodes = np.concatenate([[-1.0], inner, [1.0]])
    nodes = 0.5 * (nodes - nodes[::-1])
    weights = 2.0 / (degree * (degree + 1) * legendre.legval(nodes, top) ** 2)
    for array in (nodes, weights):
        array.flags.writeable = False
    return nodes, weights


def barycentric_weights(nodes: Array) -> Array:
    """Barycentric weights 1 / ∏_{k≠j} (x_j - x_k), shape (p+1,)."""
    gaps = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(gaps, 1.0)
    return np.asarray(1.0 / np.prod(gaps, axis=1))


def differentiation_matrix(nodes: Array) -> Array:
    """D with (D f)_i = f'(x_i) for every polynomial f of degree p; shape (p+1, p+1), rows sum to zero exactly."""
    weights = barycentric_weights(nodes)
    gaps = nodes[:, None] - nodes[None, :]
    np.fill_diagonal(gaps, 1.0)
    matrix = (weights[None, :] / weights[:, None]) / gaps
    np.fill_diagonal(matrix, 0.0)
    np.fill_diagonal(matrix, -matrix.sum(axis=1))
    return np.asarray(matrix)


def interpolation_matrix(nodes: Array, points: Array) -> Array:
    """Lagrange interpolation from the nodes to points in [-1, 1]: shape (len(points), p+1)."""
    weights = barycentric_weights(nodes)
    gaps = points[:, None] - nodes[None, :]
    hit = np.abs(gaps) < 1e-14
    gaps[hit] = 1.0
    terms = weights[None, :] / gaps
    matrix = terms / terms.sum(axis=1, keepdims=True)
    rows = hit.any(axis=1)
    matrix[rows] = hit[rows].astype(float)
    return np.asarray(matrix)


def modal_matrix(nodes: Array) -> Array:
    """Nodal values to coefficients of the orthonormal Legendre polynomials; shape (p+1, p+1)."""
    degree = len(nodes) - 1
    scale = np.sqrt(np.arange(degree + 1) + 0.5)
    vandermonde = legendre.legvander(nodes, degree) * scale
    return np.asarray(np.linalg.inv(vandermonde))

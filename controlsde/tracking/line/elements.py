"""The operator of a one-dimensional mesh, element by element: what the compiled loops are given of it.

Comes in: an operator. Goes out: which unknowns each element has, and the element matrices that T(v) and the diffusion
are made of, all times the mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck import gauss_lobatto as gll
from controlsde.fokker_planck.operator import Operator

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Elements:
    """E elements with q nodes each; V vertices carry an unknown, and number V stands for those that carry none."""

    convection: Array  # c (q, q): c_ab = w_b φ_a'(x_b)
    stiffness: Array  # ∫ φ_a' φ_b' (q, q)
    weights: Array  # quadrature (q,)
    face: Array  # what the drift through the lower and the upper wall does to its element, times the mass (2, q)
    mass: Array  # (n,)
    start: Indices  # first interior unknown of each element (E,)
    vertex: Indices  # unknown of each vertex (V,)
    left: Indices  # vertices at the ends of each element (E,)
    right: Indices

    @staticmethod
    def of(operator: Operator) -> Elements:
        """The elements of an operator on a mesh of one axis."""
        mesh = operator.mesh
        (axis,) = mesh.axes
        derivative = gll.differentiation_matrix(axis.reference_nodes)
        reference = gll.nodes_and_weights(axis.degree)[1]
        count = axis.elements
        number = np.arange(count)
        if mesh.walls == "reflecting":
            start, vertex = number * axis.degree + 1, np.arange(count + 1) * axis.degree
            left, right = number, number + 1
        elif mesh.walls == "periodic":
            start, vertex = number * axis.degree + 1, number * axis.degree
            left, right = number, (number + 1) % count
        else:
            start, vertex = number * axis.degree, number[1:] * axis.degree - 1
            left, right = np.where(number == 0, count - 1, number - 1), number
        face = np.zeros((2, axis.degree + 1))
        if operator.outward.any():  # the last two drift points, see `operator`
            effect = operator.mesh.mass[:, None] * operator.combine[:, [-2, -1]].toarray()
            face[0], face[1] = effect[: axis.degree + 1, 0], effect[-axis.degree - 1 :, 1]
        return Elements(
            convection=derivative.T * reference,
            stiffness=(2.0 / axis.element_length) * derivative.T @ (reference[:, None] * derivative),
            weights=0.5 * axis.element_length * reference,
            face=face,
            mass=mesh.mass,
            start=start.astype(np.int64),
            vertex=vertex.astype(np.int64),
            left=left.astype(np.int64),
            right=right.astype(np.int64),
        )

"""The operator of a one-dimensional mesh, element by element: what the compiled loops are given of it.

Comes in: an operator. Goes out: which unknowns each element has, and the element matrices that T(v) and the diffusion
are made of, all times the mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.compiled.library import whole
from controlsde.fokker_planck import gauss_lobatto as gll
from controlsde.fokker_planck.diffusivity import blocks_a_piece
from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import in_parts, radau

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_SCHEME = ("eigenvalues", "a", "combination", "gathered", "spread", "lift", "multiply", "projected", "recovered")


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


def line_sizes(operator: Operator, elements: Elements, stages: int, steps: int, diffusivity: Array) -> dict[str, int]:
    """The sizes that `line.h` asks for, but for the network's: S steps a piece, and their diffusivities (K, S)."""
    single = radau(stages).multiplicity == 1.0
    blocks = blocks_a_piece(diffusivity)
    return {
        "nodes": len(elements.weights),
        "elements": len(elements.start),
        "lanes": whole(len(elements.start)),
        "vertices": len(elements.vertex),
        "room": whole(len(elements.vertex) + 1),
        "unknowns": len(elements.mass),
        "stages": stages,
        "reals": int(single.sum()),
        "slots": int(single.sum() + 2 * (~single).sum()),
        "pieces": len(diffusivity),
        "blocks": blocks,
        "steps": steps // blocks,
        "points": len(operator.drift_points),
        "faces": 2 if operator.outward.any() else 0,
    }


def line_arrays(elements: Elements, stages: int, step_lengths: Array, diffusivity: Array) -> dict[str, NDArray[Any]]:
    """The arrays that `line.h` asks for, but for those of the network and of the objective."""
    blocks = blocks_a_piece(diffusivity)
    spare = np.full(whole(len(elements.start)) - len(elements.start), len(elements.vertex))
    scheme = in_parts(stages)
    return {
        "convection": elements.convection,
        "stiffness": elements.stiffness,
        "weights": elements.weights,
        "face": elements.face,
        "mass": elements.mass,
        "start": elements.start,
        "vertex": elements.vertex,
        "left": np.concatenate([elements.left, spare]),
        "right": np.concatenate([elements.right, spare]),
        "lengths": np.repeat(step_lengths, blocks),
        "diffusivity": diffusivity[:, :: diffusivity.shape[1] // blocks].ravel(),
        **{name: scheme[name] for name in _SCHEME},
    }

"""The modes of the discrete diffusion, which a mesh of tensor products has on each axis alone.

Comes in: a mesh. Goes out: the change from values to modes and back, and the rate of each mode.

On one axis L = −M⁻¹K with M diagonal and K symmetric, so M^½ L M^−½ = Q Λ Qᵀ, and L = (M^−½Q) Λ (QᵀM^½); in several
dimensions L is the sum over the axes, and its rates are the sums of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Axis, Mesh

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DiffusionModes:
    """The matrices, by axis, from values to modes and back; rates (n,) ≤ 0, in the order of the unknowns."""

    forth: tuple[Array, ...]
    backward: tuple[Array, ...]
    rates: Array

    @staticmethod
    def of(mesh: Mesh) -> DiffusionModes:
        """The modes of a mesh's diffusion."""
        parts = [_axis_modes(axis) for axis in mesh.axes]
        rates = reduce(lambda a, b: np.add.outer(a, b).ravel(), [part[2] for part in parts])
        return DiffusionModes(tuple(part[0] for part in parts), tuple(part[1] for part in parts), np.asarray(rates))

    def of_values(self, values: Array) -> Array:
        """Values (…, n) to modes (…, n)."""
        return _on_each_axis(self.forth, values)

    def back(self, modes: Array) -> Array:
        """DiffusionModes (…, n) to values (…, n)."""
        return _on_each_axis(self.backward, modes)


def _axis_modes(axis: Axis) -> tuple[Array, Array, Array]:
    root = np.sqrt(axis.mass)
    stiffness = (axis.prolongation.T @ axis.stiffness @ axis.prolongation).toarray()
    rates, vectors = np.linalg.eigh(-stiffness / np.outer(root, root))
    return vectors.T * root, vectors / root[:, None], rates


def _on_each_axis(matrices: tuple[Array, ...], values: Array) -> Array:
    lead = values.shape[:-1]
    result = values.reshape((*lead, *(len(matrix) for matrix in matrices)))
    for number, matrix in enumerate(matrices):
        axis = len(lead) + number
        result = np.moveaxis(np.tensordot(matrix, result, (1, axis)), 0, axis)
    return result.reshape(values.shape)

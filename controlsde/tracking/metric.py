"""Norms of a tracking error on a mesh: ‖e‖² = |R e|², R = diag(scale) (F_1 ⊗ … ⊗ F_d).

Comes in: a mesh. Goes out: R, RᵀR and their products with arrays of NumPy or PyTorch, one small matrix an axis.

    L²      ‖e‖² = Σ mass e²:  no factors, scale = √mass
    Ḣ⁻¹     ‖e‖² = ∫ |∇φ|², −Δφ = e, n·∇φ = 0 on walls (Wasserstein-like, quadratic; in one dimension the L² norm of
            the difference of the distribution functions). With K_i V_i = M_i V_i Λ_i, V_iᵀ M_i V_i = 1 on each axis:
            F_i = V_iᵀ M_i, scale = (Λ_1 + … + Λ_d)^−½, and 0 for the mean, which no transport can change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Axis, Mesh

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Metric:
    """A norm as above; build it with `l2` or `negative_sobolev`. `shape` is the number of unknowns along each axis."""

    shape: tuple[int, ...]
    factors: tuple[Any, ...]  # (n_i, n_i), one an axis, or none at all
    scale: Any  # (n,)

    @staticmethod
    def l2(mesh: Mesh) -> Metric:
        """‖e‖² = ∫ e² for unknowns e (n,) of the mesh."""
        return Metric(tuple(len(axis.mass) for axis in mesh.axes), (), np.sqrt(mesh.mass))

    @staticmethod
    def negative_sobolev(mesh: Mesh) -> Metric:
        """‖e‖²_{Ḣ⁻¹} for unknowns e (n,) of a mesh between reflecting walls or on a torus."""
        solved = [_eigenmodes(axis) for axis in mesh.axes]
        rates = np.zeros(1)
        for values, _ in solved:
            rates = np.add.outer(rates, values).ravel()
        rates[0] = np.inf
        return Metric(tuple(len(axis.mass) for axis in mesh.axes), tuple(one for _, one in solved), rates**-0.5)

    @property
    def diagonal(self) -> bool:
        """Whether RᵀR is diagonal."""
        return not self.factors

    def root(self, values: Any) -> Any:
        """R e along the last axis: (…, n) → (…, n)."""
        return self.root_columns(values[..., None])[..., 0]

    def root_columns(self, values: Any) -> Any:
        """R along the last axis but one: (…, n, c) → (…, n, c)."""
        return self.factored_columns(values) * self.scale[:, None]

    def factored_columns(self, values: Any) -> Any:
        """R without its scale along the last axis but one: (…, n, c) → (…, n, c)."""
        return self._factored(values, self.factors)

    def apply(self, values: Any) -> Any:
        """RᵀR e along the last axis: (…, n) → (…, n)."""
        if self.diagonal:
            return values * self.scale**2
        scaled = self.root(values) * self.scale
        return self._factored(scaled[..., None], tuple(factor.T for factor in self.factors))[..., 0]

    def matrix(self) -> sp.csc_array:
        """RᵀR, (n, n)."""
        if self.diagonal:
            return sp.csc_array(sp.diags_array(self.scale**2))
        whole = reduce(np.kron, self.factors) * self.scale[:, None]
        return sp.csc_array(whole.T @ whole)

    def converted(self, convert: Callable[[Array], Any]) -> Metric:
        """The same metric with every array converted, for instance to tensors."""
        return Metric(self.shape, tuple(convert(factor) for factor in self.factors), convert(self.scale))

    def _factored(self, values: Any, factors: tuple[Any, ...]) -> Any:
        shape, columns = values.shape, values.shape[-1]
        lead = math.prod(shape[:-2])
        for axis, factor in enumerate(factors):
            before, after = math.prod(self.shape[:axis]), math.prod(self.shape[axis + 1 :])
            values = factor @ values.reshape(lead * before, self.shape[axis], after * columns)
        return values.reshape(shape)


def _eigenmodes(axis: Axis) -> tuple[Array, Array]:
    """Rates Λ (n,), ascending, and VᵀM (n, n) of the Neumann, or periodic, Laplacian on one axis."""
    stiffness = (axis.prolongation.T @ axis.stiffness @ axis.prolongation).toarray()
    rates, vectors = scipy.linalg.eigh(stiffness, np.diag(axis.mass))
    rates[0] = 0.0  # the constants, to rounding
    return np.maximum(rates, 0.0), np.asarray(vectors.T * axis.mass)

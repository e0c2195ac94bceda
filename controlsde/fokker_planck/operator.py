"""The semi-discrete Fokker–Planck operator: bilinear in the drift and the density.

    A(v) ρ = D L ρ + Σ_i G_i (v_i ∘ Q ρ)

L (n, n) and G_i (n, k) are constant sparse matrices, Q (k, n) takes the unknowns to the k drift points, and
v_i (k,) is the i-th component of the drift there. The same matrices go to SciPy, PyTorch and CasADi.

Weak form with Gauss–Lobatto quadrature, so the mass matrix M is diagonal: L = -M⁻¹ Σ_i K_i,
G_i = M⁻¹ C_i with (C_i f)_j = ∫ ∂_i φ_j f dx. Zero flux is natural, and 1ᵀML = 1ᵀMG_i = 0: closed walls keep
the mass to rounding.

Drift points are the grid points of the mesh. A periodic seam has two of them, one on each side, so a drift
that jumps there is treated as it is. Absorbing walls: for D > 0 the density vanishes at the wall; for D = 0 it
cannot, and mass leaves with the outward part of the drift, upwind:  −(v·n)⁺ρ.  Those wall faces are extra drift
points, at which `rectify` keeps only the outward part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh, kronecker

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Operator:
    """A(v) on one mesh for one diffusivity D; build it with `Operator.build`."""

    mesh: Mesh
    diffusivity: float
    diffusion: sp.csr_array  # L, (n, n)
    transport: tuple[sp.csr_array, ...]  # G_i, each (n, k)
    gather: sp.csr_array  # Q, (k, n)
    drift_points: Array  # (k, d)
    outward: Array = field(repr=False)  # (k, d): ±1 on outflow faces (the sign of the normal), else 0

    @staticmethod
    def build(mesh: Mesh, diffusivity: float) -> Operator:
        """The operator with diffusivity D >= 0 (length²/time) on a mesh.

        Raises ValueError for a negative or non-finite diffusivity.
        """
        if not (np.isfinite(diffusivity) and diffusivity >= 0):
            raise ValueError(f"the diffusivity must be finite and >= 0 (got {diffusivity})")
        outflow = mesh.walls == "absorbing" and diffusivity == 0
        if outflow:  # the walls carry unknowns of their own, as on reflecting walls
            mesh = Mesh(tuple(replace(axis, walls="reflecting") for axis in mesh.axes))
        operator = Operator(
            mesh=mesh,
            diffusivity=float(diffusivity),
            diffusion=_diffusion(mesh),
            transport=tuple(_transport(mesh, i) for i in range(mesh.dimension)),
            gather=mesh.prolongation,
            drift_points=mesh.points,
            outward=np.zeros_like(mesh.points),
        )
        return _with_outflow(operator) if outflow else operator

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return int(self.diffusion.shape[0])

    @property
    def closed(self) -> bool:
        """Whether the walls keep the mass."""
        return self.mesh.walls != "absorbing" and not self.outward.any()

    def rectify(self, drift: Array) -> Array:
        """The drift (…, k, d) as the operator uses it: only its outward part on outflow faces."""
        if not self.outward.any():
            return drift
        return np.where(self.outward == 0, drift, self.outward * np.maximum(self.outward * drift, 0.0))

    def matrix(self, drift: Array) -> sp.csr_array:
        """A(v) as a sparse matrix (n, n) for a rectified drift (k, d)."""
        total = self.diffusivity * self.diffusion
        for component, transport in enumerate(self.transport):
            total = total + transport @ sp.diags_array(drift[:, component]) @ self.gather
        return sp.csr_array(total)

    def sample(self, drift: Callable[[Array], Array]) -> Array:
        """A drift function of points (k, d) → (k, d), sampled and rectified at the drift points."""
        return self.rectify(drift(self.drift_points))


def _lumped(mesh: Mesh, number: int) -> sp.csr_array:
    """M⁻¹ PᵀW along one axis: grid values to unknowns, (unknowns, grid)."""
    axis = mesh.axes[number]
    return sp.csr_array(sp.diags_array(1.0 / axis.mass) @ axis.prolongation.T @ sp.diags_array(axis.weights))


def _diffusion(mesh: Mesh) -> sp.csr_array:
    """L = Σ_i I ⊗ … ⊗ (−M_i⁻¹ PᵀK_iP) ⊗ … ⊗ I."""
    total = sp.csr_array((len(mesh.mass), len(mesh.mass)))
    for number in range(mesh.dimension):
        factors = [sp.eye_array(len(axis.mass), format="csr") for axis in mesh.axes]
        axis = mesh.axes[number]
        stiffness = axis.prolongation.T @ axis.stiffness @ axis.prolongation
        factors[number] = -sp.diags_array(1.0 / axis.mass) @ stiffness
        total = total + kronecker(factors)
    return sp.csr_array(total)


def _transport(mesh: Mesh, number: int) -> sp.csr_array:
    """G_i = M⁻¹PᵀW ⊗ … ⊗ M_i⁻¹PᵀC_i ⊗ … ⊗ M⁻¹PᵀW."""
    factors = [_lumped(mesh, other) for other in range(mesh.dimension)]
    axis = mesh.axes[number]
    factors[number] = sp.csr_array(sp.diags_array(1.0 / axis.mass) @ axis.prolongation.T @ axis.convection)
    return kronecker(factors)


def _with_outflow(operator: Operator) -> Operator:
    """Add the outflow faces: one extra drift point for each wall node of each axis."""
    mesh = operator.mesh
    size = operator.size
    grid_index = np.arange(size).reshape(mesh.shape)
    nodes, normals, columns = [], [], []
    for number, axis in enumerate(mesh.axes):
        for end, sign in ((0, -1.0), (-1, 1.0)):
            face = np.take(grid_index, end, axis=number).ravel()
            normal = np.zeros((len(face), mesh.dimension))
            normal[:, number] = sign
            nodes.append(face)
            normals.append(normal)
            columns.append(np.full(len(face), -sign / axis.weights[end]))
    node = np.concatenate(nodes)
    outward = np.concatenate(normals)
    value = np.concatenate(columns)
    count = len(node)
    select = sp.coo_array((np.ones(count), (np.arange(count), node)), shape=(count, size)).tocsr()
    transport = []
    for number, matrix in enumerate(operator.transport):
        own = np.where(outward[:, number] != 0, value, 0.0)
        faces = sp.coo_array((own, (node, np.arange(count))), shape=(size, count)).tocsr()
        transport.append(sp.csr_array(sp.hstack([matrix, faces])))
    return replace(
        operator,
        transport=tuple(transport),
        gather=sp.csr_array(sp.vstack([operator.gather, select])),
        drift_points=np.concatenate([operator.drift_points, mesh.points[node]]),
        outward=np.concatenate([operator.outward, outward]),
    )

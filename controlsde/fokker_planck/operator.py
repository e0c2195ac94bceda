"""The semi-discrete Fokker–Planck operator: bilinear in the drift and the density.

    A(v) ρ = D L ρ + B ((S v) ∘ (T ρ))

L (n, n), B (n, q), S (q, k·d) and T (q, n) are constant sparse matrices; v (k, d) is the drift at the k drift
points, flattened. The same matrices go to SciPy, PyTorch and CasADi.

Weak form with Gauss–Lobatto quadrature, so the mass matrix M is diagonal and zero flux is natural. With
(C_i f)_j = ∫ ∂_iφ_j f dx, K(v) = Σ_i Pᵀ C_i diag(v_i) P and P the prolongation to the grid,

    L = −M⁻¹ Σ_i K_i,        transport = M⁻¹ [ ½ K(v) − ½ K(v)ᵀ + ½ diag(K(v) 1) ],

the skew-symmetric form of −∇·(vρ): equal to M⁻¹K(v) for what the mesh resolves, but where ∇·v = 0 it keeps ‖ρ‖
exactly, resolved or not, so that aliasing can neither feed nor damp a density at D = 0. (Noise-free cellular flow on
33² nodes: ‖ρ‖ drifts by 1e-7 instead of 11 %, and the error at T = 1 is ten times smaller than with K(v) alone.)
1ᵀM L = 0 and 1ᵀM B diag(S v) T = 0: closed walls keep the mass to rounding for every v.

Drift points are the grid points of the mesh. A periodic seam has two of them, one on each side, so a drift
that jumps there is treated as it is.

Walls at D = 0, where no diffusion rules the layer at a wall. The wall faces are extra drift points, at which
`rectify` keeps only the outward part (v·n)⁺. Absorbing walls: the density cannot vanish there, and mass leaves
upwind:  −(v·n)⁺ρ.  Reflecting walls: mass that the drift presses against the wall must pile up there. The form above
would blow it up instead, at a rate that grows without limit under refinement; so the outward drift of the wall node
itself is taken out again, in the form M⁻¹K alone:  −M⁻¹K((v·n)⁺n at the wall node).  The wall node then collects
what arrives, as mass over cell width, and no eigenvalue of A has a positive real part for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Mesh, kronecker
from controlsde.foundation.sparse import with_entries

Array = NDArray[np.float64]

DENSE_LIMIT = {1: 100, 2: 400, 3: 400}  # unknowns by dimension; above it condensed factors beat dense ones on a CPU

MOST_TABULATED = 20_000  # unknowns up to which the entries of A(v) are tabulated


@dataclass(frozen=True, eq=False)
class Operator:
    """A(v) on one mesh for one diffusivity D; build it with `Operator.build`.

    Where D varies in time, `diffusivity` is its mean: what counts here is only whether it is zero. The propagation and
    `matrix` are given its values.
    """

    mesh: Mesh
    diffusivity: float
    diffusion: sp.csr_array  # L, (n, n)
    combine: sp.csr_array  # B, (n, q)
    sampling: sp.csr_array  # S, (q, k·d)
    gather: sp.csr_array  # T, (q, n)
    drift_points: Array  # (k, d)
    outward: Array = field(repr=False)  # (k, d): ±1 on the wall faces of D = 0 (the sign of the normal), else 0

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
        combine, sampling, gather = _transport(mesh)
        operator = Operator(
            mesh=mesh,
            diffusivity=float(diffusivity),
            diffusion=_diffusion(mesh),
            combine=combine,
            sampling=sampling,
            gather=gather,
            drift_points=mesh.points,
            outward=np.zeros_like(mesh.points),
        )
        if diffusivity == 0 and mesh.walls != "periodic":
            return _with_faces(operator, _leaving if outflow else _held_back)
        return operator

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return int(self.diffusion.shape[0])

    def rectify(self, drift: Array) -> Array:
        """The drift (…, k, d) as the operator uses it: only its outward part on wall faces."""
        if not self.outward.any():
            return drift
        return np.where(self.outward == 0, drift, self.outward * np.maximum(self.outward * drift, 0.0))

    def passes(self, drift: Array) -> NDArray[np.bool_]:
        """Where the rectified drift follows the drift (…, k, d): not on wall faces where nothing flows out."""
        return np.asarray((self.outward == 0) | (self.outward * drift > 0))

    def matrix(self, drift: Array, diffusivity: float | None = None) -> sp.csr_array:
        """A(v) as a sparse matrix (n, n) for a rectified drift (k, d); `diffusivity` stands in for the operator's."""
        factor = self.diffusivity if diffusivity is None else diffusivity
        if self.size <= MOST_TABULATED:
            return self._entries.matrix(drift, factor)
        sampled = self.sampling @ drift.ravel()
        return sp.csr_array(factor * self.diffusion + self.combine @ sp.diags_array(sampled) @ self.gather)

    @cached_property
    def _entries(self) -> _Entries:
        return _Entries.of(self)


@dataclass(frozen=True, eq=False)
class _Entries:
    """The entries of A(v) that can differ from zero, in the order of a CSR matrix, and what each is of v and of D."""

    diffusion: sp.csr_array
    linear: sp.csr_array  # (nnz, k·d)

    @staticmethod
    def of(operator: Operator) -> _Entries:
        """Tabulate an operator; its whole diagonal is among the entries."""
        size = operator.size
        rows, columns, inputs, values = entries_linear_in_drift(operator)
        still = operator.diffusion.tocoo()
        every = np.arange(size)
        keys = [i.astype(np.int64) * size + j for i, j in ((rows, columns), (still.row, still.col), (every, every))]
        entries, place = np.unique(np.concatenate(keys), return_inverse=True)
        moved, spread = place[: len(rows)], place[len(rows) : len(rows) + still.nnz]
        diffusion = np.zeros(len(entries))
        diffusion[spread] = still.data
        starts = np.searchsorted(entries, np.arange(size + 1) * size).astype(np.int32)
        linear = sp.coo_array((values, (moved, inputs)), shape=(len(entries), operator.sampling.shape[1])).tocsr()
        return _Entries(
            sp.csr_array((diffusion, (entries % size).astype(np.int32), starts), shape=(size, size)), linear
        )

    def matrix(self, drift: Array, diffusivity: float) -> sp.csr_array:
        """A(v)."""
        return with_entries(self.diffusion, self.linear @ drift.ravel() + diffusivity * self.diffusion.data)


def entries_linear_in_drift(operator: Operator) -> tuple[Any, Any, Any, Any]:
    """Entries (i, j) of B diag(S v) T as linear functions of v: rows i, columns j, entries of v, coefficients."""
    combine, gather = operator.combine.tocsc(), operator.gather.tocsr()
    left, right = np.diff(combine.indptr), np.diff(gather.indptr)
    points = np.repeat(np.arange(len(left)), left * right)  # one for each pair (B_iq, T_qj)
    within = np.arange(len(points)) - np.repeat(np.cumsum(left * right) - left * right, left * right)
    i = combine.indptr[points] + within // right[points]
    j = gather.indptr[points] + within % right[points]
    keys = combine.indices[i].astype(np.int64) * operator.size + gather.indices[j]
    entries, entry = np.unique(keys, return_inverse=True)
    pairs = sp.coo_array((combine.data[i] * gather.data[j], (entry, points)), shape=(len(entries), len(left)))
    total = (pairs.tocsr() @ operator.sampling).tocoo()
    rows, columns = np.divmod(entries[total.row], operator.size)
    return rows, columns, total.col.astype(np.int64), total.data


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


def _transport(mesh: Mesh) -> tuple[sp.csr_array, sp.csr_array, sp.csr_array]:
    """B, S, T of the skew-symmetric form: three rows of blocks for each component of the drift."""
    prolong = mesh.prolongation
    restrict = sp.diags_array(1.0 / mesh.mass) @ prolong.T
    identity = sp.eye_array(len(mesh.mass))
    combine, sampling, gather = [], [], []
    for component in range(mesh.dimension):
        convection = _convection(mesh, component)
        pick = _component(len(mesh.points), mesh.dimension, component)
        # ½ M⁻¹PᵀC (v ∘ Pρ)  −  ½ M⁻¹Pᵀ (v ∘ CᵀPρ)  +  ½ (M⁻¹PᵀC v) ∘ ρ
        divergence = restrict @ convection
        combine += [0.5 * divergence, -0.5 * restrict, 0.5 * identity]
        sampling += [pick, pick, divergence @ pick]
        gather += [prolong, convection.T @ prolong, identity]
    return (
        sp.csr_array(sp.hstack(combine)),
        sp.csr_array(sp.vstack(sampling)),
        sp.csr_array(sp.vstack(gather)),
    )


def _component(points: int, dimension: int, component: int) -> sp.csr_array:
    """Picks v_i (k,) out of the flattened drift (k·d,)."""
    rows = np.arange(points)
    return sp.coo_array(
        (np.ones(points), (rows, rows * dimension + component)), shape=(points, points * dimension)
    ).tocsr()


def _with_faces(operator: Operator, effect: Callable[[Mesh, int, int, NDArray[np.int64]], sp.csr_array]) -> Operator:
    """Add the wall faces: one extra drift point for each wall node of each axis.

    effect(mesh, axis, sign of the normal, nodes) is what v·e_axis times ρ at the wall nodes does to ρ': (n, nodes).
    """
    mesh, size = operator.mesh, operator.size
    dimension = mesh.dimension
    grid_index = np.arange(size).reshape(mesh.shape)
    nodes, normals, effects = [], [], []
    for number in range(dimension):
        for end, sign in ((0, -1), (-1, 1)):
            face = np.take(grid_index, end, axis=number).ravel()
            normal = np.zeros((len(face), dimension))
            normal[:, number] = sign
            nodes.append(face)
            normals.append(normal)
            effects.append(effect(mesh, number, sign, face))
    node, outward = np.concatenate(nodes), np.concatenate(normals)
    count, old = len(node), len(operator.drift_points)
    rows = np.arange(count)
    component = np.argmax(np.abs(outward), axis=1)
    own = sp.coo_array(
        (np.ones(count), (rows, (old + rows) * dimension + component)),
        shape=(count, (old + count) * dimension),
    )
    at = sp.coo_array((np.ones(count), (rows, node)), shape=(count, size))
    widened = sp.hstack([operator.sampling, sp.csr_array((operator.sampling.shape[0], count * dimension))])
    return replace(
        operator,
        combine=sp.csr_array(sp.hstack([operator.combine, *effects])),
        sampling=sp.csr_array(sp.vstack([widened, own])),
        gather=sp.csr_array(sp.vstack([operator.gather, at])),
        drift_points=np.concatenate([operator.drift_points, mesh.points[node]]),
        outward=np.concatenate([operator.outward, outward]),
    )


def _leaving(mesh: Mesh, axis: int, sign: int, nodes: NDArray[np.int64]) -> sp.csr_array:
    """−(v·n)⁺ρ over the wall weight, at the wall nodes."""
    weight = mesh.axes[axis].weights[0 if sign < 0 else -1]
    columns = np.arange(len(nodes))
    values = np.full(len(nodes), -sign / weight)
    return sp.coo_array((values, (nodes, columns)), shape=(len(mesh.mass), len(nodes))).tocsr()


def _held_back(mesh: Mesh, axis: int, sign: int, nodes: NDArray[np.int64]) -> sp.csr_array:  # noqa: ARG001
    """−M⁻¹C_axis, its columns of the wall nodes: their outward drift taken out."""
    return sp.csr_array(-(_divergence(mesh, axis).tocsc()[:, nodes]))


def _convection(mesh: Mesh, axis: int) -> sp.csr_array:
    """C_axis on the grid."""
    factors = [sp.diags_array(each.weights, format="csr") for each in mesh.axes]
    factors[axis] = mesh.axes[axis].convection
    return kronecker(factors)


def _divergence(mesh: Mesh, axis: int) -> sp.csr_array:
    """M⁻¹PᵀC_axis, from grid values to unknowns."""
    return sp.csr_array(sp.diags_array(1.0 / mesh.mass) @ mesh.prolongation.T @ _convection(mesh, axis))

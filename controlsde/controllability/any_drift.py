"""What any drift could change of the density at T, to first order: the Gramian of all drifts, constant on every piece.

With B_k = ∂ρ(T)/∂v_k for the values v_k of the drift at the grid points in piece k, Q_k = diag(weight ∫_k ρ dt), and
the energy Σ_k δv_kᵀQ_k δv_k of a change,

    W_full = Σ_k M^½ B_k Q_k⁻¹ B_kᵀ M^½,

the changes of density that energy one can make are z = M^½δρ with zᵀW_full⁻¹z ≤ 1. The drift of a network is one such
drift: X Xᵀ ⪯ W_full for the X of `gramian` in the energy metric, on the same mesh and the same pieces. Tangential
networks are compared with drifts that are tangential, too.

At a stationary density of a reversible drift, and with infinitely many pieces and time, W_full is ρ/2D, D > 0
(fluctuation and dissipation). That has no finite trace, and without noise the eigenvalues grow with the frequency: the
trace is one of the mesh, and is compared only with others on the same mesh.

Comes in: a linearisation. Goes out: W_full as a factor, exact where the mesh is small, and otherwise its trace by
Hutch++ (Meyer, Musco, Musco and Woodruff 2021) with a standard error, and its largest eigenvalues from below (Ritz).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import occupation

Array = NDArray[np.float64]

MOST_EXACT = 450  # unknowns up to which W_full is computed column by column
PROBES = 24  # sweeps of each of the three parts of Hutch++


@dataclass(frozen=True, eq=False)
class Spectrum:
    """√ of the eigenvalues of W_full, descending, with directions (n, r) of norm one in M^½ coordinates, and its trace.

    trace_se: the standard error of the trace, 0 where all is exact; the singular values are lower bounds otherwise.
    """

    singular_values: Array
    directions: Array
    trace: float
    trace_se: float

    @property
    def exact(self) -> bool:
        """Whether every eigenvalue is here."""
        return len(self.singular_values) == len(self.directions)


@dataclass(frozen=True, eq=False)
class AnyDrift:
    """The factor of W_full; build it with `about`. nodes: the grid point of every drift point, (k,)."""

    linearisation: Linearisation
    nodes: NDArray[np.int64]
    inverse_roots: Array  # (K, N·d): Q_k^−½, and 0 where a tangential drift vanishes

    @staticmethod
    def about(linearisation: Linearisation) -> AnyDrift:
        """Of all drifts of the network's kind: tangential where it is."""
        operator, network = linearisation.tracking.operator, linearisation.tracking.network
        points = operator.mesh.points
        faces = len(operator.drift_points) - len(points)
        at_walls = operator.gather.tocsr().indices[-faces:] if faces else np.zeros(0, dtype=np.int64)
        factor = np.broadcast_to(network.tangential_factor(points), points.shape)
        free = (factor.ravel() > 1e-12).astype(float)
        roots = np.repeat(np.sqrt(occupation(linearisation)), points.shape[1], axis=1)
        nodes = np.concatenate([np.arange(len(points)), at_walls]).astype(np.int64)
        return AnyDrift(linearisation, nodes, free / roots)

    def reached(self, controls: Array) -> Array:
        """z = M^½δρ(T), (n, c), for controls Q^½δv of the pieces, (K, N·d, c)."""
        values = controls * self.inverse_roots[..., None]
        pieces, _, count = values.shape
        dimension = self.linearisation.tracking.mesh.dimension
        at_points = values.reshape(pieces, -1, dimension, count)[:, self.nodes]
        changes = at_points.reshape(pieces, -1, count)
        return self._roots[:, None] * self.linearisation.of_drift(changes)

    def pulled(self, coordinates: Array) -> Array:
        """The transpose of `reached`: (K, N·d, c) for (n, c)."""
        return self.controls_of(self.linearisation.drift_adjoint(self._roots[:, None] * coordinates))

    def controls_of(self, gradient: Array) -> Array:
        """Q^−½ times a gradient in the drift at the drift points: (K, N·d, c) for (K, k·d, c)."""
        dimension = self.linearisation.tracking.mesh.dimension
        pieces, _, count = gradient.shape
        parts = gradient.reshape(pieces, -1, dimension, count)
        own = self.inverse_roots.shape[1] // dimension
        total = parts[:, :own].copy()
        for face, node in enumerate(self.nodes[own:]):  # several faces meet in a corner
            total[:, node] += parts[:, own + face]
        return total.reshape(pieces, -1, count) * self.inverse_roots[..., None]

    def matrix(self) -> Array:
        """W_full (n, n), by a sweep back for every unknown."""
        factor = self.pulled(np.eye(self.linearisation.shape[0]))
        factor = factor.reshape(-1, factor.shape[-1])
        return factor.T @ factor

    def spectrum(self, rng: np.random.Generator, probes: int = PROBES) -> Spectrum:
        """Exact up to `MOST_EXACT` unknowns, otherwise by random probes."""
        size = self.linearisation.shape[0]
        if size > max(MOST_EXACT, 3 * probes):
            return self._estimated(rng, probes)
        values, vectors = np.linalg.eigh(self.matrix())
        values = np.maximum(values[::-1], 0.0)
        return Spectrum(np.sqrt(values), vectors[:, ::-1], float(values.sum()), 0.0)

    def _estimated(self, rng: np.random.Generator, probes: int) -> Spectrum:
        """Hutch++: tr W = tr QᵀWQ + E gᵀ(1 − QQᵀ)W(1 − QQᵀ)g, Q the range of W on random probes, g of random signs."""
        size = self.linearisation.shape[0]
        basis, _ = np.linalg.qr(self.reached(self.pulled(rng.standard_normal((size, probes)))))
        inside = self.pulled(basis)
        inside = inside.reshape(-1, probes)
        signs = rng.choice([-1.0, 1.0], (size, probes))
        outside = self.pulled(signs - basis @ (basis.T @ signs))
        rest = (outside**2).sum(axis=(0, 1))
        _, values, right = np.linalg.svd(inside, full_matrices=False)
        trace = float((inside**2).sum() + rest.mean())
        return Spectrum(values, basis @ right.T, trace, float(rest.std(ddof=1) / np.sqrt(probes)))

    @property
    def _roots(self) -> Array:
        return np.sqrt(self.linearisation.tracking.mesh.mass)

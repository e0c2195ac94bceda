"""A lower bound of the log-density of a noisy process, in the mean over noised paths of each point.

For dX = v dt + √(2ηD₀) dW from ρ_0, and any process dY = f ds + √(2ηD₀) dB from Y_0 = x in s = T − t (Feynman–Kac and
Girsanov),

    log ρ_T(x) ≥ E[log ρ_0(Y_T) − ∫₀ᵀ (|f + v|²/(4ηD₀) + ∇·v) ds].

f is that of the reference reversed at the same noise, f_η = −v*_η + 2ηD₀∇log p = f + (η − 1)D₀∇log p: at η = 1 the
forward process itself. For the exact drift the bound is log p(x) and tight; what a path says of it is log p(x) plus a
martingale. Taken out as a control variate it leaves, with δ = v − v*_η,

    log p(x) − E[log p_0(Y_T) − log ρ_0(Y_T) + ∫₀ᵀ (|δ|²/(4ηD₀) + δ·∇log p + ∇·δ) ds],

of which the last two terms vanish in the mean over x of p: the mean gap is the divergence of paths, `path_divergence`.
Paths are steps of Heun, of weak order two for a noise that does not depend on the place; no step crosses an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift
from controlsde.control.free_exact import FreeExactDrift, divergence_of_force
from controlsde.densities.free_mixture import FreeMixture
from controlsde.densities.laplacian import score_and_laplacian
from controlsde.foundation.threads import side_by_side
from controlsde.monte_carlo.statistics import Estimate
from controlsde.reference.free_space import FreeReference
from controlsde.tracking.cloud import parts
from controlsde.verification.likelihood import mean_of

Array = NDArray[np.float64]

STEPS = 16  # of a piece
ROWS = 256  # paths that are walked together


@dataclass(frozen=True, eq=False)
class EvidenceBound:
    """values: the bound at every point (n,), by the control variate. plain: the same without it, from the same paths.

    gaps: log p − values, (n,).
    """

    values: Array
    plain: Array
    gaps: Array

    @property
    def mean(self) -> Estimate:
        """The mean of the bound over the points, in nats: at most that of log ρ_T."""
        return mean_of(self.values)

    @property
    def gap(self) -> Estimate:
        """E[log p − bound]: at points of p an upper bound of KL(p‖ρ)."""
        return mean_of(self.gaps)


def evidence_bound(
    reference: FreeReference,
    drift: Drift,
    noise: float,
    points: Array,
    rng: np.random.Generator,
    steps: int = STEPS,
    paths: int = 1,
) -> EvidenceBound:
    """At points (n, d), n ≥ 2, from `paths` paths of each, at noise level η > 0. Raises ValueError without noise.

    The mean over points has its least error for a given cost with one path of each.
    """
    if noise <= 0.0:
        raise ValueError("without noise the density is known itself: use flow_likelihood")
    starts = np.repeat(points, paths, axis=0)
    rows = list(parts(len(starts), ROWS))
    seeds = rng.integers(2**63, size=len(rows))

    def along(part: tuple[slice, int]) -> tuple[Array, Array, Array]:
        own = np.random.default_rng(part[1])
        return _along_paths(reference, drift, noise, starts[part[0]], own, steps)

    found = side_by_side(along, list(zip(rows, seeds.tolist(), strict=True)))
    ends, gaps, exact = (np.concatenate(each) for each in zip(*found, strict=True))
    last: FreeMixture = reference.mixture(0.0)
    start = reference.initial.log_density(ends)
    gaps = gaps + (last.log_density(ends) - start if reference.start is not None else 0.0)
    plain = last.log_density(ends) - exact - gaps
    target = reference.mixture(reference.horizon).log_density(points)
    gap = gaps.reshape(len(points), paths).mean(axis=1)
    return EvidenceBound(target - gap, plain.reshape(len(points), paths).mean(axis=1), gap)


def _along_paths(
    reference: FreeReference, drift: Drift, noise: float, y: Array, rng: np.random.Generator, steps: int
) -> tuple[Array, Array, Array]:
    """Ends of paths from points y (n, d), and ∫ ds along each of what δ adds and of what the exact drift has, (n,).

    The exact drift's own integrand is |f_η + v*|²/(4ηD₀) + ∇·v* = ηD₀|∇log p|² + ∇·v*.
    """
    edges = drift.edges
    gaps, exact = np.zeros(len(y)), np.zeros(len(y))
    for piece in reversed(range(len(edges) - 1)):
        begin, length = float(edges[piece]), float(edges[piece + 1] - edges[piece])
        step = length / steps
        t = begin + length
        force, extra, own = _integrands(reference, drift, noise, piece, t, y)
        for i in reversed(range(steps)):
            early = begin + length * i / steps
            spread = 2.0 * noise * reference.diffusivity.mean(early, t) * step
            kick = np.sqrt(spread) * rng.standard_normal(y.shape)
            ahead = _reversed_force(reference, noise, early, y + step * force + kick)
            y = y + 0.5 * step * (force + ahead) + kick
            t = early
            force, more_extra, more_own = _integrands(reference, drift, noise, piece, t, y)
            gaps += 0.5 * step * (extra + more_extra)
            exact += 0.5 * step * (own + more_own)
            extra, own = more_extra, more_own
    return y, gaps, exact


def _reversed_force(reference: FreeReference, noise: float, t: float, y: Array) -> Array:
    """f_η = f + (η − 1)D₀∇log p, (n, d)."""
    force = reference.forward_drift(t, y)
    if noise == 1.0:
        return force
    return np.asarray(force + (noise - 1.0) * reference.diffusivity.at(t) * reference.score(t, y))


def _integrands(
    reference: FreeReference, drift: Drift, noise: float, piece: int, t: float, y: Array
) -> tuple[Array, Array, Array]:
    """f_η (n, d), what δ adds (n,), and what the exact drift has (n,), at points (n, d) and time t of a piece."""
    score, laplacian = score_and_laplacian(reference.mixture(t), y)
    diffusivity = reference.diffusivity.at(t)
    forward = reference.forward_drift(t, y)
    force = forward + (noise - 1.0) * diffusivity * score
    own_divergence = (1.0 + noise) * diffusivity * laplacian - divergence_of_force(reference, t)
    own = noise * diffusivity * np.einsum("nd,nd->n", score, score) + own_divergence
    if isinstance(drift, FreeExactDrift) and drift.reference is reference and drift.noise == noise:
        return force, np.zeros(len(y)), own
    gap = drift.values(piece, t, y) - ((1.0 + noise) * diffusivity * score - forward)
    with np.errstate(divide="ignore", invalid="ignore"):  # where D₀ vanishes, two drifts cannot be told by their paths
        square = np.einsum("nd,nd->n", gap, gap) / (4.0 * noise * diffusivity)
    extra = square + np.einsum("nd,nd->n", gap, score) + drift.divergence(piece, t, y) - own_divergence
    return force, extra, own

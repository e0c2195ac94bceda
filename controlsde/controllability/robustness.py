"""How the density at T answers to errors: of the weights, and of the start.

    predicted:  E‖δρ(T)‖² = share² Σ_i θ_i² ‖∂ρ(T)/∂θ_i‖²      for independent errors δθ_i = share θ_i ξ_i, ξ ~ N(0, 1)
    gain:       ‖δρ(T)‖/‖δρ₀‖, L² norms, under the drift as it is, for δρ₀ = −∇·(eρ₀), a shift along e;
                −∇·((x − m)ρ₀), a larger spread about the mean m; and the worst δρ₀ of mass zero

Comes in: a linearisation. Goes out: the predicted root mean square beside the one of errors that are propagated through
the nonlinear problem, with its standard error; the three gains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, svds

from controlsde.controllability.gramian import MOST_DENSE
from controlsde.controllability.linearisation import Linearisation

Array = NDArray[np.float64]

SHARE = 0.01  # of a weight: its error
SAMPLES = {1: 32, 2: 12, 3: 8}  # by dimension
PROBES = 64  # random errors in place of all derivatives
MOST_EXACT = 450  # unknowns up to which the propagator is a matrix
LANCZOS, PRECISE = 12, 1e-4  # vectors that are kept, and the relative error of the square of the largest gain
NOTHING = 1e-12  # of ‖ρ₀‖: a start that does not change


@dataclass(frozen=True)
class WeightErrors:
    """Root mean squares of ‖δρ(T)‖ under independent errors of the weights: to first order, and as they are."""

    share: float
    predicted: float
    measured: float
    measured_se: float
    samples: int


@dataclass(frozen=True)
class Gains:
    """‖δρ(T)‖/‖δρ₀‖ of a shift in the worst direction, of a scaling, and the largest; None: ρ₀ does not change."""

    shift: float | None
    scale: float | None
    worst: float


def weight_errors(
    linearisation: Linearisation, rng: np.random.Generator, share: float = SHARE, samples: int | None = None
) -> WeightErrors:
    """Of errors of `share` of every weight; `samples` random ones are propagated, or fewer the more dimensions."""
    samples = samples or SAMPLES[linearisation.tracking.mesh.dimension]
    tracking, sweeps, weights = linearisation.tracking, linearisation.sweeps, linearisation.weights
    mass, initial = tracking.mesh.mass, linearisation.sweeps.tensor(linearisation.tracking.initial)
    predicted = share * np.sqrt(_expected_square(linearisation, rng))
    found = []
    for _ in range(samples):
        disturbed = weights * (1.0 + share * rng.standard_normal(weights.shape))
        swept = sweeps.forward(sweeps.tensor(tracking.drift_values(disturbed)), initial)
        found.append(mass @ (swept.stages[-1, -1, -1].numpy() - linearisation.final) ** 2)
    squared = np.array(found)
    measured = float(np.sqrt(squared.mean()))
    spread = float(squared.std(ddof=1) / np.sqrt(samples))  # of the mean square
    error = spread / (2.0 * measured) if measured > 0.0 else 0.0
    return WeightErrors(share, float(predicted), measured, error, samples)


def _expected_square(linearisation: Linearisation, rng: np.random.Generator) -> float:
    """Σ_i θ_i² ‖∂ρ(T)/∂θ_i‖²; of more weights than fit a matrix, the mean over random errors."""
    mass, weights = linearisation.tracking.mesh.mass, linearisation.weights
    if weights.size <= MOST_DENSE:
        return float((mass @ (linearisation.matrix * weights.ravel()) ** 2).sum())
    errors = weights[..., None] * rng.standard_normal((*weights.shape, PROBES))
    return float((mass @ linearisation.tangent(errors) ** 2).mean())


def gains(linearisation: Linearisation, rng: np.random.Generator) -> Gains:
    """rng: where the search for the worst begins, on meshes of more than `MOST_EXACT` unknowns."""
    tracking = linearisation.tracking
    mesh, start = tracking.mesh, tracking.initial
    points = tracking.operator.drift_points
    shifts = [linearisation.moved(np.broadcast_to(axis, points.shape), start) for axis in np.eye(mesh.dimension)]
    density = mesh.to_grid(start) * mesh.weights
    mean = density @ mesh.points / density.sum()
    scaled = linearisation.moved(points - mean, start)
    return Gains(
        shift=_worst_of(linearisation, np.stack(shifts, axis=1)),
        scale=_worst_of(linearisation, scaled[:, None]),
        worst=_worst(linearisation, rng),
    )


def _worst_of(linearisation: Linearisation, changes: Array) -> float | None:
    """The largest gain of a combination of changes (n, c) of the start."""
    mass, start = linearisation.tracking.mesh.mass, linearisation.tracking.initial
    before, after = (
        (one * mass[:, None]).T @ one for one in (changes, linearisation.of_start(changes))
    )  # Gram matrices (c, c)
    if np.linalg.eigvalsh(before)[0] <= NOTHING**2 * float(mass @ start**2):
        return None
    return float(np.sqrt(max(eigh(after, before, eigvals_only=True)[-1], 0.0)))


def _worst(linearisation: Linearisation, rng: np.random.Generator) -> float:
    """The largest singular value of M^½ Φ M^−½ on what has the mass zero, Φ from ρ₀ to ρ(T)."""
    roots = np.sqrt(linearisation.tracking.mesh.mass)
    size, unit = len(roots), roots / np.linalg.norm(roots)
    if size <= MOST_EXACT:
        whole = roots[:, None] * linearisation.of_start(np.eye(size)) / roots
        return float(np.linalg.norm(whole - np.outer(whole @ unit, unit), 2))

    def without_mass(values: Array) -> Array:
        flat = values.reshape(size)
        return np.asarray(flat - unit * (unit @ flat))

    def forward(values: Array) -> Array:
        return roots * linearisation.of_start((without_mass(values) / roots)[:, None])[:, 0]

    def back(values: Array) -> Array:
        return without_mass(linearisation.start_adjoint((roots * values.reshape(size))[:, None])[:, 0] / roots)

    operator = LinearOperator((size, size), matvec=forward, rmatvec=back, dtype=float)
    found = svds(operator, k=1, v0=rng.standard_normal(size), ncv=LANCZOS, tol=PRECISE, return_singular_vectors=False)
    return float(found[0])

"""What absorbing walls take: they absorb the controlled process alone, and the reference keeps its mass.

Comes in: the verified densities of a result, or a reference and its box. Goes out: the mass that is gone at T, the part
of the L² error that no drift could have avoided once it was, and a sentence that says what is compared.

By Cauchy and Schwarz, with |Ω| the volume of the box and 1 = ∫p,

    1 − ∫ρ(T) = ∫(p − ρ) dx ≤ √|Ω| ‖ρ(T) − p(T)‖.

docs/conventions.md says why the reference is not the reversal of an absorbed diffusion.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controlsde.reference import Reference
from controlsde.verification.evidence import Fields

Array = NDArray[np.float64]
Box = tuple[tuple[float, float], ...]

FELT = 1e-6  # of its peak: a reference that is nowhere larger at the walls does not feel them
TIMES = 9  # at which a reference is looked at
POINTS = {1: 401, 2: 61, 3: 21}  # on an axis
UNSEEN = 1e-6  # of the mass: less is not worth a warning about distances


def mass_taken(fields: Fields) -> float:
    """1 − ∫ρ(T) dx by the quadrature of the refined mesh; not below zero, which only rounding could make it."""
    return max(1.0 - fields.final.mass, 0.0)


def least_error(taken: float, box: Box) -> float:
    """The least ‖ρ(T) − p(T)‖ of a ρ(T) that lacks so much mass."""
    return taken / math.sqrt(math.prod(high - low for low, high in box))


def sentence(fields: Fields, box: Box) -> str:
    """What the distances at T compare, for people."""
    taken = mass_taken(fields)
    if not math.isfinite(taken):
        return "absorbing walls: what they took is not finite, as the density is not"
    kept = "the reference keeps its mass, as between reflecting walls"
    if taken <= UNSEEN:
        return f"absorbing walls took {taken:.1e} of the mass of ρ until T; {kept}"
    return (
        f"absorbing walls took {taken:.3g} of the mass of ρ until T; {kept}: distances at T compare unequal masses, "
        f"and {least_error(taken, box):.3g} of the L² error is owed to that at least"
    )


def at_the_walls(reference: Reference, box: Box) -> float:
    """The largest density of a reference on the walls, over its largest in the box, at any of some times."""
    grid = np.meshgrid(*(np.linspace(low, high, POINTS[len(box)]) for low, high in box), indexing="ij")
    points = np.stack([axis.ravel() for axis in grid], axis=1)
    low, high = np.array(box).T
    on_walls = np.any((points == low) | (points == high), axis=1)
    shares = []
    for t in np.linspace(0.0, reference.horizon, TIMES):
        p = reference.density(float(t), points)
        shares.append(float(p[on_walls].max()) / max(float(p.max()), 1e-300))
    return max(shares)


def warning(reference: Reference, box: Box, noise: float) -> str | None:
    """What `check` says of absorbing walls that the reference feels; None where it does not."""
    share = at_the_walls(reference, box)
    if noise == 0.0 or share <= FELT:
        return None
    return (
        "the walls absorb the controlled density alone: the reference keeps its mass, as between reflecting walls, and "
        f"has up to {share:.2g} of its peak there, where with noise the controlled one vanishes; no drift follows it, "
        "and distances compare unequal masses. Use walls: reflecting, or a wider box"
    )

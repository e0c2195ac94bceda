"""The bandwidth of Gaussian kernels about points by leave-one-out maximum likelihood.

    max_h Σ_i log Σ_{j≠i} N(y_i; y_j, h² I):     h² ← Σ_i Σ_{j≠i} r_ij |y_i − y_j|² / (N d),
    r_ij ∝ exp(−|y_i − y_j|²/2h²) over j ≠ i:    the responsibilities of the other kernels for a point.

At the maximum both sides agree, and next to it the sign of their difference says on which side it is: a round of the
fixed point always raises the likelihood. It converges slowly where kernels overlap much, by one per cent a round in one
dimension; so its rounds are taken for the root of log(right side / h²) as a function of log h², by Newton steps, whose
slope comes from the same pass over the pairs, inside the bracket that the signs leave. It starts from the bandwidth
that would suit one Gaussian of the points' spread: of several maxima it finds one of the widest, which memorises least.
Pairs are taken in chunks of rows: memory grows with N, never with N².

Comes in: points (N, d). Goes out: h. Where points have twins the likelihood may grow without bound as h → 0: that is
refused, for kernels of no width are no density.
"""

from __future__ import annotations

import numpy as np

from controlsde.densities.density import Array, as_points

CHUNK = 200_000  # pairs in one temporary array: 1.6 MB
TOLERANCE = 1e-8  # of log h²
ROUNDS = 200
STEEP = 1.0  # ∂ log(right side)/∂ log h², up to which a Newton step leads to where the two sides agree
FEW = 1000  # points, of which a first look has at most so many
LONGEST = 1.5  # step of log h²
VANISHING = 1e-6  # of the spread of the points: a bandwidth that is narrower is on its way to zero
FARTHEST = 700.0  # of a squared distance over 2h²: beyond that a share is nothing, and takes the processor long to tell


class NoBandwidthError(ValueError):
    """Points that leave the likelihood without a maximum: one sentence with the cure."""


def leave_one_out(points: Array) -> float:
    """The h > 0 at which the leave-one-out likelihood of points (N, d) has a maximum.

    Raises `NoBandwidthError` for fewer than two points, and where the maximum is at h = 0.
    """
    data = as_points(points, np.shape(points)[1])
    count, dimension = data.shape
    if count < 2:
        raise NoBandwidthError(f"needs at least two points (got {count}): give a number")
    if share_of_twins(data) == 1.0:
        raise NoBandwidthError(_no_width("every point has a twin"))
    data = data - data.mean(axis=0)
    spread = float(np.mean(data**2))
    # of one Gaussian: h = σ (4/(d + 2)N)^(1/(d + 4))
    place = float(np.log(spread) + 2.0 / (dimension + 4) * np.log(4.0 / ((dimension + 2) * count)))
    least = float(np.log(VANISHING**2 * spread))
    every = -(-count // FEW)
    if every > 1:  # a look at few of the points, whose width falls with N as that of one Gaussian does
        few = data[::every]
        found = _maximum(few, place, least)
        place = found + 2.0 / (dimension + 4) * np.log(len(few) / count) if found > least + 1.0 else place
    place = _maximum(data, place, least)
    if place < least + 1.0:
        raise NoBandwidthError(
            _no_width(f"{share_of_twins(data):.0%} of the points have a twin, the others nearly one")
        )
    return float(np.exp(0.5 * place))


def _maximum(data: Array, place: float, least: float) -> float:
    """log h² at a maximum of the likelihood, from `place`; `least` where there is none above it."""
    low, high = least, np.inf
    for _ in range(ROUNDS):
        excess, slope = _round(data, float(np.exp(place)))
        low, high = (place, high) if excess > 0.0 else (low, place)
        step = excess / (1.0 - slope) if slope < STEEP else LONGEST * np.sign(excess)
        following = place + float(np.clip(step, -LONGEST, LONGEST))
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - place) < TOLERANCE:
            break
        place = following
    return place


def share_of_twins(points: Array) -> float:
    """Which share of points (N, d) has another in exactly its place."""
    _, counts = np.unique(np.asarray(points), axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / counts.sum())


def _no_width(because: str) -> str:
    return (
        f"finds no width, for {because}: the likelihood grows without bound as kernels narrow; leave out the "
        "duplicates, give a number, or, of rounded data, dequantise by the unit of the rounding"
    )


def _round(data: Array, level: float) -> tuple[float, float]:
    """log(right side / h²) at h² = level, and ∂ log(right side)/∂ log h².

    With t_ij = |y_i − y_j|²/2h²: right side = (2h²/Nd) Σ_ij r_ij t_ij, and its derivative by log h² is
    (2h²/Nd) Σ_i Var_i(t), the variance under r_i.
    """
    count, dimension = data.shape
    scaled = data / np.sqrt(2.0 * level)
    squares = np.einsum("nd,nd->n", scaled, scaled)
    step = max(1, CHUNK // count)
    total, variances = 0.0, 0.0
    for begin in range(0, count, step):
        end = min(begin + step, count)
        t = scaled[begin:end] @ (-2.0 * scaled.T)
        t += squares
        t += squares[begin:end, None]
        t[np.arange(end - begin), np.arange(begin, end)] = np.inf
        nearest = np.maximum(t.min(axis=1), 0.0)
        t -= nearest[:, None]  # about the nearest, whose share is one before all are divided by their sum
        np.clip(t, 0.0, FARTHEST, out=t)
        shares = np.exp(-t)
        weight = shares.sum(axis=1)
        shares *= t
        first = shares.sum(axis=1) / weight
        second = np.einsum("ij,ij->i", shares, t) / weight
        total += float((nearest + first).sum())
        variances += float((second - first**2).sum())
    if not total > 0.0:
        return -np.inf, 0.0
    return float(np.log(2.0 * total / (count * dimension))), variances / total

"""Gaussians that leave the box: how much of their mass does, and what would keep it in.

In: a mixture or samples, and the box. Out: the mass outside, and a cure in words that is one: a wider box where the
data reach a little beyond it, standardised data where they are measured in other units than the box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from controlsde.problem.density_specs import Mixture, Product, Samples
from controlsde.problem.standardizing import constant_columns, standardized
from controlsde.problem.values import LARGEST, Box

# A Gaussian component: weight, mean and standard deviations.
Component = tuple[float, tuple[float, ...], tuple[float, ...]]

MAX_MASS_OUTSIDE = 1e-6
REACH = 5.5  # standard deviations, beyond which is 2e-8 on each side
WIDEST = 1e6  # of a box that is allowed
MUCH_WIDER = 2.0  # than the box: data that need that are not on its scale


def components(density: Mixture | Product | Samples) -> list[Component]:
    """The Gaussians of a density."""
    if isinstance(density, Product):
        return density.gaussians
    if isinstance(density, Mixture):
        return list(zip(density.weights, density.means, density.marginal_stds, strict=True))
    rows = density.rows
    return [(1 / len(rows), point, density.bandwidth) for point in rows]


def mass_outside(components: list[Component], box: Box) -> float:
    """Return the mass of a mixture of Gaussians outside the box, also when it is tiny.

    Exact for independent coordinates; a small one is right to its square for correlated ones.
    """
    total = 0.0
    for weight, mean, std in components:
        log_inside = 0.0
        for (low, high), m, s in zip(box, mean, std, strict=True):
            tails = 0.5 * (math.erfc((m - low) / s / math.sqrt(2)) + math.erfc((high - m) / s / math.sqrt(2)))
            if tails >= 1:
                log_inside = -math.inf
                break
            log_inside += math.log1p(-tails)
        total -= weight * math.expm1(log_inside)
    return total


def outside_cure(density: Mixture | Product | Samples, box: Box) -> str:
    """What to do about a density that leaves the box."""
    wide = _around(components(density), box)
    raw = isinstance(density, Samples) and density.shift is None and not density.drawn
    if isinstance(density, Samples) and raw and not constant_columns(density.points):
        sides = zip(wide, box, strict=True)
        if any(high - low > MUCH_WIDER * (wall[1] - wall[0]) for (low, high), wall in sides):
            return _standardize(density, box)
    if any(high - low > WIDEST or max(abs(low), abs(high)) > LARGEST for low, high in wide):
        return "it fits into no box that is allowed, up to 1e6 wide: measure it in larger units"
    return f"widen domain.box to {_shown(wide)}, or use a density with kind: truncated"


def _standardize(density: Samples, box: Box) -> str:
    """Standardised data in the box as it is, with the bandwidth as it is or in the same units; or in another box."""
    points, _, scale = standardized(density.points)
    raw = list(zip(*density.points, strict=True))
    reach = ", ".join(f"{min(column):.6g} to {max(column):.6g}" for column in raw)
    told = f"the points, from {reach}, are not on the scale of the box: add standardize: true"
    share = 1 / len(points)
    if mass_outside([(share, point, density.bandwidth) for point in points], box) <= MAX_MASS_OUTSIDE:
        return f"{told}; bandwidth then counts in standard deviations"
    bandwidth = tuple(float(f"{width / unit:.3g}") for width, unit in zip(density.bandwidth, scale, strict=True))
    shown = f"{bandwidth[0]:g}" if len(set(bandwidth)) == 1 else f"[{', '.join(f'{one:g}' for one in bandwidth)}]"
    told += f", with bandwidth: {shown}, the same in standard deviations"
    smoothed = [(share, point, bandwidth) for point in points]
    if mass_outside(smoothed, box) <= MAX_MASS_OUTSIDE:
        return told
    return f"{told}, and domain.box: {_shown(_around(smoothed, None))}"


def _around(gaussians: Sequence[Component], box: Box | None) -> Box:
    """A box around the Gaussians, and around another box, its ends rounded outwards to a hundredth of its width."""
    wide = [[math.inf, -math.inf] for _ in gaussians[0][1]] if box is None else [list(side) for side in box]
    reached = [list(side) for side in wide]
    for _, mean, std in gaussians:
        for limits, m, s in zip(reached, mean, std, strict=True):
            limits[0] = min(limits[0], m - REACH * s)
            limits[1] = max(limits[1], m + REACH * s)
    rounded = []
    for (low, high), (wall_low, wall_high) in zip(reached, wide, strict=True):
        unit = 10.0 ** (math.floor(math.log10(high - low)) - 2)
        below = low if low == wall_low else math.floor(low / unit) * unit
        above = high if high == wall_high else math.ceil(high / unit) * unit
        rounded.append((float(f"{below:.12g}"), float(f"{above:.12g}")))
    return tuple(rounded)


def _shown(box: Box) -> str:
    return f"[{', '.join(f'[{low:.12g}, {high:.12g}]' for low, high in box)}]"

"""What the meshes, grids and moments of a verification may not have seen of the densities and of the drift.

Comes in: a problem, its reference, a drift, the refined densities, the grid of the final distances. Goes out: the
values of `Sight` for the certificate, and where the drift does what nobody saw.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.densities import CorrelatedMixture, Density, FormulaDensity, GaussianMixture, TruncatedMixture
from controlsde.densities.norms import squared_norm
from controlsde.diffusivity import Diffusivity
from controlsde.drift import Drift
from controlsde.problem import Problem
from controlsde.reference import Reference
from controlsde.reference.ends import end_density, start_density
from controlsde.verification.between_nodes import Unseen, unseen
from controlsde.verification.certificate import LIMITS, Sight
from controlsde.verification.exponential import moments_of
from controlsde.verification.grid import FinalGrid
from controlsde.verification.refinement import Refined

Array = NDArray[np.float64]


def sight_of(
    problem: Problem, reference: Reference, drift: Drift, refined: Refined, grid: FinalGrid, target: Array
) -> tuple[Sight, Unseen | None]:
    """Hold what was seen against norms in closed form and against enclosures; target: p(T) on the grid, (cells,)."""
    length, diffusivity = _length(grid, target), reference.diffusivity.times(problem.noise)
    end, start = end_density(problem.reference, problem.domain), start_density(problem.reference, problem.domain)
    initial = reference.initial_density(grid.points)
    missed = unseen(
        drift,
        refined.mesh,
        refined.curve_times,
        refined.substeps,
        diffusivity,
        length,
    )
    sight = Sight(
        target_norm=_norm_missed(end, grid, target),
        start_norm=None if start is None else _norm_missed(start, grid, initial),
        start_change=_start_change(refined, grid, initial),
        density_unseen=_hidden((end, start)),
        drift_unseen=None if missed is None else missed.change,
        diffusivity_unseen=None if diffusivity.steady else _spread_missed(diffusivity, refined) / length**2,
    )
    return sight, missed


def warnings(problem: Problem, reference: Reference) -> tuple[str, ...]:
    """Of both ends that the problem gives, in a line each: what the final grid will not see, and where it is."""
    grid = FinalGrid.over(problem.domain.box)
    ends = ((reference.horizon, end_density), (0.0, start_density))
    found = []
    for t, density_of in ends:
        density = density_of(problem.reference, problem.domain)
        if density is None:
            continue
        seen = reference.density(t, grid.points) if t > 0.0 else reference.initial_density(grid.points)
        missed = _norm_missed(density, grid, seen)
        if missed is not None and missed > LIMITS["target_norm"]:
            place = _narrowest(density)
            where = f", the narrowest at {place}" if place else ""
            found.append(
                f"the density at t = {t:g} has parts that are too narrow for any grid{where}: {missed:.2g} of its norm "
                "will not be seen, and no answer can be verified; broaden them"
            )
        if isinstance(density, FormulaDensity) and density.hidden.share > LIMITS["density_unseen"]:
            found.append(
                f"the formula of the density at t = {t:g} may hide something near {_point(density.hidden.place)}: no "
                "answer can be verified; write it so that interval arithmetic bounds it there"
            )
    return tuple(found)


def _narrowest(density: Density) -> str:
    """Where the narrowest component of a mixture lies, or what hides most in a formula; nothing for other kinds."""
    whole = density.whole if isinstance(density, TruncatedMixture) else density
    if isinstance(whole, GaussianMixture | CorrelatedMixture):
        return _point(whole.means[int(np.argmin(np.min(whole.variances, axis=1)))])
    if isinstance(density, FormulaDensity):
        return _point(density.hidden.narrowest)
    return ""


def _point(place: Array) -> str:
    return ", ".join(f"{name} = {value:.6g}" for name, value in zip("xyz", place, strict=False))


def _norm_missed(density: Density, grid: FinalGrid, values: Array) -> float | None:
    """√|‖p‖² − ‖p‖²_grid| / ‖p‖."""
    whole = squared_norm(density)
    return None if whole is None else math.sqrt(abs(whole - float(grid.weights @ values**2)) / whole)


def _start_change(refined: Refined, grid: FinalGrid, initial: Array) -> float:
    """‖ρ_mesh(0) − ρ(0)‖ / ‖ρ(0)‖."""
    held = refined.mesh.interpolate(refined.density[0], grid.centres)
    return distances.l2(grid.weights, held, initial) / distances.l2(grid.weights, initial, 0.0 * initial)


def _hidden(densities: tuple[Density | None, ...]) -> float | None:
    """The larger share that may hide in those that are given as formulas; None where none is."""
    shares = [density.hidden.share for density in densities if isinstance(density, FormulaDensity)]
    return max(shares, default=None)


def _spread_missed(diffusivity: Diffusivity, refined: Refined) -> float:
    """Σ |∫D dt − Σ h D(t)| over the moments, t the times within each at which D was asked for."""
    missed = 0.0
    spans = np.stack([refined.curve_times[:-1], refined.curve_times[1:]], axis=1)
    for number, span in enumerate(spans):
        seen = np.mean(
            [diffusivity.at(float(t)) for t in moments_of(span, refined.substeps[number // refined.moments])]
        )
        missed += abs(diffusivity.mean(float(span[0]), float(span[1])) - float(seen)) * float(span[1] - span[0])
    return missed


def _length(grid: FinalGrid, target: Array) -> float:
    """ℓ = ‖p‖/‖∇p‖ at T, on which the target changes; no more than the longest side of the box."""
    shape = tuple(len(centres) for centres in grid.centres)
    slopes = np.gradient(target.reshape(shape), *grid.centres)
    squares = sum(slope**2 for slope in (slopes if len(shape) > 1 else (slopes,)))
    steep, longest = math.sqrt(float(np.sum(squares))), max(float(edges[-1] - edges[0]) for edges in grid.edges)
    size = math.sqrt(float(np.sum(target**2)))
    return min(size / steep, longest) if steep > 0.0 else longest

"""What the meshes, grids and moments of a verification may not have seen of the densities and of the drift.

Comes in: a problem, its reference, a drift, the refined densities, the grid of the final distances. Goes out: the
values of `Sight` for the certificate, and where the drift and a forward process do what nobody saw.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.densities import CorrelatedMixture, Density, FormulaDensity, GaussianMixture, TruncatedMixture
from controlsde.densities.norms import squared_norm
from controlsde.diffusivity import Diffusivity
from controlsde.drift import Drift, FormulaDrift
from controlsde.problem import Formula, Problem, schema
from controlsde.reference import Reference
from controlsde.reference.ends import end_density, start_density
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference
from controlsde.reference.solved import SolvedFlow
from controlsde.verification.between_nodes import Unseen, coordinates, unseen
from controlsde.verification.certificate import LIMITS, Sight
from controlsde.verification.exponential import moments_of
from controlsde.verification.grid import FinalGrid
from controlsde.verification.refinement import Refined

Array = NDArray[np.float64]


def sight_of(
    problem: Problem, reference: Reference, drift: Drift, refined: Refined, grid: FinalGrid, target: Array
) -> tuple[Sight, Unseen | None, Unseen | None]:
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
    forward = _forward_missed(problem, reference, length)
    sight = Sight(
        target_norm=_norm_missed(end, grid, target),
        start_norm=None if start is None else _norm_missed(start, grid, initial),
        start_change=_start_change(refined, grid, initial),
        density_unseen=_hidden((end, start)),
        drift_unseen=None if missed is None else missed.change,
        forward_unseen=None if forward is None else forward.change,
        diffusivity_unseen=None if diffusivity.steady else _spread_missed(diffusivity, refined) / length**2,
    )
    return sight, missed, forward


def warnings(problem: Problem, reference: Reference) -> tuple[str, ...]:
    """In a line each: what the final grid will not see of the ends that the problem gives, and of a forward drift."""
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
                f"the formula of the density at t = {t:g} may hide something near {coordinates(density.hidden.place)}: "
                "no answer can be verified; write it so that interval arithmetic bounds it there"
            )
    target = reference.density(reference.horizon, grid.points)
    forward = _forward_missed(problem, reference, _length(grid, target))
    if forward is not None and forward.change > LIMITS["forward_unseen"]:
        found.append(
            f"near {forward.where} the forward drift does between two nodes what no mesh sees: no answer can "
            "be verified; make that wider, or write it so that interval arithmetic bounds it there"
        )
    return tuple(found)


def _forward_missed(problem: Problem, reference: Reference, length: float) -> Unseen | None:
    """What the mesh on which a reference is solved misses of its forward drift; None where none is solved."""
    spec = problem.reference
    if not isinstance(spec, schema.ReversedDiffusion) or not isinstance(spec.forward, schema.FormulaForward):
        return None
    if not isinstance(reference, ReversedDiffusionReference) or not isinstance(reference.flow, SolvedFlow):
        return None
    formulas = tuple(Formula(one.text, (*one.variables, "t")) for one in spec.forward.compiled())
    force = FormulaDrift(formulas, np.array([0.0, spec.horizon]))
    return unseen(force, reference.flow.mesh, force.edges, (), reference.diffusivity, length)


def _narrowest(density: Density) -> str:
    """Where the narrowest component of a mixture lies, or what hides most in a formula; nothing for other kinds."""
    whole = density.whole if isinstance(density, TruncatedMixture) else density
    if isinstance(whole, GaussianMixture | CorrelatedMixture):
        return coordinates(whole.means[int(np.argmin(np.min(whole.variances, axis=1)))])
    if isinstance(density, FormulaDensity):
        return coordinates(density.hidden.narrowest)
    return ""


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

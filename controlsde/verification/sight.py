"""What the meshes, grids and instants of a verification may not have seen of the densities and of the drift.

Comes in: a problem, its reference, a drift, the refined densities, the grid of the final distances. Goes out: the
values of `Sight` for the certificate, and where the drift and a forward process do what nobody saw.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from controlsde import distances
from controlsde.control.drift import Drift, ExactDrift, FormulaDrift
from controlsde.densities import CorrelatedMixture, Density, FormulaDensity, GaussianMixture, TruncatedMixture
from controlsde.densities.norms import squared_norm
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.fokker_planck.mesh import Mesh
from controlsde.problem import Formula, schema
from controlsde.reference import Reference
from controlsde.reference.ends import end_density, start_density
from controlsde.reference.reversed_diffusion import ReversedDiffusionReference
from controlsde.reference.solved import SolvedFlow
from controlsde.tracking.posed import Posed
from controlsde.verification.between_nodes import Unseen, coordinates, unseen
from controlsde.verification.certificate import LIMITS, Sight
from controlsde.verification.densities_met import DensitiesMet, densities_met
from controlsde.verification.exponential import moments_of
from controlsde.verification.grid import FinalGrid
from controlsde.verification.refinement import Refined

Array = NDArray[np.float64]

FORWARD_TIMES = 33  # at which the densities are looked at that a forward drift meets
SMALL = 1e-3  # of the largest density: what is less is next to nothing


def sight_of(
    posed: Posed, drift: Drift, refined: Refined, grid: FinalGrid, final: Array, target: Array
) -> tuple[Sight, Unseen | None, Unseen | None]:
    """Hold what was seen against norms in closed form and against enclosures; final, target: ρ(T), p(T) on the grid."""
    length, diffusivity = _length(grid, target), posed.diffusivity
    moves = _moves(drift, refined.mesh, refined.curve_times)
    met = densities_met(refined.mesh, refined.curve_times, refined.curve_density, length, moves)
    heavier = max(1.0, _times_heavier(grid, final, target))  # what is not seen is measured in ‖ρ‖, errors in ‖p(T)‖
    ends = _given_ends(posed)
    initial = posed.reference.initial_density(grid.points)
    missed = unseen(drift, refined.mesh, refined.curve_times, refined.substeps, diffusivity, met)
    if missed is not None:
        missed = replace(missed, change=heavier * missed.change)
    forward = _forward_missed(posed, length)
    sight = Sight(
        target_norm=_norm_missed(squared_norm(ends[0]), grid, target),
        final_norm=_final_missed(refined, grid, final, target),
        start_norm=_norm_missed(_initial_squared_norm(posed.reference, ends[1]), grid, initial),
        start_change=_start_change(refined, grid, initial),
        density_unseen=_hidden(ends),
        drift_unseen=None if missed is None else missed.change,
        forward_unseen=None if forward is None else forward.change,
        diffusivity_unseen=_schedule_missed(posed.reference, drift, diffusivity, refined, met),
    )
    return sight, missed, forward


def warnings(posed: Posed) -> tuple[str, ...]:
    """What the final grid will not see, in a line each: of the ends that the problem gives, and of a forward drift."""
    grid = FinalGrid.over(posed.problem.domain.box)
    target, initial = posed.target(grid.points), posed.reference.initial_density(grid.points)
    end, start = _given_ends(posed)
    given, from_data = "broaden them", "use broader data, a shorter horizon, or more forward diffusivity"
    ends = (
        (posed.reference.horizon, end, squared_norm(end), target, given),
        (0.0, start, _initial_squared_norm(posed.reference, start), initial, from_data if start is None else given),
    )
    found = []
    for t, density, whole, seen, cure in ends:
        missed = _norm_missed(whole, grid, seen)
        if missed is not None and missed > LIMITS["target_norm"]:
            place = "" if density is None else _narrowest(density)
            where = f", the narrowest at {place}" if place else ""
            found.append(
                f"the density at t = {t:g} has parts that are too narrow for any grid{where}: {missed:.2g} of its norm "
                f"will not be seen, and no answer can be verified; {cure}"
            )
        if isinstance(density, FormulaDensity) and density.hidden.share > LIMITS["density_unseen"]:
            found.append(
                f"the formula of the density at t = {t:g} may hide something near {coordinates(density.hidden.place)}: "
                "no answer can be verified; write it so that interval arithmetic bounds it there"
            )
    forward = _forward_missed(posed, _length(grid, target))
    if forward is not None and forward.change > LIMITS["forward_unseen"]:
        found.append(
            f"near {forward.where} the forward drift does between two nodes what no mesh sees: no answer can "
            "be verified; make that wider, or write it so that interval arithmetic bounds it there"
        )
    return tuple(found)


def _given_ends(posed: Posed) -> tuple[Density, Density | None]:
    """The densities at T and at 0, where the problem gives them."""
    spec, domain = posed.problem.reference, posed.problem.domain
    return end_density(spec, domain), start_density(spec, domain)


def _forward_missed(posed: Posed, length: float) -> Unseen | None:
    """What the mesh on which a reference is solved misses of its forward drift; None where none is solved."""
    spec = posed.problem.reference
    if not isinstance(spec, schema.ReversedDiffusion) or not isinstance(spec.forward, schema.FormulaForward):
        return None
    if not isinstance(posed.reference, ReversedDiffusionReference) or not isinstance(posed.reference.flow, SolvedFlow):
        return None
    formulas = tuple(Formula(one.text, (*one.variables, "t")) for one in spec.forward.compiled())
    force = FormulaDrift(formulas, np.array([0.0, spec.horizon]))
    times = np.linspace(0.0, spec.horizon, FORWARD_TIMES)
    mesh = posed.reference.flow.mesh
    densities = np.stack([posed.reference.density(spec.horizon - float(s), mesh.points) for s in times])
    met = densities_met(mesh, times, densities, length, _moves(force, mesh, times))
    return unseen(force, mesh, force.edges, (), posed.reference.diffusivity, met)


def _moves(drift: Drift, mesh: Mesh, times: Array) -> Array:
    """How far mass may move along each axis from one time to the next, (m − 1, d), by the speeds at all nodes.

    By pieces, at whose instants the drift is looked at; on a line nobody asks.
    """
    if mesh.dimension == 1 or isinstance(drift, ExactDrift):
        return np.zeros((len(times) - 1, mesh.dimension))
    middles, lengths = 0.5 * (times[1:] + times[:-1]), np.diff(times)
    pieces = np.searchsorted(drift.edges, middles) - 1
    moves = np.zeros((len(lengths), mesh.dimension))
    for piece in np.unique(pieces):
        here = pieces == piece
        looks = middles[here][:1] if drift.constant else middles[here]
        speeds = [np.abs(drift.values(int(piece), float(t), mesh.points)).max(axis=0) for t in looks]
        moves[here] = np.max(speeds, axis=0) * lengths[here].max()
    return moves


def _narrowest(density: Density) -> str:
    """Where the narrowest component of a mixture lies, or what hides most in a formula; nothing for other kinds."""
    whole = density.whole if isinstance(density, TruncatedMixture) else density
    if isinstance(whole, GaussianMixture | CorrelatedMixture):
        return coordinates(whole.means[int(np.argmin(np.min(whole.variances, axis=1)))])
    if isinstance(density, FormulaDensity):
        return coordinates(density.hidden.narrowest)
    return ""


def _initial_squared_norm(reference: Reference, given: Density | None) -> float | None:
    """‖p(0)‖² of the density that the problem gives, or of what its data become; None where no way is known."""
    if given is not None:
        return squared_norm(given)
    return reference.initial_squared_norm() if isinstance(reference, ReversedDiffusionReference) else None


def _norm_missed(whole: float | None, grid: FinalGrid, values: Array) -> float | None:
    """√|‖p‖² − ‖p‖²_grid| / ‖p‖, `whole` being ‖p‖²."""
    return None if whole is None else math.sqrt(abs(whole - float(grid.weights @ values**2)) / whole)


def _times_heavier(grid: FinalGrid, final: Array, target: Array) -> float:
    """‖ρ(T)‖ / ‖p(T)‖ on the grid."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.sqrt(float(grid.weights @ final**2) / float(grid.weights @ target**2))


def _final_missed(refined: Refined, grid: FinalGrid, final: Array, target: Array) -> float:
    """√|‖ρ(T)‖² − ‖ρ(T)‖²_grid| / ‖p(T)‖, the first on the refined mesh."""
    with np.errstate(over="ignore", invalid="ignore"):  # of a density that blew up
        missed = abs(refined.final.squared_norm - float(grid.weights @ final**2))
    return math.sqrt(missed / float(grid.weights @ target**2)) if math.isfinite(missed) else math.inf


def _start_change(refined: Refined, grid: FinalGrid, initial: Array) -> float:
    """‖ρ_mesh(0) − ρ(0)‖ / ‖ρ(0)‖."""
    held = DensityField(refined.mesh, refined.density[0]).on(grid.centres)
    return distances.l2(grid.weights, held, initial) / distances.l2(grid.weights, initial, 0.0 * initial)


def _hidden(densities: tuple[Density | None, ...]) -> float | None:
    """The larger share that may hide in those that are given as formulas; None where none is."""
    shares = [density.hidden.share for density in densities if isinstance(density, FormulaDensity)]
    return max(shares, default=None)


def _schedule_missed(
    reference: Reference, drift: Drift, diffusivity: Diffusivity, refined: Refined, met: DensitiesMet
) -> float | None:
    """The relative change of the density by what the instants may miss of a schedule; None without one.

    Through D = ηD₀: Σ |∫D dt − Σ h D(t)| / ℓ², t the times at which D was asked for from one instant to the next. An
    exact drift is as fast as D₀: it misses as large a part of the change of p from one to the next as of ∫D₀ dt.
    """
    led = isinstance(drift, ExactDrift) and not reference.diffusivity.steady
    if diffusivity.steady and not led:
        return None
    points, spans = refined.mesh.points, np.stack([refined.curve_times[:-1], refined.curve_times[1:]], axis=1)
    spread = carried = 0.0
    if not diffusivity.steady:
        lengths = np.array([met.length(*span) for span in spans.tolist()])
        spread = float((_missed(diffusivity, refined, spans) / lengths**2).sum())
    if led:
        missed = _missed(reference.diffusivity, refined, spans)
        for span, part in zip(spans[missed > 0.0].tolist(), missed[missed > 0.0], strict=True):
            whole = reference.diffusivity.mean(*span) * (span[1] - span[0])
            before, after = (reference.density(t, points) for t in span)
            carried += _change(before, after) * (part / whole if whole > 0.0 else math.inf)
    return spread + carried


def _missed(diffusivity: Diffusivity, refined: Refined, spans: Array) -> Array:
    """|∫D dt − Σ h D(t)| over each span (n, 2) from one instant to the next, (n,)."""
    missed = []
    for number, (start, end) in enumerate(spans.tolist()):
        times = moments_of(np.array([start, end]), refined.substeps[number // refined.instants])
        seen = float(np.mean([diffusivity.at(float(t)) for t in times]))
        missed.append(abs(diffusivity.mean(start, end) - seen) * (end - start))
    return np.array(missed)


def _change(before: Array, after: Array) -> float:
    """The largest change of a density (n,) relative to itself, where it is not next to nothing."""
    top = np.maximum(before, after)
    there = top > SMALL * top.max()
    return float(np.max(np.abs(after - before)[there] / top[there]))


def _length(grid: FinalGrid, target: Array) -> float:
    """ℓ = ‖p‖/‖∇p‖ at T, on which the target changes; no more than the longest side of the box."""
    shape = tuple(len(centres) for centres in grid.centres)
    slopes = np.gradient(target.reshape(shape), *grid.centres)
    squares = sum(slope**2 for slope in (slopes if len(shape) > 1 else (slopes,)))
    steep, longest = math.sqrt(float(np.sum(squares))), max(float(edges[-1] - edges[0]) for edges in grid.edges)
    size = math.sqrt(float(np.sum(target**2)))
    return min(size / steep, longest) if steep > 0.0 else longest

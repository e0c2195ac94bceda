"""The least kinetic energy that any drift whatsoever needs to bring the density within ε of the data: a proved bound.

The energy of a drift is E = ∫₀ᵀ∫ |v|²ρ dx dt, ∂ₜρ = DΔρ − ∇·(vρ), D = ηD₀, between reflecting walls or on a torus.
With noise, take any function g, P the heat semigroup with the same walls, and φ(t) = 2D log P_{D(T−t)} e^g. Then
∂ₜφ + ½|∇φ|² + DΔφ = 0, so that

    d/dt ∫φρ = ∫ (v·∇φ − ½|∇φ|²) ρ ≤ ½ ∫|v|²ρ,

and where ‖ρ(T) − p(T)‖ ≤ ε, as ρ(T) and p(T) have one mass,

    E ≥ 4D [ ∫g p(T) − ε‖g − ḡ‖ − ∫ log(P_{DT} e^g) ρ₀ ],      ḡ the mean of g over the box.

That is concave in g; at ε = 0 its maximum is the least energy itself (the dual of Schrödinger's bridge: Föllmer 1988;
Léonard 2014). Where D varies in time, its own clock makes it constant: the same with 4D̄[…], D̄ the mean of D and
P_{D̄T}, for the energy ∫∫ (D̄/D(t)) |v|²ρ. Without noise, by Kantorovich's duality and the inequality of Cauchy and
Schwarz in time,

    E ≥ (2/T) [ ∫g p(T) − ε‖g − ḡ‖ + ∫ gᶜρ₀ ],      gᶜ(x) = min_y ½|x − y|² − g(y),

which is W₂²/T at ε = 0. Every g gives a bound, however it was found; a good one comes from Sinkhorn's iteration at
ε = 0 and from L-BFGS otherwise, in the variables √mass·g, in which the gradient is the L² one.

Comes in: a problem with its reference, ε. Goes out: the bound, the same for the same g on a finer mesh, and how far at
most it is from the least energy. (The bounds at ε > 0 are derived here.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.controllability.dual_search import DEEPEST, Search, potential_of_transport
from controlsde.controllability.ends import Ends
from controlsde.distances.transport import wasserstein_2
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.tracking.posed import Posed

Array = NDArray[np.float64]

SPREADS = 0.5  # of what the noise spreads a point, between two nodes at most
AT_LEAST = {1: 2, 2: 1, 3: 1}  # times the elements of the problem's own mesh
MOST_NODES = {1: 1601, 2: 129, 3: 33}  # on an axis
NODES_WITHOUT_NOISE = {1: 385, 2: 81, 3: 17}  # on an axis, at least
FINER = {1: 2.0, 2: 1.5, 3: 1.5}  # times the elements, for the bound of the same g
FLOORS = (20.0, 40.0, DEEPEST)  # below its maximum, where g may end: it falls without end where the data vanish
CELLS = 4  # for each node: of the exact transport in one dimension


class EnergyBoundError(ControlsdeError, ValueError):
    """No bound of the energy can be given: the walls, the noise or the distance asked for do not allow one."""

    of_problem = True


@dataclass(frozen=True, eq=False)
class EnergyBound:
    """No drift brings ρ(T) within `within` (ε, in L²) of p(T) at noise η for less than `value`, length²/time.

    refined: the bound of the same potential on a finer mesh. gap: how much larger than `value` the least energy can be
    at most, on this mesh. potential: g at the points of `mesh` (N,), of the form with noise, or without.
    """

    noise: float
    within: float
    value: float
    refined: float
    gap: float
    mesh: Mesh
    potential: Array

    def to_json(self) -> dict[str, Any]:
        """The numbers as `controlsde bound --json` prints them."""
        return {
            "noise": self.noise,
            "within": self.within,
            "energy_bound": self.value,
            "energy_bound_refined": self.refined,
            "gap": self.gap,
        }


@own_settings()
def energy_bound(problem: Problem, within: float = 0.0) -> EnergyBound:
    """The least energy of any drift that brings the density of a problem within ε = `within` ≥ 0 of its data.

    Nothing is solved. Raises EnergyBoundError, ReferenceError where the reference cannot be built.
    """
    return energy_bounds(Posed.of(problem), (within,))[0]


def energy_bounds(posed: Posed, distances: Sequence[float]) -> tuple[EnergyBound, ...]:
    """The same for a problem with its reference, and several ε."""
    check_distances(distances)
    found: dict[float, EnergyBound] = {}
    ends = Ends.of(posed, _mesh(posed))
    finer = Ends.of(posed, _multiplied(ends.mesh, FINER[ends.mesh.dimension]))
    start: Array | None = None
    for within in sorted({float(one) for one in distances}, reverse=True):
        found[within], start = _bound(posed, ends, finer, within, start)
    return tuple(found[float(within)] for within in distances)


def check_distances(distances: Sequence[float]) -> None:
    """Raises EnergyBoundError for a distance that is none."""
    for within in distances:
        if not (math.isfinite(within) and within >= 0.0):
            raise EnergyBoundError(f"must be a distance ≥ 0 (got {within:g})", argument="within")


def uncontrolled_distance(posed: Posed) -> float:
    """‖ρ(T) − p(T)‖ without any drift: at this distance the least energy is 0. Raises EnergyBoundError."""
    ends = Ends.of(posed, _mesh(posed))
    if ends.diffusivity == 0.0:
        return ends.distance(ends.initial)
    return ends.distance(Search(ends, ends.kernel, 0.0).uncontrolled)


def _bound(
    posed: Posed, ends: Ends, finer: Ends, within: float, start: Array | None
) -> tuple[EnergyBound, Array | None]:
    """The bound at one distance, and its potential for the next one to start from."""
    noise = posed.problem.noise

    def told(value: float, refined: float, gap: float, potential: Array) -> EnergyBound:
        return EnergyBound(noise, within, max(value, 0.0), max(refined, 0.0), max(gap, 0.0), ends.mesh, potential)

    if noise == 0.0:
        if within == 0.0 and ends.mesh.dimension == 1 and ends.mesh.walls == "reflecting":
            value, refined = (_transport_on_a_line(each) for each in (ends, finer))
            return told(value, refined, 0.0, _potential_on_a_line(ends)), start
        if within > 0.0 and ends.distance(ends.initial) <= within:
            return told(0.0, 0.0, 0.0, np.zeros(len(ends.weights))), start
        found, cost = potential_of_transport(ends, within, start)
        value, potential = max(
            ((ends.without_noise(within, one), one) for one in (found, ends.transformed_twice(found))),
            key=lambda pair: pair[0],
        )
        refined = finer.without_noise(within, _on(finer.mesh, ends.mesh, potential))
        return told(value, refined, cost - value, potential), found if within > 0.0 else start
    search = Search(ends, ends.kernel, within)
    if within > 0.0 and ends.distance(search.uncontrolled) <= within:  # without any drift
        return told(0.0, 0.0, 0.0, np.zeros(len(ends.weights))), start
    if within > 0.0:
        potential = search.by_ascent(start)
        gap = 4.0 * ends.diffusivity * search.gap(potential)
        value = ends.with_noise(within, potential)
        refined = finer.with_noise(within, _on(finer.mesh, ends.mesh, potential))
        return told(value, refined, gap, potential), potential
    deepest = search.by_sinkhorn()
    least = ends.with_noise(within, deepest) + 4.0 * ends.diffusivity * search.gap(deepest)
    told_of = []
    for floor in FLOORS:
        potential = np.maximum(deepest, deepest.max() - floor)
        value = ends.with_noise(within, potential)
        refined = finer.with_noise(within, _on(finer.mesh, ends.mesh, potential))
        told_of.append(told(value, refined, least - value, potential))
    return max(told_of, key=lambda one: one.refined), start


def _transport_on_a_line(ends: Ends) -> float:
    """W₂²/T by quantiles."""
    axis = ends.mesh.axes[0]
    edges = np.linspace(axis.low, axis.high, CELLS * len(axis.grid) + 1)
    cells = np.diff(edges)
    first, second = (ends.mesh.cell_masses(each, (edges,)) / cells for each in (ends.initial, ends.target))
    return wasserstein_2(edges, np.maximum(first, 0.0), np.maximum(second, 0.0)) ** 2 / ends.horizon


def _potential_on_a_line(ends: Ends) -> Array:
    """g with g′(y) = y − Q₀(F₁(y)), the way that ends in y: as many digits as the trapezoidal rule has."""
    grid, half = ends.mesh.axes[0].grid, 0.5 * np.diff(ends.mesh.axes[0].grid)

    def primitive(values: Array) -> Array:
        return np.concatenate([[0.0], np.cumsum(half * (values[1:] + values[:-1]))])

    ours, theirs = primitive(ends.initial), primitive(ends.target)
    return primitive(grid - np.interp(theirs / theirs[-1], ours / ours[-1], grid))


def _on(finer: Mesh, mesh: Mesh, values: Array) -> Array:
    """A function on a finer mesh: the polynomials of the elements, kept between the values of the nodes beside."""
    result = values.reshape(mesh.shape)
    for number, (coarse, fine) in enumerate(zip(mesh.axes, finer.axes, strict=True)):
        place = np.clip(np.searchsorted(coarse.grid, fine.grid, side="right") - 1, 0, len(coarse.grid) - 2)
        below, above = np.take(result, place, axis=number), np.take(result, place + 1, axis=number)
        smooth = np.moveaxis(np.tensordot(coarse.interpolation(fine.grid).toarray(), result, (1, number)), 0, number)
        result = np.clip(smooth, np.minimum(below, above), np.maximum(below, above))
    return np.asarray(result.ravel())


def _mesh(posed: Posed) -> Mesh:
    """The problem's own mesh, finer where the noise spreads a point by less than its nodes see."""
    if posed.problem.domain.walls == "absorbing":
        raise EnergyBoundError(
            "no energy bound exists between absorbing walls, which take mass that no drift brings back; use reflecting"
        )
    mesh = posed.mesh()
    dimension, degree = mesh.dimension, mesh.axes[0].degree
    time = posed.diffusivity.mean(0.0, posed.reference.horizon) * posed.reference.horizon
    elements = []
    for axis in mesh.axes:
        length = axis.high - axis.low
        if time > 0.0:
            nodes = length / (SPREADS * math.sqrt(2.0 * time))
        else:
            nodes = float(NODES_WITHOUT_NOISE[dimension] - 1)
        if nodes > MOST_NODES[dimension]:
            raise EnergyBoundError(
                f"the noise spreads a point by {math.sqrt(2.0 * time):.1g} in all, which {MOST_NODES[dimension]} nodes "
                f"on an axis do not see: for so little noise take the bound at noise 0"
            )
        elements.append(max(AT_LEAST[dimension] * axis.elements, math.ceil(nodes / degree)))
    return Mesh.build(mesh.box, mesh.walls, tuple(elements), degree)


def _multiplied(mesh: Mesh, multiple: float) -> Mesh:
    elements = tuple(math.ceil(multiple * axis.elements) for axis in mesh.axes)
    return Mesh.build(mesh.box, mesh.walls, elements, mesh.axes[0].degree)

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from controlsde.controllability.log_kernel import LogKernel, periods_of
from controlsde.distances.softmin import Costs, smallest, squared_distances
from controlsde.distances.transport import wasserstein_2
from controlsde.fokker_planck.mesh import Axis, Mesh
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.tracking.posed import Posed

Array = NDArray[np.float64]

SPREADS = 0.5  # of what the noise spreads a point, between two nodes at most
AT_LEAST = {1: 2, 2: 1, 3: 1}  # times the elements of the problem's own mesh
MOST_NODES = {1: 1601, 2: 129, 3: 33}  # on an axis
NODES_WITHOUT_NOISE = {1: 385, 2: 81, 3: 17}  # on an axis, at least
BLURS = (8.0, 4.0, 2.0, 1.0)  # spacings of nodes, by which transport is smoothed to find a potential
SINKHORN_STEPS = 3000
MARGINAL = 1e-10  # ∫|q − p(T)|, at which Sinkhorn's iteration has arrived
CLOSED = 1e-7  # of the bound: a gap that needs no more search
ATTEMPTS = 4  # of L-BFGS, each with a fresh memory
ITERATIONS = 2000
MEMORY = 30
DEEPEST = 700.0  # below its maximum: where e^g is nothing
FLOORS = (20.0, 40.0, DEEPEST)  # the same, where g may end: it falls without end where the data vanish
FINER = {1: 2.0, 2: 1.5, 3: 1.5}  # times the elements, for the bound of the same g
CELLS = 4  # for each node: of the exact transport in one dimension
FIRST_STEP = 0.1  # from g = 0, where the norm has a kink, of a function of norm one


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
    ends = _Ends.of(posed, _mesh(posed))
    finer = _Ends.of(posed, _multiplied(ends.mesh, FINER[ends.mesh.dimension]))
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
    ends = _Ends.of(posed, _mesh(posed))
    if ends.diffusivity == 0.0:
        return ends.distance(ends.initial)
    kernel = LogKernel.heat(ends.mesh, ends.diffusivity * ends.horizon)
    return ends.distance(_Search(ends, kernel, 0.0).uncontrolled)


@dataclass(frozen=True, eq=False)
class _Ends:
    """Both ends of the way at the points of a mesh (N,), of mass one; D̄, 0 without noise, and T."""

    mesh: Mesh
    initial: Array
    target: Array
    diffusivity: float
    horizon: float

    @staticmethod
    def of(posed: Posed, mesh: Mesh) -> _Ends:
        horizon = posed.reference.horizon
        initial = np.maximum(posed.reference.initial_density(mesh.points), 0.0)
        target = np.maximum(posed.reference.density(horizon, mesh.points), 0.0)
        weights = mesh.weights
        return _Ends(
            mesh,
            initial / (weights @ initial),
            target / (weights @ target),
            posed.diffusivity.mean(0.0, horizon),
            horizon,
        )

    @property
    def weights(self) -> Array:
        return self.mesh.weights

    def mean(self, values: Array, density: Array) -> float:
        """∫ values · density, where there is a density."""
        there = density > 0.0
        return float(values[there] @ (self.weights[there] * density[there]))

    def spread(self, values: Array) -> float:
        """‖g − ḡ‖."""
        centred = values - float(self.weights @ values) / float(self.weights.sum())
        return math.sqrt(float(self.weights @ centred**2))

    def distance(self, density: Array) -> float:
        """‖density − p(T)‖."""
        return math.sqrt(float(self.weights @ (density - self.target) ** 2))

    def with_noise(self, kernel: LogKernel, within: float, potential: Array) -> float:
        """4D̄[∫g p(T) − ε‖g − ḡ‖ − ∫ log(P e^g) ρ₀]."""
        carried = kernel.log_of_exponential(potential)
        lost = within * self.spread(potential) if within else 0.0
        gained = self.mean(potential, self.target) - self.mean(carried, self.initial)
        return 4.0 * self.diffusivity * (gained - lost)

    def without_noise(self, within: float, potential: Array) -> float:
        """(2/T)[∫g p(T) − ε‖g − ḡ‖ + ∫ gᶜρ₀], with gᶜ from below: between nodes h apart it is less by h²/8 at most."""
        transformed = smallest(self._costs, potential.reshape(self.mesh.shape)).ravel()
        longest = [float(np.diff(axis.grid).max()) for axis in self.mesh.axes]
        lost = sum(each**2 for each in longest) / 8.0 + within * self.spread(potential)
        gained = self.mean(potential, self.target) + self.mean(transformed, self.initial)
        return 2.0 / self.horizon * (gained - lost)

    def transformed_twice(self, potential: Array) -> Array:
        """gᶜᶜ ≥ g, the largest function with the same gᶜ."""
        once = smallest(self._costs, potential.reshape(self.mesh.shape))
        return smallest(self._costs, once).ravel()

    @property
    def _costs(self) -> Costs:
        """½|x − y|² between the nodes, by axis."""
        grids = tuple(axis.grid for axis in self.mesh.axes)
        return tuple(0.5 * cost for cost in squared_distances(grids, grids, periods_of(self.mesh)))


def _bound(
    posed: Posed, ends: _Ends, finer: _Ends, within: float, start: Array | None
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
        found, cost = _potential_of_transport(ends, within, start)
        value, potential = max(
            ((ends.without_noise(within, one), one) for one in (found, ends.transformed_twice(found))),
            key=lambda pair: pair[0],
        )
        refined = finer.without_noise(within, _on(finer.mesh, ends.mesh, potential))
        return told(value, refined, cost - value, potential), found if within > 0.0 else start
    time = ends.diffusivity * ends.horizon
    kernel, finer_kernel = (LogKernel.heat(each.mesh, time) for each in (ends, finer))
    search = _Search(ends, kernel, within)
    if within > 0.0 and ends.distance(search.uncontrolled) <= within:  # without any drift
        return told(0.0, 0.0, 0.0, np.zeros(len(ends.weights))), start
    if within > 0.0:
        potential = search.by_ascent(start)
        gap = 4.0 * ends.diffusivity * search.gap(potential)
        value = ends.with_noise(kernel, within, potential)
        refined = finer.with_noise(finer_kernel, within, _on(finer.mesh, ends.mesh, potential))
        return told(value, refined, gap, potential), potential
    deepest = search.by_sinkhorn()
    least = ends.with_noise(kernel, within, deepest) + 4.0 * ends.diffusivity * search.gap(deepest)
    told_of = []
    for floor in FLOORS:
        potential = np.maximum(deepest, deepest.max() - floor)
        value = ends.with_noise(kernel, within, potential)
        refined = finer.with_noise(finer_kernel, within, _on(finer.mesh, ends.mesh, potential))
        told_of.append(told(value, refined, least - value, potential))
    return max(told_of, key=lambda one: one.refined), start


@dataclass(frozen=True, eq=False)
class _Search:
    """For a potential that makes the bound with a kernel large: ∫g p − ε‖g − ḡ‖ − ∫ log(P e^g) ρ₀."""

    ends: _Ends
    kernel: LogKernel
    within: float

    @property
    def uncontrolled(self) -> Array:
        """Pρ₀: where the noise alone leads."""
        with np.errstate(divide="ignore"):
            return np.exp(self.kernel.log_of_exponential(np.log(self.ends.initial)))

    def reached(self, potential: Array) -> tuple[Array, Array]:
        """q = e^g P(ρ₀/Pe^g), where the best drift for the end cost g leads, and log Pe^g."""
        carried = self.kernel.log_of_exponential(potential)
        with np.errstate(divide="ignore"):
            logarithm = np.log(self.ends.initial) - carried
        return np.exp(potential + self.kernel.log_of_exponential(logarithm)), carried

    def by_sinkhorn(self, start: Array | None = None) -> Array:
        """The potential at ε = 0: g = log p(T) − log P(ρ₀/Pe^g), until ∫|q − p(T)| is next to nothing."""
        ends = self.ends
        with np.errstate(divide="ignore"):
            log_initial, log_target = np.log(ends.initial), np.log(ends.target)
        potential = np.zeros(len(ends.weights)) if start is None else start
        for _ in range(SINKHORN_STEPS):
            carried = self.kernel.log_of_exponential(potential)
            returned = self.kernel.log_of_exponential(log_initial - carried)
            if float(ends.weights @ np.abs(np.exp(potential + returned) - ends.target)) <= MARGINAL:
                break
            potential = log_target - returned
            potential = np.maximum(potential, potential.max() - DEEPEST)
        return potential

    def by_ascent(self, start: Array | None) -> Array:
        """The potential at ε > 0."""
        root = np.sqrt(self.ends.weights)
        if start is None:
            ahead = self.ends.target - self.uncontrolled
            start = FIRST_STEP / self.ends.spread(ahead) * ahead
        point = root * start
        for _ in range(ATTEMPTS):
            found: Any = minimize(
                self._descent(root),
                point,
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS, "maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0},
            )
            point = found.x
            if self.gap(point / root) <= CLOSED * abs(found.fun):
                break
        return np.asarray(point / root)

    def _descent(self, root: Array) -> Callable[[Array], tuple[float, Array]]:
        ends, volume = self.ends, float(self.ends.weights.sum())

        def negative(point: Array) -> tuple[float, Array]:
            potential = point / root
            reached, carried = self.reached(potential)
            centred = potential - float(ends.weights @ potential) / volume
            norm = max(ends.spread(potential), 1e-300)
            value = ends.mean(potential, ends.target) - self.within * norm - ends.mean(carried, ends.initial)
            return -value, -root * (ends.target - reached - self.within / norm * centred)

        return negative

    def gap(self, potential: Array) -> float:
        """By how much the cost of arriving in q exceeds the bound: ∫g(q − p) + ε‖g − ḡ‖."""
        reached, _ = self.reached(potential)
        difference = reached - self.ends.target
        there = difference != 0.0
        along = float(potential[there] @ (self.ends.weights * difference)[there])
        return along + (self.within * self.ends.spread(potential) if self.within else 0.0)

    def transport_cost(self, potential: Array) -> float:
        """∫∫ |x − y|² dπ for the plan π of a potential."""
        grids = tuple(axis.grid for axis in self.ends.mesh.axes)
        costs = squared_distances(grids, grids, periods_of(self.ends.mesh))
        _, carried = self.reached(potential)
        total = 0.0
        for number, cost in enumerate(costs):
            logs = list(self.kernel.logarithms)
            with np.errstate(divide="ignore"):
                logs[number] = logs[number] + np.log(cost)
            along = LogKernel(tuple(logs)).log_of_exponential(potential)
            total += self.ends.mean(np.exp(along - carried), self.ends.initial)
        return total


def _potential_of_transport(ends: _Ends, within: float, start: Array | None) -> tuple[Array, float]:
    """A potential for the cost ½|x − y|², by transport that is blurred less and less, and the energy of its plan.

    start: the same at another distance, from which the least blur alone is enough.
    """
    spacing = max(float(np.diff(axis.grid).max()) for axis in ends.mesh.axes)
    scaled = start if within > 0.0 else None
    for blur in BLURS if scaled is None else BLURS[-1:]:
        time = 0.5 * (blur * spacing) ** 2  # a point is blurred by √(2τ)
        search = _Search(ends, LogKernel.blur(ends.mesh, time), within)
        before = None if scaled is None else scaled / (2.0 * time)
        potential = search.by_sinkhorn(before) if within == 0.0 else search.by_ascent(before)
        scaled = 2.0 * time * potential
    assert scaled is not None  # there are blurs
    return scaled, search.transport_cost(potential) / ends.horizon


def _transport_on_a_line(ends: _Ends) -> float:
    """W₂²/T by quantiles."""
    axis = ends.mesh.axes[0]
    edges = np.linspace(axis.low, axis.high, CELLS * len(axis.grid) + 1)
    cells = np.diff(edges)
    first, second = (ends.mesh.cell_masses(each, (edges,)) / cells for each in (ends.initial, ends.target))
    return wasserstein_2(edges, np.maximum(first, 0.0), np.maximum(second, 0.0)) ** 2 / ends.horizon


def _potential_on_a_line(ends: _Ends) -> Array:
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
    axes = tuple(Axis(a.low, a.high, math.ceil(multiple * a.elements), a.degree, a.walls) for a in mesh.axes)
    return Mesh(axes)

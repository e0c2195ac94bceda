"""The search for a potential g that proves much: Sinkhorn's iteration at ε = 0, L-BFGS beyond.

The bound holds for every g (see `energy_bound`), so that nothing here has to be trusted. Comes in: both ends, a kernel,
ε. Goes out: g, where its drift leads, and by how much its bound may be too small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from controlsde.controllability.ends import Ends
from controlsde.controllability.log_kernel import LogKernel, periods_of
from controlsde.distances.softmin import squared_distances

Array = NDArray[np.float64]

SINKHORN_STEPS = 3000
MARGINAL = 1e-10  # ∫|q − p(T)|, at which Sinkhorn's iteration has arrived
CLOSED = 1e-7  # of the bound: a gap that needs no more search
ATTEMPTS = 4  # of L-BFGS, each with a fresh memory
ITERATIONS = 2000
MEMORY = 30
FIRST_STEP = 0.1  # from g = 0, where the norm has a kink, of a function of norm one
DEEPEST = 700.0  # below its maximum: where e^g is nothing
BLURS = (8.0, 4.0, 2.0, 1.0)  # spacings of nodes, by which transport is smoothed to find a potential


@dataclass(frozen=True, eq=False)
class Search:
    """For a potential that makes the bound with a kernel large: ∫g p − ε‖g − ḡ‖ − ∫ log(P e^g) ρ₀."""

    ends: Ends
    kernel: LogKernel
    within: float

    @property
    def uncontrolled(self) -> Array:
        """Pρ₀: where the noise alone leads."""
        with np.errstate(divide="ignore"):
            return np.exp(self.kernel.log_of_exponential(np.log(self.ends.initial)))

    def reached(self, potential: Array) -> tuple[Array, Array]:
        """q = e^g P(ρ₀/Pe^g), where the best drift for the end cost g leads, and log Pe^g."""
        carried = self._ahead(potential)
        return np.exp(potential + self._back(self._log_initial - carried)), carried

    def by_sinkhorn(self, start: Array | None = None) -> Array:
        """The potential at ε = 0: g = log p(T) − log P(ρ₀/Pe^g), until ∫|q − p(T)| is next to nothing."""
        ends = self.ends
        with np.errstate(divide="ignore"):
            log_target = np.log(ends.target)
        potential = np.zeros(len(ends.weights)) if start is None else start
        for _ in range(SINKHORN_STEPS):
            returned = self._back(self._log_initial - self._ahead(potential))
            if float(ends.weights @ np.abs(np.exp(potential + returned) - ends.target)) <= MARGINAL:
                break
            potential = log_target - returned
            potential = np.maximum(potential, potential.max() - DEEPEST)
        return potential

    @cached_property
    def _log_initial(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.ends.initial))

    @cached_property
    def _ahead(self) -> Callable[[Array], Array]:
        """log P e^g, along a search."""
        return self.kernel.followed()

    @cached_property
    def _back(self) -> Callable[[Array], Array]:
        """The same of log(ρ₀/Pe^g)."""
        return self.kernel.followed()

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


def potential_of_transport(ends: Ends, within: float, start: Array | None) -> tuple[Array, float]:
    """A potential for the cost ½|x − y|², by transport that is blurred less and less, and the energy of its plan.

    start: the same at another distance, from which the least blur alone is enough.
    """
    spacing = max(float(np.diff(axis.grid).max()) for axis in ends.mesh.axes)
    scaled = start if within > 0.0 else None
    for blur in BLURS if scaled is None else BLURS[-1:]:
        time = 0.5 * (blur * spacing) ** 2  # a point is blurred by √(2τ)
        search = Search(ends, LogKernel.blur(ends.mesh, time), within)
        before = None if scaled is None else scaled / (2.0 * time)
        potential = search.by_sinkhorn(before) if within == 0.0 else search.by_ascent(before)
        scaled = 2.0 * time * potential
    assert scaled is not None  # there are blurs
    return scaled, search.transport_cost(potential) / ends.horizon

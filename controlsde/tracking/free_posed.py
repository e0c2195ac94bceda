"""A problem in free space with its data and its reference: what `Posed` is in a box.

Comes in: a problem. Goes out: a value that is passed on in place of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.drift import Drift, given_drift
from controlsde.control.free_exact import FreeExactDrift
from controlsde.control.network import Network
from controlsde.densities.free_data import FreeData, build_free_data
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.problem import Problem
from controlsde.problem.schema import ReversedDiffusion
from controlsde.reference import ReferenceError  # noqa: A004
from controlsde.reference.free_space import FreeReference
from controlsde.reference.reference_building import build_free_reference
from controlsde.tracking.free_tracking import FreeTracking
from controlsde.tracking.tracking_problem import bound_of, build_network

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FreePosed:
    """What the user asks, the data, and the trajectory that is to be tracked."""

    problem: Problem
    data: FreeData
    reference: FreeReference

    @staticmethod
    def of(problem: Problem) -> FreePosed:
        """The problem with data and reference, which are built. Raises ReferenceError where that cannot be."""
        spec = problem.reference
        if not isinstance(spec, ReversedDiffusion):
            raise ReferenceError("only reversed diffusions are known in free space", ("reference", "kind"))
        try:
            data = build_free_data(spec.data)
        except ValueError as error:
            raise ReferenceError(f"the data cannot be used: {error}", ("reference", "data")) from error
        return FreePosed(problem, data, build_free_reference(spec, data.mixture))

    def changed(self, **parts: Any) -> FreePosed:
        """Another problem for the same reference: with another noise or solver."""
        return replace(self, problem=self.problem.model_copy(update=parts))

    @property
    def diffusivity(self) -> Diffusivity:
        """D = ηD₀(t)."""
        return self.reference.diffusivity.scaled(self.problem.noise)

    @property
    def network(self) -> Network:
        """The network drift that the problem asks for."""
        return build_network(self.problem)

    @property
    def edges(self) -> Array:
        """The ends of the problem's own pieces, (K+1,); of free lengths, all the same."""
        edges = self.reference.horizon * np.concatenate([[0.0], np.cumsum(self.problem.controls.shares)])
        edges[-1] = self.reference.horizon
        return edges

    @property
    def given_drift(self) -> Drift | None:
        """The drift that the problem's own `drift:` key gives, or None."""
        drift = self.problem.drift
        if drift is not None and drift.kind == "exact":
            return FreeExactDrift(self.reference, self.problem.noise, self.edges)
        return given_drift(self.problem, self.reference, self.edges)

    @property
    def tracking(self) -> FreeTracking:
        """The problem as its solvers see it. Raises ReferenceError for free lengths where the noise varies in time."""
        problem, objective = self.problem, self.problem.objective
        if problem.controls.free and problem.noise > 0 and not self.reference.diffusivity.steady:
            raise ReferenceError(
                "free needs a noise that does not vary in time: give the lengths, or a forward process without a "
                "schedule",
                ("controls", "lengths"),
            )
        return FreeTracking(
            network=self.network,
            reference=self.reference,
            edges=self.edges,
            noise=problem.noise,
            bound=bound_of(self.network, problem.controls.bounds),
            running=objective.running,
            terminal=objective.terminal,
            effort=objective.effort,
            scales=given_scales(problem) or "auto",
            shortest=problem.controls.shortest_of(self.reference.horizon) if problem.controls.free else None,
        )


def given_scales(problem: Problem) -> tuple[float, ...] | None:
    """The scales of the mollified norm that a problem gives; None where they are automatic."""
    scales = problem.objective.scales
    return None if scales is None or isinstance(scales, str) else scales

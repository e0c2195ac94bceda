"""A problem with its reference: all that is known before a mesh, a time grid or a drift is chosen.

Comes in: a problem. Goes out: a value that is passed on in place of its parts, and that is discretised by `on`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.fokker_planck.mesh import Mesh
from controlsde.problem import Problem
from controlsde.reference import Reference, ReferenceError, build_reference  # noqa: A004
from controlsde.registry import SOLVERS
from controlsde.tracking.time_grid import TimeGrid
from controlsde.tracking.tracking_problem import (
    TrackingProblem,
    build_mesh,
    build_network,
    build_tracking,
    time_grid,
)

Array = NDArray[np.float64]


NEEDS_A_MESH = (
    "this needs densities on a mesh, of which free space has none: solve, compare, evaluate and simulate serve it; or "
    "give domain.box, with up to three dimensions"
)


class FreeSpaceError(ReferenceError):
    """Something that needs a mesh was asked of a problem in free space."""


@dataclass(frozen=True, eq=False)
class Posed:
    """A tracking problem: what the user asks, and the trajectory that is to be tracked."""

    problem: Problem
    reference: Reference

    @staticmethod
    def of(problem: Problem) -> Posed:
        """The problem with its reference, which is built. Raises ReferenceError where that cannot be.

        Raises FreeSpaceError for a problem in free space: whoever asks for a mesh cannot be served there.
        """
        if problem.domain.free:
            raise FreeSpaceError(NEEDS_A_MESH, ("domain", "space"))
        return Posed(problem, build_reference(problem.reference, problem.domain))

    def changed(self, **parts: Any) -> Posed:
        """Another problem for the same reference: with another noise, mesh, or solver."""
        return replace(self, problem=self.problem.model_copy(update=parts))

    @property
    def with_given_pieces(self) -> Posed:
        """The same for controls that are given, pieces and all: their lengths are free no more."""
        given = self.problem.controls.model_copy(update={"lengths": None, "shortest": None})
        return self.changed(controls=given) if self.problem.controls.free else self

    @property
    def may_free_lengths(self) -> bool:
        """Whether the problem leaves the lengths of its pieces open, and its solver and noise let them be free."""
        given = self.problem.controls.lengths is not None
        return not given and self.diffusivity.steady and SOLVERS[self.problem.solver.kind].frees_lengths

    @property
    def diffusivity(self) -> Diffusivity:
        """D = ηD₀(t)."""
        return self.reference.diffusivity.scaled(self.problem.noise)

    @property
    def network(self) -> Network:
        """The network drift that the problem asks for."""
        return build_network(self.problem)

    @property
    def grid(self) -> TimeGrid:
        """The problem's own time grid."""
        return time_grid(self.problem, self.reference)

    def mesh(self, elements: tuple[int, ...] | None = None) -> Mesh:
        """The problem's own mesh, or one with so many elements on every axis."""
        if elements is None:
            return build_mesh(self.problem, self.reference)
        domain = self.problem.domain
        return Mesh.build(domain.box, domain.walls, elements, self.problem.mesh.degree)

    def on(self, mesh: Mesh | None = None, grid: TimeGrid | None = None) -> TrackingProblem:
        """The discrete problem, on the problem's own mesh and time grid if not given others."""
        return build_tracking(self.problem, self.reference, mesh, grid)

    def target(self, x: Array) -> Array:
        """p(T, x) at points (n, d), shape (n,)."""
        return self.reference.density(self.reference.horizon, x)

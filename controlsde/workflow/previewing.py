"""A preview: what given controls do to the density, at once and unverified.

Comes in: a problem and controls. Goes out: a `Preview`: density, reference and error curve on the problem's own mesh
and time grid, by the propagation that the solvers use. Nothing is measured again, so that a preview proves nothing:
whoever shows one says that it is not verified, and `evaluate` is what verifies it.

What does not depend on the controls is kept from call to call, for the last few problems: the reference, and the
discrete problem with its targets. Another weight costs one propagation, another noise little more; another horizon or
other data cost everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import Drift, given_drift, network_drift
from controlsde.fokker_planck.diffusivity import step_means
from controlsde.fokker_planck.mesh import Mesh
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.problem.reference_specs import ReferenceSpec
from controlsde.problem.schema import Domain, MonteCarlo
from controlsde.reference import Reference, build_reference
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.time_grid import TimeGrid
from controlsde.tracking.tracking_problem import TrackingProblem
from controlsde.verification import TrackingErrors
from controlsde.workflow.solving import discrete_stages

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]

KEPT = 4  # problems whose reference and discretisation are kept
NOT_VERIFIED = "a preview, not verified"


@dataclass(frozen=True, eq=False)
class Preview:
    """What a drift does to the density, as the solvers' discretisation sees it; never verified.

    times: (n,), the ends of all time steps, from 0 to T. density_values, reference_values: (n, *nodes), in grid values
    of `mesh`. curve_times, l2: the error curve ‖ρ − p‖_{L²}, at every stage. discrete: the same L² numbers as a result
    has under this name. drift: what moved the density; None where nothing did.
    """

    verified: ClassVar[bool] = False

    problem: Problem
    controls: Controls | None
    mesh: Mesh = field(repr=False)
    times: Array = field(repr=False)
    density_values: Array = field(repr=False)
    reference_values: Array = field(repr=False)
    curve_times: Array = field(repr=False)
    l2: Array = field(repr=False)
    discrete: TrackingErrors
    reference_trajectory: Reference = field(repr=False)
    drift: Drift | None = field(repr=False)

    @property
    def density(self) -> xr.DataArray:
        """ρ as an xarray with dimensions (time, x[, y, z])."""
        return self._over_space(self.density_values, "density")

    @property
    def reference(self) -> xr.DataArray:
        """p as an xarray with dimensions (time, x[, y, z])."""
        return self._over_space(self.reference_values, "reference")

    @property
    def error(self) -> xr.DataArray:
        """‖ρ − p‖_{L²} over time, as an xarray with the dimension time."""
        import xarray as xr

        return xr.DataArray(self.l2, {"time": self.curve_times}, ("time",), "l2", {"note": NOT_VERIFIED})

    def exact(self, t: float, points: Array) -> Array:
        """v*_η at points (n, d), the drift that keeps the density on its reference at this noise: shape (n, d)."""
        return self.reference_trajectory.exact_drift(t, points, self.problem.noise)

    def _over_space(self, values: Array, name: str) -> xr.DataArray:
        import xarray as xr

        space = dict(zip(("x", "y", "z"), (axis.grid for axis in self.mesh.axes), strict=False))
        return xr.DataArray(values, {"time": self.times, **space}, ("time", *space), name, {"note": NOT_VERIFIED})


@own_settings()
def preview(problem: Problem, controls: Controls | None = None) -> Preview:
    """What controls do to the density, on the problem's own mesh: milliseconds in one dimension, and not verified.

    controls: on pieces of any lengths that end at the horizon. Without them the drift is the problem's own `drift:`,
    or, where it has none, zero: the density is left to its diffusion alone. Raises ControlsError for controls that do
    not fit the problem, or under which a number stops being finite; ReferenceError where there can be no reference.
    """
    posed = Posed(problem, reference_of(problem)).with_given_pieces
    if controls is None:
        drift = given_drift(problem, posed.reference, posed.grid.edges)
    else:
        drift = network_drift(posed.network, controls, posed.reference.horizon)
    pieces = tuple(float(t) for t in (posed.grid.edges if drift is None else drift.edges))
    objective = _objective(_essentials(posed.problem), pieces, problem.noise)
    tracking = objective.tracking
    try:
        if drift is not None and controls is None:
            stages = discrete_stages(tracking, drift, posed.diffusivity)
        else:
            stages = objective.stages(
                np.zeros(tracking.weight_shape) if controls is None else tracking.flatten(controls)
            )
    except NonFiniteError as error:
        raise ControlsError(f"{error.what} is not finite in piece {error.piece + 1}") from None
    return _shown(problem, controls, posed.reference, drift, tracking, stages)


def reference_of(problem: Problem) -> Reference:
    """The reference of a problem, built once for the last few. Raises ReferenceError where there can be none."""
    return kept_reference(problem.reference, problem.domain)


def tracking_of(problem: Problem) -> TrackingProblem:
    """The discrete problem on the problem's own pieces, kept as for `preview`."""
    posed = Posed(problem, reference_of(problem)).with_given_pieces
    return _objective(_essentials(posed.problem), tuple(float(t) for t in posed.grid.edges), problem.noise).tracking


def _shown(
    problem: Problem,
    controls: Controls | None,
    reference: Reference,
    drift: Drift | None,
    tracking: TrackingProblem,
    stages: Array,
) -> Preview:
    """What a run of the state equation showed: stage densities (K, S, s, n)."""
    mesh, grid = tracking.mesh, tracking.grid
    times = np.append(grid.edges[0], grid.stage_times[:, :, -1].ravel())
    density = np.concatenate([tracking.initial[None], stages[:, :, -1].reshape(-1, stages.shape[-1])])
    target = np.concatenate([tracking.initial_target[None], tracking.targets[:, :, -1].reshape(-1, stages.shape[-1])])
    curve_times, curve = tracking.l2_curve(stages)
    rms = float(np.sqrt(np.sum(grid.quadrature.ravel() * curve[1:] ** 2) / grid.edges[-1]))
    return Preview(
        problem=problem,
        controls=controls,
        mesh=mesh,
        times=times,
        density_values=_on_grid(mesh, density),
        reference_values=_on_grid(mesh, target),
        curve_times=curve_times,
        l2=curve,
        discrete=TrackingErrors(float(curve.max()), rms, float(curve[-1]), float(curve[0])),
        reference_trajectory=reference,
        drift=drift,
    )


def _on_grid(mesh: Mesh, unknowns: Array) -> Array:
    """Unknowns (n, unknowns) as grid values (n, *nodes)."""
    return np.stack([mesh.to_grid(each).reshape(mesh.shape) for each in unknowns])


def _essentials(problem: Problem) -> Problem:
    """The problem without what neither its reference nor its discretisation depends on.

    Of the noise it matters whether there is any: walls are others without, see `Operator.build`.
    """
    plain = {"name": "preview", "description": "", "drift": None, "noise": float(problem.noise > 0.0)}
    return problem.model_copy(update={**plain, "monte_carlo": MonteCarlo()})


@lru_cache(maxsize=KEPT)
def kept_reference(reference: ReferenceSpec, domain: Domain) -> Reference:
    """The reference trajectory of the parts of a problem that it depends on."""
    return build_reference(reference, domain)


@lru_cache(maxsize=KEPT)
def _at_unit_noise(problem: Problem, pieces: tuple[float, ...]) -> TrackingProblem:
    """The discrete problem on these pieces: mesh, operator and targets, which other noise levels share."""
    grid = TimeGrid(np.array(pieces), problem.mesh.first_steps, problem.mesh.stages)
    return Posed(problem, reference_of(problem)).on(grid=grid)


@lru_cache(maxsize=KEPT)
def _objective(problem: Problem, pieces: tuple[float, ...], noise: float) -> Objective:
    tracking = _at_unit_noise(problem, pieces)
    if noise > 0.0:
        diffusivity = reference_of(problem).diffusivity.scaled(noise)
        tracking = replace(
            tracking,
            operator=replace(tracking.operator, diffusivity=diffusivity.mean(0.0, pieces[-1])),
            diffusivity=step_means(diffusivity, tracking.grid.edges, tracking.grid.steps_per_piece),
            noise=noise,
        )
    return Objective(tracking)

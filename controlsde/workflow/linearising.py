"""What the weights of a result can change of its density at T, to first order: all that `controllability` tells.

Comes in: a result, or a problem with controls. Goes out: the numbers of the room `controllability` about these
controls, on the mesh and with the steps on which the problem's answer has settled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.drift import network_drift
from controlsde.controllability.any_drift import AnyDrift, Spectrum
from controlsde.controllability.gramian import Gramian, LeastEnergy
from controlsde.controllability.insertion import Insertion, insertion_map
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.robustness import Gains, WeightErrors, gains, weight_errors
from controlsde.controllability.weight_metric import KINDS, MetricError, WeightMetric
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.surroundings import own_settings
from controlsde.problem import Problem
from controlsde.result.answer import NO_NETWORK, plain_json
from controlsde.result.result import Result
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.time_grid import TimeGrid
from controlsde.verification.certificate import LIMITS
from controlsde.workflow.mesh_refinement import run_resolved

Array = NDArray[np.float64]

TOLERANCES = ("1e-1", "1e-2", "1e-3", "1e-6")  # of the largest singular value, at which ranks are told
WITHIN = 1e-2  # and the one up to which a direction counts as within reach of the residual


@dataclass(frozen=True, eq=False)
class Controllability:
    """What the weights of some controls can change of ρ(T), to first order about them.

    any_drift: the same for any drift, None in the metric of the effort, which only weights have. undershoot: how far
    the density at T goes below zero, over its largest value.
    """

    problem: Problem
    gramian: Gramian
    any_drift: Spectrum | None
    residual: Array  # ρ(T) − p(T), (n,)
    errors: WeightErrors
    gains: Gains
    insertion: Insertion
    undershoot: float

    @property
    def noise(self) -> float:
        """Noise level η."""
        return self.problem.noise

    @property
    def metric(self) -> str:
        """energy or effort."""
        return self.gramian.metric.kind

    @property
    def singular_values(self) -> Array:
        """σ of X = M^½ G R^−½, descending (r,)."""
        return self.gramian.singular_values

    @property
    def directions(self) -> Array:
        """The changes of density that go with them, at the unknowns of the mesh and of L² norm one, (n, r)."""
        return self.gramian.directions

    @property
    def density(self) -> Array:
        """ρ(T), at the unknowns of the mesh (n,)."""
        return self.gramian.linearisation.final

    def rank(self, tolerance: float) -> int:
        """How many singular values are larger than so many times the largest."""
        return self.gramian.rank(tolerance)

    def least_energy(self, change: Array, tolerance: float = 1e-6) -> LeastEnergy:
        """The cheapest weights for a change of density (n,), as far as directions within the tolerance reach it.

        change: at the unknowns of the mesh, `gramian.linearisation.tracking.mesh`. Raises ValueError for another shape.
        """
        values = np.asarray(change, dtype=float)
        if values.shape != self.density.shape:
            raise ValueError(f"change must have shape {self.density.shape} (got {values.shape})")
        return self.gramian.least_energy(values, tolerance)

    @property
    def resolved(self) -> int:
        """Of the directions within 1e-2 of the largest: those that the mesh resolves, as the certificate asks of ρ."""
        mesh, count = self.gramian.linearisation.tracking.mesh, self.rank(WITHIN)
        shares = [mesh.resolution(mesh.to_grid(one)) for one in self.directions[:, :count].T]
        return sum(share <= LIMITS["resolution"] for share in shares)

    @property
    def trace_share(self) -> float | None:
        """tr XXᵀ / tr W_full: the share of what any drift can do on this mesh; None in the metric of the effort."""
        if self.any_drift is None or not self.any_drift.trace > 0.0:
            return None
        return float((self.singular_values**2).sum() / self.any_drift.trace)

    @property
    def trace_share_se(self) -> float | None:
        """Its standard error, 0 where it is exact."""
        share = self.trace_share
        if share is None or self.any_drift is None:
            return None
        return share * self.any_drift.trace_se / self.any_drift.trace

    @property
    def residual_share(self) -> float:
        """The share of ‖ρ(T) − p(T)‖² along directions within 1e-2 of the largest."""
        return 1.0 - self.least_energy(self.residual, WITHIN).missed

    @property
    def residual_energy(self) -> float:
        """The least that it costs to make this part, to first order."""
        return self.least_energy(self.residual, WITHIN).energy

    def to_json(self) -> dict[str, Any]:
        """The JSON of `controllability`; NaN and infinity become null."""
        mesh = self.gramian.linearisation.tracking.mesh
        spectrum, errors = self.any_drift, self.errors
        document: dict[str, Any] = plain_json(
            {
                "problem": self.problem.name,
                "noise": self.noise,
                "metric": self.metric,
                "singular_values": self.singular_values.tolist(),
                "rank": {name: self.rank(float(name)) for name in TOLERANCES},
                "resolved": self.resolved,
                "trace_share": self.trace_share,
                "trace_share_se": self.trace_share_se,
                "gains": vars(self.gains),
                "residual": {
                    "l2": float(np.sqrt(mesh.mass @ self.residual**2)),
                    "share": self.residual_share,
                    "energy": self.residual_energy,
                },
                "weight_errors": vars(errors),
                "any_drift": None
                if spectrum is None
                else {
                    "singular_values": spectrum.singular_values.tolist(),
                    "exact": spectrum.exact,
                    "trace": spectrum.trace,
                    "trace_se": spectrum.trace_se,
                },
                "insertion": self.insertion.to_json(),
                "undershoot": self.undershoot,
                "nodes": list(mesh.shape),
            }
        )
        return document


@own_settings()
def controllability(
    result: Result | Problem,
    metric: str = "energy",
    controls: Controls | None = None,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> Controllability:
    """What the weights of a result, or of controls for a problem, can change of ρ(T), to first order about them.

    metric: `energy`, ∫∫|δv|²ρ dx dt of the change of the drift, or `effort`, Σ Δt|δθ|² of the change of the weights.
    seed: of errors of the weights, and of probes on meshes that are too large for more. Raises MetricError for another
    metric, or one that the walls do not allow, ControlsError and ResultError where there are no controls, or they do
    not fit.
    """
    if metric not in KINDS:
        raise MetricError(f"must be one of {', '.join(KINDS)} (got {metric!r})", argument="metric")
    problem = result if isinstance(result, Problem) else result.problem
    used = controls if isinstance(result, Problem) or controls is not None else result.controls
    if used is None and isinstance(result, Result):
        raise ControlsError(NO_NETWORK)
    if used is None:
        raise ControlsError("must be given", argument="controls")
    if metric == "energy" and problem.domain.walls == "absorbing":
        raise MetricError(
            "energy counts a change of the drift by the mass that it moves, which absorbing walls take; use effort",
            argument="metric",
        )
    progress(Step("building the reference"))
    posed = Posed.of(problem).with_given_pieces
    network_drift(posed.network, used, posed.reference.horizon)  # which says so if they do not fit
    weights = posed.network.join(used.A, used.W, used.b)
    grid = TimeGrid(used.times, problem.mesh.first_steps, problem.mesh.stages)
    try:
        tracking, _ = run_resolved(posed, lambda one: Objective(one).stages(weights), grid)
        progress(Step("linearising"))
        linearisation = Linearisation.about(tracking, weights)
    except NonFiniteError as error:
        raise ControlsError(f"{error.what} is not finite in piece {error.piece + 1}") from None
    rng = np.random.default_rng(seed)
    gramian = Gramian.of(linearisation, WeightMetric.of(linearisation, metric), rng)
    progress(Step("what any drift could change"))
    any_drift = AnyDrift.about(linearisation)
    spectrum = any_drift.spectrum(rng) if metric == "energy" else None
    progress(Step("errors of the weights and of the start"))
    errors, of_start = weight_errors(linearisation, rng), gains(linearisation, rng)
    progress(Step("where a neuron would help"))
    final = linearisation.final
    return Controllability(
        problem=problem,
        gramian=gramian,
        any_drift=spectrum,
        residual=final - tracking.targets[-1, -1, -1],
        errors=errors,
        gains=of_start,
        insertion=insertion_map(linearisation, any_drift, rng),
        undershoot=max(float(-final.min() / final.max()), 0.0),
    )

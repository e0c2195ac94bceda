"""The certificate: what was checked about an answer, each value beside its limit, passed or not.

The limits, and why:

- mass_error ≤ 1e-9 (closed walls), over ∫|ρ|: the scheme keeps the mass to rounding; more means a broken operator.
- negative_mass ≤ 0.01: ∫ρ⁻ at the end. The scheme is not positive; a per cent of negative mass means that the
  mesh does not hold the density.
- resolution ≤ 0.05: share of the top Legendre mode of the refined density. Above it the refined mesh, too, is coarse.
- refined_l2_change ≤ 0.03: largest ‖ρ_solver − ρ_refined‖ / ‖p(T)‖ over the ends of the pieces. The solver worked
  on a mesh that was too coarse when its density moves by more under refinement.
- refinement ≤ 0.01: the same norm between the last two meshes of the verification itself at t = T.
- target_mass ≤ 0.01: |∫p(T) − 1| on the fine grid on which the final distances are taken. More means that even this
  grid misses part of the target.
- target_change ≤ 0.2: ‖p_mesh(T) − p(T)‖ / ‖p(T)‖, p_mesh the target as the solver's mesh holds it. A jump costs up to
  0.15 on a usual mesh; more means that the solver tracked something else than the target.
- target_norm ≤ 0.05: √|‖p(T)‖² − ‖p(T)‖²_grid| / ‖p(T)‖ on that grid, the first in closed form or on cells that hide
  nothing. A part with little mass may have a large norm: w²/(2√π s) for a Gaussian of mass w and width s. The same for
  the density at t = 0 where the problem gives one, or where its data shrink in free space to it: start_norm.
- final_norm ≤ 0.05: √|‖ρ(T)‖² − ‖ρ(T)‖²_grid| / ‖p(T)‖, the first on the refined mesh: a density that is narrower than
  the cells of the grid has a norm, and a distance from its target, that the grid does not see.
- start_change ≤ 0.05 without noise, 0.2 with it: ‖ρ_mesh(0) − ρ(0)‖ / ‖ρ(0)‖ on the refined mesh. Without noise what is
  lost at the start stays lost; noise smooths it.
- density_unseen ≤ 0.1: a bound of what may hide between all samples of a density that is given as a formula, over its
  norm, by interval arithmetic.
- drift_unseen ≤ 0.05: an estimate of the relative change of the density by what the drift does between the nodes and
  the moments of the refined mesh (see `between_nodes`).
- forward_unseen ≤ 0.05: the same of the drift of a forward process that is given by formulas, between the nodes of the
  mesh on which the reference is solved.
- diffusivity_unseen ≤ 0.05: Σ |∫D dt − what the moments of the integrator saw of it| / ℓ², where D varies in time:
  variance that went unseen, against the square of the length on which the target changes. An exact drift is as fast as
  D₀, with noise or without: what share of ∫D₀ dt went unseen, of the change of p meanwhile, counts, too.
- characteristics_l2_change ≤ 0.03 (η = 0): ‖ρ_refined(T) − ρ_characteristics(T)‖ / ‖p(T)‖.
- energy_bound_refined ≤ 0.05: by how much of the energy that was spent the proved least energy moves when the same
  potential is judged on a finer mesh.
- monte_carlo |z| ≤ 4: particles against the refined density along its own error, in standard errors;
  monte_carlo_modes ≤ 5: the same over all modes at once.
- terminal_error ≤ what the problem asks for, where it limits the error at T: ‖ρ_refined(T) − p(T)‖ in its own norm. No
  slack: a search aims within the limit by more than the meshes leave open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from controlsde.foundation.stored_json import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    VALUE,
    Form,
    FormError,
    Maybe,
    number,
    values,
)

START_CHANGE_WITHOUT_NOISE = 5e-2
LIMITS = {
    "mass_error": 1e-9,
    "negative_mass": 1e-2,
    "resolution": 5e-2,
    "refined_l2_change": 3e-2,
    "refinement": 1e-2,
    "target_mass": 1e-2,
    "target_change": 0.2,
    "target_norm": 5e-2,
    "final_norm": 5e-2,
    "start_norm": 5e-2,
    "start_change": 0.2,
    "density_unseen": 0.1,
    "drift_unseen": 5e-2,
    "forward_unseen": 5e-2,
    "diffusivity_unseen": 5e-2,
    "characteristics_l2_change": 3e-2,
    "energy_bound_refined": 5e-2,
    "monte_carlo_z": 4.0,
    "monte_carlo_modes": 5.0,
}


OF_PARTICLES = ("monte_carlo_z", "monte_carlo_modes")
ESSENTIAL = {"negative_mass", "resolution", "refined_l2_change", "refinement"}  # checks that no certificate lacks
MOST = {**LIMITS, "terminal_error": math.inf}  # that a limit may be


@dataclass(frozen=True)
class Check:
    """One value beside its limit."""

    name: str
    value: float
    limit: float
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {"name": self.name, "value": self.value, "limit": self.limit, "passed": self.passed}


@dataclass(frozen=True)
class MonteCarloEvidence:
    """The final L² error that particles measure (mollified), its standard error, and z against the density.

    step_bias: how much of the error is owed to the length of the steps, with its standard error. device, backend: what
    moved the particles.
    """

    FORM: ClassVar[dict[str, Form]] = {
        "particles": COUNT,
        "device": TEXT,
        "backend": TEXT,
        **values("l2_final", "l2_final_se", "z", "z_modes", "alive_fraction", "step_bias", "step_bias_se"),
    }

    particles: int
    l2_final: float
    l2_final_se: float
    z: float
    z_modes: float
    alive_fraction: float
    step_bias: float
    step_bias_se: float
    device: str
    backend: str

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {
            "particles": self.particles,
            "l2_final": self.l2_final,
            "l2_final_se": self.l2_final_se,
            "z": self.z,
            "z_modes": self.z_modes,
            "alive_fraction": self.alive_fraction,
            "step_bias": self.step_bias,
            "step_bias_se": self.step_bias_se,
            "device": self.device,
            "backend": self.backend,
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> MonteCarloEvidence:
        """What `to_json` wrote."""
        words = ("particles", "device", "backend")
        numbers: dict[str, Any] = {name: value if name in words else number(value) for name, value in stored.items()}
        return MonteCarloEvidence(**numbers)


@dataclass(frozen=True)
class Sight:
    """What meshes, grids and moments may not have seen; None where that does not apply. See the limits above."""

    target_norm: float | None = None
    final_norm: float | None = None
    start_norm: float | None = None
    start_change: float | None = None
    density_unseen: float | None = None
    drift_unseen: float | None = None
    forward_unseen: float | None = None
    diffusivity_unseen: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measurements(Sight):
    """What was measured of one answer; None where a value does not apply, as `characteristics_l2_change` with noise."""

    mass_error: float
    negative_mass: float
    resolution: float
    refined_l2_change: float
    refinement: float
    target_mass: float
    target_change: float
    characteristics_l2_change: float | None
    monte_carlo: MonteCarloEvidence | None
    gradient_norm: float | None
    nodes: int
    energy_bound_refined: float | None = None

    @property
    def values(self) -> dict[str, float | None]:
        """Every value that has a limit, in the order of the limits."""
        particles = self.monte_carlo
        return {
            **{name: getattr(self, name) for name in LIMITS if name not in OF_PARTICLES},
            "monte_carlo_z": abs(particles.z) if particles else None,
            "monte_carlo_modes": particles.z_modes if particles else None,
        }


@dataclass(frozen=True, kw_only=True)
class Certificate(Measurements):
    """What was measured, and each value beside its limit."""

    FORM: ClassVar[dict[str, Form]] = {
        **values(*(name for name in LIMITS if name not in OF_PARTICLES), "gradient_norm"),
        "nodes": COUNT,
        "monte_carlo": Maybe(MonteCarloEvidence.FORM),
        "checks": [{"name": TEXT, "value": VALUE, "limit": NUMBER, "passed": FLAG}],
    }

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """The numbers as the JSON of a result holds them."""
        return {
            **{name: getattr(self, name) for name in LIMITS if name not in OF_PARTICLES},
            "monte_carlo": self.monte_carlo.to_json() if self.monte_carlo else None,
            "gradient_norm": self.gradient_norm,
            "nodes": self.nodes,
            "checks": [check.to_json() for check in self.checks],
        }

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Certificate:
        """What `to_json` wrote; whether a check passed is computed again. Raises FormError where one is missing.

        Files of earlier versions lack what was not measured then.
        """
        missing = ESSENTIAL - {one["name"] for one in stored["checks"]}
        if missing:
            words = f"check{'s' * (len(missing) > 1)} {', '.join(sorted(missing))}"
            raise FormError(f"holds a certificate without the {words}")
        for one in stored["checks"]:
            if not one["limit"] <= MOST.get(one["name"], -math.inf):
                raise FormError("holds a check that this version does not know, or with a limit that it does not allow")
        particles = stored["monte_carlo"]
        known: dict[str, Any] = {name: stored.get(name) for name in Certificate.FORM}
        known["monte_carlo"] = MonteCarloEvidence.from_json(particles) if particles else None
        known["checks"] = tuple(_check(one["name"], number(one["value"]), one["limit"]) for one in stored["checks"])
        return Certificate(**known)


def judge(
    measured: Measurements,
    *,
    closed: bool,
    noisy: bool = True,
    terminal_error: float | None = None,
    terminal_limit: float | None = None,
) -> Certificate:
    """Compare every value with its limit; a value that is not a number fails.

    closed: whether the walls keep the mass. terminal_error, terminal_limit: where the problem limits the error at T.
    """
    limits = LIMITS if noisy else {**LIMITS, "start_change": START_CHANGE_WITHOUT_NOISE}
    if terminal_limit is not None:
        limits = {**limits, "terminal_error": terminal_limit}
    found = {**measured.values, "terminal_error": terminal_error}
    if not closed:
        found["mass_error"] = None
    checks = tuple(_check(name, value, limits[name]) for name, value in found.items() if value is not None)
    parts = {field.name: getattr(measured, field.name) for field in fields(measured)}
    return Certificate(**parts, checks=checks)


def _check(name: str, value: float, limit: float) -> Check:
    return Check(name, value, limit, bool(value <= limit))

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
- monte_carlo |z| ≤ 4: particles against the refined density along its own error, in standard errors;
  monte_carlo_modes ≤ 5: the same over all modes at once.
- terminal_error ≤ what the problem asks for, where it limits the error at T: ‖ρ_refined(T) − p(T)‖ in its own norm. No
  slack: a search aims within the limit by more than the meshes leave open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    "monte_carlo_z": 4.0,
    "monte_carlo_modes": 5.0,
}


@dataclass(frozen=True)
class Check:
    """One value beside its limit."""

    name: str
    value: float
    limit: float
    passed: bool

    def to_json(self) -> dict[str, Any]:
        """As in the JSON of a result."""
        return {"name": self.name, "value": self.value, "limit": self.limit, "passed": self.passed}


@dataclass(frozen=True)
class MonteCarloEvidence:
    """The final L² error that particles measure (mollified), its standard error, and z against the density.

    step_bias: how much of the error is owed to the length of the steps, with its standard error. device, backend: what
    moved the particles.
    """

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
        """As in the JSON of a result."""
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


@dataclass(frozen=True)
class Certificate:
    """All evidence about one answer; None where a value does not apply, as `characteristics_l2_change` with noise."""

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
    checks: tuple[Check, ...]
    target_norm: float | None = None
    final_norm: float | None = None
    start_norm: float | None = None
    start_change: float | None = None
    density_unseen: float | None = None
    drift_unseen: float | None = None
    forward_unseen: float | None = None
    diffusivity_unseen: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """As in the JSON of a result."""
        return {
            "mass_error": self.mass_error,
            "negative_mass": self.negative_mass,
            "resolution": self.resolution,
            "refined_l2_change": self.refined_l2_change,
            "refinement": self.refinement,
            "target_mass": self.target_mass,
            "target_change": self.target_change,
            "target_norm": self.target_norm,
            "final_norm": self.final_norm,
            "start_norm": self.start_norm,
            "start_change": self.start_change,
            "density_unseen": self.density_unseen,
            "drift_unseen": self.drift_unseen,
            "forward_unseen": self.forward_unseen,
            "diffusivity_unseen": self.diffusivity_unseen,
            "characteristics_l2_change": self.characteristics_l2_change,
            "monte_carlo": self.monte_carlo.to_json() if self.monte_carlo else None,
            "gradient_norm": self.gradient_norm,
            "nodes": self.nodes,
            "checks": [check.to_json() for check in self.checks],
        }


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


def judge(
    *,
    closed: bool,
    mass_error: float,
    negative_mass: float,
    resolution: float,
    refined_l2_change: float,
    refinement: float,
    target_mass: float,
    target_change: float,
    characteristics_l2_change: float | None,
    monte_carlo: MonteCarloEvidence | None,
    gradient_norm: float | None,
    nodes: int,
    sight: Sight = Sight(),
    noisy: bool = True,
    terminal_error: float | None = None,
    terminal_limit: float | None = None,
) -> Certificate:
    """Compare every value with its limit; a value that is not a number fails.

    terminal_error, terminal_limit: where the problem limits the error at T.
    """
    values: dict[str, float | None] = {
        "mass_error": mass_error if closed else None,
        "negative_mass": negative_mass,
        "resolution": resolution,
        "refined_l2_change": refined_l2_change,
        "refinement": refinement,
        "target_mass": target_mass,
        "target_change": target_change,
        "target_norm": sight.target_norm,
        "final_norm": sight.final_norm,
        "start_norm": sight.start_norm,
        "start_change": sight.start_change,
        "density_unseen": sight.density_unseen,
        "drift_unseen": sight.drift_unseen,
        "forward_unseen": sight.forward_unseen,
        "diffusivity_unseen": sight.diffusivity_unseen,
        "characteristics_l2_change": characteristics_l2_change,
        "monte_carlo_z": abs(monte_carlo.z) if monte_carlo else None,
        "monte_carlo_modes": monte_carlo.z_modes if monte_carlo else None,
        "terminal_error": terminal_error,
    }
    limits = LIMITS if noisy else {**LIMITS, "start_change": START_CHANGE_WITHOUT_NOISE}
    if terminal_limit is not None:
        limits = {**limits, "terminal_error": terminal_limit}
    checks = tuple(
        Check(name, value, limits[name], bool(value <= limits[name]))
        for name, value in values.items()
        if value is not None
    )
    return Certificate(
        mass_error=mass_error,
        negative_mass=negative_mass,
        resolution=resolution,
        refined_l2_change=refined_l2_change,
        refinement=refinement,
        target_mass=target_mass,
        target_change=target_change,
        characteristics_l2_change=characteristics_l2_change,
        monte_carlo=monte_carlo,
        gradient_norm=gradient_norm,
        nodes=nodes,
        checks=checks,
        target_norm=sight.target_norm,
        final_norm=sight.final_norm,
        start_norm=sight.start_norm,
        start_change=sight.start_change,
        density_unseen=sight.density_unseen,
        drift_unseen=sight.drift_unseen,
        forward_unseen=sight.forward_unseen,
        diffusivity_unseen=sight.diffusivity_unseen,
    )

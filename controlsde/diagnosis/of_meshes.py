"""Causes that lie in the mesh, the time steps, the walls, or in a density that no mesh holds."""

from __future__ import annotations

import numpy as np

from controlsde.diagnosis.case import EXACT_SHARE, Case, Wall
from controlsde.diagnosis.entries import Diagnosis, Remedy, rounded_up
from controlsde.diagnosis.of_sight import hurried, unseen
from controlsde.diagnosis.of_solvers import smaller_bound
from controlsde.verification.certificate import LIMITS

UNRESOLVED = frozenset({"negative_mass", "resolution", "refined_l2_change", "refinement", "characteristics_l2_change"})
PARTICLES = frozenset({"monte_carlo_z", "monte_carlo_modes"})
PILED = 1.5  # density at a wall, over the reference's largest
SWEPT = 0.02  # share of the box through which a drift carries mass from a wall
MOST_PARTICLE_STEPS = 1_000_000
MOST_NOISE = 1e6


def _unresolved(case: Case) -> bool:
    return bool(case.failed & UNRESOLVED)


def wall(case: Case) -> Diagnosis | None:
    """Without noise, a drift through a closed wall piles mass up there, or leaves a void that ends in a jump."""
    problem = case.problem
    if problem.noise != 0 or problem.network.tangential or not case.solved or not _unresolved(case):
        return None
    piled = [one for one in case.walls if one.outward > 0 and not one.density <= PILED * one.reference]
    if piled:
        worst = max(piled, key=lambda one: one.density)
        seen = (
            f"without noise the drift carries mass into the wall at {_face(worst)}, at a speed of up to "
            f"{worst.outward:.2g}, where it piles up: the density there reaches {worst.density:.3g}, the reference "
            f"{worst.reference:.3g} at most"
        )
        return Diagnosis("wall", seen, Remedy("network.tangential", True))
    swept = [one for one in case.walls if one.swept > SWEPT]
    if swept:
        worst = max(swept, key=lambda one: one.swept)
        seen = (
            f"without noise the drift carries mass away from the wall at {_face(worst)}, through {worst.swept:.0%} of "
            "the box, and nothing comes after it: the density ends in a jump"
        )
        return Diagnosis("wall", seen, Remedy("network.tangential", True))
    return None


def _face(one: Wall) -> str:
    return f"{'xyz'[one.axis]} = {one.place:g}"


def target(case: Case) -> Diagnosis | None:
    """A target that the mesh, or even the grid of the final distances, does not hold."""
    c = case.certificate
    if c is None or not case.failed & {"target_mass", "target_change"}:
        return None
    if "target_change" not in case.failed:
        seen = f"the grid of the final distances misses {c.target_mass:.1%} of the target's mass: it is too narrow"
        return Diagnosis("target", f"{seen}; only broader data or a smaller box help")
    seen = f"the mesh of {_counts(case.elements)} elements holds the target to {c.target_change:.1%} only"
    found = case.trials.target_elements
    if found is None:
        return Diagnosis("target", f"{seen}, and no usual one does better; only broader data or a smaller box help")
    return Diagnosis("target", seen, Remedy("mesh.elements", found))


def mesh(case: Case) -> Diagnosis | None:
    """A given mesh on which the solver saw another density than there is."""
    found = case.trials.elements
    if not _unresolved(case) or case.problem.mesh.elements == "auto" or found is None:
        return None
    seen = f"{_counts(case.elements)} elements are too few: {_symptoms(case)}; on {_counts(found)} it does not"
    return Diagnosis("mesh", seen, Remedy("mesh.elements", found))


def steps(case: Case) -> Diagnosis | None:
    """Given time steps with which the solver saw another density than there is."""
    found = case.trials.steps
    if not _unresolved(case) or case.problem.mesh.steps_per_piece == "auto" or found is None:
        return None
    seen = (
        f"{case.steps} time step{'s' * (case.steps != 1)} a piece are too few: {_symptoms(case)}; with "
        f"{found} it does not"
    )
    return Diagnosis("steps", seen, Remedy("mesh.steps_per_piece", found))


def coarse(case: Case) -> Diagnosis | None:
    """A given mesh or steps where neither alone explains what was seen."""
    given = case.problem.mesh
    if not _unresolved(case) or mesh(case) or steps(case):
        return None
    if given.elements == "auto" and given.steps_per_piece == "auto":
        return None
    in_space = given.steps_per_piece == "auto" or case.trials.by_elements <= case.trials.by_steps
    key = "mesh.elements" if in_space and given.elements != "auto" else "mesh.steps_per_piece"
    seen = f"{_counts(case.elements)} elements with {case.steps} steps a piece do not hold the density: "
    return Diagnosis("mesh" if key == "mesh.elements" else "steps", seen + _symptoms(case), Remedy(key, "auto"))


def too_coarse_for_any(case: Case) -> Diagnosis | None:
    """A mesh on which not even the reference's own drift tracks: what a network reaches there says little."""
    exact, given = case.trials.exact_error, case.problem.mesh
    if not case.poor or exact is None or case.error is None or exact <= EXACT_SHARE * case.error:
        return None
    seen = (
        f"the error at T is {case.error:.0%} of ‖p(T)‖, but even the exact drift has {exact:.0%} on "
        f"{_counts(case.elements)} elements"
    )
    more = tuple(2 * count for count in case.elements) if given.elements == "auto" else "auto"
    return Diagnosis("mesh", seen, Remedy("mesh.elements", more))


def sharp(case: Case) -> Diagnosis | None:
    """A density that is sharper than the finest mesh, whatever was refined."""
    given = case.problem.mesh
    if not _unresolved(case) or given.elements != "auto" or given.steps_per_piece != "auto":
        return None
    if unseen(case) or hurried(case):  # which explain it
        return None
    if not case.solved:
        more = min(MOST_NOISE, rounded_up(max(1.0, 1.5 * case.problem.noise)))
        seen = f"the drift makes the density sharper than the finest mesh holds: {_symptoms(case)}"
        return Diagnosis("sharp", seen, Remedy("noise", more))
    seen = (
        f"the controls, up to {case.largest_weight:.3g} large, make the density sharper than the finest mesh holds: "
        f"{_symptoms(case)}"
    )
    return Diagnosis("sharp", seen, Remedy("controls.bounds", smaller_bound(case)))


def particles(case: Case) -> Diagnosis | None:
    """Particles alone that disagree: their time steps, as long as the density is resolved."""
    c = case.certificate
    if c is None or c.monte_carlo is None or not case.failed or not case.failed <= PARTICLES:
        return None
    options, evidence = case.problem.monte_carlo, c.monte_carlo
    # the bias is of first order in the step; z_modes goes with its square
    modes = np.sqrt(max(evidence.z_modes, 0.0) / LIMITS["monte_carlo_modes"])
    worst = max(abs(evidence.z) / LIMITS["monte_carlo_z"], float(modes))
    factor = 4 if not np.isfinite(worst) else max(4, int(np.ceil(2 * worst)))
    seen = (
        f"the density is resolved, but particles with {options.steps_per_piece} steps a piece are {evidence.z:.1f} "
        f"standard errors off along its error, and {evidence.z_modes:.1f} over all modes: the bias of their steps"
    )
    if options.steps_per_piece >= MOST_PARTICLE_STEPS:
        return Diagnosis("particles", seen)
    more = min(MOST_PARTICLE_STEPS, factor * options.steps_per_piece)
    return Diagnosis("particles", seen, Remedy("monte_carlo.steps_per_piece", more))


def mass(case: Case) -> Diagnosis | None:
    """Mass that is lost between closed walls, and nothing else wrong: that is a fault of this program."""
    if case.certificate is None or case.failed != {"mass_error"}:
        return None
    seen = f"the mass changes by {case.certificate.mass_error:.1e} between closed walls, and nothing else is wrong"
    return Diagnosis("mass", f"{seen}: please report it")


def _counts(elements: tuple[int, ...]) -> str:
    return " × ".join(map(str, elements))


def _symptoms(case: Case) -> str:
    """What the certificate saw of a density that is not resolved, worst first."""
    c = case.certificate
    if c is None:
        return ""
    if not np.isfinite(c.refinement):
        return "on finer meshes it grows beyond what a computer holds"
    if not np.isfinite(c.refined_l2_change):
        return "on this mesh it grows beyond what a computer holds"
    seen = {
        "refined_l2_change": f"the density moves by {c.refined_l2_change:.2g} of ‖p(T)‖ under refinement",
        "refinement": f"even the two finest meshes differ by {c.refinement:.2g}",
        "characteristics_l2_change": f"characteristics differ by {_share(c.characteristics_l2_change)}",
        "resolution": f"its top modes hold a share of {c.resolution:.2g}",
        "negative_mass": f"it holds a negative mass of {c.negative_mass:.2g}",
        "monte_carlo_z": f"particles are {abs(c.monte_carlo.z):.0f} standard errors off" if c.monte_carlo else "",
    }
    return ", ".join(text for name, text in seen.items() if name in case.failed)


def _share(value: float | None) -> str:
    return f"{value:.2g}" if value is not None and np.isfinite(value) else "all there is"

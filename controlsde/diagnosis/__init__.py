"""What went wrong, most likely first, with one thing to try for each: a pure function of what is known of an answer.

Comes in: a `Case`: the problem, how its solver ended, the controls, the certificate, and what was tried to tell
causes apart. Goes out: `Diagnosis` entries; none for an answer that converged, is verified, tracks, and is not known to
be beaten.
"""

from __future__ import annotations

from collections.abc import Callable

from controlsde.diagnosis import of_controls, of_meshes, of_sight, of_solvers
from controlsde.diagnosis.case import Case, Trials, Wall
from controlsde.diagnosis.entries import Diagnosis, Remedy

__all__ = ["Case", "Diagnosis", "Remedy", "Trials", "Wall", "diagnose"]

Cause = Callable[[Case], Diagnosis | None]

# What explains other symptoms goes before them: a density that blew up or piles up at a wall fails every check, a
# solver that did not end leaves controls that no mesh was made for, above all at a kink, which no other remedy moves,
# and only a sound optimum can be out of reach.
CAUSES: tuple[Cause, ...] = (
    of_solvers.non_finite,
    of_solvers.kink,
    of_meshes.wall,
    of_controls.limit,
    of_solvers.set_aside,
    of_solvers.false_inertia,
    of_solvers.descending,
    of_sight.narrow,
    of_sight.unseen,
    of_sight.hurried,
    of_meshes.target,
    of_meshes.mesh,
    of_meshes.steps,
    of_meshes.coarse,
    of_meshes.too_coarse_for_any,
    of_controls.bounds,
    of_controls.saturated,
    of_solvers.disagrees,
    of_solvers.state_equation,
    of_solvers.no_descent,
    of_solvers.loose,
    of_solvers.stalled,
    of_solvers.unknown,
    of_meshes.sharp,
    of_controls.fitted,
    of_controls.beaten,
    of_controls.unlucky,
    of_controls.unreachable,
    of_meshes.particles,
    of_meshes.mass,
)


def diagnose(case: Case) -> tuple[Diagnosis, ...]:
    """Every cause that the evidence speaks for, most likely first."""
    causes = CAUSES if case.in_trouble else (of_controls.beaten,)  # a sound answer has no other fault
    return tuple(found for cause in causes if (found := cause(case)) is not None)

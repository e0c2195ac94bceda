"""Causes that lie in what no mesh, grid or moment saw: narrow parts of densities, drifts that change in between."""

from __future__ import annotations

import numpy as np

from controlsde.diagnosis.case import Case
from controlsde.diagnosis.entries import Diagnosis, Remedy
from controlsde.diagnosis.of_solvers import smaller_bound
from controlsde.verification.between_nodes import Unseen
from controlsde.verification.certificate import LIMITS
from controlsde.verification.grid import FINE_CELLS

SOLVERS_MESH = frozenset({"refined_l2_change"})
REFINED = frozenset({"refinement", "resolution", "negative_mass", "characteristics_l2_change", "mass_error"})
NARROW = frozenset({"target_norm", "final_norm", "start_norm", "start_change", "density_unseen"})
CELLS_ACROSS = 1.5  # of the final grid, that a standard deviation needs to be seen


def narrow(case: Case) -> Diagnosis | None:
    """A part of a density so narrow that the grid of the final distances, or the mesh at the start, does not see it."""
    c = case.certificate
    failed = case.failed & NARROW
    if case.failed & REFINED:  # the norm of a density that no mesh holds says nothing of the grid
        failed = failed - {"final_norm"}
    if c is None or not failed:
        return None
    if failed == {"start_change"}:
        seen = (
            f"the finest mesh holds the density at t = 0 to {c.start_change:.1%} only, and without noise what is lost "
            "there stays lost: use broader parts, or some noise"
        )
        return Diagnosis("narrow", seen)
    if not failed & {"target_norm", "final_norm", "start_norm"}:
        seen = (
            f"between the samples of a formula density up to {_share(c.density_unseen)} of its norm may hide, by "
            "interval arithmetic: write it so that it is bounded, or use a density of another kind"
        )
        return Diagnosis("narrow", seen)
    if not failed & {"target_norm", "start_norm"}:
        seen = (
            "the density at T is so narrow that the grid of the final distances does not see its norm, by "
            f"{_share(c.final_norm)} of ‖p(T)‖: use a smaller domain.box, or controls that do not press it together"
        )
        return Diagnosis("narrow", seen)
    end = "T" if "target_norm" in failed else "0"
    missed = c.target_norm if end == "T" else c.start_norm
    least = max((high - low) / FINE_CELLS[len(case.problem.domain.box)] for low, high in case.problem.domain.box)
    seen = (
        f"the density at t = {end} has parts that are too narrow for its grid: {_share(missed)} of its norm is not "
        f"seen, as of all that is narrower than {CELLS_ACROSS * least:.2g}: broaden it, leave it out, or use a smaller "
        "domain.box"
    )
    return Diagnosis("narrow", seen)


def unseen(case: Case) -> Diagnosis | None:
    """A drift, or a forward drift, that does something between the nodes or moments that no evaluation saw."""
    if case.forward_unseen is not None and "forward_unseen" in case.failed:
        seen = (
            f"near {case.forward_unseen.where} the forward drift does between two nodes what the reference's mesh did"
            f" not see, and may move the density {_effect(case.forward_unseen)}: make that change wider"
        )
        return Diagnosis("unseen", seen)
    found = case.unseen
    if found is None or "drift_unseen" not in case.failed:
        return None
    place, effect = found.where, _effect(found)
    if found.brief:
        seen = (
            f"at t = {found.time:.6g} the drift changes within less than a time step, and may move the density "
            f"{effect}: smooth it in time, or let a piece begin and end there (controls.lengths)"
        )
        return Diagnosis("unseen", seen)
    seen = f"near {place} the drift does between two nodes what no mesh saw, and may move the density {effect}"
    if case.solved:
        return Diagnosis("unseen", seen, Remedy("controls.bounds", smaller_bound(case)))
    return Diagnosis("unseen", f"{seen}: smooth it there, or make the change wider")


def _effect(found: Unseen) -> str:
    return "by itself or more" if found.change > 1.0 else f"by {found.change:.2g} of itself"


def hurried(case: Case) -> Diagnosis | None:
    """A given drift that changes faster in time than the shortest time steps follow."""
    if "diffusivity_unseen" in case.failed:
        seen = "the schedule changes within less than the shortest time steps, and moves or spreads the density unseen"
        return Diagnosis("unseen", f"{seen}: smooth it, or use more controls.pieces")
    if _left_behind(case):
        change = _share(case.certificate.refined_l2_change if case.certificate else None)
        seen = (
            f"only the verification's short steps follow the drift or the schedule, {case.steps} a piece do not: the "
            f"density moves by {change} of ‖p(T)‖"
        )
        return Diagnosis("unseen", seen, Remedy("mesh.steps_per_piece", 4 * case.steps))
    if case.solved or not case.time_error > LIMITS["refinement"] or "refinement" not in case.failed:
        return None
    seen = (
        f"the drift changes faster in time than the shortest steps follow: with half of them the density moves by "
        f"{_share(case.time_error)} of ‖p(T)‖: smooth it in time, or use more and shorter controls.pieces"
    )
    return Diagnosis("unseen", seen)


def _left_behind(case: Case) -> bool:
    """Whether a drift that varies in time is resolved by the verification, and not by the steps that `auto` reaches."""
    drift, mesh = case.problem.drift, case.problem.mesh
    if drift is None or mesh.elements != "auto" or mesh.steps_per_piece != "auto":
        return False
    varies = drift.kind == "exact" or any(formula.uses("t") for formula in drift.compiled())
    return varies and bool(case.failed & SOLVERS_MESH) and not case.failed & REFINED


def _share(value: float | None) -> str:
    return f"{value:.2g}" if value is not None and np.isfinite(value) else "any share"

"""Tables of the commands that ask what can be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from controlsde.cli.tables import empty
from controlsde.report.words import digits, with_error

if TYPE_CHECKING:
    from rich.table import Table

    from controlsde.workflow.bounding import Bounds
    from controlsde.workflow.feedback import Feedback
    from controlsde.workflow.linearising import Controllability
    from controlsde.workflow.reaching import Reach

ROUNDED_GAP = 1e-6  # of a bound, below which it is the least energy to all digits shown
UNDERSHOOT = 1e-3  # of a density's peak: more is said
FEEDBACK_NAMES = {"riccati": "Riccati", "replan": "re-planned"}


def bounds_table(bounds: Bounds) -> Table:
    """The least energies of any drift."""
    table = empty("noise", "within ε", "least energy", "on a finer mesh", "gap at most")
    for one in bounds.bounds:
        gap = "none" if one.gap <= ROUNDED_GAP * one.value else f"{one.gap:.1g}"
        table.add_row(f"{one.noise:g}", f"{one.within:g}", digits(one.value, 6), digits(one.refined, 6), gap)
    return table


def reach_table(found: Sequence[Reach]) -> Table:
    """Everything that was tried, a row each."""
    table = empty("noise", "pieces", "width", "horizon", "asked", "error", "energy", "least of any drift", "price", "")
    for one in found:
        for row in one.tried:
            energy = row.result.energy if row.result else None
            reached = "reached" if row is one.answer and one.verdict == "reached" else ""
            verified = bool(row.result and row.result.verified)
            table.add_row(
                f"{one.noise:g}",
                f"{row.problem.controls.pieces}",
                f"{row.problem.network.width}",
                f"{row.problem.reference.horizon:.4g}",
                f"{row.within:.4g}",
                digits(row.error(one.norm)),
                digits(row.energy),
                digits(energy.bound if energy else None),
                digits(energy.price if energy else None, 3),
                reached if verified else "not verified",
            )
    return table


def controllability_table(found: Controllability) -> Table:
    """Singular values and ranks, what errors do, and where a neuron would help."""
    from controlsde.workflow.linearising import TOLERANCES, WITHIN

    table = empty("", "value")
    values = found.singular_values
    table.add_row("metric", "energy ∫∫|δv|²ρ dx dt" if found.metric == "energy" else "effort ∑Δt|δθ|²")
    if len(values):
        table.add_row("singular values, largest … least", f"{digits(values[0])} … {values[-1]:.1e}")
    for name in TOLERANCES:
        of = f" of {len(values)}" if name == TOLERANCES[0] else ""
        table.add_row(f"directions within {name} of the largest", f"{found.rank(float(name))}{of}")
        if float(name) == WITHIN:
            table.add_row("  that the mesh resolves", f"{found.resolved}")
    share = found.trace_share
    if share is not None and found.any_drift is not None:
        error = found.trace_share_se or 0.0
        table.add_row("share of any drift's trace, on this mesh", with_error(share, error))
        table.add_row("  largest singular value of any drift", digits(float(found.any_drift.singular_values[0])))
    table.add_row(
        f"share of ‖ρ(T) − p(T)‖² along those within {WITHIN:.0e}".replace("e-02", "e-2"), digits(found.residual_share)
    )
    table.add_row(f"  the least {found.metric} that makes this part", digits(found.residual_energy))
    errors = found.errors
    table.add_row(f"‖δρ(T)‖ of {100 * errors.share:g} % errors of weights, predicted", digits(errors.predicted))
    table.add_row(f"  measured, {errors.samples} times", with_error(errors.measured, errors.measured_se))
    for label, gain in (
        ("a shifted", found.gains.shift),
        ("a scaled", found.gains.scale),
        ("the worst", found.gains.worst),
    ):
        table.add_row(f"gain ‖δρ(T)‖/‖δρ(0)‖ of {label} start", digits(gain))
    _add_insertion(table, found)
    return table


def feedback_table(found: Sequence[Feedback]) -> Table:
    """Errors from a wrong start, a row for each course: one nominal and one open loop a result."""
    table = empty("noise", "", "at t = 0", "largest", "at T", "on its mesh", "J")
    told: set[tuple[int, str]] = set()
    for one in found:
        courses = {"right start": one.nominal, "open loop": one.open_loop, FEEDBACK_NAMES[one.by]: one.closed_loop}
        for name, course in courses.items():
            if (id(one.result), name) in told:
                continue
            told.add((id(one.result), name))
            numbers = (course.l2[0], course.l2.max(), course.l2_final, course.discrete, course.objective)
            table.add_row(f"{one.noise:g}", name, *(f"{value:.3g}" for value in numbers))
    return table


def _add_insertion(table: Table, found: Controllability) -> None:
    """The neuron that would lower J fastest."""
    best = found.insertion
    piece, candidate = best.best
    speed, fastest = float(best.speeds[piece, candidate]), float(best.any_drift[piece])
    direction = ", ".join(f"{value:.3g}" for value in best.W[candidate])
    when = f"{best.edges[piece]:.3g} ≤ t < {best.edges[piece + 1]:.3g}"
    table.add_row("one more neuron lowers J fastest in", when)
    table.add_row(
        "  with W, b", f"{direction if len(best.W[candidate]) == 1 else f'({direction})'}, {best.b[candidate]:.3g}"
    )
    of = f", {100 * speed / fastest:.0f} % of any drift's" if fastest > 0.0 else ""
    table.add_row("  −dJ/d√energy", f"{digits(speed)}{of}")

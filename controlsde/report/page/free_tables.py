"""The tables of a page in free space: distances beside nulls and one Gaussian, likelihoods, the fit, other particles.

Comes in: a `FreeSubject`. Goes out: `Table`s; a number has the same digits here as in the terminal. Over several seeds
a number is their mean ± their standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from controlsde.report.free_scene import distances_of
from controlsde.report.page.subject import FreeSubject, Shown
from controlsde.report.page.tables import OBJECTIVE_DIGITS, Cell, Table, row_of
from controlsde.report.page.verdict import outcome, sound
from controlsde.report.words import digits, free_title, with_error
from controlsde.result.free_result import FreeResult
from controlsde.workflow.free_comparison import Spread, numbers_of

SUMMARY = {
    "mollified": "mollified distance squared",
    "log_likelihood": "log-likelihood, nats",
    "kl": "KL(p‖ρ), nats",
    "relative_loss": "√ of the relative loss",
    "energy": "energy",
}


def summary(subject: FreeSubject) -> Table:
    """One row a result: the verdict first, so that it stays in sight."""
    rows = []
    for one in subject.shown:
        told = outcome(*one.of_seeds)
        cells = [Cell(f"{one.label}: {told}", alarm=not sound(one))]
        rows.append((*cells, *row_of(*(_told(one, name) for name in SUMMARY))))
    note = _seeds(subject)
    return Table("verdict and main numbers of each result", ("", *SUMMARY.values()), tuple(rows), note, of_results=True)


def _seeds(subject: FreeSubject) -> str:
    count = max(len(one.of_seeds) for one in subject.shown)
    return f"Mean ± standard deviation over {count} seeds of search and particles." if count > 1 else ""


def _told(one: Shown[FreeResult], name: str) -> str:
    """A number over the seeds; one that only bounds says so."""
    likelihood = one.result.tracking.log_likelihood
    bound = likelihood is not None and likelihood.kind == "bound"
    sign = {"log_likelihood": "≥ ", "bits": "≤ ", "kl": "≤ ", "path_kl": "≤ "}.get(name, "") if bound else ""
    found = [numbers_of(result) for result in one.of_seeds]
    spread = Spread(tuple(numbers[name] for numbers in found if name in numbers))
    if not spread.values:
        return "—"
    deviation = spread.deviation if len(spread.values) > 1 else _error(one.result, name)
    return f"{sign}{with_error(spread.mean, deviation)}"


def _error(result: FreeResult, name: str) -> float:
    """The standard error of one result's number; nan where it has none."""
    likelihood, loss = result.tracking.log_likelihood, result.tracking.score_loss
    errors: dict[str, float | None] = {"energy": result.energy_se}
    if likelihood is not None:
        errors |= {"log_likelihood": likelihood.se, "kl": likelihood.kl_se, "path_kl": likelihood.path_kl_se}
    if loss is not None:
        errors["score_loss"] = loss.se
    found = errors.get(name)
    return math.nan if found is None else found


def distances(subject: FreeSubject) -> Table:
    """A row for each distance: of every result, of draws of p, of the Gaussian; p-values where there is one result."""
    single = not subject.several and not subject.shown[0].others
    head = ("", *(one.label for one in subject.shown), *(("p-value",) * single), "draws of p", "one Gaussian")
    rows = []
    names = {free_title(name): name for level in subject.levels for one in level for name in one.tracking.distances}
    for one in distances_of(subject.levels):
        cells = [_told(shown, names[one.title]) for shown in subject.shown]
        if single:
            cells.append(f"{subject.results[0].tracking.distances[names[one.title]].p:.2g}")
        rows.append(row_of(one.title, *cells, with_error(one.null_mean, one.null_sd), digits(one.gaussian)))
    return Table("distances of the particles from p at T", head, tuple(rows), _seeds(subject))


def likelihoods(subject: FreeSubject) -> Table | None:
    """Log-likelihood, bits and KL of every result, of p and of the Gaussian; None where nothing was measured."""
    first = next((one.tracking.log_likelihood for one in subject.results if one.tracking.log_likelihood), None)
    if first is None:
        return None
    where = f"{first.points} held-out rows" if first.held_out else f"{first.points} draws of p"
    rows = [
        _of_all(subject, f"log-likelihood of {where}, nats", "log_likelihood", first.reference, first.gaussian),
        _of_all(subject, "bits a dimension, in the data's units", "bits", first.bits_reference, first.bits_gaussian),
        _of_all(subject, "KL(p‖ρ), nats", "kl", 0.0, None),
    ]
    if any(result.tracking.log_likelihood and result.noise > 0 for result in subject.results):
        rows.append(_of_all(subject, "the same by paths", "path_kl", 0.0, None))
    head = ("", *(one.label for one in subject.shown), "p itself", "one Gaussian")
    return Table("likelihoods, and divergences from p", head, tuple(rows), _seeds(subject))


def _of_all(subject: FreeSubject, title: str, name: str, reference: float, gaussian: float | None) -> tuple[Cell, ...]:
    told = [_told(one, name) for one in subject.shown]
    return row_of(title, *told, digits(reference), "" if gaussian is None else digits(gaussian))


def fits(subject: FreeSubject) -> Table:
    """The score-matching loss at fresh points and at those of the fit, the energy, and the objective."""
    rows = [
        _each(subject, "score-matching loss, fresh points", lambda one: _told(one, "score_loss")),
        _each(subject, "the same at the points of the fit", _training),
        _each(subject, "√ of its share of v*", lambda one: _told(one, "relative_loss")),
        _each(subject, "energy", lambda one: _told(one, "energy")),
        _each(subject, "objective", lambda one: digits(one.result.objective, OBJECTIVE_DIGITS)),
    ]
    kept = tuple(row for row in rows if any(cell.text not in ("—", "not finite") for cell in row[1:]))
    return Table("the fit and its energy", ("", *(one.label for one in subject.shown)), kept, _seeds(subject))


def _each(subject: FreeSubject, title: str, told: Callable[[Shown[FreeResult]], str]) -> tuple[Cell, ...]:
    return row_of(title, *(told(one) for one in subject.shown))


def _training(one: Shown[FreeResult]) -> str:
    loss = one.result.tracking.score_loss
    return "—" if loss is None else digits(loss.training)


def simulated(subject: FreeSubject) -> Table | None:
    """What other particles measured beside the result's; None without a simulation."""
    simulation = subject.simulation
    if simulation is None:
        return None
    known = simulation.result.tracking.distances
    rows = [
        row_of(
            free_title(name),
            digits(test.value),
            with_error(test.null_mean, test.null_deviation),
            digits(known[name].value) if name in known else "—",
        )
        for name, test in simulation.tests.items()
    ]
    rows.append(row_of("one law with the result's: p-value", f"{simulation.agreement.p:.2g}", "", ""))
    head = ("", f"{simulation.particles:,} other particles", "draws of p", "the result's")
    return Table("what other particles measured", head, tuple(rows))

"""The tables of a page: plain text in rows, the first cell of each a heading that stays in sight.

Comes in: a `Subject`. Goes out: `Table`s; a number has the same digits here as in the terminal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controlsde.registry import DISTANCES
from controlsde.report.page.certificate_words import PLAIN, Plain, closeness
from controlsde.report.page.subject import About, FreeSubject, Subject
from controlsde.report.page.verdict import outcome, sound
from controlsde.report.words import L2_ERRORS, MEANINGS, beside, bounds, digits, with_error
from controlsde.result.answer import Answer
from controlsde.result.result import Result
from controlsde.verification.certificate import Check
from controlsde.verification.energy import Energy

OBJECTIVE_DIGITS = 6  # of J, wherever it is told
UNKNOWN = Plain("What does this check ask?", "It is not described in this version.", "It did not pass.")


@dataclass(frozen=True)
class Cell:
    """Text; alarm: set in the colour of a warning; share: of a limit or of the darkest shade, for a bar or a shade."""

    text: str
    alarm: bool = False
    strong: bool = False
    share: float | None = None


@dataclass(frozen=True)
class Table:
    """A caption for those who do not see the heading above, column headings, and rows whose first cell is a heading."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    kind: str = ""  # shades: cells as dark as their share; prose: text that goes on in the next line
    of_results: bool = False  # a row each, which a reader may sort


@dataclass(frozen=True)
class CheckRow:
    """One check of the certificate over all results: name, plain words, the limit, and for each result what came out.

    value: of each result, None where the check does not apply. failed: where any did not pass.
    """

    name: str
    meaning: str
    plain: Plain
    limit: str
    values: tuple[tuple[str, str, bool, float] | None, ...]  # value, how close, passed, share of the limit

    @property
    def failed(self) -> bool:
        """Whether any result failed it."""
        return any(value is not None and not value[2] for value in self.values)


def row_of(*words: str) -> tuple[Cell, ...]:
    return tuple(Cell(word) for word in words)


def summary(subject: Subject) -> Table:
    """One row a result: the verdict first, so that it stays in sight."""
    head = ("", "L² error at T", "particles", "W₂ at T", "L² error, root mean square", "objective J")
    rows = []
    for one in subject.shown:
        result = one.result
        rows.append(
            (
                Cell(f"{one.label}: {outcome(result)}", alarm=not sound(one)),
                *row_of(
                    digits(result.tracking.l2_final),
                    particles(result),
                    digits(result.tracking.w2_final),
                    digits(result.tracking.l2_rms),
                    digits(result.objective, OBJECTIVE_DIGITS),
                ),
            )
        )
    return Table("verdict and main numbers of each result", head, tuple(rows), of_results=True)


def particles(result: Result) -> str:
    """The particles' final error and its standard error."""
    evidence = result.certificate.monte_carlo
    return "—" if evidence is None else with_error(evidence.l2_final, evidence.l2_final_se)


def distances(subject: Subject) -> Table:
    """All distances, verified beside what the solver's own mesh saw."""
    head = [""]
    for one in subject.shown:
        head += [f"{one.label}, verification" if subject.several else "verification", "solver's mesh"]
    found = [(one.result.tracking.to_json(), one.result.discrete.l2_json()) for one in subject.shown]
    names = dict(L2_ERRORS)
    for result in subject.results:
        names |= {f"{name}_final": DISTANCES[name].title for name in result.tracking.final if name in DISTANCES}
    rows = []
    for key, label in names.items():
        if all(verified.get(key) is None for verified, _ in found):
            continue
        cells = [Cell(label)]
        for verified, discrete in found:
            cells += row_of(digits(verified.get(key)), digits(discrete[key]) if key in discrete else "")
        rows.append(tuple(cells))
        if key == "w2_final" and any(result.transport for result in subject.results):
            rows.append(_lower_bounds(subject))
    cells = [Cell("L² error at T, particles")]
    for one in subject.shown:
        cells += row_of(particles(one.result), "")
    rows.append(tuple(cells))
    if any(result.problem.domain.walls == "absorbing" for result in subject.results):
        from controlsde.verification.absorption import mass_taken

        taken = [Cell("mass that the walls took")]
        for result in subject.results:
            taken += row_of(digits(mass_taken(result.fields)), "")
        rows.append(tuple(taken))
    return Table("distances between the controlled density and the reference", tuple(head), tuple(rows))


def _lower_bounds(subject: Subject) -> tuple[Cell, ...]:
    cells = [Cell("certified lower bound of W₂")]
    for result in subject.results:
        transport = result.transport
        stuck = "" if transport is None or transport.converged else ", W₂ NOT CONVERGED"
        cells += [
            Cell("—" if transport is None else f"{transport.lower_bound:.4g}{stuck}", alarm=bool(stuck)),
            Cell(""),
        ]
    return tuple(cells)


def cross(subject: About[Answer]) -> Table | None:
    """The error at T of the controls of a row, run at the noise of a column; None where nothing was applied."""
    if subject.cross is None or not subject.several:
        return None
    values = np.asarray(subject.cross, dtype=float)
    good = values[np.isfinite(values) & (values > 0)]
    low, high = (np.log(good.min()), np.log(good.max())) if len(good) else (0.0, 1.0)
    rows = []
    for place, (one, row) in enumerate(zip(subject.shown, values, strict=True)):
        cells = [Cell(f"controls of {one.label}")]
        for column, value in enumerate(row):
            known = math.isfinite(value)
            share = (math.log(value) - low) / (high - low or 1.0) if known and value > 0 else None
            cells.append(Cell(f"{value:.4g}" if known else "—", strong=place == column, share=share))
        rows.append(tuple(cells))
    head = ("", *(f"run at {one.label}" for one in subject.shown))
    note = "Bold: at the noise for which they were found. The stronger the shade, the larger, by the logarithm."
    error = "L² error"
    if isinstance(subject, FreeSubject):
        error = "mollified distance squared"
        note = f"Mollified distances squared at T. {note}"
    return Table(f"{error} at T of every control under every noise", head, tuple(rows), note, kind="shades")


def checks(subject: About[Answer]) -> list[CheckRow]:
    """Every check of the certificate, those that failed first."""
    named = [{check.name: check for check in result.judged.checks} for result in subject.results]
    names = list(dict.fromkeys(name for checks in named for name in checks))
    order = {name: place for place, name in enumerate(PLAIN)}
    rows = []
    for name in sorted(names, key=lambda each: order.get(each, len(order))):
        found = [checks.get(name) for checks in named]
        values = tuple(
            None
            if check is None
            else (
                beside(check)[0],
                closeness(check.value, check.limit),
                check.passed,
                _used(check),
            )
            for check in found
        )
        limits = list(dict.fromkeys(beside(check)[1] for check in found if check))
        rows.append(CheckRow(name, MEANINGS.get(name, ""), PLAIN.get(name, UNKNOWN), " or ".join(limits), values))
    return sorted(rows, key=lambda row: not row.failed)


def _used(check: Check) -> float:
    """The share of a limit that was used; all of it where a value is no number, or none is allowed and there is one."""
    if check.limit > 0 and check.value == check.value:
        return min(max(check.value / check.limit, 0.0), 1.0)
    return 0.0 if check.passed else 1.0


def promises(subject: Subject) -> Table | None:
    """What the theory promises of each drift, beside what was measured; None in results of older versions."""
    rows, notes = [], []
    for one in subject.shown:
        promised = one.result.promises
        if promised is None:
            continue
        l2, kl = bounds(promised)
        rows.append(row_of(one.label, digits(promised.loss), l2, digits(promised.l2), kl, digits(promised.kl)))
        if promised.note:
            notes.append(f"{one.label}: {promised.note}")
    head = ("", "score-matching loss", "L² promised", "measured", "KL(p‖ρ) promised", "measured")
    caption = "what the theory promises, and what was measured"
    table = Table(caption, head, tuple(rows), "; ".join(notes), of_results=True)
    return table if rows else None


def energies(subject: Subject) -> Table | None:
    """What each drift spent, and the least that any drift needs to come as near; None in results of older versions."""
    rows, notes = [], []
    weighted = any(one.energy and one.energy.weighted != one.energy.value for one in subject.results)
    for one in subject.shown:
        energy = one.result.energy
        if energy is None:
            continue
        price = "—" if energy.price is None else f"{digits(energy.price, 3)} ×"
        clock = (digits(energy.weighted),) if weighted else ()
        rows.append(
            row_of(one.label, digits(energy.value), _energy_of_particles(energy), *clock, digits(energy.bound), price)
        )
        if energy.note:
            notes.append(f"{one.label}: {energy.note}")
    head = (
        "",
        "energy ∫∫|v|²ρ",
        "particles",
        *(("in the clock of the noise, ∫∫(D̄/D)|v|²ρ",) * weighted),
        "no drift less than",
        "price of narrowness",
    )
    caption = "energy, its bound and the price of narrowness"
    table = Table(caption, head, tuple(rows), "; ".join(notes), of_results=True)
    return table if rows else None


def _energy_of_particles(energy: Energy) -> str:
    if energy.particles is None or energy.particles_se is None:
        return "—"
    return with_error(energy.particles, energy.particles_se)


def simulated(subject: Subject) -> Table | None:
    """What the particles of a simulation measured beside what is expected; None without a simulation."""
    simulation = subject.simulation
    if simulation is None:
        return None
    evidence = simulation.measured.evidence
    distance = simulation.density_l2
    rows = [
        row_of("L² error at T", with_error(evidence.l2_final, evidence.l2_final_se), f"{simulation.expected_l2:.4g}"),
        row_of("  owed to the steps", with_error(evidence.step_bias, evidence.step_bias_se), "0"),
        row_of("distance to the verified ρ", with_error(distance.value, distance.standard_error), "0"),
        row_of("  z along its error", f"{evidence.z:.2f}", "0 ± 1"),
        row_of("  z of all modes", f"{evidence.z_modes:.2f}", "0 ± 1"),
    ]
    if simulation.result.problem.domain.walls == "absorbing":
        killed = with_error(simulation.killed.value, simulation.killed.standard_error)
        rows.append(row_of("killed mass", killed, f"{simulation.expected_killed:.4g}"))
    for label, tests in (("W₁", simulation.w1), ("sliced W₂", simulation.sliced_w2)):
        for name, test in tests.items():
            to = "verified ρ" if name == "density" else "target p"
            null = with_error(test.null_mean, test.null_deviation)
            rows.append(row_of(f"{label} to {to}", f"{test.value:.4g}", f"null {null}"))
    return Table("what the particles measured", ("", "particles", "expected"), tuple(rows))

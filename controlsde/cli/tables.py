"""The tables that a person sees on stderr: text on the left, numbers on the right, no more digits than they are worth.

Comes in: results, comparisons, simulations, predictions, rows of claims. Goes out: tables of rich.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from rich import box
from rich.table import Table
from rich.text import Text

from controlsde.registry import DISTANCES
from controlsde.report.words import (
    L2_ERRORS,
    MEANINGS,
    beside,
    bounds,
    digits,
    figure,
    with_error,
)

if TYPE_CHECKING:
    from controlsde.claims import Row, Tested
    from controlsde.result.answer import Answer
    from controlsde.result.result import Result
    from controlsde.verification.energy import Energy
    from controlsde.verification.promises import Promises
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.prediction import Prediction
    from controlsde.workflow.simulation import Simulation


def empty(*columns: str) -> Table:
    """A table without vertical lines: text on the left, numbers on the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", overflow="fold")
    return table


def errors_table(result: Result) -> Table:
    """What was verified beside what the solver's own mesh saw."""
    table = empty("", "verified", "solver's mesh")
    tracking, discrete = result.tracking.to_json(), result.discrete.l2_json()
    titles = {f"{name}_final": DISTANCES[name].title for name in result.tracking.final if name in DISTANCES}
    for key, label in {**L2_ERRORS, **titles}.items():
        value = tracking[key]
        if value is not None:
            table.add_row(label, digits(value), digits(discrete[key]) if key in discrete else "")
        if key == "w2_final" and result.transport:
            stuck = "" if result.transport.converged else ", W₂ NOT CONVERGED"
            table.add_row("  certified lower bound", f"{result.transport.lower_bound:.4g}{stuck}", "")
    table.add_row("L² error at T, particles", _particles(result), "")
    _add_energy(table, result)
    if result.problem.domain.walls == "absorbing":
        from controlsde.verification.absorption import mass_taken

        table.add_row("mass that the walls took", f"{mass_taken(result.fields):.4g}", "")
    table.add_row("objective", "", digits(result.objective, 6))
    return table


def _add_energy(table: Table, result: Result) -> None:
    """What the drift spent, and with noise the least that any drift needs to come as near."""
    energy = result.energy
    if energy is None:
        return
    table.add_row("energy ∫∫|v|²ρ", digits(energy.value), "")
    if energy.particles is not None:
        table.add_row("energy, particles", _energy_of_particles(energy), "")
    if energy.weighted != energy.value:
        table.add_row("  in the clock of the noise, ∫∫(D̄/D)|v|²ρ", digits(energy.weighted), "")
    if energy.bound is not None:
        table.add_row("  no drift needs less than", digits(energy.bound), "")
    if energy.price is not None:
        table.add_row("  price of narrowness", f"{digits(energy.price)} ×", "")


def promises_table(promised: Promises) -> Table:
    """The score-matching loss, and the errors at T that it bounds."""
    table = empty("", "promised", "measured")
    l2, kl = bounds(promised)
    table.add_row("score-matching loss ∫∫|v − v*|²p", "", digits(promised.loss))
    table.add_row("L² error at T", l2, digits(promised.l2))
    table.add_row("KL(p‖ρ) at T, by the paths", kl, digits(promised.kl))
    return table


def compared_promises_table(results: Sequence[Result]) -> Table:
    """The same, one row a noise level."""
    table = empty("noise", "loss", "L² promised", "measured", "KL promised", "measured")
    for result in results:
        if result.promises:
            one = result.promises
            l2, kl = bounds(one)
            table.add_row(f"{result.noise:g}", digits(one.loss), l2, digits(one.l2), kl, digits(one.kl))
    return table


def compared_energies_table(results: Sequence[Result]) -> Table:
    """What each answer spent, one row a noise level."""
    table = empty("noise", "energy ∫∫|v|²ρ", "particles", "no drift less than", "price")
    for result in results:
        energy = result.energy
        if energy is None:
            continue
        price = "—" if energy.price is None else f"{digits(energy.price, 3)} ×"
        particles = _energy_of_particles(energy)
        table.add_row(f"{result.noise:g}", digits(energy.value), particles, digits(energy.bound), price)
    return table


def _energy_of_particles(energy: Energy) -> str:
    if energy.particles is None or energy.particles_se is None:
        return "—"
    return with_error(energy.particles, energy.particles_se)


def simulation_table(simulation: Simulation) -> Table:
    """What the particles measured beside what is expected."""
    table = empty("", "particles", "expected")
    evidence = simulation.measured.evidence
    closed = simulation.result.problem.domain.walls != "absorbing"
    table.add_row("L² error at T", with_error(evidence.l2_final, evidence.l2_final_se), f"{simulation.expected_l2:.4g}")
    table.add_row("  owed to the steps", with_error(evidence.step_bias, evidence.step_bias_se), "0")
    distance = simulation.density_l2
    table.add_row("distance to the verified ρ", with_error(distance.value, distance.standard_error), "0")
    table.add_row("  z along its error", f"{evidence.z:.2f}", "0 ± 1")
    table.add_row("  z of all modes", f"{evidence.z_modes:.2f}", "0 ± 1")
    if not closed:
        killed = with_error(simulation.killed.value, simulation.killed.standard_error)
        table.add_row("killed mass", killed, f"{simulation.expected_killed:.4g}")
    if simulation.moments:
        found, (mean, covariance) = simulation.moments, simulation.expected_moments
        for axis in range(len(found.mean)):
            name = "xyz"[axis]
            table.add_row(
                f"mean of {name}", with_error(found.mean[axis], found.mean_standard_error[axis]), digits(mean[axis])
            )
            spread = found.covariance_standard_error[axis, axis]
            variance = with_error(found.covariance[axis, axis], spread)
            table.add_row(f"variance of {name}", variance, digits(covariance[axis, axis]))
    for label, tests in (("W₁", simulation.w1), ("sliced W₂", simulation.sliced_w2)):
        for name, test in tests.items():
            to = "verified ρ" if name == "density" else "target p"
            null = with_error(test.null_mean, test.null_deviation)
            table.add_row(f"{label} to {to}", f"{test.value:.4g}", f"null {null}")
    return table


def rows_table(rows: Sequence[Row]) -> Table:
    """The rows of a claim."""
    table = empty("", "expected", "measured", "tolerance", "")
    for row in rows:
        relation = "" if row.relation == "=" else f"{row.relation} "
        expected = "" if row.expected is None else f"{relation}{row.expected:.5g}"
        tolerance = "" if row.tolerance is None else f"{row.tolerance:.1e}"
        outcome = {True: Text("passed", "green"), False: Text("MISSED", "bold red"), None: Text("")}[row.passed]
        measured = "—" if math.isnan(row.measured) else f"{row.measured:.5g}"
        table.add_row(row.parameter, expected, measured, tolerance, outcome)
    return table


def _particles(result: Result) -> str:
    """The particles' final error and its standard error."""
    evidence = result.certificate.monte_carlo
    return "—" if evidence is None else with_error(evidence.l2_final, evidence.l2_final_se)


def verdicts_table(tested: Sequence[Tested]) -> Table:
    """One row a claim."""
    table = empty("claim", "rows", "verdict", "seconds")
    for one in tested:
        verdict = Text(one.verdict, "green" if one.as_expected else "bold red")
        table.add_row(one.claim.id, str(len(one.findings.rows)), verdict, f"{one.seconds:.1f}")
    return table


def certificate_table(result: Answer) -> Table:
    """Every check with its limit."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in ("check", "value", "limit", "", "of"):
        justify: Literal["left", "right"] = "right" if name in ("value", "limit") else "left"
        table.add_column(name, justify=justify, no_wrap=name != "of", overflow="fold")
    for one in result.judged.checks:
        outcome = Text("passed", "green") if one.passed else Text("FAILED", "bold red")
        table.add_row(one.name, *beside(one), outcome, MEANINGS.get(one.name, ""))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """One row a noise level."""
    table = empty("noise", "L² at T", "particles", "W₂ at T", "L² rms", "objective", "outcome")
    for result in comparison.results:
        wasserstein = result.tracking.w2_final
        table.add_row(
            f"{result.noise:g}",
            digits(result.tracking.l2_final),
            _particles(result),
            digits(wasserstein),
            digits(result.tracking.l2_rms),
            digits(result.objective),
            outcome_of([result]),
        )
    return table


class Ended(Protocol):
    """A solve that has ended, or the row of one."""

    @property
    def status(self) -> str:
        """How the solver ended."""

    @property
    def verified(self) -> bool:
        """Whether the answer passed."""


def outcome_of(results: Sequence[Ended]) -> Text:
    """The worst that can be said about results of one noise level, in two words at most."""
    if any(result.status == "interrupted" for result in results):
        return Text("interrupted", "bold red")
    if not all(result.verified for result in results):
        return Text("NOT VERIFIED", "bold red")
    if any(result.status == "not-converged" for result in results):
        return Text("not converged", "red")
    return Text("verified", "green")


def cross_table(comparison: Comparison) -> Table:
    """The controls of a row, run at the noise of a column."""
    table = empty("controls of", *(f"at {level:g}" for level in comparison.noise))
    for level, row in zip(comparison.noise, comparison.cross, strict=True):
        table.add_row(f"noise {level:g}", *(f"{value:.4g}" if math.isfinite(value) else "—" for value in row))
    return table


def prediction_table(prediction: Prediction) -> Table:
    """What `check` predicts."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    rows = {
        "reference": prediction.reference,
        "elements": " × ".join(map(str, prediction.elements)) or "—",
        "unknowns of a density": f"{prediction.unknowns:,}",
        "unknowns at all stages": f"{prediction.stage_values:,}",
        "weights": f"{prediction.weights:,}",
        "variables of collocation": f"{prediction.collocation_variables:,}",
        "non-zeros of its Jacobian, Hessian": f"{prediction.jacobian_nonzeros:,}, {prediction.hessian_nonzeros:,}",
        "entries of its factors, roughly": f"{prediction.factor_entries:.2g}",
        "memory of collocation": bytes_in_words(prediction.collocation_memory_bytes),
        "time of collocation, roughly": duration(prediction.collocation_seconds),
        "an iteration of shooting, roughly": duration(prediction.shooting_iteration_seconds),
        "time of shooting, roughly": duration(prediction.shooting_seconds),
        **({"time of the fits, roughly": duration(prediction.fit_seconds)} if prediction.fit_seconds else {}),
        "memory of a solve": bytes_in_words(prediction.solver_memory_bytes),
        "particle steps": f"{prediction.particle_steps:.2g}",
        "top-mode share of the reference": figure(prediction.resolution),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def duration(seconds: float) -> str:
    """A duration in the unit that suits it."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 2 else f"{1000 * seconds:.0f} ms"


def bytes_in_words(count: int) -> str:
    """So many bytes, in the unit that suits them."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{max(count / 2**20, 1):,.0f} MiB"

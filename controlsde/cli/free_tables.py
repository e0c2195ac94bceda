"""The tables of free space: distances beside their nulls and one Gaussian, likelihoods, noise levels over seeds.

Comes in: results, comparisons and simulations of particles, predictions. Goes out: tables of rich.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from controlsde.cli.tables import bytes_in_words, duration, empty, outcome_of
from controlsde.report.words import digits, free_title, with_error

if TYPE_CHECKING:
    from controlsde.result.free_result import FreeResult
    from controlsde.workflow.free_comparison import FreeComparison, Spread
    from controlsde.workflow.free_prediction import FreePrediction
    from controlsde.workflow.free_simulation import FreeSimulation

COLUMNS = {  # of a comparison, in this order, in few letters
    "mollified": "mollified",
    "energy_distance": "energy",
    "sliced_w2": "sliced W₂",
    "bures_w2": "moments W₂",
    "marginal_w1": "marginal W₁",
}


ACROSS = 3  # of these beside each other


def distances_table(result: FreeResult) -> Table:
    """Every distance of ρ(T) from p(T), beside draws from p(T) itself and the Gaussian of its moments."""
    table = empty("distance at T", "ρ from p", "draws of p from p", "p-value", "one Gaussian from p")
    for name, one in result.tracking.distances.items():
        null = with_error(one.null_mean, one.null_sd)
        table.add_row(free_title(name), digits(one.value), null, f"{one.p:.2g}", digits(one.baseline))
    return table


def likelihood_table(result: FreeResult) -> Table:
    """What ρ(T) says of data, beside p and the Gaussian."""
    told = result.tracking.log_likelihood
    table = empty("", "ρ", "p", "one Gaussian")
    if told is None:
        return table
    where = "held-out rows" if told.held_out else "draws of p"
    bound = "at least " if told.kind == "bound" else ""
    table.add_row(
        f"log-likelihood, {told.points} {where}",
        f"{bound}{with_error(told.value, told.se)}",
        digits(told.reference),
        digits(told.gaussian),
    )
    most = "at most " if told.kind == "bound" else ""
    table.add_row(
        "bits a dimension, in the data's units",
        f"{most}{digits(told.bits)}",
        digits(told.bits_reference),
        digits(told.bits_gaussian),
    )
    table.add_row("KL(p‖ρ), nats", f"{most}{with_error(told.kl, told.kl_se)}", "0", "")
    if told.path_kl is not None and told.path_kl_se is not None:
        table.add_row(
            "  by the paths, ∫E|v − v*|²/4ηD₀ dt", f"{most}{with_error(told.path_kl, told.path_kl_se)}", "0", ""
        )
    return table


def fit_table(result: FreeResult) -> Table:
    """The score-matching loss at fresh points beside that at the points of the fit, and the energy."""
    table = empty("", "fresh points", "points of the fit")
    loss = result.tracking.score_loss
    if loss is not None:
        table.add_row("score-matching loss ∫E|v − v*|² dt", with_error(loss.fresh, loss.se), digits(loss.training))
        table.add_row("  √ of its share of ∫E|v*|² dt", digits(loss.relative), "")
    table.add_row("energy ∫E|v|² dt", with_error(result.energy, result.energy_se), "")
    if math.isfinite(result.objective):
        table.add_row("objective", "", digits(result.objective, 6))
    return table


def comparison_tables(comparison: FreeComparison) -> list[Table]:
    """One row a noise level, over the seeds; then draws of p, and the Gaussian: so many columns as 80 letters hold."""
    first = comparison.results[0].tracking.distances
    names = [name for name in COLUMNS if name in first]
    parts = [names[start : start + ACROSS] for start in range(0, len(names), ACROSS)] or [[]]
    return [_distances(comparison, part, outcome=part is parts[-1]) for part in parts]


def _distances(comparison: FreeComparison, names: list[str], *, outcome: bool) -> Table:
    first = comparison.results[0].tracking.distances
    more = ["outcome"] if outcome else []
    table = empty("noise", *(COLUMNS[name] for name in names), *more)
    for level, spread in zip(comparison.at_levels, comparison.spreads(), strict=True):
        told = [_spread(spread.get(name)) for name in names]
        table.add_row(f"{level[0].noise:g}", *told, *([outcome_of(level)] if outcome else []))
    if names:
        table.add_section()
        table.add_row("draws of p", *(with_error(first[name].null_mean, first[name].null_sd, 1) for name in names))
        table.add_row("one Gaussian", *(digits(first[name].baseline) for name in names))
    return table


def likelihoods_table(comparison: FreeComparison) -> Table:
    """One row a noise level: likelihoods and divergences; then p, and the Gaussian."""
    table = empty("noise", "log-likelihood", "bits a dimension", "KL(p‖ρ)", "by paths")
    for result, spread in zip(comparison.results, comparison.spreads(), strict=True):
        told = result.tracking.log_likelihood
        least, most = ("≥ ", "≤ ") if told is not None and told.kind == "bound" else ("", "")
        table.add_row(
            f"{result.noise:g}",
            f"{least}{_spread(spread.get('log_likelihood'))}",
            f"{most}{_spread(spread.get('bits'))}",
            f"{most}{_spread(spread.get('kl'))}",
            f"≤ {_spread(spread['path_kl'])}" if "path_kl" in spread else "—",
        )
    told = comparison.results[0].tracking.log_likelihood
    if told is not None:
        table.add_section()
        table.add_row("p itself", digits(told.reference), digits(told.bits_reference), "0", "0")
        table.add_row("one Gaussian", digits(told.gaussian), digits(told.bits_gaussian), "", "")
    return table


def fits_table(comparison: FreeComparison) -> Table:
    """One row a noise level: what the fit left of the exact drift, and what was spent."""
    table = empty("noise", "score-matching loss", "√ relative", "energy ∫E|v|² dt")
    for level, spread in zip(comparison.noise, comparison.spreads(), strict=True):
        names = ("score_loss", "relative_loss", "energy")
        table.add_row(f"{level:g}", *(_spread(spread.get(name)) for name in names))
    return table


def simulation_table(simulation: FreeSimulation) -> Table:
    """What other particles measured beside what the result says."""
    table = empty("distance at T", "these particles", "draws of p from p", "the result's")
    known = simulation.result.tracking.distances
    for name, test in simulation.tests.items():
        null = with_error(test.null_mean, test.null_deviation)
        table.add_row(free_title(name), digits(test.value), null, digits(known[name].value) if name in known else "—")
    table.add_row("one law with the result's: p-value", f"{simulation.agreement.p:.2g}", "", "")
    return table


def prediction_table(prediction: FreePrediction) -> Table:
    """What `check` predicts in free space."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    rows = {
        "data": prediction.data,
        "reference": prediction.reference,
        "dimension": str(prediction.dimension),
        **({"rows, held out": f"{prediction.rows:,}, {prediction.held_out:,}"} if prediction.rows else {}),
        **({"bandwidth": f"{prediction.bandwidth:.6g}"} if prediction.bandwidth else {}),
        "scales of the mollified norm": ", ".join(f"{scale:.3g}" for scale in prediction.scales),
        "weights": f"{prediction.weights:,}",
        "time of the solver, roughly": duration(prediction.solver_seconds),
        "memory of a solve": bytes_in_words(prediction.solver_memory_bytes),
        "particle steps": f"{prediction.particle_steps:.2g}",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def cross_table(comparison: FreeComparison) -> Table:
    """The controls of a row, run at the noise of a column."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("controls of")
    for level in comparison.noise:
        table.add_column(f"at {level:g}", justify="right")
    for level, row in zip(comparison.noise, comparison.cross, strict=True):
        table.add_row(f"noise {level:g}", *(digits(float(value), 3) if math.isfinite(value) else "—" for value in row))
    return table


def _spread(spread: Spread | None) -> str:
    if spread is None or not spread.values:
        return "—"
    return with_error(spread.mean, spread.deviation, 1)  # of a few seeds

"""The tables that a person sees on stderr: text on the left, numbers on the right, no more digits than they are worth.

Comes in: results, comparisons, simulations, predictions, rows of claims. Goes out: tables of rich.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from controlsde.registry import DISTANCES

if TYPE_CHECKING:
    from controlsde.claims import Row, Tested
    from controlsde.result.result import Result
    from controlsde.verification.certificate import Check
    from controlsde.verification.energy import Energy
    from controlsde.verification.promises import Promises
    from controlsde.workflow.bounding import Bounds
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.feedback import Feedback
    from controlsde.workflow.linearising import Controllability
    from controlsde.workflow.prediction import Prediction
    from controlsde.workflow.reaching import Reach
    from controlsde.workflow.simulation import Simulation

LARGEST_EXPONENT = 6.0  # of a bound that is written out
NOT_FINITE = "not finite"
ROUNDED_GAP = 1e-6  # of a bound, below which it is the least energy to all digits shown
UNDERSHOOT = 1e-3  # of a density's peak: more is said
FEEDBACK_NAMES = {"riccati": "Riccati", "replan": "re-planned"}
FEW = 4  # starts: fewer have no quarter

L2_ERRORS = {
    "l2_initial": "L² error at t = 0",
    "l2_sup": "L² error, largest",
    "l2_rms": "L² error, root mean square",
    "l2_final": "L² error at T",
}

MEANINGS = {
    "mass_error": "closed walls keep the mass",
    "negative_mass": "∫ρ⁻ at T",
    "resolution": "share of the top mode of ρ",
    "refined_l2_change": "solver's ρ on a finer mesh",
    "refinement": "the two finest meshes",
    "target_mass": "p(T) on the finest grid",
    "target_change": "p(T) on the solver's mesh",
    "target_norm": "norm of p(T) that it sees",
    "final_norm": "norm of ρ(T) on that grid",
    "start_norm": "norm of p(0) that it sees",
    "start_change": "ρ(0) on the finer mesh",
    "density_unseen": "hidden in a formula density",
    "drift_unseen": "drift between the nodes",
    "forward_unseen": "forward drift between nodes",
    "diffusivity_unseen": "D between the moments",
    "characteristics_l2_change": "ρ along characteristics",
    "energy_bound_refined": "bound of the energy",
    "monte_carlo_z": "particles, standard errors",
    "monte_carlo_modes": "particles, all modes",
    "terminal_error": "‖ρ(T) − p(T)‖, as asked for",
}


def figure(value: float | None) -> str:
    """A number for people: two digits, or that there is none."""
    if value is None:
        return "—"
    return f"{value:.2g}" if math.isfinite(value) else NOT_FINITE


def beside(check: Check) -> tuple[str, str]:
    """A value and its limit, with as many digits as it takes to tell them apart."""
    for digits in range(2, 7):
        value, limit = f"{check.value:.{digits}g}", f"{check.limit:.{digits}g}"
        if value != limit:
            break
    return value if math.isfinite(check.value) else figure(check.value), limit


def spread_of(result: Result) -> list[str]:
    """How far apart the starts ended; nothing for a single one.

    The objective of the answer is the least of those that count. Lower ones were set aside, for a reason that the
    message tells.
    """
    from controlsde.solvers.outcome import reached

    found = reached(result.starts, result.objective)
    if len(result.starts) < 2 or not found.kept:
        return []
    line = f"{len(result.starts)} starts reached {_ranked(found.kept)}"
    hops = getattr(result.problem.solver, "hops", 0)
    if hops and result.status != "interrupted":
        line += f", after at most {hops} hops from the best"
    if found.lost:
        limited = result.problem.objective.terminal_error is not None
        line += f"; {found.lost} {'did not go on to the limit at T' if limited else 'broke down'}"
    if found.set_aside:
        lower, were = len(found.set_aside), "was" if len(found.set_aside) == 1 else "were"
        line += f"; {lower} with a lower objective {were} set aside"
    if found.set_aside and result.status == "converged":  # a verdict says why an answer did not converge
        return [line, result.message]
    return [line]


def _ranked(values: Sequence[float]) -> str:
    """Sorted numbers: all of a few, of more the least, and which half and which quarter of them reached."""
    count = len(values)
    if count < FEW:
        *most, last = [f"{value:.4g}" for value in values]
        return f"{', '.join(most)} and {last}" if most else last
    quarter = f", the best quarter {values[count // 4 - 1]:.4g} or less" if count >= 2 * FEW else ""
    return f"{values[0]:.4g}{quarter}, half {values[(count - 1) // 2]:.4g}"


def empty(*columns: str) -> Table:
    """A table without vertical lines: text on the left, numbers on the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left")
    return table


def errors_table(result: Result) -> Table:
    """What was verified beside what the solver's own mesh saw."""
    table = empty("", "verified", "solver's mesh")
    tracking, discrete = result.tracking.to_json(), result.discrete.l2_json()
    titles = {f"{name}_final": DISTANCES[name].title for name in result.tracking.final if name in DISTANCES}
    for key, label in {**L2_ERRORS, **titles}.items():
        value = tracking[key]
        if value is not None:
            table.add_row(label, _digits(value), _digits(discrete[key]) if key in discrete else "")
        if key == "w2_final" and result.transport:
            stuck = "" if result.transport.converged else ", W₂ NOT CONVERGED"
            table.add_row("  certified lower bound", f"{result.transport.lower_bound:.4g}{stuck}", "")
    table.add_row("L² error at T, particles", _particles(result), "")
    _add_energy(table, result)
    if result.problem.domain.walls == "absorbing":
        from controlsde.verification.absorption import mass_taken

        table.add_row("mass that the walls took", f"{mass_taken(result.fields):.4g}", "")
    table.add_row("objective", "", _digits(result.objective, 6))
    return table


def _add_energy(table: Table, result: Result) -> None:
    """What the drift spent, and with noise the least that any drift needs to come as near."""
    energy = result.energy
    if energy is None:
        return
    table.add_row("energy ∫∫|v|²ρ", _digits(energy.value), "")
    if energy.particles is not None:
        table.add_row("energy, particles", _energy_of_particles(energy), "")
    if energy.weighted != energy.value:
        table.add_row("  in the clock of the noise, ∫∫(D̄/D)|v|²ρ", _digits(energy.weighted), "")
    if energy.bound is not None:
        table.add_row("  no drift needs less than", _digits(energy.bound), "")
    if energy.price is not None:
        table.add_row("  price of narrowness", f"{_digits(energy.price)} ×", "")


def promises_table(promised: Promises) -> Table:
    """The score-matching loss, and the errors at T that it bounds."""
    table = empty("", "promised", "measured")
    l2, kl = _bounds(promised)
    table.add_row("score-matching loss ∫∫|v − v*|²p", "", _digits(promised.loss))
    table.add_row("L² error at T", l2, _digits(promised.l2))
    table.add_row("KL(p‖ρ) at T, by the paths", kl, _digits(promised.kl))
    return table


def compared_promises_table(results: Sequence[Result]) -> Table:
    """The same, one row a noise level."""
    table = empty("noise", "loss", "L² promised", "measured", "KL promised", "measured")
    for result in results:
        if result.promises:
            one = result.promises
            l2, kl = _bounds(one)
            table.add_row(f"{result.noise:g}", _digits(one.loss), l2, _digits(one.l2), kl, _digits(one.kl))
    return table


def compared_energies_table(results: Sequence[Result]) -> Table:
    """What each answer spent, one row a noise level."""
    table = empty("noise", "energy ∫∫|v|²ρ", "particles", "no drift less than", "price")
    for result in results:
        energy = result.energy
        if energy is None:
            continue
        price = "—" if energy.price is None else f"{_digits(energy.price, 3)} ×"
        particles = _energy_of_particles(energy)
        table.add_row(f"{result.noise:g}", _digits(energy.value), particles, _digits(energy.bound), price)
    return table


def _energy_of_particles(energy: Energy) -> str:
    if energy.particles is None or energy.particles_se is None:
        return "—"
    return _with_error(energy.particles, energy.particles_se)


def _bounds(promised: Promises) -> tuple[str, str]:
    """The bounds of both errors in words."""
    l2 = "no bound exists" if promised.log10_l2_bound is None else f"≤ {_power(promised.log10_l2_bound)}"
    return l2, "no bound exists" if promised.kl_bound is None else f"≤ {_digits(promised.kl_bound)}"


def _digits(value: float | None, digits: int = 4) -> str:
    """A number with its digits, or that there is none."""
    if value is None:
        return "—"
    return f"{value:.{digits}g}" if math.isfinite(value) else NOT_FINITE


def _power(logarithm: float) -> str:
    """The number of this decimal logarithm; large ones by their power of ten alone."""
    return f"{10.0**logarithm:.4g}" if logarithm < LARGEST_EXPONENT else f"10^{math.ceil(logarithm)}"


def bounds_table(bounds: Bounds) -> Table:
    """The least energies of any drift."""
    table = empty("noise", "within ε", "least energy", "on a finer mesh", "gap at most")
    for one in bounds.bounds:
        gap = "none" if one.gap <= ROUNDED_GAP * one.value else f"{one.gap:.1g}"
        table.add_row(f"{one.noise:g}", f"{one.within:g}", _digits(one.value, 6), _digits(one.refined, 6), gap)
    return table


def controllability_table(found: Controllability) -> Table:
    """Singular values and ranks, what errors do, and where a neuron would help."""
    from controlsde.workflow.linearising import TOLERANCES, WITHIN

    table = empty("", "value")
    values = found.singular_values
    table.add_row("metric", "energy ∫∫|δv|²ρ dx dt" if found.metric == "energy" else "effort ∑Δt|δθ|²")
    if len(values):
        table.add_row("singular values, largest … least", f"{_digits(values[0])} … {values[-1]:.1e}")
    for name in TOLERANCES:
        of = f" of {len(values)}" if name == TOLERANCES[0] else ""
        table.add_row(f"directions within {name} of the largest", f"{found.rank(float(name))}{of}")
        if float(name) == WITHIN:
            table.add_row("  that the mesh resolves", f"{found.resolved}")
    share = found.trace_share
    if share is not None and found.any_drift is not None:
        error = found.trace_share_se or 0.0
        table.add_row("share of any drift's trace, on this mesh", _with_error(share, error))
        table.add_row("  largest singular value of any drift", _digits(float(found.any_drift.singular_values[0])))
    table.add_row(
        f"share of ‖ρ(T) − p(T)‖² along those within {WITHIN:.0e}".replace("e-02", "e-2"), _digits(found.residual_share)
    )
    table.add_row(f"  the least {found.metric} that makes this part", _digits(found.residual_energy))
    errors = found.errors
    table.add_row(f"‖δρ(T)‖ of {100 * errors.share:g} % errors of weights, predicted", _digits(errors.predicted))
    table.add_row(f"  measured, {errors.samples} times", _with_error(errors.measured, errors.measured_se))
    for label, gain in (
        ("a shifted", found.gains.shift),
        ("a scaled", found.gains.scale),
        ("the worst", found.gains.worst),
    ):
        table.add_row(f"gain ‖δρ(T)‖/‖δρ(0)‖ of {label} start", _digits(gain))
    _add_insertion(table, found)
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
    table.add_row("  −dJ/d√energy", f"{_digits(speed)}{of}")


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
                _digits(row.error(one.norm)),
                _digits(row.energy),
                _digits(energy.bound if energy else None),
                _digits(energy.price if energy else None, 3),
                reached if verified else "not verified",
            )
    return table


def simulation_table(simulation: Simulation) -> Table:
    """What the particles measured beside what is expected."""
    table = empty("", "particles", "expected")
    evidence = simulation.measured.evidence
    closed = simulation.result.problem.domain.walls != "absorbing"
    table.add_row(
        "L² error at T", _with_error(evidence.l2_final, evidence.l2_final_se), f"{simulation.expected_l2:.4g}"
    )
    table.add_row("  owed to the steps", _with_error(evidence.step_bias, evidence.step_bias_se), "0")
    distance = simulation.density_l2
    table.add_row("distance to the verified ρ", _with_error(distance.value, distance.standard_error), "0")
    table.add_row("  z along its error", f"{evidence.z:.2f}", "0 ± 1")
    table.add_row("  z of all modes", f"{evidence.z_modes:.2f}", "0 ± 1")
    if not closed:
        killed = _with_error(simulation.killed.value, simulation.killed.standard_error)
        table.add_row("killed mass", killed, f"{simulation.expected_killed:.4g}")
    if simulation.moments:
        found, (mean, covariance) = simulation.moments, simulation.expected_moments
        for axis in range(len(found.mean)):
            name = "xyz"[axis]
            table.add_row(
                f"mean of {name}", _with_error(found.mean[axis], found.mean_standard_error[axis]), _digits(mean[axis])
            )
            spread = found.covariance_standard_error[axis, axis]
            variance = _with_error(found.covariance[axis, axis], spread)
            table.add_row(f"variance of {name}", variance, _digits(covariance[axis, axis]))
    for label, tests in (("W₁", simulation.w1), ("sliced W₂", simulation.sliced_w2)):
        for name, test in tests.items():
            to = "verified ρ" if name == "density" else "target p"
            null = _with_error(test.null_mean, test.null_deviation)
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
    return "—" if evidence is None else _with_error(evidence.l2_final, evidence.l2_final_se)


def _with_error(error: float, spread: float) -> str:
    """A number and its standard error, with as many decimals as that has digits."""
    if not (math.isfinite(error) and math.isfinite(spread) and spread > 0):
        return _digits(error)
    decimals = min(max(1 - math.floor(math.log10(spread)), 0), 9)
    return f"{error:.{decimals}f} ± {spread:.{decimals}f}"


def verdicts_table(tested: Sequence[Tested]) -> Table:
    """One row a claim."""
    table = empty("claim", "rows", "verdict", "seconds")
    for one in tested:
        verdict = Text(one.verdict, "green" if one.as_expected else "bold red")
        table.add_row(one.claim.id, str(len(one.findings.rows)), verdict, f"{one.seconds:.1f}")
    return table


def certificate_table(result: Result) -> Table:
    """Every check with its limit."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in ("check", "value", "limit", "", "of"):
        table.add_column(name, justify="right" if name in ("value", "limit") else "left")
    for one in result.certificate.checks:
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
            _digits(result.tracking.l2_final),
            _particles(result),
            _digits(wasserstein),
            _digits(result.tracking.l2_rms),
            _digits(result.objective),
            _outcome(result),
        )
    return table


def _outcome(result: Result) -> Text:
    """The worst that can be said about a result, in two words at most."""
    if result.status == "interrupted":
        return Text("interrupted", "bold red")
    if not result.verified:
        return Text("NOT VERIFIED", "bold red")
    return Text("not converged", "red") if result.status == "not-converged" else Text("verified", "green")


def cross_table(comparison: Comparison) -> Table:
    """The controls of a row, run at the noise of a column."""
    table = empty("controls of", *(f"at {level:g}" for level in comparison.noise))
    for level, row in zip(comparison.noise, comparison.cross, strict=True):
        table.add_row(f"noise {level:g}", *(f"{value:.4g}" if math.isfinite(value) else "—" for value in row))
    return table


def prediction_table(prediction: Prediction) -> Table:
    """What `check` predicts."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    rows = {
        "reference": prediction.reference,
        "elements": " × ".join(map(str, prediction.elements)) or "—",
        "unknowns of a density": f"{prediction.unknowns:,}",
        "unknowns at all stages": f"{prediction.stage_values:,}",
        "weights": f"{prediction.weights:,}",
        "variables of collocation": f"{prediction.collocation_variables:,}",
        "non-zeros of its Jacobian, Hessian": f"{prediction.jacobian_nonzeros:,}, {prediction.hessian_nonzeros:,}",
        "entries of its factors, roughly": f"{prediction.factor_entries:.2g}",
        "memory of collocation": _bytes(prediction.collocation_memory_bytes),
        "time of collocation, roughly": _duration(prediction.collocation_seconds),
        "an iteration of shooting, roughly": _duration(prediction.shooting_iteration_seconds),
        "time of shooting, roughly": _duration(prediction.shooting_seconds),
        **({"time of the fits, roughly": _duration(prediction.fit_seconds)} if prediction.fit_seconds else {}),
        "memory of a solve": _bytes(prediction.solver_memory_bytes),
        "particle steps": f"{prediction.particle_steps:.2g}",
        "top-mode share of the reference": figure(prediction.resolution),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _duration(seconds: float) -> str:
    """A duration in the unit that suits it."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 2 else f"{1000 * seconds:.0f} ms"


def _bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{max(count / 2**20, 1):,.0f} MiB"

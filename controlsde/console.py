"""What a person sees on stderr: progress, tables, messages. Obeys NO_COLOR, and stays plain without a terminal."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console as RichConsole
from rich.table import Column, Table
from rich.text import Text

from controlsde.problem.solver_specs import FITTING
from controlsde.progress import Progress, Step

if TYPE_CHECKING:
    from controlsde.claims import Row, Tested
    from controlsde.comparison import Comparison
    from controlsde.diagnosis import Diagnosis
    from controlsde.problem import Problem
    from controlsde.results import Result, Retry
    from controlsde.simulation import Simulation
    from controlsde.sizes import Prediction
    from controlsde.verification.promises import Promises

QUIET_SECONDS = 5.0  # between lines of progress where there is no terminal

LARGEST_EXPONENT = 6.0  # of a bound that is written out
DISTANCES = {
    "l2_initial": "L² error at t = 0",
    "l2_sup": "L² error, largest",
    "l2_rms": "L² error, root mean square",
    "l2_final": "L² error at T",
    "tv_final": "total variation at T",
    "kl_final": "KL(ρ‖p) at T",
    "w1_final": "Wasserstein-1 at T",
    "w2_final": "Wasserstein-2 at T",
    "h-1_final": "Ḣ⁻¹ at T",
}

MEANINGS = {
    "mass_error": "closed walls keep the mass",
    "negative_mass": "∫ρ⁻ at T",
    "resolution": "share of the top mode of ρ",
    "refined_l2_change": "solver's ρ on a finer mesh",
    "refinement": "the two finest meshes",
    "target_mass": "p(T) on the finest grid",
    "target_change": "p(T) on the solver's mesh",
    "characteristics_l2_change": "ρ along characteristics",
    "monte_carlo_z": "particles, standard errors",
    "monte_carlo_modes": "particles, all modes",
}


class Console:
    """Messages to stderr."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._rich = RichConsole(stderr=True, highlight=False)
        self._quiet = quiet
        self._verbose = verbose

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """A function to report steps to: a live line on a terminal, a line now and then elsewhere."""
        if self._quiet:
            yield lambda _: None
        elif self._verbose or not self._rich.is_terminal:
            yield self._lines(time.perf_counter())
        else:
            with self._live() as report:
                yield report

    @contextmanager
    def _live(self) -> Iterator[Progress]:
        """One line that moves and counts the seconds also while nothing is reported."""
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        with Bar(SpinnerColumn(), TimeElapsedColumn(), text, console=self._rich, transient=True) as bar:
            line = bar.add_task("starting", total=None)
            yield lambda step: bar.update(line, description=describe(step))

    def _lines(self, began: float) -> Progress:
        last_task, last_time = "", -QUIET_SECONDS

        def report(step: Step) -> None:
            nonlocal last_task, last_time
            now = time.perf_counter() - began
            if self._verbose or step.task != last_task or now - last_time >= QUIET_SECONDS:
                self._say(f"{now:6.1f} s  {describe(step)}")
                last_task, last_time = step.task, now

        return report

    def result(self, result: Result, folder: Path | None) -> None:
        """The tables of one result, and what to do if something did not work."""
        if self._quiet:
            self._verdict(result)
            return
        self._heading(f"{result.problem.name}, noise {result.noise:g}, {result.solver}")
        self._rich.print(_errors_table(result))
        if result.promises:
            self._heading("what the theory promises / what was measured")
            self._rich.print(_promises_table(result.promises))
            if result.promises.note:
                self._say(result.promises.note)
        self._heading("certificate")
        self._rich.print(_certificate_table(result))
        self._rich.print()
        self._say(_account(result))
        if result.solver in FITTING and result.status == "converged":
            self._say(result.message)
        for line in _spread(result):
            self._say(line)
        self._verdict(result)
        if folder:
            self._say(f"result and figures: {folder}")

    def comparison(self, comparison: Comparison, folder: Path) -> None:
        """The table of a comparison, with the cross-applied errors."""
        if self._quiet:
            for result in comparison.results:
                self._verdict(result)
            return
        self._heading(f"{comparison.problem.name}: with and without noise")
        self._rich.print(_comparison_table(comparison))
        self._heading("L² error at T: controls of a row, run at the noise of a column")
        self._rich.print(_cross_table(comparison))
        self._heading("what the theory promises / what was measured")
        self._rich.print(_compared_promises_table(comparison.results))
        self._rich.print()
        self._say(comparison.note)
        for result in comparison.results:
            self._verdict(result)
        self._say(f"results and figures: {folder}")

    def simulation(self, simulation: Simulation) -> None:
        """The tables of a simulation, what ended it, and whether the particles agree with the verified density."""
        where = f"{simulation.result.problem.name}, noise {simulation.result.noise:g}: "
        if not self._quiet:
            self._heading(f"{where}{simulation.particles:,} particles")
            self._rich.print(_simulation_table(simulation))
            self._rich.print()
            self._say(_pace(simulation))
        for note in simulation.measured.simulated.notes:
            self._say(f"note: {note}", "yellow")
        if simulation.stopped:
            reached = f"{simulation.particles:,} of {simulation.requested:,} particles"
            self._say(f"stopped by {simulation.stopped.replace('-', ' ')} after {reached}", "yellow")
        check, steps = simulation.checks
        distance = f"distance {_figure(check.value)}, limit {check.limit:.2g}"
        if not check.passed:
            self._say(f"{where}particles DISAGREE with the verified density: {distance}", "bold red")
        if not steps.passed:
            shift = f"they shift the L² error by {_figure(steps.value)}, limit {steps.limit:.2g}"
            self._say(f"{where}the steps are TOO LONG: {shift}; raise --steps", "bold red")
        if simulation.verified and not self._quiet:
            self._say(f"{where}particles agree with the verified density: {distance}", "green")
        if simulation.path and not self._quiet:
            self._say(f"simulation and figure: {Path(simulation.path).parent}")

    def prediction(self, problem: Problem, prediction: Prediction) -> None:
        """The table of `check`."""
        if not prediction.refused:
            self._heading(f"{problem.name}: valid")
            self._rich.print(_prediction_table(prediction))
        for warning in prediction.warnings:
            self._say(f"warning: {warning}", "yellow")

    def claim(self, tested: Tested) -> None:
        """The table of one claim, its verdict and what was found."""
        if self._quiet:
            if not tested.as_expected:
                self._say(f"{tested.claim.id}: {_outcome_of(tested)}", "bold red")
            return
        self._heading(f"{tested.claim.id} ({tested.claim.source}): {tested.claim.title}")
        self._rich.print(_rows_table(tested.findings.rows))
        self._rich.print()
        self._say(tested.findings.note)
        style = "green" if tested.as_expected else "bold red"
        self._say(f"{tested.claim.id}: {_outcome_of(tested)}, in {tested.seconds:.1f} s", style)

    def verdicts(self, tested: Sequence[Tested], folder: Path | None) -> None:
        """All verdicts, where there are several, and where the pages are."""
        if self._quiet or not tested:
            return
        if len(tested) > 1:
            self._heading("verdicts")
            table = _table("claim", "rows", "verdict", "seconds")
            for one in tested:
                verdict = Text(one.verdict, "green" if one.as_expected else "bold red")
                table.add_row(one.claim.id, str(len(one.findings.rows)), verdict, f"{one.seconds:.1f}")
            self._rich.print(table)
        if folder:
            self._say(f"pages and figures: {folder}")

    def message(self, text: str) -> None:
        """A line that is said even in quiet mode."""
        self._say(text)

    def _verdict(self, result: Result) -> None:
        """Whether to trust a result: in quiet mode only if not; what failed, why, and one thing to try."""
        where = f"{result.problem.name}, noise {result.noise:g}: "
        stopped = result.status in ("not-converged", "interrupted")
        if stopped:
            self._say(f"{where}{result.status.replace('-', ' ').upper()}", "bold red")
            self._say(f"  {result.message}")
        if not result.verified:
            self._say(f"{where}NOT VERIFIED", "bold red")
        for failed in result.certificate.failed:
            self._say(f"  {failed.name} is {_figure(failed.value)}, limit {failed.limit:.2g}")
        sound = result.verified and not stopped
        if result.verified and not self._quiet:
            self._say(f"{where}verified, {len(result.certificate.checks)} checks passed", "green")
        if not (sound and self._quiet):
            for line in explained(result.diagnosis):
                self._say(f"  {line}")
        if result.retry and not (sound and self._quiet):
            self._say(f"{where}{_retried(result.retry)}")

    def _heading(self, text: str) -> None:
        self._rich.print()
        self._say(text, "bold")

    def _say(self, text: str, style: str = "") -> None:
        """A line that the terminal may wrap, never this program: it may hold a command to paste."""
        self._rich.print(Text(text, style), soft_wrap=True)


def describe(step: Step) -> str:
    """One line for a step: the task, its iteration, the objective there, how much is done."""
    parts = [step.task]
    if step.iteration is not None:
        parts.append(f"iteration {step.iteration}")
    if step.objective is not None:
        parts.append(f"objective {step.objective:.6g}")
    if step.fraction is not None:
        parts.append(f"{100 * step.fraction:.0f} %")
    return ", ".join(parts)


def explained(diagnosis: tuple[Diagnosis, ...]) -> list[str]:
    """Every cause on a line of its own, most likely first, and the first remedy."""
    lines = [f"{entry.cause}: {entry.evidence}" for entry in diagnosis]
    remedy = next((entry.remedy for entry in diagnosis if entry.remedy), None)
    return [*lines, f"try {_pasteable(remedy.option)}"] if remedy else lines


def _retried(retry: Retry) -> str:
    """What was tried, and which answer this is."""
    option = _pasteable(retry.remedy.option)
    if retry.interrupted:
        return f"interrupted while it was solved once more with {option}; this is the first answer"
    if retry.other_status is None:
        lost = "no start could be evaluated"
        other = f"before, {lost}" if retry.kept else f"{lost} then, so this is the first answer"
        return f"solved once more with {option}; {other}"
    other = f"{retry.other_status.replace('-', ' ')}, {'' if retry.other_verified else 'not '}verified"
    error = _figure(retry.other_l2_final)
    which = "this is the new answer; the first was" if retry.kept else "this is the first answer; the new one was"
    return f"solved once more with {option}; {which} {other}, with an L² error at T of {error}"


def _pasteable(text: str) -> str:
    """The text with quotes around overrides that a shell would take for a file pattern."""
    return re.sub(r"--set ([\w.]+=\[[^]]*])", r"--set '\1'", text)


def _figure(value: float | None) -> str:
    """A number for people: two digits, or that there is none."""
    if value is None:
        return "—"
    return f"{value:.2g}" if math.isfinite(value) else "not finite"


def _table(*columns: str) -> Table:
    """A table without vertical lines: text on the left, numbers on the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left")
    return table


def _errors_table(result: Result) -> Table:
    table = _table("", "verified", "solver's mesh")
    tracking, discrete = result.tracking.to_json(), result.discrete.l2_json()
    for key, label in DISTANCES.items():
        value = tracking[key]
        if value is not None:
            table.add_row(label, f"{value:.4g}", f"{discrete[key]:.4g}" if key in discrete else "")
        if key == "w2_final" and result.transport:
            stuck = "" if result.transport.converged else ", W₂ NOT CONVERGED"
            table.add_row("  certified lower bound", f"{result.transport.lower_bound:.4g}{stuck}", "")
    table.add_row("L² error at T, particles", _particles(result), "")
    table.add_row("objective", "", f"{result.objective:.6g}")
    return table


def _promises_table(promised: Promises) -> Table:
    """The score-matching loss, and the errors at T that it bounds."""
    table = _table("", "promised", "measured")
    l2, kl = _bounds(promised)
    table.add_row("score-matching loss ∫∫|v − v*|²p", "", _digits(promised.loss))
    table.add_row("L² error at T", l2, _digits(promised.l2))
    table.add_row("KL(p‖ρ) at T, by the paths", kl, _digits(promised.kl))
    return table


def _compared_promises_table(results: Sequence[Result]) -> Table:
    table = _table("noise", "loss", "L² promised", "measured", "KL promised", "measured")
    for result in results:
        if result.promises:
            one = result.promises
            l2, kl = _bounds(one)
            table.add_row(f"{result.noise:g}", _digits(one.loss), l2, _digits(one.l2), kl, _digits(one.kl))
    return table


def _bounds(promised: Promises) -> tuple[str, str]:
    """The bounds of both errors in words."""
    l2 = "no bound exists" if promised.log10_l2_bound is None else f"≤ {_power(promised.log10_l2_bound)}"
    return l2, "no bound exists" if promised.kl_bound is None else f"≤ {_digits(promised.kl_bound)}"


def _digits(value: float | None) -> str:
    """A number with four digits, or that there is none."""
    return "—" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _power(logarithm: float) -> str:
    """The number of this decimal logarithm; large ones by their power of ten alone."""
    return f"{10.0**logarithm:.4g}" if logarithm < LARGEST_EXPONENT else f"10^{math.ceil(logarithm)}"


def _simulation_table(simulation: Simulation) -> Table:
    table = _table("", "particles", "expected")
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
        found = simulation.moments
        for axis in range(len(found.mean)):
            name = "xyz"[axis]
            table.add_row(f"mean of {name}", _with_error(found.mean[axis], found.mean_standard_error[axis]), "")
            spread = found.covariance_standard_error[axis, axis]
            table.add_row(f"variance of {name}", _with_error(found.covariance[axis, axis], spread), "")
    for label, tests in (("W₁", simulation.w1), ("sliced W₂", simulation.sliced_w2)):
        for name, test in tests.items():
            to = "verified ρ" if name == "density" else "target p"
            null = _with_error(test.null_mean, test.null_deviation)
            table.add_row(f"{label} to {to}", f"{test.value:.4g}", f"null {null}")
    return table


def _rows_table(rows: Sequence[Row]) -> Table:
    table = _table("", "expected", "measured", "tolerance", "")
    for row in rows:
        relation = "" if row.relation == "=" else f"{row.relation} "
        expected = "" if row.expected is None else f"{relation}{row.expected:.5g}"
        tolerance = "" if row.tolerance is None else f"{row.tolerance:.1e}"
        outcome = {True: Text("passed", "green"), False: Text("MISSED", "bold red"), None: Text("")}[row.passed]
        measured = "—" if math.isnan(row.measured) else f"{row.measured:.5g}"
        table.add_row(row.parameter, expected, measured, tolerance, outcome)
    return table


def _outcome_of(tested: Tested) -> str:
    """The verdict, and whether it is the one that sound software reaches."""
    return (
        tested.verdict if tested.as_expected else f"{tested.verdict.upper()}, where {tested.claim.expects} was expected"
    )


def _pace(simulation: Simulation) -> str:
    """What moved the particles, and how fast."""
    evidence, process = simulation.measured.evidence, simulation.experiment.process
    workers = f", {simulation.processes} processes" if simulation.processes > 1 else ""
    return (
        f"{process.scheme}, {process.clock.steps:,} steps, on {evidence.device} by {evidence.backend}{workers}, in "
        f"{simulation.measured.simulated.seconds:.1f} s: {simulation.particle_steps_per_second:.2g} particle steps/s"
    )


def _particles(result: Result) -> str:
    """The particles' final error and its standard error."""
    evidence = result.certificate.monte_carlo
    return "—" if evidence is None else _with_error(evidence.l2_final, evidence.l2_final_se)


def _with_error(error: float, spread: float) -> str:
    """A number and its standard error, with as many decimals as that has digits."""
    if not (math.isfinite(error) and math.isfinite(spread) and spread > 0):
        return f"{error:.4g}"
    decimals = min(max(1 - math.floor(math.log10(spread)), 0), 9)
    return f"{error:.{decimals}f} ± {spread:.{decimals}f}"


def _certificate_table(result: Result) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in ("check", "value", "limit", "", "of"):
        table.add_column(name, justify="right" if name in ("value", "limit") else "left")
    for one in result.certificate.checks:
        outcome = Text("passed", "green") if one.passed else Text("FAILED", "bold red")
        table.add_row(one.name, _figure(one.value), f"{one.limit:.2g}", outcome, MEANINGS.get(one.name, ""))
    return table


def _account(result: Result) -> str:
    """What was done and how long it took."""
    seconds = result.seconds
    verified = f"verified in {seconds['verify']:.1f} s"
    if result.status == "given":
        return f"given drift, evaluated in {seconds['solve']:.1f} s, {verified}"
    done = {"converged": "converged", "interrupted": "interrupted"}.get(result.status, "stopped")
    return f"{done} after {result.iterations} iterations, solved in {seconds['solve']:.1f} s, {verified}"


def _spread(result: Result) -> list[str]:
    """How far apart the starts ended; nothing for a single one."""
    starts = result.starts
    reached = sorted(value for value in starts if math.isfinite(value))
    if len(starts) < 2 or not reached:
        return []
    quarter, middle = reached[max(1, len(reached) // 4) - 1], reached[(len(reached) - 1) // 2]
    broken = len(starts) - len(reached)
    line = f"{len(starts)} starts reached {reached[0]:.4g}, the best quarter {quarter:.4g} or less, half {middle:.4g}"
    hops = getattr(result.problem.solver, "hops", 0)
    after = f", after {hops} hops from the best" if hops and result.status != "interrupted" else ""
    return [f"{line}{after}{f'; {broken} broke down' if broken else ''}"]


def _comparison_table(comparison: Comparison) -> Table:
    table = _table("noise", "L² at T", "particles", "W₂ at T", "L² rms", "objective", "outcome")
    for result in comparison.results:
        wasserstein = result.tracking.w2_final
        table.add_row(
            f"{result.noise:g}",
            f"{result.tracking.l2_final:.4g}",
            _particles(result),
            "—" if wasserstein is None else f"{wasserstein:.4g}",
            f"{result.tracking.l2_rms:.4g}",
            f"{result.objective:.4g}",
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


def _cross_table(comparison: Comparison) -> Table:
    table = _table("controls of", *(f"at {level:g}" for level in comparison.noise))
    for level, row in zip(comparison.noise, comparison.cross, strict=True):
        table.add_row(f"noise {level:g}", *(f"{value:.4g}" if math.isfinite(value) else "—" for value in row))
    return table


def _prediction_table(prediction: Prediction) -> Table:
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
        "top-mode share of the reference": _figure(prediction.resolution),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _duration(seconds: float) -> str:
    """In the unit that suits it."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 2 else f"{1000 * seconds:.0f} ms"


def _bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{max(count / 2**20, 1):,.0f} MiB"

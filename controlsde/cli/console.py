"""What a person sees on stderr: progress, tables, messages. Obeys NO_COLOR, and stays plain without a terminal.

All of it goes through `_say`, `_show` or `describe`, which let no character through that a terminal would obey.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from controlsde.cli import controllability_tables, plain_words, tables
from controlsde.foundation.progress import Progress, Step
from controlsde.foundation.wording import shown_lines
from controlsde.registry import SOLVERS
from controlsde.report import words

if TYPE_CHECKING:
    from controlsde.claims import Tested
    from controlsde.diagnosis import Diagnosis
    from controlsde.problem import Problem
    from controlsde.result.answer import Answer
    from controlsde.result.free_result import FreeResult
    from controlsde.result.result import Result
    from controlsde.result.retry import Retry
    from controlsde.sweeps.sweep import Sweep
    from controlsde.workflow.bounding import Bounds
    from controlsde.workflow.comparison import Comparison
    from controlsde.workflow.expectation import Expected
    from controlsde.workflow.feedback import Feedback
    from controlsde.workflow.free_comparison import FreeComparison
    from controlsde.workflow.free_prediction import FreePrediction
    from controlsde.workflow.free_simulation import FreeSimulation
    from controlsde.workflow.linearising import Controllability
    from controlsde.workflow.prediction import Prediction
    from controlsde.workflow.reaching import Reach
    from controlsde.workflow.simulation import Simulation

QUIET_SECONDS = 5.0  # between lines of progress where there is no terminal, also while nothing is reported
MOST_FAILED = 10  # runs of a sweep whose reasons are told
COMMAND = re.compile(r"--\w|^ *try ")
LOADING = "loading the libraries"


class _Shown:
    """A table as it is, but for characters in its cells that a terminal would obey."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._table, options):
            yield segment if segment.control else Segment(shown_lines(segment.text), segment.style)


CLOCK = "∫∫(D̄/D(t))|v|²ρ dx dt, D̄ the mean of D(t)"


class Console:
    """Messages to stderr."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._rich = RichConsole(stderr=True, highlight=False)
        self._quiet = quiet
        self._verbose = verbose
        self._began = time.perf_counter()

    @contextmanager
    def progress(self, first: str = "starting") -> Iterator[Progress]:
        """A function to report steps to: a live line on a terminal, a line now and then elsewhere.

        first: what runs until something is reported.
        """
        if self._quiet:
            yield lambda _: None
        elif self._verbose or not self._rich.is_terminal:
            with self._lines(first) as report:
                yield report
        else:
            with self._live(first) as report:
                yield report

    @contextmanager
    def _live(self, first: str) -> Iterator[Progress]:
        """One line that moves and counts the seconds also while nothing is reported."""
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
        with Bar(SpinnerColumn(), TimeElapsedColumn(), text, console=self._rich, transient=True) as bar:
            line = bar.add_task(first, total=None)
            yield lambda step: bar.update(line, description=describe(step))

    @contextmanager
    def _lines(self, first: str) -> Iterator[Progress]:
        """A line for every new task, and every `QUIET_SECONDS` what still runs; for every step where that is wanted."""
        now, said = Step(first), time.perf_counter()
        task, lock, ended = "", threading.Lock(), threading.Event()

        def tell() -> None:
            nonlocal task, said
            task, said = now.task, time.perf_counter()
            self._say(f"{said - self._began:6.1f} s  {describe(now)}")

        def report(step: Step) -> None:
            nonlocal now
            with lock:
                now = step
                if self._verbose or step.task != task or time.perf_counter() - said >= QUIET_SECONDS:
                    tell()

        def beat() -> None:
            while not ended.wait(max(said + QUIET_SECONDS - time.perf_counter(), 0.1)):
                with lock:
                    if time.perf_counter() - said >= QUIET_SECONDS:
                        tell()

        heart = threading.Thread(target=beat, daemon=True)
        heart.start()
        try:
            yield report
        finally:
            ended.set()
            heart.join()

    def result(self, result: Result | FreeResult, folder: Path | None) -> None:
        """The tables of one result, and what to do if something did not work."""
        if self._quiet:
            self._verdict(result)
            return
        if result.problem.domain.free:
            self._free_result(cast("FreeResult", result), folder)
            return
        result = cast("Result", result)
        self._heading(f"{result.problem.name}, noise {result.noise:g}, {result.solver}")
        self._show(tables.errors_table(result))
        self._absorption(result)
        if result.promises:
            self._heading("what the theory promises / what was measured")
            self._show(tables.promises_table(result.promises))
            if result.promises.note:
                self._say(result.promises.note)
        self._heading("certificate")
        self._show(tables.certificate_table(result))
        self._rich.print()
        self._say(_account(result))
        if result.solver in SOLVERS and not SOLVERS[result.solver].minimises_objective and result.status == "converged":
            self._say(result.message)
        for line in words.spread_of(result):
            self._say(line)
        self._verdict(result)
        if folder:
            self._say(f"result and figures: {folder}")

    def _free_result(self, result: FreeResult, folder: Path | None) -> None:
        """The same of particles."""
        from controlsde.cli import free_tables

        self._heading(f"{result.problem.name}, noise {result.noise:g}, {result.solver}")
        self._show(free_tables.distances_table(result))
        if result.tracking.log_likelihood is not None:
            self._heading("likelihood")
            self._show(free_tables.likelihood_table(result))
        self._heading("fit")
        self._show(free_tables.fit_table(result))
        self._heading("certificate")
        self._show(tables.certificate_table(result))
        self._rich.print()
        self._say(_account(result))
        if result.status == "converged":
            self._say(result.message)
        self._verdict(result)
        if folder:
            self._say(f"result and figures: {folder}")

    def free_comparison(self, comparison: FreeComparison, folder: Path) -> None:
        """The tables of a comparison of particles, with the cross-applied distances."""
        from controlsde.cli import free_tables

        every = [result for level in comparison.at_levels for result in level]
        if self._quiet:
            for result in every:
                self._verdict(result)
            return
        seeds = len(comparison.at_levels[0])
        over = f", {seeds} seeds of search and particles, mean ± standard deviation" if seeds > 1 else ""
        self._heading(f"{comparison.problem.name}: with and without noise{over}")
        for table in free_tables.comparison_tables(comparison):
            self._show(table)
        self._heading("likelihoods, and divergences from p in nats")
        self._show(free_tables.likelihoods_table(comparison))
        self._heading("fits")
        self._show(free_tables.fits_table(comparison))
        self._heading("mollified distance at T: controls of a row, run at the noise of a column")
        self._show(free_tables.cross_table(comparison))
        self._rich.print()
        self._say(comparison.note)
        for result in every:
            self._verdict(result)
        self._say(f"results and figures: {folder}")

    def sweep(self, found: Sweep) -> None:
        """The table of a sweep, what failed, and what varies significantly."""
        from controlsde.cli import sweep_tables

        ended = len(found.rows) - len(found.missing)
        counts = f"{ended:,} of {len(found.rows):,} runs have ended"
        if found.failed:
            counts += f", {len(found.failed):,} of them without an answer"
        if not self._quiet:
            self._heading(f"{', '.join(one.name for one in found.plan.sources)}: {', '.join(found.plan.keys)}")
            self._show(sweep_tables.sweep_table(found))
            self._rich.print()
            for run, row in found.failed[:MOST_FAILED]:
                self._say(f"failed: {run.label}: {row.error}", "bold red")
            if len(found.failed) > MOST_FAILED:
                self._say(f"… and {len(found.failed) - MOST_FAILED:,} more; see sweep.csv")
            self._say(found.note)
        self._say(counts, "green" if ended == len(found.rows) and not found.failed else "yellow")
        if found.missing and not self._quiet:
            self._say("the same command goes on with what is missing")
        if not self._quiet:
            self._say(f"runs, sweep.csv, sweep.nc and the page sweep.html: {found.folder}")

    def free_simulation(self, simulation: FreeSimulation) -> None:
        """The table of other particles, and whether they agree with those of the result."""
        from controlsde.cli import free_tables

        where = f"{simulation.result.problem.name}, noise {simulation.result.noise:g}: "
        if not self._quiet:
            self._heading(f"{where}{simulation.particles:,} particles")
            self._show(free_tables.simulation_table(simulation))
            self._rich.print()
            process = simulation.experiment.process()
            moved = f"on {simulation.cloud.device} by {simulation.cloud.backend}, in {simulation.seconds:.1f} s"
            self._say(f"{process.scheme}, {process.clock.steps:,} steps, {moved}")
        chance = f"p-value {simulation.agreement.p:.2g}"
        if not simulation.verified:
            self._say(f"{where}particles DISAGREE with those of the result: {chance}", "bold red")
        elif not self._quiet:
            self._say(f"{where}particles agree with those of the result: {chance}", "green")
        if simulation.path and not self._quiet:
            self._say(f"simulation and figure: {Path(simulation.path).parent}")

    def free_prediction(self, problem: Problem, prediction: FreePrediction, expected: Expected) -> None:
        """What `check` predicts in free space."""
        from controlsde.cli import free_tables

        if not prediction.refused:
            self._heading(f"{problem.name}: valid")
            self._say(
                " ".join([plain_words.of_problem(problem), plain_words.of_running(problem, prediction, expected)])
            )
            self._rich.print()
            self._show(free_tables.prediction_table(prediction))
        for warning in prediction.warnings:
            self._say(f"warning: {warning}", "yellow")

    def _absorption(self, result: Result, of: str = "") -> None:
        """What is compared where the walls absorb."""
        if result.problem.domain.walls == "absorbing":
            from controlsde.verification.absorption import sentence

            self._say(of + sentence(result.fields, result.problem.domain.box))

    def comparison(self, comparison: Comparison, folder: Path) -> None:
        """The table of a comparison, with the cross-applied errors."""
        if self._quiet:
            for result in comparison.results:
                self._verdict(result)
            return
        self._heading(f"{comparison.problem.name}: with and without noise")
        self._show(tables.comparison_table(comparison))
        self._heading("L² error at T: controls of a row, run at the noise of a column")
        self._show(tables.cross_table(comparison))
        self._heading("what it cost, and the least that any drift needs to come as near")
        self._show(tables.compared_energies_table(comparison.results))
        if any(one.energy and one.energy.weighted != one.energy.value for one in comparison.results):
            self._say(f"bounds and prices are of the energy in the clock of the noise, {CLOCK}")
        self._heading("what the theory promises / what was measured")
        self._show(tables.compared_promises_table(comparison.results))
        self._rich.print()
        for result in comparison.results:
            self._absorption(result, f"noise {result.noise:g}: ")
        self._say(comparison.note)
        for result in comparison.results:
            self._verdict(result)
        self._say(f"results and figures: {folder}")

    def marks(self, tables: Sequence[Table], lines: Sequence[str]) -> None:
        """What was handed in: a table for each lesson, and a line for each answer that is not right."""
        for table in tables:
            self._rich.print()
            self._show(table)
        self._rich.print()
        for line in lines:
            self._say(line)

    def bounds(self, bounds: Bounds, folder: Path | None) -> None:
        """The table of the least energies."""
        if self._quiet:
            return
        self._heading(f"{bounds.problem.name}: no drift whatsoever arrives with less energy ∫∫|v|²ρ dx dt")
        self._show(controllability_tables.bounds_table(bounds))
        self._rich.print()
        if any(one.noise > 0 for one in bounds.bounds) and not bounds.steady:
            self._say(f"with noise, which varies in time, the bounds are of {CLOCK}")
        if folder:
            self._say(f"figure: {folder}")

    def controllability(self, found: Controllability, folder: Path | None) -> None:
        """The table of what weights can change, and what it is worth."""
        if self._quiet:
            return
        where = f"{found.problem.name}, noise {found.noise:g}"
        self._heading(f"{where}: what these weights can change of ρ(T), to first order about them")
        self._show(controllability_tables.controllability_table(found))
        self._rich.print()
        if found.any_drift is not None and found.undershoot > controllability_tables.UNDERSHOOT:
            self._say(
                f"warning: the density at T undershoots zero by {words.figure(found.undershoot)} of its peak: what "
                "any drift could do is not resolved on this mesh",
                "yellow",
            )
        if folder:
            self._say(f"figures: {folder}")

    def feedback(self, found: Sequence[Feedback], folder: Path | None) -> None:
        """The table of a wrong start, and what of it is not as the verification finds it."""
        if not self._quiet:
            self._heading(f"{found[0].result.problem.name}, started from {found[0].start}: L² error")
            self._show(controllability_tables.feedback_table(found))
            self._rich.print()
        for one in found:
            if one.price is not None and not self._quiet:
                self._say(f"noise {one.noise:g}: the linear law asks {one.price:g} for |δθ|², in a unit of time")
            for name, course in one.courses.items():
                if not course.verified:
                    where = f"noise {one.noise:g}, {name.replace('_', ' ')}{f' by {one.by}' * (name == 'closed_loop')}"
                    moved = f"ρ(T) moves by {course.change:.2g} of ‖p(T)‖ from the loop's mesh to a finer one"
                    self._say(f"{where}: NOT VERIFIED, {moved} (still by {course.refinement:.1g} at last)", "bold red")
        if folder and not self._quiet:
            self._say(f"figure: {folder}")

    def reach(self, found: Sequence[Reach], folder: Path | None) -> None:
        """The table of what was tried, and the verdicts."""
        first = found[0]
        if not self._quiet:
            self._heading(f"{first.problem.name}: the least {first.least} to come within {first.within:g}")
            if any(one.tried for one in found):
                self._show(controllability_tables.reach_table(found))
                self._rich.print()
        for one in found:
            least = "" if one.bound is None else f"; no drift needs less energy than {words.figure(one.bound)}"
            style = {"reached": "green", "not found": "yellow", "impossible": "red"}[one.verdict]
            self._say(f"noise {one.noise:g}: {one.words}{least if one.verdict != 'impossible' else ''}", style)
        if folder and not self._quiet:
            self._say(f"results and figure: {folder}")

    def simulation(self, simulation: Simulation) -> None:
        """The tables of a simulation, what ended it, and whether the particles agree with the verified density."""
        where = f"{simulation.result.problem.name}, noise {simulation.result.noise:g}: "
        if not self._quiet:
            self._heading(f"{where}{simulation.particles:,} particles")
            self._show(tables.simulation_table(simulation))
            self._rich.print()
            self._say(_pace(simulation))
        for note in simulation.measured.simulated.notes:
            self._say(f"note: {note}", "yellow")
        if simulation.stopped:
            reached = f"{simulation.particles:,} of {simulation.requested:,} particles"
            self._say(f"stopped by {simulation.stopped.replace('-', ' ')} after {reached}", "yellow")
        check, steps = simulation.checks
        distance = f"distance {words.figure(check.value)}, limit {check.limit:.2g}"
        if not check.passed:
            self._say(f"{where}particles DISAGREE with the verified density: {distance}", "bold red")
        if not steps.passed:
            shift = f"they shift the L² error by {words.figure(steps.value)}, limit {steps.limit:.2g}"
            self._say(f"{where}the steps are TOO LONG: {shift}; raise --steps", "bold red")
        if simulation.verified and not self._quiet:
            self._say(f"{where}particles agree with the verified density: {distance}", "green")
        if simulation.path and not self._quiet:
            self._say(f"simulation and figure: {Path(simulation.path).parent}")

    def prediction(self, problem: Problem, prediction: Prediction, expected: Expected) -> None:
        """What `check` predicts: in sentences, then in numbers."""
        if not prediction.refused:
            self._heading(f"{problem.name}: valid")
            sentences = plain_words.of_problem(problem), plain_words.of_running(problem, prediction, expected)
            self._say(" ".join([*sentences, plain_words.of_warnings(prediction)]))
            self._rich.print()
            self._show(tables.prediction_table(prediction))
        for warning in prediction.warnings:
            self._say(f"warning: {warning}", "yellow")

    def claim(self, tested: Tested) -> None:
        """The table of one claim, its verdict and what was found."""
        if self._quiet:
            if not tested.as_expected:
                self._say(f"{tested.claim.id}: {_outcome_of(tested)}", "bold red")
            return
        self._heading(f"{tested.claim.id} ({tested.claim.source}): {tested.claim.title}")
        self._show(tables.rows_table(tested.findings.rows))
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
            self._show(tables.verdicts_table(tested))
        if folder:
            self._say(f"pages and figures: {folder}")

    def report(self, page: Path | None) -> None:
        """Where the page is that shows it all."""
        if page is not None and not self._quiet:
            self._say(f"report: {page}")

    def note(self, text: str) -> None:
        """A line that quiet mode leaves out."""
        if not self._quiet:
            self._say(text)

    def message(self, text: str) -> None:
        """A line that is said even in quiet mode."""
        self._say(text)

    def _verdict(self, result: Result | FreeResult) -> None:
        """Whether to trust a result: in quiet mode only if not; what failed, why, and one thing to try."""
        where = f"{result.problem.name}, noise {result.noise:g}: "
        stopped = result.status in ("not-converged", "interrupted")
        if stopped:
            self._say(f"{where}{result.status.replace('-', ' ').upper()}", "bold red")
            self._say(f"  {result.message}")
        if not result.verified:
            self._say(f"{where}NOT VERIFIED", "bold red")
        for failed in result.judged.failed:
            value, limit = words.beside(failed)
            self._say(f"  {failed.name} is {value}, limit {limit}")
        sound = result.verified and not stopped
        if result.verified and not self._quiet:
            self._say(f"{where}verified, {len(result.judged.checks)} checks passed", "green")
        if not (sound and self._quiet):
            for line in explained(result.diagnosis):
                self._say(f"  {line}")
        if result.retry and not (sound and self._quiet):
            self._say(f"{where}{_retried(result.retry)}")

    def _heading(self, text: str) -> None:
        self._rich.print()
        self._say(text, "bold")

    def _say(self, text: str, style: str = "") -> None:
        """A line, wrapped between words on a terminal: never elsewhere, and never one that holds a command to paste."""
        whole = not self._rich.is_terminal or COMMAND.search(text) is not None
        self._rich.print(Text(shown_lines(text), style), soft_wrap=whole)

    def _show(self, table: Table) -> None:
        self._rich.print(_Shown(table))


def describe(step: Step) -> str:
    """One line for a step: the task, its iteration, the objective there, how much is done."""
    parts = [step.task]
    if step.iteration is not None:
        parts.append(f"iteration {step.iteration}")
    if step.objective is not None:
        parts.append(f"objective {step.objective:.6g}")
    if step.fraction is not None:
        parts.append(f"{100 * step.fraction:.0f} %")
    return shown_lines(", ".join(parts))


def explained(diagnosis: tuple[Diagnosis, ...]) -> list[str]:
    """Every cause on a line of its own, most likely first, and the first remedy."""
    lines = [f"{entry.cause}: {entry.evidence}" for entry in diagnosis]
    remedy = next((entry.remedy for entry in diagnosis if entry.remedy), None)
    return [*lines, f"try {words.pasteable(remedy.option)}"] if remedy else lines


def _retried(retry: Retry) -> str:
    """What was tried, and which answer this is."""
    option = words.pasteable(retry.remedy.option)
    if retry.interrupted:
        return f"interrupted while it was solved once more with {option}; this is the first answer"
    if retry.other_status is None:
        lost = "no start could be evaluated"
        other = f"before, {lost}" if retry.kept else f"{lost} then, so this is the first answer"
        return f"solved once more with {option}; {other}"
    other = f"{retry.other_status.replace('-', ' ')}, {'' if retry.other_verified else 'not '}verified"
    error = words.figure(retry.other_l2_final)
    which = "this is the new answer; the first was" if retry.kept else "this is the first answer; the new one was"
    return f"solved once more with {option}; {which} {other}, with an L² error at T of {error}"


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


def _account(result: Answer) -> str:
    """What was done and how long it took."""
    seconds = result.seconds
    verified = f"verified in {seconds['verify']:.1f} s"
    if result.status == "given":
        return f"given drift, evaluated in {seconds['solve']:.1f} s, {verified}"
    done = {"converged": "converged", "interrupted": "interrupted"}.get(result.status, "stopped")
    return f"{done} after {result.iterations} iterations, solved in {seconds['solve']:.1f} s, {verified}"

"""What a person sees on stderr: progress, tables, messages. Obeys NO_COLOR, and stays plain without a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.table import Table

from controlsde.progress import Progress, Step

if TYPE_CHECKING:
    from controlsde.comparison import Comparison
    from controlsde.problem import Problem
    from controlsde.results import Result
    from controlsde.sizes import Prediction

QUIET_SECONDS = 5.0  # between lines of progress where there is no terminal


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
            return
        began = time.perf_counter()
        if self._verbose or not self._rich.is_terminal:
            yield self._lines(began)
            return
        with self._rich.status("starting") as status:
            yield lambda step: status.update(_describe(step, began))

    def _lines(self, began: float) -> Progress:
        last_task, last_time = "", -QUIET_SECONDS

        def report(step: Step) -> None:
            nonlocal last_task, last_time
            now = time.perf_counter() - began
            task = step.task
            if self._verbose or task != last_task or now - last_time >= QUIET_SECONDS:
                self._rich.print(_describe(step, began), markup=False)
                last_task, last_time = task, now

        return report

    def result(self, result: Result, folder: Path | None) -> None:
        """The table of one result, and what to do if something did not work."""
        if self._quiet:
            self._trouble([result])
            return
        table = Table(title=f"{result.problem.name}, noise {result.noise:g}, {result.solver}", title_justify="left")
        for name in ("", "verified", "solver's mesh"):
            table.add_column(name, justify="left" if not name else "right")
        tracking, discrete = result.tracking.to_json(), result.discrete.l2_json()
        labels = {"l2_initial": "L² error at t = 0", "l2_sup": "L² error, largest", "l2_rms": "L² error, rms"}
        labels |= {
            "l2_final": "L² error at T",
            "tv_final": "total variation at T",
            "kl_final": "KL(ρ‖p) at T",
        }
        labels |= {"w1_final": "W₁ at T", "w2_final": "W₂ at T", "h-1_final": "Ḣ⁻¹ at T"}
        for key, label in labels.items():
            if tracking[key] is not None:
                table.add_row(label, f"{tracking[key]:.4g}", f"{discrete[key]:.4g}" if key in discrete else "")
        evidence = result.certificate.monte_carlo
        if evidence:
            table.add_row("L² error at T, particles", f"{evidence.l2_final:.4g} ± {evidence.l2_final_se:.1g}", "")
        table.add_row("objective", "", f"{result.objective:.6g}")
        self._rich.print(table)
        self._certificate(result)
        spent = result.seconds
        self._rich.print(
            f"{result.message}; {result.iterations} iterations, solved in {spent['solve']:.1f} s, "
            f"verified in {spent['verify']:.1f} s",
            markup=False,
        )
        self._trouble([result])
        if folder:
            self._rich.print(f"result and figures: {folder}", markup=False)

    def comparison(self, comparison: Comparison, folder: Path) -> None:
        """The table of a comparison, with the cross-applied errors."""
        if self._quiet:
            self._trouble(list(comparison.results))
            return
        table = Table(title=f"{comparison.problem.name}: with and without noise", title_justify="left")
        for name in ("noise", "objective", "L² at T", "particles", "W₂ at T", "L² rms", "status", "verified"):
            table.add_column(name, justify="right")
        for result in comparison.results:
            evidence = result.certificate.monte_carlo
            table.add_row(
                f"{result.noise:g}",
                f"{result.objective:.5g}",
                f"{result.tracking.l2_final:.4g}",
                f"{evidence.l2_final:.4g} ± {evidence.l2_final_se:.1g}" if evidence else "—",
                "—" if result.tracking.w2_final is None else f"{result.tracking.w2_final:.4g}",
                f"{result.tracking.l2_rms:.4g}",
                result.status,
                "yes" if result.verified else "no",
            )
        self._rich.print(table)
        cross = Table(
            title="L² error at T of the controls of a row, run at the noise of a column", title_justify="left"
        )
        cross.add_column("controls of")
        for level in comparison.noise:
            cross.add_column(f"at {level:g}", justify="right")
        for level, row in zip(comparison.noise, comparison.cross, strict=True):
            cross.add_row(f"noise {level:g}", *(f"{value:.4g}" for value in row))
        self._rich.print(cross)
        self._rich.print(comparison.note, markup=False)
        self._trouble(list(comparison.results))
        self._rich.print(f"results and figures: {folder}", markup=False)

    def prediction(self, problem: Problem, prediction: Prediction) -> None:
        """The table of `check`."""
        table = Table(title=f"{problem.name}: valid", title_justify="left", show_header=False)
        rows = {
            "reference": prediction.reference,
            "elements": " × ".join(map(str, prediction.elements)) or "—",
            "unknowns": f"{prediction.unknowns:,}",
            "stage values": f"{prediction.stage_values:,}",
            "weights": f"{prediction.weights:,}",
            "collocation variables": f"{prediction.collocation_variables:,}",
            "memory of a solve": f"{prediction.solver_memory_bytes / 2**20:,.0f} MiB",
            "particle steps": f"{prediction.particle_steps:.2g}",
            "top-mode share of the reference": "—" if prediction.resolution is None else f"{prediction.resolution:.1e}",
        }
        for name, value in rows.items():
            table.add_row(name, value)
        if not prediction.refused:
            self._rich.print(table)
        for warning in prediction.warnings:
            self._rich.print(f"warning: {warning}", markup=False)

    def _certificate(self, result: Result) -> None:
        table = Table(title="certificate", title_justify="left")
        for name in ("check", "value", "limit", ""):
            table.add_column(name, justify="right" if name in ("value", "limit") else "left")
        for one in result.certificate.checks:
            table.add_row(one.name, f"{one.value:.2g}", f"{one.limit:.2g}", "passed" if one.passed else "FAILED")
        self._rich.print(table)

    def _trouble(self, results: list[Result]) -> None:
        from controlsde.verification.certificate import cure

        for result in results:
            where = f"{result.problem.name}, noise {result.noise:g}"
            if result.status in ("not-converged", "interrupted"):
                self._rich.print(f"{where}: {result.message}", markup=False)
            for failed in result.certificate.failed:
                self._rich.print(
                    f"{where}: not verified, {failed.name} is {failed.value:.2g}, limit {failed.limit:.2g}; "
                    f"{cure(failed.name, result.problem)}",
                    markup=False,
                )


def _describe(step: Step, began: float) -> str:
    parts = [f"{time.perf_counter() - began:6.1f} s  {step.task}"]
    if step.iteration is not None:
        parts.append(f"iteration {step.iteration}")
    if step.objective is not None:
        parts.append(f"objective {step.objective:.6g}")
    if step.fraction is not None:
        parts.append(f"{100 * step.fraction:.0f} %")
    return ", ".join(parts)

"""What a claim is: a statement of the theory, an experiment, and what the experiment found.

Comes in: nothing. Goes out: the plain data that every module in this room fills in.

A claim is an experiment with a known answer, or with none. Its rows put the number that the theory predicts beside the
number that was measured, with a tolerance that comes from the numerics alone: a change under refinement, a number of
standard errors, rounding. The verdict follows from the rows: `confirmed` when every row that expects something got it,
`refuted` when one did not, `open` when no row expects anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from controlsde.foundation.progress import Progress, silent
from controlsde.report.panels import Panel

Source = Literal["P1", "P2", "P3"]
Verdict = Literal["confirmed", "refuted", "open"]
Relation = Literal["=", "≤", "≥", ""]

SOURCES = {
    "P1": "arXiv 2312.07851, Noise in the reverse process improves the approximation capabilities of diffusion models",
    "P2": "arXiv 2305.09605, To smooth a cloud or to pin it down",
    "P3": "arXiv 2311.13584, On diffusion-based generative models and their error bounds",
}


@dataclass(frozen=True)
class Row:
    """One number: what it is, what the theory expects of it, what was measured. Build it with the functions below.

    tolerance: how far measured may lie from expected (=), above (≤) or below it (≥); basis: where it comes from.
    """

    parameter: str
    measured: float
    expected: float | None = None
    tolerance: float | None = None
    relation: Relation = ""
    basis: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the measured number is as expected; None where nothing is expected, False if it is not a number."""
        if self.expected is None or self.tolerance is None:
            return None
        excess = self.measured - self.expected
        missed = {"≤": excess, "≥": -excess}.get(self.relation, abs(excess))
        return bool(missed <= self.tolerance)

    def to_json(self) -> dict[str, Any]:
        """The row in the JSON of `claims run`; the relation is told in the parameter, where it is not equality."""
        words = {"≤": " (at most)", "≥": " (at least)"}.get(self.relation, "")
        numbers = {"expected": self.expected, "measured": self.measured, "tolerance": self.tolerance}
        finite = {key: value if value is not None and math.isfinite(value) else None for key, value in numbers.items()}
        return {"parameter": f"{self.parameter}{words}", **finite, "passed": self.passed}


def equal(parameter: str, expected: float, measured: float, tolerance: float, basis: str) -> Row:
    """A number that the theory knows."""
    return Row(parameter, float(measured), float(expected), float(tolerance), "=", basis)


def at_most(parameter: str, bound: float, measured: float, tolerance: float, basis: str) -> Row:
    """A number that the theory bounds from above."""
    return Row(parameter, float(measured), float(bound), float(tolerance), "≤", basis)


def at_least(parameter: str, bound: float, measured: float, tolerance: float, basis: str) -> Row:
    """A number that the theory bounds from below."""
    return Row(parameter, float(measured), float(bound), float(tolerance), "≥", basis)


def report(parameter: str, measured: float) -> Row:
    """A number of which nothing is expected."""
    return Row(parameter, float(measured))


@dataclass(frozen=True)
class Findings:
    """What an experiment found. note: a sentence about it in plain words, with the numbers that matter."""

    rows: tuple[Row, ...]
    panels: tuple[Panel, ...]
    note: str


@dataclass(frozen=True)
class Setting:
    """What surrounds an experiment: where progress goes, and a folder in which long work may keep what it has done.

    executor: where work runs side by side; None for processes of this machine, when that pays.
    """

    progress: Progress = silent
    folder: Path | None = None
    executor: Executor | None = None


@dataclass(frozen=True)
class Claim:
    """One statement of the theory as an experiment.

    id, title: its name for commands, and for people. source: the paper whose idea it is; formulas say where they are
    derived. parameters: a frozen data class with the defaults; fast: the same with a smaller experiment, for tests.
    experiment(parameters, setting) → Findings. meaning: what the outcome tells; further: what to try next.
    expects: the verdict that sound software reaches. long: too long for `claims run --all`.
    """

    id: str
    source: Source
    title: str
    statement: str
    formulas: tuple[str, ...]
    parameters: Any
    fast: Any
    experiment: Callable[[Any, Setting], Findings]
    meaning: str
    further: str
    expects: Verdict = "confirmed"
    long: bool = False


@dataclass(frozen=True)
class Tested:
    """A claim with what its experiment found."""

    claim: Claim
    parameters: Any
    findings: Findings
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """What the rows say."""
        return verdict_of(self.findings.rows)

    @property
    def as_expected(self) -> bool:
        """Whether this is the verdict that sound software reaches."""
        return self.verdict == self.claim.expects

    def to_json(self) -> dict[str, Any]:
        """One entry of the JSON of `claims run`."""
        return {
            "id": self.claim.id,
            "source": self.claim.source,
            "statement": self.claim.statement,
            "rows": [row.to_json() for row in self.findings.rows],
            "verdict": self.verdict,
        }


def verdict_of(rows: tuple[Row, ...]) -> Verdict:
    """`confirmed`, `refuted` or `open`, as the first lines of this module say."""
    outcomes = [row.passed for row in rows if row.passed is not None]
    if not outcomes:
        return "open"
    return "confirmed" if all(outcomes) else "refuted"

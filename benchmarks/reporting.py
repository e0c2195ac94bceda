"""Aligned tables, goals and the header that every benchmark prints."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

PACKAGES = ("controlsde", "numpy", "scipy", "torch", "casadi")


@dataclass(frozen=True)
class Table:
    """A title, the column heads and rows of text; the first column is aligned left, the others right."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """The table with its columns aligned."""
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        lines = ["  ".join(_aligned(row[i], widths[i], i) for i in range(len(widths))).rstrip() for row in cells]
        rule = "-" * max(len(line) for line in lines)
        return "\n".join([self.title, rule, lines[0], rule, *lines[1:], rule])


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


@dataclass(frozen=True)
class Goal:
    """What was wanted, what was measured; `met` is None where the run could not decide."""

    what: str
    wanted: str
    measured: str
    met: bool | None

    def row(self) -> tuple[str, str, str, str]:
        """As a row of the table of goals."""
        return self.what, self.wanted, self.measured, {True: "met", False: "MISSED", None: "undecided"}[self.met]


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    title: str
    tables: Sequence[Table]
    goals: Sequence[Goal]
    notes: Sequence[str] = field(default=())

    def text(self) -> str:
        """All tables, the notes, and the goals last, where there are any."""
        goals = Table("Goals", ("", "goal", "measured", "verdict"), [goal.row() for goal in self.goals])
        parts = [f"== {self.title} ==", *(table.text() for table in self.tables)]
        parts += ["\n".join(f"  * {note}" for note in self.notes)] if self.notes else []
        return "\n\n".join([*parts, goals.text()] if self.goals else parts)


def seconds(value: float) -> str:
    """A duration with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if value / size < 1000 else f"{value / size:.0f} {unit}"
    return f"{value * 1e9:.0f} ns"


def times(ratio: float) -> str:
    """A ratio with its sign of multiplication."""
    return f"{ratio:.2f}×" if abs(ratio) < 10 else f"{ratio:.0f}×"


def header() -> str:
    """Date, versions, processor and threads."""
    import torch

    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    lines = [
        f"measured  {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}",
        f"versions  python {platform.python_version()}, {versions}",
        f"machine   {_processor()}, {os.cpu_count()} cores, {platform.system()}; load average {load}",
        f"threads   {torch.get_num_threads()} for PyTorch, "
        f"{os.environ.get('OMP_NUM_THREADS', 'default')} for OpenMP, "
        f"{os.environ.get('OPENBLAS_NUM_THREADS', 'default')} for OpenBLAS",
    ]
    return "\n".join(lines)


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

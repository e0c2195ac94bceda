"""How long each command says nothing: the longest gap between two signs of life, on a terminal and through a pipe.

On a terminal (a pty) the live line redraws itself, so that a gap there is a time in which not even the clock moved;
through a pipe a gap is the time between two lines. Both count from the start of the process to its end, imports
included.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reporting import Goal, Report, Table

GOAL = 2.0  # seconds
ENDS = (0, 3, 4)  # exit codes of commands that ran to their end
COMMANDS: dict[str, tuple[str, ...]] = {
    "problems": ("problems",),
    "check two-bumps": ("check", "two-bumps"),
    "check iris-plane": ("check", "iris-plane"),
    "solve two-bumps": ("solve", "two-bumps", "--quick", "-o", "line"),
    "solve iris-plane": ("solve", "iris-plane", "--quick", "-o", "plane"),
    "compare two-bumps": ("compare", "two-bumps", "--quick", "-o", "both"),
    "compare moons": ("compare", "moons", "--quick", "-o", "moons"),
    "evaluate moser-square, exact": ("evaluate", "moser-square", "--set", "drift={kind: exact}", "-o", "exact"),
    "simulate 1-D": ("simulate", "line/result.nc", "-o", "line"),
    "simulate 2-D": ("simulate", "plane/result.nc", "-o", "plane"),
    "bound two-bumps": ("bound", "two-bumps", "--within", "0.05", "-o", "line"),
    "bound iris-plane": ("bound", "iris-plane", "--within", "0.05", "-o", "plane"),
    "controllability 1-D": ("controllability", "line/result.nc", "-o", "line"),
    "controllability 2-D": ("controllability", "plane/result.nc", "-o", "plane"),
    "film 1-D": ("film", "line/result.nc", "-o", "line/film.gif"),
    "film 2-D": ("film", "plane/result.nc", "-o", "plane/film.gif"),
}
FAST = ("problems", "check two-bumps", "solve two-bumps", "film 1-D")


@dataclass(frozen=True)
class Watched:
    """The longest gap between two words, what was said before it, seconds from the last word to the end and of all."""

    gap: float
    before: str
    leaving: float
    seconds: float
    code: int


def run(fast: bool) -> Report:
    """Run every command twice, and tabulate its longest gaps."""
    rows, worst = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in FAST if fast else COMMANDS:
            shown, piped = (watched(COMMANDS[name], Path(folder), terminal=terminal) for terminal in (True, False))
            assert shown.code in ENDS, f"{name} ended with {shown.code}: {shown.before}"
            worst = max(worst, shown.gap)
            gaps = f"{shown.gap:.1f}", f"{piped.gap:.1f}", f"{piped.leaving:.1f}"
            rows.append((name, *gaps, f"{piped.seconds:.1f}", piped.before[-40:]))
    columns = ("command", "terminal", "pipe", "last word to end", "whole", "said before the gap in the pipe")
    table = Table("The longest silence of a command, in seconds", columns, rows)
    goal = Goal("silence on a terminal", f"<= {GOAL:g} s", f"{worst:.1f} s", worst <= GOAL)
    return Report("Silence of the command line", (table,), (goal,))


def watched(words: tuple[str, ...], folder: Path, *, terminal: bool) -> Watched:
    """Run a command, and watch what it says on stderr."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    began = last = time.perf_counter()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        [sys.executable, "-m", "controlsde", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    gap, before, said = 0.0, "(start)", "(start)"
    while True:
        ready, _, _ = select.select([ours], [], [], 60.0)
        try:
            data = os.read(ours, 65536) if ready else b"x"
        except OSError:  # a pty whose other end is closed
            data = b""
        now = time.perf_counter()
        if not data:
            break
        if ready:
            if now - last > gap:
                gap, before = now - last, said
            last = now
            lines = [line.strip() for line in data.decode(errors="replace").splitlines() if line.strip()]
            said = lines[-1] if lines else said
    os.close(ours)
    code = process.wait()
    end = time.perf_counter()
    return Watched(gap, before, end - last, end - began, code)

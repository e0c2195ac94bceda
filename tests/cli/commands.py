"""Commands run in processes of their own, and what they leave."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HEAT = """\
name: small
domain: {box: [[0, 1]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.2
  data: {kind: formula, expression: "1 + 0.5*cos(pi*x)"}
controls: {pieces: 2, bounds: 20}
objective: {effort: 0.001}
mesh: {elements: [4], degree: 6, steps_per_piece: 2}
solver: {kind: shooting, starts: 1, iterations: 60, tolerance: 1e-5}
monte_carlo: {particles: 2000, steps_per_piece: 16}
"""


class Answer:
    """What a command left: its exit code, and its text on stdout and stderr."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def process(folder, *words, **environment):
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "controlsde", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **environment},
        preexec_fn=heed_interrupts,
    )


def loaded_by(folder, words, modules):
    """Those of the modules that a command has loaded when it ends, as a list is printed."""
    code = (
        "import sys, controlsde.cli.commands\n"
        f"try: controlsde.cli.commands.app({words!r})\n"
        f"except SystemExit: print([name for name in {modules!r} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    return ended.stdout.splitlines()[-1] if ended.stdout else ended.stderr


def files(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def heed_interrupts():
    """A shell lets what it runs in the background ignore Ctrl-C, and processes inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)

"""Commands that are ended at any moment, by any signal: what is there is whole, and the next run leaves nothing else.

The small version runs with all other tests, the full one with `pytest -m slow tests/slow`.
"""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.result.result import Result

PROBLEM = """\
domain: {box: [[0, 1]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.2
  data: {kind: formula, expression: "1 + 0.5*cos(pi*x)"}
controls: {pieces: 2, bounds: 20}
objective: {effort: 0.001}
mesh: {elements: [4], degree: 6, steps_per_piece: 2}
solver: {kind: shooting, starts: 1, iterations: 40, tolerance: 1e-5}
monte_carlo: {particles: 2000, steps_per_piece: 8}
"""
COMMANDS = {"solve": ["solve", "small.yaml"], "compare": ["compare", "small.yaml", "--noise", "0", "--noise", "1"]}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Python ends itself by SIGINT, where an interruption fell into a string that it executed: shells call both 130
INTERRUPTED = (130, -signal.SIGINT)
WRITING = "writing the result"


def heed_interrupts():
    """A shell lets what it runs in the background ignore Ctrl-C, and processes inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(folder, command):
    words = [sys.executable, "-m", "controlsde", *COMMANDS[command], "-o", "out", "-v"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, cwd=folder, env=environment, text=True, preexec_fn=heed_interrupts, **streams)


def undisturbed(folder, command):
    """How a command ends where nobody ends it, how long it takes, and how long until it writes."""
    began = time.monotonic()
    running = started(folder, command)
    wrote = began
    for line in running.stderr:
        if WRITING in line:
            wrote = time.monotonic()
    return running.wait(), time.monotonic() - began, wrote - began


def ended(folder, command, by, after, *, once_writing):
    """Start a command and end it after some seconds, or so long after it began to write: its code, its words."""
    running = started(folder, command)
    seen = ""
    if once_writing:
        for line in running.stderr:
            seen += line
            if WRITING in line:
                break
    time.sleep(after)
    running.send_signal(by)
    try:
        _, rest = running.communicate(timeout=120)
    finally:
        running.kill()
    return running.returncode, seen + rest


def hidden(folder):
    return [path for path in folder.rglob(".*") if path.name.startswith(".")]


def all_whole(folder):
    """Every result and every picture under its name is a whole one; how many results there are."""
    results = 0
    for path in (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")):
        if path.suffix == ".nc":
            loaded = Result.load(path)
            assert loaded.digest is not None
            np.testing.assert_array_equal(Controls.load(path).A, loaded.controls.A)
            results += 1
        elif path.suffix == ".png":
            assert path.read_bytes().endswith(b"IEND\xaeB`\x82")
        elif path.suffix == ".html":
            assert path.read_bytes().rstrip().endswith(b"</html>")
        elif path.name == "comparison.json":
            assert len(json.loads(path.read_text("utf-8"))["results"]) == 2
    return results


def kill_often(folder, command, count, seed):
    """End a command often; what it leaves must be whole each time, and the next whole run removes the rest."""
    rng = np.random.default_rng(seed)
    (folder / "small.yaml").write_text(PROBLEM)
    verdict, whole, writing = undisturbed(folder, command)
    assert verdict in (0, 4)  # verified or not
    complete = all_whole(folder)
    assert complete == {"solve": 1, "compare": 2}[command]
    for number in range(count):
        by = SIGNALS[number % len(SIGNALS)]
        once_writing = bool(number // len(SIGNALS) % 2)
        after = float(rng.uniform(0, (whole - writing if once_writing else whole)))
        before = len(hidden(folder))
        code, said = ended(folder, command, by, after, once_writing=once_writing)
        assert code in (verdict, -by, *(INTERRUPTED if by != signal.SIGKILL else ())), (number, by, after, said)
        if once_writing and by != signal.SIGKILL:
            assert "Traceback" not in said, (number, by, after, said)
        assert all_whole(folder) == complete  # those of the first run at least: a result that was there is not lost
        if by != signal.SIGKILL:
            assert len(hidden(folder)) <= before  # who is asked to end clears up
    undisturbed(folder, command)
    assert hidden(folder) == []
    assert all_whole(folder) == complete


@pytest.mark.slow
def test_a_few_kills_lose_no_result_and_leave_nothing_for_long(tmp_path):
    kill_often(tmp_path, "solve", 1, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "count"), [("solve", 36), ("compare", 24)])
def test_many_kills_lose_no_result_and_leave_nothing_for_long(tmp_path, command, count):
    kill_often(tmp_path, command, count, seed=2)

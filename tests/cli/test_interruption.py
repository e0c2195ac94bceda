"""Ctrl-C and its like: what was found is kept, and no process is left behind."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controlsde.result.result import Result
from controlsde.workflow.solving import evaluate

from .commands import HEAT, Answer, files, process


def interrupted(folder, *words, at, by=signal.SIGINT):
    """Run a command, interrupt it when stderr holds `at`, and return its answer."""
    running = process(folder, *words)
    seen = []
    for line in running.stderr:
        seen.append(line)
        if at in line:
            running.send_signal(by)
            break
    out, rest = running.communicate(timeout=60)
    return Answer(running.returncode, out, "".join(seen) + rest)


LONG = [
    "two-bumps", "-v", "--json", "-o", "out", "--set", "network.width=6", "--set", "solver.iterations=5000",
    "--set", "solver.tolerance=1e-300", "--set", "monte_carlo.particles=2000", "--set", "mesh.steps_per_piece=2",
    "--set", "controls.pieces=6", "--set", "monte_carlo.steps_per_piece=16",
]  # fmt: skip


@pytest.mark.parametrize("solver", ["shooting", pytest.param("collocation", marks=pytest.mark.slow)])
def test_an_interrupted_solve_keeps_the_best_iterate_and_exits_130(solver, tmp_path):
    answer = interrupted(tmp_path, "solve", *LONG, "--solver", solver, at="iteration 4,")
    assert answer.code == 130, answer.err
    assert "Traceback" not in answer.err
    assert answer.json["status"] == "interrupted"
    kept = Result.load(tmp_path / "out/result.nc")
    assert kept.status == "interrupted"
    assert kept.iterations >= 3
    if solver == "shooting":
        assert kept.objective == kept.history[:, 1].min() < kept.history[0, 1]
    assert evaluate(kept.problem, kept.controls).objective == pytest.approx(kept.objective, rel=1e-9)
    assert (tmp_path / "out/density.png").is_file()


@pytest.mark.slow
def test_an_interruption_in_a_later_start_is_one(tmp_path, monkeypatch):
    """…although an earlier start has converged."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")  # one start after the other, however busy the machine
    Path(tmp_path / "small.yaml").write_text(HEAT)
    words = ("small.yaml", "-v", "--json", "-o", "out", "--set", "solver.starts=3")
    answer = interrupted(tmp_path, "compare", *words, "--noise", "1", "--noise", "0", at="start 2/3, iteration 2,")
    assert answer.code == 130, answer.err
    assert [entry["status"] for entry in answer.json["entries"]] == ["interrupted"]
    assert "best point so far" in answer.json["entries"][0]["message"]


@pytest.mark.parametrize("phase", ["_judge", pytest.param("refined", marks=pytest.mark.slow)])
def test_an_interruption_between_the_phases_of_a_solve_keeps_what_was_solved(run, monkeypatch, phase):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"controlsde.workflow.mesh_refinement.{phase}", interrupt)
    monkeypatch.setattr("controlsde.workflow.mesh_refinement.RESOLVED", 0.0)
    answer = run("solve", "small.yaml", "-o", "out", "--json")
    assert answer.code == 130
    assert answer.json["status"] == "interrupted"
    assert Result.load("out/result.nc").controls is not None


def test_an_interruption_while_controls_are_cross_applied_keeps_every_result(run, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("controlsde.workflow.comparison._final_error", interrupt)
    answer = run("compare", "small.yaml", "-o", "out", "--json")
    assert answer.code == 130
    assert len(answer.json["entries"]) == 2
    assert answer.json["cross"][0][1] is None
    assert answer.json["cross"][1][1] == pytest.approx(Result.load("out/noise-1.nc").tracking.l2_final)


@pytest.mark.slow
def test_the_end_of_its_terminal_is_an_interruption(tmp_path):
    """As a request to end is, below."""
    answer = interrupted(tmp_path, "solve", *LONG, at="iteration 4,", by=signal.SIGHUP)
    assert answer.code == 130, answer.err
    assert Result.load(tmp_path / "out/result.nc").status == "interrupted"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "by", [*(pytest.param(one, marks=pytest.mark.slow) for one in (signal.SIGINT, signal.SIGTERM)), signal.SIGKILL]
)
@pytest.mark.usefixtures("several_processors")
def test_no_worker_outlives_its_command(by, tmp_path):
    mark = f"{tmp_path}/out"
    (tmp_path / "small.yaml").write_text(HEAT)
    words = ["solve", "small.yaml", "-v", "-o", mark, "--solver", "collocation", "--set", "solver.start=random"]
    words += ["--set", "solver.starts=400", "--set", "solver.iterations=6"]
    running = process(tmp_path, *words)
    for line in running.stderr:
        if "3 of 400 starts done" in line:
            break
    workers = children(running.pid)
    assert workers
    running.send_signal(by)
    _, said = running.communicate(timeout=60)
    if by != signal.SIGKILL:
        assert running.returncode == 130, said
        assert Result.load(f"{mark}/result.nc").status == "interrupted"
    began = time.monotonic()
    while (left := [pid for pid in workers if Path(f"/proc/{pid}/cmdline").exists()]) and time.monotonic() < began + 20:
        time.sleep(0.2)
    assert not left


def children(pid):
    """The processes that a process has started."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_an_interrupted_comparison_keeps_what_it_has_and_exits_130(tmp_path):
    answer = interrupted(tmp_path, "compare", *LONG, "--noise", "1", "--noise", "0", at="iteration 4,")
    assert answer.code == 130, answer.err
    assert [entry["status"] for entry in answer.json["entries"]] == ["interrupted"]
    assert Result.load(tmp_path / "out/noise-1.nc").status == "interrupted"
    assert not (tmp_path / "out/noise-0.nc").exists()


def test_an_interruption_before_any_iterate_exits_130_and_writes_nothing(run, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("controlsde.tracking.posed.build_reference", interrupt)
    answer = run("solve", "small.yaml", "-o", "out")
    assert answer.code == 130
    assert "interrupted" in answer.err
    assert files(folder) == {"small.yaml"}


CLEANING_UP = """
import os, signal, sys, time, weakref
from controlsde.cli import commands as cli

signal.signal(signal.SIGINT, signal.default_int_handler)

class Thing:
    pass

def interrupted_while_it_cleans_up(_):
    os.kill(os.getpid(), signal.{by})
    for _ in range(1000):  # the interruption falls in here, from where it cannot be passed on
        pass

thing = Thing()
watching = weakref.ref(thing, interrupted_while_it_cleans_up)

def run(**_):
    global thing
    thing = None
    time.sleep(20)

cli.app = run
cli.main()
"""


@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM"])
def test_an_interruption_that_falls_into_a_clean_up_is_not_lost(by):
    code = CLEANING_UP.replace("{by}", by)
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "", "interrupted\n")


LOADING = """
import signal, sys, time
from controlsde.cli import commands as cli

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {folder!r})

def run(**_):
    import heavy
    time.sleep(20)

cli.app = run
cli.main()
"""
HEAVY = """
import os, signal, time
os.kill(os.getpid(), signal.{by})
time.sleep(0.3)
print("whole")
"""


@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM"])
def test_an_interruption_lets_an_import_come_to_its_end(by, tmp_path):
    """Compiled libraries abort where theirs is cut off."""
    (tmp_path / "heavy.py").write_text(HEAVY.format(by=by))
    code = LOADING.format(folder=str(tmp_path))
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "whole\n", "interrupted\n")


def test_an_interruption_before_anything_runs_is_said(tmp_path):
    """The parser of the command line ends without a word."""
    code = (
        "from controlsde.cli.commands import app, main\n"
        "@app.command()\ndef stop():\n    raise KeyboardInterrupt\n"
        "main()"
    )
    words = [sys.executable, "-c", code, "stop"]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=15, check=False, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (130, "interrupted\n")


def test_an_unforeseen_error_is_told_in_lines_a_terminal_only_displays(run, monkeypatch):
    def fail(*_args, **_options):
        raise TypeError("\x1b[31mred")

    monkeypatch.setattr("controlsde.cli.commands.app", fail)
    answer = run("solve", "small.yaml")
    assert answer.code == 1
    assert "\x1b" not in answer.err
    assert answer.err.splitlines()[-2:] == [
        "TypeError: \\x1b[31mred", "this should not have happened; please report it with the lines above",
    ]  # fmt: skip

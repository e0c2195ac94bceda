"""Files that a command is given, or cannot write: one line with the cure, and nothing is left behind."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy

from controlsde.foundation import files as whole_files
from controlsde.foundation.memory import is_lack_of_memory, make_sure_of_room
from controlsde.result.result import Result
from tests.quick import only, slow

from .commands import HEAT, files


def one_line(answer, *texts, code=2):
    assert answer.code == code, answer.err
    assert answer.out == ""
    assert len(answer.err.splitlines()) == 1, answer.err
    for text in texts:
        assert text in answer.err


@pytest.fixture
def result(solved, folder):
    """A copy of a result, in the current folder."""
    shutil.copy(solved[0] / "out" / "result.nc", folder / "result.nc")
    return "result.nc"


def limited(folder, limit, *words):
    """A command under a limit that the shell sets: its exit code, and what it said."""
    line = f'ulimit {limit}; exec "$0" -m controlsde "$@"'
    ended = subprocess.run(
        ["sh", "-c", line, sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_a_problem_is_not_simulated_and_the_cure_is_to_solve_it(run):
    one_line(run("simulate", "small.yaml"), "small.yaml: that is a problem file, not a result", "solve it first")
    one_line(run("evaluate", "small.yaml", "--controls", "small.yaml"), "that is a problem file, not controls")


def test_a_result_is_no_problem(run, result, folder):
    for command in ("solve", "compare", "evaluate", "check"):
        one_line(run(command, result), "result.nc: that is a result, not a problem")
    Path("picture.yaml").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    one_line(run("check", "picture.yaml"), "that is a picture (PNG), not a problem")
    assert files(folder) == {"small.yaml", "result.nc", "picture.yaml"}


def test_a_changed_result_is_refused_by_name(run, result):
    content = bytearray(Path(result).read_bytes())
    content[20_000] ^= 4
    Path(result).write_bytes(content)
    one_line(run("simulate", result), "result.nc: was changed since it was written")
    one_line(run("evaluate", "small.yaml", "--controls", result), "result.nc: was changed since it was written")


def test_changed_weights_are_refused_by_name(run, result):
    Result.load(result).save_weights("mine.safetensors")
    content = bytearray(Path("mine.safetensors").read_bytes())
    content[-3] ^= 1
    Path("mine.safetensors").write_bytes(content)
    one_line(run("evaluate", "small.yaml", "--controls", "mine.safetensors"), "mine.safetensors: was changed since")


@pytest.mark.slow
def test_files_of_an_earlier_version_are_used_and_said_to_have_no_checksum(run, result):
    warning = "warning: {} is of an earlier version and has no checksum: a change of its numbers would not be seen"
    assert "warning" not in run("simulate", result, "-q").err
    found = Result.load(result)
    with h5py.File(result, "r+") as file:
        del file.attrs["seal"]
    assert warning.format(result) in run("simulate", result, "-q").err.splitlines()
    assert warning.format(result) in run("evaluate", "small.yaml", "--controls", result, "-q").err.splitlines()
    arrays = {name: np.ascontiguousarray(value) for name, value in vars(found.controls).items()}
    found.controls.save("c.nc")
    assert "warning" not in run("evaluate", "small.yaml", "--controls", "c.nc", "-q").err
    with h5py.File("c.nc", "r+") as file:
        del file.attrs["seal"]
    assert warning.format("c.nc") in run("evaluate", "small.yaml", "--controls", "c.nc", "-q").err.splitlines()
    for words, expected in (({"format": "controlsde-weights", "format_version": "1"}, True), ({}, False)):
        safetensors.numpy.save_file(arrays, "w.safetensors", metadata=words)
        said = run("evaluate", "small.yaml", "--controls", "w.safetensors", "-q").err.splitlines()
        assert (warning.format("w.safetensors") in said) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
@pytest.mark.parametrize("megabytes", only([60, 500], [60, 300, 500, 700, 800]))
def test_too_little_memory_for_the_libraries_is_one_line(megabytes, result, folder):
    for words in (["check", "small.yaml"], ["solve", "small.yaml"], ["simulate", result]):
        code, out, err = limited(folder, f"-v {1024 * megabytes}", *words)
        assert (code, out) == (1, "")
        assert len(err.splitlines()) == 1, err
        assert err.startswith(f"not enough memory: a limit (ulimit -v) leaves {megabytes} MB, and `{words[0]}` takes")
    assert files(folder) == {"small.yaml", "result.nc"}


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
def test_a_command_that_needs_little_memory_is_not_refused(folder):
    code, out, _ = limited(folder, f"-v {1024 * 300}", "problems", "--json")
    assert code == 0
    assert json.loads(out)


def test_without_a_limit_no_room_is_asked_for(monkeypatch):
    monkeypatch.setattr("controlsde.foundation.memory._limit", lambda: None)
    monkeypatch.setattr("controlsde.foundation.memory._is_there", lambda _: pytest.fail("it was asked for"))
    make_sure_of_room("solve")


def test_a_library_that_found_no_memory_is_told_from_one_that_is_missing(run, monkeypatch):
    def fails(words):
        def load(*_, **__):
            raise ImportError(words)

        monkeypatch.setattr("controlsde.problem.load_problem", load)
        return run("check", "small.yaml")

    one_line(fails("libx.so: failed to map segment from shared object"), "not enough memory to load", code=1)
    assert "Traceback" in fails("No module named 'x'").err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (OSError(28, "No space left on device"), False),
        (ValueError("Unable to allocate"), False),
        (KeyError("x"), False),
    ],
)
def test_lack_of_memory_is_known_by_its_kind_or_its_words(error, expected):
    outer = RuntimeError("something else")
    outer.__cause__ = error
    assert is_lack_of_memory(error) == is_lack_of_memory(outer) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits")
@pytest.mark.parametrize("words", [["solve", "small.yaml"], slow(["simulate", "result.nc", "--particles", "2000"])])
def test_a_disk_without_room_is_one_line_with_the_cure_and_nothing_is_left(words, result, folder):
    code, _, err = limited(folder, "-f 4", *words, "-o", "new/out", "-q")
    assert code == 2, err
    assert len(err.splitlines()) == 1, err
    assert "new/out/" in err
    assert "cannot be written (file too large); raise the limit for the size of a file (ulimit -f)" in err
    assert sorted(path.name for path in folder.rglob("*")) == [result, "small.yaml"]


def test_what_killed_runs_left_in_a_folder_of_results_is_removed(run):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine, other = (f"{whole_files.PREFIX}{whole_files._host()}-{pid}-01234567" for pid in (ended.pid, os.getpid()))
    left = ["out/.result-x1y2.nc", "out/.density-abcd0123.png", "out/.noise-0-abcd0123.nc", f"out/{mine}"]
    left += ["out/noise-0/.weights-abcd0123.png", f"out/noise-0/{mine}"]
    kept = [
        "out/.error-of-my-notes.png",
        "out/.result-2019 data.nc",
        "out/.hidden",
        "out/.result.txt",
        "out/mine-result.nc",
        "out/noise-0/.notes-1.txt",
        f"out/{other}",
    ]
    for name in (*left, *kept):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("half a file")
    assert run("solve", "small.yaml", "-o", "out", "-q").code == 0
    assert not [name for name in left if Path(name).exists()]
    assert all(Path(name).exists() for name in kept)
    Path(f"out/{other}").unlink()


def test_a_folder_that_is_only_looked_at_stays_as_it_was(run, folder):
    Path("x.yaml").write_text(HEAT.replace("horizon: 0.2", "horizon: -1"))
    assert run("solve", "x.yaml", "-o", "out").code == 2
    assert files(folder) == {"small.yaml", "x.yaml"}
    assert not Path("out").exists()

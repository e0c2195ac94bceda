"""Every notebook runs as a script, from a folder that cannot be written to, and says how many exercises are solved."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from controlsde.lessons.contents import LESSONS

pytest.importorskip("marimo", reason="needs marimo: pip install -e '.[learn]'")

THERE = [one for one in LESSONS if one.notebook.is_file()]
SECONDS = 300
SOON = ("one_neuron",)  # the others run in test_answered.py, too, though not as scripts


def run(script, folder):
    environment = dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder), XDG_CACHE_HOME=str(folder))
    return subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, timeout=SECONDS, env=environment
    )


@pytest.mark.parametrize(
    "one",
    [one if one.name in SOON else pytest.param(one, marks=pytest.mark.slow) for one in THERE],
    ids=lambda one: one.name,
)
def test_a_notebook_runs_as_a_script_and_leaves_nothing_beside_it(one, tmp_path):
    place = tmp_path / "installed"
    place.mkdir()
    copied = Path(shutil.copy(one.notebook, place))
    place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    home = tmp_path / "home"
    home.mkdir()
    try:
        ended = run(copied, home)
    finally:
        place.chmod(stat.S_IRWXU)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == f"{one.title}: 0 of {len(one.exercises)} exercises solved"
    assert "Traceback" not in ended.stderr
    assert [path.name for path in place.iterdir()] == [copied.name]


@pytest.mark.parametrize("one", THERE, ids=lambda one: one.name)
def test_a_notebook_says_what_one_learns_ends_with_an_open_problem_and_asks_every_exercise(one):
    text = one.notebook.read_text(encoding="utf-8")
    assert f"# {one.number}. {one.title}" in text
    assert f"{one.minutes} minutes" in text
    assert "## An open problem" in text
    assert "Read next" in text
    for each in one.exercises:
        assert text.count(f'asked(exercise("{each.key}"))') == 1
        assert text.count(f'answered(exercise("{each.key}"), ') == 1
    assert f'summary(\n        "{one.name}"' in text or f'summary("{one.name}"' in text


@pytest.mark.slow
def test_a_notebook_that_fails_would_be_seen(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text(THERE[0].notebook.read_text("utf-8").replace("import numpy as np", "import numpy as nq"), "utf-8")
    assert run(broken, tmp_path).returncode != 0

"""A folder with a small problem, and commands run in it."""

import sys
from pathlib import Path

import pytest

import controlsde.cli.commands
from controlsde.foundation.files import write_whole

from .commands import HEAT, Answer, process


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder with small.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(HEAT)
    return tmp_path


def blank(figure, target):
    """A picture's file without the picture."""
    assert figure.axes
    write_whole(target, b"")
    return target


@pytest.fixture
def run(monkeypatch, capsys, folder):
    """Run a command in this process, in the folder; pictures are composed, and painted only where `solved` is."""
    monkeypatch.setattr("controlsde.report.figures.save", blank)
    assert folder == Path.cwd()

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["controlsde", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            controlsde.cli.commands.main()
        except SystemExit as left:
            code = left.code or 0
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return command


@pytest.fixture(scope="session")
def solved(tmp_path_factory):
    """The answer to `solve small.yaml --json`, by a process of its own, and its folder."""
    folder = tmp_path_factory.mktemp("solved")
    (folder / "small.yaml").write_text(HEAT)
    finished = process(folder, "solve", "small.yaml", "-o", "out", "--json")
    out, err = finished.communicate(timeout=120)
    return folder, Answer(finished.returncode, out, err)

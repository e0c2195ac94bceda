"""Commands that must be refused, in this process and in an empty folder."""

import sys
import time
from pathlib import Path

import pytest

import controlsde.cli.commands

SECONDS = 20  # on a busy machine; one that is not answers within two


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command on a text, or on a file that is there: exit 2, no trace, nothing on stdout. Returns its lines."""
    monkeypatch.chdir(tmp_path)

    def command(*words, text=None, code=2, seconds=SECONDS):
        if text is not None:
            Path("bad.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["controlsde", *words])
        capsys.readouterr()
        began = time.perf_counter()
        with pytest.raises(SystemExit) as left:
            controlsde.cli.commands.main()
        took = time.perf_counter() - began
        out, err = capsys.readouterr()
        assert left.value.code == code, err
        assert out == ""
        assert "Traceback" not in err
        assert took < seconds
        return [line for line in err.splitlines() if "building the reference" not in line]

    return command


@pytest.fixture
def accepted(tmp_path, monkeypatch, capsys):
    """Check a text that is valid; returns what is printed."""
    monkeypatch.chdir(tmp_path)

    def check(text):
        Path("good.yaml").write_text(text, encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["controlsde", "check", "good.yaml"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            controlsde.cli.commands.main()
        err = capsys.readouterr().err
        assert left.value.code == 0, err
        return err

    return check

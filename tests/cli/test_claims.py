"""`controlsde claims`: lists, runs, writes pages, and refuses what it cannot run."""

import re

from typer.testing import CliRunner

from controlsde.cli.commands import app


def run(*words):
    return CliRunner().invoke(app, ["claims", *words])


def test_list_names_every_claim():
    found = run("list")
    assert found.exit_code == 0
    assert re.search(r"^noise-upgrades-convergence +P1 ", found.stdout, re.MULTILINE)


def test_run_writes_pages_and_prints_rows_as_json(tmp_path):
    import json

    found = run("run", "noise-upgrades-convergence", "--fast", "--json", "-q", "-o", str(tmp_path))
    assert found.exit_code == 0, found.output
    (entry,) = json.loads(found.stdout)
    assert entry["verdict"] == "confirmed"
    assert json.loads((tmp_path / "claims.json").read_text(encoding="utf-8")) == [entry]
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "claims.json",
        "noise-upgrades-convergence.md",
        "noise-upgrades-convergence.png",
    }


def test_a_verdict_that_should_not_be_ends_with_4(monkeypatch):
    from controlsde.claims import noise_upgrades_convergence as upgrades

    right = upgrades.oscillating
    monkeypatch.setattr(upgrades, "oscillating", lambda amplitude, n: right(1.01 * amplitude, n))
    found = run("run", "noise-upgrades-convergence", "--fast")
    assert found.exit_code == 4
    assert "MISSED" in found.output


def test_a_parameter_with_which_an_experiment_fails_is_one_line():
    found = run("run", "moser-flow", "--fast", "--set", "strength=2", "-q")
    assert found.exit_code != 0
    assert "moser-flow does not run with --set strength=2" in str(found.exception)
    assert "Traceback" not in found.output

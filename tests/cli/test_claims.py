"""`controlsde claims`: lists, runs, writes pages, and refuses what it cannot run."""

import re
from dataclasses import fields, replace

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


QUICK = ("noise-upgrades-convergence", "ou-semigroup-score", "moser-flow")


def test_a_run_that_was_cut_short_goes_on_and_one_that_ended_begins_anew(tmp_path, monkeypatch):
    import json

    from controlsde.claims.harness import several

    ran, run_claim = [], several.run_claim

    def counted(claim, parameters, setting):
        ran.append(claim.id)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return run_claim(claim, parameters, setting)

    monkeypatch.setattr(several, "run_claim", counted)
    words = ("run", *QUICK, "--fast", "--json", "-o", str(tmp_path))
    cut = run(*words)
    assert cut.exit_code == 130
    assert f"interrupted; not run: {QUICK[2]}" in cut.output
    assert {path.name for path in (tmp_path / "unfinished").iterdir()} == {f"{name}.json" for name in QUICK[:2]}

    went_on = run(*words)
    assert went_on.exit_code == 0, went_on.output
    assert ran[3:] == [QUICK[2]]
    assert f"keeps {QUICK[0]}, {QUICK[1]}: these are not run again" in went_on.output
    assert all(f"{name}: confirmed, in " in went_on.output for name in QUICK)
    assert not (tmp_path / "unfinished").exists()
    whole = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert [entry["id"] for entry in whole] == list(QUICK)
    assert whole[:2] == json.loads(cut.stdout)
    assert json.loads(went_on.stdout) == whole

    assert run(*words).exit_code == 0
    assert ran[4:] == list(QUICK)


def test_what_was_found_counts_for_the_same_parameters_and_program_while_its_page_is_there(tmp_path, monkeypatch):
    from controlsde.claims import claim_named, run_claim
    from controlsde.claims.harness.pages import write_page
    from controlsde.claims.harness.unfinished import Unfinished
    from controlsde.foundation import versions

    claim, unfinished = claim_named(QUICK[0]), Unfinished(tmp_path)
    tested = run_claim(claim, claim.fast)
    unfinished.write(tested)
    assert unfinished.read(claim, claim.fast) is None  # there is no page
    write_page(tested, tmp_path, failed=lambda _: None)
    found = unfinished.read(claim, claim.fast)
    assert found.findings.rows == tested.findings.rows
    assert (found.findings.note, found.seconds) == (tested.findings.note, tested.seconds)
    assert unfinished.read(claim, claim.parameters) is None
    field = next(one.name for one in fields(claim.fast) if isinstance(getattr(claim.fast, one.name), float))
    close = replace(claim.fast, **{field: getattr(claim.fast, field) * (1 + 1e-12)})
    assert unfinished.read(claim, close) is None
    with monkeypatch.context() as changed:
        changed.setattr(versions, "CODE", "another")
        assert unfinished.read(claim, claim.fast) is None
    (tmp_path / "unfinished" / f"{claim.id}.json").write_text("{")
    assert unfinished.read(claim, claim.fast) is None

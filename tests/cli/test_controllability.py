"""`bound`, `reach` and `controllability` from the command line: tables, JSON, files, exit codes, refusals."""

import pytest

from .commands import HEAT, files


def test_bound_prints_a_row_a_level_and_a_distance_and_draws_only_where_it_is_told_to(run, folder):
    asked = ("--within", "0.05", "--within", "0.1", "--noise", "0.5", "--noise", "1")
    answer = run("bound", "small.yaml", *asked, "--json")
    assert answer.code == 0
    found = answer.json
    assert [(one["noise"], one["within"]) for one in found] == [(0.5, 0.05), (0.5, 0.1), (1.0, 0.05), (1.0, 0.1)]
    assert all(set(one) == {"noise", "within", "energy_bound", "energy_bound_refined", "gap"} for one in found)
    assert found[0]["energy_bound"] > found[1]["energy_bound"] > 0
    assert "no drift" in answer.err
    assert files(folder) == {"small.yaml"}
    drawn = run("bound", "small.yaml", *asked, "-o", "out", "-q")
    assert (drawn.code, drawn.out, drawn.err) == (0, "", "")
    assert files(folder / "out") == {"frontier.png"}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "--within is needed"),
        (("--within", "-0.1"), "--within must be a distance"),
        (("--within", "nan"), "--within must be a distance"),
        (("--within", "0.1", "--noise", "-1"), "noise"),
        (("--within", "0.1", "--set", "domain.walls=absorbing"), "absorbing walls"),
        (("--within", "0.1", "--noise", "1e-12"), "take the bound at noise 0"),
    ],
)
def test_a_bound_that_there_is_none_of_exits_2_in_one_line(run, folder, words, part):
    answer = run("bound", "small.yaml", *words, "-q")
    assert answer.code == 2
    assert part in answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(folder) == {"small.yaml"}


def test_reach_prints_a_row_a_rung_and_one_document_and_keeps_what_it_found(run, folder):
    asked = ("--within", "0.45", "--least", "pieces", "--set", "controls.lengths=free", "--set", "solver.starts=2")
    answer = run("reach", "small.yaml", *asked, "-o", "out", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert found["verdict"] == "reached"
    assert found["value"] == found["tried"][-1]["pieces"] == len(found["tried"])
    assert found["error"] <= 0.45
    assert "the least pieces to come within 0.45" in answer.err
    assert "reached" in answer.err
    kept = {f"pieces-{row['pieces']}-noise-1.nc" for row in found["tried"]}
    assert files(folder / "out") == {"reach.png", *kept}
    again = run("reach", "small.yaml", *asked, "-o", "out", "-q")
    assert again.code == 0


def test_reach_says_what_no_drift_can_and_that_is_an_answer(run, folder):
    answer = run("reach", "small.yaml", "--within", "0.05", "--energy", "0.01", "--json")
    assert answer.code == 0
    assert answer.json["verdict"] == "impossible"
    assert answer.json["tried"] == []
    assert "no drift comes within 0.05 with less energy than" in answer.err
    assert files(folder) == {"small.yaml"}


def test_what_was_not_found_exits_3(run):
    answer = run("reach", "small.yaml", "--within", "1e-6", "--budget", "0.001", "-q")
    assert answer.code == 3
    assert "not found: the budget of 0.001 s is spent" in answer.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "--within is needed"),
        (("--within", "0"), "--within must be > 0"),
        (("--within", "0.1", "--least", "time"), "--least must be one of"),
        (("--within", "0.1", "--energy", "-1"), "--energy must be > 0"),
        (("--within", "0.1", "--budget", "0"), "--budget must be > 0"),
        (("--within", "0.1", "--least", "horizon"), "--least horizon has no answer"),
        (("--within", "0.1", "--least", "energy", "--set", "domain.walls=absorbing"), "absorbing walls"),
    ],
)
def test_what_cannot_be_reached_for_exits_2_in_one_line(run, folder, words, part):
    answer = run("reach", "small.yaml", *words, "-q")
    assert answer.code == 2
    assert part in answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(folder) == {"small.yaml"}


def test_controllability_prints_a_table_and_one_document_and_draws_where_it_is_told_to(run, folder, solved):
    result = solved[0] / "out" / "result.nc"
    answer = run("controllability", result, "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert {"noise", "metric", "singular_values", "rank", "trace_share", "gains"} <= set(found)
    assert (found["noise"], found["metric"]) == (1.0, "energy")
    assert found["rank"]["1e-6"] <= len(found["singular_values"])
    for words in ("to first order about them", "share of any drift's trace", "one more neuron lowers J fastest"):
        assert words in answer.err
    assert "unreachable" not in answer.err
    assert files(folder) == {"small.yaml"}
    drawn = run("controllability", result, "--metric", "effort", "-o", "out", "-q")
    assert (drawn.code, drawn.out, drawn.err) == (0, "", "")
    assert files(folder / "out") == {"directions.png", "insertion.png"}


def test_controllability_of_what_has_none_exits_2_in_one_line(run, folder, solved):
    result = solved[0] / "out" / "result.nc"
    (folder / "given.yaml").write_text(HEAT + "drift: {kind: exact}\n")
    assert run("evaluate", "given.yaml", "-o", "given", "-q").code == 0
    for words, part in (
        ((result, "--metric", "mass"), "--metric must be one of energy, effort (got 'mass')"),
        (("given/result.nc",), "no network"),
        (("small.yaml",), "small.yaml"),
        (("missing.nc",), "missing.nc"),
    ):
        answer = run("controllability", *words, "-q")
        assert answer.code == 2, answer.err
        assert part in answer.err
        assert len(answer.err.splitlines()) == 1

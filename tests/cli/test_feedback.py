"""The command `feedback`: what it prints, writes and refuses."""

import pytest

from controlsde.verification.certificate import LIMITS

from .commands import files

NORMAL = "{kind: mixture, weights: [1], means: [[0.3]], stds: [0.05]}"


@pytest.fixture
def result(solved, folder):
    """The small result in a folder of its own."""
    (folder / "r.nc").write_bytes((solved[0] / "out" / "result.nc").read_bytes())
    return "r.nc"


def test_it_prints_the_numbers_of_one_way_of_feedback_and_writes_nothing(run, folder, result):
    answer = run("feedback", result, "--start", NORMAL, "--json")
    assert answer.code == 0, answer.err
    document = answer.json
    assert list(document)[:5] == ["noise", "by", "nominal", "open_loop", "closed_loop"]
    assert document["by"] == "riccati"
    assert document["every"] is None
    assert 0 < document["nominal"] < document["open_loop"]
    assert document["verified"] is True
    assert "started from {kind: mixture" in answer.err
    assert all(word in answer.err for word in ("right start", "open loop", "Riccati"))
    assert "re-planned" not in answer.err
    assert files(folder) == {"small.yaml", "r.nc"}


def test_several_ways_and_results_are_a_list_a_table_and_one_picture(run, folder, result):
    words = ("--start", "uniform", "--by", "replan", "--by", "riccati", "--every", "2", "-o", "out")
    answer = run("feedback", result, result, *words, "--json")
    assert answer.code == 0, answer.err
    assert [one["by"] for one in answer.json] == ["riccati", "replan"] * 2
    assert [one["every"] for one in answer.json] == [None, 2] * 2
    assert "re-planned" in answer.err
    assert files(folder / "out") == {"feedback.png"}


def test_quiet_says_nothing(run, result):
    answer = run("feedback", result, "--start", "uniform", "--by", "replan", "-q")
    assert (answer.code, answer.out, answer.err) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "--start is needed"),
        (("--start", "{kind: mixture, means: [[0, 0]], stds: [1]}"), "--start:1:24: means must hold points of dim"),
        (("--start", "{kind: mixture, means: [[0.5]], stds: [0.0001]}"), "--start: the mesh"),
        (("--start", "{kind: mixture, means: [[3]], stds: [1]}"), "--start:1:1: has mass"),
        (("--start", "normal"), "--start:1:1: must be one of 'mixture'"),
        (("--start", "{kind: mixture, means: [0"), "--start:1:26: not valid YAML"),
        (("--start", "uniform", "--by", "magic"), "--by must be one of riccati, replan (got 'magic')"),
        (("--start", "uniform", "--every", "3"), "--every must be from 1 to 2"),
        (("--start", "uniform", "--every", "0"), "--every must be from 1 to 2"),
    ],
)
def test_what_cannot_be_asked_exits_2_in_one_line(run, folder, result, words, part):
    answer = run("feedback", result, *words, "-q")
    assert answer.code == 2
    assert part in answer.err
    assert len(answer.err.splitlines()) == 1
    assert files(folder) == {"small.yaml", "r.nc"}


def test_a_result_without_controls_and_one_that_is_not_there_exit_2(run):
    assert run("evaluate", "small.yaml", "--set", "drift=exact", "-o", "given", "-q").code == 0
    answer = run("feedback", "given/result.nc", "--start", "uniform", "-q")
    assert answer.code == 2
    assert answer.err.startswith("given/result.nc: this result has no network")
    assert len(answer.err.splitlines()) == 1
    assert run("feedback", "none.nc", "--start", "uniform", "-q").code == 2


def test_a_loop_that_does_not_verify_exits_4_and_says_so(run, monkeypatch, result):
    monkeypatch.setitem(LIMITS, "refined_l2_change", 0.0)
    answer = run("feedback", result, "--start", "uniform")
    assert answer.code == 4
    assert "closed loop by riccati: NOT VERIFIED" in answer.err

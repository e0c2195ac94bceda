"""The command `sweep`: what it says, what it leaves, and what it refuses in one line."""

import pytest

from tests.sweeps.cases import TINY

SETS = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
ASKED = ["two-bumps", "--vary", "noise=0,1", *SETS]


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return tmp_path_factory.mktemp("swept")


def test_a_sweep_says_what_it_will_do_does_it_and_goes_on(run, swept):
    first = run("sweep", *ASKED, "-o", str(swept / "runs"), "--workers", "1", "--json")
    assert first.code in (0, 3), first.err  # few iterations: whether they converge is not the question
    for words in ("2 runs in", "2 to do: noise 0, 1", "1 at a time, about", "2 of 2 runs have ended", "sweep.csv"):
        assert words in first.err
    assert first.json["runs"] == 2
    again = run("sweep", *ASKED, "-o", str(swept / "runs"), "--json")
    assert again.json["entries"] == first.json["entries"]
    assert "2 runs in" in again.err
    assert "0 to do" in again.err
    status = run("sweep", "status", str(swept / "runs"))
    assert status.code == 0
    assert "2 of 2 runs have ended" in status.err
    page = swept / "runs/sweep.html"
    assert "of 2 runs have a page of their own" in page.read_text(encoding="utf-8")
    assert not list((swept / "runs/runs").glob("*/report.html"))
    page.unlink()
    reported = run("sweep", "report", str(swept / "runs"), "--workers", "1")
    assert reported.code == first.code
    assert "and the page sweep.html" in reported.err
    for place in (swept / "runs/runs").glob("*"):
        assert f'href="runs/{place.name}/report.html"' in page.read_text(encoding="utf-8")
        assert (place / "report.html").is_file()


def test_a_climb_is_told_and_a_file_of_it_takes_no_options(run, folder):
    climb = ["--vary", "controls.pieces=2,4", "--climb", "controls.pieces", "--workers", "1"]
    words = run("sweep", "two-bumps", *climb, "-o", "runs", *SETS[2:], "--budget", "1e-9").err
    assert "controls.pieces 2, 4, each from the answer before" in words
    assert "1 at a time, about" in words
    (folder / "sweep.yaml").write_text("problems: [two-bumps]\nvary: {noise: [0, 1]}\nclimb: noise\n", encoding="utf-8")
    refused = run("sweep", "sweep.yaml", "--climb", "noise", "-o", "x")
    assert refused.code == 2
    assert "leave --vary, --climb and --set out" in refused.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["two-bumps", "-o", "x"], "nothing is varied"),
        (["two-bumps", "--vary", "noise=0,1"], "-o DIR is needed"),
        (["two-bumps", "--vary", "noise=", "-o", "x"], "noise has no values"),
        (["two-bumps", "--vary", "noise=0", "--vary", "noise=1", "-o", "x"], "--vary noise is given twice"),
        (["two-bumps", "--vary", "noise=0,1", "--set", "noise=2", "-o", "x"], "noise is set and varied"),
        (["two-bumps", "--vary", "nois=0,1", "-o", "x"], "did you mean 'noise'"),
        (["none", "--vary", "noise=0,1", "-o", "x"], "no shipped problem of that name"),
        (["two-bumps", "two-bumps", "--vary", "noise=0,1", "-o", "x"], "two problems are called two-bumps"),
        (["two-bumps", "--vary", "noise=0,1", "-o", "x", "--executor", "ray"], "executor must be processes, dask"),
        (["two-bumps", "--vary", "noise=0,1", "-o", "x", "--workers", "0"], "--workers must be at least 1"),
        (["two-bumps", "--vary", "noise=0,1", "-o", "x", "--budget", "0"], "--budget must be more than 0"),
        (["two-bumps", "--vary", "noise=0,1", "--climb", "network.width", "-o", "x"], "climb along noise, or not"),
        (["status", "nowhere"], "holds no sweep"),
        (["status", "a", "--climb", "noise"], "takes the folder alone"),
        (["status"], "takes one folder"),
        (["retry", "a", "-o", "x"], "takes the folder alone"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_and_nothing_is_left(run, folder, words, told):
    answer = run("sweep", *words)
    assert answer.code == 2, answer.err
    assert answer.out == ""
    assert told in answer.err
    said = [line for line in answer.err.splitlines() if not line.strip()[:1].isdigit()]
    assert len(said) == 1, answer.err
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]

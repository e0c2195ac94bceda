"""The solvers that fit the drift, from a problem to what every solver prints."""

import pytest

import controlsde as cs
from controlsde.problem import parse_problem

from .commands import HEAT
from .test_cli import CERTIFICATE_KEYS, ENTRY_KEYS, L2_KEYS, TRACKING_KEYS

FOUR = {"controls.pieces": 4}


def has_the_documented_keys(document):
    assert set(document) >= ENTRY_KEYS
    assert set(document["tracking"]) == TRACKING_KEYS
    assert set(document["discrete"]) == L2_KEYS
    assert set(document["certificate"]) >= CERTIFICATE_KEYS


def test_score_matching_prints_the_usual_json_and_what_the_fit_leaves(run):
    answer = run("solve", "small.yaml", "--set", "solver.kind=score-matching", "--json", "-o", "out")
    assert answer.code == 0, answer.err
    document = answer.json
    has_the_documented_keys(document)
    assert document["solver"] == "score-matching"
    assert document["status"] == "converged"
    assert document["verified"] is True
    assert document["certificate"]["gradient_norm"] <= 1e-6  # a hundred tolerances, where rounding ends the fit
    assert "converged: the fit leaves" in answer.err
    kept = cs.Result.load("out/result.nc")
    assert kept.problem.solver.kind == "score-matching"
    assert kept.message.startswith("converged: the fit leaves")


def test_a_comparison_takes_switching(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problem = parse_problem(HEAT, set=FOUR)
    comparison = cs.compare(problem, noise=[0.5, 1.0], solver="switching")
    assert comparison.converged
    assert comparison.verified
    assert comparison.cross.shape == (2, 2)
    for entry in comparison.to_json()["entries"]:
        has_the_documented_keys(entry)
        assert entry["solver"] == "switching"


def test_periods_that_do_not_fill_the_pieces_are_refused_in_one_line(run):
    answer = run("solve", "small.yaml", "--solver", "switching")
    assert answer.code == 2
    assert "controls.pieces must hold whole periods of switching" in answer.err
    assert len(answer.err.strip().splitlines()) == 1


@pytest.mark.parametrize("kind", ["shooting", "collocation"])
def test_a_start_by_switching_goes_through_refinement_and_coarser_problems(kind):
    solver = {"kind": kind, "start": "switching", "starts": 1, "iterations": 30}
    cheap = {**FOUR, "monte_carlo.particles": 500, "solver": solver}
    plain = cs.solve(parse_problem(HEAT, set=cheap))
    refined = cs.solve(parse_problem(HEAT, set={**cheap, "solver": {**solver, "refine": [2]}}))
    assert plain.verified
    assert refined.verified
    assert len(plain.starts) == 1

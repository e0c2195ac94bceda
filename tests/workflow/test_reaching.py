"""What it takes to come within a distance: the three verdicts, the ladders, and a search that goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from controlsde.controllability.energy_bound import energy_bound
from controlsde.problem import load_problem
from controlsde.report.figures import save_reach
from controlsde.tracking.posed import Posed
from controlsde.workflow import reaching
from controlsde.workflow.reach_ladders import MOST, ReachError, ladder
from controlsde.workflow.reaching import reach

SMALL = {
    "solver.starts": 3,
    "solver.hops": 0,
    "monte_carlo.particles": 4000,
    "reference.data": {"kind": "mixture", "weights": [1.0], "means": [0.6], "stds": [0.5]},
    "reference.horizon": 1.0,
    "controls.pieces": 4,
}


def small(**changes):
    return load_problem("two-bumps", set={**SMALL, **changes})


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ladder")
    problem = small(**{"controls.lengths": "free"})
    return problem, folder, reach(problem, 0.05, "pieces", folder=folder, frontier=True)


def test_pieces_are_added_until_one_answer_is_near_enough_and_verified(climbed):
    _, _, found = climbed
    assert found.verdict == "reached"
    assert [row.problem.controls.pieces for row in found.tried] == list(range(1, int(found.value) + 1))
    assert all(row.error("l2") > 0.05 for row in found.tried[:-1])
    assert found.answer is found.tried[-1]
    assert found.answer.error("l2") <= 0.05
    assert found.result.verified


def test_its_json_says_it_all(climbed):
    problem, _, found = climbed
    document = json.loads(json.dumps(found.to_json()))
    assert set(document) >= {
        "problem", "noise", "within", "least", "verdict", "value", "error", "energy", "energy_bound", "price", "tried",
        "result",
    }  # fmt: skip
    assert document["energy_bound"] == pytest.approx(energy_bound(problem, 0.05).value)
    assert document["price"] >= 1.0
    assert set(document["tried"][0]) >= {"pieces", "width", "error", "energy", "verified"}
    assert document["result"].endswith(".nc")


def test_a_search_that_is_begun_again_goes_on_from_what_was_kept(climbed, monkeypatch):
    problem, folder, found = climbed
    monkeypatch.setattr(reaching, "solve_posed", lambda *_, **__: pytest.fail("solved again"))
    again = reach(problem, 0.05, "pieces", folder=folder)
    assert again.value == found.value
    assert again.answer.error("l2") == found.answer.error("l2")
    monkeypatch.undo()
    other = small(**{"controls.lengths": "free", "solver.seed": 1})
    fresh = reach(other, 0.4, "pieces", folder=folder)
    assert fresh.verdict == "reached"
    assert fresh.answer.result.problem.solver.seed == 1  # what was kept is of another problem


def test_what_is_near_enough_and_not_verified_is_no_answer(climbed):
    _, _, found = climbed
    answer = found.answer
    assert reaching._good(answer, 0.05, "l2", None)
    checks = (replace(answer.result.certificate.checks[0], passed=False), *answer.result.certificate.checks[1:])
    doubtful = replace(answer.result, certificate=replace(answer.result.certificate, checks=checks))
    assert not reaching._good(replace(answer, result=doubtful), 0.05, "l2", None)


def test_a_rung_that_was_cut_short_is_told_and_not_kept(climbed, tmp_path, monkeypatch):
    problem, _, found = climbed
    cut = replace(found.answer.result, status="interrupted")
    monkeypatch.setattr(reaching, "solve_posed", lambda *_, **__: cut)
    short = reach(problem, 1e-6, "pieces", folder=tmp_path)
    assert short.interrupted
    assert len(short.tried) == 1
    assert list(tmp_path.iterdir()) == []


def test_its_picture_is_drawn(climbed, tmp_path):
    _, _, found = climbed
    (picture,) = save_reach([found], tmp_path)
    assert picture.stat().st_size > 10_000


def test_an_energy_below_the_bound_is_impossible_and_nothing_is_solved(monkeypatch):
    monkeypatch.setattr(reaching, "solve_posed", lambda *_, **__: pytest.fail("solved"))
    problem = small()
    least = energy_bound(problem, 0.05).value
    found = reach(problem, 0.05, "pieces", energy=0.9 * least)
    assert (found.verdict, found.value, found.tried) == ("impossible", None, ())
    assert f"{least:.6g}" in found.words


@pytest.mark.slow
def test_the_least_energy_lies_above_the_bound_and_comes_near_it():
    """One neuron steers one Gaussian well: its price is small, and never below one."""
    found = reach(small(**{"controls.pieces": 8}), 0.1, "energy")
    assert found.verdict == "reached"
    assert 1.0 <= found.value / found.bound < 2.0
    assert found.answer.error("l2") <= 0.1


def test_lengths_that_nobody_gives_are_free_on_a_ladder_of_pieces_and_others_are_kept():
    for name, changes, expected in (
        ("two-bumps", {}, "free"),
        ("two-bumps", {"controls.lengths": 1}, (1.0,)),
        ("vp-cosine", {}, None),
        ("vp-cosine", {"noise": 0}, "free"),
    ):
        problem = load_problem(name, set=changes)
        first = next(ladder(problem, Posed.of(problem), 0.1, "pieces", "l2", limited=False).rungs)
        assert first.problem.controls.lengths == expected


@pytest.mark.slow
def test_under_a_schedule_limits_and_prices_are_of_the_energy_that_is_bounded():
    """The bound is one of ∫∫(D̄/D)|v|²ρ: a limit between that and the plain energy must not tell them apart wrongly."""
    changes = {"solver.starts": 2, "solver.hops": 0, "monte_carlo.particles": 2000, "controls.pieces": 2}
    problem = load_problem("vp-cosine", set=changes | {"mesh.elements": [6], "mesh.degree": 6})
    found = reach(problem, 10.0, "width")
    (row,) = found.tried
    energy = row.result.energy
    assert energy.weighted > 1.01 * energy.value
    assert (row.energy, row.spent) == (energy.value, energy.weighted)
    assert found.to_json()["energy"] == energy.value
    assert not reaching._good(row, 10.0, "l2", 0.5 * (energy.value + energy.weighted))
    assert reaching._good(row, 10.0, "l2", 1.01 * energy.weighted)


def test_what_is_not_found_says_how_near_the_search_came(monkeypatch):
    monkeypatch.setitem(MOST, "pieces", 2)
    found = reach(small(), 1e-4, "pieces")
    assert (found.verdict, found.value) == ("not found", None)
    assert found.words.startswith("not found: the ladder ends after 2 attempts")
    assert f"{found.answer.error('l2'):.4g}" in found.words


def test_a_budget_that_is_spent_ends_the_search():
    found = reach(small(), 1e-4, "pieces", budget=1e-3)
    assert found.verdict == "not found"
    assert "the budget of 0.001 s is spent" in found.words


def test_the_narrowest_network_begins_with_one_neuron():
    found = reach(small(**{"network.width": 3}), 0.2, "width")
    assert found.verdict == "reached"
    assert found.value == 1


@pytest.mark.slow
def test_a_shorter_horizon_is_tried_until_two_in_a_row_are_too_short():
    problem = load_problem(
        "moser-bumps", set={"solver.starts": 2, "solver.hops": 0, "monte_carlo.particles": 4000, "controls.pieces": 4}
    )
    first = reach(problem, 10.0, "horizon", budget=30)
    assert first.verdict == "reached"
    horizons = [row.problem.reference.horizon for row in first.tried]
    np.testing.assert_allclose(np.array(horizons[1:]) / horizons[:-1], 0.8)
    assert first.value == min(row.problem.reference.horizon for row in first.tried if row.result.verified)


@pytest.mark.parametrize(
    ("changes", "question", "words"),
    [
        ({}, {"within": 0.0}, "must be > 0"),
        ({}, {"within": 0.1, "least": "time"}, "must be one of energy, pieces, width, horizon"),
        ({}, {"within": 0.1, "norm": "kl"}, "must be one of l2, w2"),
        ({}, {"within": 0.1, "energy": 0.0}, "a limit on the energy"),
        ({}, {"within": 0.1, "budget": 0.0}, "seconds"),
        ({}, {"within": 0.1, "least": "energy", "norm": "w2"}, "within ε in l2"),
        ({}, {"within": 0.1, "least": "horizon"}, "reference.start: exact"),
        ({"domain.walls": "absorbing"}, {"within": 0.1, "least": "energy"}, "absorbing walls lose mass"),
        ({"controls.lengths": [1, 2, 3, 4]}, {"within": 0.1}, "fit any number"),
        ({"drift": "exact"}, {"within": 0.1}, "remove `drift:`"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_a_line(changes, question, words):
    with pytest.raises(ReachError, match=words) as refused:
        reach(small(**changes), **question)
    assert "\n" not in str(refused.value)

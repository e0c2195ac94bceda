"""With and without noise: the same budget, every control under every noise."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from controlsde.problem import load_problem
from controlsde.tracking.posed import Posed
from controlsde.workflow import comparison
from controlsde.workflow.comparison import NoiseLevelsError, at_noise, check_levels, compare, note
from controlsde.workflow.solving import evaluate

SMALL = {
    "controls.pieces": 4,
    "solver.starts": 1,
    "solver.iterations": 15,
    "monte_carlo.particles": 4000,
    "monte_carlo.steps_per_piece": 32,
}


@pytest.fixture(scope="module")
def compared():
    return compare(load_problem("two-bumps", set=SMALL), [0.0, 0.5])


def test_each_level_is_solved_with_the_same_options_but_for_the_noise(compared):
    assert compared.noise == (0.0, 0.5)
    first, second = (result.problem.model_dump() for result in compared.results)
    assert {**first, "noise": None} == {**second, "noise": None}


def test_the_diagonal_of_the_cross_table_is_each_control_at_its_own_noise(compared):
    np.testing.assert_array_equal(np.diag(compared.cross), [r.tracking.l2_final for r in compared.results])


def test_a_control_under_another_noise_has_the_error_of_an_evaluation(compared):
    own, other = compared.results
    again = evaluate(other.problem, own.controls)
    assert compared.cross[0, 1] == pytest.approx(again.tracking.l2_final, rel=2e-3)
    assert abs(compared.cross[0, 1] - compared.cross[0, 0]) > 1e-2  # noise does matter


def test_the_json_is_that_of_the_contract(compared):
    document = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert {"problem", "entries", "cross", "note"} <= set(document)
    assert [entry["noise"] for entry in document["entries"]] == [0.0, 0.5]
    assert np.shape(document["cross"]) == (2, 2)


def test_the_note_names_the_better_noise_and_warns_of_what_is_not_sound(compared):
    text = note(list(compared.results))
    best = min(compared.results, key=lambda result: result.tracking.l2_final)
    assert f"least at noise {best.noise:g}" in text
    assert "not converged at noise 0, 0.5" in text


def test_the_note_shows_how_far_the_best_starts_lie_apart(compared):
    first, second = compared.results
    text = note([replace(first, starts=(0.3, 0.1, float("nan"), 0.2, 0.4)), second])
    assert "the best starts reached objectives of 0.1 to 0.2 at noise 0" in text
    assert "at noise 0.5;" not in text  # a single start has no spread


def test_where_noise_hurts_equal_pieces_the_note_says_what_to_try(compared):
    first, second = sorted(compared.results, key=lambda result: result.tracking.l2_final)
    quiet, noisy = (
        replace(first, problem=at_noise(first.problem, 0.0)),
        replace(second, problem=at_noise(second.problem, 0.5)),
    )
    cure = "--set controls.lengths=free"
    assert cure in note([quiet, noisy], open_lengths=True)
    assert cure not in note([quiet, noisy])
    helped = [replace(first, problem=noisy.problem), replace(second, problem=quiet.problem)]
    assert cure not in note(helped, open_lengths=True)
    assert (cure in compared.note) == (first.noise == 0.0)


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"controls.lengths": 0.9}, False),
        ({"controls.lengths": "free"}, False),
        ({"solver.kind": "score-matching"}, False),
        ({"reference.forward": {"kind": "vp"}}, False),
        ({"reference.forward": {"kind": "vp"}, "noise": 0.0}, True),
    ],
)
def test_lengths_may_be_free_where_they_are_open_and_the_noise_is_steady(changes, may):
    assert Posed.of(load_problem("two-bumps", set=changes)).may_free_lengths is may


@pytest.mark.parametrize("levels", [[], [1.0, 1.0], [-1.0], [math.nan], [math.inf]])
def test_noise_levels_that_make_no_comparison_are_refused(levels):
    with pytest.raises(NoiseLevelsError):
        check_levels(levels)


def test_an_interruption_at_a_later_level_keeps_what_was_solved(monkeypatch, compared):
    answers = iter([compared.results[0]])

    def solve(*_, **__):
        try:
            return next(answers)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(comparison, "solve", solve)
    kept = compare(load_problem("two-bumps", set=SMALL), [0.0, 0.5])
    assert [result.noise for result in kept.results] == [0.0]

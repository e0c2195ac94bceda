"""A first look: what it lessens, what it leaves, and that time steps stay as long as they were."""

import pytest

from controlsde.problem import list_problems, load_problem
from controlsde.workflow.first_look import MOST_PARTICLES, in_words, little_effort

NAMES = [name for name, _, _ in list_problems()]


@pytest.mark.parametrize("name", NAMES)
def test_the_changes_make_a_valid_problem_of_less_effort_and_nothing_is_left_to_change(name):
    own = load_problem(name)
    changes = little_effort(own)
    quick = load_problem(name, set=changes)
    assert quick.solver.starts <= own.solver.starts
    assert quick.solver.hops <= own.solver.hops
    assert quick.monte_carlo.particles <= min(own.monte_carlo.particles, MOST_PARTICLES)
    assert quick.controls.pieces <= own.controls.pieces
    if own.dimension == 1:
        assert quick.controls.pieces == own.controls.pieces
        assert little_effort(quick) == {}
    elif own.drift is None:
        assert quick.controls.pieces == max(1, min(4, own.controls.pieces // 2))
        assert (quick.solver.starts, quick.solver.hops) == (1, 0)


def test_with_fewer_pieces_steps_are_no_longer_than_they_were():
    own = load_problem("smiley")
    quick = load_problem("smiley", set=little_effort(own))
    assert quick.controls.pieces * quick.mesh.steps_per_piece == own.controls.pieces * own.mesh.steps_per_piece
    steps = quick.monte_carlo.steps_per_piece
    assert quick.controls.pieces * steps == own.controls.pieces * own.monte_carlo.steps_per_piece
    odd = load_problem("moons", set={"controls.pieces": 9, "mesh.steps_per_piece": 3})
    quick = load_problem("moons", set={"controls.pieces": 9, "mesh.steps_per_piece": 3} | little_effort(odd))
    assert quick.controls.pieces * quick.mesh.steps_per_piece >= 27
    assert little_effort(load_problem("moons")).get("mesh.steps_per_piece") is None  # it is auto


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, {"controls"}),
        ({}, {"controls.pieces"}),
        ({"controls.lengths": [1, 1, 1, 1, 1, 1, 1, 2]}, ()),
        ({"solver.refine": [{"pieces": 8, "elements": [3, 3]}]}, ()),
        ({"solver": "score-matching"}, ()),
    ],
)
def test_pieces_stay_where_they_are_given_or_something_hangs_on_them(changes, kept):
    effort = little_effort(load_problem("moons", set=changes), kept)
    assert {"controls.pieces", "mesh.steps_per_piece", "monte_carlo.steps_per_piece"}.isdisjoint(effort)


def test_a_ratio_of_lengths_and_free_lengths_go_with_fewer_pieces():
    for lengths in (0.75, "free"):
        assert little_effort(load_problem("moons", set={"controls.lengths": lengths}))["controls.pieces"] == 4


def test_what_is_kept_is_not_lessened():
    effort = little_effort(load_problem("two-bumps"), {"solver.hops", "monte_carlo"})
    assert effort == {"solver.starts": 4}
    assert little_effort(load_problem("two-bumps"), {"solver", "monte_carlo"}) == {}


def test_the_words_say_what_is_changed_from_what_to_what():
    own = load_problem("two-bumps")
    words = in_words(own, little_effort(own))
    assert words.startswith("--quick takes a first look: ")
    assert "solver.starts 8 → 4" in words
    assert "solver.hops 256 → 8" in words
    assert in_words(own, {}) == ""

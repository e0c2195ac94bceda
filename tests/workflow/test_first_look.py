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
    if own.domain.free:
        assert quick.solver.tolerance > own.solver.tolerance
        assert little_effort(quick) == {}
        return
    assert quick.solver.hops <= own.solver.hops
    assert quick.monte_carlo.particles <= min(own.monte_carlo.particles, MOST_PARTICLES)
    assert quick.controls.pieces <= own.controls.pieces
    if own.dimension == 1:
        assert quick.controls.pieces == own.controls.pieces
        assert little_effort(quick) == {}
    elif own.drift is None:
        assert quick.controls.pieces == {8: 4, 4: 3}[own.controls.pieces]
        assert quick.controls.lengths == ((0.5,) if own.reference.kind == "reversed-diffusion" else None)
        assert (quick.solver.starts, quick.solver.hops) == (1, 0)


def test_with_fewer_pieces_steps_are_no_longer_than_they_were():
    own = load_problem("smiley")
    quick = load_problem("smiley", set=little_effort(own))
    for part in ("mesh", "monte_carlo"):
        before, after = (getattr(one, part).steps_per_piece for one in (own, quick))
        assert 0 <= quick.controls.pieces * after - own.controls.pieces * before < quick.controls.pieces
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


def test_a_ratio_of_lengths_stays_and_free_lengths_which_take_long_become_one():
    effort = little_effort(load_problem("moons", set={"controls.lengths": 0.75}))
    assert effort["controls.pieces"] == 4
    assert "controls.lengths" not in effort
    free = load_problem("moons", set={"controls.lengths": "free"})
    assert little_effort(free)["controls.lengths"] == 0.5
    assert "controls.lengths free → 0.5" in in_words(free, little_effort(free))
    even = load_problem("moser-square", set={"controls.lengths": "free"})
    assert little_effort(even)["controls.lengths"] is None
    assert "controls.lengths free → equal" in in_words(even, little_effort(even))
    assert load_problem("moser-square", set={"controls.lengths": "free"} | little_effort(even)).controls.lengths is None
    line = load_problem("two-bumps", set={"controls.lengths": "free"})
    assert "controls.lengths" not in little_effort(line)
    assert "controls.lengths" not in little_effort(load_problem("moons"), {"controls.lengths"})


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
    plane = load_problem("moons")
    assert "controls.pieces 8 → 4, controls.lengths equal → 0.5" in in_words(plane, little_effort(plane))


def test_one_piece_and_three_stay_as_many():
    for pieces in (1, 2, 3):
        assert "controls.pieces" not in little_effort(load_problem("moons", set={"controls.pieces": pieces}))

"""Free lengths and a price of energy in a problem file: what is taken, and what is refused in a line."""

import pytest

from controlsde.problem import ProblemError, load_problem
from controlsde.reference import ReferenceError  # noqa: A004
from controlsde.tracking.posed import Posed


def test_free_lengths_are_read_and_written_again():
    problem = load_problem("two-bumps", set={"controls.lengths": "free", "controls.shortest": 0.02})
    assert problem.controls.free
    assert "lengths: free" in problem.to_yaml()
    assert problem.controls.shares == pytest.approx([1 / 16] * 16)
    assert type(problem).model_validate(problem.model_dump(by_alias=True, exclude_none=True)) == problem


def test_without_a_shortest_it_is_a_hundredth_or_a_tenth_of_the_mean():
    controls = load_problem("two-bumps", set={"controls.lengths": "free"}).controls
    assert controls.shortest_of(1.5) == pytest.approx(1.5 / 160)
    assert controls.shortest_of(16.0) == 0.01


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"controls.lengths": "fre"}, "must be free, one ratio, or one length a piece"),
        ({"controls.lengths": "free", "controls.shortest": 0.1}, "times 16 pieces is 1.6, and the horizon is 1.5"),
        ({"controls.lengths": "free", "controls.shortest": 0}, "must be > 0"),
        ({"controls.shortest": 0.1}, "is for controls.lengths: free"),
        ({"controls.lengths": "free", "solver": "switching"}, "free is for solver.kind shooting or collocation"),
        (
            {"controls.lengths": "free", "solver": {"kind": "collocation", "nlp_solver": "fatrop"}},
            "fatrop takes no controls.lengths: free",
        ),
        ({"objective.energy": -1}, "must be >= 0"),
        (
            {"objective.energy": 1, "solver": {"kind": "collocation", "nlp_solver": "fatrop"}},
            "fatrop takes no objective.energy",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_cure(changes, words):
    with pytest.raises(ProblemError, match=words):
        load_problem("two-bumps", set=changes)


def test_a_noise_that_varies_in_time_is_refused_with_free_lengths():
    with pytest.raises(ReferenceError, match="free needs a noise that does not vary in time"):
        Posed.of(load_problem("vp-cosine", set={"controls.lengths": "free"})).on()
    assert Posed.of(load_problem("vp-cosine", set={"controls.lengths": "free", "noise": 0})).on().free is not None

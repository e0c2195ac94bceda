"""What is minimised and how large weights may be: what does not fit is told in one line."""

import pytest

from controlsde.problem import ProblemError, parse_problem

PROBLEM = """
domain: {box: [[-4, 4]]}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {kind: mixture, means: [0], stds: [0.5]}
"""


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"objective": {"running": 0, "terminal": 0}}, "nothing is tracked"),
        ({"objective.norm": "h-1", "domain.walls": "absorbing"}, "h-1 compares densities of one mass"),
        ({"controls.bounds": [1, 2]}, "controls.bounds must be a number, or a mapping of A, W and b"),
        ({"controls.bounds": {"A": 0}}, "controls.bounds.A must be > 0"),
    ],
)
def test_objectives_and_bounds_that_do_not_fit_are_refused_in_one_line(objective, message):
    with pytest.raises(ProblemError) as refused:
        parse_problem(PROBLEM, set=objective)
    assert len(refused.value.messages) == 1
    assert message in str(refused.value)


def test_one_bound_is_a_bound_for_each_group_and_is_written_as_one_number():
    bounds = parse_problem(PROBLEM, set={"controls.bounds": 3}).controls.bounds
    assert bounds.groups == {"A": 3.0, "W": 3.0, "b": 3.0}
    assert bounds.model_dump() == 3.0
    assert str(bounds) == "±3"
    given = {"A": 1.0, "W": 2.0, "b": 4.0}
    resolved = parse_problem(PROBLEM, set={"controls.bounds": given})
    assert resolved.controls.bounds.model_dump() == given
    assert parse_problem(resolved.to_yaml()) == resolved

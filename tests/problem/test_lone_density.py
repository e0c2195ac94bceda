"""A density outside a problem file: the keys, checks and words of one inside, after the name of the argument."""

import pytest

from controlsde.problem import parse_problem
from controlsde.problem.lone_density import LoneDensityError, parse_density, read_lone

LINE = ((-6.0, 6.0),)


def parsed(given, box=LINE, folder=None):
    return parse_density(read_lone(given, "start"), box, folder)


@pytest.mark.parametrize(
    "text",
    [
        "{kind: mixture, weights: [1], means: [[0]], stds: [1]}",
        "kind: mixture\nmeans: [0, 1]\nstds: [1, 0.5]\n",
        "uniform",
        "{kind: uniform, low: [-1], high: [2]}",
        "{kind: formula, expression: exp(-x^2)}",
    ],
)
def test_it_is_the_density_that_a_problem_has_of_the_same_text(text):
    inside = "\n".join(f"    {line}" for line in text.splitlines())
    head = "domain: {box: [[-6, 6]]}\nreference:\n  kind: reversed-diffusion\n  horizon: 1\n  data:\n"
    problem = parse_problem(f"{head}{inside}\n")
    assert parsed(text) == problem.reference.data


def test_a_mapping_is_as_good_as_text():
    assert parsed({"kind": "mixture", "means": [[0]], "stds": [1]}) == parsed("{kind: mixture, means: [0], stds: [1]}")


def test_points_come_out_of_a_file_beside_it(tmp_path):
    (tmp_path / "points.csv").write_text("a,b\n1,2\n3,4\n")
    density = parsed("{kind: samples, file: points.csv, columns: [b], bandwidth: 0.3}", folder=tmp_path)
    assert density.points == ((2.0,), (4.0,))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{kind: mixtur, means: [0]}", "start:1:8: kind must be one of 'mixture'"),
        ("{kind: mixture, means: [[0, 1]], stds: [1]}", "start:1:24: means must hold points of dimension 1"),
        ("{kind: mixture, means: [[0]], stds: [-1]}", "start:1:38: stds.0 must be > 0 (got -1)"),
        ("{kind: mixture, means: [0], stds: [3]}", "start:1:1: has mass 0.0455 outside the box"),
        ("{kind: mixture, means: [0", "start:1:26: not valid YAML"),
        ("{kind: uniform, kind: uniform}", "start:1:17: kind is written twice"),
        ("gaussian", "start:1:1: must be one of 'mixture'"),
        ("3", "start:1:1: must be a mapping with a kind"),
        ("", "start:1:1: must be a mapping with a kind"),
        ("[1]", "start:1:1: must be a mapping with a kind"),
        ("{kind: samples, file: none.csv, columns: [a], bandwidth: 1}", "start:1:23: file 'none.csv' does not exist"),
        ("{kind: formula, expression: 'exp(-x^2'}", "start:1:29: expression column 9"),
        ({"kind": "mixture", "means": [[0]], "stds": [0]}, "start: stds.0 must be > 0 (got 0)"),
    ],
)
def test_what_is_wrong_is_one_line_with_place_and_cure(given, message):
    with pytest.raises(LoneDensityError) as caught:
        parsed(given)
    (line,) = caught.value.lines
    assert line.startswith(message)
    assert caught.value.argument == "start"


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(LoneDensityError) as caught:
        parsed("{kind: mixture, mean: [[0]], stds: [1]}")
    assert len(caught.value.lines) == 2
    assert "did you mean 'means'?" in caught.value.lines[1]

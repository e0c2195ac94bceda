"""Columns in units of their own spread, and the advice to make them so where the box is on another scale."""

from fractions import Fraction

import numpy as np
import pytest

from controlsde.problem import parse_problem
from controlsde.problem.standardizing import constant_columns, standardized

from .texts import GOOD, messages

RNG = np.random.default_rng(1)
UNIX_TIMES = [1.7e9 + 1e6 * float(value) for value in RNG.standard_normal(200).clip(-3, 3)]
HEIGHTS = [float(round(171 + 9 * value, 1)) for value in RNG.standard_normal(200).clip(-2.3, 2.3)]


def samples(points, **keys):
    return {"reference.data": {"kind": "samples", "points": points, "bandwidth": 0.3, **keys}, "domain.box": [[-5, 5]]}


def exactly(points):
    """The standardised points, by fractions up to the last root."""
    values = [Fraction(value) for value in points]
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return np.array([float(value - mean) for value in values]) / np.sqrt(float(variance))


@pytest.mark.parametrize("value", [0.1, 2.5, 1e-9, -1.7e9, 0.0, 1 / 3])
@pytest.mark.parametrize("count", [1, 3, 41, 150])
def test_a_column_of_one_value_does_not_spread(value, count):
    (line,) = messages(set=samples([value] * count, standardize=True))
    assert "reference.data.standardize needs points that differ in every column (coordinate 1 is " in line


def test_a_column_that_differs_by_rounding_alone_does_not_spread():
    assert constant_columns(((0.1 + 0.2,), (0.3,))) == [0]
    assert constant_columns(((1.7e9,), (1.7e9 + 2.4e-7,))) == [0]
    assert constant_columns(((1.0, 5.0), (1.0, 5.1))) == [0]
    assert constant_columns(((1.7e9,), (1.7e9 + 1,))) == []
    assert constant_columns(((0.0,), (1e-90,))) == []


@pytest.mark.parametrize(
    "points",
    [
        UNIX_TIMES,
        HEIGHTS,
        [1e15 + k for k in range(50)],
        [6e23 * (1 + k / 1e6) for k in range(9)],
        [1e-12, 3e-12, 9e-12],
    ],
    ids=["unix", "heights", "1e15", "6e23", "1e-12"],
)
def test_standardized_points_are_right_to_rounding_however_large_they_were(points):
    found = standardized(tuple((value,) for value in points))
    np.testing.assert_allclose(np.array(found.points)[:, 0], exactly(points), rtol=1e-14, atol=1e-15)
    back = np.array(found.points) * found.scale + found.shift
    np.testing.assert_allclose(back[:, 0], points, rtol=0, atol=4e-16 * max(points))


def test_unix_times_are_accepted_and_read_back_as_they_were():
    problem = parse_problem(GOOD, set=samples(UNIX_TIMES, standardize=True))
    data = problem.reference.data
    assert data.shift[0] == pytest.approx(np.mean(UNIX_TIMES), rel=1e-15)
    assert data.scale[0] == pytest.approx(np.std(UNIX_TIMES), rel=1e-12)
    assert parse_problem(problem.to_yaml()) == problem


@pytest.mark.parametrize("points", [UNIX_TIMES, HEIGHTS], ids=["unix", "heights"])
def test_data_on_another_scale_are_sent_to_standardize_which_is_a_cure(points):
    (line,) = messages(set=samples(points))
    assert "add standardize: true" in line
    assert "widen" not in line
    assert parse_problem(GOOD, set=samples(points, standardize=True))


def test_a_bandwidth_in_old_units_is_given_in_new_ones_which_is_a_cure():
    (line,) = messages(set=samples(HEIGHTS, bandwidth=4.5))
    bandwidth = float(line.split("bandwidth: ")[1].split(",")[0])
    assert bandwidth == pytest.approx(4.5 / np.std(HEIGHTS), rel=0.01)
    assert parse_problem(GOOD, set=samples(HEIGHTS, bandwidth=bandwidth, standardize=True))


def test_where_standardized_data_do_not_fit_a_box_is_named_as_a_cure():
    raw = {**samples(HEIGHTS), "domain.box": [[0, 10]]}
    (line,) = messages(set=raw)
    low, high = (float(part) for part in line.split("domain.box: [[")[1].rstrip("]").split(", "))
    bandwidth = float(line.split("bandwidth: ")[1].split(",")[0])
    cured = {**samples(HEIGHTS, bandwidth=bandwidth, standardize=True), "domain.box": [[low, high]]}
    assert parse_problem(GOOD, set=cured)


def test_data_a_little_beyond_the_box_are_sent_to_a_wider_one():
    (line,) = messages(set=samples([1, 2, 7]))
    assert "widen domain.box to [[-5, 8.7]]" in line
    assert parse_problem(GOOD, set={**samples([1, 2, 7]), "domain.box": [[-5, 8.7]]})


@pytest.mark.parametrize(("mean", "std"), [(4, 1), (171, 9), (3e-4, 1e-4), (123456.7, 1.3), (-2e5, 3e4)])
def test_the_wider_box_for_a_mixture_is_a_cure_on_any_scale(mean, std):
    mixture = {"reference.data": {"kind": "mixture", "means": [mean], "stds": [std]}, "domain.box": [[-1e-3, 1e-4]]}
    (line,) = messages(set=mixture)
    low, high = (float(part) for part in line.split("domain.box to [[")[1].split("]]")[0].split(", "))
    assert parse_problem(GOOD, set={**mixture, "domain.box": [[low, high]]})


def test_data_that_fit_no_box_that_is_allowed_are_not_sent_to_one():
    mixture = {"kind": "mixture", "means": [0], "stds": [1e7]}
    (line,) = messages(set={"reference.data": mixture})
    assert "it fits into no box that is allowed" in line
    assert "widen" not in line

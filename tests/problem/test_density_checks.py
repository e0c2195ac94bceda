"""Densities must fit the box: place, dimension, size, each with a cure."""

import pytest

from controlsde.problem import (
    parse_problem,
)

from .texts import GOOD, TWO_DIMENSIONS, changed, messages


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"kind": "uniform", "low": -6}, "reference.data.low must lie inside the box [-5, 5] (got -6)"),
        ({"kind": "uniform", "high": 6}, "reference.data.high must lie inside the box [-5, 5] (got 6)"),
        ({"kind": "uniform", "low": 1, "high": 1}, "must leave low < high (got low 1, high 1)"),
        ({"kind": "uniform", "low": 5}, "reference.data.low must leave low < high (got low 5, high 5)"),
        ({"kind": "uniform", "low": [0, 1]}, "reference.data.low must have 1 number(s)"),
        ({"kind": "truncated", "mean": 0, "std": 0}, "reference.data.std must be > 0 (got 0)"),
        ({"kind": "truncated", "mean": [0, 0], "std": 1}, "reference.data.mean must have 1 number(s)"),
        ({"kind": "truncated", "mean": 0, "std": [1, 2]}, "reference.data.std must have 1 number(s)"),
        ({"kind": "truncated", "mean": 99, "std": 1},
         "reference.data.mean puts only 0 of the Gaussian between"),
        ({"kind": "truncated", "mean": 0, "std": 1, "low": 8},
         "reference.data.low must lie inside the box [-5, 5] (got 8)"),
        ({"kind": "formula", "expression": "x"}, "must be nonnegative on the box (got -5 at x = -5)"),
        ({"kind": "formula", "expression": "1/x"}, "must be finite on the box (got inf at x = 0)"),
        ({"kind": "formula", "expression": "sqrt(x)"}, "must be finite on the box (got nan at x = -5)"),
        ({"kind": "formula", "expression": "0*x"}, "zero everywhere"),
        ({"kind": "formula", "expression": "1e200*x**2"}, "between 1e-100 and 1e+100 (got 2.5e+201)"),
        ({"kind": "formula", "expression": "exp(-1e3 - x**2)"}, "zero everywhere"),
        ({"kind": "formula", "expression": "exp(y)"}, "column 5: 'y' is not a known name; known: x, pi, e"),
        ({"kind": "formula", "expression": ""}, "reference.data.expression must not be empty"),
        ({"kind": "formula", "expression": ["x"]}, "reference.data.expression must be text (got ['x'])"),
        ({"kind": "samples", "bandwidth": 1, "points": [[0], [0, 1]]},
         "reference.data.points.1 must have 1 number"),
        ({"kind": "samples", "bandwidth": 1}, "needs either file, with columns, or points"),
        ({"kind": "mixture", "means": [4], "stds": [1]},
         "reference.data has mass 0.159 outside the box, and at most 1e-06 is allowed; "
         "widen domain.box to [[-5, 9.5]], or use a density with kind: truncated"),
        ({"kind": "mixture", "means": [4], "covariances": [1]},
         "reference.data has mass 0.159 outside the box, and at most 1e-06 is allowed; "
         "widen domain.box to [[-5, 9.5]]"),
        ({"kind": "student-t", "degrees_of_freedom": 0, "location": 0, "scale": 1},
         "reference.data.degrees_of_freedom must be > 0 (got 0)"),
        ({"kind": "student-t", "degrees_of_freedom": -1, "location": 0, "scale": 1},
         "reference.data.degrees_of_freedom must be > 0 (got -1)"),
        ({"kind": "student-t", "degrees_of_freedom": 3, "location": 0, "scale": 0},
         "reference.data.scale must be > 0 (got 0)"),
        ({"kind": "student-t", "degrees_of_freedom": 3, "location": 0, "scale": [1, 2]},
         "reference.data.scale must have 1 number(s), as location has"),
        ({"kind": "student-t", "degrees_of_freedom": 3, "location": [0, 0], "scale": 1},
         "reference.data.location must have 1 number(s), one a dimension of domain.box (got 2)"),
        ({"kind": "student-t", "degrees_of_freedom": 30, "location": 99, "scale": 1},
         "reference.data.location is so far outside the box that less than 1e-09 of the peak is on it"),
        ({"kind": "funnel", "std": 1},
         "reference.data.kind funnel needs at least two dimensions (domain.box has 1)"),
        ({"kind": "image", "pixels": [[0, 1]], "bandwidth": 1},
         "reference.data.kind image needs two dimensions (domain.box has 1)"),
    ],
)  # fmt: skip
def test_a_density_must_fit_the_box(data, expected):
    found = messages(set={"reference.data": data})
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"kind": "mixture", "means": [[0, 0]]}, "reference.data needs either stds or covariances, and not both"),
        ({"kind": "mixture", "means": [[0, 0]], "stds": [1], "covariances": [[[1, 0], [0, 1]]]},
         "reference.data needs either stds or covariances, and not both"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[1, 0]]},
         "reference.data.covariances.0 must be a matrix, a list of rows such as [[1, 0], [0, 1]] (got [1, 0])"),
        ({"kind": "mixture", "means": [[0, 0], [1, 1]], "covariances": [[[1, 0], [0, 1]]]},
         "reference.data.covariances must have one entry for each of the 2 means (got 1)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[1, 0], [0]]]},
         "reference.data.covariances.0 must be a 2 x 2 matrix, a list of rows (got rows of length 2, 1)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[1]]]},
         "reference.data.covariances.0 must be a 2 x 2 matrix, a list of rows (got rows of length 1)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[1, 0.5], [0.4, 1]]]},
         "reference.data.covariances.0 must be symmetric (got 0.5 and 0.4 for coordinates 1 and 2)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[1, 2], [2, 1]]]},
         "reference.data.covariances.0 must be positive definite "
         "(given those before it, coordinate 2 has variance -3)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[0.25, 0.5], [0.5, 1]]]},
         "reference.data.covariances.0 must be positive definite "
         "(given those before it, coordinate 2 has variance 0)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[1, 0], [0, -1]]]},
         "reference.data.covariances.0 must be positive definite (the variance of coordinate 2 is -1)"),
        ({"kind": "mixture", "means": [[0, 0]], "covariances": [[[25, 0], [0, 0.1]]]},
         "reference.data has mass 0.23 outside the box"),
        ({"kind": "funnel", "std": 0}, "reference.data.std must be > 0 (got 0)"),
        ({"kind": "image", "bandwidth": 0.3}, "reference.data needs either file or pixels, and not both"),
        ({"kind": "image", "pixels": [[0, 1], [1]], "bandwidth": 0.3},
         "reference.data.pixels.1 must have 2 number(s), as the first row has (got 1)"),
        ({"kind": "image", "pixels": [[7, 7]], "bandwidth": 0.3},
         "reference.data.pixels are all of the same grey"),
        ({"kind": "image", "pixels": [[0, 256]], "bandwidth": 0.3},
         "reference.data.pixels.0.1 must be <= 255 (got 256)"),
        ({"kind": "image", "pixels": [[0, 1]], "bandwidth": 0.01},
         "reference.data.bandwidth must be from a hundredth of the box, 0.12, to the whole of it, 12 (got 0.01)"),
        ({"kind": "image", "pixels": [[0, 1]], "bandwidth": [0.3, 13]},
         "reference.data.bandwidth must be from a hundredth of the box, 0.12, to the whole of it, 12 (got 13)"),
        ({"kind": "image", "pixels": [[0, 1]], "bandwidth": [1, 1, 1]},
         "reference.data.bandwidth must have 2 numbers"),
        ({"kind": "image", "pixels": [[0, 1]], "bandwidth": 1, "mass": "grey"},
         "reference.data.mass must be 'dark' or 'bright' (got 'grey')"),
        ({"kind": "image", "pixels": [[0, 1]], "bandwidth": 1, "floor": 1},
         "reference.data.floor must be < 1 (got 1)"),
    ],
)  # fmt: skip
def test_a_density_in_two_dimensions_must_fit_together(data, expected):
    found = messages(TWO_DIMENSIONS, set={"reference.data": data})
    assert len(found) == 1
    assert expected in found[0]


def test_a_funnel_must_reach_the_box():
    far = {"reference.data": {"kind": "funnel", "std": 1}, "domain.box": [[-900, -800], [-1, 1]]}
    assert "reference.data must have the origin" in messages(TWO_DIMENSIONS, set=far)[0]


def test_a_covariance_may_be_a_plain_number_in_one_dimension():
    data = {"kind": "mixture", "means": [0.5, 1], "covariances": [0.09, [[0.16]]]}
    assert parse_problem(GOOD, set={"reference.data": data}).reference.data.marginal_stds == ((0.3,), (0.4,))


def test_the_box_named_as_a_cure_is_a_cure():
    assert parse_problem(GOOD, set={"reference.data": {"kind": "mixture", "means": [4], "stds": [1]},
                                    "domain.box": [[-5.8, 9.5]]}).dimension == 1  # fmt: skip


def test_mass_outside_the_box_is_measured_exactly():
    mixture = {"kind": "mixture", "means": [[0.0, 0.0]], "stds": [[1.0, 1.0]]}
    text = changed("[-6, 6], [-6, 6]", "[-4, 4], [-3, 3]", TWO_DIMENSIONS)
    inside = 0.9999366575163338 * 0.9973002039367398
    assert f"mass {1 - inside:.3g} outside" in messages(text, set={"reference.data": mixture})[0]

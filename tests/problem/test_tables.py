"""Tables of data: which columns are read, packed files, points as a text, and what is done to rows before use."""

import gzip
import re
import time

import numpy as np
import pytest

from controlsde.problem import ProblemError, load_problem, parse_problem
from controlsde.problem.data_hints import data_hints
from controlsde.problem.loading import dimension_of, list_problems
from controlsde.problem.table_text import parsed, written
from controlsde.problem.yaml_text import read

from .texts import GOOD, messages

FREE = "domain: {space: free}\nreference: {kind: reversed-diffusion, horizon: 1.5}\n"
RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((40, 3))
WHOLE = RNG.integers(0, 17, (60, 3)).astype(float)


def free(data, **keys):
    return parse_problem(
        FREE, label="p.yaml", set={"reference.data": {"kind": "samples", "bandwidth": "auto", **data, **keys}}
    )


def refusal(data, **keys):
    """The one message with which data are refused."""
    with pytest.raises(ProblemError) as refused:
        free(data, **keys)
    assert len(refused.value.messages) == 1
    return refused.value.messages[0].split(": reference.data")[1].lstrip(".")


def from_file(folder, content, name="a.csv", **keys):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    data = {"kind": "samples", "file": name, "bandwidth": 0.5, **keys}
    return parse_problem(FREE, label="p.yaml", folder=folder, set={"reference.data": data}).reference.data


TABLE = "a_1,b,a_2\n1,2,3\n4,5,6\n7,9,8\n"


@pytest.mark.parametrize(
    ("columns", "names", "first"),
    [
        ({}, ("a_1", "b", "a_2"), (1, 2, 3)),
        ({"columns": "all"}, ("a_1", "b", "a_2"), (1, 2, 3)),
        ({"columns": ["a_*"]}, ("a_1", "a_2"), (1, 3)),
        ({"columns": "a_*"}, ("a_1", "a_2"), (1, 3)),
        ({"columns": ["b", "a*"]}, ("b", "a_1", "a_2"), (2, 1, 3)),
        ({"columns": ["a_2", "*"]}, ("a_2", "a_1", "b"), (3, 1, 2)),
    ],
)
def test_columns_are_all_of_them_in_free_space_or_those_that_match(tmp_path, columns, names, first):
    data = from_file(tmp_path, TABLE, **columns)
    assert data.columns == names
    assert data.points[0] == first


def test_a_column_called_all_or_with_a_star_is_read_by_its_name(tmp_path):
    assert from_file(tmp_path, "all,b\n1,2\n3,4\n", columns=["all"]).columns == ("all",)
    assert from_file(tmp_path, "a*,ab\n1,2\n3,4\n", columns=["a*"]).columns == ("a*",)


@pytest.mark.parametrize(
    ("content", "keys", "told"),
    [
        ("a,species,b\n1,x,2\n3,y,4\n", {}, "columns take in species of 'a.csv', which holds words; list those of "
         "numbers: columns: [a, b]"),
        ("a,b\n1,2\n", {"columns": ["c*"]}, "columns.0 'c*' matches no column of 'a.csv'; name one there"),
        (",".join(f"c{i}" for i in range(300)) + "\n" + ",".join("1" * 300) + "\n", {}, "columns are 300 of 'a.csv', "
         "and at most 256 may be had; list those"),
        ("root:x:0\nsecret\n", {}, "file 'a.csv' is not a table of numbers under a line of names, separated by"),
        ("a,b\n1,2\nnan,3\n", {}, "file 'a.csv' line 3, column a: 'nan' is not finite; remove the row"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_had_are_refused_in_one_line(tmp_path, content, keys, told):
    with pytest.raises(ProblemError) as refused:
        from_file(tmp_path, content, **keys)
    (line,) = refused.value.messages
    assert f"reference.data.{told}" in line
    assert "secret" not in line


def test_a_file_that_is_not_there_is_the_only_fault(tmp_path):
    (line,) = messages(
        FREE, folder=tmp_path, set={"reference.data": {"kind": "samples", "file": "no.csv", "bandwidth": 1}}
    )
    assert "'no.csv' does not exist" in line


def test_a_packed_table_is_read_as_one_that_is_not(tmp_path):
    packed = from_file(tmp_path, gzip.compress(TABLE.encode()), "a.csv.gz")
    assert packed == from_file(tmp_path, TABLE)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\n1\n", "is not packed by gzip, as its name says"),
        (gzip.compress(b"a\n1\n")[:-3], "is damaged (it ends too early)"),
        (gzip.compress(b"a\n1\n") * 2, "is damaged (more follows what gzip packed)"),
        (gzip.compress(bytes(30_000_000)), "unpacked is larger than 20 MB"),
    ],
    ids=range(4),
)
def test_a_packed_table_that_cannot_be_unpacked_is_refused(tmp_path, content, told):
    with pytest.raises(ProblemError) as refused:
        from_file(tmp_path, content, "a.csv.gz")
    assert told in refused.value.messages[0]


def test_a_text_of_points_reads_back_to_the_last_bit():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((200, 5)) * 10.0 ** rng.integers(-90, 90, (200, 5))
    rows[:, 0] = rng.integers(-9, 9, 200)
    assert parsed(written(rows.tolist())) == [tuple(row) for row in rows.tolist()]
    assert written([(3.0, -2.0, 0.1, 1e300)]) == "3,-2,0.1,1e+300\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1,2\n3,x\n", "in line 2 of them 'x' is none"),
        ("1,2\n3,nan\n", "in line 2 of them 'nan' is none"),
        ("1_0\n", "'1_0' is none; write numbers in plain digits"),
        ("1,,2\n", "in line 1 of them '' is none"),
        ("\n\n", "must hold one point a line"),
    ],
)
def test_a_text_that_is_no_table_is_refused_with_its_line(text, told):
    with pytest.raises(ValueError, match="must hold") as refused:
        parsed(text)
    assert told in str(refused.value)


def test_points_may_be_written_as_a_text_and_lines_below_keep_their_numbers():
    text = FREE.replace(
        "reference: {kind: reversed-diffusion, horizon: 1.5}\n",
        "reference:\n  kind: reversed-diffusion\n  horizon: 1.5\n  data:\n    kind: samples\n    points: |\n"
        "      1,2\n\n      3,4.5\n    bandwidth: 0.5\nnose: 1\n",
    )
    assert messages(text) == [f"p.yaml:{text.count(chr(10))}:1: nose is not a known key; did you mean 'noise'?"]
    data = parse_problem(text.replace("nose", "noise")).reference.data
    assert data.points == ((1.0, 2.0), (3.0, 4.5))
    (line,) = messages(text.replace("nose", "noise").replace("4.5", "4.5x"))
    assert line.startswith("p.yaml:7:13: reference.data.points must hold numbers")


def test_what_only_looks_like_a_table_is_left_where_it_is():
    text = GOOD + "description: |\n  a text\n  points: |\n    1,2\n  its end\n"
    assert parse_problem(text).description == "a text\npoints: |\n  1,2\nits end\n"


def test_two_tables_of_more_values_than_a_file_may_have_are_both_read():
    table = "  points: |\n" + "    1,2\n" * 40_000
    document = read(f"a:\n{table}b:\n{table}c: 1\n", "p.yaml")
    assert [len(parsed(document.data[key]["points"])) for key in "ab"] == [40_000, 40_000]
    assert document.places["c",].key == "p.yaml:80005:1"


def test_tables_do_not_let_other_floods_in():
    table = "points: |\n" + "  1,2\n" * 1000
    with pytest.raises(ProblemError, match="larger than 1 MB, tables of points aside"):
        read(table + "a: " + "x" * 1_000_001, "p.yaml")
    with pytest.raises(ProblemError, match="more than 60000 values"):
        read(table + "a: [" + "1, " * 80_000 + "1]", "p.yaml")
    with pytest.raises(ProblemError, match="larger than 1 MB"):
        read("points: |\n" + "  1,2\n" * 4_000_000, "p.yaml")


def test_a_problem_of_many_numbers_writes_and_reads_itself_quickly_and_exactly():
    problem = load_problem("digits")
    started = time.process_time()
    text = problem.to_yaml()
    assert parse_problem(text) == problem
    assert time.process_time() - started < 2.0
    assert len(text) < 400_000


def test_a_resolved_bandwidth_is_a_number_that_stands_by_itself():
    problem = free({"points": POINTS.tolist(), "standardize": True})
    assert isinstance(problem.reference.data.bandwidth[0], float)
    assert "auto" not in problem.to_yaml().split("objective")[0]
    assert parse_problem(problem.to_yaml()) == problem


@pytest.mark.parametrize(
    "keys", [{"held_out": 0.25}, {"dequantise": 1}, {"dequantise": 1, "held_out": 0.25, "seed": 3}]
)
def test_drawn_data_stay_as_measured_and_are_drawn_again_the_same(keys):
    problem = free({"points": WHOLE.tolist(), "standardize": "common", **keys})
    data = problem.reference.data
    assert data.points == tuple(map(tuple, WHOLE.tolist()))
    again = parse_problem(problem.to_yaml())
    assert again == problem
    np.testing.assert_array_equal(again.reference.data.prepared.rows, data.prepared.rows)


def test_rows_are_dequantised_then_split_then_standardised_by_those_left():
    data = free({"points": WHOLE.tolist(), "standardize": True, "dequantise": 1, "held_out": 0.25}).reference.data
    ready = data.prepared
    assert (len(ready.rows), len(ready.held_out)) == (45, 15)
    np.testing.assert_allclose(ready.rows.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(ready.rows.std(axis=0), 1, rtol=1e-12)
    measured = np.vstack([ready.rows, ready.held_out]) * ready.scale + ready.shift
    # rounding brings back every row once: noise of width one about each, and no row is in both parts
    np.testing.assert_array_equal(np.sort(np.round(measured), axis=0), np.sort(WHOLE, axis=0))
    left = measured - np.round(measured)
    assert abs(left.mean()) < 0.1
    assert left.var() == pytest.approx(1 / 12, abs=0.015)


def test_the_split_is_the_same_with_noise_and_without_and_another_with_another_seed():
    def held(**keys):
        return np.round(free({"points": WHOLE.tolist(), "held_out": 0.25, **keys}).reference.data.prepared.held_out)

    np.testing.assert_array_equal(held(), held(dequantise=1))
    assert not np.array_equal(held(), held(seed=1))


def test_one_scale_of_all_columns_lets_one_be_constant():
    points = np.hstack([WHOLE, np.full((60, 1), 4.0)])
    data = free({"points": points.tolist(), "standardize": "common"}).reference.data
    assert data.scale == (pytest.approx(np.sqrt(points.var(axis=0).mean())),) * 4
    np.testing.assert_allclose(np.array(data.points) * data.scale + data.shift, points, atol=1e-12)
    assert data.standardize is False


BAD = {
    "one column is constant": (
        {"points": [[1, 2], [1, 3], [1, 5]], "standardize": True},
        "standardize needs points that differ in every column (coordinate 1 is 1 everywhere); leave that one out, or "
        "use standardize: common, one scale for all columns",
    ),
    "one point": ({"points": [[1, 2]]}, "bandwidth auto needs at least two points (got 1): give a number"),
    "twins": (
        {"points": [[1, 2], [1, 2], [3, 4], [3, 4]]},
        "bandwidth auto finds no width, for every point has a twin",
    ),
    "all held out": ({"points": [[1, 2], [3, 4]], "held_out": 0.5}, "held_out 0.5 of 2 points are 1, and 1 are left"),
    "none held out": ({"points": [[1, 2], [3, 4], [4, 5]], "held_out": 0.1}, "held_out 0.1 of 3 points are 0"),
    "not whole": (
        {"points": [[1, 2], [3, 4.5]], "dequantise": 1},
        "dequantise is for multiples of its width 1, and coordinate 2 of point 2 is 4.5; give the unit",
    ),
    "a share of more than one": ({"points": [[1, 2], [3, 4]], "held_out": 1.5}, "held_out must be < 1 (got 1.5)"),
    "a word for a bandwidth": ({"points": [[1], [3]], "bandwidth": "best"}, "bandwidth must be auto, a number, or one"),
    "a word for a scale": (
        {"points": [[1], [3]], "standardize": "yes"},
        "standardize must be true or false, or common",
    ),
    "two bandwidths": (
        {"points": [[1, 2], [3, 4]], "bandwidth": [0.1, 0.2]},
        "bandwidth must be one number in free space, where kernels are round",
    ),
    "no kernels": ({"points": [[1, 2], [3, 4]], "kind": "mixtures"}, "kind must be one of 'mixture', 'product'"),
}
GAUSSIANS = {
    "too few rows": (
        {"points": POINTS[:10].tolist(), "components": 3},
        "components 3 full covariances of 3 column(s) need at least 12 rows (got 10): use 2 at most",
    ),
    "fewer rows than columns": (
        {"points": POINTS[:3].tolist(), "components": 1},
        "components 1 full covariance of 3 column(s) needs at least 4 rows (got 3): use fewer columns, or kind: "
        "samples",
    ),
    "too few rows left": (
        {"points": POINTS[:10].tolist(), "components": 2, "held_out": 0.3},
        "components 2 full covariances of 3 column(s) need at least 8 rows (got 7): use 1 at most",
    ),
    "all one": ({"points": [[1, 2]] * 9, "components": 1}, "points must differ (all 9 are one)"),
    "no components": ({"points": POINTS.tolist()}, "components is required"),
}


@pytest.mark.parametrize("case", BAD)
def test_samples_that_make_no_density_are_refused_in_one_line_with_the_cure(case):
    data, told = BAD[case]
    assert told in refusal(data)


@pytest.mark.parametrize("case", GAUSSIANS)
def test_tables_that_gaussians_cannot_be_fitted_to_are_refused_in_one_line_with_the_cure(case):
    data, told = GAUSSIANS[case]
    (line,) = messages(FREE, set={"reference.data": {"kind": "gaussians", **data}})
    assert told in line.replace("reference.data.", "")


def test_a_dimension_that_the_data_do_not_have_is_refused():
    data = {"kind": "samples", "points": POINTS.tolist(), "bandwidth": 1}
    (line,) = messages(FREE, set={"reference.data": data, "domain.dimension": 5})
    assert "domain.dimension is 5, and the data have 3 column(s): make them agree, or leave it out" in line


def test_what_is_for_free_space_is_refused_in_a_box():
    fitted = {"kind": "gaussians", "points": POINTS[:, :1].tolist(), "components": 1}
    (line,) = messages(GOOD, set={"reference.data": fitted})
    assert "reference.data.kind gaussians needs free space" in line
    split = {"kind": "samples", "points": [[0.1], [0.2], [0.3], [0.5]], "bandwidth": 0.1, "held_out": 0.3}
    (line,) = messages(GOOD, set={"reference.data": split})
    assert "reference.data.held_out is for free space" in line


def test_data_that_are_dequantised_fit_a_box_as_they_are_then():
    data = {"kind": "samples", "points": WHOLE[:, :1].tolist(), "bandwidth": 0.3, "dequantise": 1, "standardize": True}
    problem = parse_problem(GOOD, set={"reference.data": data})
    assert max(abs(x) for (x,) in problem.reference.data.rows) < 3
    assert parse_problem(problem.to_yaml()) == problem


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            {"points": RNG.standard_normal((40, 20)).tolist()},
            "memorise points in 20 dimensions; .* try kind: gaussians",
        ),
        ({"points": RNG.standard_normal((4, 5)).tolist()}, "has 4 rows for 5 columns"),
        ({"points": [*POINTS[:10].tolist() * 3, [9, 9, 9]]}, "20 of 31 rows repeat another; of rounded data"),
    ],
)
def test_what_is_doubtful_about_data_is_said(data, told):
    (hint,) = data_hints(free(data))
    assert hint.startswith("reference.data: ")
    assert re.search(told, hint)


@pytest.mark.parametrize("name", ["iris", "wine", "digits", "product-bumps", "two-bumps"])
def test_there_is_nothing_doubtful_about_the_data_that_are_shipped(name):
    assert data_hints(load_problem(name)) == ()


def test_the_dimension_of_a_shipped_problem_is_told_without_reading_its_data():
    for name, _, path in list_problems():
        assert dimension_of(path) == load_problem(name).dimension

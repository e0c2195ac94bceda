"""Problem files: what is right loads and round-trips, what is wrong is told with its place and its cure."""

import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from controlsde.problem import (
    Problem,
    ProblemError,
    list_problems,
    load_problem,
    parse_override,
    parse_problem,
)
from controlsde.problem.schema import Collocation, Mixture, Moser, Samples, Shooting

GOOD = """\
name: two
domain:
  box: [[-5, 5]]
reference:
  kind: reversed-diffusion
  horizon: 1.5
  data: {kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}
network:
  width: 2
"""

TWO_DIMENSIONS = """\
domain: {box: [[-6, 6], [-6, 6]]}
reference:
  kind: reversed-diffusion
  horizon: 1.5
  data: {kind: mixture, means: [[-1, 0], [1, 0.5]], stds: [0.5, [0.4, 0.6]]}
"""


def messages(text=GOOD, **options):
    """Return the messages with which a text is refused."""
    with pytest.raises(ProblemError) as refused:
        parse_problem(text, label="p.yaml", **options)
    return list(refused.value.messages)


def changed(old, new, text=GOOD):
    assert old in text
    return text.replace(old, new)


# --- what is right ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [shipped.name for shipped in list_problems()])
def test_shipped_problem_loads_and_round_trips(name):
    problem = load_problem(name)
    assert problem.name == name
    assert problem.description
    assert parse_problem(problem.to_yaml()) == problem


@pytest.mark.parametrize(
    "text", ["a  b" * 200, "caf\u00e9 \U0001f300", "- x: #", "1e-3", "null", "a\nb\n", " a ", "\x85'\""]
)
def test_any_description_round_trips(text):
    problem = parse_problem(GOOD, set={"description": text})
    assert problem.description == text
    assert parse_problem(problem.to_yaml()) == problem


def test_the_shipped_problems_are_these():
    names = [shipped.name for shipped in list_problems()]
    assert set(names) >= {
        "circle", "funnel", "heat-compact", "heavy-tail", "iris-petals", "jump", "moser-bumps", "smiley",
        "three-bumps", "tilted-bumps", "two-bumps", "wide-network",
    }  # fmt: skip


def test_defaults_are_filled_in():
    problem = parse_problem(TWO_DIMENSIONS, name="stem")
    assert problem.name == "stem"
    assert problem.dimension == 2
    assert problem.network.width == 2
    assert problem.noise == 1.0
    assert problem.solver == Shooting(starts=4, hops=8)
    assert problem.reference.forward.kind == "ornstein-uhlenbeck"
    assert problem.reference.data.weights == (0.5, 0.5)
    assert problem.reference.data.stds == ((0.5, 0.5), (0.4, 0.6))
    assert problem.mesh.elements == "auto"


def test_the_name_is_the_stem_of_the_file(tmp_path):
    path = tmp_path / "my-problem.yaml"
    path.write_text(changed("name: two\n", ""))
    assert load_problem(path).name == "my-problem"
    assert load_problem(str(path)) == load_problem(path)


def test_from_is_the_key_of_a_moser_reference():
    text = "domain: {box: [[0, 1]]}\nreference: {kind: moser, from: uniform, to: {kind: formula, expression: 1 + x}}\n"
    problem = parse_problem(text)
    assert isinstance(problem.reference, Moser)
    assert problem.reference.from_.kind == "uniform"
    assert "from:" in problem.to_yaml()
    assert parse_problem(problem.to_yaml()) == problem


def test_a_problem_cannot_be_changed():
    problem = parse_problem(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        problem.noise = 0.0
    assert hash(problem) == hash(parse_problem(GOOD))


@pytest.mark.parametrize(
    ("written", "value"),
    [("1e-3", 1e-3), ("1.0e-5", 1e-5), ("1E5", 1e5), ("2", 2.0), ("0x10", 16.0), (".5", 0.5), ("+1.", 1.0)],
)
def test_numbers_are_those_of_yaml_1_2(written, value):
    assert parse_problem(GOOD + f"noise: {written}\n").noise == value


@pytest.mark.parametrize("written", ["yes", "on", "off", "no", "y", "'true'", "1"])
def test_only_true_and_false_are_booleans(written):
    text = changed("width: 2", f"width: 2\n  tangential: {written}")
    assert "network.tangential must be true or false" in messages(text)[0]


def test_yaml_aliases_are_written_out():
    text = "domain: {box: [&wall [-5, 5]]}\n" + GOOD.split("\n", 3)[3]
    assert parse_problem(text).domain.box == ((-5.0, 5.0),)
    shared = "domain: {box: [&wall [-6, 6], *wall]}\n" + TWO_DIMENSIONS.split("\n", 1)[1]
    assert parse_problem(shared).domain.box == ((-6.0, 6.0), (-6.0, 6.0))


def test_importing_loads_no_heavy_library():
    code = (
        "import sys; from controlsde.problem import load_problem; load_problem('two-bumps');"
        "print([m for m in ('numpy', 'scipy', 'torch', 'casadi', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- samples ---------------------------------------------------------------------------------------------


def samples(tmp_path, content, **options):
    (tmp_path / "points.csv").write_text(content)
    keys = {"file": "points.csv", "columns": ["a"], "bandwidth": 0.3, **options}
    overrides = {"reference.data": {"kind": "samples", **keys}, "domain.box": [[-6, 6]]}
    return parse_problem(GOOD, label="p.yaml", folder=tmp_path, set=overrides)


def test_points_come_out_of_the_named_columns(tmp_path):
    problem = samples(tmp_path, "\ufeffb, a ,c\n1,2,3\n\n4,-1.5e0,6\n", columns=["a"])
    assert problem.reference.data.points == ((2.0,), (-1.5,))
    assert problem.reference.data.bandwidth == (0.3,)
    assert problem.reference.data.file is None
    assert parse_problem(problem.to_yaml()) == problem


def test_standardized_points_have_mean_zero_and_variance_one(tmp_path):
    data = samples(tmp_path, "a\n10\n20\n60\n", standardize=True).reference.data
    points = np.array(data.points)
    assert points.mean() == pytest.approx(0, abs=1e-15)
    assert points.std() == pytest.approx(1, rel=1e-14)
    np.testing.assert_allclose(points * data.scale + data.shift, [[10], [20], [60]], rtol=1e-14)
    assert data.standardize is False


def test_the_iris_petals_are_the_published_ones():
    data = load_problem("iris-petals").reference.data
    lengths = np.array(data.points) * data.scale + data.shift
    assert lengths.shape == (150, 1)
    assert (lengths.min(), lengths.max()) == pytest.approx((1.0, 6.9), rel=1e-14)
    assert lengths.mean() == pytest.approx(3.758, rel=1e-12)


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        ("a\n1\n", {"columns": ["aa"]},
         "reference.data.columns.0 'aa' is not a column of 'points.csv'; did you mean 'a'?"),
        ("a\n1\n", {"columns": ["zzz"]}, "columns: a"),
        ("a\n1\nx\n", {}, "reference.data.file 'points.csv' line 3, column a: 'x' is not a number"),
        ("a\nnan\n", {}, "'nan' is not finite"),
        ("a\n1e999\n", {}, "'1e999' is not finite"),
        ("a,b\n1,2\n3\n", {}, "line 3 has 1 entries, the header 2"),
        ("a\n", {}, "has no rows below its header"),
        ("", {}, "'a' is not a column"),
        ("a\n1\n", {"file": "nowhere.csv"}, "reference.data.file 'nowhere.csv' does not exist"),
        ("a\n1\n", {"file": "."}, "reference.data.file '.' is not a file"),
        ("a\n1\n", {"file": "\0"}, "is not the name of a file"),
        ("a\n1\n", {"bandwidth": 1e-300}, "reference.data.bandwidth must be at least 1e-09 (got 1e-300)"),
        ("a\n1\n", {"bandwidth": 1e300}, "reference.data.bandwidth must be <= 1000000000 (got 1e+300)"),
        ("a\n1\n", {"file": "/dev/zero"}, "reference.data.file '/dev/zero' is not a file"),
        ("a\n" + "1\n" * 10_001, {}, "more than 10000 rows"),
        ("a\n1\n", {"bandwidth": 0}, "reference.data.bandwidth must be > 0 (got 0)"),
        ("a\n1\n", {"points": [1]}, "needs either file, with columns, or points, and not both"),
        ("a\n1\n", {"columns": None}, "reference.data.columns is required with file"),
        ("a\n1\n1\n", {"standardize": True}, "needs points that differ"),
        ("a\n9\n", {}, "mass 1 outside the box"),
    ],
)  # fmt: skip
def test_samples_that_cannot_be_used_are_refused(tmp_path, content, options, expected):
    with pytest.raises(ProblemError) as refused:
        samples(tmp_path, content, **options)
    assert len(refused.value.messages) == 1
    assert expected in refused.value.messages[0]


def test_a_csv_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "points.csv").write_bytes(b"a\n\xff\xfe\n")
    data = {"kind": "samples", "file": "points.csv", "columns": ["a"], "bandwidth": 1}
    found = messages(folder=tmp_path, set={"reference.data": data})
    assert found[0].endswith("reference.data.file 'points.csv' is not UTF-8 text; save it as UTF-8")


# --- pictures --------------------------------------------------------------------------------------------

GREYS = np.array([[0, 255, 128], [51, 102, 204]], dtype=np.uint8)


def picture(tmp_path, content, name="picture.png", **options):
    """A problem in two dimensions with a picture: an array, or the bytes of its file."""
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        Image.fromarray(content).save(tmp_path / name)
    data = {"kind": "image", "file": name, "bandwidth": 0.3, **options}
    return parse_problem(TWO_DIMENSIONS, label="p.yaml", folder=tmp_path, set={"reference.data": data})


@pytest.mark.parametrize("name", ["a.png", "a.pgm"])
def test_pixels_come_out_of_a_picture_with_the_first_row_at_the_top(tmp_path, name):
    problem = picture(tmp_path, GREYS, name)
    assert problem.reference.data.pixels == ((0, 255, 128), (51, 102, 204))
    assert problem.reference.data.file is None
    assert parse_problem(problem.to_yaml()) == problem


def test_a_plain_text_picture_is_read(tmp_path):
    assert picture(tmp_path, b"P2\n2 1\n255\n10 20\n", "a.pgm").reference.data.pixels == ((10, 20),)


def test_colours_become_greys_and_the_transparent_is_white(tmp_path):
    colours = np.array([[[255, 0, 0, 255], [0, 0, 0, 255], [0, 0, 0, 0]]], dtype=np.uint8)
    assert picture(tmp_path, colours).reference.data.pixels == ((76, 0, 255),)  # 0.299 of red


def test_greys_of_sixteen_bits_keep_their_range(tmp_path):
    assert picture(tmp_path, GREYS.astype(np.uint16) * 257).reference.data.pixels == ((0, 255, 128), (51, 102, 204))


def test_a_large_picture_is_averaged_down(tmp_path):
    large = np.kron(np.arange(128, dtype=np.uint8)[None, :], np.array([[0, 2], [0, 2]], dtype=np.uint8))
    pixels = np.array(picture(tmp_path, large).reference.data.pixels)
    assert pixels.shape == (2, 128)
    np.testing.assert_array_equal(pixels[0], np.arange(128))


def test_the_largest_picture_round_trips(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    problem = picture(tmp_path, noise)
    assert parse_problem(problem.to_yaml()) == problem


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (GREYS, {"file": "nowhere.png"}, "reference.data.file 'nowhere.png' does not exist"),
        (GREYS, {"file": "."}, "reference.data.file '.' is not a file"),
        (GREYS, {"file": "\0"}, "is not the name of a file"),
        (GREYS, {"pixels": [[0, 1]]}, "needs either file or pixels, and not both"),
        (b"", {}, "reference.data.file 'picture.png' is not a picture that can be read; save it as PNG"),
        (b"a,b\n1,2\n", {}, "is not a picture that can be read"),
        (b"P5\n3 2\n255\n\0", {}, "is not a picture that can be read"),
        (b"P5\n30000 30000\n255\n\0", {}, "has too many pixels"),
        (GREYS * 0, {}, "reference.data.file 'picture.png' has the same grey everywhere"),
    ],
    ids=range(9),
)  # fmt: skip
def test_pictures_that_cannot_be_used_are_refused(tmp_path, content, options, expected):
    with pytest.raises(ProblemError) as refused:
        picture(tmp_path, content, **options)
    assert len(refused.value.messages) == 1
    assert expected in refused.value.messages[0]


# --- what is wrong, with line and column -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("width: 2", "width: 0", ["p.yaml:9:10: network.width must be >= 1 (got 0)"]),
        ("width: 2", "widht: 2", ["p.yaml:9:3: network.widht is not a known key; did you mean 'width'?"]),
        ("width: 2", "width: 2.0", ["p.yaml:9:10: network.width must be a whole number (got 2.0)"]),
        ("width: 2", "width: true", ["p.yaml:9:10: network.width must be a whole number (got true)"]),
        ("width: 2", "width: '2'", ["p.yaml:9:10: network.width must be a whole number (got '2')"]),
        ("width: 2", "width: 5000", ["p.yaml:9:10: network.width must be <= 1024 (got 5000)"]),
        ("  width: 2", "  3", ["p.yaml:9:3: network must be a mapping (got 3)"]),
        ("  width: 2", "  width: 1\n  width: 2",
         ["p.yaml:10:3: network.width is written twice (first in line 9); keep one"]),
        ("  horizon: 1.5\n", "", ["p.yaml:4:1: reference.horizon is required"]),
        ("horizon: 1.5", "horizon: .nan", ["p.yaml:6:12: reference.horizon must be finite (got nan)"]),
        ("horizon: 1.5", "horizon: .inf", ["p.yaml:6:12: reference.horizon must be finite (got inf)"]),
        ("horizon: 1.5", "horizon: 0", ["p.yaml:6:12: reference.horizon must be > 0 (got 0)"]),
        ("[[-5, 5]]", "[[5, -5]]",
         ["p.yaml:3:9: domain.box.0 must be [low, high] with low < high (got [5, -5])"]),
        ("[[-5, 5]]", "[[5, 5]]",
         ["p.yaml:3:9: domain.box.0 must be [low, high] with low < high (got [5, 5])"]),
        ("[[-5, 5]]", "[[-5, .inf]]", ["p.yaml:3:14: domain.box.0.1 must be finite (got inf)"]),
        ("[[-5, 5]]", "[-5, 5]",
         ["p.yaml:3:8: domain.box must be a list with one [low, high] a dimension; write [[-5, 5]]"]),
        ("[[-5, 5]]", "[[-5, 5, 6]]", ["p.yaml:3:9: domain.box.0 must have at most 2 entries (got 3)"]),
        ("[[-5, 5]]", "[[-5]]", ["p.yaml:3:9: domain.box.0.1 is required"]),
        ("[[-5, 5]]", "[]", ["p.yaml:3:8: domain.box must have at least 1 entries (got 0)"]),
        ("[[-5, 5]]", "[[0, 1], [0, 1], [0, 1], [0, 1]]",
         ["p.yaml:3:8: domain.box must have at most 3 entries (got 4)"]),
        ("[[-5, 5]]", "[[-5, 5]]\n  walls: reflectin",
         ["p.yaml:4:10: domain.walls must be 'reflecting', 'periodic' or 'absorbing' (got 'reflectin'); "
          "did you mean 'reflecting'?"]),
        ("[0.5, 0.5]", "[0.5, 0.4]", ["p.yaml:7:34: reference.data.weights must sum to one (got 0.9)"]),
        ("[0.5, 0.5]", "[1.5, -0.5]", ["p.yaml:7:40: reference.data.weights.1 must be > 0 (got -0.5)"]),
        ("[0.5, 0.5]", "[1]",
         ["p.yaml:7:34: reference.data.weights must have one entry for each of the 2 means (got 1)"]),
        ("[-1.5, 1.5]", "[[-1.5, 0], 1.5]",
         ["p.yaml:7:65: reference.data.means.1 must have 2 number(s), as the first mean has (got 1)"]),
        ("[-1.5, 1.5]", "[[-1, 0], [1, 0]]",
         ["p.yaml:7:53: reference.data.means must hold points of dimension 1, as domain.box has (got 2)"]),
        ("[-1.5, 1.5]", "[a, 1.5]", ["p.yaml:7:54: reference.data.means.0 must be a list (got 'a')"]),
        ("stds: [0.3, 0.3]", "stds: [0, 0.3]", ["p.yaml:7:73: reference.data.stds.0 must be > 0 (got 0)"]),
        ("kind: mixture, ", "", ["p.yaml:7:3: reference.data.kind is required: one of "
                                 "'mixture', 'samples', 'uniform', 'truncated', 'student-t', 'funnel', "
                                 "'image', 'formula'"]),
        ("kind: mixture", "kind: mixtur",
         ["p.yaml:7:16: reference.data.kind must be one of 'mixture', 'samples', 'uniform', 'truncated', "
          "'student-t', 'funnel', 'image', 'formula' (got 'mixtur'); did you mean 'mixture'?"]),
        ("kind: reversed-diffusion", "kind: displacment",
         ["p.yaml:5:9: reference.kind must be one of 'reversed-diffusion', 'moser', 'displacement', "
          "'foellmer' (got 'displacment'); "
          "did you mean 'displacement'?"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: formula, drift: [-x, -y]}",
         ["p.yaml:6:35: reference.forward.drift must have 1 formula(s), one a dimension of domain.box (got 2)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: formula, drift: 1/x}",
         ["p.yaml:6:35: reference.forward.drift must be finite on the box (got inf at x = 0)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: formula, drift: -t*x}",
         ["p.yaml:6:35: reference.forward.drift column 2: 't' is not a known name; known: x, pi, e"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: vp, schedule: cosin}",
         ["p.yaml:6:33: reference.forward.schedule must be linear, cosine or a formula in s; as a formula, "
          "column 1: 'cosin' is not a known name; known: s, pi, e"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: vp, schedule: s - 1}",
         ["p.yaml:6:33: reference.forward.schedule must be finite and positive between s = 0 and the horizon "
          "(got -1 at s = 0)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: ve, schedule: 2, sigma_max: 3}",
         ["p.yaml:6:47: reference.forward.sigma_max belongs to the named schedules; a formula says all by itself"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: vp, beta_min: 3, beta_max: 2}",
         ["p.yaml:6:33: reference.forward.beta_min must be below beta_max (got 3 and 2)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: vp, schedule: cosine, beta_min: 2}",
         ["p.yaml:6:51: reference.forward.beta_min must leave 1/beta_min - 1/beta_max > horizon for a cosine schedule "
          "(got 0.4, horizon 1.5); use a smaller beta_min"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: ve, beta_max: 2}",
         ["p.yaml:6:23: reference.forward.beta_max is not a known key of kind ve; known keys: kind, schedule, "
          "sigma_min, sigma_max"]),
        ("kind: reversed-diffusion", "kind: foellmer\n  point: [1, 2]",
         ["p.yaml:6:10: reference.point must have 1 number(s), one a dimension of domain.box (got 2)"]),
        ("kind: reversed-diffusion", "kind: foellmer\n  point: 12",
         ["p.yaml:6:10: reference.point must lie inside the box [-5, 5] (got 12)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: heet",
         ["p.yaml:6:12: reference.forward must be one of 'ornstein-uhlenbeck', 'heat', 'vp', 've', 'formula' "
          "(got 'heet'); did you mean 'heat'?"]),
        ("name: two", "name: a/b",
         ["p.yaml:1:7: name must be usable as a file name, without slashes or a leading dot"]),
        ("name: two", "name: 7", ["p.yaml:1:7: name must be text (got 7)"]),
        ("name: two", "name: ''", ["p.yaml:1:7: name must not be empty"]),
        ("name: two", "nmae: two", ["p.yaml:1:1: nmae is not a known key; did you mean 'name'?"]),
        ("name: two", "name: !!python/object:os.system two",
         ["p.yaml:1:7: YAML tags such as !!python/object:os.system are not allowed"]),
        ("name: two", "name: !foo two", ["p.yaml:1:7: YAML tags such as !foo are not allowed"]),
        ("name: two", "name: two\nmesh: !foo {degree: 4}",
         ["p.yaml:2:7: YAML tags such as !foo are not allowed"]),
        ("name: two", "controls: {pieces: 1000000000}",
         ["p.yaml:1:20: controls.pieces must be <= 100000 (got 1000000000)"]),
        ("name: two", "mesh: {degree: 500}", ["p.yaml:1:16: mesh.degree must be <= 16 (got 500)"]),
        ("name: two", "mesh: {stages: 4}", ["p.yaml:1:16: mesh.stages must be 1, 2 or 3 (got 4)"]),
        ("name: two", "mesh: {elements: 1000000}",
         ["p.yaml:1:18: mesh.elements make 8000001 nodes, and at most 2000000 are allowed; "
          "use fewer elements or a lower degree"]),
        ("name: two", "mesh: {elements: [4, 4]}",
         ["p.yaml:1:18: mesh.elements must have 1 number(s), one a dimension of domain.box (got 2)"]),
        ("name: two", "mesh: {elements: [0]}",
         ["p.yaml:1:19: mesh.elements.0 must be a whole number from 1 to 2000000 (got 0)"]),
        ("name: two", "mesh: {elements: atuo}",
         ["p.yaml:1:18: mesh.elements must be auto or a list of whole numbers, one a dimension"]),
        ("name: two", "monte_carlo: {particles: 1000000000000000}",
         ["p.yaml:1:26: monte_carlo.particles must be <= 1000000000000 (got 1000000000000000)"]),
        ("name: two", "noise: -1", ["p.yaml:1:8: noise must be >= 0 (got -1)"]),
        ("name: two", "objective: {effort: -1, norm: l1}",
         ["p.yaml:1:21: objective.effort must be >= 0 (got -1)",
          "p.yaml:1:31: objective.norm must be 'l2' or 'h-1' (got 'l1')"]),
        ("name: two", "solver: switching",
         ["p.yaml:1:9: solver 'switching' is not supported yet; supported: 'shooting', 'collocation'"]),
        ("name: two", "solver: {kind: score-matching}",
         ["p.yaml:1:16: solver.kind 'score-matching' is not supported yet; "
          "supported: 'shooting', 'collocation'"]),
        ("name: two", "solver: {kind: collocation, method: adam}",
         ["p.yaml:1:29: solver.method is not a known key of kind collocation; "
          "known keys: kind, nlp_solver, starts, seed, iterations, tolerance, pivot_tolerance, refine"]),
        ("name: two", "solver: 3",
         ["p.yaml:1:9: solver must be a mapping with a kind, one of 'shooting', 'collocation' (got 3)"]),
        ("name: two", "drift: {kind: formula, expressions: ['x +']}",
         ["p.yaml:1:38: drift.expressions.0 column 4: the formula ends too early"]),
        ("name: two", "drift: {kind: formula, expressions: [1/x]}",
         ["p.yaml:1:38: drift.expressions.0 must be finite on the box (got inf at x = 0, t = 0)"]),
        ("name: two", "drift: {kind: formula, expressions: [x, y]}",
         ["p.yaml:1:37: drift.expressions must have 1 formula(s), one a dimension of domain.box (got 2)"]),
    ],
)  # fmt: skip
def test_an_error_names_the_place_and_the_cure(old, new, expected):
    assert messages(changed(old, new)) == expected


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


def test_everything_wrong_is_told_at_once_in_reading_order():
    text = changed("width: 2", "width: 0\n  widht: 1\nnoise: -1\nmesh: {elements: [2, 2]}\nnoise: 1\nname: three")
    found = messages(text, set={"controls.pieces": 0})
    assert [line.split(": ")[0] + " " + line.split(": ")[1].split()[0] for line in found] == [
        "p.yaml:9:10 network.width", "p.yaml:10:3 network.widht", "p.yaml:11:8 noise",
        "p.yaml:12:18 mesh.elements", "p.yaml:13:1 noise", "p.yaml:14:1 name",
        "--set controls.pieces=0 controls.pieces",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "p.yaml:1:1: the file is empty; it needs at least domain and reference"),
        ("# only a comment\n", "p.yaml:1:1: the file is empty; it needs at least domain and reference"),
        ("---\n", "p.yaml:1:1: the file is empty; it needs at least domain and reference"),
        ("[1, 2]", "p.yaml:1:1: a problem must be a mapping (got [1, 2])"),
        ("hello", "p.yaml:1:1: a problem must be a mapping (got 'hello')"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2:1: only one YAML document a file is allowed"),
        ("a: [1\nb: 2\n", "p.yaml:2:2: not valid YAML: "),
        ("a:\n\t- 1\n", "p.yaml:2:1: not valid YAML: "),
        ("a: 'x\n", "p.yaml:2:1: not valid YAML: "),
        ("a: *b\n", "p.yaml:1:4: *b refers to no anchor before it"),
        ("a: &b [*b]\n", "p.yaml:1:8: *b refers to no anchor before it"),
        ("? [1]\n: 2\n", "p.yaml:1:3: a key must be text"),
        ("a: \x07\n", "p.yaml"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 40 deep"),
        ("a: " + "[" * 900_000, "nested more than 40 deep"),
        ("a: " + "{b: " * 200_000, "nested more than 40 deep"),
        ("-\n" * 1 + "- " * 400_000, "nested more than 40 deep"),
        ("x" * 1_000_001, "p.yaml: the file is larger than 1 MB"),
    ],
    ids=range(18),
)
def test_a_file_that_is_not_a_problem_is_refused_in_one_line(text, expected):
    started = time.process_time()
    found = messages(text)
    assert time.process_time() - started < 1.0
    assert len(found) == 1
    assert "\n" not in found[0]
    assert expected in found[0]


def test_aliases_cannot_blow_up():
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    started = time.process_time()
    found = messages(bomb)
    assert time.process_time() - started < 1.0
    assert found[0].endswith("more than 200000 values, aliases written out")


def test_missing_sections_are_told():
    assert messages("name: x\n") == ["p.yaml:1:1: domain is required", "p.yaml:1:1: reference is required"]


def test_a_path_that_is_no_file_is_told(tmp_path):
    for source, expected in [
        (tmp_path / "no.yaml", f"{tmp_path / 'no.yaml'}: no such file"),
        (tmp_path, f"{tmp_path}: is a folder; name a YAML file or a shipped problem"),
        (
            "two-bumbs",
            "two-bumbs: no such file, and no shipped problem of that name; did you mean 'two-bumps'?",
        ),
        ("a\0b.yaml", "cannot be read"),
        ("", "is a folder"),
    ]:
        with pytest.raises(ProblemError) as refused:
            load_problem(source)
        assert expected in refused.value.messages[0]


def test_a_file_that_is_not_utf_8_is_told_with_the_line(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes(b"name: a\ndescription: caf\xe9\n")
    with pytest.raises(ProblemError) as refused:
        load_problem(path)
    assert str(refused.value) == f"{path}:2:17: is not UTF-8 text; save the file as UTF-8"


def test_a_large_file_is_not_read(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("#" * 1_000_001)
    with pytest.raises(ProblemError, match="larger than 1 MB"):
        load_problem(path)


# --- overrides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "look", "expected"),
    [
        ("network.width=3", lambda p: p.network.width, 3),
        ("noise=1e-2", lambda p: p.noise, 0.01),
        ("domain.box=[[-6, 6]]", lambda p: p.domain.box, ((-6.0, 6.0),)),
        ("domain.box.0.1=6", lambda p: p.domain.box, ((-5.0, 6.0),)),
        ("reference.data.means.0=-1.2", lambda p: p.reference.data.means, ((-1.2,), (1.5,))),
        ("reference.forward.diffusivity=0.5", lambda p: p.reference.forward.diffusivity, 0.5),
        ("reference.forward=heat", lambda p: p.reference.forward.kind, "heat"),
        ("reference.forward.kind=heat", lambda p: p.reference.forward.kind, "heat"),
        ("reference.data=uniform", lambda p: p.reference.data.kind, "uniform"),
        ("solver=collocation", lambda p: p.solver, Collocation()),
        ("solver={kind: collocation, starts: 2}", lambda p: p.solver, Collocation(starts=2)),
        ("solver.kind=collocation", lambda p: p.solver, Collocation()),
        ("solver.starts=3", lambda p: p.solver, Shooting(starts=3, hops=48)),
        ("solver.method=adam", lambda p: p.solver, Shooting(method="adam", hops=0)),
        ("drift=exact", lambda p: p.drift.kind, "exact"),
        ("drift.kind=exact", lambda p: p.drift.kind, "exact"),
        ("mesh.elements=12", lambda p: p.mesh.elements, (12,)),
        ("description=a formula", lambda p: p.description, "a formula"),
    ],
)  # fmt: skip
def test_an_override_replaces_one_value(override, look, expected):
    key, value = parse_override(override)
    assert look(parse_problem(GOOD, set={key: value})) == expected


def test_an_override_reaches_into_a_shorthand():
    text = GOOD + "solver: collocation\n"
    assert parse_problem(text, set={"solver.starts": 3}).solver == Collocation(starts=3)


def test_changing_the_kind_keeps_common_options_and_tells_the_others():
    text = GOOD + "solver: {kind: shooting, starts: 3}\n"
    assert parse_problem(text, set={"solver.kind": "collocation"}).solver == Collocation(starts=3)
    found = messages(GOOD + "solver: {kind: shooting, method: adam}\n", set={"solver.kind": "collocation"})
    assert found == [
        "p.yaml:10:26: solver.method is not a known key of kind collocation; "
        "known keys: kind, nlp_solver, starts, seed, iterations, tolerance, pivot_tolerance, refine"
    ]


def test_numpy_values_can_be_set():
    overrides = {
        "network.width": np.int64(3),
        "domain.box": np.array([[-6.0, 6.0]]),
        "noise": np.float32(0.5),
    }
    problem = parse_problem(GOOD, set=overrides)
    assert (problem.network.width, problem.domain.box, problem.noise) == (3, ((-6.0, 6.0),), 0.5)


def test_an_override_is_not_left_behind_in_the_values_given():
    data = {"kind": "mixture", "means": [0.0], "stds": [1.0]}
    parse_problem(GOOD, set={"reference.data": data, "reference.data.stds": [0.5]})
    assert data["stds"] == [1.0]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"network.width": 0}, "--set network.width=0: network.width must be >= 1 (got 0)"),
        ({"network.widht": 2},
         "--set network.widht=2: network.widht is not a known key; did you mean 'width'?"),
        ({"netwrk.width": 2}, "--set netwrk.width=2: netwrk is not a known key; did you mean 'network'?"),
        ({"noise.level": 2}, "--set noise.level=2: noise must be a number (got a mapping)"),
        ({"name.x": 2}, "--set name.x=2: name is 'two', which has no parts to set"),
        ({"reference.data.means.9": 2},
         "--set reference.data.means.9=2: reference.data.means has 2 entries; the index must be at most 1"),
        ({"reference.data.means.x": 2},
         "--set reference.data.means.x=2: reference.data.means is a list; "
         "continue with an index from 0 to 1"),
        ({"solver": {"kind": "shooting", "starts": 0}},
         "--set solver={kind: shooting, starts: 0}: solver.starts must be >= 1 (got 0)"),
        ({"network": None}, "--set network=null: network must be a mapping (got nothing)"),
        ({"noise": float("nan")}, "--set noise=nan: noise must be finite (got nan)"),
        ({"": 1}, "--set =1: the key is missing, or a part of it"),
        ({"network..width": 1}, "--set network..width=1: the key is missing, or a part of it"),
    ],
)  # fmt: skip
def test_an_error_in_an_override_names_the_override(overrides, expected):
    found = messages(set=overrides)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network.width", "--set network.width: write KEY=VALUE, such as network.width=2"),
        ("=2", "--set =2: the key is missing"),
        ("noise=[1", "not valid YAML"),
        ("noise=!foo 1", "YAML tags such as !foo are not allowed"),
        ("noise=1\n---\n2", "only one YAML document"),
        ("solver={kind: a, kind: b}", "kind is written twice"),
    ],
)
def test_an_override_that_cannot_be_read_is_refused(text, expected):
    with pytest.raises(ProblemError) as refused:
        parse_override(text)
    assert expected in str(refused.value)


def test_an_override_value_is_yaml():
    assert parse_override("a.b=[0, 1]") == ("a.b", [0, 1])
    assert parse_override("a={kind: collocation}") == ("a", {"kind": "collocation"})
    assert parse_override("a=b=c") == ("a", "b=c")
    assert parse_override("a='1'") == ("a", "1")
    assert parse_override(" a = 1e-3 ") == ("a", 1e-3)
    assert parse_override("a=") == ("a", None)


# --- the models by themselves ----------------------------------------------------------------------------


def test_models_can_be_built_in_python():
    data = Mixture(means=[[-1.5], [1.5]], stds=[0.3, 0.3])
    problem = Problem(domain={"box": [(-5, 5)]}, reference={"kind": "reversed-diffusion", "horizon": 1.5, "data": data})
    assert problem.reference.data.weights == (0.5, 0.5)
    assert problem.network.width == 1


def test_a_sample_file_needs_loading():
    reference = {"kind": "moser", "from": "uniform", "to": Samples(file="a.csv", columns=["a"], bandwidth=1)}
    with pytest.raises(ValueError, match=r"reference\.to\.file has not been read: load the problem with load_problem"):
        Problem(domain={"box": [(0, 1)]}, reference=reference)

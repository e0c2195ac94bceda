"""Problem files: what is right loads and round-trips, what is wrong is told with its place and its cure."""

import subprocess
import sys
import time

import pytest

from controlsde.problem import (
    Problem,
    ProblemError,
    list_problems,
    load_problem,
    parse_problem,
)
from controlsde.problem.schema import Mixture, Moser, Samples
from controlsde.solvers.shooting.options import Shooting

from .texts import GOOD, TWO_DIMENSIONS, changed, messages


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
        ("[[-5, 5]]", "[]",
         ["p.yaml:3:8: domain.box must hold one [low, high] a dimension; or write space: free for densities "
          "without a mesh"]),
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
                                 "'mixture', 'product', 'samples', 'gaussians', 'uniform', 'boxes', 'truncated', "
                                 "'student-t', 'funnel', "
                                 "'image', 'formula'"]),
        ("kind: mixture", "kind: mixtur",
         ["p.yaml:7:16: reference.data.kind must be one of 'mixture', 'product', 'samples', 'gaussians', "
          "'uniform', 'boxes', 'truncated', "
          "'student-t', 'funnel', 'image', 'formula' (got 'mixtur'); did you mean 'mixture'?"]),
        ("kind: reversed-diffusion", "kind: displacment",
         ["p.yaml:5:9: reference.kind must be one of 'reversed-diffusion', 'moser', 'displacement', "
          "'foellmer' (got 'displacment'); "
          "did you mean 'displacement'?"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: formula, drift: [-x, -y]}",
         ["p.yaml:6:35: reference.forward.drift must have 1 formula(s), one a dimension of domain.box (got 2)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: formula, drift: 1/x}",
         ["p.yaml:6:35: reference.forward.drift must be finite on the box (got inf at x = 0); bound it "
          "with min(…) and max(…)"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: formula, drift: -t*x}",
         ["p.yaml:6:35: reference.forward.drift column 2: 't' is not a known name; known: x, pi, e"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: vp, schedule: cosin}",
         ["p.yaml:6:33: reference.forward.schedule must be linear, cosine or a formula in s; as a formula, "
          "column 1: 'cosin' is not a known name; known: s, pi, e"]),
        ("kind: reversed-diffusion", "kind: reversed-diffusion\n  forward: {kind: vp, schedule: s - 1}",
         ["p.yaml:6:33: reference.forward.schedule must be finite and positive between s = 0 and the horizon "
          "(got -1 at s = 0); bound it with max(…, 0) and min(…)"]),
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
          "p.yaml:1:31: objective.norm must be 'l2', 'h-1' or 'mollified' (got 'l1')"]),
        ("name: two", "solver: {kind: swiching}",
         ["p.yaml:1:16: solver.kind must be one of 'shooting', 'collocation', 'score-matching', 'switching' "
          "(got 'swiching'); did you mean 'switching'?"]),
        ("name: two", "solver: {kind: collocation, method: adam}",
         ["p.yaml:1:29: solver.method is not a known key of kind collocation; "
          "known keys: kind, start, nlp_solver, starts, seed, iterations, tolerance, pivot_tolerance, device, refine"]),
        ("name: two", "solver: 3",
         ["p.yaml:1:9: solver must be a mapping with a kind, one of 'shooting', 'collocation', 'score-matching', "
          "'switching' (got 3)"]),
        ("name: two", "drift: {kind: formula, expressions: ['x +']}",
         ["p.yaml:1:38: drift.expressions.0 column 4: the formula ends too early"]),
        ("name: two", "drift: {kind: formula, expressions: [1/x]}",
         ["p.yaml:1:38: drift.expressions.0 must be finite on the box (got inf at x = 0, t = 0); bound it "
          "with min(…) and max(…)"]),
        ("name: two", "drift: {kind: formula, expressions: [x, y]}",
         ["p.yaml:1:37: drift.expressions must have 1 formula(s), one a dimension of domain.box (got 2)"]),
    ],
)  # fmt: skip
def test_an_error_names_the_place_and_the_cure(old, new, expected):
    assert messages(changed(old, new)) == expected


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
        ("[1, 2]", "p.yaml:1:1: a problem must be a mapping (got a list)"),
        ("hello", "p.yaml:1:1: a problem must be a mapping (got text)"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2:1: only one YAML document a file is allowed"),
        ("a: [1\nb: 2\n", "p.yaml:2:2: not valid YAML: "),
        ("a:\n\t- 1\n", "p.yaml:2:1: not valid YAML: "),
        ("a: 'x\n", "p.yaml:2:1: not valid YAML: "),
        ("a: *b\n", "p.yaml:1:4: *b refers to no anchor before it"),
        ("a: &b [*b]\n", "p.yaml:1:8: *b refers to no anchor before it"),
        ("? [1]\n: 2\n", "p.yaml:1:3: a key must be text"),
        ("a: \x07\n", "p.yaml"),
        ("a: " + "[" * 60 + "]" * 60, "nested more than 40 deep"),
        ("a: " + "[" * 600_000, "nested more than 40 deep"),
        ("a: " + "{b: " * 200_000, "nested more than 40 deep"),
        ("-\n" * 1 + "- " * 400_000, "nested more than 40 deep"),
        ("x" * 1_000_001, "p.yaml: the file is larger than 1 MB"),
    ],
    ids=range(18),
)
def test_a_file_that_is_not_a_problem_is_refused_in_one_line(text, expected):
    """…in the time that its beginning takes, and that a look at a megabyte takes besides, however long it goes on."""
    beginning, _ = seconds_and_messages(text[:10_000])
    seconds, found = seconds_and_messages(text)
    assert seconds < 3 * beginning + 0.5
    assert len(found) == 1
    assert "\n" not in found[0]
    assert expected in found[0]


def seconds_and_messages(text):
    """Of the processor, so that others on the machine count for little; and what is said of the text."""
    started = time.process_time()
    found = messages(text)
    return time.process_time() - started, found


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


def test_models_can_be_built_in_python():
    data = Mixture(means=[[-1.5], [1.5]], stds=[0.3, 0.3])
    problem = Problem(domain={"box": [(-5, 5)]}, reference={"kind": "reversed-diffusion", "horizon": 1.5, "data": data})
    assert problem.reference.data.weights == (0.5, 0.5)
    assert problem.network.width == 1


def test_a_sample_file_needs_loading():
    reference = {"kind": "moser", "from": "uniform", "to": Samples(file="a.csv", columns=["a"], bandwidth=1)}
    with pytest.raises(ValueError, match=r"reference\.to\.file has not been read: load the problem with load_problem"):
        Problem(domain={"box": [(0, 1)]}, reference=reference)

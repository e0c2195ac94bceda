"""What a sweep varies: words, mappings and files, and what is refused in a line."""

import re

import pytest

from controlsde.problem import ProblemError
from controlsde.sweeps import sweep_file
from controlsde.sweeps.variations import SweepError, Variations, parse_vary


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("noise=0,0.25,1", "noise", [0, 0.25, 1]),
        ("solver.seed=0:4", "solver.seed", [0, 1, 2, 3]),
        ("solver.seed=0:9:4,20", "solver.seed", [0, 4, 8, 20]),
        ("network.activation=tanh,relu", "network.activation", ["tanh", "relu"]),
        ("reference.data={kind: uniform},{kind: uniform, low: 0}", "reference.data", [
            {"kind": "uniform"}, {"kind": "uniform", "low": 0},
        ]),
        ("objective.scales=[1, 2],[4]", "objective.scales", [[1, 2], [4]]),
        ("controls.lengths=free,0.8", "controls.lengths", ["free", 0.8]),
    ],
)  # fmt: skip
def test_words_are_values_of_a_key(text, key, values):
    assert parse_vary(text) == (key, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("noise", "write KEY=VALUE,VALUE"),
        ("=1,2", "write KEY=VALUE,VALUE"),
        ("noise=", "noise has no values"),
        ("solver.seed=4:4", "solver.seed has no values"),
        ("noise=1,2,1", "noise has the value 1 twice"),
        ("noise=[1", "--vary noise=[1: "),
    ],
)
def test_words_that_are_none_are_refused_in_a_line(text, words):
    with pytest.raises(SweepError, match=re.escape(words)) as caught:
        parse_vary(text)
    assert "\n" not in str(caught.value)


def test_runs_are_all_combinations_and_the_last_key_changes_fastest():
    varied = Variations.of(
        {"noise": [0, 1]},
        [{"network.width": [1, 2], "controls.bounds": [50, 25]}],
        [{"controls.pieces": 4}, {"controls.lengths": "free"}],
    )
    runs = list(varied.runs())
    assert varied.count == len(runs) == 8
    assert varied.keys == ("noise", "network.width", "controls.bounds", "controls.pieces", "controls.lengths")
    assert runs[0] == {"noise": 0, "network.width": 1, "controls.bounds": 50, "controls.pieces": 4}
    assert runs[3] == {"noise": 0, "network.width": 2, "controls.bounds": 25, "controls.lengths": "free"}
    assert runs[4]["noise"] == 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"grid": {}}, "nothing is varied"),
        ({"grid": {"noise": []}}, "noise has no values"),
        ({"grid": {"noise": [0, 1]}, "zipped": [{"noise": [2, 3]}]}, "noise is varied twice"),
        ({"grid": {"noise": [0, 1]}, "listed": [{"noise": 2}]}, "noise is varied twice"),
        ({"grid": {"solver": ["shooting"], "solver.seed": [0, 1]}}, "solver.seed is varied, and so is solver"),
        ({"zipped": [{"noise": [0, 1], "network.width": [1]}]}, "noise has 2, network.width has 1"),
        ({"zipped": [{}]}, "a group of `zipped` is empty"),
        ({"listed": [{}]}, "entry 1 of `listed` is empty"),
        ({"grid": {"solver.seed": "0:100000", "noise": "0:1000"}}, "100,000,000 runs, more than 10,000,000"),
    ],
)  # fmt: skip
def test_variations_that_contradict_each_other_are_refused(asked, words):
    with pytest.raises(SweepError, match=re.escape(words)):
        Variations.of(**asked)


SWEEP = """\
problems: [two-bumps]
set: {controls.pieces: 4}
vary: {noise: [0, 1], solver.seed: 0:2}
"""


def test_a_file_says_the_same(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    assert sweep_file.is_sweep(path)
    asked = sweep_file.load(path)
    assert asked.problems == ("two-bumps",)
    assert asked.base == {"controls.pieces": 4}
    assert asked.variations == Variations.of({"noise": [0, 1], "solver.seed": [0, 1]})
    (tmp_path / "problem.yaml").write_text("domain: {box: [[0, 1]]}\n", encoding="utf-8")
    assert not sweep_file.is_sweep(tmp_path / "problem.yaml")
    assert not sweep_file.is_sweep(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("vary:", "varry:"), "3:1: varry is not a known key; did you mean 'vary'?"),
        (("problems: [two-bumps]", "problems: []"), "1:11: problems must name at least one problem"),
        (("{noise: [0, 1], solver.seed: 0:2}", "[noise]"), "3:7: vary must map keys"),
        (("{noise: [0, 1], solver.seed: 0:2}", "{noise: []}"), "noise has no values"),
        (("set: {", "zipped: {"), "zipped must be a list of mappings"),
        (("vary:", "problems:"), "problems"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_place(tmp_path, change, words):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace(*change), encoding="utf-8")
    with pytest.raises((SweepError, ProblemError), match=re.escape(words)) as caught:
        sweep_file.load(path)
    assert str(caught.value).startswith(str(path))

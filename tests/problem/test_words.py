"""Whatever stands where something else should: key, fault and value in the words of the file, not Python's."""

import re

import pytest

from controlsde.problem import ProblemError, parse_override, parse_problem
from tests.quick import every

from .texts import GOOD, messages

PYTHONS = re.compile(
    r"None|\bdict|tuple|union_tag|Input should|unhashable|Traceback|pydantic|\bstr\b|\bint\b|float_|Sequence|\bTrue\b|"
    r"\bFalse\b|discriminator|\bobject\b|Mapping|literal"
)
PLACE = re.compile(r"p\.yaml:\d+:\d+: |--set ")
VALUES = (
    "null", "[a]", "{kind: 7}", "{kind: null}", "{kind: [a]}", "{kind: {kind: 7}}", "7", "true", "1.5", '"x"', "[]",
    "{}", "[null]", "[[1], [2, 3]]", ".nan", "-1e400", "{1: 2}", "[{kind: mixture}]", "٣", "1_0", '"1,5"', "9" * 60,
)  # fmt: skip
KEYS = (
    "name", "description", "domain", "domain.box", "domain.box.0", "domain.box.0.1", "domain.walls", "reference",
    "reference.kind", "reference.horizon", "reference.data", "reference.data.kind", "reference.data.means",
    "reference.data.means.0", "reference.data.stds", "reference.data.weights", "reference.data.weights.0",
    "reference.data.covariances", "reference.data.points", "reference.forward", "reference.forward.kind",
    "reference.start", "noise", "network", "network.width", "network.activation", "network.tangential", "controls",
    "controls.pieces", "controls.lengths", "controls.bounds", "controls.bounds.A", "objective", "objective.norm",
    "objective.running", "objective.terminal_error", "mesh", "mesh.elements", "mesh.elements.0", "mesh.degree",
    "solver", "solver.kind", "solver.starts", "solver.refine", "solver.refine.0", "monte_carlo", "monte_carlo.seed",
    "monte_carlo.particles", "drift", "drift.kind", "drift.expressions", "drift.expressions.0",
)  # fmt: skip


@pytest.mark.parametrize("key", every(4, KEYS))
def test_any_value_in_place_of_another_is_told_in_the_words_of_the_file(key):
    told = 0
    for value in VALUES:
        try:
            parse_problem(GOOD, label="p.yaml", set=dict([parse_override(f"{key}={value}")]))
        except ProblemError as error:
            for message in error.messages:
                told += 1
                assert PLACE.match(message), message
                assert not PYTHONS.search(message), message
                assert len(message) <= 500
    assert told >= 10


ALL_KINDS = "'ornstein-uhlenbeck', 'heat', 'vp', 've', 'formula'"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("null", f"p.yaml:5:19: reference.forward.kind must be one of {ALL_KINDS} (got null)"),
        ("[a]", f"p.yaml:5:19: reference.forward.kind must be one of {ALL_KINDS} (got ['a'])"),
        ("{kind: 7}", f"p.yaml:5:19: reference.forward.kind must be one of {ALL_KINDS} (got a mapping)"),
        ("7", f"p.yaml:5:19: reference.forward.kind must be one of {ALL_KINDS} (got 7)"),
        ("heta", f"p.yaml:5:19: reference.forward.kind must be one of {ALL_KINDS} (got 'heta'); did you mean 'heat'?"),
    ],
)
def test_a_kind_that_is_none_is_told_with_what_it_is(written, expected):
    text = GOOD.replace("  horizon", f"  forward: {{kind: {written}}}\n  horizon").replace("name: two\n", "")
    assert messages(text) == [expected]


@pytest.mark.parametrize(("written", "got"), [("null", "null"), ("[a, b]", "['a', 'b']"), ("7", "7"), ("true", "true")])
def test_what_should_be_a_mapping_with_a_kind_and_is_none_is_told_so(written, got):
    text = GOOD.replace("  horizon", f"  forward: {written}\n  horizon")
    assert messages(text) == [
        f"p.yaml:6:12: reference.forward must be a mapping with a kind, one of {ALL_KINDS} (got {got})"
    ]

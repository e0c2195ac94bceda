"""Overrides: any key replaced, each fault told in terms of the override."""

import numpy as np
import pytest

from controlsde.problem import (
    ProblemError,
    load_problem,
    parse_override,
    parse_problem,
)
from controlsde.problem.loading import load_variants
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.shooting.options import Shooting

from .texts import GOOD, messages


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
        ("solver.starts=3", lambda p: p.solver, Shooting(starts=3, hops=96)),
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
        "known keys: kind, start, nlp_solver, starts, seed, iterations, tolerance, pivot_tolerance, device, refine"
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
        ({"network": None}, "--set network=null: network must be a mapping (got null)"),
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


def test_a_file_that_is_read_once_for_many_overrides_is_as_if_it_were_read_for_each():
    sets = [{"network.width": 3}, {"reference.data.bandwidth": 0.2}, {}, {"solver": "collocation"}]
    alone = [load_problem("iris-petals", set=one) for one in sets]
    assert [one.to_yaml() for one in load_variants("iris-petals", sets)] == [one.to_yaml() for one in alone]
    with pytest.raises(ProblemError) as once:
        list(load_variants("two-bumps", [{"noise": 1}, {"network.width": 0}]))
    with pytest.raises(ProblemError) as each:
        load_problem("two-bumps", set={"network.width": 0})
    assert str(once.value) == str(each.value)

"""The cure that is named for a density between the nodes is one: applied as it stands, `check` accepts the problem."""

import re

import pytest

from controlsde.problem import parse_problem
from controlsde.reference import ReferenceError, build_reference  # noqa: A004
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import build_mesh
from controlsde.workflow.faults import fault_of, too_narrow
from controlsde.workflow.prediction import affordable, predict

NARROW = """\
domain: {box: [[-5, 5]]}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {kind: mixture, means: [0.3], stds: [0.001]}
controls: {pieces: 4}
"""
DENSITIES = {
    "mixture": {"kind": "mixture", "means": [0.3], "stds": [0.001]},
    "one of two": {"kind": "mixture", "means": [-1, 0.3], "stds": [0.5, 0.002]},
    "samples": {"kind": "samples", "points": [-1, 0.3, 2], "bandwidth": 0.002},
}
TOO_NARROW = {
    "mixture": ("stds", {"kind": "mixture", "means": [0.3], "stds": [1e-5]}),
    "one of two": ("stds", {"kind": "mixture", "means": [-1, 0.3], "stds": [0.5, 1e-6]}),
    "samples": ("bandwidth", {"kind": "samples", "points": [-1, 0.3, 2], "bandwidth": 1e-6}),
}


def refusal(problem):
    """The one reason for which `check` refuses a problem, and the key it is about."""
    prediction = predict(problem)
    (reason,) = prediction.refused
    return prediction.refused_at, reason


@pytest.mark.parametrize("elements", ["auto", [48], [96]])
@pytest.mark.parametrize("kind", DENSITIES)
def test_the_elements_that_are_named_hold_and_resolve_the_density(kind, elements):
    keys = {"reference.data": DENSITIES[kind], "mesh.elements": elements}
    where, reason = refusal(parse_problem(NARROW, set=keys))
    assert where == ("reference", "data")
    named = int(re.search(r"use mesh\.elements: \[(\d+)\]", reason)[1])
    cured = predict(parse_problem(NARROW, set={**keys, "mesh.elements": [named]}))
    assert cured.refused == ()
    assert not any("does not resolve" in warning for warning in cured.warnings)


@pytest.mark.parametrize("kind", TOO_NARROW)
def test_where_no_mesh_will_do_the_least_width_named_fits_and_half_not(kind):
    key, data = TOO_NARROW[kind]
    where, reason = refusal(parse_problem(NARROW, set={"reference.data": data}))
    assert where == ("reference", "data")
    found = re.search(rf"the least {key} that fit here are ([\d.e-]+), with mesh\.elements: \[(\d+)\]", reason)
    least, elements = float(found[1]), int(found[2])

    def checked(width):
        widths = [max(one, width) for one in data[key]] if isinstance(data[key], list) else width
        return predict(parse_problem(NARROW, set={"reference.data": {**data, key: widths}, "mesh.elements": elements}))

    assert checked(least).refused == ()
    narrower = checked(0.5 * least)
    assert narrower.refused or any("does not resolve" in warning for warning in narrower.warnings)


def test_a_mesh_that_holds_but_does_not_resolve_is_sent_to_one_that_does():
    problem = parse_problem(NARROW, set={"reference.data.stds": [0.02], "mesh.elements": [24]})
    (warning,) = (one for one in predict(problem).warnings if "does not resolve" in one)
    named = int(re.search(r"mesh\.elements: \[(\d+)\]", warning)[1])
    cured = predict(parse_problem(NARROW, set={"reference.data.stds": [0.02], "mesh.elements": [named]}))
    assert not any("does not resolve" in one for one in cured.warnings)


def test_in_two_dimensions_the_elements_that_are_named_are_a_cure():
    data = {"kind": "mixture", "means": [[0.1, 0.2]], "stds": [0.12]}
    keys = {"domain.box": [[-4, 4], [-4, 4]], "reference.data": data, "mesh.elements": [3, 3]}
    where, reason = refusal(parse_problem(NARROW, set=keys))
    assert where == ("reference", "data")
    named = [int(one) for one in re.search(r"use mesh\.elements: \[(\d+,\d+)\]", reason)[1].split(",")]
    assert predict(parse_problem(NARROW, set={**keys, "mesh.elements": named})).refused == ()


def test_json_of_check_has_no_place_beside_its_reasons():
    document = predict(parse_problem(NARROW)).to_json()
    assert document["valid"] is False
    assert "refused_at" not in document


@pytest.mark.parametrize(
    ("key", "data"),
    [
        (("reference", "data", "expression"), {"kind": "formula", "expression": "1/abs(x - 0.3001)"}),
        (("reference", "data"), {"kind": "funnel", "std": 3}),
    ],
)
def test_the_density_that_cannot_be_built_is_the_one_at_fault(key, data):
    box = [[-5, 5]] if data["kind"] == "formula" else [[-9, 9], [-20, 20]]
    problem = parse_problem(NARROW, set={"reference.data": data, "domain.box": box})
    with pytest.raises(ReferenceError) as refused:
        build_reference(problem.reference, problem.domain)
    fault = fault_of(problem, refused.value, affordable(problem))
    assert fault.where == key
    assert fault.reason in str(refused.value)


def test_a_mesh_that_holds_the_reference_has_no_fault():
    problem = parse_problem(NARROW, set={"reference.data.stds": [0.4]})
    reference = build_reference(problem.reference, problem.domain)
    assert too_narrow(Posed(problem, reference), build_mesh(problem, reference), affordable(problem)) is None

"""Formulas that nothing can be computed with are refused where they are written: values, sizes, single precision."""

import time

import pytest

from controlsde.problem import parse_problem
from controlsde.problem.formula_checks import MOST_CROSSINGS, jump_of

from .texts import GOOD, TWO_DIMENSIONS, changed, messages

LINE = ((-5.0, 5.0),)


def drift(*formulas):
    return {"drift": {"kind": "formula", "expressions": list(formulas)}}


@pytest.mark.parametrize(
    "formula",
    ["sinh(x)*1e300", "1e308", "-1e308", "softplus(1e308)", "1e200*exp(-x**2)", "x*1e9", "exp(exp(t*5))",
     "tan(x)*1e300", "where(t < 0.9, 0, 1e200)", "1e307 + 1e307*x**0", "x**99"],
)  # fmt: skip
def test_a_drift_that_no_step_follows_is_refused_with_size_and_place(formula):
    (line,) = messages(set=drift(formula))
    assert "drift.expressions.0 must be at most" in line or "must be finite on the box" in line
    assert " at x = " in line
    assert ", t = " in line


@pytest.mark.parametrize(
    "formula", ["log(x)", "x**0.5", "sqrt(-x)", "0/x", "1/x", "exp(1e5*x)", "1e308*x", "log(t - 1)"]
)
def test_a_drift_that_is_not_finite_somewhere_is_refused_with_the_point(formula):
    (line,) = messages(set=drift(formula))
    assert "must be finite on the box (got " in line
    assert " at x = " in line


def test_in_two_dimensions_each_formula_is_tried():
    (line,) = messages(TWO_DIMENSIONS, set=drift("-x", "1e300*y"))
    assert "drift.expressions.1 must be at most" in line
    assert "x = -6, y = -6, t = 0" in line


def test_the_limit_is_a_number_of_crossings_of_the_box_within_the_horizon():
    fastest = MOST_CROSSINGS * 10 / 1.5  # a box of 10, a horizon of 1.5
    assert parse_problem(GOOD, set=drift(f"{0.99 * fastest}*tanh(x)")).drift
    (line,) = messages(set=drift(f"{1.01 * fastest}"))
    assert "would cross the box in less than 1e-05 of the horizon" in line
    assert parse_problem(GOOD, set={**drift("1e8"), "reference.horizon": 1e-3}).drift


def test_a_drift_that_noisy_particles_cannot_compute_is_refused():
    formula = "exp(100*x)/(1 + exp(100*x))"
    (line,) = messages(set=drift(formula))
    assert "must be finite in single precision" in line
    assert parse_problem(GOOD, set={**drift(formula), "noise": 0}).drift
    assert parse_problem(GOOD, set=drift("sigmoid(100*x)")).drift


def test_a_pulse_at_any_of_many_times_is_seen():
    (line,) = messages(set=drift("1e30*exp(-(t - 0.98)**2*1e4)"))
    assert "must be at most" in line


@pytest.mark.parametrize("formula", ["sinh(x)*1e300", "1e308", "softplus(1e300)*x", "exp(100*x)", "x**99"])
def test_a_forward_drift_is_held_to_the_same(formula):
    text = changed("horizon: 1.5", f"horizon: 1.5\n  forward: {{kind: formula, drift: '{formula}'}}")
    (line,) = messages(text)
    assert line.startswith("p.yaml:7:35: reference.forward.drift must be at most")


@pytest.mark.parametrize("kind", ["vp", "ve"])
@pytest.mark.parametrize("schedule", ["1e308", "1e300*s", "exp(700*s)", "1/(s + 1e-9)", "softplus(1e308)"])
def test_a_schedule_beyond_what_a_named_one_may_reach_is_refused(kind, schedule):
    text = changed("horizon: 1.5", f"horizon: 1.5\n  forward: {{kind: {kind}, schedule: '{schedule}'}}")
    (line,) = messages(text)
    assert line.startswith("p.yaml:7:33: reference.forward.schedule must be ")
    assert "at s = " in line


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_the_longest_formula_is_tried_within_a_second_or_two(dimension):
    names = ("x", "y", "z")[:dimension]
    long = "+".join(["(t*x)**2"] * 190)
    assert len(long) < 2000
    box = [[-1, 1]] * dimension
    mean = [[0.0] * dimension]
    data = {"kind": "mixture", "means": mean, "stds": [0.1]}
    began = time.process_time()
    problem = parse_problem(GOOD, set={"domain.box": box, "reference.data": data, **drift(*[long for _ in names])})
    assert problem.drift
    assert time.process_time() - began < 4


def test_a_jump_is_told_from_a_kink_and_from_a_steep_slope():
    assert jump_of(["sign(x)"], LINE) == "x = 0"
    assert jump_of(["where(x < 0.1234, 1, -1)"], LINE) == "x = 0.1234"
    assert jump_of(["x", "sign(y - 0.3)"], ((-1, 1), (-2, 2))).endswith("y = 0.3")
    for formula in ("abs(x)", "tanh(1e6*x)", "sign(x)*x", "3", "where(x < 1, 0, x - 1)"):
        assert jump_of([formula], LINE) is None

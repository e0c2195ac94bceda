"""Where the diffusivity vanishes: no bounds that divide by it, and no step of the verification that runs backwards."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

import controlsde as cs
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.diffusivity import Steady, Varying
from controlsde.problem import parse_problem
from controlsde.reference import build_reference
from controlsde.verification.exponential import MAGNUS_TOLERANCE, propagate_time_dependent
from controlsde.verification.jumps import jumps
from controlsde.verification.pauses import pauses
from tests.quick import slow


def falling(power, floor=0.0):
    """D = (1 - t)^power + floor on [0, 1]."""
    return Varying(
        lambda t: max(1 - t, 0.0) ** power + floor,
        lambda t: -(max(1 - t, 0.0) ** (power + 1)) / (power + 1) + floor * t,
        0.7,
    )


def inside(width):
    """D = 1, but for |t - 0.4| < width, where it is 0."""

    def until(t):
        return t - max(min(t, 0.4 + width) - (0.4 - width), 0.0)

    return Varying(lambda t: float(abs(t - 0.4) >= width), until)


@pytest.mark.parametrize(
    ("diffusivity", "infinite"),
    [
        (falling(0.5), False),  # ∫ dt/√(1 - t) = 2
        (falling(1.0), True),
        (falling(3.0), True),
        (falling(3.0, floor=0.1), False),
        (inside(0.01), True),
        (Varying(lambda t: (t - 0.37) ** 2, lambda t: (t - 0.37) ** 3 / 3), True),  # between the samples
        (Varying(lambda t: abs(t - 0.37) ** 0.5, lambda t: math.copysign(abs(t - 0.37) ** 1.5, t - 0.37) / 1.5), False),
        (Varying(lambda t: t, lambda t: t**2 / 2), True),
        (Steady(1.0), False),
    ],
)
def test_a_diffusivity_pauses_where_the_integral_of_its_inverse_is_infinite(diffusivity, infinite):
    assert pauses(diffusivity, 1.0, lambda _: 1.0) is infinite


def test_each_place_where_a_diffusivity_vanishes_is_looked_at():
    twice = Varying(
        lambda t: math.sin(2 * math.pi * t) ** 2, lambda t: 0.5 * t - math.sin(4 * math.pi * t) / (8 * math.pi)
    )  # at 0, ½ and 1
    assert pauses(twice, 1.0, lambda t: math.sin(math.pi * t))  # 1 at ½, 0 at the ends
    assert not pauses(twice, 1.0, lambda t: math.sin(2 * math.pi * t))


def test_nothing_is_divided_by_a_diffusivity_that_the_drift_follows_to_zero():
    for diffusivity in (falling(2.0), inside(0.05)):
        assert pauses(diffusivity, 1.0, lambda _: 1.0)
        assert not pauses(diffusivity, 1.0, lambda t, d=diffusivity: 3.0 * d.at(t))


def vanishing(schedule, more="drift: {kind: exact}"):
    return parse_problem(
        f"""
domain: {{box: [[-6, 6]]}}
reference:
  kind: reversed-diffusion
  forward: {{kind: vp, schedule: "{schedule}"}}
  horizon: 1
  data: {{kind: mixture, means: [0.5], stds: [0.5]}}
controls: {{pieces: 4}}
mesh: {{elements: [10], steps_per_piece: 4}}
monte_carlo: {{particles: 500, steps_per_piece: 8}}
{more}
"""
    )


@pytest.mark.parametrize("schedule", ["s^2", slow("where(s < 0.5, 0, 1)")])
def test_no_bound_is_promised_where_diffusivity_vanishes_and_drift_not(schedule):
    drift = 'drift: {kind: formula, expressions: ["0.1*x"]}'
    found = cs.evaluate(vanishing(schedule, drift)).promises
    assert found.l2_bound is None
    assert found.kl_bound is None
    assert "vanishes" in found.note


def test_a_diffusivity_that_is_only_small_keeps_its_bounds():
    bounded = cs.evaluate(vanishing("0.1 + s^2", 'drift: {kind: formula, expressions: ["0.1*x"]}')).promises
    assert bounded.note is None
    assert bounded.kl <= bounded.kl_bound
    assert bounded.l2 <= bounded.l2_bound


@pytest.mark.parametrize("schedule", [slow("s^2"), "where(s < 0.5, 0, 1)"])
def test_the_exact_drift_rests_with_the_diffusivity_and_keeps_its_bounds(schedule):
    found = cs.evaluate(vanishing(schedule)).promises
    assert found.note is None
    assert found.loss < 1e-20
    assert found.kl_bound == pytest.approx(0.0, abs=1e-12)


def test_jumps_are_looked_for_where_the_diffusivity_is_zero():
    problem = vanishing("(s - 0.5)**2")  # 0 at T/2
    reference = build_reference(problem.reference, problem.domain)
    assert reference.diffusivity.at(0.5) == 0.0
    with np.errstate(all="raise"):
        assert not jumps(reference, problem.domain.box)
    resting = parse_problem(
        "domain: {box: [[-1, 1]]}\nreference: {kind: reversed-diffusion, horizon: 1, data: {kind: formula, expression: "
        "'where(x < 0.1, 1.5, 0.5)'}, forward: {kind: ve, schedule: 'where(s < 0.6, 0, 1)'}}\n"
    )
    assert jumps(build_reference(resting.reference, resting.domain), resting.domain.box)  # as it is at s = 0.5, too


@pytest.mark.slow
def test_no_output_within_a_piece_is_off_by_more_than_the_error_in_time():
    # diffusion that begins like t^6, against a drift, and has forgotten how by the end of the piece
    mesh = Mesh.build(((-3.0, 3.0),), "reflecting", (4,), 6)
    operator = Operator.build(mesh, 1.0)
    transport = operator.matrix(-2.0 * np.sin(np.pi * operator.drift_points / 3.0), 0.0)
    start = operator.mesh.unit_mass(np.exp(-((operator.mesh.points[:, 0] - 1.0) ** 2)))

    def matrix(_, t):
        return sp.csr_array(transport + min(t, 1.0) ** 6 * operator.diffusion)

    def run(outputs):
        return propagate_time_dependent(matrix, start, np.array([0.0, 12.0]), outputs, operator.mesh.mass)

    found, moved, _ = run(12)
    exact = run(12 * 16)[0][::16]
    change = np.sqrt((found - exact) ** 2 @ operator.mesh.mass) / np.sqrt(exact**2 @ operator.mesh.mass)
    assert np.max(change) <= max(moved, MAGNUS_TOLERANCE)

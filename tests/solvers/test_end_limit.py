"""The least effort whose error at T is within a limit: first-order conditions, both solvers, and limits out of reach."""

import numpy as np
import pytest

from controlsde.adaptation import solve_resolved
from controlsde.problem import ProblemError, parse_problem
from controlsde.progress import silent
from controlsde.reference import build_reference
from controlsde.solvers.reduced import ReducedObjective

PROBLEM = """
domain: {{box: [[-4, 4]]}}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {{kind: mixture, weights: [0.5, 0.5], means: [-1, 1], stds: [0.5, 0.5]}}
controls: {{pieces: {pieces}}}
mesh: {{elements: [5], degree: 6, steps_per_piece: 2}}
objective: {{norm: {norm}, running: 0, terminal: 0, effort: {effort}, terminal_error: {limit}}}
solver: {{kind: {kind}, starts: 2}}
"""


def solved(limit, kind="shooting", norm="l2", pieces=3, effort=1.0):
    problem = parse_problem(PROBLEM.format(limit=limit, kind=kind, norm=norm, pieces=pieces, effort=effort))
    return solve_resolved(problem, build_reference(problem.reference, problem.domain), problem.solver, silent)


@pytest.mark.parametrize("norm", ["l2", "h-1"])
def test_the_limit_holds_and_the_first_order_conditions_with_it(norm):
    limit = 0.12 if norm == "l2" else 0.06
    tracking, outcome = solved(limit, norm=norm)
    assert outcome.converged, outcome.message
    objective = ReducedObjective(tracking)
    assert tracking.end_error(objective.stages(outcome.weights)) == pytest.approx(limit, rel=2e-4)
    value, effort = objective.value_and_gradient(outcome.weights)  # of J without the multiplier
    assert outcome.objective == pytest.approx(value)
    _, with_end = ReducedObjective(tracking.pressed(1.0)).value_and_gradient(outcome.weights)
    end = with_end - effort  # ∇ ½‖ρ(T) − p(T)‖²
    multiplier = -np.sum(effort * end) / np.sum(end**2)
    assert multiplier > 0
    assert np.abs(effort + multiplier * end).max() < 1e-4 * np.abs(effort).max()


def test_a_tighter_limit_costs_more_effort():
    efforts = [solved(limit)[1].objective for limit in (0.16, 0.12, 0.09)]
    assert efforts[0] < efforts[1] < efforts[2]


def test_collocation_finds_the_same_least_effort():
    efforts = []
    tracking, shot = solved(0.12)
    problem = parse_problem(PROBLEM.format(limit=0.12, kind="collocation", norm="l2", pieces=3, effort=1.0))
    reference = build_reference(problem.reference, problem.domain)
    _, collocated = solve_resolved(problem, reference, problem.solver, silent, (shot.weights,))
    efforts = shot.objective, collocated.objective
    assert collocated.converged
    assert efforts[1] == pytest.approx(efforts[0], rel=1e-3)  # both meet the limit to 1e-4
    assert tracking.end_limit == 0.12


def test_a_limit_that_nothing_presses_against_is_no_constraint():
    _, outcome = solved(10.0)
    assert outcome.converged
    assert outcome.objective < 1e-6  # no effort at all


def test_a_limit_out_of_reach_is_said_to_be_so():
    _, outcome = solved(1e-5, pieces=1, effort=0.1)
    assert not outcome.converged
    assert "no controls were found whose error at T is at most 1e-05" in outcome.message


def test_a_limit_must_be_positive():
    with pytest.raises(ProblemError, match="terminal_error must be > 0"):
        solved(0)

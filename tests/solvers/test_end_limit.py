"""The least effort whose error at T is within a limit: optimality, both solvers, and limits out of reach."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.fokker_planck import Mesh
from controlsde.foundation.progress import silent
from controlsde.problem import ProblemError, parse_problem
from controlsde.reference import build_reference
from controlsde.solvers.end_limit import solve_within_limit
from controlsde.solvers.shooting import solver as shooting
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import build_tracking, time_grid
from controlsde.workflow.mesh_refinement import solve_resolved
from tests.quick import slow

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
    return solve_resolved(Posed.of(problem), problem.solver, silent)


def measured(problem, outcome):
    """‖ρ(T) − p(T)‖ of an answer, on three times its elements and with eight times its steps."""
    reference = build_reference(problem.reference, problem.domain)
    mesh = Mesh.build(problem.domain.box, problem.domain.walls, (15,), 6)
    grid = replace(time_grid(problem, reference), steps_per_piece=16)
    fine = build_tracking(problem, reference, mesh, grid)
    return fine.end_error(Objective(fine).stages(outcome.weights))


@pytest.mark.parametrize("norm", ["l2", slow("h-1")])
def test_the_limit_holds_on_finer_meshes_the_conditions_on_the_own_one(norm):
    limit = 0.12 if norm == "l2" else 0.06
    tracking, outcome = solved(limit, norm=norm)
    assert outcome.converged, outcome.message
    problem = parse_problem(PROBLEM.format(limit=limit, kind="shooting", norm=norm, pieces=3, effort=1.0))
    assert 0.99 * limit < measured(problem, outcome) <= limit
    objective = Objective(tracking)
    value, effort = objective.value_and_gradient(outcome.weights)  # of J without the multiplier
    assert outcome.objective == pytest.approx(value)
    _, with_end = Objective(tracking.pressed(1.0)).value_and_gradient(outcome.weights)
    end = with_end - effort  # ∇ ½‖ρ(T) − p(T)‖²
    multiplier = -np.sum(effort * end) / np.sum(end**2)
    assert multiplier > 0
    assert np.abs(effort + multiplier * end).max() < 1e-4 * np.abs(effort).max()


def small_tracking(limit):
    problem = parse_problem(PROBLEM.format(limit=limit, kind="shooting", norm="l2", pieces=2, effort=1.0))
    return problem.solver, build_tracking(problem, build_reference(problem.reference, problem.domain))


def test_what_is_told_of_the_search_is_j_without_the_multiplier():
    options, tracking = small_tracking(0.2)
    told, solves = [], []

    def solve(pressed, *arguments):
        solves.append(shooting.solve(pressed, *arguments))
        return solves[-1]

    outcome = solve_within_limit(solve, Objective(tracking), options, told.append)
    assert outcome.converged
    plain = Objective(tracking)
    values = [plain.value(one.weights) for one in solves]
    assert all(one.objective > 1.5 * value for one, value in zip(solves, values, strict=True))  # pressed
    assert [row.objective for row in outcome.history] == pytest.approx(values)
    assert [step.objective for step in told if step.objective is not None] == pytest.approx(values)
    assert outcome.history[-1].objective == outcome.objective == pytest.approx(plain.value(outcome.weights))
    assert outcome.history[-1].number == outcome.iterations


def test_of_several_starts_the_one_that_goes_on_alone_has_an_objective():
    options, tracking = small_tracking(0.2)
    outcome = solve_within_limit(shooting.solve, Objective(tracking), options, silent)
    assert len(outcome.starts) == 2
    assert outcome.starts[outcome.start] == outcome.objective
    assert np.isnan(outcome.starts[1 - outcome.start])


def test_the_error_that_meets_the_limit_is_the_one_that_the_caller_measures():
    options, tracking = small_tracking(0.2)

    def own(weights):
        return tracking.end_error(Objective(tracking).stages(weights))

    outcome = solve_within_limit(
        shooting.solve, Objective(tracking), options, silent, (), lambda weights: 1.25 * own(weights)
    )
    assert outcome.converged
    assert 0.99 * 0.2 < 1.25 * own(outcome.weights) <= 0.2


def test_an_error_hidden_by_the_own_mesh_ends_the_search_and_is_named():
    options, tracking = small_tracking(0.2)
    solves = []

    def solve(*arguments):
        solves.append(arguments)
        return shooting.solve(*arguments)

    outcome = solve_within_limit(solve, Objective(tracking), options, silent, (), lambda _: 0.5)
    assert not outcome.converged
    assert outcome.termination.reason == "unseen-error"
    assert "at most 0.2; the closest reached 0.5 on a finer mesh" in outcome.message
    assert len(solves) < 6


@pytest.mark.slow
def test_a_tighter_limit_costs_more_effort():
    efforts = [solved(limit)[1].objective for limit in (0.16, 0.12, 0.09)]
    assert efforts[0] < efforts[1] < efforts[2]


@pytest.mark.slow
def test_collocation_finds_the_same_least_effort():
    efforts = []
    tracking, shot = solved(0.12)
    problem = parse_problem(PROBLEM.format(limit=0.12, kind="collocation", norm="l2", pieces=3, effort=1.0))
    reference = build_reference(problem.reference, problem.domain)
    _, collocated = solve_resolved(Posed(problem, reference), problem.solver, silent, (shot.weights,))
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

"""Coarser problems first: the same drift on more pieces, warm starts, and what the problem file may say."""

import numpy as np
import pytest

from controlsde.foundation.progress import silent
from controlsde.problem import ProblemError, parse_problem
from controlsde.reference import build_reference
from controlsde.tracking.objective import Objective
from controlsde.tracking.posed import Posed
from controlsde.tracking.tracking_problem import build_tracking, time_grid
from controlsde.workflow.continuation import level_grid, level_tracking, resized, solve_levels
from controlsde.workflow.mesh_refinement import solve_resolved
from tests.quick import slow

PROBLEM = """
domain: {{box: [[-4, 4]]}}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {{kind: mixture, weights: [0.5, 0.5], means: [-1, 1], stds: [0.5, 0.5]}}
controls: {{pieces: 8{lengths}}}
mesh: {{elements: [6], steps_per_piece: 1}}
solver: {{kind: {kind}, starts: {starts}, iterations: 200, refine: {refine}}}
"""


def problem(refine="[2, 4]", kind="shooting", lengths="", starts=2):
    return parse_problem(PROBLEM.format(refine=refine, kind=kind, lengths=lengths, starts=starts))


def reference_of(problem):
    return build_reference(problem.reference, problem.domain)


def test_splitting_pieces_keeps_the_drift_and_the_objective():
    fine = problem(lengths=", lengths: 0.8")
    reference = reference_of(fine)
    coarse = level_tracking(Posed(fine, reference), fine.solver.refine[0])
    weights = np.random.default_rng(0).normal(size=coarse.weight_shape)
    # two pieces of four fine pieces each, so not of the same length, but each with four steps
    np.testing.assert_allclose(coarse.grid.edges, time_grid(fine, reference).edges[::4])
    assert coarse.grid.steps_per_piece == 4
    assert not np.isclose(*coarse.grid.durations)
    equal = problem()
    values = []
    for tracking in (level_tracking(Posed(equal, reference), equal.solver.refine[0]), build_tracking(equal, reference)):
        own = resized(weights, tracking.grid.pieces)
        values.append(Objective(tracking).value(own))
    assert values[0] == pytest.approx(values[1], rel=1e-12)  # equal pieces: the same steps, so the same numbers


@pytest.mark.parametrize("kind", ["shooting", slow("collocation")])
def test_each_rung_starts_where_the_one_before_ended(kind):
    asked = problem(kind=kind)
    reference = reference_of(asked)
    tracking, outcome = solve_resolved(Posed(asked, reference), asked.solver, silent)
    continued = solve_levels(Posed(asked, reference), asked.solver, silent)
    start = min(Objective(tracking).value(weights) for weights in continued.weights)
    assert outcome.converged
    assert outcome.objective < start
    assert outcome.objective == pytest.approx(min(outcome.starts), rel=1e-6)  # J of the problem, not of a level


def test_a_noise_path_ends_at_the_noise_of_the_problem():
    asked = problem(refine="[{noise: 2}, {noise: 1.5}]", starts=1)
    reference = reference_of(asked)
    first = level_tracking(Posed(asked, reference), asked.solver.refine[0])
    assert first.operator.diffusivity == pytest.approx(2 * build_tracking(asked, reference).operator.diffusivity)
    tracking, outcome = solve_resolved(Posed(asked, reference), asked.solver, silent)
    assert tracking.noise == 1.0
    assert outcome.converged


@pytest.mark.slow
def test_warm_collocation_needs_few_iterations_along_a_noise_path():
    """Weights, states and duals of the noise level before are all there, so that Newton's method has little to do."""
    cold = problem(kind="collocation, start: random", refine="[]", starts=1)
    warm = problem(kind="collocation, start: random", refine="[{noise: 1.02}]", starts=1)
    reference = reference_of(cold)
    iterations = [solve_resolved(Posed(one, reference), one.solver, silent)[1].iterations for one in (cold, warm)]
    assert iterations[1] <= 0.5 * iterations[0]


def test_a_rung_may_be_coarser_in_mesh_and_time():
    asked = problem(refine="[{pieces: 4, elements: [4], stages: 1, steps_per_piece: 2}]")
    tracking = level_tracking(Posed.of(asked), asked.solver.refine[0])
    assert tracking.operator.size == 33
    assert (tracking.grid.pieces, tracking.grid.stages, tracking.grid.steps_per_piece) == (4, 1, 2)
    grid = level_grid(Posed.of(problem()), problem().solver.refine[1])
    assert (grid.pieces, grid.steps_per_piece, grid.stages) == (4, 2, 3)


def test_initial_weights_are_cut_to_the_first_rung():
    weights = np.arange(24.0).reshape(8, 3)
    np.testing.assert_array_equal(resized(weights, 2), weights[[0, 4]])
    np.testing.assert_array_equal(resized(weights[:2], 4), weights[[0, 0, 1, 1]])


def test_the_share_of_each_piece():
    assert problem().controls.shares == pytest.approx([1 / 8] * 8)
    shares = problem(lengths=", lengths: 0.5").controls.shares
    assert np.array(shares[1:]) / np.array(shares[:-1]) == pytest.approx(np.full(7, 0.5))
    assert problem(lengths=", lengths: [1, 1, 1, 1, 2, 2, 4, 4]").controls.shares[-1] == pytest.approx(0.25)
    edges = time_grid(problem(lengths=", lengths: 3"), reference_of(problem())).edges
    assert edges[0] == 0.0
    assert edges[-1] == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refine": "[3]"}, "must divide the problem's 8 pieces (got 3)"),
        ({"refine": "[4, 2]"}, "must be a multiple of the 4 pieces of the level before (got 2)"),
        ({"refine": "[{elements: [2, 2]}]"}, "must have 1 number(s)"),
        ({"refine": "[{nois: 2}]"}, "did you mean 'noise'"),
        ({"refine": "[{stages: 4}]"}, "stages"),
        ({"lengths": ", lengths: [1, 2]"}, "one length for each of the 8 controls.pieces"),
        ({"lengths": ", lengths: 0.01"}, "a piece shorter than"),
        ({"lengths": ", lengths: [1, 1, 1, 1, 1, 1, 1, -1]"}, "lengths"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ProblemError) as refused:
        problem(**changes)
    assert message in str(refused.value)

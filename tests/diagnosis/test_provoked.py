"""Real failures, small: the cause is found, and the remedy cures it."""

import numpy as np
import pytest

from controlsde.control.controls import Controls
from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.problem import load_problem, parse_problem
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.objective import Objective
from controlsde.workflow import solving as pipeline
from controlsde.workflow.solving import SolveError, evaluate, solve

pytestmark = pytest.mark.usefixtures("few_characteristics")


FEW = {"monte_carlo.particles": 2000, "monte_carlo.steps_per_piece": 16}
BUMPS = {**FEW, "controls.pieces": 2, "network.width": 2, "mesh.elements": [8], "solver.starts": 2}


def bumps(**changes):
    return load_problem("two-bumps", set=BUMPS | changes)


def cured(result, *, cause):
    """What the first remedy of a result in trouble makes of it; the first cause must be this one."""
    first = result.diagnosis[0]
    assert first.cause == cause, result.diagnosis
    return solve(first.remedy.applied_to(result.problem))


def sound(result):
    return result.status == "converged" and result.verified


def test_a_healthy_run_has_no_diagnosis_and_nothing_is_tried_out(monkeypatch):
    monkeypatch.setattr(pipeline, "try_out", None)
    result = solve(bumps(noise=0.0))
    assert sound(result), result.certificate.failed
    assert result.diagnosis == ()


def test_too_few_elements_are_found_and_the_remedy_says_how_many_suffice():
    result = solve(bumps(**{"noise": 0.0, "mesh.elements": [3]}))
    assert not result.verified
    better = cured(result, cause="mesh")
    (count,) = better.problem.mesh.elements
    assert 3 < count <= 15
    assert sound(better), better.certificate.failed


@pytest.mark.slow
def test_too_few_time_steps_are_told_from_too_few_elements_and_more_cure_it():
    result = solve(bumps(**{"noise": 0.0, "mesh.elements": [12], "mesh.steps_per_piece": 1, "solver.starts": 4}))
    assert not result.verified
    better = cured(result, cause="steps")
    assert better.problem.mesh.elements == (12,)
    assert sound(better), better.certificate.failed


@pytest.mark.slow
def test_weights_at_bounds_are_counted_and_freed_they_reach_the_exact_drift():
    result = solve(bumps(**{"noise": 0.0, "controls.bounds": 0.4}))
    assert sound(result)
    assert "weights are at their bounds of ±0.4" in result.diagnosis[0].evidence
    better = cured(result, cause="bounds")
    assert better.problem.controls.bounds.largest >= 5
    assert sound(better), better.certificate.failed
    assert better.diagnosis == ()
    assert better.tracking.l2_final < 0.5 * result.tracking.l2_final


@pytest.mark.parametrize("solver", ["shooting", pytest.param("collocation", marks=pytest.mark.slow)])
def test_iterations_that_ran_out_are_found_and_enough_of_them_cure_it(solver):
    result = solve(bumps(noise=0.0, solver={"kind": solver, "start": "random", "starts": 1, "iterations": 12}))
    assert result.status == "not-converged"
    assert cured(result, cause="iterations").status == "converged"


@pytest.mark.slow
def test_misjudged_curvature_is_found_and_a_larger_pivot_tolerance_cures_it():
    loose = {"kind": "collocation", "start": "random", "iterations": 34, "pivot_tolerance": 1e-8}
    narrow = {"network.width": 1, "controls.pieces": 6, "mesh.elements": [14]}
    result = solve(bumps(noise=1.0, solver=loose, **narrow))
    assert result.status == "not-converged"
    better = cured(result, cause="regularisation")
    assert better.problem.solver.pivot_tolerance == 1e-2
    assert better.status == "converged"  # within as many iterations


@pytest.mark.slow
def test_a_drift_through_a_wall_is_found_and_a_tangential_one_cures_it():
    result = solve(
        load_problem(
            "moser-bumps",
            set=FEW
            | {"noise": 0, "network.tangential": False, "controls.pieces": 2, "mesh.elements": [10]}
            | {"mesh.steps_per_piece": 2, "solver.starts": 2},
        )
    )
    assert not result.verified
    better = cured(result, cause="wall")
    assert better.problem.network.tangential
    assert sound(better), better.certificate.failed


@pytest.mark.slow
def test_collocation_says_where_it_is_infeasible_and_shooting_cures_it():
    result = solve(bumps(noise=0.0, solver={"kind": "collocation", "start": "random", "iterations": 2}))
    entry = next(entry for entry in result.diagnosis if entry.cause == "state-equation")
    for word in ("piece ", "step ", "stage ", "at x = "):
        assert word in entry.evidence
    shooting = entry.remedy.applied_to(result.problem)
    assert shooting.solver.kind == "shooting"
    alone = shooting.model_copy(update={"solver": shooting.solver.model_copy(update={"starts": 1})})
    assert solve(alone).status == "converged"


def test_a_good_fit_that_does_not_track_is_told_and_shooting_gets_nearer():
    result = solve(bumps(**{"network.width": 1, "noise": 1.0, "solver": "score-matching"}))
    assert sound(result)
    (entry,) = result.diagnosis
    assert entry.cause == "fit"
    shooting = entry.remedy.applied_to(result.problem)
    assert shooting.solver.kind == "shooting"
    alone = solve(shooting.model_copy(update={"solver": shooting.solver.going_on(1)}))
    assert sound(alone)
    assert alone.tracking.l2_final < 0.9 * result.tracking.l2_final


@pytest.mark.slow
def test_a_narrow_network_is_told_from_one_start_and_a_wider_one_helps():
    problem = bumps(**{"network.width": 1, "noise": 1.0, "controls.pieces": 1})
    alone = solve(problem.model_copy(update={"solver": problem.solver.model_copy(update={"starts": 1})}))
    assert [entry.cause for entry in alone.diagnosis] == ["local-minimum"]
    several = cured(alone, cause="local-minimum")
    assert several.objective <= alone.objective * (1 + 1e-9)
    wider = cured(several, cause="unreachable")
    assert wider.problem.network.width == 2
    assert wider.tracking.l2_final < 0.9 * several.tracking.l2_final


PLANE = """
domain: {box: [[-4, 4], [-4, 4]]}
reference:
  kind: reversed-diffusion
  horizon: 1.0
  data: {kind: mixture, weights: [0.5, 0.5], means: [[-1, 0], [1, 0.5]], stds: [0.6, 0.6]}
controls: {pieces: 3}
mesh: {elements: [3, 3], degree: 5, steps_per_piece: 2}
monte_carlo: {particles: 2000, steps_per_piece: 16}
solver: {starts: 1, iterations: 60}
"""


@pytest.mark.slow
def test_in_a_plane_too_few_iterations_and_elements_are_told_apart():
    result = solve(parse_problem(PLANE, set={"solver.iterations": 3, "mesh.elements": [2, 2]}))
    causes = {entry.cause: entry for entry in result.diagnosis}
    assert next(iter(causes)) == "iterations"
    assert "3 iterations" in causes["iterations"].evidence
    assert "2 × 2 elements are too few" in causes["mesh"].evidence
    (rows, columns) = causes["mesh"].remedy.applied_to(result.problem).mesh.elements
    assert 2 < rows <= 8
    assert 2 < columns <= 8


@pytest.mark.slow
def test_in_a_plane_weights_at_bounds_are_counted_and_wider_bounds_help():
    result = solve(parse_problem(PLANE, set={"controls.bounds": 0.3}))
    assert result.status == "converged"
    assert result.verified, result.certificate.failed
    causes = {entry.cause: entry for entry in result.diagnosis}
    assert list(causes) == ["bounds", "local-minimum"]
    assert "of 30 weights are at their bounds of ±0.3" in causes["bounds"].evidence
    assert causes["local-minimum"].remedy.applied_to(result.problem).solver.starts == 4  # as is usual in a plane
    wider = cured(result, cause="bounds")
    assert wider.tracking.l2_final < 0.5 * result.tracking.l2_final


def test_a_tolerance_below_rounding_leaves_no_descent_and_the_remedy_ends_it():
    result = solve(bumps(**{"solver.starts": 1, "solver.tolerance": 1e-300}))
    assert result.status == "not-converged"
    cure = cured(result, cause="no-descent")
    assert cure.problem.solver.tolerance < 1e-12
    assert sound(cure)


@pytest.mark.slow
def test_a_tolerance_that_ipopt_cannot_reach_is_told_from_a_failure():
    solver = {"kind": "collocation", "tolerance": 1e-15}
    result = solve(
        load_problem("two-bumps", set={k: v for k, v in BUMPS.items() if k != "solver.starts"} | {"solver": solver})
    )
    assert result.status == "not-converged"
    assert result.verified
    assert "not to 1e-15" in result.diagnosis[0].evidence
    assert sound(cured(result, cause="tolerance"))


@pytest.mark.slow
def test_neurons_that_start_saturated_stay_so_and_are_counted():
    problem = bumps(**{"noise": 0.0, "solver.starts": 1, "objective.effort": 0.0, "controls.pieces": 1})
    stuck = Controls(np.zeros((1, 1, 2)), np.full((1, 2, 1), 0.1), np.full((1, 2), 45.0), (0, 1.5))
    result = solve(problem, initial=stuck)
    first = result.diagnosis[0]
    assert first.cause == "saturated"
    assert "2 of 2 neurons" in first.evidence
    assert first.remedy.applied_to(problem).solver == Shooting()
    more = problem.model_copy(update={"solver": problem.solver.model_copy(update={"starts": 4})})
    assert solve(more, initial=stuck).diagnosis == ()


def test_a_target_that_the_mesh_misses_is_found_and_the_remedy_holds_it():
    narrow = load_problem(
        "two-bumps", set=FEW | {"reference.data.stds": [0.1, 0.1], "mesh.elements": [7], "controls.pieces": 1}
    )
    idle = Controls(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), np.zeros((1, 1)), (0, 1.5))
    result = evaluate(narrow, idle)
    assert result.certificate.target_change > 0.2
    first = result.diagnosis[0]
    assert first.cause == "target"
    assert evaluate(first.remedy.applied_to(narrow), idle).certificate.target_change <= 0.2


UNIFORM = {"kind": "moser", "from": {"kind": "uniform"}, "to": {"kind": "uniform"}, "horizon": 1.0}


def uniform(expression, **changes):
    drift = {"kind": "formula", "expressions": [expression]}
    box = {"domain.box": [[0, 1]], "reference": UNIFORM, "network.tangential": False, "controls.pieces": 2}
    return load_problem("moser-bumps", set=FEW | box | {"drift": drift} | changes)


@pytest.mark.slow
def test_too_large_particle_steps_are_told_from_a_mesh_and_cured():
    more = {"reference.diffusivity": 0.2, "noise": 1, "monte_carlo.particles": 5000}
    more |= {"monte_carlo.steps_per_piece": 16, "mesh.elements": [8], "mesh.steps_per_piece": 4}
    result = evaluate(uniform("8*sin(4*pi*x)", **more))
    (entry,) = result.diagnosis
    assert entry.cause == "particles"
    assert evaluate(entry.remedy.applied_to(result.problem)).verified


@pytest.mark.slow
def test_a_given_drift_that_no_mesh_holds_is_called_sharp():
    result = evaluate(
        uniform("12*(0.5-x)", noise=0, **{"reference.diffusivity": 0.2, "mesh.degree": 2, "controls.pieces": 1})
    )
    assert not result.verified
    (entry,) = result.diagnosis
    assert entry.cause == "sharp"
    assert entry.remedy.applied_to(result.problem).noise == 1


def broken_after(calls, monkeypatch):
    honest, seen = Objective.evaluate, []

    def breaking(self, weights):
        seen.append(weights)
        if len(seen) > calls:
            raise NonFiniteError(1, "the density")
        return honest(self, weights)

    monkeypatch.setattr(Objective, "evaluate", breaking)


@pytest.mark.slow
def test_a_density_that_blows_up_is_named_by_piece_and_a_bound_cures_it(monkeypatch):
    broken_after(4, monkeypatch)
    result = solve(bumps(**{"noise": 0.0, "solver.starts": 1}))
    first = result.diagnosis[0]
    assert first.cause == "non-finite"
    assert "the density stopped being finite in piece 2" in first.evidence
    c = result.controls
    largest = max(np.abs(part).max() for part in (c.A, c.W, c.b))
    assert largest <= first.remedy.value < 50
    monkeypatch.undo()
    assert solve(first.remedy.applied_to(result.problem)).status == "converged"


def test_where_no_start_can_be_evaluated_the_error_carries_the_diagnosis(monkeypatch):
    broken_after(0, monkeypatch)
    with pytest.raises(SolveError) as caught:
        solve(bumps(**{"solver.starts": 1}))
    (first,) = caught.value.diagnosis
    assert first.cause == "non-finite"
    assert first.remedy.applied_to(bumps()).controls.bounds.largest < 50


@pytest.mark.slow
def test_a_limit_that_a_narrow_network_misses_is_met_by_a_wider_one():
    objective = {"running": 0, "terminal": 0, "effort": 1e-3, "terminal_error": 0.3}
    result = solve(bumps(objective=objective, **{"network.width": 1, "solver.starts": 4}))
    assert result.status == "not-converged"
    first = result.diagnosis[0]
    assert first.cause == "limit"
    assert "whose error at T is at most 0.3" in first.evidence
    assert first.remedy.setting == "network.width=2"
    assert solve(first.remedy.applied_to(result.problem)).status == "converged"


KINKED = """
domain: {box: [[-4, 4]]}
reference:
  kind: displacement
  horizon: 1
  from: {kind: mixture, means: [0], stds: [0.8]}
  to: {kind: mixture, means: [-1.5, 1.5], stds: [0.4, 0.4]}
  diffusivity: 0.5
noise: 0
network: {width: 3, activation: relu}
controls: {pieces: 4, bounds: 10}
mesh: {elements: [12], steps_per_piece: 3}
solver: {starts: 1}
"""


@pytest.mark.slow
def test_a_network_with_kinks_stalls_and_a_smooth_one_is_verified():
    result = solve(parse_problem(KINKED, set=FEW))
    assert result.status == "not-converged"
    assert result.iterations < 200  # of 500
    assert result.certificate.gradient_norm > 1e-4
    better = cured(result, cause="kink")
    assert better.problem.network.activation == "tanh"
    assert sound(better), better.certificate.failed
    assert better.objective < 0.1 * result.objective


@pytest.mark.slow
def test_a_limit_that_the_time_steps_hide_is_met_once_they_may_be_refined():
    objective = {"running": 0, "terminal": 0, "effort": 1, "terminal_error": 0.0003}
    reference = {"reference.data": {"kind": "mixture", "means": [1], "stds": [0.5]}, "reference.horizon": 1}
    mesh = {"mesh.elements": [8], "mesh.steps_per_piece": 2, "controls.pieces": 1, "network.width": 1}
    hidden = bumps(objective=objective, **reference, **mesh)
    result = solve(hidden)
    assert result.status == "not-converged"
    assert not result.verified
    assert result.tracking.l2_final > 2 * 0.0003 > result.discrete.l2_final
    first = result.diagnosis[0]
    assert first.cause == "limit"
    assert "on a finer mesh" in first.evidence
    assert first.remedy.setting == "mesh.steps_per_piece=auto"
    assert solve(first.remedy.applied_to(hidden)).tracking.l2_final <= 0.0003

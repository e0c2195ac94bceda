"""The stage-wise program, and FATROP against IPOPT on it."""

import os
import signal

import casadi as ca
import numpy as np
import pytest

from controlsde.problem import ProblemError, load_problem
from controlsde.solvers.collocation import solver as collocation
from controlsde.solvers.collocation.fatrop import solve_stage_wise
from controlsde.solvers.collocation.nonlinear_program import SolverUnavailableError, WarmStart
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.collocation.stage_wise import stage_wise
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from tests.quick import only

FATROP = Collocation(nlp_solver="fatrop")


def random_point(tracking):
    rng = np.random.default_rng(0)
    return rng.normal(size=tracking.weight_shape), rng.normal(size=tracking.targets.shape)


def cold_start(tracking):
    return WarmStart(random_starts(tracking, 1, 0)[0], tracking.targets)


@pytest.mark.parametrize("steps", [1, 3])
def test_without_its_copies_the_stage_wise_program_is_that_of_ipopt(steps, small_tracking):
    tracking = small_tracking(**{"controls.pieces": 3, "mesh.steps_per_piece": steps})
    program, plain = stage_wise(tracking), transcribe(tracking)
    weights, stages = random_point(tracking)
    z, x = program.pack(weights, stages), plain.pack(weights, stages)
    rows = np.array(ca.Function("rows", [program.variables], [program.constraints])(z)).ravel()
    objective, residual = ca.Function("plain", [plain.nlp["x"]], [plain.nlp["f"], plain.nlp["g"]])(x)
    np.testing.assert_allclose(program.step_multipliers(rows).ravel(), np.array(residual).ravel(), rtol=1e-13)
    copies = len(rows) - residual.shape[0]
    assert np.count_nonzero(np.abs(rows) < 1e-14) == copies == len(z) - len(x)
    assert 0.5 * np.sum(program.weight * (z - program.target) ** 2) == pytest.approx(float(objective), rel=1e-13)
    bounded = np.isfinite(program.upper)
    assert np.count_nonzero(bounded) == np.count_nonzero(np.isfinite(plain.upper))
    np.testing.assert_array_equal(z[bounded], weights.ravel())
    for ours, theirs in zip(program.unpack(z), (weights, stages), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", only(["circle"], ["two-bumps", "circle", "moser-bumps"]))
def test_from_one_start_fatrop_and_ipopt_find_one_optimum(name, small_tracking):
    tracking = small_tracking(name, noise=1.0, **({"controls.pieces": 4} if name == "moser-bumps" else {}))
    ipopt = collocation.solve_nlp(transcribe(tracking), cold_start(tracking), 500, 1e-9)
    fatrop = solve_stage_wise(stage_wise(tracking), cold_start(tracking), 500, 1e-9)
    assert ipopt.success
    assert fatrop.success
    assert fatrop.objective == pytest.approx(ipopt.objective, rel=1e-6)
    np.testing.assert_allclose(fatrop.stages, ipopt.stages, atol=1e-5 * np.abs(ipopt.stages).max())
    np.testing.assert_allclose(fatrop.costates, ipopt.costates, atol=1e-4 * np.abs(ipopt.costates).max())


@pytest.mark.slow
def test_a_solve_by_fatrop_is_a_stationary_point_within_the_bounds(small_tracking):
    tracking = small_tracking(**{"controls.bounds": 2.0})
    outcome = collocation.solve(Objective(tracking), FATROP)
    assert outcome.converged
    room = 2.0 - np.abs(outcome.weights)
    assert -1e-6 <= room.min() <= 1e-3  # some bound is active
    _, gradient = Objective(tracking).value_and_gradient(outcome.weights)
    assert np.abs(gradient * np.maximum(room, 0.0)).max() < 2 * FATROP.tolerance
    assert np.all(gradient * outcome.weights <= 1e-6)  # where a bound holds, it holds back
    assert outcome.objective == pytest.approx(Objective(tracking).value(outcome.weights), rel=1e-12)


@pytest.mark.slow
def test_from_given_weights_fatrop_goes_on_to_their_optimum(small_tracking):
    tracking = small_tracking()
    first = collocation.solve(Objective(tracking), Collocation())
    again = collocation.solve(Objective(tracking), FATROP, initial=[first.weights])
    assert again.converged
    assert again.objective == pytest.approx(first.objective, rel=1e-6)
    assert again.iterations <= 10  # its multipliers are its own


@pytest.mark.slow
def test_fatrop_stops_at_its_iterations_and_says_so(small_tracking):
    outcome = collocation.solve(Objective(small_tracking()), Collocation(nlp_solver="fatrop", iterations=3))
    assert not outcome.converged
    assert outcome.iterations == 3
    assert outcome.message.startswith("FATROP stopped after 3 iterations: Maximum_Iterations_Exceeded")
    assert outcome.termination.reason == "iterations"


def test_an_interrupted_fatrop_keeps_its_last_iterates(small_tracking):
    seen = []

    def interrupt(step):
        seen.append(step.objective)
        if step.iteration == 5:
            os.kill(os.getpid(), signal.SIGINT)

    tracking = small_tracking()
    before = signal.getsignal(signal.SIGINT)
    outcome = collocation.solve(Objective(tracking), FATROP, progress=interrupt)
    assert outcome.interrupted
    assert not outcome.converged
    assert len(outcome.history) <= 7
    assert np.isfinite(outcome.objective)
    assert signal.getsignal(signal.SIGINT) is before


def test_without_the_plugin_one_line_says_so(monkeypatch, small_tracking):
    monkeypatch.setattr("casadi.has_nlpsol", lambda _: False)
    with pytest.raises(SolverUnavailableError, match=r"no FATROP; use solver\.nlp_solver: ipopt"):
        collocation.solve(Objective(small_tracking()), FATROP)


@pytest.mark.parametrize("objective", [{"norm": "h-1"}, {"variation": 0.1}])
def test_an_objective_that_couples_variables_is_refused(objective):
    with pytest.raises(ProblemError, match=r"solver.nlp_solver fatrop takes no objective\.(norm|variation)"):
        load_problem(
            "two-bumps", set={"objective": objective, "solver": {"kind": "collocation", "nlp_solver": "fatrop"}}
        )

"""Optimised controls for experiments: what is read off several starts."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde.claims.harness import optimised
from controlsde.claims.harness.optimised import Optimised, Spread, effort_of, gathered, optimise, small_budget
from controlsde.control.controls import Controls
from controlsde.problem import parse_problem
from controlsde.workflow.solving import SolveError, solve

TEXT = f"""
domain: {{box: [[-5, 5]]}}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {{kind: mixture, weights: [1], means: [0.5], stds: [0.6]}}
mesh: {{elements: [5], steps_per_piece: 2}}
{small_budget(2, particles=2000)}
"""


def of(l2, verified):
    values = np.array(l2)
    return Optimised((0, 1, 2), values, values, values, values, values, values, np.array(verified), None)


def test_what_did_not_verify_is_left_out_of_the_spread_and_is_never_the_best():
    found = of([0.1, 0.2, 0.4], [False, True, True])
    spread = found.spread("l2")
    assert (spread.low, spread.high, spread.count) == (0.2, 0.4, 2)
    assert spread.mean == pytest.approx(0.3)
    assert spread.deviation == pytest.approx(0.2 / np.sqrt(2))
    assert spread.standard_error == pytest.approx(0.1)
    assert found.best_of("l2") == 0.2
    assert found.share_verified == pytest.approx(2 / 3)
    assert np.isnan(of([0.1, 0.2, 0.4], [False] * 3).best_of("l2"))
    assert Spread.of(np.array([])).count == 0


def test_means_apart_are_counted_in_deviations_of_their_difference():
    assert Spread(1.0, 0.3, 0, 0, 3).apart(Spread(2.0, 0.4, 0, 0, 3)) == pytest.approx(2.0)


def test_the_effort_is_half_the_integral_of_the_squared_weights():
    two = Controls(
        np.full((2, 1, 1), 1.0), np.full((2, 1, 1), 2.0), np.full((2, 1), [[3.0], [0.0]]), np.array([0, 1, 4])
    )
    assert effort_of(two) == pytest.approx(0.5 * ((1 + 4 + 9) * 1 + (1 + 4) * 3))


def test_each_seed_is_the_solve_of_that_seed():
    found = optimise(TEXT, (3, 4))
    problem = parse_problem(TEXT)
    alone = solve(problem.model_copy(update={"solver": problem.solver.model_copy(update={"seed": 4})}))
    assert found.l2[1] == alone.tracking.l2_final
    assert found.w2[1] == alone.tracking.w2_final
    assert found.objective[1] == alone.objective
    assert found.best.objective == found.objective[found.verified].min()
    rows = found.rows("here")
    assert [row.expected for row in rows] == [None] * 7
    assert rows[0].measured == found.best_of("l2")


def test_a_start_that_cannot_be_evaluated_counts_as_not_verified(monkeypatch):
    solved = solve(parse_problem(TEXT))

    def broken(problem, **_):
        if problem.solver.seed == 1:
            raise SolveError("nothing was finite")
        return solved

    monkeypatch.setattr(optimised, "solve", broken)
    found = optimise(TEXT, (0, 1))
    assert found.share_verified == 0.5
    assert np.isnan(found.l2[1])
    with pytest.raises(ValueError, match="seed"):
        optimise(TEXT, ())


def test_an_interrupted_solve_interrupts_the_experiment(monkeypatch):
    solved = solve(parse_problem(TEXT))
    monkeypatch.setattr(optimised, "solve", lambda *_, **__: replace(solved, status="interrupted"))
    with pytest.raises(KeyboardInterrupt):
        optimise(TEXT, (0,))


def test_the_best_is_of_least_objective_among_the_verified():
    solved = solve(parse_problem(TEXT))
    worse = replace(solved, objective=2 * solved.objective)
    assert gathered((0, 1, 2), (worse, None, solved)).best is solved

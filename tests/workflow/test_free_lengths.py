"""An answer whose pieces were free is an answer like any other: for whatever is asked of it afterwards."""

import numpy as np
import pytest

import controlsde as cs
from controlsde.problem import parse_problem

PROBLEM = """
domain: {box: [[-6, 6]]}
reference:
  kind: reversed-diffusion
  horizon: 1
  data: {kind: mixture, weights: [1], means: [[1]], stds: [0.5]}
controls: {pieces: 3, lengths: free}
objective: {energy: 1.0e-4}
solver: {kind: shooting, starts: 4, hops: 2}
monte_carlo: {particles: 2000}
"""
NORMAL = "{kind: mixture, weights: [1], means: [[0]], stds: [1]}"


@pytest.fixture(scope="module")
def result():
    return cs.solve(parse_problem(PROBLEM, name="free"))


def test_its_pieces_differ_fill_the_horizon_and_are_verified(result):
    lengths = result.controls.durations
    assert result.verified
    assert lengths.max() > 1.2 * lengths.min()
    assert lengths.sum() == pytest.approx(1.0, abs=1e-12)
    energy = result.energy
    assert abs(energy.particles - energy.value) < 5.0 * energy.particles_se
    assert lengths.min() >= result.problem.controls.shortest_of(1.0) * (1 - 1e-9)


def test_evaluated_again_it_costs_the_same(result):
    again = cs.evaluate(result.problem, result.controls)
    assert again.verified
    assert again.objective == pytest.approx(result.objective, rel=1e-6)  # but for the spline of the targets
    assert again.tracking.l2_final == pytest.approx(result.tracking.l2_final, rel=1e-9)


def test_a_solve_that_starts_from_it_stays_there(result):
    problem = result.problem.model_copy(update={"solver": result.problem.solver.model_copy(update={"starts": 1})})
    again = cs.solve(problem, initial=result.controls)
    assert again.objective == pytest.approx(result.objective, rel=1e-4)


def test_its_file_holds_its_pieces(result, tmp_path):
    kept = cs.Result.load(result.save(tmp_path / "free.nc").path)
    assert kept.problem == result.problem
    np.testing.assert_array_equal(kept.controls.times, result.controls.times)


def test_feedback_and_the_gramian_take_its_pieces_as_they_are(result):
    loop = cs.feedback(result, NORMAL, by="replan")
    assert loop.nominal.l2_final == pytest.approx(result.tracking.l2_final, rel=1e-6)
    assert loop.closed_loop.objective <= loop.open_loop.objective
    np.testing.assert_array_equal(loop.closed_loop.controls.times, result.controls.times)
    found = cs.controllability(result)
    assert 0 < len(found.singular_values) <= 9


def test_particles_follow_the_same_pieces(result):
    simulated = cs.simulate(result, particles=20_000)
    assert simulated.verified

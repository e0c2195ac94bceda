"""Pieces whose lengths are free, in collocation: the program's derivatives, and what it finds."""

import casadi as ca
import numpy as np
import pytest

from controlsde.solvers.collocation import solver as collocation
from controlsde.solvers.collocation.free_lengths import transcribe_free
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.options import Shooting
from controlsde.tracking.objective import Objective
from tests.quick import slow

CASES = {
    "noisy": {},
    "noise-free": {"noise": 0.0},
    "every price": {
        "objective": {"effort": 0.01, "variation": 0.02, "energy": 0.1, "running": 2.0},
        "network.width": 2,
    },
    "Ḣ⁻¹": {"objective.norm": "h-1"},
}


def free(small_tracking, **changes):
    tracking = small_tracking(**{"controls.lengths": "free", "controls.pieces": 3, "mesh.elements": [4], **changes})
    rng = np.random.default_rng(0)
    weights = tracking.with_equal_lengths(tracking.network.random_weights(3, rng))
    weights[:, -1] = 0.5 * rng.normal(size=3)
    return tracking, weights, rng


@pytest.mark.parametrize("case", CASES)
def test_the_program_is_the_objective(case, small_tracking):
    tracking, weights, _ = free(small_tracking, **CASES[case])
    objective, program = Objective(tracking), transcribe_free(tracking)
    stages = objective.stages(weights)
    point = program.pack(weights, stages)
    value, constraints = ca.Function("both", [program.nlp["x"]], [program.nlp["f"], program.nlp["g"]])(point)
    assert float(value) == pytest.approx(objective.value(weights), rel=1e-12)
    assert np.abs(np.asarray(constraints)).max() < 1e-10
    again, same = program.unpack(point)
    np.testing.assert_array_equal(same, stages)
    assert objective.value(again) == pytest.approx(objective.value(weights), rel=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_its_derivatives_are_casadis_own_and_their_differences(case, small_tracking):
    tracking, weights, rng = free(small_tracking, **CASES[case])
    program = transcribe_free(tracking)
    x, f, g = (program.nlp[name] for name in "xfg")
    point = program.pack(weights, np.abs(Objective(tracking).stages(weights)) + 0.01)  # off the kink of ρ⁺
    slope, jacobian = ca.Function("slopes", [x], [ca.gradient(f, x), ca.jacobian(g, x)])(point)
    found = program.derivatives["grad_f"](point, [])[1]
    np.testing.assert_allclose(np.asarray(found), np.asarray(slope), atol=1e-12 * np.abs(np.asarray(slope)).max())
    assert abs((program.derivatives["jac_g"](point, [])[1] - jacobian).sparse()).max() < 1e-11
    multipliers = rng.normal(size=g.shape[0])
    upper = program.derivatives["hess_lag"](point, [], 1.3, multipliers).sparse().toarray()
    hessian = upper + np.triu(upper, 1).T
    rise = ca.Function("rise", [x], [ca.gradient(1.3 * f + ca.dot(ca.DM(multipliers), g), x)])
    direction = rng.normal(size=len(point))
    step = 1e-5
    expected = np.asarray(rise(point + step * direction) - rise(point - step * direction)).ravel() / (2 * step)
    np.testing.assert_allclose(hessian @ direction, expected, atol=1e-6 * np.abs(expected).max())


def test_multipliers_of_the_lengths_make_the_lagrangian_stationary_at_an_optimum(small_tracking):
    tracking, _, _ = free(small_tracking)
    objective = Objective(tracking)
    shot = shooting.solve(objective, Shooting(starts=2, hops=0, tolerance=1e-9))
    assert shot.converged
    program = transcribe_free(tracking)
    start = collocation.warm_start_from(objective, shot.weights)
    point = program.pack(start.weights, start.stages)
    multipliers = program.of_constraints(start.multipliers, point)
    slope = np.asarray(program.derivatives["grad_f"](point, [])[1]).ravel()
    jacobian = program.derivatives["jac_g"](point, [])[1].sparse()
    left = slope + jacobian.T @ multipliers
    held = (program.upper == program.lower) | (np.abs(point - program.lower) < 1e-5)
    assert np.abs(left[~held]).max() < 1e-6


@pytest.mark.slow
def test_a_cold_start_moves_the_ends_of_the_pieces_to_an_optimum_of_shooting(small_tracking):
    tracking, _, _ = free(small_tracking)
    objective = Objective(tracking)
    cold = collocation.solve(objective, Collocation(start="random"))
    assert cold.converged
    lengths = np.diff(tracking.controls(cold.weights).times)
    assert lengths.max() > 1.2 * lengths.min()
    polished = shooting.solve(objective, Shooting(starts=1, hops=0), initial=[cold.weights])
    assert polished.objective == pytest.approx(cold.objective, rel=1e-6)
    assert polished.converged


def test_free_lengths_do_no_worse_than_equal_ones(small_tracking):
    """Equal lengths are among the free ones: from their answer the search can only go down, and here it goes far."""
    changes = {"controls.pieces": 3, "mesh.elements": [8]}
    fixed, loose = small_tracking(**changes), small_tracking(**{**changes, "controls.lengths": "free"})
    options = Shooting(starts=1, hops=0)
    equal = shooting.solve(Objective(fixed), Shooting(starts=4, hops=0))
    better = shooting.solve(Objective(loose), options, initial=[loose.with_equal_lengths(equal.weights)])
    assert better.converged
    assert better.objective < 0.9 * equal.objective


@pytest.mark.parametrize("noise", [slow(0.0), 1.0])
def test_a_search_from_nowhere_begins_at_answers_with_equal_pieces_and_ends_no_higher(
    noise, small_tracking, monkeypatch
):
    begun, starts_from = [], shooting.starts_from
    monkeypatch.setattr(
        shooting,
        "starts_from",
        lambda objective, initial, *rest: begun.append(initial) or starts_from(objective, initial, *rest),
    )
    changes = {"controls.pieces": 3, "mesh.elements": [8], "noise": noise}
    options = Shooting(starts=4, hops=4, seed=3)
    half = options.model_copy(update={"starts": 2, "hops": 2})
    equal = shooting.solve(Objective(small_tracking(**changes)), half)
    objective = Objective(small_tracking(**changes, **{"controls.lengths": "free"}))
    loose = shooting.solve(objective, options)
    values = [objective.value(weights) for weights in begun[-1]]
    assert len(values) == 2
    assert min(values) == pytest.approx(equal.objective, rel=1e-6)  # the targets of free pieces are a spline's
    assert loose.objective <= equal.objective * (1.0 + 1e-6)

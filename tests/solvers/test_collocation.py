"""Collocation, and its agreement with shooting."""

from functools import cache

import casadi as ca
import numpy as np
import pytest

from controlsde.solvers.collocation import solver as collocation
from controlsde.solvers.collocation.options import Collocation
from controlsde.solvers.collocation.transcription import transcribe
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.starts import starts_from
from controlsde.tracking.objective import Objective
from tests.quick import slow


def shoot(tracking):
    return shooting.solve(Objective(tracking), Shooting(starts=1, iterations=400, tolerance=1e-8))


AGREEMENT = {
    "two bumps": ("two-bumps", {}),
    "three bumps, width 2": ("three-bumps", {"network.width": 2, "controls.pieces": 4}),
    "circle": ("circle", {"controls.pieces": 4}),
    "priced energy": ("two-bumps", {"objective.energy": 0.05}),
    "free lengths": ("two-bumps", {"controls.lengths": "free", "controls.pieces": 4}),
    "free lengths, circle": ("circle", {"controls.lengths": "free", "controls.pieces": 3, "objective.energy": 0.01}),
}


@pytest.mark.parametrize("noise", [slow(0.0), 1.0])
@pytest.mark.parametrize("name", AGREEMENT)
def test_from_the_shooting_optimum_collocation_stays_at_the_same_objective(name, noise, small_tracking):
    problem, changes = AGREEMENT[name]
    tracking = small_tracking(problem, noise=noise, **changes)
    shot = shoot(tracking)
    assert shot.converged
    again = collocation.solve(Objective(tracking), Collocation(), initial=[shot.weights])
    assert again.converged
    assert again.iterations <= 5
    assert again.objective == pytest.approx(shot.objective, rel=1e-6)
    found, expected = tracking.controls(again.weights), tracking.controls(shot.weights)
    scale = np.abs(shot.weights).max()
    for part in ("A", "W", "b", "times"):  # logits of free lengths may all differ by the same
        np.testing.assert_allclose(getattr(found, part), getattr(expected, part), atol=1e-3 * scale)


@pytest.fixture(scope="module")
def solved(small_tracking):
    """What collocation makes of `few_pieces`, solved once: (noise or None for the problem's own, options)."""

    @cache
    def solved(noise=None, **options):
        return collocation.solve(Objective(few_pieces(small_tracking, noise)), Collocation(**options))

    return solved


def few_pieces(small_tracking, noise=None):
    """Two bumps, which a search solves in seconds."""
    return small_tracking(**{"controls.pieces": 3}, **({} if noise is None else {"noise": noise}))


@pytest.mark.parametrize("noise", [0.0, 1.0], ids=["noise-free", "noisy"])
def test_a_cold_collocation_ends_at_a_stationary_point_of_the_objective(small_tracking, solved, noise):
    tracking, outcome = few_pieces(small_tracking, noise), solved(noise, start="random")
    assert outcome.converged
    assert outcome.gradient_norm < 1e-6
    assert outcome.objective == pytest.approx(Objective(tracking).value(outcome.weights), rel=1e-12)
    assert (np.abs(outcome.weights) <= tracking.bound + 1e-6).all()


@pytest.mark.parametrize("noise", [0.0, pytest.param(1.0, marks=pytest.mark.slow)])
def test_by_default_it_begins_where_a_search_by_shooting_ends(small_tracking, solved, noise):
    tracking = few_pieces(small_tracking, noise)
    """From one cold start collocation ends anywhere; what it calls its answer should not be far above shooting's."""
    objective = Objective(tracking)
    starts, hops = collocation.SHORT_SEARCH[1]
    own = Shooting().fitted(1) if objective.compiled else Shooting(starts=starts, hops=hops)
    shot = shooting.solve(objective, own)
    outcome = collocation.solve(objective, Collocation())
    assert outcome.converged
    assert outcome.objective == pytest.approx(shot.objective, rel=1e-6)
    assert outcome.objective <= solved(noise, start="random").objective


@pytest.mark.slow
def test_of_several_starts_one_is_shootings_and_the_others_are_cold(small_tracking):
    objective = Objective(small_tracking())
    first, second = collocation.solve(objective, Collocation(starts=2)).starts
    assert first == pytest.approx(collocation.solve(objective, Collocation()).objective, rel=1e-9)
    assert second == pytest.approx(collocation.solve(objective, Collocation(start="random")).objective, rel=1e-6)


def test_an_interrupted_search_by_shooting_is_the_answer_so_far(small_tracking):
    def interrupt(step):
        if step.iteration == 3:
            raise KeyboardInterrupt

    outcome = collocation.solve(Objective(small_tracking()), Collocation(), progress=interrupt)
    assert outcome.interrupted
    assert np.isfinite(outcome.objective)


def test_the_history_ends_in_the_objective_and_outcomes_know_their_start(small_tracking, solved):
    tracking, outcome = few_pieces(small_tracking), solved(starts=2)
    assert outcome.converged
    last = outcome.history[-1]
    assert last.objective == outcome.objective == Objective(tracking).value(outcome.weights)
    assert last.number == outcome.iterations
    assert all(outcome.starts[one.start] == one.objective for one in (outcome, *outcome.others))
    cut = collocation.solve(Objective(tracking), Collocation(start="random", iterations=4))
    assert not cut.converged
    assert cut.history[-1].objective != cut.objective  # of states that do not obey the state equation


def test_costates_of_both_methods_agree_and_have_the_stated_sign(tracking):
    shot = shoot(tracking)
    objective = Objective(tracking)
    transcription = transcribe(tracking)
    start = collocation.warm_start_from(objective, shot.weights)
    solution = collocation.solve_nlp(transcription, start, 50, 1e-10)
    ours = objective.costates(solution.weights)
    scale = np.abs(ours).max()
    np.testing.assert_allclose(solution.costates, ours, atol=1e-6 * scale)
    # the sign: a little more density e at t = 0 changes J by ∫ψ e dx
    extra = np.random.default_rng(0).normal(size=len(tracking.initial))

    def value(amount):
        from dataclasses import replace

        moved = replace(tracking, initial=tracking.initial + amount * extra)
        return Objective(moved).value(solution.weights)

    slope = (value(1e-3) - value(-1e-3)) / 2e-3
    assert slope == pytest.approx(float(tracking.mesh.mass @ (solution.costates[0] * extra)), rel=1e-6)


def test_duals_from_the_adjoint_make_the_lagrangian_stationary(small_tracking):
    import casadi as ca

    tracking = small_tracking()
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(0))
    transcription = transcribe(tracking)
    start = collocation.warm_start_from(Objective(tracking), weights)
    nlp = transcription.nlp
    multipliers = ca.MX.sym("lam", nlp["g"].shape[0])
    lagrangian = ca.Function(
        "grad", [nlp["x"], multipliers], [ca.gradient(nlp["f"] + ca.dot(multipliers, nlp["g"]), nlp["x"])]
    )
    gradient = np.asarray(
        lagrangian(transcription.pack(start.weights, start.stages), start.multipliers.ravel())
    ).ravel()
    is_state = ~np.isfinite(transcription.lower)
    assert np.abs(gradient[is_state]).max() < 1e-12


def test_variables_round_trip_through_the_layout(small_tracking):
    tracking = small_tracking()
    transcription = transcribe(tracking)
    rng = np.random.default_rng(0)
    weights, stages = rng.normal(size=tracking.weight_shape), rng.normal(size=tracking.targets.shape)
    back_weights, back_stages = transcription.unpack(transcription.pack(weights, stages))
    np.testing.assert_array_equal(back_weights, weights)
    np.testing.assert_array_equal(back_stages, stages)


def test_ipopts_status_is_passed_on(small_tracking):
    outcome = collocation.solve(Objective(small_tracking()), Collocation(start="random", iterations=3))
    assert not outcome.converged
    assert "Maximum_Iterations_Exceeded" in outcome.message
    assert (outcome.termination.reason, outcome.termination.words) == ("iterations", "Maximum_Iterations_Exceeded")
    assert len(outcome.termination.regularisation) == 4  # the start, and after each iteration


def test_the_equation_violated_most_is_named_with_its_whole_place(small_tracking):
    tracking = small_tracking()
    transcription = transcribe(tracking)
    start = collocation.WarmStart(starts_from(Objective(tracking), (), 1, 0)[0], tracking.targets)
    solution = collocation.solve_nlp(transcription, start, 3, 1e-8)
    residual = ca.Function("g", [transcription.nlp["x"]], [transcription.nlp["g"]])
    size = np.abs(np.asarray(residual(transcription.pack(solution.weights, solution.stages)))).reshape(
        tracking.targets.shape
    )
    worst = solution.violation
    assert worst.size == pytest.approx(size.max(), rel=1e-12)
    assert size[worst.piece, worst.step, worst.stage, worst.unknown] == size.max()
    assert worst.size > 1e-6  # three iterations do not meet the state equation


def test_an_interruption_keeps_the_last_point(small_tracking):
    import os
    import signal

    def interrupt(step):
        if step.iteration == 5:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = collocation.solve(Objective(small_tracking()), Collocation(start="random"), progress=interrupt)
    assert outcome.interrupted
    assert outcome.iterations < 10
    assert np.isfinite(outcome.objective)


@pytest.mark.slow
def test_cold_starts_in_processes_find_what_one_process_finds(monkeypatch, small_tracking, solved):
    tracking, alone = few_pieces(small_tracking), solved(starts=2)
    monkeypatch.setattr("controlsde.solvers.workers.POOL_PAYS_ABOVE", 0.0)
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    together = collocation.solve(Objective(tracking), Collocation(starts=3))
    np.testing.assert_allclose(together.starts[:2], alone.starts, rtol=1e-6)
    assert together.objective == min(together.starts)


@pytest.mark.parametrize("noise", [slow(0.0), 1.0])
def test_the_derivatives_of_the_program_are_those_that_casadi_derives(noise, small_tracking):
    program = transcribe(small_tracking(noise=noise))
    x, f, g = (program.nlp[name] for name in ("x", "f", "g"))
    rng = np.random.default_rng(3)
    point, factor, multipliers = rng.normal(size=x.shape[0]), 0.7, rng.normal(size=g.shape[0])
    own = ca.Function("own", [x], [g, ca.jacobian(g, x)])(point)
    given = program.derivatives["jac_g"](point, [])
    for ours, theirs in zip(given, own, strict=True):
        np.testing.assert_allclose(np.array(ours), np.array(theirs), atol=1e-11)
    symbol = ca.MX.sym("lambda", g.shape[0])
    lagrangian = ca.Function("bend", [x, symbol], [ca.triu(ca.hessian(factor * f + ca.dot(symbol, g), x)[0])])
    hessian = program.derivatives["hess_lag"](point, [], factor, multipliers)
    np.testing.assert_allclose(np.array(hessian), np.array(lagrangian(point, multipliers)), atol=1e-10)


def test_a_cold_answer_is_held_to_what_a_short_search_by_shooting_finds(small_tracking, solved):
    objective, cold = Objective(few_pieces(small_tracking)), solved(start="random")
    starts, hops = collocation.SHORT_SEARCH[1]
    if objective.compiled:
        assert cold.known == shooting.solve(objective, Shooting(starts=starts, hops=hops)).objective
    else:
        assert cold.known is None

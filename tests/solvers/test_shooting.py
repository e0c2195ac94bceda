"""Shooting: convergence, bounds, starts, failure and interruption."""

import os
import signal
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.problem import load_problem
from controlsde.solvers.outcome import Termination
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.multistart import PRUNING_ITERATIONS
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.workers import Workers
from controlsde.tracking.objective import Objective


@dataclass(frozen=True)
class Ended:
    """What a start came to."""

    start: int
    interrupted: bool


def options(**changes):
    return Shooting.model_validate({"kind": "shooting", "starts": 1, "hops": 0, **changes})


def test_newton_ends_quadratically_at_a_strict_minimum(tracking):
    outcome = shooting.solve(Objective(tracking), options())
    assert outcome.converged
    assert outcome.gradient_norm < 1e-6
    norms = [row.gradient_norm for row in outcome.history]
    assert norms[-1] < 1e-2 * norms[-3]
    hessian = Objective(tracking).evaluate(outcome.weights).expand().hessian
    inside = np.abs(outcome.weights.ravel()) < tracking.bounds
    assert np.linalg.eigvalsh(hessian[np.ix_(inside, inside)]).min() > 0


@pytest.mark.parametrize("method", ["gauss-newton", "l-bfgs", "adam"])
def test_every_method_lowers_the_objective_and_keeps_the_bounds(tracking, method):
    outcome = shooting.solve(Objective(tracking), options(method=method, iterations=300 if method == "adam" else 40))
    assert outcome.objective <= min(row.objective for row in outcome.history) * (1 + 1e-12)
    assert outcome.objective < 0.9 * outcome.history[0].objective
    assert (np.abs(outcome.weights) <= tracking.bound).all()


def test_gauss_newton_and_l_bfgs_reach_stationary_points_of_the_same_j(small_tracking):
    tracking = small_tracking(**{"objective.effort": 1e-2})
    newton = shooting.solve(Objective(tracking), options(tolerance=1e-9))
    start = newton.weights + 0.01 * np.random.default_rng(0).normal(size=newton.weights.shape)
    for method in ("gauss-newton", "l-bfgs"):
        outcome = shooting.solve(Objective(tracking), options(method=method, iterations=2000), initial=[start])
        assert outcome.objective == pytest.approx(newton.objective, rel=1e-6)


def test_every_group_of_weights_has_its_own_bound(small_tracking):
    limits = {"A": 1.5, "W": 0.9, "b": 0.4}
    tracking = small_tracking(**{"controls.bounds": limits})
    outcome = shooting.solve(Objective(tracking), options(starts=1))
    controls = tracking.controls(outcome.weights)
    largest = {name: np.abs(getattr(controls, name)).max() for name in limits}
    assert largest["A"] == 1.5
    assert largest["W"] == 0.9
    assert largest["b"] <= 0.4
    assert str(load_problem("two-bumps", set={"controls.bounds": limits}).controls.bounds) == (
        "±1.5 (A), ±0.9 (W), ±0.4 (b)"
    )


def test_weights_stop_at_their_bounds_and_the_gradient_points_outward_there(small_tracking):
    tracking = small_tracking(**{"controls.bounds": 0.8})
    outcome = shooting.solve(Objective(tracking), options())
    assert outcome.converged
    at_bound = np.abs(outcome.weights) >= 0.8
    assert at_bound.any()
    assert np.abs(outcome.weights).max() <= 0.8
    _, gradient = Objective(tracking).value_and_gradient(outcome.weights)
    assert np.all(gradient[at_bound] * np.sign(outcome.weights[at_bound]) <= 1e-8)


def test_starts_are_reproducible_and_the_best_one_is_returned(small_tracking):
    tracking = small_tracking()
    first = shooting.solve(Objective(tracking), options(starts=3, seed=5))
    again = shooting.solve(Objective(tracking), options(starts=3, seed=5))
    assert first.starts == again.starts
    assert first.objective == min(first.starts)
    assert len(set(np.round(first.starts, 12))) > 1


@pytest.mark.parametrize("method", ["newton", "l-bfgs", "adam"])
def test_the_history_ends_in_the_answer_and_every_outcome_knows_its_start(small_tracking, method):
    outcome = shooting.solve(Objective(small_tracking()), options(method=method, starts=3, hops=0, iterations=25))
    assert (outcome.history[-1].objective, outcome.history[-1].number) == (outcome.objective, outcome.iterations)
    assert sorted(one.start for one in (outcome, *outcome.others)) == [0, 1, 2]
    assert all(outcome.starts[one.start] == one.objective for one in (outcome, *outcome.others))


def test_a_best_point_before_the_last_ends_the_history(small_tracking, monkeypatch):
    monkeypatch.setattr("controlsde.solvers.shooting.first_order.ADAM_RATE", 2.0)  # so that it rises, too
    outcome = shooting.solve(Objective(small_tracking()), options(method="adam", starts=1, iterations=12))
    assert outcome.iterations < 12
    assert outcome.history[-1].objective == outcome.objective == min(row.objective for row in outcome.history)


@pytest.mark.parametrize("where", ["threads", "processes"])
def test_starts_side_by_side_find_what_they_find_one_after_the_other(where, monkeypatch, small_tracking):
    tracking = small_tracking()
    monkeypatch.setattr("loky.cpu_count", lambda: 1)
    alone = shooting.solve(Objective(tracking), options(starts=3, iterations=15))
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    monkeypatch.setattr("controlsde.solvers.workers.POOL_PAYS_ABOVE", 0.0)
    monkeypatch.setattr("controlsde.solvers.workers.THREADS_PAY_ABOVE", 0.0 if where == "threads" else float("inf"))
    together = shooting.solve(Objective(tracking), options(starts=3, iterations=15))
    assert together.starts == alone.starts


def test_an_interruption_ends_all_threads_and_keeps_what_they_found(monkeypatch, small_tracking):
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    monkeypatch.setattr("controlsde.solvers.workers.THREADS_PAY_ABOVE", 0.0)
    told = []

    def interrupt(step):
        if "done" in step.task:
            told.append(step.objective)
            raise KeyboardInterrupt

    before = threading.active_count()
    outcome = shooting.solve(Objective(small_tracking()), options(starts=12, iterations=30), progress=interrupt)
    assert outcome.interrupted
    assert len(told) == 1
    assert outcome.objective <= told[0]
    assert threading.active_count() == before


@pytest.mark.usefixtures("several_processors")
def test_work_in_threads_ends_soon_after_it_is_told_to():
    def work(start, stopped):
        while not stopped():
            time.sleep(0.001)
        return Ended(start, interrupted=True)

    def tell(_count, _result):
        raise AssertionError("nothing ends by itself")

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with Workers(threads=True) as workers:
            timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            began = time.monotonic()
            results = workers.run([1, 2, 3], None, work, tell, expected=1.0)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert time.monotonic() - began < 5.0
    assert [one.start if one else None for one in results] == [1, 2, None]  # the third had not begun


def test_too_few_iterations_are_reported(small_tracking):
    outcome = shooting.solve(Objective(small_tracking()), options(iterations=3))
    assert not outcome.converged
    assert outcome.termination == Termination("iterations")
    assert "stopped after 3 iterations" in outcome.message


def test_starts_that_were_set_aside_after_the_first_look_say_so(small_tracking):
    outcome = shooting.solve(Objective(small_tracking(noise=0.0)), options(starts=4, iterations=400, tolerance=1e-9))
    reasons = [one.termination.reason for one in outcome.others]
    assert outcome.termination == Termination("converged")
    assert "pruned" in reasons
    for one in outcome.others:
        assert one.converged == (one.termination.reason == "converged")
        assert one.termination.reason != "pruned" or one.history[-1].number == PRUNING_ITERATIONS


def test_a_line_search_that_gives_up_is_no_lack_of_iterations(monkeypatch, small_tracking):
    honest, calls = Objective.value_and_gradient, []

    def uphill(self, weights):  # after a few calls, the gradient leads uphill
        calls.append(weights)
        value, gradient = honest(self, weights)
        return value, gradient if len(calls) < 8 else -gradient

    monkeypatch.setattr(Objective, "value_and_gradient", uphill)
    outcome = shooting.solve(Objective(small_tracking()), options(method="l-bfgs", iterations=300))
    assert not outcome.converged
    assert outcome.termination == Termination("no-descent")


def test_a_number_no_longer_finite_is_named_and_the_last_point_kept(monkeypatch, small_tracking):
    tracking = small_tracking()
    honest = Objective.evaluate
    calls = 0

    def breaking(self, weights):
        nonlocal calls
        calls += 1
        if calls > 4:
            raise NonFiniteError(2, "the density")
        return honest(self, weights)

    monkeypatch.setattr(Objective, "evaluate", breaking)
    outcome = shooting.solve(Objective(tracking), options())
    assert not outcome.converged
    assert "piece 3" in outcome.message
    assert (outcome.termination.reason, outcome.termination.what, outcome.termination.piece) == (
        "non-finite",
        "the density",
        2,
    )
    assert np.isfinite(outcome.objective)
    assert outcome.objective == outcome.history[-1].objective


def test_no_start_that_can_be_evaluated_is_said_plainly(monkeypatch, small_tracking):
    def broken(_self, _weights):
        raise NonFiniteError(0, "the density")

    monkeypatch.setattr(Objective, "evaluate", broken)
    outcome = shooting.solve(Objective(small_tracking()), options())
    assert np.isnan(outcome.objective)
    assert "piece 1" in outcome.message


def test_an_interruption_keeps_the_best_point_so_far(small_tracking):
    seen = []

    def interrupt(step):
        if step.iteration is not None:
            seen.append(step.objective)
            if len(seen) == 4:
                raise KeyboardInterrupt

    outcome = shooting.solve(Objective(small_tracking()), options(), progress=interrupt)
    assert outcome.interrupted
    assert not outcome.converged
    assert outcome.objective == min(seen)


def test_a_solve_uses_one_thread_and_gives_the_others_back(small_tracking):
    tracking, seen = small_tracking(), []

    def blas():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(2, user_api="blas"):
            shooting.solve(
                Objective(tracking), options(iterations=3), lambda _: seen.append((torch.get_num_threads(), blas()))
            )
            assert torch.get_num_threads() == 2
            assert blas() == {2}
    finally:
        torch.set_num_threads(threads)
    assert (1, {1}) in seen

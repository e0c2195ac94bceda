"""Basin hopping: what a disturbance may change, when a hop is given up, and what hops do to a solve."""

from collections import Counter

import numpy as np
import pytest

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.solvers.outcome import Iteration, Termination
from controlsde.solvers.shooting import solver as shooting
from controlsde.solvers.shooting.hopping import GAIN, disturbed, hopeless, lower, rounds_of
from controlsde.solvers.shooting.multistart import Run
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.shooting.trust_region import Iterate
from controlsde.solvers.starts import random_starts
from controlsde.tracking.objective import Objective
from tests.quick import slow


def options(**changes):
    return Shooting.model_validate({"starts": 2, "hops": 12, **changes})


def iterate(number, value, decrement=float("inf")):
    return Iterate(number, np.zeros(1), value, 1.0, False, decrement)


@pytest.mark.parametrize(("hops", "answers"), [(1, 1), (7, 1), (1, 4), (3, 2), (128, 4), (9, 3), (2, 4), (64, 3)])
def test_all_hops_are_taken_in_rounds_and_the_second_half_from_the_better_answers(hops, answers):
    rounds = rounds_of(hops, answers)
    assert sum(map(len, rounds)) == hops
    assert all(2 <= len(ranks) <= 4 for ranks in rounds[:-1])
    taken = 0
    for ranks in rounds:
        chosen = answers if 2 * taken < hops else (answers + 1) // 2
        assert max(ranks) < chosen
        if len(ranks) >= chosen:
            counts = Counter(ranks)
            assert max(counts.values()) - min(counts[rank] for rank in range(chosen)) <= 1
        taken += len(ranks)


def test_a_disturbance_rearranges_renews_or_splices_and_leaves_the_rest(small_tracking):
    tracking = small_tracking()
    weights, mate = random_starts(tracking, 2, seed=3)
    before = weights.copy()
    rng = np.random.default_rng(0)
    kinds = Counter()
    for _ in range(200):
        changed = disturbed(tracking, weights, [mate], rng)
        assert changed.shape == weights.shape
        assert (np.abs(changed) <= tracking.bound).all()
        own = [any(np.array_equal(row, old) for old in weights) for row in changed]
        other = [any(np.array_equal(row, old) for old in mate) for row in changed]
        moved = np.flatnonzero((changed != weights).any(axis=1))
        if all(own):
            kinds["exchanged" if len(moved) == 2 else "moved"] += 1
            assert len(moved)
        elif all(mine or theirs for mine, theirs in zip(own, other, strict=True)):
            kinds["spliced"] += 1
            assert np.array_equal(moved, np.flatnonzero(other))
            assert np.all(np.diff(moved) == 1)
            assert moved[0] == 0 or moved[-1] == len(weights) - 1
        else:
            kinds["renewed"] += 1
            assert len(moved) <= 3
            assert np.all(np.diff(moved) == 1)
    assert set(kinds) == {"exchanged", "moved", "spliced", "renewed"}
    assert np.array_equal(weights, before)


def test_a_single_piece_and_an_answer_without_others_can_be_disturbed(small_tracking):
    one = small_tracking(**{"controls.pieces": 1})
    (weights,) = random_starts(one, 1, seed=0)
    assert not np.array_equal(disturbed(one, weights, [], np.random.default_rng(0)), weights)
    many = small_tracking()
    (weights,) = random_starts(many, 1, seed=0)
    rng = np.random.default_rng(1)
    assert all(disturbed(many, weights, [], rng).shape == weights.shape for _ in range(50))


def test_a_hop_is_given_up_when_it_is_far_off_late_or_promises_nothing():
    assert not hopeless(iterate(9, 2.0), best=1.0)
    assert hopeless(iterate(10, 1.5), best=1.0)
    assert not hopeless(iterate(10, 1.3), best=1.0)
    assert hopeless(iterate(20, 1.3), best=1.0)
    assert hopeless(iterate(6, 1.1, decrement=0.01), best=1.0)
    assert not hopeless(iterate(6, 1.1, decrement=0.2), best=1.0)
    assert not hopeless(iterate(2, 1.1, decrement=0.01), best=1.0)
    assert not hopeless(iterate(25, 0.9, decrement=0.0), best=1.0)
    assert lower(1.0 - 2 * GAIN, 1.0)
    assert not lower(1.0 - 0.5 * GAIN, 1.0)


@pytest.mark.parametrize("noise", [slow(0.0), 1.0])
def test_hops_find_lower_valleys_that_are_optima(small_tracking, noise):
    tracking = small_tracking("three-bumps", noise=noise)
    plain = shooting.solve(Objective(tracking), options(hops=0))
    hopped = shooting.solve(Objective(tracking), options(hops=48))
    assert hopped.objective < (1 - 1e-3) * plain.objective
    assert hopped.converged
    assert hopped.gradient_norm < 1e-6
    assert hopped.objective == min(hopped.starts)
    assert hopped.objective == pytest.approx(Objective(tracking).value(hopped.weights), rel=1e-12)
    assert all(after <= before for after, before in zip(hopped.starts, plain.starts, strict=True))
    assert hopped.iterations > plain.iterations
    assert [row.number for row in hopped.history] == list(range(len(hopped.history)))
    assert {row.begins for row in plain.history} == {""}
    hops = [place for place, row in enumerate(hopped.history) if row.begins == "hop"]
    assert 1 <= len(hops) <= 48
    assert hops[0] > 0  # at the start of all, nothing was disturbed


def test_a_hop_that_lowers_j_in_its_first_iteration_is_marked_too():
    end = iterate(1, 1.0)
    before = Run(end, [Iteration(0, 3.0, 1.0), Iteration(1, 2.0, 0.1)])
    hop = Run(end, [Iteration(0, 9.0, 1.0), Iteration(1, 1.5, 0.1), Iteration(2, 1.0, 0.1)])
    later = before.followed_by(hop, "hop").followed_by(Run(end, [Iteration(0, 1.0, 0.1), Iteration(1, 0.9, 0.1)]))
    assert [(row.number, row.objective, row.begins) for row in later.history] == [
        (0, 3.0, ""), (1, 2.0, ""), (2, 1.5, "hop"), (3, 1.0, ""), (4, 0.9, ""),
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_hops_side_by_side_are_those_one_after_the_other(where, monkeypatch, small_tracking):
    tracking = small_tracking("three-bumps", noise=0.0)
    monkeypatch.setattr("loky.cpu_count", lambda: 1)
    alone = shooting.solve(Objective(tracking), options(hops=6, iterations=60))
    monkeypatch.setattr("loky.cpu_count", lambda: 2)
    monkeypatch.setattr("controlsde.solvers.workers.POOL_PAYS_ABOVE", 0.0)
    monkeypatch.setattr("controlsde.solvers.workers.THREADS_PAY_ABOVE", 0.0 if where == "threads" else float("inf"))
    together = shooting.solve(Objective(tracking), options(hops=6, iterations=60))
    assert together.starts == alone.starts
    np.testing.assert_array_equal(together.weights, alone.weights)
    assert sum(alone.starts) < sum(shooting.solve(Objective(tracking), options(hops=0, iterations=60)).starts)


def breaking_after(monkeypatch, calls, error):
    """Let the state equation fail from one evaluation on."""
    honest, count = Objective.evaluate, 0

    def evaluate(self, weights):
        nonlocal count
        count += 1
        if count > calls:
            raise error
        return honest(self, weights)

    monkeypatch.setattr(Objective, "evaluate", evaluate)


def evaluations(monkeypatch, tracking, run):
    """How often a solve runs the state equation."""
    honest, count = Objective.evaluate, 0

    def evaluate(self, weights):
        nonlocal count
        count += 1
        return honest(self, weights)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "evaluate", evaluate)
        shooting.solve(Objective(tracking), run)
    return count


def test_an_interrupted_hop_keeps_what_was_found(monkeypatch, small_tracking):
    tracking = small_tracking()
    plain = shooting.solve(Objective(tracking), options(hops=0))
    needed = evaluations(monkeypatch, tracking, options(hops=0))
    breaking_after(monkeypatch, needed + 5, KeyboardInterrupt())
    outcome = shooting.solve(Objective(tracking), options())
    assert outcome.interrupted
    assert outcome.objective <= plain.objective


def test_hops_that_break_down_leave_the_optimum_as_it_was(monkeypatch, small_tracking):
    tracking = small_tracking()
    plain = shooting.solve(Objective(tracking), options(hops=0))
    needed = evaluations(monkeypatch, tracking, options(hops=0))
    breaking_after(monkeypatch, needed, NonFiniteError(1, "the density"))
    outcome = shooting.solve(Objective(tracking), options())
    assert outcome.objective == plain.objective
    assert outcome.converged
    assert outcome.termination == Termination("converged")


def test_first_order_methods_do_not_hop(small_tracking):
    outcome = shooting.solve(Objective(small_tracking()), options(method="l-bfgs", iterations=20))
    assert outcome.iterations <= 20


def test_the_usual_starts_and_hops_depend_on_the_dimension_and_the_method():
    assert (Shooting().starts, Shooting().hops) == (8, 256)
    assert (Shooting().fitted(2).starts, Shooting().fitted(2).hops) == (4, 8)
    assert Shooting(starts=3).hops == 96
    assert Shooting(starts=1).hops == 0
    assert Shooting(method="adam").hops == 0
    assert Shooting(hops=5).fitted(3).hops == 5
    assert Shooting(starts=20).fitted(2).hops == 40

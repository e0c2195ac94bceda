"""Jobs on workers: the numbers that they have alone, in their order, and the best of each when they are told to end."""

import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

import controlsde as cs
from controlsde.execution.here import Here
from controlsde.execution.processes import Processes, WorkerDiedError
from controlsde.foundation.progress import Step
from controlsde.tracking.free_posed import FreePosed
from controlsde.workflow import expectation, free_prediction
from controlsde.workflow import jobs as at_work
from controlsde.workflow.cost_alone import Cost, cost_alone
from controlsde.workflow.expectation import Expected
from controlsde.workflow.jobs import Job, Keeping, at_a_time, expected_together, run_jobs
from tests.sweeps.cases import TINY


def double(number, *, progress, executor):
    progress(Step(f"doubling {number}"))
    assert isinstance(executor, Here)  # it starts no workers of its own
    return 2 * number


def cheap():
    return Cost(1.0, 1)


def refuse(**_):
    raise cs.SolveError("nothing could be evaluated")


def until_told(*, progress, **_):
    """Work that would never end."""
    try:
        while True:
            progress(Step("searching"))
    except KeyboardInterrupt:
        return "the best so far"


def test_results_come_in_the_order_of_the_jobs_and_each_is_told_of():
    told = []

    def tell(number, result):
        told.append((number, result))
        return result

    with ThreadPoolExecutor(3) as pool:
        jobs = [Job(f"job {number}", double, (number,)) for number in range(20)]
        done = run_jobs(jobs, pool, cheap, keeping=Keeping(keep=tell))
    assert done.results == tuple(range(0, 40, 2))
    assert not done.interrupted
    assert sorted(told) == [(number, 2 * number) for number in range(20)]


def test_what_ended_with_a_job_that_failed_is_kept():
    class AtOnce(Executor):
        submit = Here.submit  # all have ended when anybody looks

    kept = []
    keeping = Keeping(keep=lambda number, result: kept.append(number) or result)
    with pytest.raises(cs.SolveError):
        run_jobs([Job("bad", refuse), Job("good", double, (1,))], AtOnce(), cheap, keeping=keeping)
    assert kept == [1]


@pytest.mark.parametrize("executor", [Here(), ThreadPoolExecutor(2)])
def test_what_is_kept_is_not_done_again(executor):
    kept = {1: "kept"}
    done = run_jobs(
        [Job("a", double, (1,)), Job("b", refuse), Job("c", double, (3,))],
        executor,
        cheap,
        keeping=Keeping(kept.get, lambda number, result: kept.setdefault(number, f"{result} as written")),
    )
    assert done.results == ("2 as written", "kept", "6 as written") == tuple(kept[number] for number in range(3))
    assert not done.interrupted


def test_in_turn_an_answer_that_was_cut_short_is_the_last():
    done = run_jobs([Job("a", double, (1,)), Job("b", refuse)], Here(), cheap, keeping=Keeping(cut_short=bool))
    assert (done.results, done.interrupted) == ((2, None), True)


@pytest.mark.parametrize("executor", [Here(), ThreadPoolExecutor(2)])
def test_an_interruption_while_an_answer_is_written_lets_it_be_written(executor):
    written = []

    def keep(number, result):
        written.append(number)
        if len(written) == 1:
            raise KeyboardInterrupt
        return result

    done = run_jobs([Job("a", double, (1,)), Job("b", double, (2,))], executor, cheap, keeping=Keeping(keep=keep))
    assert done.interrupted
    assert written[:2] == [written[0]] * 2
    assert done.results[written[0]] == 2 * (written[0] + 1)


@pytest.mark.parametrize("executor", [Here(), ThreadPoolExecutor(2)])
def test_a_job_that_fails_ends_them_all_with_its_own_error(executor):
    with pytest.raises(cs.SolveError, match="nothing could be evaluated"):
        run_jobs([Job("good", double, (1,)), Job("bad", refuse)], executor, cheap)


def test_a_job_whose_workers_died_is_named():
    class Dead(Executor):
        pass

    def lost(*_):
        raise WorkerDiedError("its worker process ended unexpectedly")

    dead = Dead()
    dead.submit = partial(Here.submit, dead, lost)
    with pytest.raises(cs.ExecutorError, match=r"noise 0\.5: the worker died 2 times"):
        run_jobs([Job("noise 0.5", double, (1,)), Job("noise 1", double, (1,))], dead, cheap)


def test_an_interruption_lets_every_job_end_with_its_best_and_begins_no_more():
    interrupted = threading.Event()

    def progress(_):
        if not interrupted.is_set():
            interrupted.set()
            raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        done = run_jobs([Job("a", until_told), Job("b", until_told)], pool, cheap, progress)
    assert done.interrupted
    assert done.results == ("the best so far",) * 2


def test_what_those_under_way_do_is_told_with_their_names():
    told = []
    with ThreadPoolExecutor(2) as pool:

        def progress(step):
            told.append(step.task)
            if "a: searching; b: searching" in step.task:
                raise KeyboardInterrupt

        run_jobs([Job("a", until_told), Job("b", until_told)], pool, cheap, progress)
    assert "a: searching; b: searching" in told


def test_jobs_go_to_workers_where_there_are_as_many_and_processes_pay(monkeypatch):
    monkeypatch.setattr(at_work.loky, "cpu_count", lambda: 2)
    monkeypatch.setattr(at_work, "machine_memory", lambda: 1000)
    long, short, big = (partial(Cost, *one) for one in ((60.0, 10), (5.0, 10), (60.0, 300)))
    assert [at_a_time(count, None, long) for count in (1, 2, 5)] == [1, 2, 2]
    assert at_a_time(2, None, short) == 1  # starting processes would cost more than it saves
    assert at_a_time(2, None, big) == 1  # two at a time would not fit
    monkeypatch.setattr(at_work.loky, "cpu_count", lambda: 16)
    assert at_a_time(4, None, long) == 1  # the starts of each make better use of so many
    assert at_a_time(2, Processes(2), short) == 2  # asked for
    assert at_a_time(4, Here(), long) == 1
    assert at_a_time(4, ThreadPoolExecutor(16), long) == 4  # workers elsewhere


def test_a_solve_alone_takes_what_its_starts_take_one_after_the_other(monkeypatch):
    """In a box these are expected on all processors; in free space all of it on one."""
    for module in (expectation, free_prediction):
        monkeypatch.setattr(module, "calibration_seconds", lambda: 0.01)
    monkeypatch.setattr(at_work.loky, "cpu_count", lambda: 4)
    box, free = cs.load_problem("two-bumps"), cs.load_problem("wine")
    expected = expectation.expected_time(box)
    assert cost_alone(box).seconds == pytest.approx(expected.whole + 3 * expected.solver)
    posed = FreePosed.of(free)
    assert cost_alone(free).seconds == pytest.approx(free_prediction.expected_in_free_space(posed).whole)


def test_the_time_that_is_told_is_that_of_as_many_waves_as_there_are():
    in_turn = Expected(80.0, 100.0)
    assert expected_together(5, 2, Cost(30.0, 1), in_turn).whole == 90.0
    assert expected_together(5, 1, Cost(30.0, 1), in_turn) is in_turn


@pytest.mark.parametrize("problem", ["two-bumps", pytest.param("wine", marks=pytest.mark.slow)])
def test_a_comparison_has_the_same_bits_on_workers_of_any_kind(problem):
    free = problem == "wine"
    tiny = {"controls.pieces": 2, "monte_carlo.particles": 300} if free else TINY
    loaded, more = cs.load_problem(problem, set=tiny), {"seeds": 2} if free else {}
    alone = cs.compare(loaded, [0.0, 1.0], executor=Here(), **more)
    with ThreadPoolExecutor(2) as pool:
        beside = cs.compare(loaded, [0.0, 1.0], executor=pool, **more)
    assert beside.note == alone.note
    np.testing.assert_array_equal(beside.cross, alone.cross)
    for one, other in zip(alone.results, beside.results, strict=True):
        assert (one.objective, one.noise, one.verified) == (other.objective, other.noise, other.verified)
        np.testing.assert_array_equal(one.controls.W, other.controls.W)
    assert not beside.interrupted


@pytest.mark.slow
def test_noise_levels_of_a_search_are_the_same_side_by_side():
    from controlsde.workflow.reaching import reach_each

    problem = cs.load_problem("two-bumps", set=TINY)
    asked = {"within": 0.3, "least": "pieces", "budget": 60.0}
    alone = reach_each(problem, [0.5, 1.0], asked, executor=Here())
    with ThreadPoolExecutor(2) as pool:
        beside = reach_each(problem, [0.5, 1.0], asked, executor=pool)
    told = [[{**one.to_json(), "tried": [row["error"] for row in one.to_json()["tried"]]} for one in found]
            for found in (alone, beside)]  # fmt: skip
    assert told[0] == told[1]

"""An executor is given enough for all of its workers, whoever made it, and no more."""

import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from controlsde.sweeps.ahead import ASKED_AGAIN, LEAST, Ahead, workers_of
from controlsde.sweeps.plan import Plan, Run, Source
from controlsde.sweeps.processes import Processes
from controlsde.sweeps.running import Counts, run_all
from controlsde.sweeps.store import Row, Store


class Held(Executor):
    """A run ends once no other was given for a moment; `most` is how many were under way at a time."""

    def __init__(self, **attributes):
        self.most, self._held, self._lock, self._timer = 0, [], threading.Lock(), None
        vars(self).update(attributes)

    def submit(self, _function, /, *arguments):
        future = Future()
        with self._lock:
            self._held.append((future, arguments[1]))
            self.most = max(self.most, len(self._held))
            if self._timer:
                self._timer.cancel()
            self._timer = threading.Timer(0.05, self._end)
            self._timer.start()
        return future

    def _end(self):
        with self._lock:
            held, self._held = self._held, []
        for future, key in held:
            future.set_result(Row(key, "converged", True, 0.0, {}))


def under_way(tmp_path, executor, runs=300, **options):
    plan = Plan(
        (Source("p", "p", "d"),), {}, ("n",), tuple(Run(f"p-{place}", "p", {"n": place}) for place in range(runs))
    )
    assert run_all(plan.runs, plan, Store(tmp_path), executor, **options) == Counts(runs, 0, 0)
    return executor.most


def test_two_runs_a_worker_are_under_way_where_an_executor_says_how_many_it_has(tmp_path):
    assert under_way(tmp_path, Held(workers=100)) == 200
    assert under_way(tmp_path, Held(workers=3)) == LEAST


def test_who_does_not_say_is_given_64_or_enough_for_the_workers_that_are_told(tmp_path):
    assert under_way(tmp_path, Held()) == LEAST == 64
    assert under_way(tmp_path, Held(), workers=80) == 160


def test_workers_that_come_later_are_counted():
    now, executor = [0.0], Held(workers=0)
    ahead = Ahead(executor, clock=lambda: now[0])
    assert ahead.count() == LEAST
    executor.workers = 1000
    assert ahead.count() == LEAST  # not asked for every run
    now[0] = ASKED_AGAIN
    assert ahead.count() == 2000
    executor.workers = 1
    now[0] *= 2
    assert ahead.count() == LEAST


def test_workers_are_counted_of_every_kind_of_executor():
    with Processes(3) as ours, ThreadPoolExecutor(5) as threads, ProcessPoolExecutor(2) as processes:
        assert [workers_of(one) for one in (ours, threads, processes, Held())] == [3, 5, 2, 0]


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra dask")
def test_workers_of_dask_are_counted_as_they_come_and_go():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=7, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        executor = client.get_executor(pure=False)
        assert workers_of(executor) == 7
        client.retire_workers(n=4)
        assert workers_of(executor) == 3
    assert workers_of(executor) == 0  # nobody answers

"""Tasks on an executor: all of them, a few at a time, once more where a worker died; and what they say meanwhile."""

import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

import controlsde as cs
from controlsde.execution import tasks as tasks_of
from controlsde.execution.executors import UNTOLD, room_of
from controlsde.execution.here import Here
from controlsde.execution.mailbox import Mailbox, mailbox
from controlsde.execution.processes import Processes, WorkerDiedError
from controlsde.execution.tasks import AHEAD, LEAST_AHEAD, Task, Tasks
from controlsde.foundation.progress import Step, silent
from tests.sweeps.cases import fail, square


class Kept(Executor):
    """Holds what it is given until somebody asks for it to be done."""

    def __init__(self, workers=None):
        self.given = []
        if workers:
            self.workers = workers

    def submit(self, function, /, *arguments):
        self.given.append((Future(), function, arguments))
        return self.given[-1][0]

    def do(self, how_many=1):
        for future, function, arguments in self.given[:how_many]:
            future.set_result(function(*arguments))
        del self.given[:how_many]


def squares(count):
    return [Task(f"the square of {number}", square, (number,)) for number in range(count)]


def all_of(tasks):
    ended = []
    while tasks.waiting or tasks.under_way:
        ended += tasks.ended()
    return ended


@pytest.mark.parametrize("executor", [Here(), ThreadPoolExecutor(3)], ids=["here", "threads"])
def test_every_task_ends_once_with_its_own_result(executor):
    ended = all_of(Tasks(squares(40), executor))
    assert sorted((one.number, one.result) for one in ended) == [(number, number**2) for number in range(40)]


@pytest.mark.parametrize(("workers", "expected"), [(2, LEAST_AHEAD), (100, 100 * AHEAD), (None, UNTOLD * AHEAD)])
def test_a_cluster_of_any_size_is_kept_busy_and_no_more_is_given_out(workers, expected):
    executor = Kept(workers)
    tasks = Tasks(squares(500), executor)
    assert tasks.ended() == []
    assert len(executor.given) == len(tasks.under_way) == expected
    executor.do(3)
    assert [one.result for one in tasks.ended()] == [0, 1, 4]
    tasks.ended()
    assert len(executor.given) == expected


def test_workers_that_come_later_are_given_work(monkeypatch):
    executor, now = Kept(workers=40), [0.0]
    monkeypatch.setattr(tasks_of.time, "monotonic", lambda: now[0])
    tasks = Tasks(squares(500), executor)
    tasks.ended()
    executor.workers = 100
    tasks.ended()
    assert len(executor.given) == 40 * AHEAD  # not asked each time
    now[0] = 2 * tasks_of.ASK_AGAIN
    tasks.ended()
    assert len(executor.given) == 100 * AHEAD


def test_here_one_is_done_at_a_time_so_that_whoever_waits_hears_of_it():
    done = []
    tasks = Tasks([Task(f"{number}", done.append, (number,)) for number in range(5)], Here())
    for number in range(5):
        assert [one.number for one in tasks.ended()] == [number]
        assert done == list(range(number + 1))


@pytest.mark.parametrize(("threads", "room"), [({"a": 1, "b": 2}, 3), ({}, UNTOLD)])
def test_a_cluster_that_has_no_worker_yet_is_one_that_does_not_tell(threads, room):
    executor = Kept()
    executor._client = SimpleNamespace(nthreads=lambda: threads)
    assert room_of(executor) == room


@pytest.mark.slow
@pytest.mark.skipif(find_spec("distributed") is None, reason="needs the extra dask")
def test_workers_of_dask_are_counted_as_they_come_and_go():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=7, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        executor = client.get_executor(pure=False)
        assert room_of(executor) == 7
        client.retire_workers(n=4)
        assert room_of(executor) == 3
    assert room_of(executor) == UNTOLD  # nobody answers


def test_who_knows_how_many_workers_there_are_may_say_so():
    executor = Kept()
    Tasks(squares(500), executor, workers=200).ended()
    assert len(executor.given) == 200 * AHEAD


def test_an_error_is_that_of_its_task_and_told_in_a_line():
    tasks = Tasks([Task("a good one", square, (3,)), Task("a bad one", fail)], Here())
    good, bad = sorted(all_of(tasks), key=lambda one: one.number)
    assert good.result == 9
    assert (bad.result, bad.lost, bad.in_words()) == (None, False, "nowhere to be found")


def test_a_task_whose_worker_died_is_tried_once_more_and_then_told_with_a_cure():
    class Losing(Here):
        begun = 0

        def submit(self, *_):
            self.begun += 1
            lost = Future()
            lost.set_exception(WorkerDiedError("its worker process ended unexpectedly (SIGKILL)"))
            return lost

    executor = Losing()
    (ended,) = all_of(Tasks(squares(1), executor))
    assert (executor.begun, ended.attempts, ended.lost) == (2, 2, True)
    assert ended.in_words().startswith("the worker died 2 times at it (its worker process ended")
    assert "try fewer --workers" in ended.in_words()


def test_an_executor_that_has_ended_is_one_line_with_the_cure():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(cs.ExecutorError, match=r"takes no more work.*give another one"):
        Tasks(squares(1), executor).ended()


def test_once_no_more_may_begin_what_no_worker_has_begun_waits_again():
    with Processes(1) as executor:
        tasks = Tasks([Task("long", time.sleep, (1.0,)), *squares(5)], executor)
        while executor._tasks.qsize() > 5 or not tasks.under_way:  # until the worker is at the first
            tasks.ended()
        ended = []
        while tasks.under_way:
            ended += tasks.ended(begin=False)
        assert [one.number for one in ended] == [0]
        assert tasks.waiting == 5
        tasks.give_up()
    assert (tasks.waiting, tasks.under_way) == (0, ())


def test_rooms_of_executors_are_what_they_say():
    assert room_of(Here()) == 1
    assert room_of(ThreadPoolExecutor(3)) == 3
    assert room_of(Processes(5)) == 5
    assert room_of(Kept()) == UNTOLD


def test_a_task_is_heard_and_told_to_end_once():
    with mailbox() as box:
        tell = box.progress(3)
        assert box.latest(3) is None
        tell(Step("shooting", 4, float("inf"), 0.5))
        assert box.latest(3) == Step("shooting", 4, None, 0.5)
        box.ask_to_end()
        with pytest.raises(KeyboardInterrupt):
            tell(Step("shooting", 5))
        tell(Step("verifying what there is"))  # who has heard it may come to an end in peace


def test_a_worker_that_does_not_see_the_folder_is_silent(tmp_path):
    assert Mailbox(str(tmp_path / "elsewhere")).progress(0) is silent
    (tmp_path / "0.json").write_text("{half", encoding="utf-8")
    assert Mailbox(str(tmp_path)).latest(0) is None

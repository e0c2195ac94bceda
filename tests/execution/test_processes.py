"""Processes as an executor: order, errors, a worker that dies, and nothing that outlives anybody."""

import os
import time
from concurrent.futures import CancelledError, wait

import loky
import pytest

from controlsde.execution.processes import Processes, WorkerDiedError
from tests.sweeps.cases import end_abruptly, fail, square, who


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture(scope="module")
def pool():
    with Processes(2) as processes:
        yield processes


def test_work_is_done_in_several_processes_with_one_thread_each(pool):
    assert list(pool.map(square, range(20))) == [number**2 for number in range(20)]
    found = [future.result() for future in [pool.submit(who, 0.3) for _ in range(4)]]
    assert len({pid for pid, *_ in found}) == 2
    assert os.getpid() not in {pid for pid, *_ in found}
    assert {tuple(rest) for _, *rest in found} == {("1", "1")}


def test_an_error_is_that_of_the_task_and_of_no_other(pool):
    futures = [pool.submit(square, 3), pool.submit(fail), pool.submit(square, 4)]
    assert (futures[0].result(), futures[2].result()) == (9, 16)
    with pytest.raises(LookupError, match="nowhere"):
        futures[1].result()


def test_a_worker_that_dies_loses_its_own_task_alone(pool):
    others = [pool.submit(who, 0.5) for _ in range(3)]
    lost = pool.submit(end_abruptly)
    later = pool.submit(square, 5)
    with pytest.raises(WorkerDiedError, match="ended unexpectedly"):
        lost.result(timeout=60)
    assert later.result(timeout=60) == 25
    assert len([future.result() for future in others]) == 3


def test_a_worker_that_cannot_be_started_is_told_and_nobody_waits_for_ever(monkeypatch):
    def full(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(loky, "ProcessPoolExecutor", full)
    with Processes(1) as processes:
        with pytest.raises(OSError, match="Too many open files"):
            processes.submit(square, 2).result(timeout=10)
        monkeypatch.undo()
        assert processes.submit(square, 2).result(timeout=60) == 4


def test_who_is_told_to_end_ends_at_once_with_its_workers():
    processes = Processes(2)
    pids = [future.result()[0] for future in [processes.submit(who, 0.2) for _ in range(2)]]
    long, waiting = [processes.submit(time.sleep, 60) for _ in range(2)], processes.submit(square, 2)
    time.sleep(0.3)
    began = time.monotonic()
    processes.shutdown(kill=True)
    assert time.monotonic() - began < 20
    wait(long, timeout=10)
    assert all(future.exception() is not None for future in long)
    with pytest.raises(CancelledError):
        waiting.result(timeout=1)
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="have ended"):
        processes.submit(square, 1)

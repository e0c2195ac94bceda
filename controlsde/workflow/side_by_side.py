"""Several answers at a time, each on a worker of its own: noise levels of a comparison or a search, claims.

Comes in: jobs, functions of a module that take `progress=` and `executor=` beside plain data, and an executor. Goes
out: what they return, in their order. Each runs on one processor, as it would run alone, so that the numbers are the
same. An interruption lets every job come to its end with the best that it has; a second one gives them up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import loky

from controlsde.execution.executors import ExecutorError, room_of
from controlsde.execution.here import Here
from controlsde.execution.mailbox import Mailbox, mailbox
from controlsde.execution.processes import Processes
from controlsde.execution.tasks import Ended, Task, Tasks
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.workflow.cost_alone import Cost
from controlsde.workflow.expectation import Expected
from controlsde.workflow.prediction import machine_memory

R = TypeVar("R")

PAYS_ABOVE = 20.0  # seconds that are saved, below which starting processes costs more
SHARE_OF_MEMORY = 0.5  # of the machine, that all jobs together may take


@dataclass(frozen=True)
class Job(Generic[R]):
    """Work(*arguments, **named, progress=…, executor=…), and the name by which its progress is told."""

    name: str
    work: Callable[..., R]
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


def at_a_time(count: int, executor: Executor | None, cost: Callable[[], Cost]) -> int:
    """How many of so many jobs run at a time: 1 where they run here, one after the other, each on all workers.

    Jobs go to workers where there are no fewer jobs than workers of this machine, for else what is in them makes better
    use of these. cost: of one, asked for where nobody gave an executor, to see whether processes pay, and fit.
    """
    room = loky.cpu_count() if executor is None else room_of(executor)
    most = min(room, count)
    if most < 2 or (count < room and (executor is None or isinstance(executor, Processes))):
        return 1
    if executor is None:
        one = cost()
        saved = one.seconds * (count - -(-count // most))
        total = machine_memory()
        if saved < PAYS_ABOVE or (total is not None and one.memory * most > SHARE_OF_MEMORY * total):
            return 1
    return most


def expected_together(count: int, together: int, one: Cost, in_turn: Expected) -> Expected:
    """How long so many jobs take, so many of them at a time; in_turn: one after the other, each on all workers."""
    if together < 2:
        return in_turn
    seconds = one.seconds * -(-count // together)
    return Expected(seconds, seconds)


@dataclass(frozen=True)
class Done(Generic[R]):
    """What the jobs returned, None for those that an interruption kept from it."""

    results: tuple[R | None, ...]
    interrupted: bool


def run_jobs(
    jobs: Sequence[Job[R]],
    executor: Executor,
    progress: Progress = silent,
    ended: Callable[[int, R], None] = lambda _number, _result: None,
) -> Done[R]:
    """Run every job on a worker. ended: told of each as it ends, by its number.

    Raises what the first of them raises; ExecutorError, with its name, for one whose workers died.
    """
    results: list[R | None] = [None] * len(jobs)
    interrupted = False
    with mailbox() as box:
        tasks = Tasks([Task(job.name, _do, (job, number, box)) for number, job in enumerate(jobs)], executor)
        told: deque[Ended[tuple[bool, Any]]] = deque()  # which an interruption while one is told of does not lose
        try:
            while told or tasks.under_way or (tasks.waiting and not interrupted):
                try:
                    told.extend(tasks.ended(begin=not interrupted))
                    while told:
                        stopped, result = _of(told[0], jobs)
                        interrupted |= stopped
                        if not stopped:
                            results[told[0].number] = result
                            ended(told[0].number, result)
                        told.popleft()
                    progress(_step(jobs, tasks, box, interrupted=interrupted))
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
                    box.ask_to_end()
        finally:
            tasks.give_up()
    return Done(tuple(results), interrupted)


def _do(job: Job[Any], number: int, box: Mailbox) -> tuple[bool, Any]:
    """A job on a worker: whether it was stopped before it had anything, and what it returns."""
    try:
        return False, job.work(*job.arguments, **job.named, progress=box.progress(number), executor=Here())
    except KeyboardInterrupt:
        return True, None


def _of(one: Ended[tuple[bool, Any]], jobs: Sequence[Job[Any]]) -> tuple[bool, Any]:
    if one.lost:
        raise ExecutorError(f"{jobs[one.number].name}: {one.in_words()}")
    if one.error is not None:
        raise one.error
    assert one.result is not None  # there is an error otherwise
    return one.result


def _step(jobs: Sequence[Job[Any]], tasks: Tasks[Any], box: Mailbox, *, interrupted: bool) -> Step:
    """What those under way do, in one line."""
    told = [(jobs[number].name, box.latest(number)) for number in tasks.under_way]
    words = "; ".join(f"{name}: {step.task}" for name, step in told if step is not None)
    left = len(tasks.under_way) + tasks.waiting
    if not words and left == len(jobs):
        words = "starting workers"
    if interrupted:
        return Step(f"coming to an end{': ' * bool(words)}{words}")
    return Step(words or f"{len(jobs) - left} of {len(jobs)} done")

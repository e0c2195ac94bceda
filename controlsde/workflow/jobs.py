"""Several answers of one command: those that are kept already, and the others in turn or side by side.

Comes in: jobs, functions of a module that take `progress=` and `executor=` beside plain data; an executor. Goes out:
what they return, in their order. Noise levels of a comparison or a search are jobs, and so are claims. In turn, each
has all workers for what is in it; side by side, each has one processor. The numbers are the same. An interruption lets
what is under way come to its end with the best that it has; a second one gives it up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

import loky

from controlsde.execution.executors import ExecutorError, given_or_own, room_of
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


@dataclass(frozen=True)
class Keeping(Generic[R]):
    """What becomes of the answers of jobs, by the number of the job.

    kept: the answer that is there from before; None where there is none. keep: told of each that ends, and returns it
    as it is from then on. cut_short: whether an answer is only the best that was found before an interruption.
    """

    kept: Callable[[int], R | None] = lambda _number: None
    keep: Callable[[int, R], R] = lambda _number, answer: answer
    cut_short: Callable[[R], bool] = lambda _answer: False


@dataclass(frozen=True)
class Done(Generic[R]):
    """What the jobs returned, None for those that an interruption kept from it."""

    results: tuple[R | None, ...]
    interrupted: bool

    @property
    def there(self) -> list[R]:
        """The results that there are, in order."""
        return [one for one in self.results if one is not None]


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


def run_jobs(
    jobs: Sequence[Job[R]],
    executor: Executor | None,
    cost: Callable[[], Cost],
    progress: Progress = silent,
    keeping: Keeping[R] | None = None,
) -> Done[R]:
    """Do every job whose answer is not kept. executor: where they or what is in them may run; None: processes, if fit.

    cost: of one, see `at_a_time`. Raises what the first job that fails raises; ExecutorError, with its name, for one
    whose workers died. What has ended by then was kept.
    """
    keeping = keeping or Keeping()
    run = _Run(jobs, [keeping.kept(number) for number in range(len(jobs))], progress, keeping)
    if not run.missing:
        return Done(tuple(run.results), interrupted=False)
    together = at_a_time(len(run.missing), executor, cost)
    with given_or_own(executor) as pool:
        interrupted = run.side_by_side(pool) if together > 1 else run.in_turn(pool)
    return Done(tuple(run.results), interrupted)


@dataclass(frozen=True)
class _Run(Generic[R]):
    """Jobs, and the answers that there are so far, which both ways of doing the others put in their places.

    Each way returns whether an interruption cut it short.
    """

    jobs: Sequence[Job[R]]
    results: list[R | None]
    progress: Progress
    keeping: Keeping[R]

    @property
    def missing(self) -> list[int]:
        """The numbers of the jobs that have no answer."""
        return [number for number, one in enumerate(self.results) if one is None]

    def in_turn(self, executor: Executor) -> bool:
        """One job after the other, each on all workers."""
        for number in self.missing:
            job = self.jobs[number]
            try:
                answer = job.work(*job.arguments, **job.named, progress=self._labelled(job), executor=executor)
            except KeyboardInterrupt:
                return True
            interrupted = self.keeping.cut_short(answer)
            while self.results[number] is None:
                try:
                    self.results[number] = self.keeping.keep(number, answer)
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
            if interrupted:
                return True
        return False

    def _labelled(self, job: Job[R]) -> Progress:
        """Progress with the name of the job, where there are several."""
        if len(self.jobs) == 1:
            return self.progress

        def labelled(step: Step) -> None:
            self.progress(Step(f"{job.name}: {step.task}", step.iteration, step.objective, step.fraction))

        return labelled

    def side_by_side(self, executor: Executor) -> bool:
        """Each job on a worker."""
        interrupted, failed, missing = False, None, self.missing
        with mailbox() as box:
            todo = [self.jobs[number] for number in missing]
            tasks = Tasks([Task(job.name, _do, (job, place, box)) for place, job in enumerate(todo)], executor)
            told: deque[Ended[tuple[bool, Any]]] = deque()  # which an interruption while one is told of does not lose
            try:
                while told or tasks.under_way or (tasks.waiting and not interrupted):
                    try:
                        told.extend(tasks.ended(begin=not interrupted))
                        while told:  # what has ended is kept before the first error is raised
                            error = _error(told[0], todo)
                            failed = failed or error
                            if error is None:
                                interrupted |= self._keep(missing[told[0].number], told[0])
                            told.popleft()
                        if failed is not None:
                            raise failed
                        self.progress(_step(todo, tasks, box, interrupted=interrupted))
                    except KeyboardInterrupt:
                        if interrupted:
                            raise
                        interrupted = True
                        box.ask_to_end()
            finally:
                tasks.give_up()
        return interrupted

    def _keep(self, number: int, one: Ended[tuple[bool, Any]]) -> bool:
        """Keep the answer of a worker, once; returns whether it was stopped before it had any."""
        stopped, answer = cast("tuple[bool, Any]", one.result)
        if not stopped and self.results[number] is None:
            self.results[number] = self.keeping.keep(number, answer)
        return stopped


def _do(job: Job[Any], place: int, box: Mailbox) -> tuple[bool, Any]:
    """A job on a worker: whether it was stopped before it had anything, and what it returns."""
    try:
        return False, job.work(*job.arguments, **job.named, progress=box.progress(place), executor=Here())
    except KeyboardInterrupt:
        return True, None


def _error(one: Ended[Any], jobs: Sequence[Job[Any]]) -> BaseException | None:
    """Why a job has no answer; None where it has."""
    return ExecutorError(f"{jobs[one.number].name}: {one.in_words()}") if one.lost else one.error


def _step(jobs: Sequence[Job[Any]], tasks: Tasks[Any], box: Mailbox, *, interrupted: bool) -> Step:
    """What those under way do, in one line."""
    told = [(jobs[place].name, box.latest(place)) for place in tasks.under_way]
    words = "; ".join(f"{name}: {step.task}" for name, step in told if step is not None)
    left = len(tasks.under_way) + tasks.waiting
    if not words and left == len(jobs):
        words = "starting workers"
    if interrupted:
        return Step(f"coming to an end{': ' * bool(words)}{words}")
    return Step(words or f"{len(jobs) - left} of {len(jobs)} done")

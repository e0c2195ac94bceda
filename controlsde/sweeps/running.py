"""The runs of a sweep on an executor: given out a few at a time, tried again where a worker died, told as they end.

Comes in: runs, the folder that keeps them, an executor. Goes out: nothing but files, and counts. An interruption gives
up what runs, keeps what has ended, and lets the rest be missing.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.execution.executors import ExecutorError
from controlsde.execution.here import Here
from controlsde.execution.tasks import Ended, Task, Tasks
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.sweeps.plan import Plan, Run, Source, changed, digest_of
from controlsde.sweeps.store import RESULT, SWEEP, Row, Store
from controlsde.sweeps.variations import Settings, SweepError, canonical

if TYPE_CHECKING:
    from controlsde.control.controls import Controls
    from controlsde.problem import Problem


@dataclass(frozen=True)
class Counts:
    """How many runs ended, of these how many failed; left: that were not begun, for time or an interruption."""

    ended: int
    failed: int
    left: int


def run_all(
    runs: Sequence[Run],
    plan: Plan,
    store: Store,
    executor: Executor,
    progress: Progress = silent,
    budget: float | None = None,
    workers: int | None = None,
    *,
    again: bool = False,
) -> Counts:
    """Do every run, and keep how it ended. budget: seconds after which none is begun.

    again: also runs that have ended, whose rows stay until there are new ones. workers: how many an executor has at
    least that does not say so itself. Raises SweepError where workers do not see the folder, ExecutorError where the
    executor takes no more work, or a worker has other versions.
    """
    began = time.monotonic()
    ended = failed = 0
    ready, after = _in_order(runs, plan)
    tasks = Tasks(_Runs(ready, plan, str(store.folder.resolve()), again), executor, workers)
    try:
        while True:
            late = budget is not None and time.monotonic() - began >= budget
            for one in tasks.ended(begin=not late):
                if isinstance(one.error, SweepError | ExecutorError | KeyboardInterrupt):
                    raise one.error
                row = one.result or _lost(ready[one.number], one)
                if one.error is not None:
                    store.write_row(row)
                ended += 1
                failed += row.failed
                ready += after.pop(row.key, ())  # which are given out next time
            if not tasks.under_way and (late or not tasks.waiting):
                return Counts(ended, failed, len(runs) - ended)
            progress(_step(ended, failed, len(runs), time.monotonic() - began))
    finally:
        tasks.give_up()


def _in_order(runs: Sequence[Run], plan: Plan) -> tuple[list[Run], dict[str, list[Run]]]:
    """The runs that can begin, and those that wait for another of them, by its key."""
    if plan.climb is None:
        return list(runs), {}
    keys = {run.key for run in runs}
    waiting: dict[str, list[Run]] = {}
    for run in runs:
        if run.after is not None and run.after in keys:
            waiting.setdefault(run.after, []).append(run)
    return [run for run in runs if run.after not in waiting], waiting


@dataclass(frozen=True)
class _Runs(Sequence[Task[Row]]):
    """Runs as tasks, made as they are asked for: there may be a million."""

    runs: Sequence[Run]
    plan: Plan
    folder: str
    again: bool

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, place: Any) -> Any:
        run = self.runs[place]
        return Task(run.label, do, (self.folder, run, self.plan.source(run.problem), self.plan.base, self.again))


def _lost(run: Run, ended: Ended[Row]) -> Row:
    return Row(run.key, "failed", False, None, {}, ended.in_words())


def _step(ended: int, failed: int, total: int, seconds: float) -> Step:
    words = f"{ended} of {total} runs" + (f", {failed} failed" if failed else "")
    if 0 < ended < total:
        from controlsde.workflow.expectation import spoken

        words += f", about {spoken(seconds / ended * (total - ended))} left"
    return Step(words, fraction=ended / total if total else 1.0)


def do(folder: str, run: Run, source: Source, base: Settings, again: bool = False) -> Row:
    """One run, on whatever machine: solve, verify, write the result and its numbers. Returns how it ended.

    What is wrong with its problem, or goes wrong in it, is how it ended, too. A run that another command has done by
    now is not done again, unless `again` says so. Raises KeyboardInterrupt where the run was cut short, SweepError
    where the folder of the sweep is not to be seen from here, or the problem is not what it was.
    """
    store = Store(Path(folder))
    if not (store.folder / SWEEP).exists():
        raise SweepError(
            f"a worker does not see {folder}: workers on other machines need a folder that all of them share; name one "
            "with -o"
        )
    if not again and (done := store.row(run.key)) is not None:
        return done
    if not _unchanged(source, base):
        raise changed(source)
    began = time.perf_counter()
    try:
        row = _solved(store, run, source.file, {**base, **run.settings}, began)
    except (ControlsdeError, ValueError, ArithmeticError, MemoryError, OSError) as error:
        lines = getattr(error, "lines", None) or str(error).splitlines() or [type(error).__name__]
        row = Row(run.key, "failed", False, round(time.perf_counter() - began, 3), {}, "; ".join(lines))
    store.write_row(row)
    return row


def _unchanged(source: Source, base: Settings) -> bool:
    """Whether a problem says what it did when the sweep began; of one that cannot be read, its row tells."""
    try:
        return _digest(_Read.now(source.file, base)) == source.digest
    except (ControlsdeError, ValueError, OSError):
        return True


@dataclass(frozen=True)
class _Read:
    """A file of a problem as it is now, and what is set on top, of which the words tell versions apart."""

    file: str
    stamp: tuple[int, int] | None
    words: str
    base: Settings = field(compare=False)

    @staticmethod
    def now(file: str, base: Settings) -> _Read:
        try:
            found = os.stat(file)
        except OSError:  # a shipped problem
            return _Read(file, None, canonical(base), base)
        return _Read(file, (found.st_mtime_ns, found.st_size), canonical(base), base)


@lru_cache(maxsize=256)
def _digest(read: _Read) -> str:
    """The digest of a problem, which a worker finds once for each version of the file."""
    return digest_of(read.file, read.base)


def _solved(store: Store, run: Run, file: str, settings: Settings, began: float) -> Row:
    from controlsde.problem import load_problem
    from controlsde.workflow.answering import refusals, solve

    problem = load_problem(file, set=settings)
    if refused := refusals(problem):
        return Row(run.key, "failed", False, None, {}, "; ".join(refused))
    before = _before(problem, store, run.after)
    result = solve(problem, initial=before, executor=Here())
    if result.status == "interrupted":  # it is missing, then
        raise KeyboardInterrupt
    result.save(store.place(run.key) / RESULT)
    document = result.to_json()
    return Row(
        key=run.key,
        status=result.status,
        verified=result.verified,
        seconds=round(time.perf_counter() - began, 3),
        numbers=flat({name: part for name, part in document.items() if name != "noise"}),  # which is a setting
        diagnosis=tuple(_in_words(entry) for entry in document.get("diagnosis") or ()),
        after=None if before is None else run.after,
    )


def _before(problem: Problem, store: Store, after: str | None) -> Controls | None:
    """The controls to start from, of another run; None where that left no answer, or one that does not fit."""
    from controlsde.control.controls import ControlsError
    from controlsde.result.result_file import ResultError
    from controlsde.workflow.answering import load_result
    from controlsde.workflow.warm_starts import fitted

    row = None if after is None else store.row(after)
    if after is None or row is None or row.failed:
        return None
    try:
        controls = load_result(store.place(after) / RESULT).controls
        return None if controls is None else fitted(controls, problem)
    except (ResultError, ControlsError):
        return None


def flat(document: Mapping[str, Any], above: str = "") -> dict[str, float | None]:
    """Every number of a document by its dotted name; lists, words and what is true or false are left out."""
    found: dict[str, float | None] = {}
    for name, value in document.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[path] = value if math.isfinite(value) else None
    return found


def _in_words(entry: Mapping[str, Any]) -> str:
    return "; ".join(str(value) for value in entry.values() if isinstance(value, str) and value)

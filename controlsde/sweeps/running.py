"""The runs of a sweep on an executor: given out a few at a time, tried again where a worker died, told as they end.

Comes in: runs, the folder that keeps them, an executor. Goes out: nothing but files, and counts. An interruption gives
up what runs, keeps what has ended, and lets the rest be missing.
"""

from __future__ import annotations

import math
import queue
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.sweeps.ahead import Ahead
from controlsde.sweeps.executors import died
from controlsde.sweeps.plan import Plan, Run
from controlsde.sweeps.store import RESULT, SWEEP, Row, Store
from controlsde.sweeps.variations import Settings, SweepError

LOOK = 1.0  # seconds between two words of progress
TRIES = 2


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
) -> Counts:
    """Do every run, and keep how it ended. budget: seconds after which none is begun.

    workers: how many the executor has at least, where it does not say itself: twice as many runs are under way.
    Raises SweepError where workers do not see the folder, or the executor takes no more work.
    """
    began, waiting = time.monotonic(), deque((run, 1) for run in runs)
    under_way: dict[Future[Row], tuple[Run, int]] = {}
    ahead = Ahead(executor, workers)
    # `wait` looks at every future each time that one ends; they tell of themselves, so that thousands cost no more.
    told: queue.SimpleQueue[Future[Row]] = queue.SimpleQueue()
    ended = failed = 0
    try:
        while waiting or under_way:
            late = budget is not None and time.monotonic() - began >= budget
            most = ahead.count()
            while waiting and len(under_way) < most and not late:
                run, attempt = waiting.popleft()
                future = _given(executor, run, plan, store)
                under_way[future] = run, attempt
                future.add_done_callback(told.put)
            if not under_way:
                break
            for future in _ended(told):
                run, attempt = under_way.pop(future)
                error = future.exception()
                if isinstance(error, SweepError):
                    raise error
                if error is not None and died(error) and attempt < TRIES:
                    waiting.appendleft((run, attempt + 1))
                    continue
                row = _lost(run, error, attempt) if error is not None else future.result()
                if error is not None:
                    store.write_row(row)
                ended += 1
                failed += row.failed
            progress(_step(ended, failed, len(runs), time.monotonic() - began))
    finally:
        for future in under_way:
            future.cancel()
    return Counts(ended, failed, len(waiting))


def _ended(told: queue.SimpleQueue[Future[Row]]) -> Iterator[Future[Row]]:
    """The futures that have ended by now; the first is waited for a moment."""
    with suppress(queue.Empty):
        yield told.get(timeout=LOOK)
        while True:
            yield told.get_nowait()


def _given(executor: Executor, run: Run, plan: Plan, store: Store) -> Future[Row]:
    source = plan.source(run.problem)
    try:
        return executor.submit(do, str(store.folder), run.key, source.file, plan.base, run.settings)
    except RuntimeError as error:
        raise SweepError(
            f"the executor takes no more work ({error}); give another one: what has ended is kept"
        ) from None


def _lost(run: Run, error: BaseException, attempt: int) -> Row:
    words = f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
    if died(error):
        words = f"the worker died {attempt} times at it ({words}): it may lack memory; try fewer --workers"
    return Row(run.key, "failed", False, None, {}, words)


def _step(ended: int, failed: int, total: int, seconds: float) -> Step:
    words = f"{ended} of {total} runs" + (f", {failed} failed" if failed else "")
    if 0 < ended < total:
        from controlsde.workflow.expectation import spoken

        words += f", about {spoken(seconds / ended * (total - ended))} left"
    return Step(words, fraction=ended / total if total else 1.0)


def do(folder: str, key: str, file: str, base: Settings, settings: Settings) -> Row:
    """One run, on whatever machine: solve, verify, write the result and its numbers. Returns how it ended.

    What is wrong with its problem, or goes wrong in it, is how it ended, too. A run that another command has done
    by now is not done again. Raises SweepError where the folder of the sweep is not to be seen from here.
    """
    store = Store(Path(folder))
    if not (store.folder / SWEEP).exists():
        raise SweepError(
            f"a worker does not see {folder}: workers on other machines need a folder that all of them share; name one "
            "with -o"
        )
    if (done := store.row(key)) is not None:
        return done
    began = time.perf_counter()
    try:
        row = _solved(store, key, file, {**base, **settings}, began)
    except (ControlsdeError, ValueError, ArithmeticError, MemoryError, OSError) as error:
        lines = getattr(error, "lines", None) or str(error).splitlines() or [type(error).__name__]
        row = Row(key, "failed", False, round(time.perf_counter() - began, 3), {}, "; ".join(lines))
    store.write_row(row)
    return row


def _solved(store: Store, key: str, file: str, settings: Settings, began: float) -> Row:
    from controlsde.problem import load_problem
    from controlsde.workflow.answering import refusals, solve

    problem = load_problem(file, set=settings)
    if refused := refusals(problem):
        return Row(key, "failed", False, None, {}, "; ".join(refused))
    result = solve(problem)
    result.save(store.place(key) / RESULT)
    document = result.to_json()
    return Row(
        key=key,
        status=result.status,
        verified=result.verified,
        seconds=round(time.perf_counter() - began, 3),
        numbers=flat({name: part for name, part in document.items() if name != "noise"}),  # which is a setting
        diagnosis=tuple(_in_words(entry) for entry in document.get("diagnosis") or ()),
    )


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

"""Pages of single runs of a sweep: which are written, side by side, and where each lies.

Comes in: a `Sweep`, an executor. Goes out: runs/KEY/report.html for every run with a result while these are few, else
for those that tell most; lines about what could not be written. A page that is newer than its result stays.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from controlsde.execution.executors import executor_of
from controlsde.execution.tasks import Task, Tasks
from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.report.page.sweep_columns import VERIFIED, Columns, columns_of, combinations, front
from controlsde.report.page.writing import FILE, report_result
from controlsde.sweeps.store import RESULT, RUNS

if TYPE_CHECKING:
    from controlsde.sweeps.plan import Run
    from controlsde.sweeps.sweep import Sweep

MOST = 64  # pages of runs: more are asked for one by one
HERE = 8  # pages that are written before a process would have started
PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # a name that leads to a folder below and to none above


def report_runs(
    sweep: Sweep, executor: str | Executor | None = None, workers: int | None = None, progress: Progress = silent
) -> list[str] | None:
    """Write the pages of the runs that `chosen` names and that have none, or one older than their result.

    Returns a line for each that could not be written; None where another process leads. Raises ExecutorError as
    `executor_of` does.
    """
    keys = [key for key in chosen(sweep) if not _is_fresh(sweep.folder / RUNS / key)]
    if not keys and executor != "mpi":  # else the first process alone says what is to be written
        return []
    progress(Step(f"0 of {len(keys)} pages of runs", fraction=0.0))
    if executor is None and len(keys) <= HERE:
        faults = _one_by_one(sweep, keys, progress)
    else:
        with executor_of(executor, workers) as pool:
            if pool is None:
                return None
            faults = _side_by_side(sweep, keys, pool, progress)
    return [f"no page of {key}: {fault}" for key, fault in sorted(faults.items()) if fault]


def _one_by_one(sweep: Sweep, keys: Sequence[str], progress: Progress) -> dict[str, str]:
    began, faults = time.monotonic(), {}
    for key in keys:
        faults[key] = write_one(str(sweep.folder / RUNS / key))
        progress(_step(len(faults), len(keys), time.monotonic() - began))
    return faults


def _side_by_side(sweep: Sweep, keys: Sequence[str], pool: Executor, progress: Progress) -> dict[str, str]:
    began, faults = time.monotonic(), {}
    tasks = Tasks([Task(key, write_one, (str(sweep.folder.resolve() / RUNS / key),)) for key in keys], pool)
    try:
        while tasks.waiting or tasks.under_way:
            for one in tasks.ended():
                faults[keys[one.number]] = one.in_words() if one.error is not None else one.result or ""
            progress(_step(len(faults), len(keys), time.monotonic() - began))
    finally:
        tasks.give_up()
    return faults


def write_one(folder: str) -> str:
    """Write the page of the result in a folder, on whatever machine this is; returns why it cannot be, or nothing."""
    from controlsde.workflow.answering import load_result

    try:
        report_result(load_result(Path(folder) / RESULT), Path(folder) / FILE)
    except (ControlsdeError, ValueError, ArithmeticError, MemoryError, OSError) as error:
        lines = getattr(error, "lines", None) or str(error).splitlines()
        return lines[0] if lines else type(error).__name__
    return ""


def chosen(sweep: Sweep, columns: Columns | None = None, most: int = MOST) -> list[str]:
    """The keys of the runs that are given a page: all with a result, of more than `most` those that tell most.

    These are the front of the error at T against what it costs, then the best verified run of every combination of what
    is no seed, the best first.
    """
    runs = sweep.plan.runs
    with_result = {place for place, run in enumerate(runs) if _has_result(sweep, place, run)}
    if len(with_result) <= most:
        return [runs[place].key for place in sorted(with_result)]
    columns = columns_of(sweep) if columns is None else columns
    main, cost = columns.main, columns.cost
    if main is None:
        return []
    wanted = front(columns, cost, main) if cost is not None else []
    sign = -1.0 if main.more else 1.0
    order = sorted(
        (
            place
            for place in range(len(runs))
            if columns.states[place] == VERIFIED and math.isfinite(main.values[place])
        ),
        key=lambda place: sign * main.values[place],
    )
    groups, seen = combinations(columns), set[int]()
    for place in order:
        if int(groups[place]) not in seen:
            seen.add(int(groups[place]))
            wanted.append(place)
    kept = [place for place in dict.fromkeys(wanted) if place in with_result]
    return [runs[place].key for place in kept[:most]]


def is_plain(key: str) -> bool:
    """Whether a key names a folder of a run, and nothing else: a file that was tampered with may hold anything."""
    return PLAIN.fullmatch(key) is not None


def files_of(folder: Path, key: str) -> int:
    """0 where a run left nothing, 1 for a result, 2 for a result and a page that is no older."""
    place = folder / RUNS / key
    if not is_plain(key) or not (place / RESULT).is_file():
        return 0
    return 2 if _is_fresh(place) else 1


def base_of(folder: Path, page: Path) -> str:
    """The way from a page to the runs, as a link has it: relative, percent-encoded, with a slash at its end."""
    way = relpath((folder / RUNS).resolve(), page.resolve().parent)
    return "/".join(quote(part, safe="") for part in Path(way).parts) + "/"


def _has_result(sweep: Sweep, place: int, run: Run) -> bool:
    row = sweep.rows[place]
    return row is not None and not row.failed and files_of(sweep.folder, run.key) > 0


def _is_fresh(folder: Path) -> bool:
    try:
        return (folder / FILE).stat().st_mtime_ns >= (folder / RESULT).stat().st_mtime_ns
    except OSError:
        return False


def _step(ended: int, total: int, seconds: float) -> Step:
    words = f"{ended} of {total} pages of runs"
    if 0 < ended < total:
        from controlsde.workflow.expectation import spoken

        words += f", about {spoken(seconds / ended * (total - ended))} left"
    return Step(words, fraction=ended / total)

"""What a sweep costs beside its runs, and how that grows: every stage of it timed, for more and more runs.

One run is solved; all others are copies of its numbers, made by an executor that does nothing else, in a folder in
memory. So what is timed is the planning, giving out, keeping count, reading and gathering of `controlsde.sweeps`
itself, and no solve and no disk is in it. For the largest number no run is kept: planning and giving out alone.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.reporting import Report, Table, seconds
from controlsde.execution.executors import executor_of
from controlsde.foundation.netcdf import to_bytes
from controlsde.sweeps.plan import plan_of
from controlsde.sweeps.running import run_all
from controlsde.sweeps.store import SWEEP, Row, Store
from controlsde.sweeps.sweep import Sweep, sweep
from controlsde.sweeps.variations import Variations

TINY = {  # the cheapest solve there is: most of it is verification
    "mesh.elements": [4],
    "mesh.degree": 4,
    "mesh.steps_per_piece": 1,
    "controls.pieces": 1,
    "solver.starts": 1,
    "solver.hops": 0,
    "solver.iterations": 3,
    "monte_carlo.particles": 500,
    "monte_carlo.steps_per_piece": 4,
}
KEPT, GIVEN = (100, 1000, 10_000, 100_000), (1000, 1_000_000)
T = TypeVar("T")
NOISES = 10  # values of one key; seeds are the other


def run(fast: bool) -> Report:
    """Each number of runs in a process of its own, so that memory is that of it alone."""
    context = multiprocessing.get_context("spawn")
    row = _a_row()
    found: dict[bool, list[Stages]] = {}
    for files, numbers in ((True, KEPT), (False, GIVEN)):
        found[files] = []
        for number in numbers[:1] if fast else numbers:
            with context.Pool(1) as pool:
                found[files].append(pool.apply(stages, (number, row, TINY), {"files": files}))
    notes = [
        f"a run has {len(row.numbers)} numbers; seconds by the clock / of the processor",
        "memory is the most that the process had up to the end; Python with all that is loaded is in it",
    ]
    return Report(
        "How sweeps grow",
        [
            _table("Every stage, runs with their run.json", found[True]),
            _table("Planning and giving out alone", found[False]),
        ],
        [],
        notes,
    )


def _a_row() -> Row:
    place = Path(tempfile.mkdtemp())
    try:
        with executor_of("processes", 1) as executor:
            done = sweep("two-bumps", {"solver.seed": [0]}, folder=place, executor=executor, set=TINY)
        assert done is not None
        [row] = done.rows
        assert row is not None
        assert row.numbers
        return row
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _table(title: str, found: Sequence[Stages]) -> Table:
    """A column for each number of runs."""
    rows = [
        (name, *(" / ".join(seconds(value) for value in one.took[name]) for one in found)) for name in found[0].took
    ]
    rows += [(f"bytes of {name}", *(f"{one.size[name]:,}" for one in found)) for name in found[0].size]
    rows.append(("memory at the most, MiB", *(f"{one.memory / 2**20:,.0f}" for one in found)))
    return Table(title, ("runs", *(f"{one.runs:,}" for one in found)), rows)


class Copying(Executor):
    """Every run ends at once as a row that is given did; it is kept in the folder, or nowhere."""

    def __init__(self, row: Row, store: Store | None) -> None:
        self._row, self._store = row, store

    def submit(self, _function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:  # type: ignore[override]
        """What `run_all` gives: the folder, the key of the run, and what it is."""
        row, future = replace(self._row, key=arguments[1].key), Future[Any]()
        if self._store is not None:
            self._store.write_row(row)
        future.set_result(row)
        return future


@dataclass(frozen=True)
class Stages:
    """runs: how many. took: of every stage (seconds by the clock, of the processor). size: bytes by file name.

    memory: bytes that this process held at the most.
    """

    runs: int
    took: Mapping[str, tuple[float, float]]
    size: Mapping[str, int]
    memory: int


def stages(runs: int, row: Row, settings: Mapping[str, Any], *, files: bool) -> Stages:
    """Every stage in its order. files: whether runs are kept, read and gathered, or given out alone."""
    took: dict[str, tuple[float, float]] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        began, processor = time.perf_counter(), time.process_time()
        found = work()
        took[name] = time.perf_counter() - began, time.process_time() - processor
        return found

    memory_of_files = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=memory_of_files if memory_of_files.is_dir() else None))
    store = Store(place)
    vary = Variations.of(
        {"noise": [value / NOISES for value in range(NOISES)], "solver.seed": list(range(runs // NOISES))}
    )
    try:
        plan = timed("plan", lambda: plan_of(["two-bumps"], vary, settings))
        plan = timed("write sweep.json", lambda: store.extend(plan))
        executor = Copying(row, store if files else None)
        timed("give out, keep count", lambda: run_all(plan.runs, plan, store, executor))  # and write run.json
        timed("read sweep.json again", lambda: store.extend(plan))
        rows = timed("read every run.json", lambda: tuple(store.rows(plan)))
        if files:
            found = Sweep(place, plan, rows)
            timed("table", found.table)
            csv = timed("sweep.csv", lambda: found.table().to_csv(index=False))
            data = timed("dataset", found.to_dataset)
            netcdf = timed("sweep.nc", lambda: to_bytes(data)[0])
            timed("what varies", lambda: found.note)
            timed("JSON", lambda: json.dumps(found.to_json()))
            sizes = {"sweep.csv": len(csv.encode()), "sweep.nc": len(netcdf)}
        else:
            sizes = {}
        return Stages(
            len(plan.runs),
            took,
            {SWEEP: (place / SWEEP).stat().st_size, **sizes},
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)

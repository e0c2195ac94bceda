"""What it costs to have a sweep do many runs, beside joblib and a plain loop over Dask.

Overhead of a run: (seconds by the clock × workers − seconds that workers spent at solving and writing results) / runs,
with workers that have started and solved before. It holds all that is not the run: planning, giving out, the way there
and back, waiting for the last one, gathering. All competitors do the same solves and write the same result files, whose
numbers and arrays are asserted equal bit for bit before anything is timed. How it grows is in `sweep_stages`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reporting import Goal, Report, Table, seconds, times
from benchmarks.sweep_stages import TINY
from controlsde.execution.executors import executor_of
from controlsde.sweeps.plan import Run, Source
from controlsde.sweeps.running import do, flat
from controlsde.sweeps.store import RESULT, RUN, RUNS, SWEEP, Row, Store
from controlsde.sweeps.sweep import Sweep, sweep

WORKERS = 2
MOST_LOCAL, MOST_DASK = 0.05, 0.1  # seconds of overhead a run
LEAST_GAIN = 1.8  # of two workers over one
MOST_RESUMING, MOST_GATHERING = 3.0, 10.0  # seconds, of a thousand runs

# Refused as soon as a worker looks at it, for it has a drift of its own: a run that does nothing.
NOTHING = {**TINY, "drift": {"kind": "exact"}}
REAL = {"solver.starts": 1, "solver.hops": 0, "controls.pieces": 8}  # of iris-petals: seconds a run


@dataclass(frozen=True)
class Timed:
    """One sweep, or what stands in for it: seconds by the clock, seconds that the workers spent at runs, runs.

    processor: seconds that the leading process computed; hardly more on a busy machine.
    """

    wall: float
    at_runs: float
    runs: int
    processor: float

    def overhead(self, workers: int) -> float:
        """Seconds a run that are no part of any run."""
        return (self.wall * workers - self.at_runs) / self.runs


def run(fast: bool) -> Report:
    """Overhead, two workers against one, resuming, gathering, bytes."""
    before = os.getloadavg()
    tables: list[Table] = []
    goals: list[Goal] = []
    notes: list[str] = []
    with _folder() as place:
        for part in (_overheads, _two_against_one, _a_thousand):
            found, met, told = part(place, fast)
            tables += found
            goals += met
            notes += told
    notes.append(
        "load average before {:.1f}/{:.1f}/{:.1f}, after {:.1f}/{:.1f}/{:.1f}".format(*before, *os.getloadavg())
    )
    return Report("Sweeps", tables, goals, notes)


# Overhead, beside others


def work(file: str, settings: Mapping[str, Any], target: str) -> tuple[float, dict[str, float | None]]:
    """What a run is without a sweep: solve, verify, write the result. Returns its seconds and its numbers."""
    from controlsde.problem import load_problem
    from controlsde.workflow.answering import solve

    began = time.perf_counter()
    result = solve(load_problem(file, set=settings))
    result.save(target)
    return time.perf_counter() - began, flat(result.to_json())


def _overheads(place: Path, fast: bool) -> tuple[list[Table], list[Goal], list[str]]:
    import joblib
    from distributed import Client, LocalCluster

    runs, rounds = (6, 2) if fast else (100, 3)
    settings = [{"solver.seed": seed} for seed in range(runs)]
    count = iter(range(10**6))

    def of_sweep(executor: Executor, base: Mapping[str, Any] = TINY) -> tuple[Timed, Path]:
        folder = place / f"sweep-{next(count)}"
        began, processor = time.perf_counter(), time.process_time()
        found = sweep(
            "two-bumps",
            {"solver.seed": list(range(runs))},
            folder=folder,
            executor=executor,
            workers=WORKERS,
            set=base,
        )
        took, computed = time.perf_counter() - began, time.process_time() - processor
        assert found is not None
        return Timed(took, sum(row.seconds or 0.0 for row in found.rows if row), runs, computed), folder

    def of_loop(give: Callable[[list[tuple[Any, ...]]], Sequence[Any]]) -> tuple[Timed, Path]:
        folder = place / f"loop-{next(count)}"
        asked = [("two-bumps", {**TINY, **one}, str(folder / f"{one['solver.seed']}.nc")) for one in settings]
        began, processor = time.perf_counter(), time.process_time()
        told = give(asked)
        took, computed = time.perf_counter() - began, time.process_time() - processor
        return Timed(took, sum(one for one, _ in told), runs, computed), folder

    with ExitStack() as stack:
        ours = stack.enter_context(executor_of("processes", WORKERS))
        cluster = stack.enter_context(LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        dask = client.get_executor(pure=False, retries=0)
        stack.enter_context(joblib.parallel_config(backend="loky", n_jobs=WORKERS, inner_max_num_threads=1))
        assert ours is not None

        def plain_dask(asked: list[tuple[Any, ...]]) -> Sequence[Any]:
            return client.gather([client.submit(work, *one, pure=False) for one in asked])

        def plain_joblib(asked: list[tuple[Any, ...]]) -> Sequence[Any]:
            return joblib.Parallel()(joblib.delayed(work)(*one) for one in asked)

        competitors: dict[str, Callable[[], tuple[Timed, Path]]] = {
            "sweep, processes": partial(of_sweep, ours),
            "joblib, loky": partial(of_loop, plain_joblib),
            "sweep, Dask": partial(of_sweep, dask),
            "plain loop over Dask": partial(of_loop, plain_dask),
        }
        folders = {name: task()[1] for name, task in competitors.items()}  # which warms all workers up
        row = next(row for row in Sweep.load(folders["sweep, processes"]).rows if row)
        _agree(folders, runs)
        nothing = {
            "sweep of nothing, processes": partial(of_sweep, ours, NOTHING),
            "sweep of nothing, Dask": partial(of_sweep, dask, NOTHING),
        }
        found: dict[str, list[Timed]] = {name: [] for name in (*competitors, *nothing)}
        for _ in range(rounds):
            for name, task in {**competitors, **nothing}.items():
                timed, folder = task()
                found[name].append(timed)
                shutil.rmtree(folder)
        throughput = _no_ops(client, 200 if fast else 2000)
        traffic = _traffic(nothing["sweep of nothing, Dask"], row)
    rows = [
        (
            name,
            f"{each[0].runs}",
            seconds(statistics.median(one.wall for one in each)),
            seconds(statistics.median(one.at_runs / one.runs for one in each)),
            seconds(statistics.median(one.overhead(WORKERS) for one in each)),
            seconds(min(one.overhead(WORKERS) for one in each)),
            seconds(statistics.median(one.processor / one.runs for one in each)),
        )
        for name, each in found.items()
    ]
    title = f"Overhead on tiny runs: {WORKERS} workers that are warm, {rounds} rounds, competitors in turn"
    tables = [
        Table(title, ("", "runs", "wall, median", "a run", "overhead a run, median", "least", "leader computes"), rows),
        traffic,
    ]
    goals = []
    for name, limit in (("sweep, processes", MOST_LOCAL), ("sweep, Dask", MOST_DASK)):
        value = statistics.median(one.overhead(WORKERS) for one in found[name])
        goals.append(Goal(f"{name}: overhead a run", f"<= {limit * 1e3:g} ms", seconds(value), value <= limit))
    notes = [
        "all answers are equal bit for bit: every number, and every array of the result files",
        "`sweep of nothing` is of runs that the workers refuse at once: all of its time is overhead, writing run.json "
        "with it",
        f"a task of Dask that does nothing takes {seconds(throughput)}, scheduler and two workers on this machine",
    ]
    for one, other in (("sweep, processes", "joblib, loky"), ("sweep, Dask", "plain loop over Dask")):
        gain = statistics.median(a.wall / b.wall for a, b in zip(found[one], found[other], strict=True))
        notes.append(f"{one} against {other}: {times(gain)} the wall time, median of the rounds")
    return tables, goals, notes


def _agree(folders: Mapping[str, Path], runs: int) -> None:
    """Assert that all have the same arrays, bit for bit, and the same numbers."""
    first: dict[int, dict[str, Any]] | None = None
    for name, folder in folders.items():
        if (folder / SWEEP).exists():
            plan = Store(folder).read_plan()
            files = {one.settings["solver.seed"]: folder / RUNS / one.key / RESULT for one in plan.runs}
        else:
            files = {seed: folder / f"{seed}.nc" for seed in range(runs)}
        arrays = {seed: _arrays(path) for seed, path in files.items()}
        if first is None:
            first = arrays
            continue
        for seed, found in arrays.items():
            assert found.keys() == first[seed].keys(), f"{name}, seed {seed}: other variables"
            for variable, values in found.items():
                assert np.array_equal(values, first[seed][variable], equal_nan=True), f"{name}, {seed}: {variable}"
        shutil.rmtree(folder)


def _arrays(path: Path) -> dict[str, Any]:
    """All numbers of a result file but the seconds."""
    import controlsde as cs

    result = cs.load_result(path)
    controls = result.controls
    numbers = {name: value for name, value in flat(result.to_json()).items() if not name.startswith("seconds")}
    density = result.density.values
    return {"A": controls.A, "W": controls.W, "b": controls.b, "times": controls.times, "density": density} | {
        name: np.array(np.nan if value is None else value) for name, value in numbers.items()
    }


def _no_ops(client: Any, many: int) -> float:
    """Seconds that Dask takes for a task that does nothing."""
    began = time.perf_counter()
    client.gather([client.submit(_nothing, place, pure=False) for place in range(many)])
    return (time.perf_counter() - began) / many


def _nothing(place: int) -> int:
    return place


def _traffic(task: Callable[[], tuple[Timed, Path]], row: Row) -> Table:
    """Bytes of a run on its way through Dask: what is sent, what comes back, and all that passes the loopback."""
    run, source = Run(row.key, "two-bumps", {"solver.seed": 0}), Source("two-bumps", "two-bumps", "0" * 64)
    sent = len(pickle.dumps((do, "/scratch/me/runs", run, source, TINY, False), protocol=5))
    small = Row(row.key, "failed", False, 0.0, {}, "a line of words that say what is wrong with the problem of this")
    cells = [
        ("the task as bytes: what is set, and where it is kept", f"{sent:,}"),
        (f"the row as bytes, of {len(row.numbers)} numbers", f"{len(pickle.dumps(row, protocol=5)):,}"),
        ("the row as bytes, of a run of nothing", f"{len(pickle.dumps(small, protocol=5)):,}"),
    ]
    idle = _loopback()
    if idle is not None:
        began = time.perf_counter()
        time.sleep(5.0)
        rate = (_loopback_now() - idle) / (time.perf_counter() - began)
        before, began = _loopback_now(), time.perf_counter()
        timed, folder = task()
        passed = _loopback_now() - before - rate * (time.perf_counter() - began)
        shutil.rmtree(folder)
        cells += [
            ("all on the loopback, a run of nothing", f"{passed / timed.runs:,.0f}"),
            ("the same while nobody works, a second", f"{rate:,.0f}"),
        ]
    return Table("Traffic of a run through Dask", ("", "bytes"), cells)


def _loopback_now() -> int:
    return _loopback() or 0


def _loopback() -> int | None:
    """Bytes that have passed the loopback; None where the system does not tell."""
    table = Path("/proc/net/dev")
    for line in table.read_text(encoding="ascii").splitlines() if table.exists() else []:
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    return None


# Two workers against one


def _two_against_one(place: Path, fast: bool) -> tuple[list[Table], list[Goal], list[str]]:
    rounds, vary = (1, {"solver.seed": [0, 1]}) if fast else (3, {"noise": [0.5, 1.0], "solver.seed": [0, 1, 2, 3]})
    problem, settings = ("two-bumps", TINY) if fast else ("iris-petals", REAL)
    found: dict[int, list[Timed]] = {1: [], 2: []}
    alone: list[float] = []
    numbers: list[list[Any]] = []
    with executor_of("processes", 1) as one, executor_of("processes", 2) as two:
        assert one is not None
        assert two is not None
        for executor in (one, two):
            sweep(
                "two-bumps", {"solver.seed": [0, 1]}, folder=place / f"warm-{id(executor)}", executor=executor, set=TINY
            )
        for number in range(rounds):
            for workers, executor in ((1, one), (2, two)):
                began, processor = time.perf_counter(), time.process_time()
                done = sweep(problem, vary, folder=place / f"real-{workers}-{number}", executor=executor, set=settings)
                took = time.perf_counter() - began
                assert done is not None
                at_runs = sum(row.seconds or 0.0 for row in done.rows if row)
                found[workers].append(Timed(took, at_runs, len(done.rows), time.process_time() - processor))
                numbers.append(
                    [row and {n: v for n, v in row.numbers.items() if "seconds" not in n} for row in done.rows]
                )
            alone.append(_machine())
    assert all(each == numbers[0] for each in numbers), "one worker and two do not find the same numbers"
    gains = [a.wall / b.wall for a, b in zip(found[1], found[2], strict=True)]
    gain = statistics.median(gains)
    rows = [
        (
            f"{workers} worker{'s'[: workers > 1]}",
            seconds(statistics.median(one.wall for one in each)),
            seconds(statistics.median(one.at_runs / one.runs for one in each)),
            seconds(statistics.median(one.overhead(workers) for one in each)),
        )
        for workers, each in found.items()
    ]
    table = Table(
        f"{found[1][0].runs} runs of {problem}, {rounds} rounds in turn",
        ("", "wall, median", "a run", "overhead a run"),
        rows,
    )
    told = ", ".join(times(one) for one in gains)
    notes = [
        f"two workers against one, round by round: {told}",
        f"two processes that have nothing to do with each other do {times(statistics.median(alone))} the work of one "
        "on this machine (median of a look after each round): more is not to be had",
    ]
    goals = [Goal("two workers against one", f">= {LEAST_GAIN:g}×", times(gain), gain >= LEAST_GAIN)]
    return [table], [] if fast else goals, notes


def _machine() -> float:
    """How much more two processes compute than one: 2 where nothing else runs and cores share nothing."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        pool.map(_busy, [0.1, 0.1])
        [one] = pool.map(_busy, [1.5])
        two = pool.map(_busy, [1.5, 1.5], chunksize=1)
    return sum(two) / one


def _busy(duration: float) -> int:
    """How many matrices are factored within a time."""
    matrix = np.random.default_rng(0).standard_normal((60, 60))
    end, count = time.perf_counter() + duration, 0
    while time.perf_counter() < end:
        np.linalg.inv(matrix)
        count += 1
    return count


# A thousand runs, and more


def _a_thousand(place: Path, fast: bool) -> tuple[list[Table], list[Goal], list[str]]:
    runs = 20 if fast else 1000
    folder = place / "thousand"
    vary = {"noise": [0.5, 1.0], "solver.seed": list(range(runs // 2))}
    began, processor = time.perf_counter(), time.process_time()
    done = sweep("two-bumps", vary, folder=folder, workers=WORKERS, set=TINY)
    took = time.perf_counter() - began
    assert done is not None
    assert not done.missing
    assert not done.failed
    at_runs = sum(row.seconds or 0.0 for row in done.rows if row)
    cold = Timed(took, at_runs, runs, time.process_time() - processor).overhead(WORKERS)
    rounds = 2 if fast else 7
    sets = (word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}"))
    command = [
        sys.executable, "-m", "controlsde", "sweep", "two-bumps", "--vary", "noise=0.5,1.0", "--vary",
        f"solver.seed=0:{runs // 2}", *sets,
        "-o", str(folder),
    ]  # fmt: skip
    measured: dict[str, list[tuple[float, float]]] = {
        "resume: the whole command": [], "resume: cs.sweep alone": [], "gather: read, table, dataset, files": [],
    }  # fmt: skip
    whole, resumed, gathered = measured.values()
    for _ in range(rounds):
        whole.append(_command(command))
        resumed.append(_took(lambda: sweep("two-bumps", vary, folder=folder, set=TINY)))
        gathered.append(_took(partial(_gather, folder)))
    rows = [
        (name, seconds(statistics.median(wall for wall, _ in each)), seconds(statistics.median(cpu for _, cpu in each)))
        for name, each in measured.items()
    ]
    tables = [
        Table(
            f"{runs:,} finished runs, really run once; {rounds} rounds in turn", ("", "wall, median", "processor"), rows
        ),
        _bytes(folder, done),
    ]
    goals = []
    for name, limit in (
        ("resume: the whole command", MOST_RESUMING),
        ("gather: read, table, dataset, files", MOST_GATHERING),
    ):
        value = statistics.median(wall for wall, _ in measured[name])
        goals.append(Goal(f"{runs:,} runs, {name}", f"<= {limit:g} s", seconds(value), value <= limit))
    notes = [
        f"{runs:,} tiny runs from the beginning, workers started with them: {seconds(took)}; {seconds(cold)} a run "
        "more than the runs themselves",
    ]
    return tables, goals, notes


def _gather(folder: Path) -> None:
    found = Sweep.load(folder)
    found.table()
    found.to_dataset()
    found.save()


def _took(work: Callable[[], object]) -> tuple[float, float]:
    began, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - processor


def _command(words: Sequence[str]) -> tuple[float, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode in (0, 3, 4), ended.stderr  # tiny answers need neither converge nor be verified
    assert ", 0 to do" in ended.stderr, ended.stderr
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _bytes(folder: Path, done: Sweep) -> Table:
    """Bytes a run of every file, and of the disk's blocks."""
    sizes = {name: [(folder / RUNS / run.key / name).stat() for run in done.plan.runs] for name in (RESULT, RUN)}
    cells = [
        (f"runs/KEY/{name}", f"{statistics.mean(one.st_size for one in each):,.0f}",
         f"{statistics.mean(one.st_blocks * 512 for one in each):,.0f}")
        for name, each in sizes.items()
    ]  # fmt: skip
    cells += [
        (f"{name}, its part", f"{(folder / name).stat().st_size / len(done.rows):,.0f}", "")
        for name in (SWEEP, "sweep.csv", "sweep.nc")
    ]
    here = sum(1 for path in (folder / RUNS).rglob("*")) / len(done.rows)
    cells.append((f"files and folders a run: {here:g}", "", ""))
    return Table("Bytes a run", ("", "bytes", "on this disk"), cells)


@contextmanager
def _folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="sweeps-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)

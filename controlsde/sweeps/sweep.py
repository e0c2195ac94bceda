"""A sweep: many runs of some problems under varied settings, kept in a folder that can be gone on with.

Comes in: problems, what is varied, an executor, a folder. Goes out: `Sweep`, with a table of all runs. A folder that
holds runs of the same problems over the same keys is gone on with: what has ended there is not done again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.foundation import files
from controlsde.foundation.netcdf import to_bytes
from controlsde.foundation.progress import Progress, Step, silent
from controlsde.foundation.versions import versions
from controlsde.problem import Problem
from controlsde.registry import VIEWS
from controlsde.sweeps import gathering
from controlsde.sweeps.effects import Effect, effects, sentence
from controlsde.sweeps.plan import Plan, Run, plan_of, written
from controlsde.sweeps.store import PROBLEMS, RESULT, RUNS, Row, Store, missing_of
from controlsde.sweeps.variations import Variations

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

TABLE, DATASET, PAGE, GATHERED = "sweep.csv", "sweep.nc", "sweep.html", "gathered.json"
LONGEST_WRITING = 600.0  # seconds that another machine may take to write tables and page of a million runs


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a folder holds of a sweep: the plan, and for every run how it ended, None where it has not.

    interrupted: whether it was left by an interruption. asked: the keys of the runs that the command was about that
    returns this; None for all.
    """

    folder: Path
    plan: Plan
    rows: tuple[Row | None, ...]
    interrupted: bool = False
    asked: frozenset[str] | None = None

    @staticmethod
    def load(folder: str | Path) -> Sweep:
        """Read a folder. Raises SweepError, in one line, where it holds no sweep, or a damaged one."""
        store = Store(Path(folder))
        plan = store.read_plan()
        return Sweep(store.folder, plan, tuple(store.rows(plan)))

    @property
    def missing(self) -> tuple[Run, ...]:
        """The runs that have not ended."""
        return missing_of(self.plan, self.rows)

    @property
    def failed(self) -> tuple[tuple[Run, Row], ...]:
        """The runs without an answer, and why."""
        pairs = zip(self.plan.runs, self.rows, strict=True)
        return tuple((run, row) for run, row in pairs if row is not None and row.failed)

    @property
    def afresh(self) -> tuple[Run, ...]:
        """The runs of a climb that did not start from the answer before: it was missing, or did not fit."""
        pairs = zip(self.plan.runs, self.rows, strict=True)
        return tuple(run for run, row in pairs if run.after and row is not None and not row.failed and not row.after)

    @property
    def rows_asked_for(self) -> tuple[Row | None, ...]:
        """How the runs ended that the command was about."""
        pairs = zip(self.plan.runs, self.rows, strict=True)
        return tuple(row for run, row in pairs if self.asked is None or run.key in self.asked)

    @property
    def verified(self) -> bool:
        """Whether every run has ended, in a verified answer."""
        return all(row is not None and row.verified for row in self.rows)

    def table(self) -> pd.DataFrame:
        """A row a run: the problem, what was set, how it ended, and every number by its dotted name."""
        return self._table.copy()

    @cached_property
    def _table(self) -> pd.DataFrame:
        return gathering.table(self.plan, self.rows)

    def to_dataset(self) -> xr.Dataset:
        """Every number over what was varied, as labelled dimensions; over runs where they make no grid."""
        return gathering.dataset(self.plan, self.rows)

    def effects(self) -> list[Effect]:
        """For every varied key what it does to the error at T, the strongest first; see `effects`."""
        return list(self._effects)

    @cached_property
    def _effects(self) -> tuple[Effect, ...]:
        return tuple(effects(self.plan, self.rows))

    @property
    def note(self) -> str:
        """What varies significantly, in a sentence, and how many runs of a climb did not start where they should."""
        words = sentence(self.plan, self.rows, self._effects)
        if not self.afresh:
            return words
        which = "one run" if len(self.afresh) == 1 else f"{len(self.afresh):,} runs"
        return (
            f"{words}; {which} of the climb started afresh, for the answer before was missing or did not fit: "
            f"{self.afresh[0].label}{', …' * (len(self.afresh) > 1)}"
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON of `sweep`: counts, the sentence, and an entry a run."""
        entries = [
            {
                "problem": run.problem,
                "settings": run.settings,
                "status": row.status if row else gathering.MISSING,
                "verified": bool(row and row.verified),
                "seconds": row.seconds if row else None,
                "numbers": dict(row.numbers) if row else {},
                "error": row.error if row else None,
                "diagnosis": list(row.diagnosis) if row else [],
                "result": str(self.folder / RUNS / run.key / RESULT) if row and not row.failed else None,
                **({"after": row.after if row else None} if self.plan.climb else {}),
            }
            for run, row in zip(self.plan.runs, self.rows, strict=True)
        ]
        return {
            "folder": str(self.folder),
            "keys": list(self.plan.keys),
            "runs": len(entries),
            "failed": len(self.failed),
            "missing": len(self.missing),
            "note": self.note,
            "entries": entries,
        }

    def save(self) -> tuple[Path, Path]:
        """Write sweep.csv and sweep.nc beside the runs. Raises OSError, in one line, where that cannot be."""
        csv, netcdf = self.folder / TABLE, self.folder / DATASET
        files.write_whole(csv, self._table.to_csv(index=False).encode())
        files.write_whole(netcdf, to_bytes(self.to_dataset())[0])
        return csv, netcdf

    @property
    def written(self) -> bool:
        """Whether tables and page are there, and were made of these very runs by this version."""
        if not all((self.folder / name).exists() for name in (TABLE, DATASET, PAGE)):
            return False
        try:
            return (self.folder / GATHERED).read_bytes() == self._gathered
        except OSError:
            return False

    def write(self, progress: Progress = silent) -> None:
        """Write tables and page, and of what they are made. Raises OSError, in one line."""
        progress(Step("writing the tables"))
        self.save()
        progress(Step("drawing the page"))
        self.report()
        files.write_whole(self.folder / GATHERED, self._gathered)

    @cached_property
    def _gathered(self) -> bytes:
        """A digest of all that tables and page are made of."""
        digest = hashlib.sha256(repr((versions()["controlsde"], self.plan.sources, self.plan.base)).encode())
        for pair in zip(self.plan.runs, self.rows, strict=True):
            digest.update(repr(pair).encode())
        return f'{{"made_of": "{digest.hexdigest()}"}}\n'.encode()

    def report(self, path: str | Path | None = None) -> Path:
        """Write a self-contained HTML page about all runs, by default sweep.html beside them.

        Raises OSError, in one line with the cure, where it cannot be written; nothing is left then.
        """
        written: Path = VIEWS["report of a sweep"](self, path)
        return written

    def report_runs(
        self, executor: str | Executor | None = None, workers: int | None = None, progress: Progress = silent
    ) -> list[str] | None:
        """Write the pages of single runs, runs/KEY/report.html, as the page of the sweep links them.

        All with a result are given one while these are at most 64, else those of the Pareto front and the best of every
        combination of the keys that are no seeds. Pages that are newer than their results stay. Returns a line for each
        that could not be written; None where another process leads, under MPI.
        """
        faults: list[str] | None = VIEWS["reports of a sweep's runs"](self, executor, workers, progress)
        return faults


def sweep(
    problems: Problem | str | Path | Sequence[Problem | str | Path],
    vary: Mapping[str, Any] | Variations,
    *,
    folder: str | Path,
    executor: str | Executor | None = None,
    workers: int | None = None,
    budget: float | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002
    climb: str | None = None,
    progress: Progress = silent,
) -> Sweep | None:
    """Solve and verify every problem under every combination of the values, on an executor, and gather the numbers.

    vary: dotted keys and their values, or `Variations`. folder: keeps everything; what has ended there is not done
    again, and runs that it holds beside those asked for are in the tables, too. executor: "processes" (the default),
    "dask", "dask:ADDRESS", "mpi", or any concurrent.futures.Executor. workers: of an executor that is started here; of
    one of the caller's own, how many it has where it does not say, so that it is given enough at a time. budget:
    seconds after which no run is begun. set: dotted keys on top of every run. climb: a varied key; along its values, in
    their order, every run starts from the answer to the one before, as with more pieces from that on fewer. Raises
    SweepError, ExecutorError or ProblemError, in one line with the cure, before anything runs; a run that fails is a
    row that says why. A keyboard interrupt keeps what has ended. Under MPI only the first process is given the sweep,
    and the others None, once all is done.
    """
    variations = vary if isinstance(vary, Variations) else Variations.of(vary)
    store = Store(Path(folder))
    several = [problems] if isinstance(problems, Problem | str | Path) else list(problems)
    plan = plan_of([_in_a_file(one, store) for one in several], variations, set, climb)
    store.extend(plan)
    return carry_on(store, plan, executor, workers, budget, progress)


def carry_on(
    store: Store,
    plan: Plan,
    executor: str | Executor | None = None,
    workers: int | None = None,
    budget: float | None = None,
    progress: Progress = silent,
    known: Sequence[Row | None] | None = None,
    *,
    again: bool = False,
) -> Sweep | None:
    """Do what is missing of a plan, and gather all that the folder holds; None where another process leads.

    known: how every run of the plan had ended, where the caller has looked: that is not read again. again: whether what
    is missing by `known` is done though it has ended; its rows stay until there are new ones. Who finds that some
    have ended begins anywhere among the others, so that several commands in a folder seldom do the same run.
    """
    known = tuple(store.rows(plan)) if known is None else known
    missing, interrupted = missing_of(plan, known), False
    if len(missing) < len(plan.runs):
        first = secrets.randbelow(len(missing)) if missing else 0
        missing = missing[first:] + missing[:first]
    if missing or executor == "mpi":  # the first process alone says what is missing
        from controlsde.execution.executors import executor_of
        from controlsde.sweeps.running import run_all

        progress(Step(f"0 of {len(missing)} runs", fraction=0.0))
        try:
            with executor_of(executor, workers) as pool:
                if pool is None:
                    return None
                if missing:
                    run_all(missing, plan, store, pool, progress, budget, workers, again=again)
        except KeyboardInterrupt:
            interrupted = True
    rows = dict(zip((run.key for run in plan.runs), known, strict=True))
    return gather(store, progress, rows, interrupted=interrupted)


def gather(
    store: Store,
    progress: Progress = silent,
    known: Mapping[str, Row | None] | None = None,
    *,
    interrupted: bool = False,
    always: bool = False,
) -> Sweep:
    """All that a folder holds, with tables and page of it, which are written where they are of something else.

    Commands that do so at the same time wait for each other, and the last one writes what there is by then. known: how
    the runs of this command had ended, by their keys: that is not read again. always: whether to write in any case.
    """

    def there(known: Mapping[str, Row | None]) -> Sweep:
        plan = store.read_plan()
        told = tuple(store.rows(plan, [known.get(run.key) for run in plan.runs]))
        return Sweep(store.folder, plan, told, interrupted, asked)

    asked = None if known is None else frozenset(known)
    progress(Step("gathering the numbers"))
    found = there(known or {})
    if found.written and not always:
        return found
    with files.changing(store.folder / GATHERED, patience=LONGEST_WRITING):
        found = there({run.key: row for run, row in zip(found.plan.runs, found.rows, strict=True)})
        if always or not found.written:
            found.write(progress)
    return found


def _in_a_file(problem: Problem | str | Path, store: Store) -> str | Path:
    """A problem as a name or a file, which every worker can read."""
    if not isinstance(problem, Problem):
        return problem
    path = store.folder.resolve() / PROBLEMS / f"{problem.name}.yaml"
    files.write_whole(path, written(problem).encode())
    return path

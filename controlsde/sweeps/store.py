"""The folder of a sweep: what was asked, and for every run a folder of its own, named by its content.

    DIR/sweep.json            the problems, what varies, every run that was ever asked for here
    DIR/runs/KEY/result.nc    the result of a run, as `solve` writes it
    DIR/runs/KEY/run.json     its numbers, or why there are none; written last, so that it means: this run has ended
    DIR/problems/NAME.yaml    problems that were in no file

A run that is killed has no run.json and is missing, whatever else it left. Everything is written whole or not at all,
so that several commands, on several machines, may work in one folder at a time: at worst they do the same run twice.
Only `sweep.json` is read to be written again, by one command at a time: see `files.changing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import zip_longest
from pathlib import Path
from sys import intern
from typing import Any

from controlsde.foundation import files
from controlsde.foundation.stored_json import COUNT, FLAG, TEXT, VALUE, FormError, Kind, Maybe, parsed
from controlsde.sweeps.plan import Plan, Run, Source
from controlsde.sweeps.variations import SweepError, canonical

FORMAT, FORMAT_VERSION = "controlsde-sweep", 1
SWEEP, RUNS, RUN, RESULT, PROBLEMS = "sweep.json", "runs", "run.json", "result.nc", "problems"

MAPPING = Kind("a mapping", lambda value: isinstance(value, dict))
NUMBERS = Kind("numbers by name", lambda value: isinstance(value, dict) and all(map(_is_number, value.values())))
FORM = {
    "format": TEXT,
    "format_version": COUNT,
    "sources": [{"name": TEXT, "file": TEXT, "digest": TEXT}],
    "base": MAPPING,
    "keys": [TEXT],
    "runs": [{"key": TEXT, "problem": TEXT, "settings": MAPPING, "after": Maybe(TEXT)}],
    "climb": Maybe(TEXT),
}
ROW = {
    "key": TEXT,
    "status": TEXT,
    "verified": FLAG,
    "seconds": VALUE,
    "numbers": NUMBERS,
    "error": Maybe(TEXT),
    "diagnosis": [TEXT],
    "after": Maybe(TEXT),
}


@dataclass(frozen=True)
class Row:
    """How a run ended. status: of the solver, or `failed`. numbers: all that was measured, by dotted name.

    error: why there are none, in a line. diagnosis: what went wrong, and what to try. after: the key of the run whose
    answer it started from; None where it started afresh.
    """

    key: str
    status: str
    verified: bool
    seconds: float | None
    numbers: Mapping[str, float | None]
    error: str | None = None
    diagnosis: tuple[str, ...] = ()
    after: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there is no answer at all."""
        return self.status == "failed"


@dataclass(frozen=True)
class Store:
    """A sweep's folder."""

    folder: Path

    def read_plan(self) -> Plan:
        """What was asked here. Raises SweepError, in one line, where there is no sweep, or a damaged one."""
        path = self.folder / SWEEP
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SweepError(f"{self.folder}: holds no sweep ({SWEEP} is missing); name the folder of one") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SweepError(f"{path}: cannot be read ({error})") from None
        try:
            stored = parsed(text, FORM, "the sweep")
        except FormError as error:
            raise SweepError(f"{path}: is no sweep, or a damaged one ({error})") from None
        if stored["format"] != FORMAT or stored["format_version"] > FORMAT_VERSION:
            raise SweepError(f"{path}: is of a later version of controlsde, or of another program; update controlsde")
        return Plan(
            tuple(Source(**{name: one[name] for name in ("name", "file", "digest")}) for one in stored["sources"]),
            stored["base"],
            tuple(stored["keys"]),
            tuple(Run(one["key"], one["problem"], one["settings"], one.get("after")) for one in stored["runs"]),
            stored.get("climb"),
        )

    def extend(self, plan: Plan) -> Plan:
        """Write what is asked, and return it with what was asked here before.

        Commands that do so at the same time wait for each other. Raises SweepError where the folder holds a sweep of
        other problems, or over other keys; nothing is changed then.
        """
        if (joined := self._joined(plan)) is not None and len(joined[0].runs) == joined[1]:
            return joined[0]  # nothing is new
        with files.changing(self.folder / SWEEP):
            joined = self._joined(plan)
            plan = plan if joined is None else joined[0]
            document = {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "sources": [_shallow(one) for one in plan.sources],
                "base": plan.base,
                "keys": list(plan.keys),
                "runs": [_shallow(one) for one in plan.runs],
                **({} if plan.climb is None else {"climb": plan.climb}),
            }
            files.write_whole(self.folder / SWEEP, (json.dumps(document, ensure_ascii=False) + "\n").encode())
        return plan

    def _joined(self, plan: Plan) -> tuple[Plan, int] | None:
        """What the folder holds and the plan, and how many runs were there; None where it holds nothing yet."""
        if not (self.folder / SWEEP).exists():
            return None
        before = self.read_plan()
        _same_sweep(self.folder, before, plan)
        known = {run.key for run in before.runs}
        more = tuple(run for run in plan.runs if run.key not in known)
        if plan.climb and more:
            _same_way(self.folder, before, more)
        return replace(plan, runs=(*before.runs, *more)), len(before.runs)

    def place(self, key: str) -> Path:
        """The folder of a run."""
        return self.folder / RUNS / key

    def write_row(self, row: Row) -> None:
        """Say that a run has ended, and how."""
        document = json.dumps(_shallow(row), ensure_ascii=False, allow_nan=False)
        files.write_whole(self.place(row.key) / RUN, (document + "\n").encode())

    def rows(self, plan: Plan, known: Sequence[Row | None] = ()) -> Iterator[Row | None]:
        """How every run of a plan ended, in its order; None for one that has not, or whose file is damaged.

        known: what this said of the same plan before; what had ended then is not read again.
        """
        for run, before in zip_longest(plan.runs, known):
            yield before or self.row(run.key)

    def row(self, key: str) -> Row | None:
        """How a run ended; None where it has not, or its file is damaged: then it is missing, and done again."""
        try:
            with open(f"{self.folder}/{RUNS}/{key}/{RUN}", "rb") as file:  # a Path takes as long as to read the file
                text = file.read().decode()
            stored = parsed(text, ROW, "the run")
        except (OSError, UnicodeDecodeError, FormError):
            return None
        return Row(
            key=stored["key"],
            status=stored["status"],
            verified=stored["verified"],
            seconds=stored.get("seconds"),
            numbers={intern(name): value for name, value in stored["numbers"].items()},  # one text for all runs
            error=stored.get("error"),
            diagnosis=tuple(stored["diagnosis"]),
            after=stored.get("after"),
        )

    def forget(self, key: str) -> None:
        """Let a run be missing again; its result stays until another takes its place."""
        files.remove(self.place(key) / RUN)


def missing_of(plan: Plan, rows: Iterable[Row | None]) -> tuple[Run, ...]:
    """The runs of a plan that have not ended, by how all of them did."""
    return tuple(run for run, row in zip(plan.runs, rows, strict=True) if row is None)


def _shallow(one: Row | Source | Run) -> dict[str, Any]:
    """The fields as they are: `asdict` copies every number in them, which takes longer than to write them."""
    values = {field.name: getattr(one, field.name) for field in fields(one)}
    if values.get("after", "") is None:
        del values["after"]  # of a million runs that are of no climb
    return values


def _same_sweep(folder: Path, before: Plan, asked: Plan) -> None:
    if {one.name: one.digest for one in before.sources} != {one.name: one.digest for one in asked.sources}:
        told = ", ".join(one.name for one in before.sources)
        raise SweepError(
            f"{folder}: holds another sweep, of {told} as it was then; name another folder with -o, or ask for the "
            "same problems with the same --set"
        )
    if set(before.keys) != set(asked.keys):
        raise SweepError(
            f"{folder}: holds a sweep over {', '.join(before.keys)}, and this one is over {', '.join(asked.keys)}; "
            "name another folder with -o, or vary the same keys"
        )
    if before.climb != asked.climb:
        ways = [f"climbs along {climb}" if climb else "climbs along nothing" for climb in (before.climb, asked.climb)]
        raise SweepError(f"{folder}: holds a sweep that {ways[0]}, and this one {ways[1]}; name another folder with -o")


def _same_way(folder: Path, before: Plan, more: Sequence[Run]) -> None:
    """Raises SweepError where a run that is there would be reached from another one than it was."""
    there = {(run.problem, canonical(run.settings)) for run in before.runs}
    other = next((run for run in more if (run.problem, canonical(run.settings)) in there), None)
    if other is not None:
        raise SweepError(
            f"{folder}: holds {other.label}, which started from another run than it would now; add values of "
            f"{before.climb} at the end only, or name another folder with -o"
        )


def _is_number(value: Any) -> bool:
    """A number, or null in its place; no more is asked, for there are 58 of them in each of a million files."""
    return value is None or type(value) in (int, float)

"""How a sweep is run again: the command where its runs make a grid, else a sweep file; its problems; what computed it.

Comes in: a `Sweep`. Goes out: text to be copied, and a table.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.netcdf import NetcdfError, read
from controlsde.problem import load_problem
from controlsde.problem.yaml_text import write
from controlsde.report.page.sweep_reports import files_of
from controlsde.report.page.tables import Cell, Table
from controlsde.sweeps.store import RESULT, RUNS
from controlsde.sweeps.variations import canonical

if TYPE_CHECKING:
    from controlsde.sweeps.plan import Plan, Source
    from controlsde.sweeps.sweep import Sweep

SWEEP_FILE = "sweep.yaml"
PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
RESERVED = ("null", "true", "false", "yes", "no", "on", "off", "nan", "inf")  # words that YAML takes for no text
LONGEST = 200_000  # characters: more stays where it is


@dataclass(frozen=True)
class Again:
    """command: what to type. file: the sweep file that it needs, or nothing. problems: name and YAML of each problem.

    gone: the problems whose file is not there any more, or says something else than it did. long: those left out.
    """

    command: str
    file: str
    problems: tuple[tuple[str, str], ...]
    gone: tuple[str, ...] = ()
    long: tuple[str, ...] = ()


def again(sweep: Sweep) -> Again:
    """How to get the same runs again."""
    plan = sweep.plan
    folder = shlex.quote(sweep.folder.resolve().name or "runs")
    names = [_name(source) for source in plan.sources]
    axes = grid(plan)
    if axes is not None:
        words = [f"--vary {shlex.quote(f'{key}={_listed(values)}')}" for key, values in axes.items()]
        words += [f"--set {shlex.quote(f'{key}={flow(value)}')}" for key, value in plan.base.items()]
        words += [f"--climb {shlex.quote(plan.climb)}"] if plan.climb else []
        text, file = f"controlsde sweep {' '.join(map(shlex.quote, names))} {' '.join(words)} -o {folder}", ""
    else:
        climb = {"climb": plan.climb} if plan.climb else {}
        file = write({"problems": names, "set": dict(plan.base), "listed": _settings(plan), **climb})
        text = f"controlsde sweep {SWEEP_FILE} -o {folder}"
    found, gone, long = _problems(plan)
    return Again(text, file if len(file) <= LONGEST else "", found, gone, long)


def grid(plan: Plan) -> dict[str, list[Any]] | None:
    """The values of every key, where the runs are all of their combinations; else None."""
    settings = _settings(plan)
    axes: dict[str, dict[str, Any]] = {key: {} for key in plan.keys}
    for one in settings:
        if set(one) != set(axes):
            return None
        for key, value in one.items():
            axes[key].setdefault(canonical(value), value)
    count = 1
    for values in axes.values():
        count *= len(values)
    return {key: list(values.values()) for key, values in axes.items()} if axes and count == len(settings) else None


def flow(value: Any) -> str:
    """A value as YAML has it within brackets."""
    if isinstance(value, str) and PLAIN_WORD.fullmatch(value) and value.lower() not in RESERVED:
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def made_by(sweep: Sweep) -> Table:
    """What computed the first and the last run that left a result."""
    ways = (sweep.plan.runs, reversed(sweep.plan.runs))
    found = [next((run for run in way if files_of(sweep.folder, run.key)), None) for way in ways]
    ends = list(dict.fromkeys(run.key for run in found if run is not None))
    number = {run.key: place for place, run in enumerate(sweep.plan.runs, 1)}
    computed = [_computed(sweep.folder / RUNS / key / RESULT) for key in ends]
    alike = len(set(computed)) == 1 < len(ends)
    columns = computed[:1] if alike else computed
    rows = [
        (Cell(name), *(Cell(column[place]) for column in columns)) for place, name in enumerate(("versions", "device"))
    ]
    names = [f"run {number[key]:,}" for key in ends]
    head = ("", *([" and ".join(names)] if alike else names))
    return Table("what computed the first and the last run", head, tuple(rows) if ends else (), kind="prose")


def _computed(path: Path) -> tuple[str, str]:
    try:
        attributes = read(path, ()).attributes
        versions = json.loads(attributes["versions"])
        words = ", ".join(f"{name} {version}" for name, version in versions.items())
    except (NetcdfError, OSError, KeyError, TypeError, ValueError, AttributeError):
        return "its file cannot be read", "—"
    return words or "—", str(attributes.get("device", "—"))


def _name(source: Source) -> str:
    """A shipped problem by its name, another as the file that the page holds."""
    return f"{source.name}.yaml" if Path(source.file).is_absolute() else source.file


def _settings(plan: Plan) -> list[dict[str, Any]]:
    """The settings of the runs, each once, whatever their problem."""
    return list({canonical(run.settings): dict(run.settings) for run in plan.runs}.values())


def _listed(values: Sequence[Any]) -> str:
    """Values behind `KEY=`: whole numbers in a row as a range."""
    first = values[0]
    whole = len(values) > 2 and all(type(value) is int for value in values)
    if whole and list(values) == list(range(first, first + len(values))):
        return f"{first}:{first + len(values)}"
    return ",".join(flow(value) for value in values)


def _problems(plan: Plan) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...], tuple[str, ...]]:
    found, gone, long, room = [], [], [], LONGEST
    for source in plan.sources:
        try:
            text = load_problem(source.file, set=plan.base).to_yaml()
        except (ControlsdeError, OSError, ValueError):
            text = ""
        if hashlib.sha256(text.encode()).hexdigest() != source.digest:
            gone.append(source.name)
        elif len(text) > room:
            long.append(source.name)
        else:
            found.append((source.name, text))
            room -= len(text)
    return tuple(found), tuple(gone), tuple(long)

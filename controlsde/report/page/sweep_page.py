"""The page of a sweep: counts and what varies, heat map and lines, Pareto front, all runs, and how to run it again.

Comes in: a `Sweep`, and where the page will lie, for its links are relative. Goes out: one HTML file, as the other
pages are: it asks for nothing, and runs its own script alone. What the script draws at first stands there as tables
already, for readers without scripts.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from controlsde.foundation.files import write_whole
from controlsde.foundation.wording import in_a_row
from controlsde.report.canvas import SERIES
from controlsde.report.page import sweep_again
from controlsde.report.page.chart import DASHES, MARKS, on_black
from controlsde.report.page.subject import SHAPES
from controlsde.report.page.sweep_columns import (
    FAILED,
    MISSING,
    NOT_VERIFIED,
    VERIFIED,
    Columns,
    Measure,
    columns_of,
    front,
)
from controlsde.report.page.sweep_heat import SHADES, brief, heat_of
from controlsde.report.page.sweep_reports import MOST, base_of, files_of, is_plain
from controlsde.report.page.sweep_rows import rows_of, shown_numbers
from controlsde.report.page.tables import Table, row_of
from controlsde.report.page.writing import FILE, installed_version, part, policy, template
from controlsde.report.words import digits
from controlsde.sweeps.plan import short_value
from controlsde.sweeps.store import RESULT, RUNS

if TYPE_CHECKING:
    from controlsde.sweeps.plan import Run
    from controlsde.sweeps.sweep import Sweep

PAGE = "sweep.html"
MOST_ON_PAPER = 100
SECTIONS = {
    "summary": "summary",
    "map": "heat map and lines",
    "front": "Pareto front",
    "runs": "all runs",
    "reproduce": "run it again",
}


def report_sweep(sweep: Sweep, path: str | Path | None = None) -> Path:
    """Write the page of a sweep, by default beside its tables. Raises OSError, in one line, where that cannot be."""
    target = sweep.folder / PAGE if path is None else Path(path)
    write_whole(target, page_of(sweep, target).encode("utf-8"))
    return target


def page_of(sweep: Sweep, target: Path) -> str:
    """The page as text. target: where it will lie."""
    columns = columns_of(sweep)
    ended = [row is not None and not row.failed for row in sweep.rows]  # what others left is of an earlier try
    files = [files_of(sweep.folder, run.key) if there else 0 for run, there in zip(sweep.plan.runs, ended, strict=True)]
    base = base_of(sweep.folder, target)
    script = part("tables.js") + part("sweep.js")
    chosen = _defaults(columns)
    linked = [_link(base, run, has) for run, has in zip(sweep.plan.runs, files, strict=True)]
    again = sweep_again.again(sweep)
    rows, cut = rows_of(sweep, columns, linked)
    points = _front(sweep, columns, chosen, linked)
    heat = heat_of(columns, (chosen.across, chosen.down))
    absent = {name for name, drawn in (("map", heat), ("front", points)) if drawn is None}
    return template("sweep.html").render(
        policy=policy(script),
        script=Markup(script),
        css=Markup(part("chart.css") + part("report.css") + part("sweep.css")),
        version=installed_version() or "",
        title=_title(sweep),
        contents=[(key, name) for key, name in SECTIONS.items() if key not in absent],
        headline=headline(sweep, columns),
        sound=sweep.verified,
        description=_going_on(sweep, columns),
        note=sweep.note[:1].upper() + sweep.note[1:],
        effects=_effects(sweep),
        columns=columns,
        groups=_grouped(columns.measures),
        chosen=chosen,
        heat=heat,
        front=points,
        head=[*([] if len(sweep.plan.sources) == 1 else ["problem"]), *sweep.plan.keys],
        measured=shown_numbers(columns),
        rows=rows,
        with_reasons=any(one.reason for one in rows),
        with_files=any(one.result for one in rows),
        cut=cut,
        total=len(sweep.rows),
        most_on_paper=MOST_ON_PAPER,
        pages=_about_pages(sweep, files),
        again=again,
        base=[(key, sweep_again.flow(value)) for key, value in sweep.plan.base.items()],
        folder=sweep.folder.resolve().name,
        made_by=sweep_again.made_by(sweep),
        data=_data(sweep, columns, files, base),
    )


@dataclass(frozen=True)
class Chosen:
    """What is shown at first: names of measures, places of axes. x: empty where nothing is set against another."""

    measure: str
    across: int
    down: int | None
    x: str
    y: str
    colour: int | None


def _defaults(columns: Columns) -> Chosen:
    by_use = sorted(columns.telling, key=lambda axis: (axis.numbers is None, -len(axis.labels)))  # numbers make lines
    telling = [columns.axes.index(axis) for axis in by_use]
    across = telling[0] if telling else 0
    down = telling[1] if len(telling) > 1 else None
    main, cost = columns.main, columns.cost
    pair = main is not None and cost is not None and cost is not main
    return Chosen(
        main.name if main else "",
        across,
        down,
        cost.name if pair and cost else "",
        main.name if main else "",
        telling[0] if telling else None,
    )


# Summary


def _title(sweep: Sweep) -> str:
    problems = in_a_row([one.name for one in sweep.plan.sources])
    return f"{problems}: {len(sweep.rows):,} runs over {in_a_row(sweep.plan.keys)}"


def headline(sweep: Sweep, columns: Columns) -> str:
    """How many runs of what there are, and how they ended, in words."""
    counts = Counter(int(state) for state in columns.states)
    told = []
    names = {VERIFIED: "verified", NOT_VERIFIED: "NOT verified", FAILED: "failed", MISSING: "missing"}
    for state, name in names.items():
        if not counts[state]:
            continue
        here = [row for row, one in zip(sweep.rows, columns.states, strict=True) if one == state]
        open_ = sum(row is not None and row.status == "not-converged" for row in here)
        words = f"{counts[state]:,} {name}" if counts[state] < len(sweep.rows) else f"all {name}"
        aside = "none of them converged" if open_ == counts[state] > 1 else f"{open_:,} of them did not converge"
        told.append(words + (f" ({aside})" if open_ and state != FAILED else ""))
    return f"{len(sweep.rows):,} runs: {', '.join(told)}." if told else "No runs."


def _going_on(sweep: Sweep, columns: Columns) -> str:
    keys = []
    for key in sweep.plan.keys:
        axis = next((one for one in columns.axes if one.key == key), None)
        if axis is not None:
            shown = axis.labels if len(axis.labels) <= 8 else (*axis.labels[:4], "…", axis.labels[-1])
            count = f" ({len(axis.labels):,} values)" if len(shown) < len(axis.labels) else ""
            from_before = ", each from the answer before" if key == sweep.plan.climb else ""
            keys.append(f"{key}: {', '.join(shown)}{count}{from_before}")
        else:
            values = {short_value(run.settings[key]) for run in sweep.plan.runs if key in run.settings}
            keys.append(f"{key}: {', '.join(values)} alone")
    return "; ".join(keys)


def _effects(sweep: Sweep) -> Table | None:
    found = sweep.effects()
    if not found:
        return None
    rows = tuple(
        row_of(
            one.key,
            short_value(one.least),
            short_value(one.most),
            digits(one.factor, 3),
            f"{one.pairs:,}",
            "too few pairs" if math.isnan(one.p) else f"{one.p:.1g}" if one.p < 0.1 else f"{one.p:.2f}",
        )
        for one in found
    )
    head = ("", "least at", "most at", "factor", "pairs", "p")
    note = (
        "Verified runs are paired that differ in one key alone; the means of the logarithm are compared, at the two "
        "values between which they differ most. p is that of a paired t-test, times how many were compared: how often "
        "luck alone does as much."
    )
    return Table("what every key does to the error at T", head, rows, note, of_results=True)


# Front


@dataclass(frozen=True)
class Front:
    """The Pareto front as it stands without a script: its measures, and of each run number, settings, values, link."""

    x: Measure
    y: Measure
    rows: tuple[tuple[int, str, str, str, str], ...]


def _front(sweep: Sweep, columns: Columns, chosen: Chosen, linked: Sequence[str]) -> Front | None:
    if not chosen.x:
        return None
    by_name = {measure.name: measure for measure in columns.measures}
    x, y = by_name[chosen.x], by_name[chosen.y]
    rows = tuple(
        (
            place + 1,
            _settings(sweep, columns, place),
            brief(float(x.values[place])),
            brief(float(y.values[place])),
            linked[place],
        )
        for place in front(columns, x, y)
    )
    return Front(x, y, rows)


def _settings(sweep: Sweep, columns: Columns, place: int) -> str:
    """The settings of a run, in words."""
    told = [f"{axis.key} {axis.labels[axis.codes[place]]}" for axis in columns.axes]
    return ", ".join(told) or sweep.plan.runs[place].problem


def _link(base: str, run: Run, has: int) -> str:
    """To the page of a run, or to its result, or nowhere."""
    return f"{base}{run.key}/{FILE if has == 2 else RESULT}" if has else ""


def _about_pages(sweep: Sweep, files: Sequence[int]) -> str:
    """How many runs have a page, and how the others get one; commands stand between backticks."""
    there, without = sum(has == 2 for has in files), [place for place, has in enumerate(files) if has == 1]
    words = f"{there:,} of {len(files):,} runs have a page of their own."
    if not without:
        return words if there else ""
    folder = _quoted(sweep.folder.resolve().name)
    if sum(has > 0 for has in files) <= MOST:
        return f"{words} `controlsde sweep report {folder}` writes it for all that have a result."
    one = f"{folder}/{RUNS}/{sweep.plan.runs[without[0]].key}"
    return (
        f"{words} `controlsde sweep report {folder}` writes it for up to {MOST} of them: those of the Pareto front and "
        "the best of every combination of the keys that are no seeds; "
        f"`controlsde report {one}/{RESULT} -o {one}/{FILE}` for any other."
    )


def _quoted(text: str) -> str:
    return shlex.quote(text).replace("`", "")


def _grouped(measures: Sequence[Measure]) -> list[tuple[str, list[Measure]]]:
    groups: dict[str, list[Measure]] = {}
    for measure in measures:
        groups.setdefault(measure.group, []).append(measure)
    return list(groups.items())


# What the script draws from


def _data(sweep: Sweep, columns: Columns, files: Sequence[int], base: str) -> dict[str, Any]:
    """Columns of numbers, of labels once and codes for each run; names of folders that lead nowhere else."""
    runs = sweep.plan.runs
    return {
        "axes": [
            {
                "key": axis.key,
                "labels": axis.labels,
                "numbers": axis.numbers,
                "codes": axis.codes.tolist(),
                "seed": axis.seed,
            }
            for axis in columns.axes
        ],
        "measures": [
            {
                "name": measure.name,
                "title": measure.title,
                "more": measure.more,
                "values": [None if math.isnan(value) else value for value in measure.values.tolist()],
            }
            for measure in columns.measures
        ],
        "states": "".join(str(int(state)) for state in columns.states),
        "files": "".join(str(has) for has in files),
        "keys": [run.key if is_plain(run.key) else "" for run in runs],
        "base": base,
        "names": {"page": FILE, "result": RESULT},
        "shades": SHADES,
        "inks": [
            {"light": colour, "dark": on_black(colour), "dash": dash}
            for colour, dash in zip(SERIES, DASHES, strict=True)
        ],
        "marks": {name: MARKS[name] for name in SHAPES},
        "problem": [] if len(sweep.plan.sources) > 1 else [sweep.plan.sources[0].name],
    }  # fmt: skip

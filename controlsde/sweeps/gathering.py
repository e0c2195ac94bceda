"""The table of a sweep: a row a run, as pandas has it, and labelled dimensions, as xarray has them.

Comes in: a plan and how its runs ended. Goes out: a DataFrame, a CSV file; a Dataset whose dimensions are what was
varied, where all combinations were asked for, else one dimension of runs. What is missing or failed is nan there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from controlsde.sweeps.plan import Plan, Run
from controlsde.sweeps.store import RUNS, Row
from controlsde.sweeps.variations import canonical

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

MISSING = "missing"
MOST_SPARSE = 4  # times as many cells as runs, beyond which a grid is none


def table(plan: Plan, rows: Sequence[Row | None]) -> pd.DataFrame:
    """A row a run: the problem, what was set, how it ended, all numbers by their dotted names, and where it is."""
    import pandas as pd

    columns: dict[str, Any] = {"problem": [run.problem for run in plan.runs]}
    for key in plan.keys:
        columns[key] = [plain_value(run.settings.get(key)) for run in plan.runs]
    columns["status"] = [row.status if row else MISSING for row in rows]
    columns["verified"] = [bool(row and row.verified) for row in rows]
    columns["seconds"] = np.array([row.seconds if row else None for row in rows], dtype=float)
    for name in numbers_of(rows):
        columns[name] = np.array([row.numbers.get(name) if row else None for row in rows], dtype=float)
    columns["error"] = [(row.error or "; ".join(row.diagnosis)) if row else "" for row in rows]
    columns["run"] = [f"{RUNS}/{run.key}" for run in plan.runs]
    return pd.DataFrame(columns)


def numbers_of(rows: Iterable[Row | None]) -> list[str]:
    """The names of all that was measured in any run, in the order of the first that has them."""
    return list(dict.fromkeys(name for row in rows if row for name in row.numbers if name != "seconds"))


def dataset(plan: Plan, rows: Sequence[Row | None]) -> xr.Dataset:
    """Numbers, and `status`, `verified`, `seconds` and `run` (the folder), over what was varied."""
    import xarray as xr

    axes = axes_of(plan)
    if axes is None:
        coordinates: dict[str, Any] = {
            "problem": ("run", [run.problem for run in plan.runs]),
            **{key: ("run", coordinate([run.settings.get(key) for run in plan.runs])) for key in plan.keys},
        }
        names, shape = ["run"], cast("tuple[int, ...]", (len(plan.runs),))
        places: list[tuple[int, ...]] = [(place,) for place in range(len(plan.runs))]
    else:
        coordinates = {name: coordinate(values) for name, values in axes.items()}
        names, shape = list(axes), tuple(map(len, axes.values()))
        where = {name: {canonical(value): place for place, value in enumerate(values)} for name, values in axes.items()}
        places = [tuple(where[name][canonical(_at(run, name))] for name in axes) for run in plan.runs]
    measured = numbers_of(rows)
    numbers = {name: np.full(shape, np.nan) for name in ("seconds", *measured)}
    status, folder = np.full(shape, MISSING, dtype=object), np.full(shape, "", dtype=object)
    verified = np.zeros(shape, dtype=bool)
    for place, run, row in zip(places, plan.runs, rows, strict=True):
        folder[place] = f"{RUNS}/{run.key}"
        if row is None:
            continue
        status[place], verified[place] = row.status, row.verified
        for name, value in (("seconds", row.seconds), *row.numbers.items()):
            if value is not None and name in numbers:
                numbers[name][place] = value
    words = {"status": status, "verified": verified, "folder": folder}
    data = {name: (names, values) for name, values in {**numbers, **words}.items()}
    return xr.Dataset(data, coordinates, {"keys": json.dumps(plan.keys), "base": json.dumps(plan.base, default=str)})


def axes_of(plan: Plan) -> dict[str, list[Any]] | None:
    """The values of the problem, where there are several, and of every key; None where the runs make no grid."""
    names = [*(["problem"] if len(plan.sources) > 1 else []), *plan.keys]
    axes: dict[str, list[Any]] = {}
    for name in names:
        values = {canonical(_at(run, name)): _at(run, name) for run in plan.runs}
        axes[name] = _in_order(list(values.values()))
    cells = np.prod([float(len(values)) for values in axes.values()])
    full = all(key in run.settings for run in plan.runs for key in plan.keys)
    return axes if full and cells <= MOST_SPARSE * len(plan.runs) else None


def coordinate(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Values as a coordinate: numbers where all are, else words."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.asarray(values)
    return np.asarray([value if isinstance(value, str) else canonical(value) for value in values], dtype=object)


def plain_value(value: Any) -> Any:
    """A value as a cell of a table has it: numbers, words and flags as they are, the rest as JSON."""
    return value if value is None or isinstance(value, str | int | float | bool) else canonical(value)


def _at(run: Run, name: str) -> Any:
    return run.problem if name == "problem" else run.settings.get(name)


def _in_order(values: list[Any]) -> list[Any]:
    """Numbers from least to largest; others as they came."""
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return sorted(values) if numeric else values

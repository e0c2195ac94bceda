"""Points out of CSV files: `file` and `columns` of a density of samples become its `points`."""

from __future__ import annotations

import csv
import difflib
import math
from pathlib import Path
from typing import Any

from controlsde.problem.data_files import UnusableError, readable
from controlsde.problem.density_specs import MAX_POINTS
from controlsde.problem.values import short


def names_a_file(density: Any) -> bool:
    """Say whether a density names a file and its columns; other mistakes are for the schema to tell."""
    if not isinstance(density, dict) or density.get("kind") != "samples" or "points" in density:
        return False
    columns = density.get("columns")
    if not isinstance(columns, list) or not columns or not isinstance(density.get("file"), str):
        return False
    return all(isinstance(name, str) for name in columns)


def read_points(path: Path, shown: str, columns: list[str]) -> list[list[float]]:
    """Return the rows of a CSV file with a header, only the named columns; all numbers finite.

    Raises `UnusableError` saying what is wrong and in which line.
    """
    try:
        with readable(path, shown), path.open(newline="", encoding="utf-8-sig") as stream:
            return _rows(csv.reader(stream), shown, columns)
    except UnicodeDecodeError:
        raise UnusableError(("file",), f"{shown!r} is not UTF-8 text; save it as UTF-8") from None
    except csv.Error as error:
        raise UnusableError(("file",), f"{shown!r} is not CSV: {error}") from None


def _rows(reader: Any, shown: str, columns: list[str]) -> list[list[float]]:
    header = [name.strip() for name in next(reader, [])]
    for i, name in enumerate(columns):
        if name not in header:
            close = difflib.get_close_matches(name, header, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(header)}"
            raise UnusableError(("columns", i), f"{name!r} is not a column of {shown!r}; {hint}")
        if header.count(name) > 1:
            raise UnusableError(("columns", i), f"{name!r} is the name of {header.count(name)} columns of {shown!r}")
    wanted = [header.index(name) for name in columns]
    points = []
    for row in reader:
        if not any(entry.strip() for entry in row):
            continue
        if len(row) != len(header):
            reason = f"{shown!r} line {reader.line_num} has {len(row)} entries, the header {len(header)}"
            raise UnusableError(("file",), reason)
        line = f"{shown!r} line {reader.line_num}"
        points.append([_finite(row[i], f"{line}, column {header[i]}") for i in wanted])
        if len(points) > MAX_POINTS:
            reason = f"{shown!r} has more than {MAX_POINTS} rows; use a random subset"
            raise UnusableError(("file",), reason)
    if not points:
        raise UnusableError(("file",), f"{shown!r} has no rows below its header")
    return points


def _finite(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise UnusableError(("file",), f"{where}: {short(text)} is not a number") from None
    if not math.isfinite(value):
        raise UnusableError(("file",), f"{where}: {short(text)} is not finite; remove the row")
    return value

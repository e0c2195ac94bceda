"""Points out of CSV files: `file` and `columns` of a density of samples become its `points`.

In: a document and the folder that files are relative to. Out: the document with the points in place of the
file, so that a resolved problem stands by itself.
"""

from __future__ import annotations

import csv
import difflib
import math
from pathlib import Path
from typing import Any

from controlsde.problem.density_specs import MAX_POINTS
from controlsde.problem.values import Location, dotted, short
from controlsde.problem.yaml_text import Document

MAX_BYTES = 20_000_000

PLACES: tuple[Location, ...] = (("reference", "data"), ("reference", "from"), ("reference", "to"))


class _UnusableError(ValueError):
    """A file of samples that cannot be used: at which key, and why."""

    def __init__(self, key: Location, reason: str) -> None:
        self.key = key
        super().__init__(reason)


def fill_in(document: Document, folder: Path) -> frozenset[Location]:
    """Read the CSV files that the document names, and put their points into it.

    What cannot be read becomes a fault. Returns the locations of the `file` keys that stay unread.
    """
    unread = set()
    reference = document.data.get("reference")
    for where in PLACES:
        density = reference.get(where[-1]) if isinstance(reference, dict) else None
        if density is None or not _names_a_file(density):
            continue
        try:
            points = read_points(folder / density["file"], density["file"], density["columns"])
        except _UnusableError as error:
            location = (*where, *error.key)
            document.faults.append(f"{document.place(location).value}: {dotted(location)} {error}")
            unread.add((*where, "file"))
        else:
            del density["file"]
            density["points"] = points
    return frozenset(unread)


def _names_a_file(density: Any) -> bool:
    """Say whether a density names a file and its columns; other mistakes are for the schema to tell."""
    if not isinstance(density, dict) or density.get("kind") != "samples" or "points" in density:
        return False
    columns = density.get("columns")
    if not isinstance(columns, list) or not columns or not isinstance(density.get("file"), str):
        return False
    return all(isinstance(name, str) for name in columns)


def read_points(path: Path, shown: str, columns: list[str]) -> list[list[float]]:
    """Return the rows of a CSV file with a header, only the named columns; all numbers finite.

    Raises `ValueError` saying what is wrong and in which line.
    """
    try:
        if "\0" in shown:
            raise _UnusableError(("file",), f"{shown!r} is not the name of a file")
        if path.exists() and not path.is_file():
            raise _UnusableError(("file",), f"{shown!r} is not a file")
        if path.stat().st_size > MAX_BYTES:
            raise _UnusableError(("file",), f"{shown!r} is larger than {MAX_BYTES // 1_000_000} MB")
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return _rows(csv.reader(stream), shown, columns)
    except FileNotFoundError:
        raise _UnusableError(("file",), f"{shown!r} does not exist (looked for {path})") from None
    except UnicodeDecodeError:
        raise _UnusableError(("file",), f"{shown!r} is not UTF-8 text; save it as UTF-8") from None
    except csv.Error as error:
        raise _UnusableError(("file",), f"{shown!r} is not CSV: {error}") from None
    except OSError as error:
        raise _UnusableError(("file",), f"{shown!r} cannot be read: {error.strerror}") from None


def _rows(reader: Any, shown: str, columns: list[str]) -> list[list[float]]:
    header = [name.strip() for name in next(reader, [])]
    for i, name in enumerate(columns):
        if name not in header:
            close = difflib.get_close_matches(name, header, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"columns: {', '.join(header)}"
            raise _UnusableError(("columns", i), f"{name!r} is not a column of {shown!r}; {hint}")
        if header.count(name) > 1:
            raise _UnusableError(("columns", i), f"{name!r} is the name of {header.count(name)} columns of {shown!r}")
    wanted = [header.index(name) for name in columns]
    points = []
    for row in reader:
        if not any(entry.strip() for entry in row):
            continue
        if len(row) != len(header):
            reason = f"{shown!r} line {reader.line_num} has {len(row)} entries, the header {len(header)}"
            raise _UnusableError(("file",), reason)
        line = f"{shown!r} line {reader.line_num}"
        points.append([_finite(row[i], f"{line}, column {header[i]}") for i in wanted])
        if len(points) > MAX_POINTS:
            reason = f"{shown!r} has more than {MAX_POINTS} rows; use a random subset"
            raise _UnusableError(("file",), reason)
    if not points:
        raise _UnusableError(("file",), f"{shown!r} has no rows below its header")
    return points


def _finite(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _UnusableError(("file",), f"{where}: {short(text)} is not a number") from None
    if not math.isfinite(value):
        raise _UnusableError(("file",), f"{where}: {short(text)} is not finite; remove the row")
    return value

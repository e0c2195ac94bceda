"""Points out of CSV files: `file` and `columns` of a density of samples become its `points`.

A file may be any file, named by mistake or in malice: of one that is no table of numbers nothing is repeated.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controlsde.foundation.wording import shown
from controlsde.problem.density_specs import MAX_POINTS
from controlsde.problem.file_content import UnusableError, content
from controlsde.problem.values import PLAIN_NUMBER, nearest, number_hint, short

MAX_COLUMNS = 1000
MAX_LINES = 20 * MAX_POINTS  # empty ones and those within quotes, too
MAX_LINE = 100_000  # characters
LOOKED_AT = 50  # rows, of which a file is told to be a table
NAMED = 10  # columns, where a message lists them
LONGEST_COLUMN = 40  # characters of a column's name in a message
NOT_FINITE = ("nan", "inf", "infinity")


def names_a_file(density: Any) -> bool:
    """Say whether a density names a file and its columns; other mistakes are for the schema to tell."""
    if not isinstance(density, dict) or density.get("kind") != "samples" or "points" in density:
        return False
    columns = density.get("columns")
    if not isinstance(columns, list) or not columns or not isinstance(density.get("file"), str):
        return False
    return len(columns) <= MAX_COLUMNS and all(isinstance(name, str) for name in columns)


def read_points(path: Path, named: str, columns: list[str]) -> list[list[float]]:
    """Return the rows of a CSV file with a header, only the named columns; all numbers finite.

    Raises `UnusableError` saying what is wrong and in which line.
    """
    try:
        text = content(path, named).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableError(("file",), f"{named!r} is not UTF-8 text; save it as UTF-8") from None
    if "\0" in text:
        raise UnusableError(("file",), f"{named!r} is not text; save the table as CSV")
    try:
        return _rows(text, named, columns)
    except csv.Error:
        raise UnusableError(("file",), f"{named!r} is not CSV: a field does not end; look for a stray quote") from None


def _rows(text: str, named: str, columns: list[str]) -> list[list[float]]:
    reader = csv.reader(_lines(text, named))
    header = [name.strip() for name in next(reader, [])]
    if len(header) > MAX_COLUMNS:
        raise UnusableError(("file",), f"{named!r} has more than {MAX_COLUMNS} columns; keep those that are needed")
    for i, name in enumerate(columns):
        if header.count(name) != 1:
            raise UnusableError(("columns", i), _no_column(name, header, text, named))
    wanted = [header.index(name) for name in columns]
    points: list[list[float]] = []
    for row in reader:
        if not any(entry.strip() for entry in row):
            continue
        line = f"{named!r} line {reader.line_num}"
        if len(row) != len(header):
            raise UnusableError(
                ("file",), f"{line} has {len(row)} entries, the header {len(header)}{_commas(row, header)}"
            )
        points.append([_finite(row[i], f"{line}, column {shown(header[i], LONGEST_COLUMN)}", points) for i in wanted])
        if len(points) > MAX_POINTS:
            raise UnusableError(("file",), f"{named!r} has more than {MAX_POINTS} rows; use a random subset")
    if not points:
        raise UnusableError(("file",), f"{named!r} has no rows below its header")
    return points


def _lines(text: str, named: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if len(line) > MAX_LINE:
            raise UnusableError(("file",), f"{named!r} line {number} has more than {MAX_LINE} characters")
        if number > MAX_LINES:
            raise UnusableError(("file",), f"{named!r} has more than {MAX_LINES} lines; use a random subset")
        yield line


def _no_column(name: str, header: list[str], text: str, named: str) -> str:
    """Why there is no such column; what there is instead is told of a table of numbers alone."""
    named_so = f"{shown(repr(name), LONGEST_COLUMN)} is"
    if header.count(name) > 1:
        return f"{named_so} the name of {header.count(name)} columns of {named!r}"
    missing = f"{named_so} not a column of {named!r}"
    if not header:
        return f"{missing}, which is empty"
    if _is_table(text, ","):
        close = nearest(name, header)
        listed = ", ".join(shown(one, LONGEST_COLUMN) for one in header[:NAMED])
        more = f" and {len(header) - NAMED} more" if len(header) > NAMED else ""
        return f"{missing}; did you mean {close!r}?" if close else f"{missing}; columns: {listed}{more}"
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if _is_table(text, separator):
            return f"{missing}, whose columns are separated by {word}: save it with commas"
    return f"{missing}, which is not a table of numbers under a line of names"


def _is_table(text: str, separator: str) -> bool:
    """Whether the first rows are as long as the header, which separates names, and a column holds numbers alone."""
    reader = csv.reader(itertools.islice(io.StringIO(text, newline=""), LOOKED_AT), delimiter=separator)
    try:
        rows = [row for row in reader if any(entry.strip() for entry in row)]
    except csv.Error:
        return False
    least = 1 if separator == "," else 2
    if len(rows) < 2 or len(rows[0]) < least or any(len(row) != len(rows[0]) for row in rows):
        return False
    if any(_like_a_number(name, separator) for name in rows[0]):  # no line of names: this is data already
        return False
    return any(all(_like_a_number(row[i], separator) for row in rows[1:]) for i in range(len(rows[0])))


def _like_a_number(entry: str, separator: str) -> bool:
    text = entry.strip()
    return bool(PLAIN_NUMBER.fullmatch(text if separator == "," else text.replace(",", ".")))


def _commas(row: list[str], header: list[str]) -> str:
    """A word about decimal commas, where these would explain that a row is twice as long as it should be."""
    halves = len(row) == 2 * len(header) and all(entry.strip().lstrip("+-").isdecimal() for entry in row)
    return ": write decimal points, commas separate columns" if halves else ""


def _finite(entry: str, where: str, before: list[list[float]]) -> float:
    """The number in an entry; one that is none is repeated if it is nearly one, or stands below numbers."""
    text = entry.strip()
    if not text:
        raise UnusableError(("file",), f"{where} is empty; remove the row")
    if PLAIN_NUMBER.fullmatch(text):
        value = float(text)
        if math.isfinite(value):
            return value
        raise UnusableError(("file",), f"{where}: {short(text)} is not finite; remove the row")
    if text.lstrip("+-").lower() in NOT_FINITE:
        raise UnusableError(("file",), f"{where}: {short(text)} is not finite; remove the row")
    hint = number_hint(text)
    told = f"{short(text)} is not a number" if hint or before else "is not a number"
    raise UnusableError(("file",), f"{where}: {told}{f'; {hint}' if hint else ''}")

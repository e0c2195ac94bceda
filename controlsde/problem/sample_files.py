"""Points out of CSV files: `file` and `columns` of samples or fitted Gaussians become their `points`.

Columns are named as in the file's first line; in a file without such a line by their numbers, "1" for the first, or,
all of them, in any words in their order. `pixel_*` stands for every column whose name begins so, `all` for all of
them. A file may be any file, named by mistake or in malice: of one that is no table of numbers nothing is repeated.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlsde.foundation.wording import shown
from controlsde.problem.file_content import UnusableError, content
from controlsde.problem.sample_specs import ALL, MAX_NUMBERS, MAX_POINTS
from controlsde.problem.table_format import SEPARATORS, TableFormat, ambiguous, decoded, format_of, is_table
from controlsde.problem.values import MOST_COORDINATES, PLAIN_NUMBER, nearest, number_hint, short

MAX_COLUMNS = 1000
MAX_LINES = 20 * MAX_POINTS  # empty ones and those within quotes, too
MAX_LINE = 100_000  # characters
NAMED = 10  # columns, where a message lists them
LONGEST_COLUMN = 40  # characters of a column's name in a message
NO_TABLE = f"not a table of numbers under a line of names, separated by {' or '.join(SEPARATORS.values())}"
NOT_FINITE = ("nan", "inf", "infinity")


KINDS = ("samples", "gaussians")  # of densities that are made of a table


def names_a_file(density: Any, *, free: bool) -> bool:
    """Say whether a density names a file and its columns; other mistakes are for the schema to tell.

    free: in free space, where all columns are meant if none is named.
    """
    if not isinstance(density, dict) or density.get("kind") not in KINDS or "points" in density:
        return False
    columns = density.get("columns", ALL if free else None)
    if not isinstance(density.get("file"), str):
        return False
    if isinstance(columns, str):
        return True
    if not isinstance(columns, list) or not columns:
        return False
    return len(columns) <= MAX_COLUMNS and all(isinstance(name, str) for name in columns)


@dataclass(frozen=True)
class Read:
    """Points out of a file, and the names of their coordinates."""

    points: list[list[float]]
    columns: list[str]


def read_points(path: Path, named: str, columns: list[str] | str) -> Read:
    """Return the rows of a table in a text file, only the named columns, or `all`; all numbers finite.

    Raises `UnusableError` saying what is wrong and in which line.
    """
    try:
        text = decoded(content(path, named))
    except UnicodeDecodeError:
        raise UnusableError(("file",), f"{named!r} is not UTF-8 text; save it as UTF-8") from None
    if "\0" in text:
        raise UnusableError(("file",), f"{named!r} is not text; save the table as CSV")
    try:
        return _rows(text, named, [columns] if isinstance(columns, str) else columns)
    except csv.Error:
        raise UnusableError(("file",), f"{named!r} is not CSV: a field does not end; look for a stray quote") from None


def _rows(text: str, named: str, columns: list[str]) -> Read:
    form = format_of(text[: MAX_LINE * 2], columns)
    lines = _lines(text, named)
    if form.skipped:
        next(lines)
    reader = csv.reader(lines, delimiter=form.separator)
    first = [name.strip() for name in next(reader, [])] if form.named else _first_row(text[form.skipped :], form)
    if len(first) > MAX_COLUMNS:
        raise UnusableError(("file",), f"{named!r} has more than {MAX_COLUMNS} columns; keep those that are needed")
    asked, columns = columns, _written_out(columns, first, form, text[form.skipped :], named)
    wanted = _places(columns, first, form, text[form.skipped :], named)
    most = min(MAX_POINTS, MAX_NUMBERS // len(wanted))
    above = 1 if form.skipped else 0
    kept: list[tuple[str, list[str]]] = []
    for row in reader:
        if not any(entry.strip() for entry in row):
            continue
        line = f"{named!r} line {reader.line_num + above}"
        if len(row) != len(first):
            raise UnusableError(
                ("file",),
                f"{line} has {len(row)} entries, the {'header' if form.named else 'first line'} {len(first)}"
                f"{_commas(row, first)}",
            )
        kept.append((line, [row[i].strip() for i in wanted]))
        if len(kept) > most:
            raise UnusableError(("file",), f"{named!r} has more than {most} rows; use a random subset")
    if not kept:
        raise UnusableError(("file",), f"{named!r} has no rows below its header")
    if form.separator != "," and ambiguous([entry for _, row in kept for entry in row]):
        raise UnusableError(
            ("file",),
            f"{named!r} holds commas that may be decimal or of thousands; write decimal points, and no others",
        )
    if columns != asked:
        _refuse_words(columns, [row for _, row in kept], form, named)
    points: list[list[float]] = []
    called = [_called(i, first, form) for i in wanted]  # once: to find the words takes longer than to read the number
    for line, row in kept:
        points.append(
            [_finite(entry, f"{line}, {name}", points, form) for name, entry in zip(called, row, strict=True)]
        )
    return Read(points, columns)


def _written_out(columns: list[str], first: list[str], form: TableFormat, text: str, named: str) -> list[str]:
    """The columns with `all` and patterns such as `pixel_*` written out, each once, in the order of the file."""
    names = first if form.named else [str(i + 1) for i in range(len(first))]
    listed: list[str] = []
    for i, column in enumerate(columns):
        if column in first or not ("*" in column or column == ALL):
            listed.append(column)
            continue
        if not is_table(text, form.separator, named=form.named):
            raise UnusableError(("file",), f"{named!r} is {NO_TABLE}")
        matching = [name for name in names if column == ALL or fnmatch.fnmatchcase(name, column)]
        if not matching and column != ALL:
            raise UnusableError(
                ("columns", i), f"{shown(repr(column), LONGEST_COLUMN)} matches no column of {named!r}; name one there"
            )
        listed += [name for name in matching if name not in listed]
    if len(listed) > MOST_COORDINATES:
        raise UnusableError(
            ("columns",), f"are {len(listed)} of {named!r}, and at most {MOST_COORDINATES} may be had; list those"
        )
    return listed


def _refuse_words(columns: list[str], rows: list[list[str]], form: TableFormat, named: str) -> None:
    """Name a column without a number, of those that nobody listed one by one."""
    numeric = [any(PLAIN_NUMBER.fullmatch(form.number(row[i])) for row in rows) for i in range(len(columns))]
    if all(numeric):
        return
    shortened = [shown(name, LONGEST_COLUMN) for name in columns]
    words = [name for name, is_one in zip(shortened, numeric, strict=True) if not is_one]
    listed = [name for name, is_one in zip(shortened, numeric, strict=True) if is_one]
    left = f"[{', '.join(listed[:NAMED])}{', …' if len(listed) > NAMED else ''}]"
    raise UnusableError(
        ("columns",), f"take in {words[0]} of {named!r}, which holds words; list those of numbers: columns: {left}"
    )


def _first_row(text: str, form: TableFormat) -> list[str]:
    """The entries of the first line with any, of a file without names."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=form.separator)
    return next(([entry.strip() for entry in row] for row in rows if any(entry.strip() for entry in row)), [])


def _called(column: int, first: list[str], form: TableFormat) -> str:
    return f"column {shown(first[column], LONGEST_COLUMN) if form.named else column + 1}"


def _places(columns: list[str], first: list[str], form: TableFormat, text: str, named: str) -> list[int]:
    """Which columns of the file are meant. Raises UnusableError where that cannot be told."""
    numbers = [str(i + 1) for i in range(len(first))]
    if not form.named:
        if all(name in numbers for name in columns):
            return [numbers.index(name) for name in columns]
        if len(columns) == len(first) and not any(name.isdigit() for name in columns):
            return list(range(len(first)))
        which = ", ".join(f'"{number}"' for number in numbers[: len(columns)])
        told = f"{named!r} has no line of names above its {len(first)} {'column' if len(first) == 1 else 'columns'}"
        raise UnusableError(("columns",), f"{told}; name them by their numbers, such as columns: [{which}]")
    for i, name in enumerate(columns):
        if first.count(name) != 1:
            raise UnusableError(("columns", i), _no_column(name, first, form, text, named))
    if set(columns) <= set(numbers) and is_table(text, form.separator, named=False):
        raise UnusableError(
            ("columns",),
            f"{', '.join(columns)}: a name in the first line of {named!r}, or the number of a column? Give "
            "the file a line of names",
        )
    return [first.index(name) for name in columns]


def _lines(text: str, named: str) -> Iterator[str]:
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if len(line) > MAX_LINE:
            raise UnusableError(("file",), f"{named!r} line {number} has more than {MAX_LINE} characters")
        if number > MAX_LINES:
            raise UnusableError(("file",), f"{named!r} has more than {MAX_LINES} lines; use a random subset")
        yield line


def _no_column(name: str, header: list[str], form: TableFormat, text: str, named: str) -> str:
    """Why there is no such column; what there is instead is told of a table of numbers alone."""
    named_so = f"{shown(repr(name), LONGEST_COLUMN)} is"
    if header.count(name) > 1:
        return f"{named_so} the name of {header.count(name)} columns of {named!r}"
    missing = f"{named_so} not a column of {named!r}"
    if not header:
        return f"{missing}, which is empty"
    if is_table(text, form.separator):
        close = nearest(name, header)
        listed = ", ".join(shown(one, LONGEST_COLUMN) for one in header[:NAMED])
        more = f" and {len(header) - NAMED} more" if len(header) > NAMED else ""
        return f"{missing}; did you mean {close!r}?" if close else f"{missing}; columns: {listed}{more}"
    return f"{missing}, which is {NO_TABLE}"


def _commas(row: list[str], header: list[str]) -> str:
    """A word about decimal commas, where these would explain that a row is twice as long as it should be."""
    halves = len(row) == 2 * len(header) and all(entry.strip().lstrip("+-").isdecimal() for entry in row)
    return ": write decimal points, commas separate columns" if halves else ""


def _finite(entry: str, where: str, before: list[list[float]], form: TableFormat) -> float:
    """The number in an entry; one that is none is repeated if it is nearly one, or stands below numbers."""
    text = form.number(entry)
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

"""How a table in a text file is written: what separates its columns, whether it names them, what its decimals are.

Comes in: the text, and the columns that are wanted. Goes out: a `TableFormat`. Spreadsheets write commas, semicolons or
tabs, with decimal commas where those separate nothing; some files begin with a mark of their byte order, or with a line
`sep=;`. What can be read in two ways is not guessed at: that is for `sample_files` to say.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from dataclasses import dataclass

from controlsde.problem.values import PLAIN_NUMBER

LOOKED_AT = 50  # rows, of which a file is told to be a table
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
ANNOUNCED = re.compile(r"sep=([,;\t])\r?\n")
DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?")
THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+")  # 1,500: one and a half, or fifteen hundred


@dataclass(frozen=True)
class TableFormat:
    """separator: between columns. named: whether the first line names them. skipped: characters before that line."""

    separator: str = ","
    named: bool = True
    skipped: int = 0

    def number(self, entry: str) -> str:
        """An entry with a decimal point, where commas do not separate columns; another as it is."""
        if self.separator != "," and DECIMAL_COMMA.fullmatch(entry):
            return entry.replace(",", ".")
        return entry


def decoded(content: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with the mark of its byte order. Raises UnicodeDecodeError."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    return content.decode("utf-8-sig")


def format_of(text: str, columns: list[str]) -> TableFormat:
    """The separator under which the first line holds the wanted names, else one under which the text is a table."""
    announced = ANNOUNCED.match(text)
    skipped = announced.end() if announced else 0
    body = text[skipped:]
    likely = [announced[1]] if announced else list(SEPARATORS)
    for separator in likely:
        first = _first_row(body, separator)
        if all(first.count(name) == 1 for name in columns):
            return TableFormat(separator, True, skipped)
    for separator in likely:
        if is_table(body, separator):
            return TableFormat(separator, True, skipped)
    for separator in likely:
        if is_table(body, separator, named=False):
            return TableFormat(separator, False, skipped)
    return TableFormat(likely[0], True, skipped)


def is_table(text: str, separator: str, *, named: bool = True) -> bool:
    """Whether the first rows are equally long, below names if there are any, and a column holds numbers alone.

    Without names all entries of all rows are numbers. Semicolons and tabs must separate something.
    """
    rows = _first_rows(text, separator)
    least = 1 if separator == "," else 2
    if len(rows) < (2 if named else 1) or len(rows[0]) < least or any(len(row) != len(rows[0]) for row in rows):
        return False
    if not named:
        return all(_like_a_number(entry, separator) for row in rows for entry in row)
    if any(_like_a_number(name, separator) for name in rows[0]):  # no line of names: this is data already
        return False
    return any(all(_like_a_number(row[i], separator) for row in rows[1:]) for i in range(len(rows[0])))


def ambiguous(entries: list[str]) -> bool:
    """Whether decimal commas may be meant as separators of thousands: beside points, or where all of them look so."""
    with_comma = [entry for entry in entries if "," in entry]
    if not with_comma:
        return False
    return any("." in entry for entry in entries) or all(THOUSANDS.fullmatch(entry) for entry in with_comma)


def _first_row(text: str, separator: str) -> list[str]:
    rows = _first_rows(text, separator)
    return [name.strip() for name in rows[0]] if rows else []


def _first_rows(text: str, separator: str) -> list[list[str]]:
    reader = csv.reader(itertools.islice(io.StringIO(text, newline=""), LOOKED_AT), delimiter=separator)
    try:
        return [row for row in reader if any(entry.strip() for entry in row)]
    except csv.Error:
        return []


def _like_a_number(entry: str, separator: str) -> bool:
    text = entry.strip()
    return bool(PLAIN_NUMBER.fullmatch(text if separator == "," else text.replace(",", ".")))

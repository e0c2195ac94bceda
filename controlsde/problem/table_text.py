"""A table of points as a text: one point a line, numbers separated by commas, to the last digit.

In: such a text, out of a problem file in which `points: |` begins it. Out: rows of numbers. And the other way round: a
text that reads back the same, in which whole numbers stay short. Lists in lists of as many numbers would take the YAML
parser ten seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from controlsde.problem.values import PLAIN_NUMBER, number_hint, short

PLAIN = re.compile(r"[-+.0-9eE, \t\n]*")  # nothing else is a number in plain digits; the rest is for float to refuse
LARGEST_WHOLE = 1e15  # up to which whole numbers are written without a point


def parsed(text: str) -> list[tuple[float, ...]]:
    """The rows of a table; empty lines are passed over. Raises ValueError, naming the line, for what is no number."""
    lines = text.replace("\r\n", "\n").split("\n")
    plain = PLAIN.fullmatch(text.replace("\r\n", "\n")) is not None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line or line.isspace():
            continue
        entries = line.split(",")
        try:
            row = tuple(map(float, entries)) if plain else None
        except ValueError:
            row = None
        rows.append(tuple(_number(entry.strip(), number) for entry in entries) if row is None else row)
    if not rows:
        raise ValueError("must hold one point a line, its numbers separated by commas (got an empty text)")
    return rows


def _number(entry: str, line: int) -> float:
    if not PLAIN_NUMBER.fullmatch(entry):
        hint = f"; {number_hint(entry)}" if number_hint(entry) else ""
        raise ValueError(f"must hold numbers separated by commas; in line {line} of them {short(entry)} is none{hint}")
    return float(entry)


def written(points: Iterable[Sequence[float]]) -> str:
    """The text of a table; `parsed` gives the same numbers."""
    return "".join(",".join([_written(value) for value in row]) + "\n" for row in points)


def _written(value: float) -> str:
    if value == int(value) and abs(value) < LARGEST_WHOLE:
        return str(int(value)) if value or str(value)[0] != "-" else "-0.0"
    return repr(float(value))

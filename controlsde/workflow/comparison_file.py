"""What a comparison found beyond its results, as a file beside theirs: `comparison.json`.

Comes in: names and checksums of the result files, the cross table, the note. Goes out: JSON, written whole; and the
parts of a `Comparison` again, from the files alone; or a ResultError in one line that names the file and the cure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.files import write_whole
from controlsde.foundation.plain_files import UnreadableError, read_plain
from controlsde.foundation.stored_json import FLAG, NUMBER, TEXT, VALUE, FormError, Maybe, number, one_of, parsed
from controlsde.result.answer import Answer
from controlsde.result.result import Result
from controlsde.result.result_file import ResultError

Array = NDArray[np.float64]
Kind = TypeVar("Kind", bound=Answer)

NAME = "comparison.json"
FORMAT = "controlsde-comparison"
FORMAT_VERSION = 1
LARGEST = 10_000_000  # bytes
FORM = {
    "format": one_of(FORMAT),
    "format_version": NUMBER,
    "problem": TEXT,
    "noise": [NUMBER],
    "results": [TEXT],
    "digests": [Maybe(TEXT)],
    "cross": [[VALUE]],
    "note": TEXT,
    "interrupted": FLAG,
}
SAME = 1e-9  # relative difference between the diagonal of the cross table and the results' own errors


def write(path: Path, results: Sequence[Result], cross: Array, note: str, interrupted: bool) -> None:
    """Write the file. The results have been written already, to the same folder. Raises OSError, with nothing left.

    Raises ValueError for a result that has no file there.
    """
    places = [Path(result.path) if result.path else None for result in results]
    if any(place is None or place.parent.absolute() != path.parent.absolute() for place in places):
        raise ValueError(f"{path}: save the results to that folder first")
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "problem": results[0].problem.name,
        "noise": [result.noise for result in results],
        "results": [place.name for place in places if place],
        "digests": [result.digest for result in results],
        "cross": [[float(value) if np.isfinite(value) else None for value in row] for row in cross],
        "note": note,
        "interrupted": interrupted,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def read(path: Path) -> dict[str, Any]:
    """The parts of the comparison in a file, by the names of `Comparison`. Raises ResultError, see the head."""
    content = text_in(path)
    try:
        stored = parsed(content, FORM, "comparison")
        if stored["format_version"] != FORMAT_VERSION:
            raise FormError(f"is written in format {stored['format_version']}, and this version reads {FORMAT_VERSION}")
        pairs = zip(stored["results"], stored["digests"], strict=True)
        results = [result_beside(path, *pair, Result.load) for pair in pairs]
        cross = _cross(stored["cross"], results)
    except (FormError, ValueError) as error:
        if isinstance(error, ResultError):
            raise
        raise ResultError(f"{path}: not a complete comparison: it {error}; compare again") from None
    return {
        "problem": results[0].problem,
        "results": tuple(results),
        "cross": cross,
        "note": stored["note"],
        "interrupted": stored["interrupted"],
    }


def text_in(path: Path) -> str:
    """The text of a file of a comparison. Raises ResultError."""
    try:
        return read_plain(path, LARGEST).decode("utf-8")
    except (UnreadableError, UnicodeDecodeError) as error:
        reason = "is no text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ResultError(f"{path}: {reason}; give the folder that `controlsde compare` wrote") from None


def result_beside(path: Path, name: str, digest: str | None, load: Callable[[Path], Kind]) -> Kind:
    """The result of a name in the folder of a comparison, as it was then. Raises FormError, ResultError."""
    if Path(name).name != name or name in ("", ".", ".."):
        raise FormError("names a result that is not in its folder")
    result = load(path.parent / name)
    if result.digest != digest:
        raise ResultError(f"{path.parent / name}: is not the result that {path} was made with; compare again")
    return result


def _cross(rows: list[list[float | None]], results: Sequence[Result]) -> Array:
    """The cross table (n, n). Raises FormError where it does not fit the results."""
    count = len(results)
    if not count or len(rows) != count or any(len(row) != count for row in rows):
        raise FormError("holds a cross table that does not fit its results")
    cross = np.array([[number(value) for value in row] for row in rows])
    own = np.array([result.tracking.l2_final for result in results])
    if not np.allclose(np.diag(cross), own, rtol=SAME, atol=0.0, equal_nan=True):
        raise FormError("holds a cross table with other errors than its results")
    return cross

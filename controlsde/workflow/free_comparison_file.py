"""A comparison in free space as a file beside its results: `comparison.json`, as in a box, with the seeds.

Comes in: results by level and seed, the cross table, the note. Goes out: JSON, written whole; and the parts of a
`FreeComparison` again; or a ResultError in one line that names the file and the cure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.foundation.files import write_whole
from controlsde.foundation.plain_files import UnreadableError, read_plain
from controlsde.foundation.stored_json import FLAG, NUMBER, TEXT, VALUE, FormError, Maybe, number, one_of, parsed
from controlsde.result.answer import plain_json
from controlsde.result.free_result import FreeResult
from controlsde.result.result_file import ResultError
from controlsde.workflow.comparison_file import FORMAT, FORMAT_VERSION, LARGEST, NAME, result_beside, text_in

Array = NDArray[np.float64]

FORM = {
    "format": one_of(FORMAT),
    "format_version": NUMBER,
    "space": one_of("free"),
    "problem": TEXT,
    "noise": [NUMBER],
    "results": [[TEXT]],
    "digests": [[Maybe(TEXT)]],
    "cross": [[VALUE]],
    "note": TEXT,
    "interrupted": FLAG,
}


def write(folder: Path, levels: Sequence[Sequence[FreeResult]], cross: Array, note: str, *, interrupted: bool) -> Path:
    """Write the file. Raises OSError, with nothing left; ValueError for a result that has no file in the folder."""
    for result in (one for level in levels for one in level):
        if not result.path or Path(result.path).parent.absolute() != folder.absolute():
            raise ValueError(f"{folder}: save the results to that folder first")
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "space": "free",
        "problem": levels[0][0].problem.name,
        "noise": [level[0].noise for level in levels],
        "results": [[Path(one.path or "").name for one in level] for level in levels],
        "digests": [[one.digest for one in level] for level in levels],
        "cross": plain_json(cross.tolist()),
        "note": note,
        "interrupted": interrupted,
    }
    target = folder / NAME
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(target, f"{text}\n".encode())
    return target


def is_free(folder: Path) -> bool:
    """Whether a folder, or its file, holds a comparison in free space; what is none at all says nothing."""
    try:
        document = json.loads(read_plain(_file(folder), LARGEST))
    except (UnreadableError, OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("space") == "free"


def read(folder: Path) -> dict[str, Any]:
    """The parts of the comparison in a folder, by the names of `FreeComparison`. Raises ResultError, see the head."""
    path = _file(folder)
    content = text_in(path)
    try:
        stored = parsed(content, FORM, "comparison")
        levels = [
            [result_beside(path, name, digest, FreeResult.load) for name, digest in zip(names, digests, strict=True)]
            for names, digests in zip(stored["results"], stored["digests"], strict=True)
        ]
        cross = np.array([[number(value) for value in row] for row in stored["cross"]])
        if not levels or not all(levels) or cross.shape != (len(levels), len(levels)):
            raise FormError("holds a cross table that does not fit its results")
    except (FormError, ValueError) as error:
        if isinstance(error, ResultError):
            raise
        raise ResultError(f"{path}: not a complete comparison: it {error}; compare again") from None
    return {
        "problem": levels[0][0].problem,
        "results": tuple(level[0] for level in levels),
        "others": tuple(tuple(level[1:]) for level in levels),
        "cross": cross,
        "note": stored["note"],
        "interrupted": stored["interrupted"],
    }


def _file(place: Path) -> Path:
    return place if place.suffix == ".json" else place / NAME

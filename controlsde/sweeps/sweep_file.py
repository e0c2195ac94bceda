"""A sweep as a file: problems, and what varies.

    problems: [iris-petals]             # names, or files beside this one
    set: {mesh.degree: 6}               # on top of every run
    vary: {noise: [0, 0.25, 1], solver.seed: 0:8}     # every combination; 0:8 is 0 to 7
    zipped:                             # values that go together, place by place
      - {network.width: [1, 2], controls.bounds: [50, 25]}
    listed:                             # settings of single runs
      - {controls.pieces: 4, controls.lengths: free}
    climb: controls.pieces              # every run starts from the answer on fewer pieces

Comes in: a path. Goes out: problems, `Variations` and settings; or a SweepError that names the place and the cure.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlsde.foundation.plain_files import MissingError, UnreadableError, read_plain
from controlsde.problem.yaml_text import MAX_BYTES, Document, ProblemError, read
from controlsde.sweeps.variations import Settings, SweepError, Variations

KEYS = ("problems", "set", "vary", "zipped", "listed", "climb")
TELLING = ("problems", "vary", "zipped", "listed")  # which no problem has


@dataclass(frozen=True)
class Asked:
    """What a sweep file asks for."""

    problems: tuple[str, ...]
    variations: Variations
    base: Settings
    climb: str | None = None


def is_sweep(path: Path) -> bool:
    """Whether a file is a sweep and no problem; what cannot be read is none."""
    try:
        document = read(_text(path), str(path))
    except (SweepError, ProblemError):
        return False
    return isinstance(document.data, Mapping) and any(key in document.data for key in TELLING)


def load(path: Path) -> Asked:
    """Raises SweepError or ProblemError, each line with the place and the cure."""
    return of_text(_text(path), path)


def of_text(text: str, path: Path) -> Asked:
    """What a text asks for that stands in a file of this name; errors as of `load`."""
    document = read(text, str(path))
    data = document.data
    if document.faults:
        raise SweepError(str(document.faults[0]))
    if not isinstance(data, Mapping):
        raise SweepError(f"{path}:1:1: a sweep must be a mapping with problems and vary")
    for key in data:
        if key not in KEYS:
            close = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(KEYS)}"
            raise SweepError(f"{document.place((key,)).key}: {key} is not a known key{hint}")
    problems = data.get("problems")
    names = [problems] if isinstance(problems, str) else problems
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise SweepError(f"{_place(document, 'problems')}: problems must name at least one problem, as [iris-petals]")
    base, grid = (_mapping(document, key) for key in ("set", "vary"))
    zipped, listed = (_mappings(document, key) for key in ("zipped", "listed"))
    climb = data.get("climb")
    if climb is not None and not isinstance(climb, str):
        raise SweepError(f"{_place(document, 'climb')}: climb must be a key that is varied, as controls.pieces")
    try:
        variations = Variations.of(grid, zipped, listed)
    except SweepError as error:
        raise SweepError(f"{path}: {error}") from None
    return Asked(tuple(_found(path, name) for name in names), variations, dict(base), climb)


def _text(path: Path) -> str:
    try:
        return read_plain(path, MAX_BYTES).decode("utf-8-sig")
    except MissingError:
        raise SweepError(f"{path}: no such file") from None
    except UnreadableError as error:
        raise SweepError(f"{path}: {error}") from None
    except UnicodeDecodeError:
        raise SweepError(f"{path}: is not UTF-8 text; save the file as UTF-8") from None


def _found(path: Path, name: str) -> str:
    """A file beside the sweep file, or a name as it is."""
    beside = path.parent / name
    return str(beside) if beside.suffix in (".yaml", ".yml") and beside.exists() else name


def _mapping(document: Document, key: str) -> Mapping[str, Any]:
    value = document.data.get(key) or {}
    if not isinstance(value, Mapping):
        raise SweepError(f"{_place(document, key)}: {key} must map keys of a problem to values, as {{noise: [0, 1]}}")
    return {str(name): one for name, one in value.items()}


def _mappings(document: Document, key: str) -> tuple[Mapping[str, Any], ...]:
    value = document.data.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise SweepError(f"{_place(document, key)}: {key} must be a list of mappings, as [{{noise: [0, 1]}}]")
    return tuple({str(name): one for name, one in entry.items()} for entry in value)


def _place(document: Document, key: str) -> str:
    return str(document.place((key,)).value)

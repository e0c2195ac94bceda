"""From a path or a shipped name to a `Problem`, or to one line for everything wrong with it.

In: a YAML file, and values to set on top of it. Out: a resolved `Problem`. Raises `ProblemError` whose
messages read `FILE:LINE:COL: dotted.key message`.
"""

from __future__ import annotations

import copy
import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from controlsde.foundation import kinds
from controlsde.foundation.plain_files import MissingError, UnreadableError, is_plain_file, read_plain
from controlsde.problem import data_files, overrides, validation_messages, yaml_text
from controlsde.problem.problem import Problem
from controlsde.problem.values import Location, dotted
from controlsde.problem.yaml_text import Document, ProblemError
from controlsde.registry import SOLVERS

LEAST_WORD = 3  # letters of a part of a name
KEYS = tuple(field.alias or name for name, field in Problem.model_fields.items())


class ShippedProblem(NamedTuple):
    """A problem that comes with the package: its name, what it is, and its file."""

    name: str
    description: str
    path: Path


def load_problem(source: str | Path, set: Mapping[str, Any] | None = None) -> Problem:  # noqa: A002
    """Return the problem in a YAML file, or the shipped problem of that name.

    `set` maps dotted keys to values that replace the file's, as `{"network.width": 2}`. Raises
    `ProblemError` with everything that is wrong, each with its place and its cure.
    """
    path = _find(source)
    text = _read(path)
    return parse_problem(text, name=path.stem, label=str(_shown(path, source)), folder=path.parent, set=set)


def load_variants(source: str | Path, sets: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """What `load_problem` returns of one source for each of many `set`s; the file is read and parsed once for all.

    Raises `ProblemError`, as `load_problem` does, at the first that is no problem.
    """
    path = _find(source)
    document = _document(_read(path), path.stem, str(_shown(path, source)))
    for one in sets:
        yield _problem(_copied(document), path.parent, one)


@contextmanager
def _own_arithmetic() -> Iterator[None]:
    """The settings of `own_arithmetic`; who has not imported NumPy has set none, and need not wait for it."""
    if "numpy" not in sys.modules:
        yield
        return
    from controlsde.foundation.surroundings import own_arithmetic

    with own_arithmetic():
        yield


def parse_problem(
    text: str,
    *,
    name: str = "problem",
    label: str = "problem",
    folder: Path | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002
) -> Problem:
    """Return the problem in a YAML text, such as `Problem.to_yaml` writes.

    `name` is used if the text has none, `label` stands for the file in messages, and files of data are
    looked for in `folder` (the current folder by default). Raises `ProblemError`.
    """
    return _problem(_document(text, name, label), folder or Path(), set or {})


def _document(text: str, name: str, label: str) -> Document:
    """What a text says, before anything is set on top of it; `name` is used if it has none."""
    document = yaml_text.read(text, label)
    if document.data is None:
        raise ProblemError(f"{label}:1:1: the file is empty; it needs at least domain and reference")
    if not isinstance(document.data, dict):
        place = document.place(()).value
        raise ProblemError(f"{place}: a problem must be a mapping (got {_kind_of(document.data)})")
    if not any(key in KEYS for key in document.data):
        raise ProblemError(f"{document.place(()).value}: this is not a problem: it has neither domain nor reference")
    document.data.setdefault("name", name)
    return document


def _copied(document: Document) -> Document:
    """The same document, which may be changed."""
    return Document(document.label, copy.deepcopy(document.data), dict(document.places), list(document.faults))


@_own_arithmetic()
def _problem(document: Document, folder: Path, set: Mapping[str, Any]) -> Problem:  # noqa: A002
    """The problem of a document, which is changed: values are set, and data files are read."""
    overrides.apply(document, set)
    return _validated(document, data_files.fill_in(document, folder))


def place_of(source: str | Path, location: Location, set: Mapping[str, Any] | None = None) -> str:  # noqa: A002
    """Return where a key of a problem is written, as `FILE:LINE:COL` or `--set KEY=VALUE`; or what is nearest above it.

    For errors that only show as the problem is used. Raises `ProblemError` if the file is gone.
    """
    path = _find(source)
    document = yaml_text.read(_read(path), str(_shown(path, source)))
    if isinstance(document.data, dict):
        overrides.apply(document, set or {})
    return document.place(location).value


def list_problems() -> list[ShippedProblem]:
    """Return the shipped problems by name."""
    listed = []
    for path in _shipped().values():
        data = yaml_text.read(_read(path), str(path)).data
        listed.append(ShippedProblem(path.stem, str(data.get("description", "")), path))
    return listed


def dimension_of(path: Path) -> int:
    """The dimension of a shipped problem by its file, without checking all of it where that tells its dimension."""
    domain = yaml_text.read(_read(path), str(path)).data["domain"]
    return len(domain.get("box", ())) or domain.get("dimension") or load_problem(path).dimension


def _kind_of(value: object) -> str:
    """What a whole file is that is no problem: nobody knows what else it holds, so nothing of that is repeated."""
    if isinstance(value, list):
        return "a list"
    return "text" if isinstance(value, str) else "a single value"


def _shipped() -> dict[str, Path]:
    folder = Path(str(resources.files("controlsde.problems"))).resolve()
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir() and str(source) not in _shipped():
        raise ProblemError(f"{source}: is a folder; name a YAML file or a shipped problem")
    if path.suffix in (".yaml", ".yml") or is_plain_file(path):
        return path
    shipped = _shipped()
    if str(source) in shipped:
        return shipped[str(source)]
    close = nearest_shipped(str(source), list(shipped))
    hint = f"; did you mean {close!r}?" if close else ""
    if path.exists():
        return path  # a device or a pipe, of which reading says that it is no file
    raise ProblemError(
        f"{source}: no such file, and no shipped problem of that name{hint} (shipped: {', '.join(shipped)})"
    )


def nearest_shipped(word: str, names: Sequence[str]) -> str | None:
    """The name that a word is most likely meant for: nearly the same, or the first that holds it; None for neither."""
    plain = word.lower().replace("_", "-").replace(" ", "-")
    close = difflib.get_close_matches(plain, names, n=1)
    holds = [name for name in names if len(plain) >= LEAST_WORD and (plain in name or name in plain)]
    return next(iter([*close, *holds]), None)


def _shown(path: Path, source: str | Path) -> Path:
    """Return the path as messages show it: as given, or from the current folder for a shipped problem."""
    if path == Path(source):
        return path
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _read(path: Path) -> str:
    try:
        if kind := kinds.no_problem(path):
            raise ProblemError(f"{path}: that is {kind}, not a problem; name a YAML file or a shipped problem")
        content = read_plain(path, yaml_text.MAX_BYTES + yaml_text.MAX_TABLE)
    except MissingError:
        raise ProblemError(f"{path}: no such file") from None
    except UnreadableError as error:
        raise ProblemError(f"{path}: {error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise ProblemError(f"{path}:{line}:{column}: is not UTF-8 text; save the file as UTF-8") from None


def _validated(document: Document, unread: frozenset[Location]) -> Problem:
    problem, found, more = _attempt(document.data)
    faulty = {fault.location[0] for fault in found if fault.location}
    if faulty and not more and not faulty & {"domain", "reference"}:
        # What is wrong elsewhere must not hide what does not fit together: try once more without it.
        rest = {key: value for key, value in document.data.items() if key not in faulty}
        solver = document.data.get("solver")
        kind = solver.get("kind") if isinstance(solver, dict) else solver
        if "solver" in faulty and isinstance(kind, str) and kind in SOLVERS:
            rest["solver"] = {"kind": kind}  # which decides what the rest may ask
        found = list(dict.fromkeys([*found, *_attempt(rest)[1]]))
    messages = {_message(document, fault) for fault in found if fault.location not in unread}
    if document.faults or messages:
        raise ProblemError(*sorted({*document.faults, *messages}, key=_reading_order), more=more)
    if problem is None:
        raise ProblemError(f"{document.label}: the data could not be read")
    return problem


def _attempt(data: Any) -> tuple[Problem | None, list[validation_messages.ValidationFault], int]:
    try:
        return Problem.model_validate(data), [], 0
    except ValidationError as error:
        return None, *validation_messages.faults(error, data)


def _message(document: Document, fault: validation_messages.ValidationFault) -> str:
    if fault.part == "parent":
        place = document.place(fault.location[:-1]).key
    elif fault.part == "key":
        place = document.place(fault.location).key
    else:
        place = document.place(fault.location).value
    return f"{place}: {dotted(fault.location)} {fault.message}".replace(":  ", ": ")


def _reading_order(message: str) -> tuple[int, int, str]:
    """Sort by line and column; what is set on top of the file comes last."""
    parts = message.split(":", 3)
    if message.startswith("--set") or len(parts) < 4 or not (parts[1] + parts[2]).isdigit():
        return (2**31, 0, message)
    return (int(parts[1]), int(parts[2]), message)

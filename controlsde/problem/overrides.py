"""Values set on top of a file: `network.width=2` from the command line, or a mapping in Python.

In: dotted keys and values. Out: the document with those values in place, so that they are checked as if they
had been written in the file, and an error about one says `--set network.width=2` instead of a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from controlsde.problem.values import Location, dotted, short
from controlsde.problem.yaml_text import Document, Place, ProblemError, read

INDEX = re.compile("[0-9]{1,9}")  # of an entry of a list

# Where a bare word may stand for a mapping with that kind.
KINDS = frozenset(
    {
        ("solver",),
        ("drift",),
        ("reference",),
        ("reference", "forward"),
        ("reference", "data"),
        ("reference", "from"),
        ("reference", "to"),
    }
)


def parse_override(text: str) -> tuple[str, Any]:
    """Return `network.width=2` as `("network.width", 2)`; the value is read as YAML.

    Raises `ProblemError` if there is no key, no `=`, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals:
        raise ProblemError(f"--set {text}: write KEY=VALUE, such as network.width=2")
    if not key:
        raise ProblemError(f"--set {text}: the key is missing; write KEY=VALUE, such as network.width=2")
    try:
        document = read(value, "value")
    except ProblemError as error:
        raise ProblemError(f"--set {text}: {error.messages[0]}; quote text with special characters") from None
    if document.faults:
        raise ProblemError(*(f"--set {text}: {fault}" for fault in document.faults))
    return key, document.data


def apply(document: Document, overrides: Mapping[str, Any]) -> None:
    """Put the values of `overrides` into the document, in order; what cannot be placed becomes a fault."""
    for key, value in overrides.items():
        label = f"--set {key}={_shown(value)}"
        location = tuple(int(part) if INDEX.fullmatch(part) else part for part in key.split("."))
        if "" in location:
            fault = "the key is missing, or a part of it"
        else:
            fault = _put(document.data, location, plain(value))
        if fault:
            document.faults.append(f"{label}: {fault}")
            continue
        for written in [place for place in document.places if place[: len(location)] == location]:
            del document.places[written]
        for depth in range(1, len(location)):
            document.places.setdefault(location[:depth], Place(label, label))
        document.places[location] = Place(label, label)


def _put(data: Any, location: Location, value: Any) -> str:
    """Set `data` at `location`; return what is wrong with the location, or nothing."""
    for depth, step in enumerate(location):
        key: Any = step if isinstance(data, list) else str(step)
        fault = _cannot_enter(data, step, dotted(location[:depth]))
        if fault:
            return fault
        if depth == len(location) - 1:
            data[key] = value
            break
        below = data[key] if isinstance(data, list) else data.get(key)
        if below is None:
            below = data[key] = {}
        elif isinstance(below, str) and location[: depth + 1] in KINDS:
            below = data[key] = {"kind": below}
        data = below
    return ""


def _cannot_enter(data: Any, step: str | int, above: str) -> str:
    if isinstance(data, dict):
        return ""
    if not isinstance(data, list):
        return f"{above} is {short(data)}, which has no parts to set"
    if isinstance(step, str):
        return f"{above} is a list; continue with an index from 0 to {len(data) - 1}"
    if step >= len(data):
        return f"{above} has {len(data)} entries; the index must be at most {len(data) - 1}"
    return ""


def plain(value: Any) -> Any:
    """Return NumPy numbers and arrays, and tuples, as Python's numbers and lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(entry) for entry in value) + "]"
    return value if isinstance(value, str) else "null" if value is None else short(value)

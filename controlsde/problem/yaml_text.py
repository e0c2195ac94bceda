"""YAML 1.2 to plain values with the place of each, and back.

In: a text. Out: a `Document`, dicts, lists, numbers and text together with the line and column of every key
and value. Built on the parser's events rather than on a loader, so that hostile files stay cheap: nothing is
constructed from tags, aliases are counted as they expand, and values, keys and nesting are limited as they come.

A table of points, `points: |` with a line for each point below it, is cut out before the parser, which is slow, sees
it, and put back as one text; so tables may be larger than everything else together, and are written in this way.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from controlsde.foundation.errors import ControlsdeError
from controlsde.foundation.wording import LONGEST_NAME, at_most, shown, unreadable
from controlsde.problem import table_text
from controlsde.problem.values import Location, dotted

MAX_BYTES = 1_000_000  # tables of points aside
MAX_TABLE = 18_000_000  # bytes of all tables of points: 640,000 numbers in full
MAX_TABLES = 8
MAX_NESTING = 40
MAX_WRITTEN = 60_000  # values: some 2 s; ten thousand points in three dimensions are 40,000
MAX_IN_TEXT = 10_000  # commas and lines of a description
TOO_MANY = f"more than {MAX_WRITTEN} values; a problem has fewer, data go into files of their own"
MAX_VALUES = 200_000  # aliases written out
MAX_KEY = 200  # characters
MAX_KEYS = 100  # of one mapping; no section has half as many
MAX_IN_BRACKETS = 8
MANY_NUMBERS = 2_000  # of a table of points, from which on it is written as a text
TABLE = "points"  # the key of a table

TABLE_BEGINS = re.compile(rf"^( *){TABLE}: \|[ \t]*\n", re.MULTILINE)
LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
BEYOND_UNICODE = re.compile(r"\\U(?!000|0010)[0-9a-fA-F]{8}")  # an escape for which the parser has no words

# The YAML 1.2 core schema: 1e-3 is a number, and only true and false are booleans.
NULL = re.compile(r"~|null|Null|NULL|")
TRUE = re.compile(r"true|True|TRUE")
FALSE = re.compile(r"false|False|FALSE")
WHOLE = re.compile(r"[-+]?[0-9]{1,400}")
OCTAL = re.compile(r"0o[0-7]{1,400}")
HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,400}")
REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
NAN = re.compile(r"\.(nan|NaN|NAN)")


class ProblemError(ControlsdeError, ValueError):
    """A problem that cannot be used: `messages` has one line for everything wrong with it.

    Of more than 20 it has the first ones, and how many there are besides, with `more` that nobody wrote out.
    """

    def __init__(self, *messages: str, more: int = 0) -> None:
        self.messages = at_most(messages, more)
        super().__init__("\n".join(self.messages))

    @property
    def lines(self) -> tuple[str, ...]:
        """One for each message."""
        return self.messages


@dataclass(frozen=True)
class Place:
    """Where something is written: `FILE:LINE:COL` of its key and of its value."""

    key: str
    value: str


@dataclass
class Document:
    """The values of a text, the place of each, and what was wrong with the text short of unreadable."""

    label: str
    data: Any = None
    places: dict[Location, Place] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def place(self, location: Location) -> Place:
        """Return the place of `location`, or of the nearest part above it that is written."""
        while location not in self.places and location:
            location = location[:-1]
        return self.places.get(location, Place(f"{self.label}:1:1", f"{self.label}:1:1"))


def read(text: str, label: str) -> Document:
    """Return the document in `text`; `label` is the file's name in places.

    Raises `ProblemError` for what is not YAML, too large, too deep, or more than one document. Duplicate
    keys, tags and keys that are not text are left in `faults`, to be told together with other errors.
    """
    cut, tables = _without_tables(text)
    document = _read(cut, label, tables)
    if document is None:  # what looked like tables was in the midst of something else
        document = _read(text, label, {})
    return document or Document(label)


def _without_tables(text: str) -> tuple[str, dict[int, str]]:
    """The text with empty lines in place of tables of points, and each table by the number of the line above it."""
    if len(text) > MAX_BYTES + MAX_TABLE:
        return text, {}
    tables: dict[int, str] = {}
    kept, begin, line = [], 0, 0
    while len(tables) < MAX_TABLES and (found := TABLE_BEGINS.search(text, begin)):
        deeper = found[1] + " "
        end = found.end()
        while end < len(text) and (text.startswith(deeper, end) or text[end] == "\n"):
            end = (text.find("\n", end) + 1) or len(text)
        line += text.count("\n", begin, found.end())
        table = text[found.end() : end]
        tables[line - 1] = table
        kept.append(text[begin : found.end()])
        kept.append("\n" * table.count("\n"))
        line += table.count("\n")
        begin = end
    return "".join([*kept, text[begin:]]), tables


def _read(text: str, label: str, tables: Mapping[int, str]) -> Document | None:
    """The document in a text from which tables were cut; None where one of them is no value of its own."""
    if len(text) > MAX_BYTES + sum(table.count("\n") for table in tables.values()):
        aside = ", tables of points aside" if tables else ""
        raise ProblemError(f"{label}: the file is larger than {MAX_BYTES // 1_000_000} MB{aside}")
    _refuse_floods(text, label)
    document = Document(label)
    reader = _Reader(document, text, tables)
    try:
        reader.read()
    except ReaderError as error:
        code = ord(error.character) if isinstance(error.character, str) else int(error.character)
        reason = f"the character U+{code:04X} is not allowed; remove it"
        raise ProblemError(f"{_place_at(label, text, error.position)}: {reason}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{label}:{mark.line + 1}:{mark.column + 1}" if mark else reader.latest
        raise ProblemError(f"{where}: not valid YAML: {_reason(error)}") from None
    except ProblemError:
        raise
    except (YAMLError, ValueError, ArithmeticError):  # the parser takes any code for a character
        beyond = BEYOND_UNICODE.search(text, reader.position)
        where = _place_at(label, text, beyond.start()) if beyond else reader.latest
        reason = f"there is no character {beyond[0]}" if beyond else "what follows cannot be read"
        raise ProblemError(f"{where}: not valid YAML: {reason}") from None
    return document if reader.put_back == len(tables) else None


def _refuse_floods(text: str, label: str) -> None:
    """Refuse far too many values before they are parsed: each takes a comma or a line that is no comment."""
    parts = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.isspace() and not line.lstrip().startswith("#"):
            parts += 1 + line.count(",")
        if parts > MAX_WRITTEN + MAX_IN_TEXT:
            raise ProblemError(f"{label}:{number}:1: {TOO_MANY}")


def _place_at(label: str, text: str, position: int) -> str:
    before = text[:position]
    lines = LINE_END.split(before)
    return f"{label}:{len(lines)}:{len(lines[-1]) + 1}"


def _reason(error: MarkedYAMLError) -> str:
    """What the parser says, without the words of Python's decoders."""
    reason = _one_line(error.problem or error.context)
    return "a tag holds bytes that are not UTF-8" if "codec" in reason else reason


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())[:200]


def scalar(text: str) -> Any:
    """Return the value of a plain scalar by the YAML 1.2 core schema."""
    if NULL.fullmatch(text):
        return None
    if TRUE.fullmatch(text):
        return True
    if FALSE.fullmatch(text):
        return False
    if WHOLE.fullmatch(text):
        return int(text)
    if OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    if REAL.fullmatch(text):
        return float(text)
    if match := INFINITE.fullmatch(text):
        return float(match[1] + "inf")
    return float("nan") if NAN.fullmatch(text) else text


@dataclass(frozen=True)
class _Anchored:
    value: Any
    count: int


class _Reader:
    """Builds a document from the events of the parser, one method for each kind of node."""

    def __init__(self, document: Document, text: str, tables: Mapping[int, str]) -> None:
        self.document = document
        self.tables = tables
        self.put_back = 0
        self.events: Iterator[Event] = YAML(typ="safe", pure=True).parse(text)
        self.anchors: dict[str, _Anchored] = {}
        self.latest = f"{document.label}:1:1"
        self.position = 0
        self.written = 0
        self.count = 0
        self.unheeded = 0  # mappings and lists around us that are read only to pass over them

    def read(self) -> None:
        for event in self.events:
            if isinstance(event, StreamStartEvent | StreamEndEvent | DocumentEndEvent):
                continue
            if isinstance(event, DocumentStartEvent):
                if self.count:
                    self.refuse(event, "only one YAML document a file is allowed")
                continue
            self.document.data = self.value(event, (), self.at(event))

    def at(self, event: Event) -> str:
        mark = event.start_mark
        self.position = mark.index
        self.latest = f"{self.document.label}:{mark.line + 1}:{mark.column + 1}"
        return self.latest

    def refuse(self, event: Event, reason: str) -> NoReturn:
        raise ProblemError(f"{self.at(event)}: {reason}")

    def tagged(self, event: Event, tag: str) -> None:
        name = shown(tag.replace("tag:yaml.org,2002:", "!!"), LONGEST_NAME)
        self.document.faults.append(f"{self.at(event)}: YAML tags such as {name} are not allowed")

    def value(self, event: Event, location: Location, key_place: str) -> Any:
        """Return the value that `event` begins, noting its place."""
        self.count += 1
        self.written += 1
        self.limit(event)
        if len(location) > MAX_NESTING:
            self.refuse(event, f"nested more than {MAX_NESTING} deep")
        if not self.unheeded:
            self.document.places[location] = Place(key_place, self.at(event))
        if isinstance(event, AliasEvent):
            return self.alias(event)
        if not isinstance(event, MappingStartEvent | SequenceStartEvent | ScalarEvent):
            self.refuse(event, "expected a value")
        before = self.count
        if event.ctag is not None:
            self.tagged(event, str(event.ctag))
        if isinstance(event, MappingStartEvent):
            value: Any = self.mapping(location)
        elif isinstance(event, SequenceStartEvent):
            value = self.sequence(location)
        else:
            value = self.scalar(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(value, self.count - before + 1)
        return value

    def limit(self, event: Event) -> None:
        if self.written > MAX_WRITTEN:
            self.refuse(event, TOO_MANY)
        if self.count > MAX_VALUES:
            self.refuse(event, f"more than {MAX_VALUES} values, aliases written out")

    def alias(self, event: AliasEvent) -> Any:
        anchored = self.anchors.get(event.anchor)
        if anchored is None:
            self.refuse(event, f"*{shown(str(event.anchor), LONGEST_NAME)} refers to no anchor before it")
        self.count += anchored.count
        self.limit(event)
        return copy.deepcopy(anchored.value)

    def scalar(self, event: ScalarEvent) -> Any:
        self.readable(event)
        if event.style == "|" and event.start_mark.line in self.tables and not event.value.strip("\n"):
            self.put_back += 1
            return self.tables[event.start_mark.line]
        plain = event.implicit[0] and event.style is None
        return scalar(event.value) if plain else event.value

    def readable(self, event: ScalarEvent) -> None:
        character = unreadable(event.value)
        if character:
            self.refuse(event, f"holds the character {character}, which is no text; remove it")

    def sequence(self, location: Location) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.value(event, (*location, len(items)), self.at(event)))
        return items

    def mapping(self, location: Location) -> dict[str, Any]:
        """The mapping whose start was read last; of a key that is written twice the first value is kept."""
        items: dict[str, Any] = {}
        entries = 0
        while not isinstance(key_event := next(self.events), MappingEndEvent):
            key = self.key(key_event, location)
            place = self.at(key_event)
            entries += 1
            if entries > MAX_KEYS:
                self.refuse(key_event, f"more than {MAX_KEYS} keys in {dotted(location) or 'the problem'}")
            if key in items:
                self.written_twice((*location, key), place)
                self.unheeded += 1
                self.value(next(self.events), (*location, key), place)
                self.unheeded -= 1
                continue
            items[key] = self.value(next(self.events), (*location, key), place)
        return items

    def written_twice(self, location: Location, place: str) -> None:
        first = self.document.places.get(location)
        line = f" (first in line {first.key.rsplit(':', 2)[1]})" if first else ""
        self.document.faults.append(f"{place}: {dotted(location)} is written twice{line}; keep one")

    def key(self, event: Event, location: Location) -> str:
        if not isinstance(event, ScalarEvent):
            self.refuse(event, "a key must be text")
        if event.ctag is not None:
            self.tagged(event, str(event.ctag))
        key = str(event.value)
        if len(key) > MAX_KEY or not key.isprintable():
            self.refuse(event, f"a key of {dotted(location) or 'the problem'} is not readable text")
        return key


def write(data: Mapping[str, Any]) -> str:
    """Return plain values as YAML text: mappings and long lists of vectors line by line, the rest inline.

    A table of very many points becomes a text of a line for each.
    """
    yaml = YAML()
    yaml.width = 10**9  # a line broken at a double space would read back as a single one
    yaml.allow_unicode = True
    stream = io.StringIO()
    tables: list[str] = []
    yaml.dump(_laid_out(data, "", tables), stream)
    return _with_tables(stream.getvalue(), tables) if tables else stream.getvalue()


def _laid_out(value: Any, key: str, tables: list[str]) -> Any:
    if key == TABLE and _is_large(value):
        tables.append(table_text.written(value))
        return _stand_in(len(tables) - 1)
    if isinstance(value, Mapping):
        return CommentedMap((key, _laid_out(entry, key, tables)) for key, entry in value.items())
    if isinstance(value, list | tuple):
        listed = CommentedSeq(_laid_out(entry, "", tables) for entry in value)
        if len(value) <= MAX_IN_BRACKETS or not isinstance(value[0], list | tuple):
            listed.fa.set_flow_style()
        return listed
    return value


def _is_large(value: Any) -> bool:
    """Whether a value is a table of many points."""
    if not isinstance(value, list | tuple) or not value or not isinstance(value[0], list | tuple):
        return False
    return len(value) * len(value[0]) > MANY_NUMBERS


def _stand_in(number: int) -> str:
    """What no text of a problem holds, for a NUL is no text: YAML writes it as an escape in quotes."""
    return f"\0{number}"


def _with_tables(text: str, tables: Sequence[str]) -> str:
    """The text with tables in place of what stands for them."""
    parts = text.split("\n")
    written = {f'{TABLE}: "\\0{number}"': number for number in range(len(tables))}
    for i, line in enumerate(parts):
        number = written.pop(line.lstrip(" "), None)
        if number is not None:
            indent = " " * (len(line) - len(line.lstrip(" ")))
            below = "\n".join(f"{indent}  {row}" for row in tables[number].split("\n")[:-1])
            parts[i] = f"{indent}{TABLE}: |\n{below}"
    return "\n".join(parts)

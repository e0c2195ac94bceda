"""The small values of a problem file: numbers, vectors, and unions that a bare word can stand for.

In: what YAML or Python gave. Out: plain finite floats, whole numbers and tuples, with JSON Schema that
matches. Every other module of the schema builds on these.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
)
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from controlsde.foundation.wording import LONGEST_NAME, shown

MAX_DIMENSION = 3  # of a box
MOST_COORDINATES = 256  # of free space

# Where in a problem something is: keys and list indices, from the top.
Location = tuple[str | int, ...]
Box = tuple[tuple[float, float], ...]  # one (low, high) a dimension
Inconsistency = tuple[Location, str]  # where, and what does not fit there


class InconsistencyError(ValueError):
    """Parts that do not fit each other: `(location, message)` pairs, raised all at once."""

    def __init__(self, problems: Sequence[Inconsistency]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{dotted(where)} {message}".strip() for where, message in self.problems))


def dotted(location: Location) -> str:
    """Return `("network", "width")` as `network.width`."""
    return ".".join(str(part) for part in location)


class Section(BaseModel):
    """A mapping of a problem file: immutable, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        model_title_generator=lambda model: model.__name__.removesuffix("Spec"),
    )

    def fill_in(self, **values: Any) -> None:
        """Set keys that follow from others. For validators alone: nobody has seen the section yet."""
        self.__dict__.update(values)


def about(text: str, *examples: Any, unit: str | None = None, default: str | None = None) -> Any:
    """What a key means, for editors by the JSON Schema and for the page of all keys: a part of its annotation.

    examples: values as YAML has them, one at least. unit: of its numbers; `1` is none. default: in words, where the
    schema's own does not say it, since it follows from other keys.
    """
    said = {"x-unit": unit, "x-default": default}
    return Field(
        description=text,
        examples=list(examples),
        json_schema_extra={name: words for name, words in said.items() if words is not None},
    )


def is_number(value: object) -> bool:
    """Say whether `value` is an int or a float; true and false are not numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def short(value: object) -> str:
    """Return a value as a few characters, for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.10g}"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(short(entry) for entry in value[:4]) + (", …" if len(value) > 4 else "") + "]"
        return text if len(text) <= 40 else f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    text = repr(value[: 2 * LONGEST_NAME]) if isinstance(value, str) else str(value)
    return shown(text) if len(text) <= LONGEST_NAME else shown(text[: LONGEST_NAME - 3] + "…'")


def nearest(word: object, known: Sequence[str]) -> str | None:
    """The known word that somebody may have meant; None where there is none."""
    if not isinstance(word, str) or len(word) > LONGEST_NAME:
        return None
    close = difflib.get_close_matches(word, known, n=1)
    return close[0] if close else None


# A number in plain digits. Python reads more: other scripts' digits, underscores, words; few who read a file expect it.
PLAIN_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
DECIMAL_COMMA = re.compile(r"[-+]?[0-9]*,[0-9]+([eE][-+]?[0-9]+)?")
SEPARATED = r"[\d.,'’_ \xa0\u202f]*"
SOME_NUMBER = re.compile(
    rf"[-+−]?(0[xX][0-9a-fA-F_]+|0[oO][\d_]+|0[bB][\d_]+|{SEPARATED}\d{SEPARATED}([eE][-+−]?[\d_]+)?)"
)


def number_hint(text: str) -> str:
    """How to write what seems to be a number, but not one in plain digits; nothing where it seems to be none."""
    if len(text) > LONGEST_NAME or PLAIN_NUMBER.fullmatch(text):
        return ""
    if DECIMAL_COMMA.fullmatch(text):
        return f"write it with a point, {text.replace(',', '.')}"
    return "write numbers in plain digits, such as 1200.5 or 1e-3" if SOME_NUMBER.fullmatch(text) else ""


def one_number_as_list(value: object) -> object:
    """A number as the list of that one."""
    return (value,) if is_number(value) else value


def _not_tiny(value: float) -> float:
    if value < SMALLEST:
        raise ValueError(f"must be at least {SMALLEST:g} (got {value:g})")
    return value


# Far beyond any box that is allowed, and far from where squares overflow.
LARGEST = 1e9
SMALLEST = 1e-9
LARGEST_MEASURED = 1e100  # of data before they are standardised: their squares do not overflow

Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
NonNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Coordinate = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST, le=LARGEST)]
Width = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=LARGEST), AfterValidator(_not_tiny)]
Measured = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-LARGEST_MEASURED, le=LARGEST_MEASURED)]
Whole = Annotated[int, Field(strict=True)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]

_NUMBER = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
_POSITIVE = {"type": "number", "minimum": SMALLEST, "maximum": LARGEST}


def _number_or_list(number: dict[str, Any]) -> WithJsonSchema:
    listed = {"type": "array", "items": number, "minItems": 1, "maxItems": MOST_COORDINATES}
    return WithJsonSchema({"anyOf": [number, listed]})


# One number a dimension; a plain number is the list of that one number.
Vector = Annotated[
    tuple[Coordinate, ...],
    Field(min_length=1, max_length=MOST_COORDINATES),
    BeforeValidator(one_number_as_list),
    _number_or_list(_NUMBER),
]
# The same of data in the units in which they were measured, and of those units.
MeasuredVector = Annotated[
    tuple[Measured, ...],
    Field(min_length=1, max_length=MOST_COORDINATES),
    BeforeValidator(one_number_as_list),
    _number_or_list({"type": "number", "minimum": -LARGEST_MEASURED, "maximum": LARGEST_MEASURED}),
]
UnitVector = Annotated[
    tuple[Annotated[Measured, Field(gt=0)], ...],
    Field(min_length=1, max_length=MOST_COORDINATES),
    BeforeValidator(one_number_as_list),
    _number_or_list({"type": "number", "exclusiveMinimum": 0, "maximum": LARGEST_MEASURED}),
]
PositiveVector = Annotated[
    tuple[Width, ...],
    Field(min_length=1, max_length=MOST_COORDINATES),
    BeforeValidator(one_number_as_list),
    _number_or_list(_POSITIVE),
]


def _one_number_as_matrix(value: object) -> object:
    if isinstance(value, list | tuple) and any(is_number(row) for row in value):
        raise ValueError(f"must be a matrix, a list of rows such as [[1, 0], [0, 1]] (got {short(value)})")
    return ((value,),) if is_number(value) else value


_ROW = {"type": "array", "items": _NUMBER, "minItems": 1, "maxItems": MOST_COORDINATES}

# Rows of numbers; a plain number is the 1 x 1 matrix of that number.
Matrix = Annotated[
    tuple[Annotated[tuple[Coordinate, ...], Field(min_length=1, max_length=MOST_COORDINATES)], ...],
    Field(min_length=1, max_length=MOST_COORDINATES),
    BeforeValidator(_one_number_as_matrix),
    WithJsonSchema({"anyOf": [_NUMBER, {**_ROW, "items": _ROW}]}),
]


@dataclass(frozen=True)
class Shorthand:
    """Let the bare word `kind` stand for the mapping `{kind: kind}`, and a default kind be left out."""

    words: tuple[str, ...]
    default: str | None = None

    def expand(self, value: object) -> object:
        """Return the mapping that `value` stands for; anything else is returned as it came."""
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value and self.default is not None:
            return {"kind": self.default, **value}
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.expand, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        union = handler.resolve_ref_schema(handler(schema))
        # Not oneOf: where the kind may be left out, several of the mappings can match.
        mappings: JsonSchemaValue = {"anyOf": union["oneOf"]}
        if self.default is None:
            mappings["required"] = ["kind"]
        return {"anyOf": [{"enum": list(self.words)}, mappings]} if self.words else mappings


def one_text_as_list(value: object) -> object:
    """A text or a number as a list of one."""
    return (value,) if isinstance(value, str) or is_number(value) else value

"""The form of JSON that is read back from a file: which parts, and what each must be.

Comes in: a text, and a form: a kind of value, a mapping of forms by key, a list with the form of each item, or `Maybe`
one of these. Goes out: the document, of that form; or a FormError that names the part. What a form does not name may be
there, too: later versions write more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MOST_COUNT = 2**53


class FormError(ValueError):
    """A part that is missing or of another kind; a few words that name it."""


@dataclass(frozen=True)
class Kind:
    """Values that pass a test, and what they are called."""

    words: str
    passes: Callable[[Any], bool]


@dataclass(frozen=True)
class Maybe:
    """A form, or null, or nothing at all."""

    form: Form


Form = Kind | Maybe | Mapping[str, Any] | list[Any]

TEXT = Kind("text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a number", lambda value: _is_real(value) and math.isfinite(value))
COUNT = Kind("a whole number", lambda value: type(value) is int and 0 <= value <= MOST_COUNT)
VALUE = Maybe(NUMBER)  # what is not finite is written as null


def values(*names: str) -> dict[str, Form]:
    """Numbers by name, each of which may be null or missing."""
    return dict.fromkeys(names, VALUE)


def number(value: float | None) -> float:
    """A number that was written as null where it was not finite."""
    return math.nan if value is None else float(value)


def one_of(*words: str) -> Kind:
    """One of a few words."""
    return Kind(f"one of {', '.join(words)}", lambda value: isinstance(value, str) and value in words)


def parsed(text: Any, form: Form, where: str) -> Any:
    """The document in a text. Raises FormError where it is no JSON, or not of the form."""
    if not isinstance(text, str):
        raise FormError(f"lacks {where}")
    try:
        document = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise FormError(f"holds a {where} that is no JSON") from None
    check(document, form, where)
    return document


def check(value: Any, form: Form, where: str) -> None:
    """Raise FormError where a value is not of the form."""
    if isinstance(form, Maybe):
        if value is not None:
            check(value, form.form, where)
    elif isinstance(form, Kind):
        if not form.passes(value):
            raise FormError(f"holds a {where} that is not {form.words}")
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise FormError(f"holds a {where} that is no list")
        for item in value:
            check(item, form[0], where)
    else:
        if not isinstance(value, dict):
            raise FormError(f"holds a {where} without names")
        for key, part in form.items():
            if key not in value and not isinstance(part, Maybe):
                raise FormError(f"lacks {where}.{key}")
            check(value.get(key), part, f"{where}.{key}")


def _is_real(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) <= MOST_COUNT)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")

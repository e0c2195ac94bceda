"""Validation errors in the user's words: the dotted key as written, the fault, and the cure.

In: pydantic's `ValidationError` and the values that caused it. Out: `ValidationFault`s, each with a location in the
file's own keys: without the tags that pydantic inserts for unions, and without the list that it made of a
plain number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controlsde.problem.problem import Problem
from controlsde.problem.values import InconsistencyError, Location, nearest, number_hint, short

MOST_WORDED = 500  # faults: more than are printed, so that these can be the first ones of the file

Part = Literal["key", "value", "parent"]


@dataclass(frozen=True)
class ValidationFault:
    """Something wrong at `location`; `part` says whether its key, its value or what holds it shows it."""

    location: Location
    message: str
    part: Part = "value"


def faults(error: ValidationError, data: object, model: type[BaseModel] = Problem) -> tuple[list[ValidationFault], int]:
    """Return what `error` found in `data`, in order and without repetition, and how much more it found.

    model: what the data were to be. Nobody reads thousands of faults: the first ones are put into words, the others
    counted.
    """
    found: dict[tuple[Location, str], ValidationFault] = {}
    errors = error.errors(include_url=False)
    above = {
        details["loc"][:i] for details in errors for i in range(max(0, len(details["loc"]) - 2), len(details["loc"]))
    }
    # pydantic counts only the valid entries of a list: one that is too short for it has faults of its own
    errors = [details for details in errors if details["type"] != "too_short" or details["loc"] not in above]
    for details in errors[:MOST_WORDED]:
        for fault in _faults(details, data, model):
            found.setdefault((fault.location, fault.message), fault)
    return list(found.values()), max(0, len(errors) - MOST_WORDED)


def _faults(details: ErrorDetails, data: object, model: type[BaseModel]) -> list[ValidationFault]:
    models, location = _walk(details["loc"], model)
    location = _as_written(location, data)
    context: Mapping[str, Any] = details.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, InconsistencyError):
        return [ValidationFault(_as_written((*location, *where), data), text) for where, text in cause.problems]
    if details["type"] == "extra_forbidden":
        return [ValidationFault(location, _unknown_key(str(location[-1]), models), "key")]
    if details["type"] == "missing":
        return [ValidationFault(location, "is required", "parent")]
    if details["type"] in UNION_TYPES and len(models) > 1:
        return [_kind_fault(location, details["input"], _at(location, data), models)]
    return [ValidationFault(location, _sentence(details, context))]


def _kind_fault(location: Location, given: object, written: object, models: list[type[BaseModel]]) -> ValidationFault:
    """What is wrong where a mapping is told by its kind: no mapping, no kind, or none of these kinds."""
    if not isinstance(given, Mapping):
        return ValidationFault(location, f"must be a mapping with a kind, {_one_of(models)} (got {short(given)})")
    if "kind" not in given:
        return ValidationFault((*location, "kind"), f"is required: {_one_of(models)}", "parent")
    at = (*location, "kind") if isinstance(written, Mapping) else location
    return ValidationFault(at, _unknown_kind(given["kind"], models))


def _sentence(details: ErrorDetails, context: Mapping[str, Any]) -> str:
    """Return the predicate of one sentence: `must be >= 1 (got 0)`."""
    kind, value = details["type"], details["input"]
    got = f"(got {short(value)})"
    if kind == "value_error":
        return str(context["error"])
    if kind in _LIMITS:
        return f"must be {_LIMITS[kind]} {short(next(iter(context.values())))} {got}"
    if kind == "literal_error":
        allowed = str(context["expected"])
        close = nearest(value, [w.strip(" '") for w in allowed.split(",")])
        hint = f"; did you mean {close!r}?" if close else ""
        return f"must be {allowed} {got}{hint}"
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        count = context["min_length"] if least else context["max_length"]
        return f"must have {'at least' if least else 'at most'} {count} entries {_count(value)}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters (got {len(str(value))})"
    if kind == "int_type" and isinstance(value, float):
        return f"must be a whole number (got {value!r})"
    hint = f"; {number_hint(value)}" if kind in _NUMERIC and isinstance(value, str) and number_hint(value) else ""
    return f"{_TYPES.get(kind, 'cannot be used')} {got}{hint}"


UNION_TYPES = ("union_tag_not_found", "union_tag_invalid", "model_attributes_type")

_NUMERIC = ("float_type", "int_type", "tuple_type")

_LIMITS = {
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
}

_TYPES = {
    "float_type": "must be a number",
    "finite_number": "must be finite",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "dict_type": "must be a mapping",
}


def _count(value: object) -> str:
    return f"(got {len(value)})" if isinstance(value, list | tuple) else f"(got {short(value)})"


def _unknown_key(key: str, models: list[type[BaseModel]]) -> str:
    known = [field.alias or name for model in models for name, field in model.model_fields.items()]
    close = nearest(key, known)
    hint = f"did you mean {close!r}?" if close else f"known keys: {', '.join(known)}"
    kinds = [str(model.model_fields["kind"].default) for model in models if "kind" in model.model_fields]
    return f"is not a known key{f' of kind {kinds[0]}' if kinds else ''}; {hint}"


def _kinds(models: list[type[BaseModel]]) -> list[str]:
    return [str(model.model_fields["kind"].default) for model in models]


def _one_of(models: list[type[BaseModel]]) -> str:
    return f"one of {', '.join(repr(kind) for kind in _kinds(models))}"


def _unknown_kind(kind: object, models: list[type[BaseModel]]) -> str:
    supported = _kinds(models)
    close = nearest(kind, supported)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"must be {_one_of(models)} (got {short(kind)}){hint}"


def _walk(steps: Location, model: type[BaseModel]) -> tuple[list[type[BaseModel]], Location]:
    """Follow pydantic's location through the models, from that of the whole.

    Returns the models that the last mapping on the way may be, and the location without union tags: where a
    union is told apart by its kind, pydantic's next step is that kind and not a key.
    """
    models: list[type[BaseModel]] = [model]
    inside: Any = None
    location: list[str | int] = []
    for step in steps:
        if inside is not None and isinstance(step, int):
            location.append(step)
            continue
        if inside is not None:
            models, inside = _models(inside), None
        if len(models) > 1:
            models = [model for model in models if model.model_fields["kind"].default == step] or models
            continue
        location.append(step)
        inside = _annotation(models[0], str(step)) if models else None
    if inside is not None and _models(inside):
        models = _models(inside)
    return models, tuple(location)


def _annotation(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (field.alias or name, name):
            return field.annotation
    return None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in an annotation such as `Annotated[A | B, …] | None` or `tuple[A, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, tuple) or hasattr(annotation, "__metadata__"):
        found = [_models(argument) for argument in get_args(annotation)]
        return [model for models in found for model in models]
    return []


def _at(location: Location, data: object) -> object:
    for step in location:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def _as_written(location: Location, data: object) -> Location:
    """Cut a location where what is written is a plain value, though the model made a list of it."""
    for length in range(1, len(location)):
        above = _at(location[:length], data)
        if above is not None and not isinstance(above, Mapping | list | tuple):
            return location[:length]
    return location

"""Parameters of a claim from the command line: KEY=VALUE, read by the kind of the default.

Comes in: a frozen data class of numbers, words and tuples of them, and texts. Goes out: the same with other values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any

from controlsde.foundation.errors import ControlsdeError


class SettingError(ControlsdeError, ValueError):
    """A parameter that a claim does not have, or a value of another kind; one line with the cure."""


def with_settings(parameters: Any, settings: Sequence[str]) -> Any:
    """The same parameters with KEY=VALUE taken over; a list is written [1,2,4]. Raises SettingError."""
    known = {field.name: getattr(parameters, field.name) for field in fields(parameters)}
    changes: dict[str, Any] = {}
    for setting in settings:
        key, found, text = setting.partition("=")
        if not found:
            raise SettingError(f"--set {setting}: write KEY=VALUE")
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise SettingError(f"--set {setting}: {key} is not a parameter of this claim; {hint}")
        changes[key] = _read(setting, text.strip(), known[key])
    return replace(parameters, **changes)


def _read(setting: str, text: str, like: Any) -> Any:
    if isinstance(like, tuple):
        parts = [part.strip() for part in text.strip("[]()").split(",") if part.strip()]
        if not parts:
            raise SettingError(f"--set {setting}: give a list such as [{', '.join(map(str, like))}]")
        return tuple(_read(setting, part, like[0]) for part in parts)
    if isinstance(like, str):
        return text
    kind = int if isinstance(like, int) else float
    try:
        value = kind(text)
    except ValueError:
        raise SettingError(f"--set {setting}: must be a {'whole ' * (kind is int)}number (got {text!r})") from None
    if not abs(value) < 1e300:
        raise SettingError(f"--set {setting}: must be finite")
    return value

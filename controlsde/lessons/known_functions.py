"""What a student's lines may call: functions of arrays, by NumPy's names, none of which makes anything large.

Comes in: what they are called with. Goes out: what NumPy gives, or a `TooLargeError` before anything is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

MOST_VALUES = 1_000_000  # of an array or a list
MOST_BITS = 100_000  # of a whole number

PLAIN = (
    "abs", "all", "any", "arctan", "argmax", "argmin", "array", "clip", "concatenate", "cos", "cosh", "cumsum", "diag",
    "diff", "dot", "exp", "expm1", "log", "log1p", "max", "maximum", "mean", "min", "minimum", "outer", "prod", "roll",
    "sign", "sin", "sinh", "sqrt", "sum", "tan", "tanh", "where", "zeros_like",
)  # fmt: skip
OF_A_SHAPE = ("eye", "linspace", "ones", "zeros")
TYPES = (float, int, bool)
ATTRIBUTES = ("T", "append", "copy", "max", "mean", "min", "ndim", "reshape", "shape", "size", "sum")


class TooLargeError(ValueError):
    """Something that would need more room than any exercise has."""

    def __init__(self, values: float) -> None:
        super().__init__(f"that would make {values:.2g} values; no exercise needs more than {MOST_VALUES:.0e}")


def count(value: Any, most: int = MOST_VALUES) -> int:
    """How many numbers a value holds, nested lists included; it stops counting once there are more than `most`."""
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, range):
        return len(value)
    if not isinstance(value, list | tuple | set | dict):
        return 1
    held = 0
    for one in value:
        held += count(one, most - held)
        if held > most:
            break
    return held


def refuse_large(values: float) -> None:
    """Raises TooLargeError for more values than are allowed."""
    if values > MOST_VALUES:
        raise TooLargeError(values)


def size_of_product(one: Any, other: Any) -> float:
    """How many values an operation on two arrays may give: of their common shape, or of each with each."""
    shapes = np.shape(one), np.shape(other)
    try:
        return float(math.prod(np.broadcast_shapes(*shapes)))
    except ValueError:
        return float(math.prod(shapes[0]) * math.prod(shapes[1]))


def known() -> dict[str, Any]:
    """All functions and constants, by their names."""
    found: dict[str, Any] = {name: _guarded(getattr(np, name)) for name in PLAIN}
    found |= {name: _guarded(getattr(np, name), of_a_shape=True) for name in OF_A_SHAPE}
    return found | {"arange": _arange, "range": range, "len": len, "float": float, "int": int, "pi": np.pi}


def _guarded(function: Callable[..., Any], *, of_a_shape: bool = False) -> Callable[..., Any]:
    @wraps(function)
    def guarded(*arguments: Any, **options: Any) -> Any:
        for one in (*arguments, *options.values()):
            if isinstance(one, str | bytes):
                raise TypeError("numbers are wanted, not text")
            refuse_large(count(one))
        wide = [one for one in arguments if np.ndim(one)] if function is not np.concatenate else []
        if function in (np.dot, np.outer):
            refuse_large(math.prod(max(np.size(one) / (_shared(one) if function is np.dot else 1), 1) for one in wide))
        elif not of_a_shape:
            for one in wide[1:]:
                refuse_large(size_of_product(wide[0], one))
            if len(wide) > 2:  # each with each of three, at most
                refuse_large(math.prod(np.broadcast_shapes(*(np.shape(one) for one in wide))))
        else:
            refuse_large(_asked_for(function.__name__, arguments, options))
        return function(*arguments, **options)

    return guarded


def _shared(value: Any) -> int:
    """The length over which a product of matrices sums, at least."""
    return max(1, min(np.shape(value) or (1,)))


def _asked_for(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> float:
    """How many values are to be made."""
    if name == "linspace":
        return float(options.get("num", arguments[2] if len(arguments) > 2 else 50))
    shape = arguments[0] if arguments else options.get("shape", options.get("N", 1))
    sides = [float(side) for side in (shape if isinstance(shape, list | tuple | np.ndarray) else [shape])]
    if name == "eye":
        return sides[0] * float(arguments[1] if len(arguments) > 1 else options.get("M", sides[0]))
    return math.prod(sides)


def _arange(*arguments: float) -> Any:
    start, stop, step = (0.0, arguments[0], 1.0) if len(arguments) == 1 else (*arguments, 1.0)[:3]
    refuse_large(abs((stop - start) / step))
    return np.arange(*arguments)

"""What a student wrote, made to run: a formula, or a function of a few lines.

Comes in: text. Goes out: values, or a `NotUnderstoodError` in one line that says where. The text is interpreted by
asteval, statement by statement: it knows arithmetic, arrays and loops over ranges, and no files, imports, text, or
attributes but a few. What runs for too long is ended, and what would be too large is refused before it is made.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from asteval import Interpreter
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError
from controlsde.lessons.known_functions import (
    ATTRIBUTES,
    MOST_BITS,
    TooLargeError,
    count,
    known,
    refuse_large,
    size_of_product,
)

Array = NDArray[np.float64]

MOST_STEPS = 200_000  # nodes of the syntax tree, as they are run
MOST_SECONDS = 10.0
MOST_CHARACTERS = 20_000
DEEPEST = 100  # expressions within expressions, or brackets
CALLED = re.compile(r"^Error running function .*? and kwargs \{.*?\}: ", re.DOTALL)
PLACED = re.compile(r" ?\((?:<unknown>, )?line (\d+)\)$")
ALLOWED = ("if", "for", "functiondef", "ifexp", "listcomp", "augassign")


class NotUnderstoodError(ControlsdeError, ValueError):
    """An answer that cannot be run: what is wrong with it, in one line."""


class _Ended(BaseException):
    """Ends a run that takes too long or too much room; no handler of the interpreter holds it up."""


class _Guarded(Interpreter):  # type: ignore[misc]
    """An interpreter that gives up after `MOST_STEPS` or `MOST_SECONDS`, and makes nothing large."""

    steps = 0
    since = 0.0

    def begin(self) -> None:
        """Before a run: forget the last one."""
        self.error: list[Any] = []
        self.steps, self.since = 0, time.perf_counter()

    def run(self, *arguments: Any, **options: Any) -> Any:
        self.steps += 1
        if self.steps > MOST_STEPS or time.perf_counter() - self.since > MOST_SECONDS:
            raise _Ended("This runs for too long: look at the ranges of the loops.")
        value = super().run(*arguments, **options)
        if isinstance(value, int) and value.bit_length() > MOST_BITS:
            raise _Ended("This makes a whole number of very many digits: look at the powers.")
        return value

    def on_attribute(self, node: ast.Attribute) -> Any:
        """Of arrays and lists a few attributes, of `np` those names that are known."""
        held = self.run(node.value)
        if isinstance(held, SimpleNamespace):
            if not hasattr(held, node.attr):
                raise _Ended(f"np.{node.attr} is not known here; there are {', '.join(sorted(vars(held)))}.")
        elif node.attr not in ATTRIBUTES:
            raise _Ended(f"The attribute .{node.attr} is not known here.")
        return getattr(held, node.attr)

    def on_binop(self, node: ast.BinOp) -> Any:
        """An operation, once its result is known to be of a bearable size."""
        one, other = self.run(node.left), self.run(node.right)
        if isinstance(one, str | bytes) or isinstance(other, str | bytes):
            raise _Ended("Numbers are wanted, not text.")
        try:
            refuse_large(_size(node.op, one, other))
        except TooLargeError as error:
            raise _Ended(_sentence(str(error))) from None
        if isinstance(node.op, ast.Pow | ast.LShift) and isinstance(one, int) and isinstance(other, int):
            bits = one.bit_length() * other if isinstance(node.op, ast.Pow) else one.bit_length() + other
            if bits > MOST_BITS:
                raise _Ended("This makes a whole number of very many digits: look at the powers.")
        return super().on_binop(ast.BinOp(_Held(one), node.op, _Held(other)))

    def on_subscript(self, node: ast.Subscript) -> Any:
        """A part of an array; one that is chosen by arrays may be larger than the whole."""
        if isinstance(node.ctx, ast.Load):
            held, index = self.run(node.value), self.run(node.slice)
            chosen = [np.size(one) for one in (index if isinstance(index, tuple) else (index,)) if np.ndim(one)]
            if chosen and isinstance(held, np.ndarray) and held.ndim:
                refused = np.prod(np.array(chosen, dtype=float)) * held.size / max(held.shape[0], 1)
                try:
                    refuse_large(refused)
                except TooLargeError as error:
                    raise _Ended(_sentence(str(error))) from None
            return super().on_subscript(ast.Subscript(_Held(held), _Held(index), node.ctx))
        return super().on_subscript(node)

    def on_held(self, node: _Held) -> Any:
        """A value that was computed already."""
        return node.value


class _Held(ast.expr):
    """A node of the syntax tree whose value is there."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def value_of(text: str, variables: Mapping[str, Any] | None = None) -> Array:
    """The value of a formula, of the shape that the variables make. Raises NotUnderstoodError."""
    interpreter = _interpreter(variables or {})
    return _numbers(_told(interpreter, lambda: _run(interpreter, text.strip())), "The formula")


def function_of(text: str, name: str) -> Callable[..., Array]:
    """The function `name` that the text defines; its values are arrays. Raises NotUnderstoodError, when called, too."""
    interpreter = _interpreter({})
    _told(interpreter, lambda: _run(interpreter, text))
    defined = interpreter.symtable.get(name)
    if defined is None or not callable(defined):
        raise NotUnderstoodError(f"There is no function called {name}: begin with `def {name}(…):`.")

    def function(*arguments: Any) -> Array:
        own = [np.array(each) if isinstance(each, np.ndarray) else each for each in arguments]
        return _numbers(_told(interpreter, lambda: defined(*own)), name)

    return function


def _interpreter(variables: Mapping[str, Any]) -> _Guarded:
    functions = known()
    interpreter = _Guarded(symtable={}, minimal=True, config=dict.fromkeys(ALLOWED, True))
    interpreter.node_handlers["_held"] = interpreter.on_held
    interpreter.symtable.clear()
    interpreter.symtable.update({"np": SimpleNamespace(**functions), **functions, **variables})
    return interpreter


def _run(interpreter: _Guarded, text: str) -> Any:
    if "^" in text:
        raise NotUnderstoodError("A power is written with **, such as x**2.")
    if len(text) > MOST_CHARACTERS:
        raise NotUnderstoodError(f"That is too long: {MOST_CHARACTERS} characters are the most.")
    if _depth(text) > DEEPEST:
        raise NotUnderstoodError(f"Brackets, signs or blocks are nested more than {DEEPEST} deep.")
    return interpreter.eval(text, show_errors=False, raise_errors=False)


def _told(interpreter: _Guarded, act: Callable[[], Any]) -> Any:
    """What `act` gives; whatever is wrong with the student's text is raised as NotUnderstoodError, in one line."""
    interpreter.begin()
    try:
        with np.errstate(all="ignore"):
            value = act()
    except (NotUnderstoodError, _Ended) as error:
        raise NotUnderstoodError(str(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a student's line raises is said in one line
        value = None
        if not interpreter.error:
            raise NotUnderstoodError(_said(type(error).__name__, str(error), 0)) from None
    if interpreter.error:
        first = interpreter.error[0]
        raise NotUnderstoodError(_said(getattr(first.exc, "__name__", "Error"), str(first.msg), first.lineno or 0))
    return value


def _said(kind: str, message: str, line: int) -> str:
    """An error of Python in one line: its kind, its line, what it says."""
    said = CALLED.sub("", message).split("\n")[0] or "it cannot be run"
    found = PLACED.search(said)
    if found:
        said, line = said[: found.start()], int(found.group(1))
    if kind == "RecursionError":
        said = "the function calls itself without an end"
    return f"{kind}{f' (line {line})' if line > 0 else ''}: {said}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _size(operation: ast.operator, one: Any, other: Any) -> float:
    """How many values an operation gives, at most."""
    sequences = [each for each in (one, other) if isinstance(each, list | tuple)]
    if sequences and not any(isinstance(each, np.ndarray) for each in (one, other)):
        times = next((each for each in (one, other) if isinstance(each, int)), 1)
        return sum(count(each) for each in sequences) * max(times if isinstance(operation, ast.Mult) else 1, 1)
    if isinstance(operation, ast.MatMult):
        outer = np.shape(one)[:-1] + np.shape(other)[:-2] + np.shape(other)[-1:]
        return float(np.prod(np.array(outer, dtype=float)))
    return float(size_of_product(one, other))


def _depth(text: str) -> int:
    """How deep a text is nested: in brackets, blocks, or a run of signs."""
    depth = deepest = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    signs = max((len(run) for run in re.findall(r"(?:[-+~]\s*|not\s+)+", text)), default=0)
    blocks = max((len(run) // 2 for run in re.findall(r"^[ \t]+", text, re.MULTILINE)), default=0)
    return max(deepest, signs, blocks)


def _numbers(value: Any, of: str) -> Array:
    if value is None:
        raise NotUnderstoodError(f"{of} gives nothing back: its last line is `return …`.")
    try:
        refuse_large(count(value))
        return np.asarray(value, dtype=float)
    except TooLargeError as error:
        raise NotUnderstoodError(_sentence(str(error))) from None
    except (TypeError, ValueError, OverflowError):
        raise NotUnderstoodError(f"{of} gives {type(value).__name__} where numbers are wanted.") from None

"""What a student wrote, made to run: a formula, or a function of a few lines.

Comes in: text. Goes out: values, or a `NotUnderstoodError` in one line that says where. The text is interpreted by
asteval, statement by statement: it knows arithmetic, arrays and loops over ranges, and no files, imports or attributes
that begin with an underscore. What runs for too long is ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
from asteval import Interpreter
from numpy.typing import NDArray

from controlsde.foundation.errors import ControlsdeError

Array = NDArray[np.float64]

MOST_STEPS = 400_000  # nodes of the syntax tree, as they are run
KNOWN = {
    name: getattr(np, name)
    for name in (
        "abs", "arange", "arctan", "array", "cos", "cosh", "cumsum", "diff", "dot", "exp", "eye", "floor", "linspace",
        "log", "max", "maximum", "mean", "min", "minimum", "ones", "outer", "pi", "roll", "sign", "sin", "sinh", "sqrt",
        "sum", "tan", "tanh", "where", "zeros", "zeros_like",
    )
} | {"range": range, "len": len, "int": int, "float": float}  # fmt: skip


class NotUnderstoodError(ControlsdeError, ValueError):
    """An answer that cannot be run: what is wrong with it, in one line."""


class _TooLong(BaseException):
    """Ends a run that takes too long; no handler of the interpreter holds it up."""


class _Counted(Interpreter):  # type: ignore[misc]
    """An interpreter that gives up after `MOST_STEPS`."""

    steps = 0

    def run(self, *arguments: Any, **options: Any) -> Any:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise _TooLong
        return super().run(*arguments, **options)


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
        interpreter.error, interpreter.steps = [], 0
        own = [np.array(each) if isinstance(each, np.ndarray) else each for each in arguments]
        return _numbers(_told(interpreter, lambda: defined(*own)), name)

    return function


def _interpreter(variables: Mapping[str, Any]) -> _Counted:
    known = {"np": SimpleNamespace(**KNOWN), **KNOWN, **variables}
    allowed = dict.fromkeys(("if", "for", "functiondef", "ifexp", "listcomp", "augassign"), True)
    interpreter = _Counted(symtable={}, minimal=True, config=allowed)
    interpreter.symtable.clear()
    interpreter.symtable.update(known)
    return interpreter


def _run(interpreter: _Counted, text: str) -> Any:
    if "^" in text:
        raise NotUnderstoodError("A power is written with **, such as x**2.")
    return interpreter.eval(text, show_errors=False, raise_errors=False)


def _told(interpreter: _Counted, act: Callable[[], Any]) -> Any:
    """What `act` gives; whatever is wrong with the student's text is raised as NotUnderstoodError, in one line."""
    try:
        with np.errstate(all="ignore"):
            value = act()
    except (NotUnderstoodError, _TooLong) as error:
        long = "This runs for too long: look at the ranges of the loops."
        raise NotUnderstoodError(long if isinstance(error, _TooLong) else str(error)) from None
    except Exception as error:  # noqa: BLE001 - whatever a student's line raises is said in one line
        value, said = None, str(error)
        if not interpreter.error:
            raise NotUnderstoodError(f"{type(error).__name__}: {said}") from None
    if interpreter.error:
        first = interpreter.error[0]
        line = f" (line {first.lineno})" if (first.lineno or 0) > 0 else ""
        said = str(first.msg).split("\n")[0] or "it cannot be run"
        raise NotUnderstoodError(f"{getattr(first.exc, '__name__', 'Error')}{line}: {said}")
    return value


def _numbers(value: Any, of: str) -> Array:
    if value is None:
        raise NotUnderstoodError(f"{of} gives nothing back: its last line is `return …`.")
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise NotUnderstoodError(f"{of} gives {type(value).__name__} where numbers are wanted.") from None

"""Formulas such as `exp(-x**2) * where(x < 0, 1, 2)`: read by a whitelist, evaluated on any backend.

In: a text and the names of its variables. Out: a `Formula` whose one syntax tree is evaluated on NumPy
arrays, PyTorch tensors or CasADi expressions. Nothing is ever given to `eval`: a text is cut into numbers,
names and operators, and what is not in the tables of this file is refused.

Grammar, loosest binding first:

    comparison   a < b, a <= b, a > b, a >= b      only as the first argument of where
    sum          a + b, a - b
    product      a * b, a / b
    sign         -a, +a
    power        a ** b, a ^ b                     to the right: 2**3**2 is 2**(3**2), -x**2 is -(x**2)
    atom         number, name, function(a, …), (a)
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_LENGTH = 2000
MAX_NESTING = 50
MAX_DEPTH = 200  # of the syntax tree: a sum of n terms is n deep

CONSTANTS = {"pi": math.pi, "e": math.e}

FUNCTIONS = {
    **dict.fromkeys(("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sinh", "cosh"), 1),
    **dict.fromkeys(("sigmoid", "softplus", "relu", "erf", "sign"), 1),
    **dict.fromkeys(("min", "max"), 2),
    "where": 3,
}

# A point (x, y, z) can be written (x1, x2, x3) too.
ALIASES = {"x1": "x", "x2": "y", "x3": "z"}

COMPARISONS = frozenset({"<", "<=", ">", ">="})

# How tightly an infix operator binds: (to its left, to its right).
BINDING = {
    **dict.fromkeys(COMPARISONS, (10, 11)),
    **dict.fromkeys(("+", "-"), (20, 21)),
    **dict.fromkeys(("*", "/"), (30, 31)),
    "**": (51, 50),
}
SIGN_BINDING = 40

TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<name>[^\W\d_]\w*)
    | (?P<operator>\*\*|<=|>=|[-+*/^<>(),])
    )""",
    re.VERBOSE,
)

FORBIDDEN = {
    ".": "attribute access is not allowed",
    "[": "square brackets are not allowed; write x, y, z for the components of the point",
    "]": "square brackets are not allowed; write x, y, z for the components of the point",
    "_": "a name cannot begin with an underscore",
    "'": "strings are not allowed",
    '"': "strings are not allowed",
    "=": "'=' is not allowed; compare with <, <=, > or >=",
    "!": "'!' is not allowed; compare with <, <=, > or >=",
    "%": "'%' is not allowed",
    "&": "'&' is not allowed; nest where(…) instead",
    "|": "'|' is not allowed; nest where(…) instead",
}


class FormulaError(ValueError):
    """A formula that is refused: `column` (1-based) says where, `reason` says why and what to do."""

    def __init__(self, reason: str, column: int) -> None:
        self.reason = reason
        self.column = column
        super().__init__(f"column {column}: {reason}")


@dataclass(frozen=True)
class Token:
    """A number, a name, an operator, or the end of the text."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True)
class Node:
    """A node of the syntax tree: a constant (`value`), a variable (`name`), or an operation on `args`."""

    name: str
    args: tuple[Node, ...] = ()
    value: float | None = None
    depth: int = 1

    @property
    def is_condition(self) -> bool:
        """Say whether the node is true or false rather than a number."""
        return self.name in COMPARISONS


@dataclass(frozen=True)
class Formula:
    """A formula in the given variables.

    `variables` are the names the formula may use; with `x`, `y` or `z` among them, `x1`, `x2` or `x3` mean
    the same. Raises `FormulaError` with the column and the cure.
    """

    text: str
    variables: tuple[str, ...]
    tree: Node = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", tuple(self.variables))
        object.__setattr__(self, "tree", _Parser(self.text, self.variables).parse())

    def numpy(self, **values: Any) -> Any:
        """Return the values on NumPy arrays: float64, of the shape that all variables broadcast to."""
        import numpy as np

        return self._numpy(values, np.float64)

    def single(self, **values: Any) -> Any:
        """Return the values as `numpy` does, but computed in single precision: float32."""
        import numpy as np

        return self._numpy(values, np.float32)

    def _numpy(self, values: Mapping[str, Any], precision: Any) -> Any:
        import numpy as np

        arrays = self._arguments(values, lambda value: np.asarray(value, dtype=precision))
        with np.errstate(all="ignore"):
            result = evaluate(self.tree, arrays, _numpy_operations(), precision)
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
        return np.array(np.broadcast_to(result, shape), dtype=precision)

    def torch(self, **values: Any) -> Any:
        """Return the values on PyTorch tensors, of their precision and device, differentiably."""
        import torch

        tensors = self._arguments(values, torch.as_tensor)
        like = next(iter(tensors.values()), torch.zeros((), dtype=torch.float64))

        def constant(value: float) -> torch.Tensor:
            # by way of doubles: PyTorch refuses what single precision calls infinite, as NumPy does not
            return torch.full((), value, dtype=torch.float64, device="cpu").to(dtype=like.dtype, device=like.device)

        result = evaluate(self.tree, tensors, _torch_operations(), constant)
        shape = torch.broadcast_shapes(*(t.shape for t in tensors.values()))  # type: ignore[no-untyped-call]
        return result.expand(shape).clone() if result.shape != shape else result

    def casadi(self, **values: Any) -> Any:
        """Return the CasADi expression (SX, MX or DM), of the shape of the largest variable."""
        import casadi

        expressions = self._arguments(values, lambda value: value)
        result = evaluate(self.tree, expressions, _casadi_operations(), casadi.DM)
        shapes = [casadi.DM(v).shape if is_plain(v) else v.shape for v in expressions.values()]
        shape = max(shapes, key=lambda size: size[0] * size[1], default=(1, 1))
        return casadi.repmat(result, *shape) if result.shape == (1, 1) else result

    def uses(self, variable: str) -> bool:
        """Say whether the formula depends on `variable` at all."""
        return any(node.value is None and not node.args and node.name == variable for node in self.nodes())

    def nodes(self) -> Iterator[Node]:
        """All nodes of the tree: how many there are is what a value costs."""
        waiting = [self.tree]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.args)

    def _arguments(self, values: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
        if set(values) != set(self.variables):
            raise TypeError(f"the formula takes {', '.join(self.variables)}; got {', '.join(values)}")
        return {name: convert(values[name]) for name in self.variables}


def is_plain(value: object) -> bool:
    """Say whether `value` is a Python number rather than an array or an expression."""
    return isinstance(value, int | float)


def evaluate(
    node: Node,
    variables: Mapping[str, Any],
    operations: Mapping[str, Callable[..., Any]],
    constant: Callable[[float], Any],
) -> Any:
    """Return the value of the tree under `node`, with the operations of one backend."""
    if node.value is not None:
        return constant(node.value)
    if not node.args:
        return variables[node.name]
    arguments = [evaluate(arg, variables, operations, constant) for arg in node.args]
    return operations[node.name](*arguments)


class _Parser:
    """Reads a formula by precedence climbing; constants are folded as they are read."""

    def __init__(self, text: str, variables: Iterable[str]) -> None:
        if not isinstance(text, str):
            raise FormulaError("a formula must be text", 1)
        if len(text) > MAX_LENGTH:
            raise FormulaError(f"a formula has at most {MAX_LENGTH} characters (got {len(text)})", MAX_LENGTH)
        self.variables = tuple(variables)
        self.tokens = list(_tokens(text))
        self.position = 0
        self.nesting = 0

    def parse(self) -> Node:
        node = self.number(self.expression(0), self.tokens[0])
        if self.next.kind != "end":
            raise FormulaError(f"did not expect {self.next.text!r} here", self.next.column)
        return node

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.next
        self.position += 1
        return token

    def expression(self, floor: int) -> Node:
        """Atoms joined by operators that bind at least as tightly as `floor`."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise FormulaError(f"nested more than {MAX_NESTING} deep", self.next.column)
        start = self.next
        left = self.atom()
        while self.next.text in BINDING and self.next.kind == "operator":
            to_left, to_right = BINDING[self.next.text]
            if to_left < floor:
                break
            operator = self.take()
            self.number(left, start)
            right_start = self.next
            right = self.number(self.expression(to_right), right_start)
            left = _operation(operator.text, (left, right), operator)
        self.nesting -= 1
        return left

    def number(self, node: Node, start: Token) -> Node:
        """Return `node` if it is a number; a comparison has its place only inside where."""
        if node.is_condition:
            raise FormulaError(
                "a comparison may only be the first argument of where(condition, then, otherwise)",
                start.column,
            )
        return node

    def atom(self) -> Node:
        """A number, a name, a call, a signed atom, or an expression in parentheses."""
        token = self.take()
        if token.kind == "number":
            return _constant(float(token.text), token)
        if token.kind == "name":
            return self.call(token) if self.next.text == "(" else self.named(token)
        if token.text in ("-", "+"):
            operand = self.number(self.expression(SIGN_BINDING), token)
            return _operation("negative", (operand,), token) if token.text == "-" else operand
        if token.text == "(":
            inner = self.expression(0)
            self.expect(")", token)
            return inner
        what = "the formula ends too early" if token.kind == "end" else f"did not expect {token.text!r} here"
        raise FormulaError(what, token.column)

    def expect(self, text: str, opening: Token) -> None:
        if self.next.text != text or self.next.kind != "operator":
            found = "the end" if self.next.kind == "end" else repr(self.next.text)
            raise FormulaError(
                f"expected {text!r} for the parenthesis opened at column {opening.column}, found {found}",
                self.next.column,
            )
        self.position += 1

    def call(self, name: Token) -> Node:
        """A known function of the arguments in the parentheses ahead, as many as it takes."""
        if name.text not in FUNCTIONS:
            if name.text in self.variables or name.text in CONSTANTS or name.text in ALIASES:
                raise FormulaError(f"{name.text!r} is not a function; write {name.text}*(…)", name.column)
            raise _unknown(name, "a known function", FUNCTIONS)
        opening = self.take()
        arguments: list[Node] = []
        while True:
            start = self.next
            argument = self.expression(0)
            if not (name.text == "where" and not arguments):
                self.number(argument, start)
            arguments.append(argument)
            if self.next.text != ",":
                break
            self.take()
        self.expect(")", opening)
        if len(arguments) != FUNCTIONS[name.text]:
            raise FormulaError(
                f"{name.text} takes {FUNCTIONS[name.text]} argument(s), got {len(arguments)}", name.column
            )
        if name.text == "where" and not arguments[0].is_condition:
            raise FormulaError("the first argument of where must be a comparison such as x < 0", name.column)
        return _operation(name.text, tuple(arguments), name)

    def named(self, token: Token) -> Node:
        """A variable or a constant, under its own name or an alias."""
        name = ALIASES.get(token.text, token.text)
        if name in self.variables:
            return Node(name)
        if token.text in self.variables:
            return Node(token.text)
        if token.text in CONSTANTS:
            return _constant(CONSTANTS[token.text], token)
        if token.text in FUNCTIONS:
            raise FormulaError(f"{token.text!r} is a function; write {token.text}(…)", token.column)
        if token.text == "lambda":
            raise FormulaError("lambda is not allowed", token.column)
        raise _unknown(token, "a known name", (*self.variables, *CONSTANTS))


def _tokens(text: str) -> Iterable[Token]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None:
            column = position + len(text[position:]) - len(text[position:].lstrip())
            character = text[column]
            reason = FORBIDDEN.get(character, f"{character!r} is not allowed in a formula")
            raise FormulaError(reason, column + 1)
        kind = str(match.lastgroup)
        found = match.group(kind)
        yield Token(kind, "**" if found == "^" else found, match.start(kind) + 1)
        position = match.end()
    yield Token("end", "", end + 1)


def _constant(value: float, token: Token) -> Node:
    if not math.isfinite(value):
        raise FormulaError("the constant is not finite", token.column)
    return Node("constant", value=value)


def _operation(name: str, args: tuple[Node, ...], token: Token) -> Node:
    depth = 1 + max(arg.depth for arg in args)
    if depth > MAX_DEPTH:
        raise FormulaError(f"more than {MAX_DEPTH} operations upon each other", token.column)
    node = Node(name, args, depth=depth)
    if node.is_condition or any(arg.value is None for arg in args):
        return node
    try:
        value = float(evaluate(node, {}, _constant_operations(), float))
    except (ArithmeticError, ValueError, TypeError):
        value = math.nan
    return _constant(value, token)


def _unknown(token: Token, what: str, known: Iterable[str]) -> FormulaError:
    names = list(known)
    close = difflib.get_close_matches(token.text, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return FormulaError(f"{token.text!r} is not {what}; known: {', '.join(names)}{hint}", token.column)


def _arithmetic() -> dict[str, Callable[..., Any]]:
    """Return what Python's operators do on every backend."""
    return {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b,
        "**": lambda a, b: a**b,
        "negative": lambda a: -a,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }


def _constant_operations() -> dict[str, Callable[..., Any]]:
    named = {name: getattr(math, name) for name in FUNCTIONS if hasattr(math, name)}
    return {
        **_arithmetic(),
        **named,
        "abs": abs,
        "min": min,
        "max": max,
        "sign": lambda a: float((a > 0) - (a < 0)),
        "sigmoid": lambda a: 0.5 * (1 + math.tanh(0.5 * a)),
        "softplus": lambda a: max(a, 0.0) + math.log1p(math.exp(-abs(a))),
        "relu": lambda a: max(a, 0.0),
    }


def _numpy_operations() -> dict[str, Callable[..., Any]]:
    import numpy as np

    def erf(a: Any) -> Any:
        from scipy.special import erf as scipy_erf

        return scipy_erf(a)

    names = ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sinh", "cosh", "sign", "where")
    return {
        **_arithmetic(),
        **{name: getattr(np, name) for name in names},
        "min": np.minimum,
        "max": np.maximum,
        "sigmoid": lambda a: 0.5 * (1 + np.tanh(0.5 * a)),
        "softplus": lambda a: np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a))),
        "relu": lambda a: np.maximum(a, 0),
        "erf": erf,
    }


def _torch_operations() -> dict[str, Callable[..., Any]]:
    import torch

    names = ("sin", "cos", "tan", "exp", "log", "sqrt", "abs", "tanh", "sinh", "cosh", "sign", "where")
    return {
        **_arithmetic(),
        **{name: getattr(torch, name) for name in names},
        "min": torch.minimum,
        "max": torch.maximum,
        "sigmoid": lambda a: 0.5 * (1 + torch.tanh(0.5 * a)),
        "softplus": lambda a: torch.relu(a) + torch.log1p(torch.exp(-torch.abs(a))),
        "relu": torch.relu,
        "erf": torch.erf,
    }


def _casadi_operations() -> dict[str, Callable[..., Any]]:
    import casadi

    names = ("sin", "cos", "tan", "exp", "log", "sqrt", "tanh", "sinh", "cosh", "sign", "erf")
    return {
        **_arithmetic(),
        **{name: getattr(casadi, name) for name in names},
        "abs": casadi.fabs,
        "min": casadi.fmin,
        "max": casadi.fmax,
        "where": casadi.if_else,
        "sigmoid": lambda a: 0.5 * (1 + casadi.tanh(0.5 * a)),
        "softplus": lambda a: casadi.fmax(a, 0) + casadi.log1p(casadi.exp(-casadi.fabs(a))),
        "relu": lambda a: casadi.fmax(a, 0),
    }

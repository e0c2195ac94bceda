"""Formulas with their gradients, by forward differentiation of the syntax tree.

A dual is an array (1 + d, n): the value in row 0, the d partial derivatives below it. Every operation maps
duals to duals by the chain rule, so gradients are exact to rounding wherever the formula has one. At a kink or
a jump the side on which the point lies decides; where a rule gives no finite number the gradient is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import erf

from controlsde.densities.density import Array
from controlsde.problem.formula import Formula, evaluate


def gradient(formula: Formula, x: Array) -> Array:
    """∇ of the formula at points (n, d), shape (n, d); its variables are the coordinates in order."""
    n, d = x.shape
    duals = {}
    for axis, name in enumerate(formula.variables):
        duals[name] = np.zeros((1 + d, n))
        duals[name][0] = x[:, axis]
        duals[name][1 + axis] = 1.0

    def constant(value: float) -> Array:
        dual = np.zeros((1 + d, 1))
        dual[0] = value
        return dual

    with np.errstate(all="ignore"):
        result = np.broadcast_to(evaluate(formula.tree, duals, OPERATIONS, constant), (1 + d, n))
    return np.where(np.isfinite(result[1:]), result[1:], 0.0).T


def _chain(value: Callable[[Any], Any], derivative: Callable[[Any], Any]) -> Callable[[Array], Array]:
    return lambda a: np.concatenate([value(a[:1]), derivative(a[:1]) * a[1:]])


def _product(a: Array, b: Array) -> Array:
    return np.concatenate([a[:1] * b[:1], a[:1] * b[1:] + a[1:] * b[:1]])


def _quotient(a: Array, b: Array) -> Array:
    return np.concatenate([a[:1] / b[:1], (a[1:] - a[:1] / b[:1] * b[1:]) / b[:1]])


def _power(a: Array, b: Array) -> Array:
    # d(aᵇ) = b aᵇ⁻¹ da + aᵇ log a db; the second term only where b varies, for log a may not exist
    base, exponent = a[:1], b[:1]
    change = exponent * base ** (exponent - 1.0) * a[1:]
    if np.any(b[1:]):
        change = change + base**exponent * np.log(base) * b[1:]
    return np.concatenate([base**exponent, np.broadcast_to(change, np.broadcast(a[1:], b[1:]).shape)])


def _where(condition: Any, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


def _sigmoid(z: Any) -> Any:
    return 0.5 * (1.0 + np.tanh(0.5 * z))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": _product,
    "/": _quotient,
    "**": _power,
    "negative": lambda a: -a,
    "<": lambda a, b: a[0] < b[0],
    "<=": lambda a, b: a[0] <= b[0],
    ">": lambda a, b: a[0] > b[0],
    ">=": lambda a, b: a[0] >= b[0],
    "where": _where,
    "min": lambda a, b: _where(a[0] <= b[0], a, b),
    "max": lambda a, b: _where(a[0] >= b[0], a, b),
    "sin": _chain(np.sin, np.cos),
    "cos": _chain(np.cos, lambda z: -np.sin(z)),
    "tan": _chain(np.tan, lambda z: 1.0 / np.cos(z) ** 2),
    "exp": _chain(np.exp, np.exp),
    "log": _chain(np.log, lambda z: 1.0 / z),
    "sqrt": _chain(np.sqrt, lambda z: 0.5 / np.sqrt(z)),
    "abs": _chain(np.abs, np.sign),
    "sign": _chain(np.sign, np.zeros_like),
    "tanh": _chain(np.tanh, lambda z: 1.0 / np.cosh(z) ** 2),
    "sinh": _chain(np.sinh, np.cosh),
    "cosh": _chain(np.cosh, np.sinh),
    "sigmoid": _chain(_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "softplus": _chain(lambda z: np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))), _sigmoid),
    "relu": _chain(lambda z: np.maximum(z, 0.0), lambda z: (z > 0.0).astype(np.float64)),
    "erf": _chain(erf, lambda z: 2.0 / np.sqrt(np.pi) * np.exp(-(z**2))),
}

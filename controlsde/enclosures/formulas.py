"""Formulas on boxes: what values and slopes they can have anywhere on each.

Comes in: a formula, and boxes of its variables. Goes out: intervals that hold all values and all partial derivatives.

Both come from one walk of the syntax tree with dual numbers whose parts are intervals. With slopes the mean-value form

    f(x) ∈ f(c) + Σ_i ∂_i f([x]) ([x_i] − c_i),       c the middle of the box,

is often much narrower than the walk itself, for the excess of one falls with the width of the box, that of the other
with its square; the values are held by both. Across a jump the slopes are unbounded, and the walk alone is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controlsde.enclosures import intervals
from controlsde.enclosures.intervals import Interval
from controlsde.problem.formula import Formula, evaluate

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Enclosure:
    """Values (n,) and slopes (variables, n) on each of n boxes."""

    values: Interval
    slopes: Interval


def enclose(formula: Formula, boxes: Interval) -> Enclosure:
    """A formula on boxes (variables, n), the variables in its own order."""
    count = len(formula.variables)
    with np.errstate(all="ignore"):
        found = _walked(formula, boxes, np.eye(count)[:, :, None] * np.ones_like(boxes.low[:1]))
        values = _spread(found.value, boxes.low.shape[1:])
        slopes = _spread(found.slopes, boxes.low.shape)
        return Enclosure(values & _mean_value(formula, boxes, slopes), slopes)


def _walked(formula: Formula, boxes: Interval, seeds: Array) -> Dual:
    """One walk of the tree; seeds: of each variable the slopes (variables, slopes wanted, n)."""
    duals = {name: Dual(boxes[number], Interval.of(seeds[number])) for number, name in enumerate(formula.variables)}

    def constant(value: float) -> Dual:
        return Dual(Interval.of(np.full(1, value)), Interval.of(np.zeros((seeds.shape[1], 1))))

    return evaluate(formula.tree, duals, OPERATIONS, constant)  # type: ignore[no-any-return]


def _spread(part: Interval, shape: tuple[int, ...]) -> Interval:
    return Interval(np.broadcast_to(part.low, shape), np.broadcast_to(part.high, shape))


def _mean_value(formula: Formula, boxes: Interval, slopes: Interval) -> Interval:
    middle = Interval.of(0.5 * (boxes.low + boxes.high))
    count, size = boxes.low.shape
    at_middle = _walked(formula, middle, np.zeros((count, 0, size))).value  # with its own rounding, and no slopes
    total = _spread(at_middle, (size,))
    for number in range(count):
        total = total + slopes[number] * (boxes[number] - middle[number])
    return total


@dataclass(frozen=True, eq=False)
class Dual:
    """A value (n,) and its slopes (variables, n), each an interval; n may be 1 for a constant."""

    value: Interval
    slopes: Interval

    @property
    def constant(self) -> float | None:
        """The number that this is, if it is one."""
        if self.value.low.size == 1 and self.value.low == self.value.high and not np.any(self.slopes.low):
            return float(self.value.low[0])
        return None


def _chain(function: Callable[[Interval], Interval], slope: Callable[[Interval], Interval]) -> Callable[[Dual], Dual]:
    return lambda a: Dual(function(a.value), slope(a.value) * a.slopes)


def _product(a: Dual, b: Dual) -> Dual:
    return Dual(a.value * b.value, a.value * b.slopes + b.value * a.slopes)


def _quotient(a: Dual, b: Dual) -> Dual:
    value = a.value / b.value
    return Dual(value, (a.slopes - value * b.slopes) / b.value)


def _power(a: Dual, b: Dual) -> Dual:
    exponent = b.constant
    if exponent is not None:
        slope = Interval.of(exponent) * intervals.power(a.value, exponent - 1.0)
        return Dual(intervals.power(a.value, exponent), slope * a.slopes)
    # aᵇ = exp(b log a), and its slope aᵇ (b′ log a + b a′/a), where a > 0; a negative a has powers at whole b
    log = intervals.logarithm(a.value)
    value = intervals.exponential(b.value * log)
    slopes = value * (log * b.slopes + (b.value / a.value) * a.slopes)
    negative = intervals.falls_below(a.value, 0.0)
    moved = (a.slopes.magnitude > 0.0) | (b.slopes.magnitude > 0.0)
    return Dual(_everything(negative, value), _everything(negative & moved, slopes))


def _everything(where: Any, otherwise: Interval) -> Interval:
    return Interval(np.where(where, -np.inf, otherwise.low), np.where(where, np.inf, otherwise.high))


@dataclass(frozen=True, eq=False)
class _Condition:
    """Whether a comparison, of each box, is true on all of it, or on none; by variable, whether it depends on that."""

    certain: Any  # (n,)
    never: Any  # (n,)
    moved: Any  # (variables, n)


def _compared(a: Dual, b: Dual, certain: Any, never: Any) -> _Condition:
    return _Condition(certain, never, (a.slopes.magnitude > 0.0) | (b.slopes.magnitude > 0.0))


def _below(a: Dual, b: Dual) -> _Condition:
    return _compared(a, b, a.value.high < b.value.low, a.value.low >= b.value.high)


def _at_most(a: Dual, b: Dual) -> _Condition:
    return _compared(a, b, a.value.high <= b.value.low, a.value.low > b.value.high)


def _choice(condition: _Condition, a: Interval, b: Interval, either: Interval) -> Interval:
    """a where the condition is certain, b where it never holds, else `either`."""
    return Interval(
        np.where(condition.certain, a.low, np.where(condition.never, b.low, either.low)),
        np.where(condition.certain, a.high, np.where(condition.never, b.high, either.high)),
    )


def _where(condition: _Condition, a: Dual, b: Dual) -> Dual:
    """Across a jump the slopes are unbounded along what the condition depends on."""
    both = a.slopes | b.slopes
    unbounded = Interval(np.where(condition.moved, -np.inf, both.low), np.where(condition.moved, np.inf, both.high))
    return Dual(
        _choice(condition, a.value, b.value, a.value | b.value), _choice(condition, a.slopes, b.slopes, unbounded)
    )


def _smaller(a: Dual, b: Dual) -> Dual:
    slopes = _choice(_at_most(a, b), a.slopes, b.slopes, a.slopes | b.slopes)
    return Dual(intervals.least(a.value, b.value), slopes)


def _larger(a: Dual, b: Dual) -> Dual:
    slopes = _choice(_at_most(b, a), a.slopes, b.slopes, a.slopes | b.slopes)
    return Dual(intervals.largest(a.value, b.value), slopes)


def _sign_slope(x: Interval) -> Interval:
    jump = (x.low <= 0.0) & (x.high >= 0.0)
    return Interval(np.where(jump, -np.inf, 0.0), np.where(jump, np.inf, 0.0))


def _tangent_slope(x: Interval) -> Interval:
    value = intervals.tangent(x)
    return Interval.of(np.ones_like(x.low)) + intervals.power(value, 2.0)


def _inverse(x: Interval) -> Interval:
    return Interval.of(np.ones_like(x.low)) / x


OPERATIONS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: Dual(a.value + b.value, a.slopes + b.slopes),
    "-": lambda a, b: Dual(a.value - b.value, a.slopes - b.slopes),
    "*": _product,
    "/": _quotient,
    "**": _power,
    "negative": lambda a: Dual(-a.value, -a.slopes),
    "<": _below,
    "<=": _at_most,
    ">": lambda a, b: _below(b, a),
    ">=": lambda a, b: _at_most(b, a),
    "where": _where,
    "min": _smaller,
    "max": _larger,
    "sin": _chain(intervals.sine, intervals.cosine),
    "cos": _chain(intervals.cosine, lambda x: -intervals.sine(x)),
    "tan": _chain(intervals.tangent, _tangent_slope),
    "exp": _chain(intervals.exponential, intervals.exponential),
    "log": _chain(intervals.logarithm, _inverse),
    "sqrt": _chain(intervals.square_root, lambda x: Interval.of(np.full_like(x.low, 0.5)) / intervals.square_root(x)),
    "abs": _chain(intervals.absolute, intervals.sign),
    "sign": _chain(intervals.sign, _sign_slope),
    "tanh": _chain(intervals.hyperbolic_tangent, intervals.hyperbolic_tangent_slope),
    "sinh": _chain(intervals.hyperbolic_sine, intervals.hyperbolic_cosine),
    "cosh": _chain(intervals.hyperbolic_cosine, intervals.hyperbolic_sine),
    "sigmoid": _chain(intervals.sigmoid, intervals.sigmoid_slope),
    "softplus": _chain(intervals.softplus, intervals.softplus_slope),
    "relu": _chain(intervals.positive_part, intervals.step),
    "erf": _chain(intervals.error_function, intervals.error_function_slope),
}

"""Gradients of formulas, operation by operation, against difference quotients."""

import numpy as np
import pytest

from controlsde.densities.dual_numbers import OPERATIONS, gradient
from controlsde.problem.formula import FUNCTIONS, Formula

TEXTS = {
    **{name: f"{name}(0.3 + 0.5*x*y)" for name, arity in FUNCTIONS.items() if arity == 1},
    "min": "min(x*y, x + y)",
    "max": "max(x*y, x + y)",
    "where": "where(x < y, x**2, y**3)",
    "+": "x + y + 1",
    "-": "x - y*x",
    "*": "x*y*x",
    "/": "x / (2 + y)",
    "**": "(2 + x)**(1.5*y) + x**3 + 2**x",
    "negative": "-x*y",
    **{sign: f"where(x*y {sign} 0.1, sin(x), cos(y))" for sign in ("<", "<=", ">", ">=")},
}


def test_every_operation_of_a_formula_has_a_derivative():
    assert set(OPERATIONS) == set(TEXTS)


@pytest.mark.parametrize("name", TEXTS)
def test_gradient_is_the_difference_quotient(name, rng):
    formula, h = Formula(TEXTS[name], ("x", "y")), 1e-6
    x = rng.uniform(0.1, 0.9, (40, 2))
    slope = gradient(formula, x)
    for axis, step in enumerate(h * np.eye(2)):
        up, down = x + step, x - step
        quotient = (formula.numpy(x=up[:, 0], y=up[:, 1]) - formula.numpy(x=down[:, 0], y=down[:, 1])) / (2 * h)
        np.testing.assert_allclose(slope[:, axis], quotient, atol=1e-8)


def test_gradient_is_zero_where_there_is_none():
    formula = Formula("sqrt(x)", ("x",))
    np.testing.assert_array_equal(gradient(formula, np.array([[0.0], [1.0]]))[:, 0], [0.0, 0.5])

"""What a student writes is run within bounds: of time, of room, and of what it may touch. Errors are one line."""

import time

import numpy as np
import pytest

from controlsde.lessons.known_functions import MOST_VALUES, TooLargeError, count, known
from controlsde.lessons.students_code import NotUnderstoodError, function_of, value_of

X = np.linspace(-2.0, 2.0, 7)


def refusal(text, *arguments, variables=None):
    """What is said of a formula, or of a function f called with arguments; it has to be refused."""
    variables = {"x": X} if variables is None else variables
    with pytest.raises(NotUnderstoodError) as refused:
        _ = function_of(text, "f")(*arguments) if "def " in text else value_of(text, variables)
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < 1000
    return said


def f(body):
    return "def f(x):\n" + "".join(f"    {line}\n" for line in body.split("\n"))


def test_a_formula_has_the_values_of_numpy():
    text = "np.exp(-x**2/2)/sqrt(2*pi) + where(x > 0, x, -x)*tanh(x).sum()"
    expected = np.exp(-(X**2) / 2) / np.sqrt(2 * np.pi) + np.abs(X) * np.tanh(X).sum()
    np.testing.assert_allclose(value_of(text, {"x": X}), expected, rtol=1e-14)


def test_a_function_may_loop_branch_call_itself_and_fill_arrays():
    function = function_of(
        "def fold(k):\n    return k if k < 2 else fold(k-1) + fold(k-2)\n"
        "def f(x, n):\n    '''adds up'''\n    y = zeros(n, dtype=float)\n    for k in range(n):\n"
        "        if k % 2 == 0:\n            continue\n        y[k] += x*fold(k)\n    return y\n",
        "f",
    )
    np.testing.assert_array_equal(function(2.0, 6), [0, 2, 0, 4, 0, 10])
    np.testing.assert_array_equal(function(1.0, 2), [0, 1])  # once more: nothing is left of the first call


def test_a_function_does_not_change_what_it_is_given():
    given = X.copy()
    function_of(f("x[0] = 7\nreturn x"), "f")(given)
    np.testing.assert_array_equal(given, X)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x +", "SyntaxError (line 1): invalid syntax"),
        (f("y = 1\nreturn y +"), "SyntaxError (line 3): invalid syntax"),
        (f("y = x\nreturn z"), "NameError (line 3): name 'z' is not defined"),
        (f("y = zeros(2)\ny[5] = 1\nreturn y"), "IndexError (line 3): index 5 is out of bounds for axis 0 with size 2"),
        (f("y = x"), "f gives nothing back: its last line is `return …`."),
        ("def g(x):\n    return x", "There is no function called f: begin with `def f(…):`."),
        ("def f(x, y):\n    return x", "TypeError: f() takes at least 2 arguments, got 1"),
        ("x^2", "A power is written with **, such as x**2."),
        ("1/0", "ZeroDivisionError (line 1): division by zero"),
        ("np.linalg", "np.linalg is not known here; there are "),
        ("'a'", "The formula gives str where numbers are wanted."),
        ("np", "The formula gives SimpleNamespace where numbers are wanted."),
        ("sin", "The formula gives function where numbers are wanted."),
        ("exp('a')", "TypeError (line 1): numbers are wanted, not text"),
        (f("return f(x)"), "RecursionError (line 2): the function calls itself without an end"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(text, said):
    assert refusal(text, 1.0).startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "import os", "from os import path", "__import__('os')", "open('x')", "().__class__", "x.__class__", "x.tofile",
        "x.dump('y')", "x.data", "x.ctypes", "exp.__globals__", "np.save", "np.exp.__wrapped__", "print(1)",
        "f'{x}'", "'%999999999d' % 1", "'a'*9", "lambda: 1", "{1: 2}.items", "range.__subclasses__()", "float.fromhex",
        "while True:\n    pass", "class A:\n    pass", "with x:\n    pass", "try:\n    1\nexcept: 1", "del x",
        "def f(x):\n    return f.__code__", "def f(x):\n    return f.__asteval__", "def f(x):\n    return x.__class__",
        "def f(x):\n    return f.name",
    ],
)  # fmt: skip
def test_nothing_but_arithmetic_is_reached(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refusal(text, X)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        f("for k in range(10**10):\n    pass\nreturn 1"),
        f("return sum([k for k in range(10**9)])"),
        f("s = 0\nfor i in range(10**5):\n    for j in range(10**5):\n        s += 1\nreturn s"),
        "def f(x):\n    return f(x) + f(x) if x < 900 else 1",
        f("s = 0\nfor k in range(10**5):\n    s = (s + ones(10**6)).sum()\nreturn s"),
    ],
)
def test_what_runs_too_long_is_ended(text, monkeypatch):
    monkeypatch.setattr("controlsde.lessons.students_code.MOST_STEPS", 20_000)
    monkeypatch.setattr("controlsde.lessons.students_code.MOST_SECONDS", 1.0)
    began = time.process_time()
    said = refusal(text, 1.0)
    assert "runs for too long" in said or "calls itself without an end" in said
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "text",
    [
        "[1]*10**9", "10**9*[1]", "(1,)*10**9", "zeros(10**12)", "zeros((10**6, 10**6))", "ones([9**9])", "eye(10**5)",
        "eye(2, 10**9)", "linspace(0, 1, 10**10)", "linspace(0, 1, num=10**10)", "arange(0, 1, 1e-12)",
        "sum(range(10**10))", "array(range(10**9))", "outer(ones(10**5), ones(10**5))", "zeros(shape=10**12)",
        "ones(10**5).reshape((10**5, 1)) + ones(10**5)", "ones((10**5, 1)) @ ones((1, 10**5))", "diag(ones(10**5))",
        "dot(ones((10**5, 1)), ones((1, 10**5)))", "maximum(ones((10**5, 1)), ones(10**5))",
        "where(ones((10**4, 1)) > 0, ones((1, 10**4)), 1)", "9**9**9**9", "(2**60000)**60000", "1 << 10**9",
        "ones((2, 10**5))[array([0]*10**4)]", "zeros(3, 'U1000000000')",
    ],
)  # fmt: skip
def test_what_would_be_large_is_refused_before_it_is_made(text):
    began = time.process_time()
    refusal(text)
    assert time.process_time() - began < 2


def test_lists_that_double_and_lists_of_lists_do_not_grow_without_bounds():
    assert "values" in refusal(f("y = [1]\nfor k in range(60):\n    y = y + y\nreturn y"), 1.0)
    assert "values" in refusal(f("y = [1]*10**3\nfor k in range(9):\n    y = [y]*10**3\nreturn y"), 1.0)
    assert "digits" in refusal(f("y = 3\nfor k in range(60):\n    y = y*y\nreturn y"), 1.0)


@pytest.mark.parametrize("text", ["(" * 5000 + "1" + ")" * 5000, "-" * 50_000 + "1", "1+" * 30_000 + "1", "x" * 10**6])
def test_text_that_is_nested_or_long_beyond_measure_is_refused(text):
    refusal(text)


def test_what_is_known_makes_nothing_larger_than_it_may():
    assert count([[1, 2], [3]] * 2) == 6
    assert count(np.zeros((3, 4))) == 12
    assert count([[0] * 1000] * 10**6) > MOST_VALUES  # and is told at once
    with pytest.raises(TooLargeError):
        known()["zeros"](MOST_VALUES + 1)
    assert known()["zeros"](MOST_VALUES).size == MOST_VALUES
    np.testing.assert_array_equal(known()["arange"](1, 9, 2), [1, 3, 5, 7])
    assert known()["dot"](np.ones((300, 300)), np.ones(300)).shape == (300,)

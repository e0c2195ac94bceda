"""Enclosures hold every value and slope on a box, and shrink to them as the box does."""

import numpy as np
import pytest

from controlsde.densities import dual_numbers
from controlsde.enclosures import Interval, enclose, intervals
from controlsde.problem.formula import FUNCTIONS, Formula, FormulaError

ATOMS = ["x", "y", "0.7", "2", "1e-1", "pi"]


def random_text(rng, depth):
    if depth == 0:
        return str(rng.choice(ATOMS))
    a, b, c = (random_text(rng, depth - 1) for _ in range(3))
    forms = [
        f"({a} + {b})", f"({a} - {b})", f"({a}) * ({b})", f"({a}) / ({b})", f"-({a})", f"abs({a}) ** 1.5",
        f"({a})^2", f"({a})^3", f"({a})^-2", f"2^sin({a})", f"abs({a})^({b})", f"where({a} < {b}, {b}, {c})",
        f"where({a} >= 0.3, {b}, {c})", f"where({a} <= 0.3, {b}, {c})", f"where({a} > 0.3, {b}, {c})",
        f"min({a}, {b})", f"max({a}, {b})", *(f"{name}({a})" for name, count in FUNCTIONS.items() if count == 1),
    ]  # fmt: skip
    return str(rng.choice(forms))


def random_formula(rng):
    while True:
        try:
            return Formula(random_text(rng, 3), ("x", "y"))
        except FormulaError:  # a constant part that is not finite
            continue


def boxes_in(rng, count, width):
    low = rng.uniform(-2.0, 2.0, (2, count))
    return Interval(low, low + width * rng.random((2, count)))


@pytest.mark.parametrize("seed", range(120))
def test_no_value_and_no_slope_of_a_random_formula_lies_outside(seed):
    rng = np.random.default_rng(seed)
    formula = random_formula(rng)
    for width in (1.0, 1e-2):
        boxes = boxes_in(rng, 40, width)
        held = enclose(formula, boxes)
        for _ in range(30):
            share = rng.random(boxes.low.shape)
            place = boxes.low + share * (boxes.high - boxes.low)
            value = formula.numpy(x=place[0], y=place[1])
            slope = dual_numbers.gradient(formula, place.T).T
            real = np.isfinite(value)
            slack = 1e-12 * (1.0 + np.abs(value))
            assert np.all((held.values.low - slack <= value)[real])
            assert np.all((value <= held.values.high + slack)[real])
            unsure = 1e-9 * (1.0 + np.abs(slope))
            assert np.all((held.slopes.low - unsure <= slope)[:, real])
            assert np.all((slope <= held.slopes.high + unsure)[:, real])


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("x**2", 0.0, 4.0),
        ("x**3", -1.0, 8.0),
        ("abs(x)", 0.0, 2.0),
        ("cos(x)", np.cos(2.0), 1.0),
        ("sin(2*x)", -1.0, 1.0),
        ("cosh(x)", 1.0, np.cosh(2.0)),
        ("where(x < 0, -3, x)", -3.0, 2.0),
        ("max(x, 0.5)", 0.5, 2.0),
        ("50000*exp(-((x - 0.5003)/1e-5)**2/2)", 0.0, 50000.0),
        ("1/x", -np.inf, np.inf),
        ("log(x)", -np.inf, np.inf),
        ("tan(x)", -np.inf, np.inf),
    ],
)
def test_the_range_on_an_interval_is_what_the_mathematics_says(text, low, high):
    held = enclose(Formula(text, ("x",)), Interval(np.array([[-1.0]]), np.array([[2.0]])))
    np.testing.assert_allclose([held.values.low[0], held.values.high[0]], [low, high], atol=1e-12, rtol=1e-12)


def test_slopes_make_the_excess_fall_with_the_square_of_the_width():
    formula = Formula("x*exp(-x)*sin(x)", ("x",))
    excess = []
    for width in (0.1, 0.05, 0.025):
        box = Interval(np.array([[1.0]]), np.array([[1.0 + width]]))
        values = formula.numpy(x=np.linspace(1.0, 1.0 + width, 1001))
        excess.append(float(enclose(formula, box).values.width[0] - np.ptp(values)))
    rates = np.log2(np.array(excess[:-1]) / excess[1:])
    assert np.all(rates > 1.8)


def test_arithmetic_is_rounded_outwards():
    tenth = Interval.of(0.1)
    total = Interval.of(0.0)
    for _ in range(10):
        total = total + tenth
    assert total.low < 1.0 < total.high
    assert (tenth * tenth).low < 0.1 * 0.1 < (tenth * tenth).high
    third = Interval.of(1.0) / Interval.of(3.0)
    assert third.low < 1.0 / 3.0 < third.high


def test_what_two_enclosures_share_is_no_wider_than_either():
    both = Interval(np.array([0.0]), np.array([2.0])) & Interval(np.array([1.0]), np.array([3.0]))
    assert (both.low[0], both.high[0]) == (1.0, 2.0)
    hull = Interval(np.array([0.0]), np.array([1.0])) | Interval(np.array([2.0]), np.array([3.0]))
    assert (hull.low[0], hull.high[0]) == (0.0, 3.0)
    assert intervals.absolute(Interval(np.array([-2.0]), np.array([1.0]))).low[0] == 0.0


@pytest.mark.parametrize("name", sorted(name for name, count in FUNCTIONS.items() if count == 1))
def test_values_far_out_are_held_with_all_their_digits(name):
    """Where they are tiny, too: what multiplies them may be large."""
    rng = np.random.default_rng(11)
    low = rng.uniform(-60.0, 60.0, (1, 400))
    boxes = Interval(low, low + rng.random(low.shape))
    held = enclose(Formula(f"{name}(x)", ("x",)), boxes).values
    for share in np.linspace(0.0, 1.0, 12):
        value = Formula(f"{name}(x)", ("x",)).numpy(x=(boxes.low + share * boxes.width)[0])
        real = np.isfinite(value)
        slack = 1e-12 * np.abs(value)
        assert np.all((held.low - slack <= value)[real])
        assert np.all((value <= held.high + slack)[real])


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("softplus(x)", lambda x: np.exp(x)),
        ("sigmoid(x)", lambda x: np.exp(x)),
        ("tanh(x)", lambda x: 4 * np.exp(2 * x)),
    ],
)
def test_slopes_far_out_are_not_taken_for_nothing(text, slope):
    boxes = Interval(np.array([[-300.0, -60.0, -40.0]]), np.array([[-299.9, -59.9, -39.9]]))
    held = enclose(Formula(text, ("x",)), boxes).slopes
    for place in (boxes.low[0], boxes.high[0]):
        assert np.all(held.low[0] <= slope(place) * (1 + 1e-12))
        assert np.all(slope(place) * (1 - 1e-12) <= held.high[0])


@pytest.mark.parametrize("text", ["x**y", "(x - 1)**(y + 0*x)", "(-2)**(y + x)"])
def test_a_negative_number_to_a_power_that_varies_can_be_anything(text):
    boxes = Interval(np.array([[-2.0], [1.0]]), np.array([[-1.0], [3.0]]))
    held = enclose(Formula(text, ("x", "y")), boxes)
    assert np.all(np.isneginf(held.values.low) & np.isposinf(held.values.high))


@pytest.mark.parametrize("text", ["where(2*x < 1, 1, 2)", "where(abs(x - 0.3) < 0.1, 1, 2) + 0*y", "sin(3*x)*x - 2*x"])
def test_what_a_formula_does_not_depend_on_has_no_slope(text):
    boxes = Interval(np.array([[-1.0], [0.0]]), np.array([[1.0], [1.0]]))
    slopes = enclose(Formula(text, ("x", "y")), boxes).slopes
    assert (slopes.low[1, 0], slopes.high[1, 0]) == (0.0, 0.0)
    assert slopes.high[0, 0] > 0.0

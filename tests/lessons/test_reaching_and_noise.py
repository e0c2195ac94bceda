"""What the questions of lessons 6 to 8 state, and what their formulas say, against the software."""

from functools import partial

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.linalg import expm

import controlsde as cs
from controlsde.claims import narrow_switching, noise_helps_only_later
from controlsde.claims.harness.evolution import density_after, line
from controlsde.lessons.contents import lesson
from controlsde.lessons.students_code import function_of, value_of


def exercise(number, key):
    return {one.key: one for one in lesson(number).exercises}[key]


def solution(number, key):
    return exercise(number, key).right[0]


def test_the_palindrome_has_the_error_that_the_question_states_and_the_one_that_it_asks_for():
    given, mesh = narrow_switching.Parameters(), line(-6.0, 6.0, 12)
    run = partial(density_after, mesh, diffusivity=0.5, initial=narrow_switching.start)
    whole = run(partial(narrow_switching.both, given), times=np.linspace(0, 1, 65))
    order = narrow_switching.PATTERNS["symmetric"]
    errors = [
        run(partial(narrow_switching.in_turn, given, order, n), times=np.linspace(0, 1, 4 * n + 1)).distance(whole)
        for n in (8, 32)
    ]
    assert "3.71\\cdot10^{-4}" in exercise(6, "palindrome").question
    assert errors[0] == pytest.approx(3.71e-4, rel=2e-3)
    assert exercise(6, "palindrome").check(f"{errors[1]!r}").solved


def test_the_drift_in_turn_is_that_of_the_claim():
    given, x = narrow_switching.Parameters(), np.linspace(-2, 2, 5)[:, None]
    first, second = (narrow_switching.neuron(given, number, x) for number in (0, 1))
    switched = function_of(solution(6, "schedule"), "switched")
    for t in (0.05, 0.2, 0.4, 0.55, 0.7, 0.9):
        expected = narrow_switching.in_turn(given, (0, 1), 3, t, x)
        np.testing.assert_allclose(switched(t, first, second, 3, 1.0), expected)


def test_the_leading_term_leaves_an_error_of_third_order():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 3))
    leading = function_of(solution(6, "commutator"), "leading")
    left = [np.linalg.norm(expm(h * b) @ expm(h * a) - expm(h * (a + b)) - leading(a, b, h)) for h in (0.02, 0.01)]
    assert np.log2(left[0] / left[1]) == pytest.approx(3.0, abs=0.1)


def test_what_keeps_switching_with_noise_from_order_three_are_the_two_integrals_that_the_lesson_names():
    # ẋ = (L + uB)x, U = ∫u, ∫u = 1, ∫U = ½: off by h³ {(∫Ut − ⅓)[L, [B, L]] + ½(∫U² − ⅓)[B, [B, L]]} and O(h⁴)
    rng = np.random.default_rng(1)
    always, drift = rng.standard_normal((2, 4, 4))
    rates = np.array([2.5, -0.5, 0.0, 0.0])  # on four equal slots, of which the last two are for ∫u and ∫U
    shares = np.array([0.875, 0.625, 0.375, 0.125])  # ∫U = ¼ Σ shares · rates
    rates[2:] = np.linalg.solve([[1.0, 1.0], shares[2:]], [4 - rates.sum(), 2 - shares @ rates])
    t = np.linspace(0, 1, 4001)
    reached = np.interp(t, np.linspace(0, 1, 5), np.append(0.0, np.cumsum(rates) / 4))
    first, second = trapezoid(reached * t, t) - 1 / 3, (trapezoid(reached**2, t) - 1 / 3) / 2
    inner = drift @ always - always @ drift
    expected = first * (always @ inner - inner @ always) + second * (drift @ inner - inner @ drift)

    def off(h):
        product = np.eye(4)
        for rate in rates:
            product = expm(h / 4 * (always + rate * drift)) @ product
        return (product - expm(h * (always + drift))) / h**3

    np.testing.assert_allclose(2 * off(2e-3) - off(4e-3), expected, atol=2e-3 * np.abs(expected).max())
    assert trapezoid((reached - t) ** 2, t) == pytest.approx(2 * second - 2 * first, abs=1e-6)  # zero if both are


@pytest.mark.parametrize(("within", "stated"), [(0.0, 4.01), (0.218, 1.29), (0.05, 3.04)])
def test_the_bounds_in_the_question_on_the_price_are_those_of_the_software(within, stated):
    found = cs.energy_bound(cs.load_problem("two-bumps"), within=within).value
    assert found == pytest.approx(stated, abs=0.005)
    assert f"{stated}" in exercise(7, "price").question


def test_a_singular_value_is_what_the_state_equation_makes_of_a_small_drift():
    small, horizon = 1e-4, 0.4
    for n, diffusivity in ((1, 0.1), (3, 0.1), (2, 1.0)):
        final = density_after(
            line(0.0, 1.0, 6),
            lambda _, x, n=n: small * np.sin(n * np.pi * x),
            diffusivity,
            lambda x: np.ones(len(x)),
            np.linspace(0.0, horizon, 17),
        )
        measured = final.l2(lambda x: np.ones(len(x))) / np.sqrt(horizon * small**2 / 2)
        formula = value_of(solution(7, "sigma"), {"n": float(n), "D": diffusivity, "T": horizon})
        assert measured == pytest.approx(float(formula), rel=1e-3)


def test_the_error_of_the_mean_is_that_of_the_claim():
    for eta, horizon in ((0.5, 0.7), (1.0, 1.5), (2.0, 3.0)):
        found = value_of(solution(8, "bias"), {"eta": eta, "T": horizon, "a": 0.3})
        assert float(found) == pytest.approx(noise_helps_only_later.mean_error(eta, 0.3, horizon))
    assert exercise(8, "threshold").check(f"{noise_helps_only_later.crossing()!r}").solved


def test_the_best_noise_against_a_biased_score_is_none_or_as_much_as_there_is():
    levels = np.geomspace(1e-4, 1e3, 400)
    for horizon in (0.3, 0.9, 1.1, 1.5, 1.9, 3.0):
        errors = np.array([noise_helps_only_later.mean_error(eta, 1.0, horizon) for eta in levels])
        assert np.all(errors > min(horizon, 1.0) - 1e-12)
        assert (errors[0] > horizon) == (horizon < 2.0)  # a little noise, against none


def test_a_wrong_start_arrives_with_mass_one_and_the_right_one_at_the_data():
    arrives = function_of(solution(8, "wrong_start"), "arrives")
    start, data, noised, chain = exercise(8, "wrong_start").probes[0]
    assert float(np.sum(arrives(start, data, noised, chain))) == pytest.approx(1.0)
    np.testing.assert_allclose(arrives(noised, data, noised, chain), data)

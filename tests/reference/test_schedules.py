"""Schedules against closed forms, quadrature, and the processes whose clock they change."""

import math
import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from controlsde.problem import schema
from controlsde.problem.formula import Formula
from controlsde.reference import build_diffusivity
from controlsde.reference.schedules import (
    cosine_noise,
    cosine_rate,
    formula_rate,
    geometric_noise,
    linear_noise,
    linear_rate,
)

from .builders import MIXTURE, SMOOTH, TRUNCATED, UNIFORM, column, gaussian, reversed_diffusion, scheduled

T = 1.3
SCHEDULES = {
    "linear": lambda: linear_rate(0.05, 10.0, T),
    "cosine": lambda: cosine_rate(0.05, 10.0, T),
    "cosine from nothing": lambda: cosine_rate(0.0, 200.0, T),
    "geometric noise": lambda: geometric_noise(0.01, 5.0, T),
    "linear noise": lambda: linear_noise(0.01, 2.0, T),
    "cosine noise": lambda: cosine_noise(0.01, 2.0, T),
    "formula": lambda: formula_rate(Formula("0.1 + where(s < 0.4, s, 1) + sin(s)**2", ("s",)), T),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_elapsed_time_is_the_integral_of_the_rate(name):
    schedule = SCHEDULES[name]()
    assert schedule.elapsed(0.0) == 0.0
    for s in (1e-4, 0.2, 0.7, T):
        expected = quad(schedule.rate, 0, s, points=[0.4] if s > 0.4 else None, epsabs=0, epsrel=1e-11, limit=200)[0]
        assert schedule.elapsed(s) == pytest.approx(expected, rel=1e-9)


def test_a_cosine_schedule_shrinks_by_a_cosine_between_its_two_rates():
    schedule = cosine_rate(0.05, 10.0, T)
    assert schedule.rate(0.0) == pytest.approx(0.05, rel=1e-10)
    assert schedule.rate(T) == pytest.approx(10.0, rel=1e-10)
    shrink = [math.exp(-schedule.elapsed(s)) for s in np.linspace(0, T, 5)]
    # samples of c·cos(a + bk) satisfy y_{k+1} + y_{k-1} = 2cos(b) y_k
    twice = [(shrink[k + 1] + shrink[k - 1]) / shrink[k] for k in (1, 2, 3)]
    np.testing.assert_allclose(twice, twice[0], rtol=1e-12)


def test_a_cosine_schedule_without_limits_is_the_whole_cosine():
    schedule = cosine_rate(0.0, 1e6, 1.0)
    for s in (0.1, 0.5, 0.9):
        assert math.exp(-schedule.elapsed(s)) == pytest.approx(math.cos(0.5 * math.pi * s), rel=1e-5)


def test_a_cosine_schedule_that_begins_too_fast_is_refused():
    with pytest.raises(ValueError, match="smaller beta_min"):
        cosine_rate(1.0, 10.0, T)


def test_the_linear_schedule_is_half_of_the_one_of_score_based_models():
    # Song et al. 2021, equation (33): mean e^{-s²(20-0.1)/4 - 0.1s/2}
    schedule = linear_rate(0.05, 10.0, 1.0)
    for s in (0.1, 0.6, 1.0):
        assert math.exp(-schedule.elapsed(s)) == pytest.approx(math.exp(-0.25 * s**2 * 19.9 - 0.05 * s), rel=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "0.2 + 3*s"])
def test_variance_preserving_noise_takes_gaussians_to_the_stated_gaussians(schedule):
    sigma = 0.8
    reference = scheduled(MIXTURE, ((-6, 6),), schema.VariancePreserving(schedule=schedule, sigma=sigma), horizon=T)
    beta = {
        "linear": lambda s: 0.05 + 9.95 * s / T,
        "cosine": cosine_rate(0.05, 10.0, T).rate,
        "0.2 + 3*s": lambda s: 0.2 + 3 * s,
    }[schedule]
    x = column(-3, 3, 25)
    for s in (0.05, 0.5, T):
        share = -math.expm1(-2 * quad(beta, 0, s, epsabs=1e-13)[0])  # λ
        expected = sum(
            w * norm.pdf(x[:, 0], math.sqrt(1 - share) * m, math.sqrt((1 - share) * v**2 + sigma**2 * share))
            for w, m, v in ((0.4, -0.5, 0.3), (0.6, 0.6, 0.2))
        )
        np.testing.assert_allclose(reference.density(T - s, x), expected, rtol=1e-9, atol=1e-13)
        assert reference.diffusivity.at(T - s) == pytest.approx(sigma**2 * beta(s), rel=1e-9)


@pytest.mark.parametrize(
    ("schedule", "level"),
    [
        ("geometric", lambda s: 0.01 * 100 ** (s / T)),
        ("linear", lambda s: 0.01 + 0.99 * s / T),
        ("cosine", lambda s: math.tan(math.atan(0.01) + (math.pi / 4 - math.atan(0.01)) * s / T)),
    ],
)
def test_variance_exploding_noise_adds_the_growth_of_its_squared_level(schedule, level):
    reference = scheduled(MIXTURE, ((-7, 7),), schema.VarianceExploding(schedule=schedule), horizon=T)
    x = column(-3, 3, 25)
    for s in (0.05, 0.5, T):
        extra = level(s) ** 2 - level(0.0) ** 2
        expected = sum(
            w * norm.pdf(x[:, 0], m, math.sqrt(v**2 + extra)) for w, m, v in ((0.4, -0.5, 0.3), (0.6, 0.6, 0.2))
        )
        np.testing.assert_allclose(reference.density(T - s, x), expected, rtol=1e-9, atol=1e-13)
        slope = (level(s + 1e-6) ** 2 - level(s - 1e-6) ** 2) / 4e-6  # ½ dσ²/ds
        assert reference.diffusivity.at(T - s) == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("data", [MIXTURE, SMOOTH])
@pytest.mark.parametrize(
    ("forward", "same"),
    [
        (schema.VariancePreserving(schedule="1", sigma=math.sqrt(0.7)), "ornstein-uhlenbeck"),
        (schema.VarianceExploding(schedule="0.7"), "heat"),
    ],
)
def test_a_constant_schedule_is_the_process_without_one(data, forward, same):
    box, x = ((-1.5, 1.2),), column(-1.5, 1.2, 25)
    one = scheduled(data, box, forward, horizon=0.5, start="stationary")
    other = reversed_diffusion(data, box, same, diffusivity=0.7, start="stationary")
    for t in (0.0, 0.2, 0.45):
        np.testing.assert_allclose(one.density(t, x), other.density(t, x), atol=1e-12)
        np.testing.assert_allclose(one.exact_drift(t, x, 0.6), other.exact_drift(t, x, 0.6), atol=1e-9)
    np.testing.assert_allclose(one.initial_density(x), other.initial_density(x), rtol=1e-12)


def test_the_diffusivity_of_a_problem_is_that_of_its_reference():
    spec = schema.ReversedDiffusion(forward=schema.VariancePreserving(), horizon=T, data=MIXTURE)
    alone = build_diffusivity(spec)
    built = scheduled(MIXTURE, ((-6, 6),), schema.VariancePreserving(), horizon=T).diffusivity
    for t in (0.0, 0.4, T):
        assert alone.at(t) == built.at(t)
    assert alone.at(0.0) == pytest.approx(10.0)  # noise end: s = T
    assert alone.at(T) == pytest.approx(0.05)


@pytest.mark.parametrize(("formula", "steady"), [("2", True), ("2 + 0*s", False), ("1 + s", False)])
def test_a_rate_that_does_not_name_s_is_a_steady_diffusivity(formula, steady):
    forward = schema.VariancePreserving(schedule=formula, sigma=0.5)
    diffusivity = build_diffusivity(schema.ReversedDiffusion(forward=forward, horizon=T, data=MIXTURE))
    assert diffusivity.steady is steady
    assert diffusivity.at(0.3) == pytest.approx(0.25 * (2 if formula[0] == "2" else 1 + T - 0.3))


# rate, and its primitive written so that a span keeps its digits
VANISHING = {
    "s^2": lambda a, b: (b - a) * (a * a + a * b + b * b) / 3,
    "s^3": lambda a, b: (b - a) * (a + b) * (a * a + b * b) / 4,
    "10*s^20": lambda a, b: 10 / 21 * (b - a) * math.fsum(a**k * b ** (20 - k) for k in range(21)),
    "1e-30*s": lambda a, b: 0.5e-30 * (b - a) * (a + b),
    "max(s - 0.3, 0)": lambda a, b: 0.5 * (max(b, 0.3) - max(a, 0.3)) * (max(b, 0.3) + max(a, 0.3) - 0.6),
    "where(s < 0.5, 0, 1)": lambda a, b: max(b, 0.5) - max(a, 0.5),
    "where(s < 0.5, 1, 0)": lambda a, b: min(b, 0.5) - min(a, 0.5),
    "where(abs(s - 0.5) < 0.25, 0, 1)": lambda a, b: min(b, 0.25) - min(a, 0.25) + max(b, 0.75) - max(a, 0.75),
    "(s - 0.5)**2": lambda a, b: (b - a) * ((a - 0.5) ** 2 + (a - 0.5) * (b - 0.5) + (b - 0.5) ** 2) / 3,
}
SPANS = (
    (0, 1e-6),
    (0, 1e-3),
    (0, 0.2),
    (0.1, 0.1 + 1e-9),
    (0.2, 0.3),
    (0.4, 0.6),
    (0.49999, 0.50001),
    (0.9, 1),
    (0, 1),
)


@pytest.mark.parametrize("text", VANISHING)
@pytest.mark.parametrize("horizon", [1e-6, 1.0, 100.0])
def test_a_span_in_which_a_rate_all_but_vanishes_keeps_its_own_digits(text, horizon):
    stretched = re.sub(r"\bs\b", f"(s/{horizon!r})", text)
    schedule = formula_rate(Formula(stretched, ("s",)), horizon)
    for a, b in SPANS:
        found = schedule.between(a * horizon, b * horizon)
        assert found >= 0
        assert found == pytest.approx(horizon * VANISHING[text](a, b), rel=1e-6, abs=0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_short_spans_of_every_schedule_are_the_rate_times_their_length(name):
    schedule = SCHEDULES[name]()
    for s in (0.0, 0.1, 0.399, 0.7, T - 1e-8):
        length = 2.0**-40  # ends that are exact, so that the length is
        s = round(s / length) * length
        middle = schedule.rate(s + 0.5 * length)
        assert schedule.between(s, s + length) == pytest.approx(length * middle, rel=1e-6, abs=0)


def test_a_rate_that_vanishes_like_an_exponential_adds_what_quadrature_says():
    schedule = formula_rate(Formula("exp(-1/(s + 1e-3))", ("s",)), 1.0)
    for a, b in ((0.0, 0.01), (0.0, 0.1), (0.02, 0.03), (0.1, 1.0)):
        expected = quad(schedule.rate, a, b, epsabs=0, epsrel=1e-11, limit=500)[0]
        assert schedule.between(a, b) == pytest.approx(expected, rel=1e-5, abs=0)
    assert schedule.between(0.0, 1e-4) == 0.0  # e^{-909}


def test_a_rate_that_rounding_makes_negative_is_zero_there():
    # 0.3 - 0.1*3 is -5.6e-17
    schedule = formula_rate(Formula("0.3 - 0.1*3*s", ("s",)), 1.0)
    assert Formula("0.3 - 0.1*3*s", ("s",)).numpy(s=np.ones(1))[0] < 0
    assert schedule.rate(1.0) == 0.0
    assert 0.0 <= schedule.between(1.0 - 1e-9, 1.0) < 1e-16


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("s - 0.01", "s = 8.47925e-05: keep it >= 0"),
        ("0*s", "is zero throughout"),
        ("1/(s - 0.123)", "cannot be integrated"),
    ],
)
def test_a_rate_that_is_none_is_refused_in_its_own_words(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        formula_rate(Formula(text, ("s",)), 1.024)


@pytest.mark.parametrize("text", ["s^3", "10*s^20", "sin(pi*s/2)**2", "exp(-1/(s + 1e-3))", "where(s < 0.5, 0, 1)"])
@pytest.mark.parametrize("kind", [schema.VariancePreserving, schema.VarianceExploding])
def test_under_a_rate_that_vanishes_gaussians_have_its_integral_as_variance(text, kind):
    reference = scheduled(gaussian((0.5,), (0.5,)), ((-20, 20),), kind(schedule=text), horizon=1.0)
    rate = Formula(text, ("s",)).numpy
    x = column(-6, 6, 4001)
    for s in (1e-9, 1e-3, 0.03, 0.4, 0.6, 1.0):
        elapsed = quad(
            lambda r: float(rate(s=np.array([r]))[0]), 0, s, points=[0.5] if s > 0.5 else None, epsabs=1e-14
        )[0]
        preserving = kind is schema.VariancePreserving
        shrink = math.exp(-elapsed) if preserving else 1.0
        variance = shrink**2 * 0.25 - math.expm1(-2 * elapsed) if preserving else 0.25 + 2 * elapsed
        p = reference.density(1.0 - s, x)
        np.testing.assert_allclose(p, norm.pdf(x[:, 0], 0.5 * shrink, math.sqrt(variance)), atol=1e-9)
        drift = reference.exact_drift(1.0 - s, x, 0.5)[:, 0]
        score = (0.5 * shrink - x[:, 0]) / variance
        force = -x[:, 0] if preserving else 0.0
        np.testing.assert_allclose(drift, rate(s=np.array([s]))[0] * (1.5 * score - force), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("data", [schema.Uniform(low=(-1.0,), high=(0.2,)), TRUNCATED])
def test_data_that_end_at_a_wall_stand_there_once(data):
    reference = scheduled(data, ((-1.0, 2.0),), schema.VarianceExploding(schedule="10*s^20"), horizon=1.0)
    at_wall = np.array([[-1.0]])
    data_there = reference.density(1.0, at_wall)
    for s in (0.3, 0.1, 0.05, 0.02, 1e-3):  # variances from 1e-11 to 1e-63
        np.testing.assert_allclose(reference.density(1.0 - s, at_wall), data_there, rtol=1e-4)
        assert np.all(np.isfinite(reference.exact_drift(1.0 - s, column(-1, 2, 101), 1.0)))


def test_data_of_which_noise_has_left_nothing_are_the_stationary_gaussian():
    uniform = scheduled(UNIFORM, ((-8, 8),), schema.VariancePreserving(schedule="1e3*s"), horizon=100.0)
    x = column(-7, 7, 29)
    for t in (0.0, 50.0, 99.0):  # e^{-τ} underflows until nearly T
        np.testing.assert_allclose(uniform.density(t, x), norm.pdf(x[:, 0]), rtol=1e-9)
        np.testing.assert_allclose(uniform.score(t, x), -x, atol=1e-9)

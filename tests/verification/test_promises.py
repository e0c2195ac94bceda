"""What the theory promises: closed forms of the loss and of both bounds, and what is said where there is none."""

import json
import math

import numpy as np
import pytest

import controlsde as cs
from controlsde.problem import parse_problem
from controlsde.reference import build_reference
from controlsde.result.answer import plain_json
from controlsde.verification.promises import Promises
from tests.quick import slow

T = 1.5
GAUSSIAN = """
domain: {box: [[-8, 9]]}
reference:
  kind: reversed-diffusion
  forward: ornstein-uhlenbeck
  horizon: 1.5
  data: {kind: mixture, weights: [1], means: [[1.0]], stds: [1.0]}
controls: {pieces: 6}
mesh: {elements: [12]}
monte_carlo: {particles: 500, steps_per_piece: 4}
"""
FLAT = """
domain: {box: [[0, 1]]}
reference: {kind: moser, horizon: 0.5, from: uniform, to: uniform, diffusivity: 0.25}
controls: {pieces: 4}
monte_carlo: {particles: 500, steps_per_piece: 4}
"""


def promised(text, drift="{kind: exact}", **keys):
    lines = "".join(f"{key}: {value}\n" for key, value in keys.items())
    found = cs.evaluate(parse_problem(f"{text}drift: {drift}\n{lines}")).promises
    assert found is not None
    return found


@pytest.mark.parametrize("noise", [0.5, slow(1.0)])
def test_a_biased_score_has_the_known_loss_and_path_divergence(noise):
    a = 0.3
    bias = (1 + noise) * a
    # exact: x + (1 + η)s with s = −(x − e^{−(T−t)})
    drift = f"x - (1 + {noise})*(x - exp(-(1.5 - t))) + {bias}"
    found = promised(GAUSSIAN, f'{{kind: formula, expressions: ["{drift}"]}}', noise=noise)
    assert found.loss == pytest.approx(bias**2 * T, rel=1e-6)
    assert found.loss_change < 1e-9
    assert found.kl_bound == pytest.approx(bias**2 * T / (4 * noise), rel=1e-5)
    shift = bias * -math.expm1(-noise * T) / noise
    assert found.kl == pytest.approx(0.5 * shift**2, rel=1e-4)
    assert found.kl <= found.kl_bound
    assert found.l2 <= found.l2_bound
    assert found.note is None


def test_the_bound_in_l2_is_that_of_the_hand_calculation():
    speed, diffusivity, horizon = 0.4, 0.25, 0.5
    found = promised(FLAT, f'{{kind: formula, expressions: ["{speed}"]}}', noise=1.0)
    rate = speed**2 / diffusivity
    # p = 1, v* = 0: ∫ e^{rate (T − s)} rate ds = e^{rate T} − 1; sources act from the beginning of their subintervals
    expected = math.sqrt(math.expm1(rate * horizon))
    assert found.loss == pytest.approx(speed**2 * horizon, rel=1e-9)
    assert expected <= found.l2_bound <= expected * (1 + rate * horizon / 4)
    assert 0.3 * found.l2_bound < found.l2 < found.l2_bound  # for drifts into a wall it is not far off


def test_the_exact_drift_loses_nothing():
    found = promised(GAUSSIAN, noise=1.0)
    assert found.loss < 1e-20
    assert found.kl_bound == pytest.approx(0.0, abs=1e-9)
    start = promised(GAUSSIAN.replace("horizon: 1.5", "horizon: 1.5\n  start: stationary"), noise=1.0)
    assert start.loss < 1e-20
    mean = math.exp(-T)
    assert start.kl_bound == pytest.approx(0.5 * mean**2, rel=1e-4)  # KL of the starts: N(e^{−T}, 1) and N(0, 1)
    assert start.kl == pytest.approx(0.5 * (mean * math.exp(-T)) ** 2, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "noise", "words"), [(GAUSSIAN, 0.0, "without noise"), (FLAT + "#", 1.0, "absorbing walls")]
)
def test_where_there_is_no_bound_it_says_so(text, noise, words):
    if text.endswith("#"):
        text = text[:-1].replace("box: [[0, 1]]", "box: [[0, 1]], walls: absorbing")
    found = promised(text, '{kind: formula, expressions: ["0.1"]}', noise=noise)
    assert found.l2_bound is None
    assert found.kl_bound is None
    assert words in found.note
    assert found.loss > 0


def still(text, noise=1.0):
    """The promises for a network that does nothing."""
    problem = parse_problem(f"{text}noise: {noise}\n")
    horizon = problem.reference.horizon
    return cs.evaluate(
        problem, cs.Controls(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), np.zeros((1, 1)), [0, horizon])
    ).promises


def test_a_reference_that_jumps_has_no_exact_drift_and_so_no_bound():
    jump = FLAT.replace("to: uniform", 'to: {kind: formula, expression: "where(x < 0.4, 1.5, 0.5)"}')
    found = still(jump)
    assert found.l2_bound is None
    assert found.kl_bound is None
    assert "jumps" in found.note
    kink = FLAT.replace("to: uniform", 'to: {kind: formula, expression: "0.3 + abs(x - 0.4)"}')
    steep = FLAT.replace("to: uniform", 'to: {kind: formula, expression: "1.2 - tanh((x - 0.4)/0.02)"}')
    for smooth in (kink, steep):
        assert still(smooth).note is None


def test_a_loss_that_grows_towards_the_end_is_integrated():
    # v = 0: ℓ = 4∫|∇log q|² q = −4 d/ds entropy, and data with an edge have ℓ ~ 1/√s
    found = still(
        """
domain: {box: [[0, 1]]}
reference: {kind: reversed-diffusion, forward: heat, horizon: 0.1, data: {kind: uniform, low: 0.3, high: 0.7}}
mesh: {elements: [20]}
monte_carlo: {particles: 500, steps_per_piece: 4}
"""
    )
    problem = parse_problem(
        "domain: {box: [[0, 1]]}\nreference: {kind: reversed-diffusion, forward: heat, horizon: 0.1, "
        "data: {kind: uniform, low: 0.3, high: 0.7}}\n"
    )
    reference = build_reference(problem.reference, problem.domain)
    x = (np.arange(20_000) + 0.5) / 20_000

    def entropy(t):
        q = reference.density(t, x[:, None])
        return -np.sum(np.where(q > 0, q * np.log(np.maximum(q, 1e-300)), 0.0)) / 20_000

    assert found.loss == pytest.approx(4 * (entropy(0.0) - entropy(0.1)), rel=2e-3)
    assert found.kl == pytest.approx(found.kl_bound, rel=2e-3)  # ρ is all but uniform: the bound is attained
    assert found.note is None


@pytest.mark.parametrize("walls", [slow("reflecting"), "periodic"])
def test_it_works_in_the_plane(walls):
    text = f"""
domain: {{box: [[0, 1], [0, 1]], walls: {walls}}}
reference: {{kind: reversed-diffusion, forward: heat, horizon: 0.1, data: {{kind: uniform}}}}
controls: {{pieces: 2}}
mesh: {{elements: [2, 2], degree: 4}}
monte_carlo: {{particles: 1000}}
"""
    found = promised(text, '{kind: formula, expressions: ["0.3", "0.4"]}', noise=1.0)
    assert found.loss == pytest.approx(0.25 * 0.1, rel=1e-9)
    assert found.kl_bound == pytest.approx(0.25 * 0.1 / 4, rel=1e-6)
    assert found.l2 <= found.l2_bound


def test_numbers_survive_json_even_where_they_are_beyond_all_numbers():
    huge = Promises(1.0, 0.1, 400.0, 0.3, 2.0, 0.1)
    assert huge.l2_bound == math.inf
    right = Promises(0.0, 0.0, -math.inf, 0.0, 0.0, 0.0)
    none = Promises(math.nan, math.nan, None, None, None, None, "because")
    for one in (huge, right, none):
        text = json.dumps(plain_json(one.to_json()), allow_nan=False)
        again = Promises.from_json(json.loads(text))
        assert np.array_equal(
            [again.loss, again.log10_l2_bound or 0.0, again.kl_bound or 0.0],
            [one.loss, one.log10_l2_bound or 0.0, one.kl_bound or 0.0],
            equal_nan=True,
        )
        assert again.note == one.note


PULSE = """
domain: {{box: [[-6, 6]]}}
reference:
  kind: reversed-diffusion
  forward: {{kind: vp, schedule: "0.1 + where(abs(s - 0.4321) < {width!r}, {height!r}, 0)"}}
  horizon: 1
  data: {{kind: mixture, means: [1.0], stds: [1.0]}}
controls: {{pieces: 1}}
mesh: {{elements: [16]}}
monte_carlo: {{particles: 1000}}
"""


@pytest.mark.parametrize(("width", "height"), [(5e-7, 1e6), (3e-5, 2e4), (0.02, 30.0)])
def test_a_loss_that_comes_from_a_pulse_of_the_schedule_is_integrated(width, height):
    """N(1, 1) moves by shrinking alone: w = β(x − (x − m)) = βm, so that v = 0 loses ∫β²m² dt, m = e^{−∫β}."""
    found = promised(PULSE.format(width=width, height=height), '{kind: formula, expressions: ["0"]}', noise=0)
    # m² falls by the factor e^{−2βΔ} where β is constant for a time Δ
    expected, m2 = 0.0, 1.0
    for rate, time in ((0.1, 0.4321 - width), (height + 0.1, 2 * width), (0.1, 1 - 0.4321 - width)):
        expected += 0.5 * rate * m2 * -math.expm1(-2 * rate * time)
        m2 *= math.exp(-2 * rate * time)
    assert found.loss == pytest.approx(expected, rel=1e-3)

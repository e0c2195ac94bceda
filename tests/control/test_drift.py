"""Drifts of every kind: the divergence is that of the values, and NumPy and PyTorch agree."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from controlsde.control.controls import Controls
from controlsde.control.drift import ExactDrift, FormulaDrift, NetworkDrift, given_drift
from controlsde.control.network import ACTIVATIONS, Network
from controlsde.problem import Formula, load_problem
from controlsde.reference import build_reference

BOXES = {1: ((-2.0, 1.0),), 2: ((-2.0, 1.0), (0.0, 3.0)), 3: ((-2.0, 1.0), (0.0, 3.0), (-1.0, 1.0))}


def differences(drift, piece, t, x, step=1e-5):
    """∇·v by central differences."""
    total = np.zeros(len(x))
    for component in range(x.shape[1]):
        shift = np.zeros(x.shape[1])
        shift[component] = step
        ahead, behind = drift.values(piece, t, x + shift), drift.values(piece, t, x - shift)
        total += (ahead - behind)[:, component] / (2 * step)
    return total


def inside(dimension, count=40, margin=0.05, seed=0):
    low, high = np.array(BOXES[dimension]).T
    return np.random.default_rng(seed).uniform(low + margin, high - margin, (count, dimension))


def network_drift(dimension, activation, tangential, width=5, pieces=3):
    rng = np.random.default_rng(7)
    controls = Controls(
        rng.normal(size=(pieces, dimension, width)),
        rng.normal(size=(pieces, width, dimension)),
        rng.normal(size=(pieces, width)),
        np.linspace(0, 1, pieces + 1),
    )
    return NetworkDrift(Network(dimension, width, activation, tangential, BOXES[dimension]), controls)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("tangential", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_divergence_of_a_network_is_that_of_its_values(dimension, tangential, activation):
    drift = network_drift(dimension, activation, tangential)
    x = inside(dimension)
    if activation == "relu":  # not at the kinks, where differences straddle two slopes
        z = np.stack([x @ w.T + b for _, w, b in map(drift.controls.piece, range(3))])
        x = x[np.abs(z).min(axis=(0, 2)) > 1e-3]
        assert len(x) > 20
    for piece in range(3):
        # central differences: truncation 1e-10 · v‴, rounding 1e-16 / 1e-5 · |v|; v‴ of the tangential factor is ~1e2
        assert_allclose(drift.divergence(piece, 0.1, x), differences(drift, piece, 0.1, x), atol=2e-7, rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_values_in_numpy_and_pytorch_agree_in_both_precisions(activation):
    drift = network_drift(2, activation, True)
    x = inside(2)
    for piece in range(3):
        exact = drift.values(piece, 0.0, x)
        double = drift.torch_values(piece, 0.0, torch.from_numpy(x))
        assert_allclose(double.numpy(), exact, atol=1e-13)
        single = drift.torch_values(piece, 0.0, torch.from_numpy(x).float())
        assert single.dtype == torch.float32
        assert_allclose(single.numpy(), exact, atol=2e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_tangential_network_does_not_cross_the_walls(activation):
    drift = network_drift(2, activation, True)
    points = inside(2)
    for axis in range(2):
        for wall in BOXES[2][axis]:
            x = points.copy()
            x[:, axis] = wall
            assert np.abs(drift.values(0, 0.0, x)[:, axis]).max() < 1e-12
            assert np.abs(drift.values(0, 0.0, x)[:, 1 - axis]).max() > 1e-3


def formulas(*texts, dimension=None):
    names = ("x", "y", "z")[: dimension or len(texts)]
    return tuple(Formula(text, (*names, "t")) for text in texts)


EDGES = np.array([0.0, 0.5, 1.0])


@pytest.mark.parametrize(
    "texts",
    [
        ("sin(3*x) * exp(-x**2) + t*x",),
        ("x**2 * y - t", "cos(x*y) / (1 + y**2)"),
        ("y", "2.5"),
        ("x*y*z", "tanh(z) + y", "exp(-z**2) * t"),
        ("1",),
    ],
)
def test_the_divergence_of_formulas_is_that_of_their_values(texts):
    drift = FormulaDrift(formulas(*texts), EDGES)
    x = inside(len(texts))
    found = drift.divergence(0, 0.3, x)
    assert found.shape == (len(x),)
    assert_allclose(found, differences(drift, 0, 0.3, x), atol=1e-7, rtol=1e-7)


def test_formulas_give_what_they_say_in_numpy_and_pytorch():
    drift = FormulaDrift(formulas("x**2 * y - t", "2.5"), EDGES)
    x = inside(2)
    exact = np.stack([x[:, 0] ** 2 * x[:, 1] - 0.3, np.full(len(x), 2.5)], axis=1)
    assert_allclose(drift.values(1, 0.3, x), exact, rtol=1e-14)
    assert_allclose(drift.torch_values(1, 0.3, torch.from_numpy(x)).numpy(), exact, rtol=1e-14)
    single = drift.torch_values(1, 0.3, torch.from_numpy(x).float())
    assert single.dtype == torch.float32
    assert_allclose(single.numpy(), exact, rtol=1e-5, atol=1e-5)


def test_a_drift_of_formulas_is_constant_exactly_where_none_names_the_time():
    assert FormulaDrift(formulas("x", "y"), EDGES).constant
    assert not FormulaDrift(formulas("x", "y + t"), EDGES).constant
    assert not FormulaDrift(formulas("0*t", dimension=1), EDGES).constant
    assert FormulaDrift(formulas("tanh(x)"), EDGES).constant  # the letter alone is not the variable


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("name", ["two-bumps", "moser-bumps"])
def test_the_exact_drift_is_field_and_scaled_score_and_its_divergence_fits(name, noise):
    problem = load_problem(name, set={"noise": noise, "drift": "exact"})
    reference = build_reference(problem.reference, problem.domain)
    drift = given_drift(problem, reference, np.linspace(0, reference.horizon, 3))
    assert isinstance(drift, ExactDrift)
    assert not drift.constant
    x = np.linspace(-2.5, 2.5, 41)[:, None]
    t = 0.4 * reference.horizon
    expected = reference.field(t, x) + noise * reference.diffusivity.at(t) * reference.score(t, x)
    assert_allclose(drift.values(0, t, x), expected, atol=1e-12)
    # the reference's mass: ∂ₜp + ∇·(wp) = ηD₀Δp gives ∇·v = (ηD₀Δp − ∂ₜp − v·∇p)/p
    step = 1e-4
    density = lambda t, x: reference.density(t, x)  # noqa: E731
    p, ahead, behind = density(t, x), density(t, x + step), density(t, x - step)
    in_time = (density(t + step, x) - density(t - step, x)) / (2 * step)
    slope, bend = (ahead - behind) / (2 * step), (ahead - 2 * p + behind) / step**2
    balance = (noise * reference.diffusivity.at(t) * bend - in_time - drift.values(0, t, x)[:, 0] * slope) / p
    scale = np.abs(balance).max()
    assert_allclose(drift.divergence(0, t, x), balance, atol=1e-5 * scale)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("name", ["moser-bumps", "jump", "circle", "heat-compact"])
def test_at_walls_the_divergence_of_the_exact_drift_is_the_slope_within(name, noise):
    problem = load_problem(name, set={"noise": noise, "drift": "exact"})
    reference = build_reference(problem.reference, problem.domain)
    drift = given_drift(problem, reference, np.linspace(0, reference.horizon, 3))
    low, high = problem.domain.box[0]
    slope = np.array([-25 / 12, 4, -3, 4 / 3, -1 / 4])
    for wall, inward in ((low, high - low), (high, low - high)):
        x = wall + inward * np.array([[0.0], [1e-5], [1e-4], [1e-3]])
        step = 1e-3 * inward
        inner = [drift.values(0, 0.0, x + number * step)[:, 0] for number in range(5)]
        found = drift.divergence(0, 0.0, x)
        assert_allclose(found, slope @ np.array(inner) / step, rtol=1e-4, atol=1e-6)


@dataclasses.dataclass(frozen=True)
class Waves:
    """A reference whose exact drift is sin ax + y², cos(x) cos by + xt, asked for nothing outside its box."""

    box: tuple
    waves: tuple

    def exact_drift(self, t, x, _):
        for axis, (low, high) in enumerate(self.box):
            assert (x[:, axis] >= low).all()
            assert (x[:, axis] <= high).all()
        a, b = self.waves
        first = np.sin(a * x[:, 0]) + x[:, 1] ** 2
        return np.stack([first, np.cos(x[:, 0]) * np.cos(b * x[:, 1]) + t * x[:, 0]], axis=1)

    def divergence(self, x):
        a, b = self.waves
        return a * np.cos(a * x[:, 0]) - b * np.cos(x[:, 0]) * np.sin(b * x[:, 1])


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_the_divergence_of_the_exact_drift_never_looks_outside_the_box(length):
    box = ((0.0, length), (-2 * length, -length))
    waves = Waves(box, (3 / length, 7 / length))
    drift = ExactDrift(waves, 1.0, EDGES, box)
    x = np.random.default_rng(3).uniform(*np.array(box).T, (300, 2))
    x[:8] = np.array([[x, y] for x in (box[0][0], 0.3 * length, 1e-5 * length, box[0][1]) for y in box[1]])
    exact = waves.divergence(x)
    # rounding 1e-16 · |v| / step, where |v| of y² grows with the box
    rounding = 1e-15 * max(1.0, 4 * length**2) / (1e-4 * length)
    assert_allclose(drift.divergence(0, 0.3, x), exact, atol=max(1e-8 * np.abs(exact).max(), 10 * rounding))


def test_the_exact_drift_in_pytorch_keeps_the_kind_of_the_tensor():
    problem = load_problem("two-bumps", set={"drift": "exact"})
    reference = build_reference(problem.reference, problem.domain)
    drift = given_drift(problem, reference, EDGES)
    x = np.linspace(-2, 2, 9)[:, None]
    for kind in (torch.float32, torch.float64):
        found = drift.torch_values(0, 0.7, torch.from_numpy(x).to(kind))
        assert found.dtype == kind
        assert_allclose(found.numpy(), drift.values(0, 0.7, x), rtol=1e-5, atol=1e-5)


def test_the_problems_own_drift_is_the_formula_it_gives_or_none():
    problem = load_problem("two-bumps")
    reference = build_reference(problem.reference, problem.domain)
    assert given_drift(problem, reference, EDGES) is None
    given = load_problem("two-bumps", set={"drift": {"kind": "formula", "expressions": ["sin(pi*x) + t"]}})
    drift = given_drift(given, reference, EDGES)
    assert_allclose(drift.values(0, 0.25, np.array([[0.5]])), [[math.sin(0.5 * math.pi) + 0.25]])
    assert drift.edges is EDGES

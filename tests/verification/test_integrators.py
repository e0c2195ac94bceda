"""The verification's integrators against SciPy's exponential, exact references and closed forms."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from controlsde.control.drift import FormulaDrift, given_drift
from controlsde.fokker_planck import Mesh, Operator
from controlsde.problem import Formula, load_problem
from controlsde.reference import build_reference
from controlsde.tracking.posed import Posed
from controlsde.verification import characteristics, exponential
from controlsde.verification.characteristics import density_by_characteristics
from controlsde.verification.exponential import (
    exponential_action,
    propagate_piecewise,
    propagate_time_dependent,
)
from controlsde.verification.refinement import FIELDS_PER_PIECE, refined_density
from tests.quick import slow


def fitted_order(sizes, errors):
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def generator(diffusivity, strength, walls="reflecting", elements=16, degree=8):
    """A(v) for a strong drift, and the unknowns of a bump."""
    mesh = Mesh.build(((0.0, 1.0),), walls, (elements,), degree)
    operator = Operator.build(mesh, diffusivity)
    x = operator.drift_points
    drift = strength * (np.sin(2 * np.pi * x) + 0.5 * np.cos(2 * np.pi * x) ** 2)
    points = operator.mesh.points[:, 0]
    bump = operator.mesh.restrict(1 + 0.8 * np.cos(2 * np.pi * points) + np.exp(-(((points - 0.3) / 0.1) ** 2)))
    return operator.matrix(operator.rectify(drift)), bump, operator.mesh.mass


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
@pytest.mark.parametrize(
    ("diffusivity", "strength", "horizon"),
    [(1.0, 0.0, 0.1), (1.0, 40.0, 0.1), (0.05, 10.0, 0.3), (0.0, 1.0, 0.1), (0.0, 20.0, 0.05)],
)
def test_arnoldi_is_the_matrix_exponential(walls, diffusivity, strength, horizon):
    matrix, start, mass = generator(diffusivity, strength, walls)
    times = horizon * np.array([0.25, 0.5, 0.75, 1.0])
    exact = np.stack([expm(t * matrix.toarray()) @ start for t in times])
    assert np.abs(exact[-1] - start).max() > 1e-2 * np.abs(start).max()  # something happens
    found = exponential_action(matrix, start, times, mass)
    assert np.abs(found - exact).max() < 1e-9 * np.abs(exact).max()


@pytest.mark.parametrize("duration", [1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize(("diffusivity", "strength"), [(1.0, 40.0), (1e-3, 40.0), (0.0, 20.0)])
def test_arnoldi_does_not_end_too_early(duration, diffusivity, strength):
    matrix, start, mass = generator(diffusivity, strength)
    exact = expm(duration * matrix.toarray()) @ start
    assert np.abs(exact - start).max() > 1e-6 * np.abs(start).max()
    found = exponential_action(matrix, start, np.array([duration]), mass)[0]
    assert np.abs(found - exact).max() < 1e-9 * np.abs(exact).max()


def test_arnoldi_cuts_the_interval_where_one_basis_is_not_enough(monkeypatch):
    matrix, start, mass = generator(0.0, 20.0)
    times = 0.1 * np.array([0.5, 1.0])
    exact = np.stack([expm(t * matrix.toarray()) @ start for t in times])
    monkeypatch.setattr(exponential, "MOST_VECTORS", 30)
    found = exponential_action(matrix, start, times, mass)
    assert np.abs(found - exact).max() < 1e-9 * np.abs(exact).max()


def test_arnoldi_is_exact_on_an_eigenvector_and_on_a_small_invariant_space():
    matrix = sp.csr_array(sp.diags_array(-np.arange(300.0)))
    start = np.zeros(300)
    start[[0, 7]] = 1.0, 2.0
    found = exponential_action(matrix, start, np.array([0.5]), np.ones(300))[0]
    assert_allclose(found[[0, 7]], [1.0, 2 * math.exp(-3.5)], rtol=1e-10)
    assert np.abs(np.delete(found, [0, 7])).max() < 1e-12


@pytest.mark.parametrize("size", [np.inf, np.nan, 1e200])
def test_a_density_that_blew_up_stays_not_finite_and_raises_nothing(size):
    with np.errstate(all="ignore"):
        values = exponential_action(
            sp.csr_array(np.diag([1.0, -1.0, 2.0])), np.full(3, size), np.array([0.5, 1.0]), np.ones(3)
        )
    assert not np.isfinite(values).any()


def test_arnoldi_keeps_the_mass():
    matrix, start, mass = generator(0.05, 10.0)
    found = exponential_action(matrix, start, np.array([0.1, 0.2]), mass)
    assert_allclose(found @ mass, start @ mass, rtol=1e-10)


@pytest.mark.parametrize("limit", [0, 10**6], ids=["arnoldi", "dense"])
@pytest.mark.parametrize(
    ("walls", "mode"),
    [
        ("reflecting", lambda k, x: np.cos(np.pi * k * x)),
        ("periodic", lambda k, x: np.sin(2 * np.pi * k * x + k)),
        ("absorbing", lambda k, x: np.sin(np.pi * k * x)),
    ],
)
def test_heat_between_walls_is_its_series_at_every_output(monkeypatch, walls, mode, limit):
    monkeypatch.setattr(exponential, "DENSE_LIMIT", limit)
    diffusivity, durations, turns = 0.3, np.array([0.01, 0.02, 0.17]), 2 if walls == "periodic" else 1
    operator = Operator.build(Mesh.build(((0.0, 1.0),), walls, (12,), 8), diffusivity)
    mesh = operator.mesh
    numbers, amplitudes = np.array([1, 2, 5]), np.array([0.6, -0.3, 0.2])
    offset = 0.0 if walls == "absorbing" else 1.0
    still = operator.matrix(np.zeros_like(operator.drift_points))

    def series(t):
        decayed = amplitudes * np.exp(-diffusivity * (turns * np.pi * numbers) ** 2 * t)
        return mesh.restrict(
            offset + sum(a * mode(k, mesh.points[:, 0]) for a, k in zip(decayed, numbers, strict=True))
        )

    found = propagate_piecewise(lambda _: still, series(0.0), durations, 2, mesh.mass)
    times = [0, 0.005, 0.01, 0.02, 0.03, 0.115, 0.2]
    # 7.5 unknowns or more to the shortest wave, at degree 8
    assert_allclose(found, np.stack([series(t) for t in times]), atol=1e-8)


@pytest.mark.parametrize("limit", [0, 10**6], ids=["arnoldi", "dense"])
def test_pieces_follow_each_other_in_order(monkeypatch, limit):
    monkeypatch.setattr(exponential, "DENSE_LIMIT", limit)
    first, start, mass = generator(0.1, 5.0, elements=5)
    second, _, _ = generator(0.1, -3.0, elements=5)
    found = propagate_piecewise(lambda piece: (first, second)[piece], start, np.array([0.1, 0.3]), 2, mass)
    assert found.shape == (5, len(start))
    half = expm(0.1 * first.toarray()) @ start
    assert_allclose(found[0], start)
    assert_allclose(found[2], half, atol=1e-9 * np.abs(start).max())
    assert_allclose(found[3], expm(0.15 * second.toarray()) @ half, atol=1e-9 * np.abs(start).max())
    assert_allclose(found[4], expm(0.3 * second.toarray()) @ half, atol=1e-9 * np.abs(start).max())


def test_a_stiff_system_that_varies_in_time_is_solved_to_the_tolerance():
    # y' = A(t) y with commuting A(t) = diag(λ) cos t: y = y₀ exp(λ sin t); another factor on the second piece
    rates = np.array([-1e4, -50.0, -1.0, 0.0])
    edges = np.array([0.0, 0.4, 1.0])

    def matrix(piece, t):
        return sp.csr_array(sp.diags_array((1.0, 0.5)[piece] * rates * math.cos(t)))

    found, moved, _ = propagate_time_dependent(matrix, np.ones(4), edges, 4, np.ones(4))
    assert found.shape == (9, 4)
    first = np.exp(rates * math.sin(0.4))
    assert_allclose(found[4], first, atol=1e-6)
    assert_allclose(found[-1], first * np.exp(0.5 * rates * (math.sin(1.0) - math.sin(0.4))), atol=1e-6)
    assert moved <= exponential.MAGNUS_TOLERANCE


def swinging(_, t):
    """Two matrices that do not commute, mixed over time."""
    still, swing = np.array([[0.0, 1.0], [-2.0, -0.3]]), np.array([[0.2, -1.0], [3.0, 0.0]])
    return sp.csr_array(still + math.sin(5 * t) * swing)


@pytest.fixture(scope="module")
def swung():
    """The exact solution at t = 1 from (1, 0)."""
    start = np.array([1.0, 0.0])
    return solve_ivp(lambda t, y: swinging(0, t) @ y, (0, 1), start, "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]


def test_the_integrator_for_drifts_that_vary_in_time_has_order_four(monkeypatch, swung):
    monkeypatch.setattr(exponential, "MAGNUS_TOLERANCE", math.inf)  # two steps between two outputs
    outputs = np.array([2, 4, 8, 16])
    errors, moves = [], []
    for count in outputs:
        found, moved, _ = propagate_time_dependent(
            swinging, np.array([1.0, 0.0]), np.array([0.0, 1.0]), int(count), np.ones(2)
        )
        errors.append(np.linalg.norm(found[-1] - swung) / np.linalg.norm(swung))
        moves.append(moved)
    assert abs(fitted_order(outputs, errors) - 4) < 0.3
    assert (np.array(moves) > np.array(errors)).all()  # what the last doubling moved bounds what is left


@pytest.mark.parametrize("limit", [0, 10**6], ids=["arnoldi", "dense"])
def test_the_integrator_for_varying_drifts_meets_its_tolerance(monkeypatch, swung, limit):
    monkeypatch.setattr(exponential, "DENSE_LIMIT", limit)
    for outputs in (1, 4):
        found, moved, _ = propagate_time_dependent(
            swinging, np.array([1.0, 0.0]), np.array([0.0, 0.3, 1.0]), outputs, np.ones(2)
        )
        assert moved <= exponential.MAGNUS_TOLERANCE
        assert np.linalg.norm(found[-1] - swung) < 2 * exponential.MAGNUS_TOLERANCE * np.linalg.norm(swung)


def test_steps_that_were_not_enough_are_owned_up_to(monkeypatch, swung):
    monkeypatch.setattr(exponential, "MOST_SUBSTEPS", 1)
    found, moved, _ = propagate_time_dependent(swinging, np.array([1.0, 0.0]), np.array([0.0, 1.0]), 1, np.ones(2))
    error = np.linalg.norm(found[-1] - swung) / np.linalg.norm(swung)
    assert moved > error > exponential.MAGNUS_TOLERANCE


@pytest.mark.parametrize(
    ("name", "noise"), [*map(slow, (("two-bumps", 1.0), ("moser-bumps", 0.5))), ("two-bumps", 0.0)]
)
def test_the_refined_mesh_follows_an_exact_reference_at_every_time(name, noise):
    problem = load_problem(name, set={"drift": "exact", "noise": noise})
    reference = build_reference(problem.reference, problem.domain)
    drift = given_drift(problem, reference, np.linspace(0, reference.horizon, 5))
    mesh = Mesh.build(problem.domain.box, problem.domain.walls, (24,), 8)
    found = refined_density(Posed(problem, reference), drift, mesh, once=True)
    assert len(found.times) == 4 * FIELDS_PER_PIECE + 1
    scale = float(np.sqrt(found.reference[-1] ** 2 @ found.mesh.weights))
    assert found.errors.max() < 1e-5 * scale
    assert found.mass_error < 1e-9


@dataclass
class Closed:
    """A drift of two pieces, its values and divergence given as functions of (piece, t, x)."""

    value: object
    slope: object
    edges: np.ndarray
    constant: bool = True

    def values(self, piece, t, x):
        return self.value(piece, t, x)

    def divergence(self, piece, t, x):
        return np.broadcast_to(self.slope(piece, t, x), len(x))


def gaussian(x):
    return np.exp(-0.5 * np.sum(x**2, axis=1) / 0.09) / (2 * math.pi * 0.09) ** (x.shape[1] / 2)


@pytest.mark.parametrize("dimension", [1, 2])
def test_characteristics_of_a_linear_contraction(dimension):
    rate = np.array([2.0, -0.5])
    drift = Closed(lambda k, _, x: -rate[k] * x, lambda k, _, __: -dimension * rate[k], np.array([0.0, 0.4, 1.0]))
    growth = math.exp(0.4 * 2.0 - 0.6 * 0.5)  # the box [-3, 3] maps onto less than itself: growth > 1
    points = np.random.default_rng(0).uniform(-1, 1, (200, dimension))
    found = density_by_characteristics(drift, gaussian, points, ((-3.0, 3.0),) * dimension, "reflecting")
    assert_allclose(found, growth**dimension * gaussian(growth * points), atol=1e-5 * found.max())


def test_characteristics_are_zero_where_the_path_back_leaves_through_a_wall():
    drift = Closed(lambda _, __, x: np.full_like(x, 0.5), lambda _, __, ___: 0.0, np.array([0.0, 1.0]))
    points = np.array([[0.2], [0.49], [0.51], [0.9]])
    found = density_by_characteristics(drift, lambda x: 1 + x[:, 0], points, ((0.0, 1.0),), "reflecting")
    assert_allclose(found, [0, 0, 1.01, 1.4], atol=1e-12)


@pytest.mark.slow
def test_characteristics_of_mosers_exact_drift_arrive_at_its_end(monkeypatch):
    monkeypatch.setattr(characteristics, "TOLERANCE", 1e-4)
    problem = load_problem("moser-bumps", set={"noise": 0.0, "drift": "exact"})
    reference = build_reference(problem.reference, problem.domain)
    drift = given_drift(problem, reference, np.linspace(0, reference.horizon, 2))
    points = np.linspace(-3.99, 3.99, 61)[:, None]
    found = density_by_characteristics(drift, reference.initial_density, points, problem.domain.box, "reflecting")
    exact = reference.density(reference.horizon, points)
    assert np.abs(exact - reference.initial_density(points)).max() > 0.1
    assert_allclose(found, exact, atol=1e-5 * exact.max())


def test_characteristics_of_the_periodic_translation_wrap():
    drift = Closed(lambda _, __, x: np.full_like(x, 1.3), lambda _, __, ___: 0.0, np.array([0.0, 0.7, 2.0]))
    points = np.linspace(0, 0.999, 50)[:, None]
    initial = lambda x: 1 + 0.5 * np.cos(2 * np.pi * x[:, 0])  # noqa: E731
    found = density_by_characteristics(drift, initial, points, ((0.0, 1.0),), "periodic")
    assert_allclose(found, initial(points - 2.6), atol=1e-10)


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_characteristics_of_a_sine_drift_from_a_formula(walls):
    # ẋ = a sin 2πx: tan πx grows by e^{2πat}
    amplitude, horizon = 0.15, 1.0
    drift = FormulaDrift((Formula(f"{amplitude}*sin(2*pi*x)", ("x", "t")),), np.array([0.0, horizon]))
    points = np.linspace(0.001, 0.999, 200)[:, None]
    found = density_by_characteristics(drift, lambda x: np.ones(len(x)), points, ((0.0, 1.0),), walls)
    assert_allclose(found, pushed_to_the_middle(points[:, 0], 2 * math.pi * amplitude * horizon), rtol=1e-6)


def pushed_to_the_middle(x, strength):
    """ρ on [0, 1] after ẋ = a sin 2πx for a time t from the uniform density, strength = 2πat."""
    return 1 / (math.cosh(strength) + math.sinh(strength) * np.cos(2 * np.pi * x))


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_without_noise_the_refined_mesh_converges_to_characteristics(walls):
    uniform = {"kind": "uniform"}
    problem = load_problem(
        "moser-bumps",
        set={
            "domain.box": [[0, 1]],
            "domain.walls": walls,
            "reference.from": uniform,
            "reference.to": uniform,
            "noise": 0,
            "network.tangential": False,
        },
    )
    reference = build_reference(problem.reference, problem.domain)
    drift = FormulaDrift((Formula("0.15*sin(2*pi*x)", ("x", "t")),), np.array([0.0, 0.6, 1.0]))

    def error(elements):
        found = refined_density(
            Posed(problem, reference), drift, Mesh.build(((0, 1),), walls, (elements,), 4), once=True
        )
        exact = pushed_to_the_middle(found.mesh.points[:, 0], 2 * math.pi * 0.15)
        return found.final.l2(lambda _: exact)

    sizes = np.array([4, 8, 16])
    errors = [error(int(elements)) for elements in sizes]
    assert fitted_order(sizes, errors) > 3.5
    assert errors[-1] < 1e-4

"""The operator against closed forms: mass, orders of convergence, walls, no numerical diffusion."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import expm

from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck import gauss_lobatto as gll
from controlsde.fokker_planck.evolution import evolve
from controlsde.fokker_planck.propagation import Propagator
from controlsde.fokker_planck.radau import radau


def fitted_order(sizes, errors):
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def l2(mesh, difference):
    return float(np.sqrt(difference**2 @ mesh.mass))


@pytest.mark.parametrize("degree", [2, 5, 8, 16])
def test_quadrature_is_exact_to_degree_2p_minus_1_derivatives_to_degree_p(degree):
    nodes, weights = gll.nodes_and_weights(degree)
    for power in range(2 * degree):
        exact = 0.0 if power % 2 else 2.0 / (power + 1)
        assert_allclose(weights @ nodes**power, exact, atol=1e-13)
    matrix = gll.differentiation_matrix(nodes)
    assert_allclose(matrix @ nodes**degree, degree * nodes ** (degree - 1), atol=1e-10)


@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
@pytest.mark.parametrize(("box", "elements"), [(((0, 2.0),), (5,)), (((0, 1.0), (-1, 2.0)), (3, 4))])
@pytest.mark.parametrize("diffusivity", [0.0, 0.7])
def test_closed_walls_keep_the_mass_for_any_drift(walls, box, elements, diffusivity):
    operator = Operator.build(Mesh.build(box, walls, elements, 6), diffusivity)
    drift = np.random.default_rng(0).normal(size=operator.drift_points.shape)
    column_sums = operator.mesh.mass @ operator.matrix(drift)
    assert np.abs(column_sums).max() < 1e-12


def test_heat_between_reflecting_walls_matches_the_cosine_series_to_rounding():
    mesh = Mesh.build(((0, 1.0),), "reflecting", (4,), 12)
    x = mesh.points[:, 0]
    stages = evolve(
        Operator.build(mesh, 1.0),
        lambda _: 0 * mesh.points,
        1 + 0.5 * np.cos(np.pi * x),
        np.linspace(0, 0.2, 21),
    )
    assert_allclose(stages[-1, -1], 1 + 0.5 * np.exp(-(np.pi**2) * 0.2) * np.cos(np.pi * x), atol=1e-9)


def test_the_error_is_exponential_in_the_degree_and_above_order_p_in_h():
    def error(elements, degree):
        mesh = Mesh.build(((0, 1.0),), "reflecting", (elements,), degree)
        x = mesh.points[:, 0]
        drift = lambda _: (0.3 * np.sin(2 * np.pi * x))[:, None]  # noqa: E731
        stages = evolve(Operator.build(mesh, 0.02), drift, 1 + 0.5 * np.cos(3 * np.pi * x), np.linspace(0, 0.5, 101))
        return mesh, stages[-1, -1]

    fine_mesh, fine = error(24, 8)

    def against_fine(elements, degree):
        mesh, value = error(elements, degree)
        return l2(fine_mesh, mesh.interpolate(value, (fine_mesh.axes[0].grid,)) - fine)

    by_degree = [against_fine(3, degree) for degree in (3, 5, 7, 9)]
    assert all(later < earlier / 4 for earlier, later in pairwise(by_degree))
    sizes = np.array([4, 6, 9, 12])
    assert fitted_order(sizes, [against_fine(n, 4) for n in sizes]) > 4.5


@pytest.mark.parametrize(("stages", "order"), [(1, 1), (2, 3), (3, 5)])
def test_radau_has_its_order_in_time(stages, order):
    mesh = Mesh.build(((0, 1.0),), "reflecting", (3,), 8)
    x = mesh.points[:, 0]
    operator = Operator.build(mesh, 0.05)
    initial = 1 + 0.5 * np.cos(np.pi * x)

    def final(steps):
        drift = lambda t: ((1 + np.sin(3 * t)) * 0.5 * np.sin(np.pi * x))[:, None]  # noqa: E731
        return evolve(operator, drift, initial, np.linspace(0, 1, steps + 1), stages)[-1, -1]

    exact = (
        final(320)
        if stages > 1
        else evolve(
            operator,
            lambda t: ((1 + np.sin(3 * t)) * 0.5 * np.sin(np.pi * x))[:, None],
            initial,
            np.linspace(0, 1, 101),
            3,
        )[-1, -1]
    )
    counts = np.array({1: [40, 80, 160], 2: [10, 20, 40], 3: [4, 8, 16]}[stages])
    errors = [l2(mesh, final(n) - exact) for n in counts]
    assert abs(fitted_order(counts, errors) - order) < 0.35


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_eigenbasis_of_radau_rebuilds_its_matrix(stages):
    scheme = radau(stages)
    rebuilt = ((scheme.right * scheme.eigenvalues * scheme.multiplicity) @ scheme.left).real
    assert_allclose(rebuilt, scheme.inverse, atol=1e-12)
    assert_allclose(scheme.b.sum(), 1.0)
    assert_allclose(scheme.b @ scheme.c, 0.5 if stages > 1 else 1.0)


def test_a_constant_drift_into_a_wall_settles_in_the_exponential_layer():
    drift, diffusivity, length = 1.5, 0.2, 1.0
    mesh = Mesh.build(((0, length),), "reflecting", (10,), 8)
    x = mesh.points[:, 0]
    operator = Operator.build(mesh, diffusivity)
    stages = evolve(operator, lambda _: np.full_like(mesh.points, drift), np.ones(len(x)), np.linspace(0, 8, 81))
    rate = drift / diffusivity
    layer = rate * np.exp(rate * x) / np.expm1(rate * length)
    assert l2(mesh, stages[-1, -1] - layer) < 1e-7


def test_decay_rates_beside_a_wall_layer_match_the_closed_form():
    drift, diffusivity = 0.8, 0.3
    mesh = Mesh.build(((0, 1.0),), "reflecting", (4,), 10)
    matrix = Operator.build(mesh, diffusivity).matrix(np.full_like(mesh.points, drift)).toarray()
    rates = np.sort(-np.linalg.eigvals(matrix).real)[:4]
    expected = [0.0] + [drift**2 / (4 * diffusivity) + diffusivity * (k * np.pi) ** 2 for k in (1, 2, 3)]
    assert_allclose(rates, expected, rtol=1e-7, atol=1e-9)


def test_the_truncated_gaussian_is_stationary_under_reflected_ou():
    mesh = Mesh.build(((-2.0, 2.0),), "reflecting", (8,), 10)
    density = np.exp(-(mesh.points[:, 0] ** 2) / 2)
    rate = Operator.build(mesh, 1.0).matrix(-mesh.points) @ density
    # the operator is a weak one: compare with the size of its two parts, which cancel
    assert np.abs(rate).max() < 1e-7 * np.abs(Operator.build(mesh, 1.0).diffusion @ density).max()


def test_absorbing_walls_let_heat_decay_at_the_dirichlet_rate():
    mesh = Mesh.build(((0, 1.0),), "absorbing", (4,), 10)
    inner = mesh.restrict(np.sin(np.pi * mesh.points[:, 0]))
    operator = Operator.build(mesh, 1.0)
    stages = evolve(operator, lambda _: 0 * operator.drift_points, inner, np.linspace(0, 0.1, 21))
    assert_allclose(
        mesh.to_grid(stages[-1, -1]), np.exp(-(np.pi**2) * 0.1) * np.sin(np.pi * mesh.points[:, 0]), atol=1e-9
    )


def test_without_noise_absorbing_walls_let_mass_out_and_none_in():
    mesh = Mesh.build(((0, 1.0),), "absorbing", (12,), 8)
    operator = Operator.build(mesh, 0.0)
    x = operator.mesh.points[:, 0]
    initial = np.exp(-((x - 0.5) ** 2) / 0.005)
    stages = evolve(operator, lambda _: np.full_like(operator.drift_points, 1.0), initial, np.linspace(0, 0.8, 161))
    moved = np.where(x > 0.8, np.exp(-((x - 1.3) ** 2) / 0.005), 0.0)
    assert l2(operator.mesh, stages[-1, -1] - moved) < 1e-3
    assert operator.mesh.mass @ stages[-1, -1] < 0.01 * (operator.mesh.mass @ initial)


def test_a_bump_that_crosses_the_periodic_seam_comes_back_unchanged():
    mesh = Mesh.build(((0, 1.0),), "periodic", (10,), 8)
    operator = Operator.build(mesh, 0.0)
    x = mesh.restrict(mesh.points[:, 0])
    initial = mesh.restrict(np.exp(np.cos(2 * np.pi * (mesh.points[:, 0] - 0.3))))
    stages = evolve(operator, lambda _: np.full_like(operator.drift_points, 1.0), initial, np.linspace(0, 1, 101))
    assert len(x) == mesh.shape[0] - 1
    assert l2(mesh, stages[-1, -1] - initial) < 1e-6


def cellular_flow(points):
    """∇⊥ψ for ψ = sin πx sin πy: tangential to the walls and free of divergence."""
    x, y = np.pi * points.T
    return np.pi * np.stack([np.sin(x) * np.cos(y), -np.cos(x) * np.sin(y)], axis=1)


def test_a_cellular_flow_without_noise_keeps_the_l2_norm():
    mesh = Mesh.build(((0, 1.0), (0, 1.0)), "reflecting", (4, 4), 8)
    assert mesh.shape == (33, 33)
    initial = 1 + 0.5 * np.cos(np.pi * mesh.points[:, 0]) * np.cos(np.pi * mesh.points[:, 1])
    operator = Operator.build(mesh, 0.0)
    propagator = Propagator(operator, [1.0], 50)
    drift = propagator.tensor(cellular_flow(operator.drift_points)[None])
    stages = propagator(drift, propagator.tensor(initial)).numpy()
    norms = np.sqrt(stages[0, :, -1] ** 2 @ mesh.mass)
    assert np.abs(norms / np.sqrt(initial**2 @ mesh.mass) - 1).max() < 1e-3
    assert l2(mesh, stages[0, -1, -1] - initial) > 0.05  # it did move


@pytest.mark.parametrize("elements", [4, 8, 16, 32])
@pytest.mark.parametrize("steepness", [1.0, 5.0])
def test_without_noise_mass_at_a_closed_wall_piles_up_and_stays_finite(elements, steepness):
    # ρ = 1, v = -tanh(s(1-x)): the mass ∫ρ that reaches x = 0 by t = 1 is all that the wall node may hold
    mesh = Mesh.build(((0, 1.0),), "reflecting", (elements,), 8)
    operator = Operator.build(mesh, 0.0)
    drift = operator.rectify(-np.tanh(steepness * (1 - operator.drift_points)))
    matrix = operator.matrix(drift).toarray()
    assert np.linalg.eigvals(matrix).real.max() < 1e-6
    final = expm(matrix) @ np.ones_like(mesh.mass)
    assert abs(mesh.mass @ final - 1) < 1e-12
    near, edge = first_elements(mesh.axes[0], 2)
    began = 1 - np.arcsinh(np.exp(-steepness) * np.sinh(steepness * (1 - edge))) / steepness  # of what is at edge
    assert_allclose(near @ final, began, rtol=2e-2)
    assert np.abs(final).max() * mesh.mass[0] < 1  # at most all of the mass in one node


def first_elements(axis, count):
    """Weights that integrate over the first elements of an axis alone, and where these end."""
    weights = axis.weights.copy()
    weights[count * axis.degree] /= 2
    weights[count * axis.degree + 1 :] = 0
    return weights, axis.grid[count * axis.degree]


def test_without_noise_a_corner_holds_what_two_walls_collect():
    mesh = Mesh.build(((0, 1.0), (0, 1.0)), "reflecting", (3, 4), 6)
    operator = Operator.build(mesh, 0.0)
    drift = operator.rectify(-(1.0 - operator.drift_points))  # 1 - x grows as e^t
    final = (expm(operator.matrix(drift).toarray()) @ np.ones_like(mesh.mass)).reshape(mesh.shape)
    (by_x, x), (by_y, y) = (first_elements(axis, 1) for axis in mesh.axes)
    assert_allclose(by_x @ final @ by_y, (1 - (1 - x) / np.e) * (1 - (1 - y) / np.e), rtol=2e-2)


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_manufactured_solution_with_a_source_is_reproduced(dimension):
    box = ((0.0, 1.0),) * dimension
    mesh = Mesh.build(box, "reflecting", (3,) * dimension, 9)
    points, diffusivity = mesh.points, 0.3

    def profile(t):
        return 1 + 0.4 * np.exp(-t) * np.prod(np.cos(np.pi * points), axis=1)

    def drift(t):
        return np.sin(np.pi * points) * (1 + 0.5 * t)

    def source(t):
        wave = np.prod(np.cos(np.pi * points), axis=1)
        time = -0.4 * np.exp(-t) * wave
        laplacian = -dimension * np.pi**2 * 0.4 * np.exp(-t) * wave
        divergence = 0.0
        for i in range(dimension):
            gradient = (
                -0.4
                * np.exp(-t)
                * np.pi
                * np.sin(np.pi * points[:, i])
                * np.prod(np.cos(np.pi * np.delete(points, i, axis=1)), axis=1)
            )
            speed = np.sin(np.pi * points[:, i]) * (1 + 0.5 * t)
            divergence = (
                divergence + np.pi * np.cos(np.pi * points[:, i]) * (1 + 0.5 * t) * profile(t) + speed * gradient
            )
        return time - diffusivity * laplacian + divergence

    stages = evolve(Operator.build(mesh, diffusivity), drift, profile(0), np.linspace(0, 0.5, 11), source=source)
    assert l2(mesh, stages[-1, -1] - profile(0.5)) < 1e-6


def test_interpolation_reproduces_polynomials_and_resolution_flags_roughness():
    mesh = Mesh.build(((0, 1.0), (0, 2.0)), "reflecting", (2, 3), 5)
    points = mesh.points
    values = points[:, 0] ** 4 * points[:, 1] ** 3
    new = (np.linspace(0, 1, 7), np.linspace(0, 2, 9))
    assert_allclose(mesh.interpolate(values, new).reshape(7, 9), new[0][:, None] ** 4 * new[1] ** 3, atol=1e-12)
    scattered = np.random.default_rng(0).uniform(0, 1, (20, 2))
    assert_allclose(mesh.interpolate_at(values, scattered), scattered[:, 0] ** 4 * scattered[:, 1] ** 3, atol=1e-12)
    assert mesh.resolution(values) < 1e-12
    assert mesh.resolution((points[:, 0] > 0.4).astype(float)) > 0.02


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize("diffusivity", [0.0, 0.7])
@pytest.mark.parametrize("elements", [(5,), (2, 3)])
def test_the_tabulated_entries_of_a_are_those_of_its_formula(elements, diffusivity, walls):
    mesh = Mesh.build(((-1.0, 2.0),) * len(elements), walls, elements, 4)
    operator = Operator.build(mesh, diffusivity)
    drift = operator.rectify(np.random.default_rng(0).standard_normal(operator.drift_points.shape))
    sampled = (operator.sampling @ drift.ravel())[:, None]
    for factor in (diffusivity, 0.3):
        formula = factor * operator.diffusion.toarray() + operator.combine @ (sampled * operator.gather.toarray())
        np.testing.assert_allclose(
            operator.matrix(drift, factor).toarray(), formula, atol=1e-13 * np.abs(formula).max()
        )

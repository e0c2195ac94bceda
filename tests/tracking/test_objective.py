"""The reduced objective: gradient, Gauss–Newton and Hessian against differences and against CasADi."""

import casadi as ca
import numpy as np
import pytest

from controlsde.solvers.collocation.transcription import transcribe
from controlsde.tracking.objective import Objective
from tests.quick import every


def some_weights(tracking, seed):
    """Random weights of the network, and, where they are free, random lengths."""
    rng = np.random.default_rng(seed)
    weights = tracking.with_equal_lengths(tracking.network.random_weights(tracking.grid.pieces, rng))
    if tracking.free is not None:
        weights[:, -1] = 0.5 * rng.normal(size=len(weights))
    return weights, rng


def central(function, step):
    """Fourth-order central difference of function(s) at s = 0."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


CASES = {
    "noisy": {},
    "noise-free": {"noise": 0.0},
    "wide and tangential": {"network": {"width": 3, "activation": "softplus", "tangential": True}},
    "two stages": {"mesh.stages": 2, "network.activation": "sin"},
    "one stage, absorbing": {"mesh.stages": 1, "domain.walls": "absorbing", "network.activation": "sigmoid"},
    "outflow": {"domain.walls": "absorbing", "noise": 0.0},
    "Ḣ⁻¹ norm": {"objective.norm": "h-1"},
    "Ḣ⁻¹ norm, periodic": {"objective.norm": "h-1", "domain.walls": "periodic", "reference.forward": "heat"},
    "terminal only": {"objective": {"running": 0, "terminal": 2}},
    "variation": {"objective": {"variation": 0.03}, "controls.lengths": 0.7},
    "energy": {"objective": {"energy": 0.3}, "network.width": 2},
    "energy, outflow": {"objective": {"energy": 0.3}, "domain.walls": "absorbing", "noise": 0.0},
    "energy, periodic": {"objective": {"energy": 0.3}, "domain.walls": "periodic", "reference.forward": "heat"},
    "free lengths": {"controls.lengths": "free", "objective": {"running": 2.0, "variation": 0.03, "effort": 0.01}},
    "free lengths, energy": {"controls.lengths": "free", "objective": {"energy": 0.3}, "mesh.steps_per_piece": 3},
    "free lengths, noise-free": {"controls.lengths": "free", "noise": 0.0, "mesh.stages": 2},
    "free lengths, Ḣ⁻¹": {"controls.lengths": "free", "objective": {"norm": "h-1", "energy": 0.1}},
    "varying diffusivity": {"reference.forward": {"kind": "vp", "schedule": "0.2 + s"}, "mesh.steps_per_piece": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_equals_central_differences_to_1e_7(case, small_tracking):
    tracking = small_tracking(**CASES[case])
    objective = Objective(tracking)
    weights, rng = some_weights(tracking, 0)
    _, gradient = objective.value_and_gradient(weights)
    for _ in range(3):
        direction = rng.normal(size=weights.shape)
        expected = central(lambda s, d=direction: objective.value(weights + s * d), 2e-4)
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_the_hessian_equals_central_differences_of_the_gradient(case, small_tracking):
    tracking = small_tracking(**CASES[case])
    objective = Objective(tracking)
    weights, rng = some_weights(tracking, 1)
    expansion = objective.evaluate(weights).expand()
    direction = rng.normal(size=weights.shape)
    if tracking.free is not None:  # all logits alike change nothing, and are given a curvature there
        direction[:, -1] -= direction[:, -1].mean()
    expected = central(lambda s: objective.value_and_gradient(weights + s * direction)[1].ravel(), 2e-4)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(expansion.hessian @ direction.ravel(), expected, atol=1e-6 * scale)
    np.testing.assert_allclose(expansion.gradient, objective.value_and_gradient(weights)[1].ravel())


@pytest.mark.parametrize("case", ["noisy", "Ḣ⁻¹ norm", "terminal only", "variation"])
def test_gauss_newton_is_the_normal_matrix_of_the_weighted_residuals(case, small_tracking):
    tracking = small_tracking(**CASES[case])
    objective = Objective(tracking)
    weights, _ = some_weights(tracking, 2)

    def residual(flat):
        stages = objective.stages(flat.reshape(weights.shape))
        return (np.sqrt(tracking.time_weight)[..., None] * tracking.metric.root(stages - tracking.targets)).ravel()

    flat = weights.ravel()
    columns = [central(lambda s, e=e: residual(flat + s * e), 1e-3) for e in np.eye(flat.size)]
    jacobian = np.stack(columns, axis=1)
    expected = jacobian.T @ jacobian + np.kron(tracking.regularisation_matrix, np.eye(weights.shape[1]))
    expansion = objective.evaluate(weights).expand()
    np.testing.assert_allclose(expansion.gauss_newton, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("case", every(3, [case for case in CASES if "free" not in case]))
def test_objective_and_gradient_equal_casadis_to_1e_10(case, small_tracking):
    tracking = small_tracking(**CASES[case])
    objective = Objective(tracking)
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(3))
    transcription = transcribe(tracking)
    nlp = transcription.nlp
    stages = objective.stages(weights)
    point = transcription.pack(weights, stages)
    functions = ca.Function(
        "parts", [nlp["x"]], [nlp["f"], nlp["g"], ca.gradient(nlp["f"], nlp["x"]), ca.jacobian(nlp["g"], nlp["x"])]
    )
    value, constraint, slope, jacobian = functions(point)
    assert float(value) == pytest.approx(objective.value(weights), rel=1e-12)
    assert np.abs(np.asarray(constraint)).max() < 1e-10
    # total derivative by the implicit function theorem: f_θ − g_θᵀ g_Y⁻ᵀ f_Y
    is_weight = np.zeros(transcription.lower.shape, dtype=bool)
    is_weight[:] = np.isfinite(transcription.lower)
    matrix = jacobian.sparse().toarray() if hasattr(jacobian.sparse(), "toarray") else np.asarray(jacobian)
    slope = np.asarray(slope).ravel()
    multipliers = np.linalg.solve(matrix[:, ~is_weight].T, slope[~is_weight])
    total = slope[is_weight] - matrix[:, is_weight].T @ multipliers
    _, gradient = objective.value_and_gradient(weights)
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(gradient.ravel(), total, atol=1e-10 * scale)


def test_the_stage_quadrature_integrates_the_error_in_time(small_tracking):
    tracking = small_tracking()
    quadrature = tracking.grid.quadrature
    times = tracking.grid.stage_times
    horizon = tracking.grid.edges[-1]
    assert quadrature.sum() == pytest.approx(horizon)
    assert (quadrature * times**4).sum() == pytest.approx(horizon**5 / 5)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_energy_is_priced_as_the_quadrature_of_the_speeds(noise, small_tracking):
    """½ w ∫∫|v|²ρ⁺ by another way: the drift and the density at the points of the mesh, stage by stage."""
    plain, priced = (small_tracking(noise=noise, objective={"energy": price}) for price in (0.0, 0.4))
    weights, _ = some_weights(plain, 5)
    stages = Objective(plain).stages(weights)
    points, mass = plain.mesh.points, plain.mesh.weights
    energy = 0.0
    for piece, (a, w, b) in enumerate(zip(*plain.network.split(weights), strict=True)):
        speed = (a[0] * np.tanh(points * w[:, 0] + b)).sum(axis=1) ** 2
        for step in range(plain.grid.steps_per_piece):
            for stage in range(plain.grid.stages):
                density = np.maximum(stages[piece, step, stage], 0.0)
                energy += plain.grid.quadrature[piece, step, stage] * np.sum(mass * speed * density)
    difference = Objective(priced).value(weights) - Objective(plain).value(weights)
    assert difference == pytest.approx(0.2 * energy, rel=1e-12)


def test_free_lengths_at_equal_logits_are_the_equal_pieces(small_tracking):
    fixed, free = small_tracking(), small_tracking(**{"controls.lengths": "free"})
    weights, _ = some_weights(fixed, 6)
    value = Objective(free).value(free.with_equal_lengths(weights))
    assert value == pytest.approx(Objective(fixed).value(weights), rel=1e-6)  # to the accuracy of the targets' spline
    np.testing.assert_allclose(free.controls(free.with_equal_lengths(weights)).times, fixed.grid.edges, atol=1e-15)


def test_a_shift_of_all_logits_changes_nothing(small_tracking):
    tracking = small_tracking(**{"controls.lengths": "free"})
    objective = Objective(tracking)
    weights, _ = some_weights(tracking, 7)
    shifted = weights.copy()
    shifted[:, -1] += 0.7
    assert objective.value(shifted) == pytest.approx(objective.value(weights), rel=1e-12)
    _, gradient = objective.value_and_gradient(weights)
    assert abs(gradient[:, -1].sum()) < 1e-14


def test_settled_pieces_are_no_shorter_than_the_shortest_and_fill_the_horizon(small_tracking):
    tracking = small_tracking(**{"controls.lengths": "free", "controls.shortest": 0.05})
    weights, _ = some_weights(tracking, 8)
    weights[2, -1] = -tracking.bound[-1]
    settled, own = tracking.settled(weights)
    assert settled.grid.durations.min() == pytest.approx(0.05, rel=1e-6)
    assert settled.grid.edges[-1] == tracking.free.horizon
    assert own.shape[1] == tracking.network.weights_per_piece
    again = tracking.flatten(tracking.controls(weights))
    np.testing.assert_allclose(tracking.controls(again).times, settled.grid.edges, atol=1e-12)


def test_free_lengths_and_a_price_of_energy_have_exact_derivatives_in_the_plane_too(small_tracking):
    tracking = small_tracking(
        "iris-plane", **{"controls.lengths": "free", "controls.pieces": 2, "mesh.elements": [2, 2], "mesh.degree": 8},
        objective={"energy": 0.2, "variation": 0.01},
    )  # fmt: skip
    objective = Objective(tracking)
    weights, rng = some_weights(tracking, 9)
    direction = rng.normal(size=weights.shape)
    direction[:, -1] -= direction[:, -1].mean()
    expansion = objective.evaluate(weights).expand()
    slope = central(lambda s: objective.value(weights + s * direction), 2e-4)
    assert expansion.gradient @ direction.ravel() == pytest.approx(slope, rel=1e-7)
    bend = central(lambda s: objective.value_and_gradient(weights + s * direction)[1].ravel(), 2e-4)
    np.testing.assert_allclose(expansion.hessian @ direction.ravel(), bend, atol=1e-6 * np.abs(bend).max())

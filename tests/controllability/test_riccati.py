"""The linear feedback law: its maps, gains and values, against differences and one dense least-squares problem."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from controlsde.controllability import riccati
from controlsde.controllability.riccati import Linearised, RiccatiError, feedback_laws, held_at_bounds
from controlsde.fokker_planck.propagation import Propagator
from controlsde.tracking.objective import Objective
from controlsde.tracking.section import section

SIZES = {"controls.pieces": 2, "network.width": 2, "mesh.elements": [4], "mesh.degree": 5, "mesh.steps_per_piece": 2}


def weights_of(tracking, seed=0, size=1.0):
    return size * np.random.default_rng(seed).standard_normal(tracking.weight_shape)


def stages_by_automatic_differentiation(tracking, weights):
    """∂(all stages)/∂(ρ(0), θ), (values, n + K·P), by the discrete adjoint of PyTorch's graph, row by row."""
    grid, operator = tracking.grid, tracking.operator
    propagator = Propagator(
        operator, grid.durations, grid.steps_per_piece, grid.stages, diffusivity=tracking.diffusivity
    )
    parts = tracking.network.split(weights)
    drift = torch.from_numpy(np.asarray(tracking.network.drift(operator.drift_points, *parts)))
    slopes = tracking.network.jacobian(operator.drift_points, *parts)  # (K, k, d, P)
    of_drift, of_start = torch.autograd.functional.jacobian(
        lambda v, rho: propagator(v, rho).flatten(), (drift, torch.from_numpy(tracking.initial))
    )
    of_weights = np.einsum("vKkd,KkdP->vKP", of_drift.numpy(), slopes)
    return np.hstack([of_start.numpy(), of_weights.reshape(len(of_weights), -1)])


def dense_problem(tracking, weights, price=0.0):
    """The whole horizon as one least-squares problem: rows for (ρ(0), θ)."""
    n, size = len(tracking.initial), tracking.network.weights_per_piece
    jacobian = stages_by_automatic_differentiation(tracking, weights)
    errors = tracking.metric.root_columns(jacobian.reshape(-1, n, jacobian.shape[1]))
    rows = (np.sqrt(tracking.time_weight).reshape(-1, 1, 1) * errors).reshape(-1, jacobian.shape[1])
    prices = tracking.regularisation_matrix + price * np.diag(tracking.grid.durations)
    root = np.kron(np.linalg.cholesky(prices).T, np.eye(size))
    own = [np.hstack([np.zeros((len(each), n)), each]) for each in (root, moving_mass(tracking, weights))]
    return np.vstack([rows, *own])


def moving_mass(tracking, weights):
    """Rows whose squares are the price of energy of a change of the drift, at the densities as they are: (·, K·P)."""
    pieces, size = tracking.weight_shape
    positive = np.maximum(Objective(tracking).stages(weights), 0.0)
    mass = np.einsum("kij,kijn,xn->kx", tracking.energy_weight, positive, tracking.mesh.prolongation.toarray())
    points = tracking.mesh.points
    slopes = tracking.network.jacobian(points, *tracking.network.split(weights))[:, :, 0]  # (K, N, P)
    rows = np.sqrt(mass * tracking.mesh.weights)[..., None] * slopes
    found = np.zeros((pieces, len(points), pieces, size))
    found[np.arange(pieces), :, np.arange(pieces)] = rows
    return found.reshape(-1, pieces * size)


@pytest.fixture(params=["noise-free", "noisy", "varying", "tied", "h-1", "energy"])
def problem(request, small_tracking):
    """Two pieces of width two: without noise, with it, with D(t), a price of variation, in Ḣ⁻¹, a price of energy."""
    changes = {
        "noise-free": {"noise": 0.0},
        "noisy": {"noise": 0.5},
        "varying": {"reference.forward": {"kind": "vp", "schedule": "0.2 + s"}},
        "tied": {"objective.variation": 0.02},
        "h-1": {"objective.norm": "h-1"},
        "energy": {"objective.energy": 0.1},
    }[request.param]
    return small_tracking(**{**SIZES, "objective.effort": 1e-3, **changes})


def test_the_maps_of_a_piece_are_the_central_differences_of_the_state_equation(problem):
    weights, step = weights_of(problem), 1e-5
    linearised = Linearised.of(problem, weights)
    starts = np.concatenate([problem.initial[None], Objective(problem).stages(weights)[:-1, -1, -1]])
    for piece in range(2):

        def end(density, own, piece=piece):
            return Objective(section(problem, piece, piece + 1, density)).stages(own[None])[-1, -1, -1]

        of_density, of_weights = linearised.maps(piece)
        for mapped, place in ((of_density, 0), (of_weights, 1)):
            at = [starts[piece], weights[piece]]
            for column in range(0, mapped.shape[1], 3):
                moved = [np.zeros(len(each)) for each in at]
                moved[place][column] = step
                ends = [end(at[0] + sign * moved[0], at[1] + sign * moved[1]) for sign in (1, -1)]
                difference = (ends[0] - ends[1]) / (2 * step)
                assert_allclose(mapped[:, column], difference, atol=1e-8 * max(1.0, np.abs(mapped).max()))


def test_every_stage_map_is_that_of_automatic_differentiation(problem):
    weights, n = weights_of(problem), len(problem.initial)
    dense = stages_by_automatic_differentiation(problem, weights).reshape(*problem.targets.shape, -1)
    first, second = (Linearised.of(problem, weights).stages(piece) for piece in range(2))
    size = problem.network.weights_per_piece
    assert_allclose(first, dense[0, ..., : n + size], atol=1e-12 * np.abs(dense).max())
    assert_allclose(dense[0, ..., n + size :], 0.0, atol=1e-15)
    carried = second[..., :n] @ first[-1, -1]
    assert_allclose(carried, dense[1, ..., : n + size], atol=1e-11 * np.abs(dense).max())
    assert_allclose(second[..., n:], dense[1, ..., n + size :], atol=1e-12 * np.abs(dense).max())


@pytest.mark.parametrize("price", [0.0, 0.01])
def test_the_first_gain_is_that_of_one_dense_least_squares_problem(problem, price):
    weights, n = weights_of(problem), len(problem.initial)
    size = problem.network.weights_per_piece
    rows = dense_problem(problem, weights, price)
    dense = np.linalg.lstsq(rows[:, n:], rows[:, :n], rcond=None)[0]
    (law,) = feedback_laws(problem, weights, (price,))
    scale = np.abs(dense).max()
    assert_allclose(law.gains[0][:, :n], dense[:size], atol=1e-12 * scale)
    # the second answers what the first leaves, and is the dense one all the same
    linearised = Linearised.of(problem, weights)
    of_density, of_weights = linearised.maps(0)
    then = np.vstack([of_density - of_weights @ dense[:size], -dense[:size]])  # (e₁, u₀) for e₀
    assert_allclose(law.gains[1] @ then, dense[size:], atol=1e-11 * scale)


def test_the_value_is_the_least_of_the_dense_quadratic(problem):
    weights, n = weights_of(problem), len(problem.initial)
    rows = dense_problem(problem, weights)
    (law,) = feedback_laws(problem, weights)
    for seed in range(3):
        deviation = 0.1 * np.random.default_rng(seed).standard_normal(n)
        _, residual, *_ = np.linalg.lstsq(rows[:, n:], -rows[:, :n] @ deviation, rcond=None)
        assert law.value(deviation) == pytest.approx(0.5 * float(residual[0]), rel=1e-11)


def test_the_quadratic_is_the_gauss_newton_model_of_the_objective(problem):
    weights, n = weights_of(problem), len(problem.initial)
    rows = dense_problem(problem, weights)[:, n:]
    expected = Objective(problem).evaluate(weights).expand().gauss_newton
    assert_allclose(rows.T @ rows, expected, atol=1e-13 * np.abs(expected).max())


def test_a_cheaper_answer_is_closer_to_none_and_a_dear_one_is_none(problem):
    weights = weights_of(problem)
    laws = feedback_laws(problem, weights, (0.0, 0.1, 1e9))
    sizes = [float(np.linalg.norm(law.gains)) for law in laws]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] < 1e-6
    deviation = 0.1 * np.cos(np.arange(len(problem.initial)))
    values = [law.value(deviation) for law in laws]
    assert values[0] < values[1] < values[2]


def test_a_small_deviation_is_answered_better_than_by_any_other_gain(small_tracking):
    """About an optimum, J of the nonlinear loop is least along the law, to second order in the deviation."""
    tracking = small_tracking(**{**SIZES, "network.width": 1, "objective.effort": 1e-2, "noise": 1.0})
    weights = optimum(tracking)
    (law,) = feedback_laws(tracking, weights)
    shape = np.gradient(tracking.initial)
    shape -= (tracking.mesh.mass @ shape) / tracking.mesh.mass.sum()
    density = tracking.initial + 1e-3 * shape / np.abs(shape).max()

    def played(factor):
        moved, here = weights.copy(), density
        for piece in range(2):
            moved[piece] += factor * (law.answer(piece, here, moved[piece - 1] if piece else None) - weights[piece])
            part = section(tracking, piece, piece + 1, here)
            here = Objective(part).stages(moved[piece : piece + 1])[-1, -1, -1]
        return Objective(section(tracking, 0, 2, density)).value(moved)

    assert played(1.0) < min(played(0.0), played(0.5), played(-1.0), played(2.0))


def optimum(tracking):
    """A minimum of J from zero-ish weights."""
    from controlsde.solvers.shooting.trust_region import minimise

    objective, shape = Objective(tracking), tracking.weight_shape
    start = weights_of(tracking, seed=2, size=0.5).ravel()
    *_, last = minimise(lambda x: objective.evaluate(x.reshape(shape)), start, objective.bounds, 500, 1e-10)
    assert last.converged
    return last.point.reshape(shape)


def test_weights_that_a_bound_holds_stay(small_tracking):
    tracking = small_tracking(**{**SIZES, "controls.bounds": 1.0, "noise": 1.0})
    weights = optimum(tracking)
    held = held_at_bounds(tracking, weights)
    assert held.any()
    assert not held.all()
    (law,) = feedback_laws(tracking, weights)
    assert np.all(law.gains[held] == 0.0)
    assert np.all(np.abs(law.gains[~held]).max(axis=-1) > 0.0)
    far = tracking.initial + 0.5 * np.cos(np.arange(len(tracking.initial)))
    assert np.all(np.abs(law.answer(0, far)) <= tracking.bound)


def test_without_any_effort_weights_that_do_nothing_are_left_alone(small_tracking):
    tracking = small_tracking(**{**SIZES, "objective.effort": 0.0, "noise": 1.0})
    weights = weights_of(tracking)
    weights[:, [0, 2, 4]] = 0.0  # a neuron without output, input and offset: σ(0) = 0, so its A does nothing
    (law,) = feedback_laws(tracking, weights)
    assert np.all(np.isfinite(law.gains))
    assert_allclose(law.gains[:, [0, 2, 4]], 0.0, atol=1e-7 * np.abs(law.gains).max())


def test_a_mesh_that_is_too_large_is_refused_in_a_line(monkeypatch, small_tracking):
    monkeypatch.setattr(riccati, "MOST_UNKNOWNS", 10)
    tracking = small_tracking(**SIZES)
    with pytest.raises(RiccatiError, match="at most 10 nodes") as caught:
        feedback_laws(tracking, weights_of(tracking))
    assert "use --by replan" in str(caught.value)
    assert len(caught.value.lines) == 1


def test_the_maps_hold_in_the_plane(small_tracking):
    tracking = small_tracking(
        "rotation", **{"controls.pieces": 2, "mesh.elements": [2, 2], "mesh.degree": 4, "network.width": 1}
    )
    weights, n = weights_of(tracking, size=0.3), len(tracking.initial)
    rows = dense_problem(tracking, weights)
    dense = np.linalg.lstsq(rows[:, n:], rows[:, :n], rcond=None)[0]
    (law,) = feedback_laws(tracking, weights)
    size = tracking.network.weights_per_piece
    assert_allclose(law.gains[0][:, :n], dense[:size], atol=1e-10 * np.abs(dense).max())


# ---- broken on purpose


def with_other_sign(root, last, right=riccati._carried):
    return right(root, -last)


def with_less_response(tracking, weights, right=Linearised.of):
    found = right(tracking, weights)
    return Linearised(found.about, 0.9 * found.responses)


def without_projection(rows, seen, right=riccati._eliminated):
    gain, _ = right(rows, seen)
    return gain, riccati._triangle(rows[:, :seen])


@pytest.mark.parametrize(
    ("room", "name", "broken"),
    [
        (riccati, "_carried", with_other_sign),
        (Linearised, "of", with_less_response),
        (riccati, "_eliminated", without_projection),
    ],
)
def test_a_wrong_recursion_is_seen(monkeypatch, small_tracking, room, name, broken):
    tracking = small_tracking(**{**SIZES, "objective.effort": 1e-3, "objective.variation": 0.02})
    weights, n = weights_of(tracking), len(tracking.initial)
    rows = dense_problem(tracking, weights)
    dense = np.linalg.lstsq(rows[:, n:], rows[:, :n], rcond=None)[0][: tracking.network.weights_per_piece]
    monkeypatch.setattr(room, name, broken)
    (law,) = feedback_laws(tracking, weights)
    assert np.abs(law.gains[0][:, :n] - dense).max() > 1e-3 * np.abs(dense).max()

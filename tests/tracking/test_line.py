"""The compiled objective against the interpreted one: the same discrete problem, to rounding."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from controlsde.fokker_planck.non_finite import NonFiniteError
from controlsde.tracking.line import line_objective
from controlsde.tracking.objective import Objective

SAME = 1e-12  # relative to the largest entry
WALLS = ("reflecting", "periodic", "absorbing")
ACTIVATIONS = ("tanh", "sigmoid", "softplus", "sin", "relu")
BROAD = {"reference.data": {"kind": "mixture", "weights": [1.0], "means": [0.0], "stds": [0.9]}}
VARYING = {"reference.forward": {"kind": "vp", "schedule": "0.2 + s"}, "mesh.steps_per_piece": 3}
BASES = {
    "one stage": {"mesh.stages": 1},
    "two stages": {"mesh.stages": 2},
    "degree 2": {"mesh.degree": 2, "mesh.elements": [20]},
    "degree 3": {"mesh.degree": 3, "mesh.elements": [17]},
    "degree 16": {"mesh.degree": 16, "mesh.elements": [3]},
    "one element": {**BROAD, "mesh.degree": 16, "mesh.elements": [1]},
    "a ring of one element": {**BROAD, "mesh.degree": 16, "mesh.elements": [1], "domain.walls": "periodic"},
    "tangential": {"network": {"width": 3, "tangential": True}},
    "Ḣ⁻¹": {"objective.norm": "h-1"},
    "terminal alone": {"objective": {"running": 0, "terminal": 2}},
    "unequal pieces": {"objective": {"variation": 0.03}, "controls.lengths": 0.7},
    "one piece": {"controls.pieces": 1},
    "energy": {"objective": {"energy": 0.3}, "network.width": 2},
    "energy, outflow": {"objective": {"energy": 0.3}, "domain.walls": "absorbing"},
    "energy, periodic": {"objective": {"energy": 0.3}, "domain.walls": "periodic"},
    "energy, varying": {**VARYING, "objective": {"energy": 0.3}},
    "free lengths": {"controls.lengths": "free", "objective": {"running": 2.0, "variation": 0.03}},
    "free lengths, energy, Ḣ⁻¹": {"controls.lengths": "free", "objective": {"norm": "h-1", "energy": 0.1}},
    "free lengths, no end": {"controls.lengths": "free", "objective": {"running": 0.5, "terminal": 0}},
    "varying diffusivity": VARYING,
}


def both(tracking):
    compiled = Objective(tracking)
    assert compiled.compiled
    return compiled, Objective(tracking, compiled=False)


def off(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def assert_same(tracking, weights, tolerance=SAME):
    ours, reference = both(tracking)
    found, expected = ours.evaluate(weights), reference.evaluate(weights)
    assert isinstance(found.sweep, line_objective.Point), "the compiled loops gave up"
    assert found.value == pytest.approx(expected.value, rel=tolerance)
    first, second = found.expand(), expected.expand()
    for part in ("gradient", "gauss_newton", "hessian"):
        assert off(getattr(first, part), getattr(second, part)) < tolerance, part
    value, gradient = ours.value_and_gradient(weights)
    assert value == pytest.approx(expected.value, rel=tolerance)
    assert off(gradient.ravel(), second.gradient) < tolerance
    assert off(ours.stages(weights), reference.stages(weights)) < tolerance


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("walls", WALLS)
def test_all_of_an_expansion_is_the_interpreted_one(walls, noise, activation, small_tracking):
    network = {"width": 2, "activation": activation}
    tracking = small_tracking(**{"domain.walls": walls, "noise": noise, "network": network})
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(0))
    assert_same(tracking, weights)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("case", BASES)
def test_so_it_is_for_every_discretisation_and_objective(case, noise, small_tracking):
    tracking = small_tracking(noise=noise, **BASES[case])
    rng = np.random.default_rng(1)
    weights = tracking.with_equal_lengths(tracking.network.random_weights(tracking.grid.pieces, rng))
    if tracking.free is not None:
        weights[:, -1] = 0.5 * rng.standard_normal(len(weights))
    assert_same(tracking, weights)


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["expansion", "contraction"])
def test_weights_at_their_bounds_are_as_exact(sign, noise, walls, small_tracking):
    """As exact as the equations let anything be: both must meet them, and differ by no more than the conditioning."""
    tracking = small_tracking(**{"domain.walls": walls, "noise": noise, "controls.bounds": 8})
    rng = np.random.default_rng(2)
    weights = np.sign(rng.standard_normal(tracking.weight_shape)) * tracking.bound
    weights[:, 0] = sign * np.abs(weights[:, 0]) * np.sign(weights[:, 1])
    ours, reference = both(tracking)
    try:
        expected = reference.evaluate(weights)
    except NonFiniteError:
        with pytest.raises(NonFiniteError):
            ours.evaluate(weights)
        return
    found = ours.evaluate(weights)
    assert found.value == pytest.approx(expected.value, rel=1e-9)
    first, second = found.expand(), expected.expand()
    assert off(first.gradient, second.gradient) < 1e-8
    assert off(first.hessian, second.hessian) < 1e-8


def test_a_batch_is_its_members(small_tracking):
    tracking = small_tracking()
    ours, reference = both(tracking)
    rng = np.random.default_rng(3)
    weights = np.stack([tracking.network.random_weights(tracking.grid.pieces, rng) for _ in range(5)])
    values, gradients = ours.values_and_gradients(weights)
    for each, value, gradient in zip(weights, values, gradients, strict=True):
        alone = ours.value_and_gradient(each)
        assert (value, gradient.tolist()) == (alone[0], alone[1].tolist())
        assert off(gradient, reference.value_and_gradient(each)[1]) < SAME


def test_threads_find_what_one_thread_finds(small_tracking):
    tracking = small_tracking()
    objective = Objective(tracking)
    rng = np.random.default_rng(4)
    points = [tracking.network.random_weights(tracking.grid.pieces, rng) for _ in range(40)]
    alone = [objective.evaluate(point).expand().hessian for point in points]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda point: objective.evaluate(point).expand().hessian, points))
    assert all(np.array_equal(first, second) for first, second in zip(alone, together, strict=True))


def test_a_worker_gets_the_same_objective(small_tracking):
    tracking = small_tracking()
    for compiled in (True, False):
        there = pickle.loads(pickle.dumps(Objective(tracking, compiled=compiled)))  # noqa: S301 - our own
        assert there.compiled == compiled
    objective = pickle.loads(pickle.dumps(Objective(tracking)))  # noqa: S301
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(5))
    assert objective.value(weights) == Objective(tracking).value(weights)


def test_a_drift_that_is_no_number_names_its_piece(small_tracking):
    ours, reference = both(small_tracking())
    weights = np.zeros(ours.shape)
    weights[3] = np.nan
    for objective in (ours, reference):
        with pytest.raises(NonFiniteError) as caught:
            objective.evaluate(weights)
        assert (caught.value.piece, caught.value.what) == (3, "the drift")
        with pytest.raises(NonFiniteError):
            objective.value_and_gradient(weights)


def test_where_the_residual_is_too_large_the_interpreted_objective_does_the_work(monkeypatch, small_tracking):
    tracking = small_tracking()
    ours, reference = both(tracking)
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(6))
    good = ours.evaluate(weights)
    monkeypatch.setattr(line_objective, "ACCURATE", 1e-30)
    evaluated = ours.evaluate(weights)
    assert not isinstance(evaluated.sweep, line_objective.Point)
    expected = reference.evaluate(weights).expand()
    for expansion in (evaluated.expand(), good.expand()):  # the second one's sweep was good, its way back is not
        np.testing.assert_array_equal(expansion.hessian, expected.hessian)
    np.testing.assert_array_equal(ours.value_and_gradient(weights)[1], reference.value_and_gradient(weights)[1])


def test_a_wrong_factor_shows_in_the_residual(small_tracking):
    """The residual is measured, not computed from the factors: spoil one number of them, and it is seen."""
    tracking = small_tracking()
    objective = line_objective.LineObjective.of(tracking)
    point = objective.at(tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(7)))
    nodes = tracking.mesh.axes[0].degree + 1
    point.factors[nodes * nodes * 8 + 3] *= 1.0 + 1e-6  # the first entry of P, of the fourth element
    with pytest.raises(line_objective.InaccurateError):
        objective.expand(point)


def test_without_the_loops_nothing_changes_but_the_speed(monkeypatch, small_tracking):
    tracking = small_tracking()
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(8))
    compiled = Objective(tracking).value(weights)
    monkeypatch.setattr(line_objective, "line_loops", lambda *_: None)
    without = Objective(tracking)
    assert not without.compiled
    assert without.value(weights) == pytest.approx(compiled, rel=1e-13)


@pytest.mark.parametrize("stages", [1, 3])
def test_a_pivot_that_vanishes_is_seen_and_the_interpreted_objective_does_the_work(stages, small_tracking):
    """A drift steep enough that the first pivot of an interior is zero to rounding: no error, and the right numbers."""
    tracking = small_tracking(**{"noise": 0.0, "mesh.stages": stages, "controls.bounds": 1e6})
    ours, reference = both(tracking)
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(9))
    weights[:, 2] = 0.0

    def pivot(amplitude):
        weights[0, :2] = amplitude, 1.0
        loops = line_objective.LineObjective.of(tracking)
        elements = line_objective.Elements.of(tracking.operator)
        drift = tracking.drift_values(weights)[0, : tracking.mesh.axes[0].degree + 1, 0]
        c = elements.convection
        transport = 0.5 * c[1, 1] * drift[1] - 0.5 * c[1, 1] * drift[1] + 0.5 * c[1] @ drift
        real = loops._arrays["eigenvalues"][0]
        return real * elements.weights[1] - tracking.grid.step_lengths[0] * transport

    slope = pivot(1.0) - pivot(0.0)
    pivot(-pivot(0.0) / slope)
    assert not isinstance(ours.evaluate(weights).sweep, line_objective.Point)
    found, expected = ours.evaluate(weights).expand(), reference.evaluate(weights).expand()
    np.testing.assert_array_equal(found.hessian, expected.hessian)


def test_a_density_that_only_the_loops_find_broken_is_not_broken(monkeypatch, small_tracking):
    tracking = small_tracking()
    ours, reference = both(tracking)
    weights = tracking.network.random_weights(tracking.grid.pieces, np.random.default_rng(10))
    monkeypatch.setattr(ours._line, "_loops", SimpleNamespace(line_forward=lambda *_: -2))
    assert ours.value(weights) == reference.value(weights)

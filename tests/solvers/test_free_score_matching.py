"""Score matching in free space: exact gradients, exact answers where there are some, and honest losses."""

import threading
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import scipy.optimize as so
from pydantic import ValidationError

from controlsde.control.network import ACTIVATIONS, Network
from controlsde.densities.free_mixture import ComponentMixture, KernelMixture
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.problem import Problem
from controlsde.reference.flows import ForwardProcess
from controlsde.reference.free_space import FreeReference
from controlsde.solvers.drift_fitting.drift_samples import DriftSampler, DriftSamples
from controlsde.solvers.drift_fitting.free_score_matching import solve
from controlsde.solvers.drift_fitting.independent_start import independent_axes
from controlsde.solvers.drift_fitting.options import ScoreMatching
from controlsde.solvers.drift_fitting.piece_fits import first_pool
from controlsde.solvers.drift_fitting.principal_start import principal_start
from controlsde.solvers.drift_fitting.variable_projection import ProjectedFit, StoppedError
from controlsde.tracking.free_tracking import FreeTracking

THREE = KernelMixture(np.array([0.3, 0.4, 0.3]), np.array([[-1.5, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, -1.0, -1.0]]), 0.2)
USUAL = ScoreMatching(start="principal", starts=1, tolerance=0.01)


def reference(data, horizon=1.0):
    return FreeReference(data, ForwardProcess(1.0, 1.0), None, lambda _, x: -x, Steady(1.0), horizon)


def problem(data=THREE, *, width=18, pieces=2, noise=1.0, bound=50.0, activation="tanh", effort=1e-5):
    network = Network(data.dimension, width, activation, tangential=False, box=())
    bounds = np.full(network.weights_per_piece, bound)
    edges = np.linspace(0.0, 1.0, pieces + 1)
    return FreeTracking(network, reference(data), edges, noise, bounds, 1.0, 1.0, effort, "auto")


def samples(data=THREE, count=400, seed=0):
    rng = np.random.default_rng(seed)
    return DriftSampler.of(reference(data), 1.0, 0.6, 0.9, rng).draw(count, rng)


def projected(width=5, *, activation="tanh", bound=50.0, price=1e-3, seed=0):
    network = Network(3, width, activation, tangential=False, box=())
    fit = ProjectedFit.of(network, samples(seed=seed), price, np.full(network.weights_per_piece, bound))
    return fit, fit.inner_of(*principal_start(THREE, width, np.random.default_rng(1)))


def objective(fit, weights):
    """F straight from its definition."""
    residual = fit.network.drift(fit.samples.points, *fit.network.split(weights)) - fit.samples.drifts
    return 0.5 * fit.samples.mass @ (residual**2).sum(axis=1) + 0.5 * fit.price * (weights**2).sum()


def fresh_loss(tracking, weights, count=20_000):
    total = 0.0
    for k, duration in enumerate(tracking.durations):
        rng = np.random.default_rng([77, k])
        begin, end = tracking.edges[k : k + 2]
        pool = DriftSampler.of(tracking.reference, tracking.noise, begin, end, rng).draw(count, rng)
        residual = tracking.network.drift(pool.points, *tracking.network.split(weights[k])) - pool.drifts
        total += duration * pool.mass @ (residual**2).sum(axis=1)
    return total


def test_samples_have_the_mean_of_the_reference_in_time_however_times_are_drawn():
    rng = np.random.default_rng(0)
    sampler = DriftSampler.of(reference(THREE), 1.0, 0.5, 1.0, rng)
    times = 0.5 + 0.5 * (np.arange(200) + 0.5) / 200
    exact = np.mean([np.trace(reference(THREE).mixture(t).covariance) for t in times])
    pools = [sampler.draw(4000, rng) for _ in range(12)]
    means = [pool.mass @ ((pool.points - pool.mass @ pool.points / pool.mass.sum()) ** 2).sum(axis=1) for pool in pools]
    assert sampler.chances.max() > 1.5 * sampler.chances.min()
    assert abs(np.mean(means) - exact) < 4 * np.std(means) / np.sqrt(len(means))
    assert np.std(means) < 0.05 * exact


@pytest.mark.parametrize("bound", [50.0, 0.4])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_the_gradient_without_the_outer_weights_is_that_of_differences(activation, bound):
    fit, inner = projected(activation=activation, bound=bound)
    value, gradient = fit.value_and_gradient(inner)
    weights = fit.weights(inner, fit.moments(inner))
    assert value == pytest.approx(objective(fit, weights), rel=1e-12)
    a, _, _ = fit.network.split(weights)
    assert (np.abs(a).max() == bound) == (bound == 0.4)
    for direction in np.random.default_rng(2).standard_normal((3, inner.size)):
        up, down = (fit.value_and_gradient(inner + step * direction)[0] for step in (1e-5, -1e-5))
        assert gradient @ direction == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-7)


def test_the_outer_weights_are_those_of_an_independent_least_squares():
    fit, inner = projected(bound=0.4)
    w, b = fit.parts_of(inner)
    weights = fit.weights(inner, fit.moments(inner))
    a, _, _ = fit.network.split(weights)
    root = np.sqrt(fit.samples.mass)[:, None]
    design = np.concatenate([root * np.tanh(fit.samples.points @ w.T + b), np.sqrt(fit.price) * np.eye(5)])
    for row, target in zip(a, (root * fit.samples.drifts).T, strict=True):
        other = so.lsq_linear(design, np.concatenate([target, np.zeros(5)]), (-0.4, 0.4), tol=1e-12)
        np.testing.assert_allclose(row, other.x, atol=1e-6)


@pytest.mark.parametrize("bound", [50.0, 0.3])
def test_lbfgs_ends_within_the_bounds_where_no_way_leads_down(bound):
    fit, inner = projected(width=4, bound=bound, price=1e-2)
    found = fit.minimise(inner, 400, lambda: None)
    weights = fit.weights(found, fit.moments(found))
    assert np.abs(weights).max() <= bound * (1 + 1e-12)
    assert (np.abs(weights).max() >= bound * (1 - 1e-9)) == (bound == 0.3)
    assert fit.gradient_norm(found) < 1e-4
    assert objective(fit, weights) < 0.95 * fit.value_and_gradient(inner)[0]


def test_a_drift_that_the_network_can_be_is_found():
    network = Network(3, 20, "tanh", tangential=False, box=())
    rng = np.random.default_rng(3)
    points = rng.standard_normal((1500, 3))
    truth = network.join(rng.standard_normal((3, 20)), 0.7 * rng.standard_normal((20, 3)), rng.standard_normal(20))
    drifts = network.drift(points, *network.split(truth))
    pool = DriftSamples(points, drifts, np.full(1500, 1.0 / 1500))
    fit = ProjectedFit.of(network, pool, 0.0, np.full(network.weights_per_piece, 1e3))
    found = fit.minimise(fit.inner_of(*principal_start(THREE, 20, rng)), 500, lambda: None)
    moments = fit.moments(found)
    assert moments.loss(network.split(fit.weights(found, moments))[0].T) < 1e-4 * pool.square


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_linear_drift_of_a_gaussian_is_met_to_its_change_within_a_piece(noise):
    covariance = np.diag([2.0, 1.0, 0.5, 0.3])
    gaussian = ComponentMixture.of_covariances(np.ones(1), np.zeros((1, 4)), covariance[None])
    tracking = problem(gaussian, width=12, pieces=4, noise=noise)
    outcome = solve(tracking, USUAL)
    # the best weights constant on a piece: v* = (I − (1 + η) S(t)⁻¹) x, least squares over the piece for each axis
    best = total = 0.0
    for begin, end in zip(tracking.edges[:-1], tracking.edges[1:], strict=True):
        times = begin + (end - begin) * (np.arange(400) + 0.5) / 400
        s = np.array([np.diag(tracking.reference.mixture(t).covariance) for t in times])
        slope = 1.0 - (1.0 + noise) / s
        fitted = (slope * s).mean(axis=0) / s.mean(axis=0)
        best += (end - begin) * ((slope - fitted) ** 2 * s).mean(axis=0).sum()
        total += (end - begin) * (slope**2 * s).mean(axis=0).sum()
    assert outcome.converged
    loss = fresh_loss(tracking, outcome.weights)
    assert loss > 0.95 * best  # no constant linear drift is better, and bends bring nothing
    assert loss - best < 2e-3 * total


@pytest.mark.parametrize("width", [4, 18])  # by Newton steps and by L-BFGS
def test_training_and_fresh_loss_agree_and_are_said(width):
    tracking = problem(width=width)
    outcome = solve(tracking, USUAL)
    fresh = fresh_loss(tracking, outcome.weights)
    assert outcome.converged
    assert 1 / 1.1 < fresh / outcome.loss < 1.2
    effort = tracking.effort * (tracking.durations @ (outcome.weights**2).sum(axis=1))
    assert outcome.objective == pytest.approx(0.5 * (outcome.loss + effort), rel=1e-12)
    said = float(outcome.message.split("at fresh samples ")[1].split(" ")[0])
    assert said == pytest.approx(fresh, rel=0.15)
    assert f"leaves {outcome.loss:.4g} of" in outcome.message


def test_the_answer_depends_on_the_seed_alone():
    tracking = problem(width=16, pieces=3)
    few = USUAL.model_copy(update={"iterations": 20})
    first, again, other = (solve(tracking, few.model_copy(update={"seed": seed})).weights for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_principal_axes_start_lower_than_chance():
    fits = [projected(width=15, seed=seed)[0] for seed in range(4)]
    for seed, fit in enumerate(fits):
        principal = fit.inner_of(*principal_start(THREE, 3, np.random.default_rng(seed)))
        linear = np.linalg.lstsq(fit.samples.points, fit.samples.drifts, rcond=None)[0]
        straight = replace(fit, network=replace(fit.network, width=3), bound=np.full(21, 1e6), price=0.0)
        residual = ((fit.samples.points @ linear - fit.samples.drifts) ** 2).sum(axis=1)
        value, _ = straight.value_and_gradient(principal)
        assert value < 1.3 * 0.5 * (fit.samples.mass @ residual)


def bumps(copies, turn=None):
    """Two bumps in each of some independent coordinates, which may be turned."""
    signs = np.array(list(product([-1.5, 1.5], repeat=copies)))
    means = signs if turn is None else signs @ turn.T
    return KernelMixture(np.full(len(means), 1.0 / len(means)), means, 0.09)


def test_independent_axes_are_the_coordinates_of_a_product():
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    axes = independent_axes(bumps(4, turn), rng)
    cosines = np.abs(axes @ turn) * np.sqrt(1.5**2 + 0.09)
    np.testing.assert_allclose(np.sort(cosines, axis=1)[:, -1], 1.0, atol=0.02)
    assert sorted(cosines.argmax(axis=1)) == [0, 1, 2, 3]


def test_of_a_product_it_finds_what_fits_to_single_coordinates_find():
    """Two neurons a coordinate."""

    def loss(copies, start, starts):
        tracking = problem(bumps(copies), width=2 * copies, pieces=4)
        late = replace(tracking, edges=tracking.edges[-2:])
        options = USUAL.model_copy(update={"start": start, "starts": starts})
        return fresh_loss(late, solve(late, options).weights)

    single = loss(1, "random", 20)
    assert loss(6, "independent", 1) < 1.25 * 6 * single


def test_weights_stay_within_their_bounds():
    outcome = solve(problem(width=15, bound=0.8), USUAL.model_copy(update={"iterations": 60}))
    assert np.abs(outcome.weights).max() <= 0.8 * (1 + 1e-12)


def test_an_interrupt_keeps_the_best_so_far(monkeypatch):
    from controlsde.solvers.drift_fitting import free_score_matching

    monkeypatch.setattr(free_score_matching, "TELL_EVERY", 0.05)
    tracking = problem(width=40, pieces=4)
    told = threading.Event()

    def interrupt(_):
        told.set()
        raise KeyboardInterrupt

    outcome = solve(tracking, USUAL, interrupt)
    assert told.is_set()
    assert outcome.interrupted
    assert not outcome.converged
    assert outcome.message.startswith("interrupted")
    nothing = fresh_loss(tracking, np.zeros_like(outcome.weights))
    assert fresh_loss(tracking, outcome.weights) < 0.7 * nothing


def test_a_stopped_descent_returns_what_it_has():
    fit, inner = projected()
    left = iter(range(10))

    def told():
        if next(left, None) is None:
            raise StoppedError

    found = fit.minimise(inner, 100, told)
    assert fit.value_and_gradient(found)[0] < fit.value_and_gradient(inner)[0]


def test_fits_that_still_gain_are_not_called_converged():
    outcome = solve(problem(width=15), USUAL.model_copy(update={"iterations": 5}))
    assert not outcome.converged
    assert outcome.termination.reason == "iterations"
    assert "fits still gain after 5 iterations" in outcome.message


def test_given_weights_take_the_place_of_a_start():
    tracking = problem(width=15)
    one = USUAL.model_copy(update={"iterations": 1})
    good = solve(tracking, USUAL).weights
    assert solve(tracking, one, initial=[good]).loss < 0.8 * solve(tracking, one).loss


def test_pools_grow_with_the_weights():
    for d, m in ((64, 64), (13, 13), (3, 50)):
        network = Network(d, m, "tanh", tangential=False, box=())
        assert first_pool(network) >= 40 * m
        assert first_pool(network) * d >= 20 * network.weights_per_piece


FREE = {
    "domain": {"space": "free"},
    "reference": {
        "kind": "reversed-diffusion",
        "forward": "ornstein-uhlenbeck",
        "horizon": 1.0,
        "data": {"kind": "mixture", "weights": [1.0], "means": [[0.0] * 4], "stds": [1.0]},
    },
}
BOX = {
    "domain": {"box": [[-5, 5]], "walls": "reflecting"},
    "reference": {**FREE["reference"], "data": {"kind": "mixture", "weights": [1.0], "means": [[0.0]], "stds": [1.0]}},
}


def test_free_space_fills_in_its_own_defaults_and_a_box_keeps_its_own():
    options = Problem.model_validate(FREE).solver
    assert (options.start, options.starts, options.tolerance) == ("principal", 4, 0.01)
    wide = Problem.model_validate({**FREE, "network": {"width": 50}}).solver
    assert wide.starts == 1
    given = Problem.model_validate(
        {**FREE, "solver": {"kind": "score-matching", "starts": 3, "start": "random"}}
    ).solver
    assert (given.start, given.starts) == ("random", 3)
    box = Problem.model_validate({**BOX, "solver": {"kind": "score-matching"}}).solver
    assert (box.start, box.starts, box.tolerance) == ("random", 8, 1e-8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({**BOX, "solver": {"kind": "score-matching", "start": "principal"}}, "principal is for free space"),
        ({**FREE, "solver": {"kind": "collocation"}}, "collocation needs a mesh, which free space has none of"),
        ({**FREE, "solver": {"kind": "switching"}}, "switching needs a mesh, which free space has none of"),
        ({**FREE, "controls": {"lengths": "free"}}, "free is for solver.kind"),
        ({**FREE, "solver": {"kind": "shooting", "start": "switching"}}, "switching is played on a mesh"),
        ({**FREE, "solver": {"kind": "shooting", "method": "newton"}}, "newton needs a mesh; in free space use adam"),
        ({**FREE, "solver": {"kind": "shooting", "hops": 3}}, "hops is for problems on a mesh; in free space use 0"),
        ({**BOX, "solver": {"kind": "shooting", "particles": 100}}, "are steered in free space"),
        ({**BOX, "solver": {"kind": "shooting", "start": "score-matching"}}, "score-matching is for free space"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(content, words):
    with pytest.raises(ValidationError, match=words):
        Problem.model_validate(content)

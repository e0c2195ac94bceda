"""Steered particles: the exact gradient of the very paths, little memory, and an answer that others confirm."""

import re
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from controlsde.control.network import ACTIVATIONS, Network
from controlsde.densities.free_mixture import KernelMixture
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.reference.flows import ForwardProcess
from controlsde.reference.free_space import FreeReference
from controlsde.registry import SOLVERS
from controlsde.solvers.drift_fitting import free_score_matching
from controlsde.solvers.drift_fitting.options import ScoreMatching
from controlsde.solvers.shooting.free_shooting import FRESH, solve
from controlsde.solvers.shooting.options import Shooting
from controlsde.solvers.shooting.particle_paths import ParticlePaths
from controlsde.solvers.shooting.steering import Steering, steps_per_piece
from controlsde.tracking.free_tracking import FreeTracking
from controlsde.tracking.mollified import Mollified
from controlsde.tracking.mollified_course import MollifiedCourse

DATA = KernelMixture(np.array([0.5, 0.3, 0.2]), np.array([[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, -1.0, -1.0]]), 0.3)
USUAL = Shooting(start="score-matching", method="adam", starts=1, hops=0, iterations=30, tolerance=0.02, particles=300)


def problem(*, width=6, pieces=3, noise=1.0, scales="auto", activation="tanh", effort=1e-3, shortest=None):
    reference = FreeReference(DATA, ForwardProcess(1.0, 1.0), None, lambda _, x: -x, Steady(1.0), 1.0)
    network = Network(3, width, activation, tangential=False, box=())
    bounds = np.full(network.weights_per_piece, 20.0)
    edges = np.linspace(0.0, 1.0, pieces + 1)
    return FreeTracking(network, reference, edges, noise, bounds, 1.0, 2.0, effort, scales, shortest)


def some_weights(tracking, seed=0):
    return 0.7 * np.random.default_rng(seed).standard_normal(tracking.weight_shape)


def by_autograd(steering, weights):
    """J and its gradient: the same paths and the same U-statistic, written anew in PyTorch."""
    tracking, ends = steering.tracking, steering.ends(weights)
    paths = steering.paths(ends.edges, 1)
    theta = torch.tensor(weights, requires_grad=True)
    x = torch.tensor(paths.starts)
    n, d = x.shape
    total = 0.5 * tracking.effort * (torch.tensor(tracking.durations)[:, None] * theta**2).sum()
    shares = 0.5 * tracking.running * tracking.durations
    shares[-1] += 0.5 * tracking.terminal
    for k in range(tracking.pieces):
        a, w, b = tracking.network.split(theta[k])
        h = tracking.durations[k] / paths.steps
        for noise in torch.tensor(paths.increments(k)):
            drift = tracking.network.drift(x, a, w, b)
            ahead = tracking.network.drift(x + h * drift + noise, a, w, b)
            x = x + 0.5 * h * (drift + ahead) + noise
        mixture = tracking.reference.mixture(float(tracking.edges[k + 1]))
        means, share = torch.tensor(mixture.means), torch.tensor(mixture.weights)
        for g, price in zip(ends.errors[k].scales, ends.prices[k], strict=True):

            def bump(squared, variance):
                return torch.exp(-0.5 * squared / variance) / (2 * np.pi * variance) ** (d / 2)

            own = bump(((x[:, None] - x[None]) ** 2).sum(-1), 2 * g**2)
            pairs = (own.sum() - own.diagonal().sum()) / (n * (n - 1))
            cross = (bump(((x[:, None] - means) ** 2).sum(-1), 2 * g**2 + mixture.variance) @ share).mean()
            between = bump(((means[:, None] - means) ** 2).sum(-1), 2 * g**2 + 2 * mixture.variance)
            norm = share @ between @ share
            total = total + price * (pairs / norm - 2 * cross / norm + 1)
    total.backward()
    return float(total.detach()), theta.grad.numpy()


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_gradient_is_that_of_autograd_to_rounding(noise):
    tracking = problem(noise=noise)
    steering, weights = Steering.of(tracking, 60, 0), some_weights(tracking)
    value, gradient = steering.value_and_gradient(weights, 1)
    other, slope = by_autograd(steering, weights)
    assert value == pytest.approx(other, rel=1e-10)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-10 * np.abs(slope).max())
    assert value == pytest.approx(steering.value(weights, 1), rel=1e-12)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
def test_the_gradient_is_that_of_differences(activation):
    tracking = problem(activation=activation, scales=(0.7, 2.0))
    steering, weights = Steering.of(tracking, 40, 1), some_weights(tracking, 1)
    _, gradient = steering.value_and_gradient(weights, 1)
    for direction in np.random.default_rng(2).standard_normal((3, *weights.shape)):
        up, down = (steering.value(weights + step * direction, 1) for step in (1e-5, -1e-5))
        assert (gradient * direction).sum() == pytest.approx((up - down) / 2e-5, rel=1e-6)


@pytest.mark.parametrize(("noise", "running"), [(0.0, 1.0), (1.0, 1.0), (1.0, 0.0)])
def test_the_gradient_by_free_lengths_is_that_of_differences(noise, running):
    tracking = replace(problem(noise=noise, shortest=0.02, pieces=4), running=running)
    steering, weights = Steering.of(tracking, 50, 1), some_weights(tracking, 1)
    value, gradient = steering.value_and_gradient(weights, 1)
    assert value == pytest.approx(steering.value(weights, 1), rel=1e-12)
    for k in range(4):
        step = np.zeros_like(weights)
        step[k, -1] = 1e-5
        up, down = steering.value(weights + step, 1), steering.value(weights - step, 1)
        slope = np.abs(gradient[:, -1]).max()
        assert gradient[k, -1] == pytest.approx((up - down) / 2e-5, rel=1e-6, abs=1e-6 * slope)
    assert abs(gradient[:, -1].sum()) <= 1e-12 * np.abs(gradient[:, -1]).max()  # all longer is no change


def test_free_lengths_that_are_equal_cost_what_equal_pieces_do():
    fixed, free = problem(), problem(shortest=0.01)
    weights = some_weights(fixed)
    equal = np.append(weights, np.zeros((3, 1)), axis=1)
    ours, theirs = (Steering.of(one, 60, 0) for one in (free, fixed))
    exact, drawn = theirs.ends(weights), ours.ends(equal)
    np.testing.assert_allclose(drawn.edges, exact.edges, atol=1e-14)
    for one, other in zip(drawn.errors, exact.errors, strict=True):
        np.testing.assert_allclose(one.log_norms, other.log_norms, atol=1e-5)
    np.testing.assert_allclose(drawn.prices, exact.prices, rtol=0.05)  # null deviations are means over draws
    np.testing.assert_allclose(
        ours.value_and_gradient(equal, 1)[1][:, :-1], theirs.value_and_gradient(weights, 1)[1], rtol=0.1, atol=0.05
    )


def test_free_lengths_are_nearer_than_equal_ones_at_particles_that_neither_has_seen():
    tracking = problem(pieces=4, noise=0.0, shortest=0.01)
    tracking = replace(tracking, reference=replace(tracking.reference, data=replace(DATA, variance=0.01)))
    options = USUAL.model_copy(update={"particles": 200})
    free = solve(tracking, options)
    controls = tracking.controls(free.weights)
    assert controls.times[-1] == 1.0
    assert np.diff(controls.times).min() >= 0.01
    assert np.abs(np.diff(controls.times) - 0.25).max() > 0.02
    assert [row.number for row in free.history] == list(range(len(free.history)))
    fresh, equal = (float(each) for each in re.findall(r"(\S+) at others, (\S+) there at the start", free.message)[0])
    judge = Steering.of(replace(tracking, edges=controls.times, shortest=None), 200, 0)
    assert judge.value(free.weights[:, :-1], FRESH) == pytest.approx(fresh, rel=0.05)  # null deviations are of draws
    assert fresh < 0.9 * equal
    again = solve(tracking, options.model_copy(update={"iterations": 1}), initial=[free.weights])
    assert np.abs(again.weights - free.weights).max() <= 0.031


def test_heuns_method_is_of_order_two_without_noise():
    tracking = problem(noise=0.0, pieces=2)
    weights, starts = some_weights(tracking), np.random.default_rng(0).standard_normal((50, 3))
    ends = {
        steps: list(ParticlePaths(tracking.network, tracking.edges, np.zeros(2), steps, starts, (0,)).states(weights))[
            -1
        ]
        for steps in (8, 16, 32, 512)
    }
    errors = [np.abs(ends[steps] - ends[512]).max() for steps in (8, 16, 32)]
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(slopes, 2.0, atol=0.25)


def test_increments_have_the_variance_of_the_noise_and_come_again():
    tracking = problem(pieces=4)
    paths = Steering.of(tracking, 4000, 3).paths(tracking.edges, 1)
    noise = paths.increments(2)
    assert len(noise) == steps_per_piece(4) == 8
    assert noise.var() == pytest.approx(2.0 * 0.25 / 8, rel=0.02)
    np.testing.assert_array_equal(noise, paths.increments(2))
    assert np.abs(noise - paths.increments(1)).max() > 0.1


def test_memory_holds_one_state_a_piece_and_not_one_a_step():
    tracking = problem(pieces=8)
    network = replace(tracking.network, width=2)
    starts, edges = np.random.default_rng(0).standard_normal((4_000, 3)), np.linspace(0.0, 1.0, 9)
    weights = 0.1 * np.random.default_rng(1).standard_normal((8, network.weights_per_piece))
    paths = ParticlePaths(network, edges, np.full(8, 1e-3), 40, starts, (0,))

    tracemalloc.start()
    states = list(paths.states(weights))
    paths.gradient(weights, states, [2.0 * x for x in states])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    every_step = 2 * 8 * 40 * starts.nbytes
    assert peak < 0.35 * every_step  # states at the ends, their slopes, and the steps and increments of one piece


@pytest.mark.slow
def test_steering_gets_nearer_at_particles_that_it_has_not_seen():
    tracking = problem(pieces=2)
    start, few = some_weights(tracking), USUAL.model_copy(update={"iterations": 40})
    outcome = solve(tracking, few, initial=[start])
    steering = Steering.of(tracking, 300, 0)
    fresh, before = (steering.value(weights, FRESH) for weights in (outcome.weights, start))
    assert fresh < 0.8 * before
    assert f"{fresh:.4g} at others, {before:.4g} there at the start" in outcome.message
    assert outcome.objective == pytest.approx(steering.value(outcome.weights, 1), rel=1e-12)
    np.testing.assert_array_equal(outcome.weights, solve(tracking, few, initial=[start]).weights)
    assert np.abs(outcome.weights).max() <= 20.0


def test_steps_are_shares_of_what_weights_of_a_kind_are():
    """In high dimension all are small, and steps of the order of one hundredth lead far away."""
    tracking = problem(pieces=2)
    kinds = tracking.network.split(some_weights(tracking))
    start = tracking.network.join(*(size * part for size, part in zip((0.3, 0.02, 0.1), kinds, strict=True)))
    moved = solve(tracking, USUAL.model_copy(update={"iterations": 1, "particles": 100}), initial=[start]).weights
    assert np.abs(moved - start).max() > 0.0
    for before, after in zip(*map(tracking.network.split, (start, moved)), strict=True):
        size = np.sqrt(np.mean(before**2))
        assert np.abs(after - before).max() == pytest.approx(0.01 * size, rel=1e-3)


def test_norms_and_deviations_between_the_nodes_of_a_course_are_those_of_the_mixture():
    """On data as narrow as iris is smoothed."""
    narrow = replace(problem().reference, data=replace(DATA, variance=0.048))
    scales = (1.45, 0.724, 0.362, 0.181)
    course = MollifiedCourse.of(narrow, scales, 500, (0,))
    for t in np.random.default_rng(0).uniform(0.0, 1.0, 40):
        found, deviations = course.at(float(t))
        exact = Mollified.of(narrow.mixture(float(t)), scales)
        np.testing.assert_allclose(found.log_norms, exact.log_norms, atol=1e-4)
        np.testing.assert_allclose(deviations, exact.null_deviations(500, np.random.default_rng(1)), rtol=0.1)


def test_it_starts_from_what_score_matching_finds_and_is_never_worse():
    tracking = problem(pieces=2, width=3)
    one = USUAL.model_copy(update={"iterations": 1, "particles": 200})
    outcome = solve(tracking, one)
    fitted = free_score_matching.solve(tracking, ScoreMatching(start="principal", starts=4, tolerance=0.01)).weights
    steering = Steering.of(tracking, 200, 0)
    assert np.abs(outcome.weights - fitted).max() <= 0.011
    assert steering.value(outcome.weights, FRESH) <= steering.value(fitted, FRESH)


def test_an_interrupt_keeps_what_is_no_worse_than_the_start():
    tracking = problem(pieces=2)
    seen = []

    def progress(step):
        if step.task == "steering particles":
            seen.append(step)
            if len(seen) == 6:
                raise KeyboardInterrupt

    start = some_weights(tracking)
    outcome = solve(tracking, USUAL, progress, initial=[start])
    steering = Steering.of(tracking, 300, 0)
    assert outcome.interrupted
    assert not outcome.converged
    assert steering.value(outcome.weights, FRESH) < steering.value(start, FRESH)


def test_costs_grow_with_what_is_steered_and_contain_the_fit():
    solver = SOLVERS["shooting"]
    tracking = problem(pieces=4)
    one = solver.costs_in_free_space(USUAL, tracking)
    more = solver.costs_in_free_space(USUAL.model_copy(update={"particles": 3000}), tracking)
    longer = solver.costs_in_free_space(USUAL.model_copy(update={"iterations": 300}), tracking)
    usual = ScoreMatching(start="principal", starts=4, tolerance=0.01)
    fit = SOLVERS["score-matching"].costs_in_free_space(usual, tracking)
    assert one.fits > fit.fits > 0.0
    assert more.fits - fit.fits > 10 * (one.fits - fit.fits)
    assert 5 * one.fits < longer.fits + 5 * fit.fits
    assert more.memory > one.memory >= fit.memory

"""Fits of networks to given drifts: exact where they can be, optimal where not, and within their bounds."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize as so

from controlsde.control.network import Network
from controlsde.solvers.drift_fitting.drift_fit import Regression, descend, fit

BOX = {1: ((-2.0, 3.0),), 2: ((-2.0, 3.0), (-1.0, 1.0))}


def regression(dimension=1, width=2, count=3, price=1e-3, bound=20.0, activation="tanh", tangential=False):
    """Fits to a drift that no such network is, at uneven points."""
    rng = np.random.default_rng(5)
    network = Network(dimension, width, activation, tangential, BOX[dimension])
    low, high = np.array(BOX[dimension]).T
    points = rng.uniform(low, high, (60, dimension))
    mass = rng.uniform(0.0, 1.0, (count, 60)) / 60
    mean = np.sin(2.0 * points + 0.3 * np.arange(count)[:, None, None]) - points
    shape = (count, network.weights_per_piece)
    return Regression(network, points, mass, mean, np.full(shape, price), np.full(shape, bound))


def central(function, point, step=1e-5):
    """Derivative (B, …, P) of function(B, P) -> (B, …) by differences."""
    sides = [(function(point + step * e) - function(point - step * e)) / (2 * step) for e in np.eye(point.shape[1])]
    return np.stack(sides, axis=-1)


@pytest.mark.parametrize(("dimension", "tangential"), [(1, False), (2, True)])
def test_a_known_network_is_recovered_to_rounding(dimension, tangential):
    one = regression(dimension, tangential=tangential, price=0.0)
    known = one.network.random_weights(one.size, np.random.default_rng(1), scale=2.0)
    one = replace(one, mean=one.network.drift(one.points, *one.network.split(known)))
    found = fit(one, starts=16, seed=0, iterations=500, tolerance=1e-13)
    assert found.converged.all()
    square = np.einsum("bn,bnd->b", one.mass, one.mean**2)
    assert (one.misfit(found.weights) <= 1e-18 * square).all()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "softplus", "sin"])
def test_gradient_and_hessian_are_those_of_the_value(activation):
    one = regression(2, activation=activation, tangential=True, price=0.1)
    point = one.network.random_weights(one.size, np.random.default_rng(2))
    gradient, diagonal, hessian = one.expand(point)
    np.testing.assert_allclose(gradient, central(one.value, point), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(hessian, central(lambda at: one.expand(at)[0], point), rtol=1e-6, atol=1e-7)
    jacobian = central(lambda at: one.network.drift(one.points, *one.network.split(at)), point)
    normal = np.einsum("bn,bndp->bp", one.mass, jacobian**2) + one.price
    np.testing.assert_allclose(diagonal, normal, rtol=1e-6)


@pytest.mark.parametrize("bound", [20.0, 0.7])
def test_the_outer_weights_are_the_best_within_their_bounds(bound):
    one = regression(2, width=3, bound=bound)
    start = np.clip(one.network.random_weights(one.size, np.random.default_rng(3)), -bound, bound)
    best = one.with_best_outer(start)
    outer = one.network.dimension * one.network.width
    np.testing.assert_array_equal(best[:, outer:], start[:, outer:])
    for b in range(one.size):

        def value(a, b=b):
            single = one.pick(np.array([b]))
            return float(single.value(np.concatenate([a, best[b, outer:]])[None])[0])

        other = so.minimize(value, np.zeros(outer), bounds=[(-bound, bound)] * outer, tol=1e-14)
        np.testing.assert_allclose(value(best[b, :outer]), other.fun, rtol=1e-9)
    assert (np.abs(best) <= bound).all()
    assert (np.abs(best[:, :outer]) == bound).any() == (bound == 0.7)


@pytest.mark.parametrize("bound", [20.0, 1.5])
def test_a_fit_ends_where_no_way_within_the_bounds_leads_down(bound):
    one = regression(bound=bound)
    found = fit(one, starts=4, seed=0, iterations=200, tolerance=1e-8)
    gradient = central(one.value, found.weights)
    assert found.converged.all()
    assert np.abs(found.weights - np.clip(found.weights - gradient, -bound, bound)).max() < 1e-6
    assert (np.abs(found.weights) <= bound).all()
    assert (np.abs(found.weights) == bound).any() == (bound == 1.5)
    rng = np.random.default_rng(4)
    for scale in (1e-3, 1e-2):
        near = np.clip(found.weights + scale * rng.standard_normal((200, *found.weights.shape)), -bound, bound)
        assert (np.array([one.value(weights) for weights in near]) >= found.value).all()


def test_one_neuron_is_fitted_as_scipy_does():
    one = regression(width=1, count=2)
    found = fit(one, starts=8, seed=0, iterations=200, tolerance=1e-9)
    root = np.sqrt(one.mass)
    for b in range(one.size):

        def residual(weights, b=b):
            error = one.network.drift(one.points, *one.network.split(weights)) - one.mean[b]
            return np.concatenate([root[b] * error[:, 0], np.sqrt(one.price[b]) * weights])

        starts = np.random.default_rng(6).normal(size=(20, 3))
        others = [so.least_squares(residual, start, xtol=1e-12, ftol=1e-12, gtol=1e-12) for start in starts]
        assert found.value[b] == pytest.approx(min(other.cost for other in others), rel=1e-9)


@pytest.mark.parametrize("place", [0, 1, 4])
def test_what_a_neighbour_found_is_tried_from_both_sides_and_passed_on(place):
    one = regression(count=5)
    same = one.pick(np.full(5, 2))
    poor = np.zeros((5, same.network.weights_per_piece))  # flat neurons: a saddle, from which nothing leads down
    good = fit(one.pick(np.array([2])), starts=8, seed=0, iterations=200, tolerance=1e-8)
    begin = poor.copy()
    begin[place] = good.weights[0]
    found = fit(same, starts=1, seed=0, iterations=200, tolerance=1e-8, initial=[begin])
    np.testing.assert_allclose(found.value, good.value[0], rtol=1e-9)
    assert (descend(same, poor, 200, 1e-8).value > 1.5 * good.value[0]).all()


def test_the_same_seed_gives_the_same_fits_and_more_starts_no_worse_ones():
    one = regression(width=2)
    few, again, many = (fit(one, starts, 3, 200, 1e-8) for starts in (2, 2, 6))
    np.testing.assert_array_equal(few.weights, again.weights)
    assert (many.value <= few.value * (1 + 1e-9)).all()
    assert (fit(one, 2, 4, 3, 1e-8).weights != fit(one, 2, 3, 3, 1e-8).weights).any()


def test_too_few_iterations_are_not_called_converged():
    one = regression()
    found = fit(one, starts=1, seed=0, iterations=4, tolerance=1e-10)
    assert not found.converged.any()
    assert not found.stuck.any()
    np.testing.assert_allclose(one.with_best_outer(found.weights), found.weights, rtol=1e-9)  # variable projection
    assert (found.gradient_norm > 1e-10).all()


def test_a_fit_in_a_kink_of_relu_is_stuck_and_says_so():
    one = regression(width=1, count=8, activation="relu", price=0.0)
    found = fit(one, starts=4, seed=0, iterations=500, tolerance=1e-10)
    assert found.stuck.any()
    assert not (found.stuck & found.converged).any()
    assert (found.gradient_norm[found.stuck] > 1e-8).all()


def test_an_interruption_keeps_the_fits_so_far():
    one = regression()

    def told(number):
        if number == 3:
            raise KeyboardInterrupt

    found = fit(one, starts=2, seed=0, iterations=200, tolerance=1e-10, told=told)
    begin = one.value(one.with_best_outer(one.random_weights(np.random.default_rng([0, 0]))))
    assert found.interrupted
    assert not found.converged.all()
    assert (found.value < begin).all()

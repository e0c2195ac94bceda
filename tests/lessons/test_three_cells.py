"""The three cells of lesson 4: mass, gradient, costates, and collocation as the same problem."""

import numpy as np
import pytest

from controlsde.lessons.three_cells import MOVING, SPREADING, ThreeCells, moving_right

DRIFTS = np.array([0.5, -1.0, 1.0, 2.0])


def test_the_generator_keeps_the_mass():
    np.testing.assert_allclose(SPREADING.sum(axis=0), 0.0)
    np.testing.assert_allclose(MOVING.sum(axis=0), 0.0)
    np.testing.assert_allclose(moving_right().states(DRIFTS).sum(axis=1), 1.0, rtol=1e-14)


def test_the_generator_is_the_difference_of_the_fluxes():
    cells, density, drift = moving_right(), np.array([0.2, 0.5, 0.3]), 0.7
    flux = drift * (density[:-1] + density[1:]) / 2 - cells.diffusivity * np.diff(density)
    np.testing.assert_allclose(cells.generator(drift) @ density, -np.diff([0.0, *flux, 0.0]), rtol=1e-14)


def test_the_gradient_is_that_of_differences():
    other = ThreeCells(moving_right(3).targets[::-1], diffusivity=1.0, step=0.1, weight=2.5)
    for cells, drifts in ((moving_right(), DRIFTS), (other, DRIFTS[:3])):
        np.testing.assert_allclose(cells.gradient(drifts), cells.differences(drifts, 1e-4), rtol=1e-6)


def test_differences_are_of_second_order():
    cells = moving_right()
    off = [np.max(np.abs(cells.differences(DRIFTS, d) - cells.gradient(DRIFTS))) for d in (0.1, 0.05, 0.025)]
    orders = np.log2(np.array(off[:-1]) / off[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.05)


def test_the_costate_says_how_the_objective_changes_with_the_state():
    cells = moving_right()
    change = 1e-5 * np.array([1.0, -2.0, 0.5])

    def objective(first):
        states = [cells.targets[0] + first]
        for propagator in cells.propagators(DRIFTS):
            states.append(propagator @ states[-1])
        errors = (np.stack(states) - cells.targets)[1:]
        return 0.5 * cells.step * np.sum(errors**2) + 0.5 * cells.weight * np.sum(errors[-1] ** 2)

    expected = (objective(change) - objective(-change)) / 2
    assert cells.costates(DRIFTS)[0] @ change == pytest.approx(expected, rel=1e-6)


def test_both_ways_find_the_same_point_and_the_multipliers_are_the_costates():
    cells = moving_right()
    shot, collocated = cells.shot(), cells.collocated()
    assert collocated.converged
    assert shot.gradient < 1e-10
    assert collocated.objective == pytest.approx(shot.objective, abs=1e-14)
    np.testing.assert_allclose(collocated.drifts, shot.drifts, atol=1e-6)
    np.testing.assert_allclose(collocated.states, cells.states(shot.drifts), atol=1e-7)
    carried_back = np.einsum("kji,kj->ki", cells.propagators(shot.drifts), cells.costates(shot.drifts)[1:])
    np.testing.assert_allclose(collocated.multipliers, -carried_back, atol=1e-8)
    assert np.max(np.abs(carried_back)) > 0.05  # nothing of which zero would be a match


def test_eight_steps_have_at_least_two_minima():
    cells = moving_right(8)
    starts = np.random.default_rng(0).normal(size=(12, 8)) * 3
    found = [cells.shot(start) for start in starts]
    assert max(one.gradient for one in found) < 1e-8
    assert len({round(one.objective, 8) for one in found}) >= 2

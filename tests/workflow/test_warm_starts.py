"""Controls for a somewhat larger problem: the same drift, in more pieces, with more neurons, or in less time."""

import numpy as np
import pytest

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.network import Network
from controlsde.problem import load_problem
from controlsde.workflow.warm_starts import fitted, in_less_time, on_pieces, split_in_two, with_a_neuron


@pytest.fixture
def controls():
    rng = np.random.default_rng(0)
    return Controls(
        rng.normal(size=(3, 1, 2)), rng.normal(size=(3, 2, 1)), rng.normal(size=(3, 2)), [0.0, 0.2, 0.9, 1.0]
    )


def drift(controls, t, x):
    a, w, b = controls.piece(controls.piece_at(t))
    network = Network(controls.dimension, controls.width, "tanh", False, ((-1.0, 1.0),))
    return np.asarray(network.drift(x, a, w, b))


POINTS = np.linspace(-1, 1, 7)[:, None]
TIMES = [0.05, 0.3, 0.7, 0.95]


def test_a_piece_cut_in_two_makes_the_same_drift_the_longest_first(controls):
    found = list(split_in_two(controls, 2))
    assert [each.pieces for each in found] == [4, 4]
    assert found[0].times.tolist() == pytest.approx([0.0, 0.2, 0.55, 0.9, 1.0])
    for each in found:
        for t in TIMES:
            np.testing.assert_array_equal(drift(each, t, POINTS), drift(controls, t, POINTS))


def test_controls_are_fitted_to_more_neurons_more_pieces_and_another_horizon(controls):
    sets = {"controls.pieces": 6, "network.width": 4, "reference.horizon": 2.0}
    problem = load_problem("two-bumps", set=sets)
    found = fitted(controls, problem)
    assert (found.width, found.pieces, found.times[-1]) == (4, 3, 2.0)
    for t in TIMES:  # the same flow, in twice the time
        np.testing.assert_allclose(drift(found, 2.0 * t, POINTS), 0.5 * drift(controls, t, POINTS), atol=1e-15)


@pytest.mark.parametrize(
    ("name", "sets", "words"),
    [
        ("two-bumps", {"controls.pieces": 4}, "not a multiple"),
        ("two-bumps", {"controls.pieces": 3, "network.width": 1}, "width 2"),
        ("moons", {"controls.pieces": 3}, "dimension 1"),
    ],
)
def test_controls_that_do_not_fit_are_refused(controls, name, sets, words):
    with pytest.raises(ControlsError, match=words):
        fitted(controls, load_problem(name, set=sets))


def test_one_more_neuron_makes_the_same_drift(controls):
    more = with_a_neuron(controls, np.random.default_rng(1))
    assert more.width == controls.width + 1
    for t in TIMES:
        np.testing.assert_allclose(drift(more, t, POINTS), drift(controls, t, POINTS), atol=1e-15)


def test_other_pieces_have_the_weights_that_hold_in_their_middle(controls):
    found = on_pieces(controls, np.array([0.0, 0.1, 0.4, 0.96, 1.0]))
    assert [int(np.flatnonzero((controls.b == row).all(axis=1))[0]) for row in found.b] == [0, 1, 1, 2]


def test_in_less_time_the_drift_is_as_much_faster(controls):
    found = in_less_time(controls, 0.5)
    assert found.times[-1] == 0.5
    np.testing.assert_allclose(drift(found, 0.15, POINTS), 2.0 * drift(controls, 0.3, POINTS))

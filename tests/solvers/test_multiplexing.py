"""A wide network that is played in turns by a narrow one: the same mean, price and bounds, and nearly the same flow."""

import numpy as np
import pytest

from controlsde.control.network import Network
from controlsde.solvers.drift_fitting.multiplexing import Multiplexing
from controlsde.tracking.objective import Objective

ORDERINGS = ("forward", "symmetric")
NARROW = Network(2, 2, "tanh", False, ((-1.0, 1.0), (-2.0, 2.0)))
UNEVEN = np.random.default_rng(0).uniform(0.5, 1.5, 12)
EFFORT = 0.3


@pytest.fixture(params=ORDERINGS)
def playing(request):
    """Three groups of two neurons, in two or four periods of pieces of unequal length."""
    return Multiplexing.of(NARROW, request.param, 3, UNEVEN)


@pytest.fixture
def wide(playing):
    """Weights of all periods, (G, P_wide)."""
    return playing.wide.random_weights(len(playing.durations), np.random.default_rng(1))


def test_a_period_is_forward_or_a_palindrome():
    assert Multiplexing.of(NARROW, "forward", 3, UNEVEN).slots.tolist() == [0, 1, 2]
    assert Multiplexing.of(NARROW, "symmetric", 3, UNEVEN).slots.tolist() == [0, 1, 2, 2, 1, 0]


def test_over_a_period_the_narrow_drift_is_the_wide_one_on_average(playing, wide):
    points = np.random.default_rng(2).uniform(-1.0, 1.0, (20, 2))
    narrow = NARROW.drift(points, *NARROW.split(playing.played(wide))).reshape(*playing.durations.shape, 20, 2)
    total = np.einsum("gs,gsnd->gnd", playing.durations, narrow)
    expected = playing.wide.drift(points, *playing.wide.split(wide))
    np.testing.assert_allclose(total / playing.durations.sum(axis=1)[:, None, None], expected, rtol=1e-12)


def test_what_is_played_is_heard(playing, wide):
    np.testing.assert_allclose(playing.heard(playing.played(wide)), wide, rtol=1e-12)


def test_wide_weights_at_bounds_are_played_at_the_narrow_bounds(playing):
    bound = NARROW.join(np.full((2, 2), 3.0), np.full((2, 2), 5.0), np.full(2, 7.0))
    played = playing.played(playing.bound(bound))
    np.testing.assert_allclose(played, np.broadcast_to(bound, played.shape), rtol=1e-12)


def test_wide_weights_cost_what_the_narrow_ones_that_play_them_cost(playing, wide):
    narrow = EFFORT * playing.durations.ravel() @ (playing.played(wide) ** 2).sum(axis=1)
    cost = playing.durations.sum(axis=1) @ (playing.price(EFFORT) * wide**2).sum(axis=1)
    assert cost == pytest.approx(narrow, rel=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize(("ordering", "order"), [("forward", 1), ("symmetric", 2)])
def test_the_flow_in_turns_converges_with_the_order_of_the_splitting(ordering, order, noise, small_tracking):
    # without noise the drift must not cross the walls, where the flow of a sum is not smooth in its parts
    common = {"noise": noise, "network.tangential": True}
    steps, distances = [4, 8, 16], []
    for periods in steps:
        pieces = periods * (2 if ordering == "forward" else 4)
        tracking = small_tracking(**{"controls.pieces": pieces, "network.width": 2, **common})
        playing = Multiplexing.of(tracking.network, ordering, 2, tracking.grid.durations)
        wide = small_tracking(**{"controls.pieces": pieces, "network.width": 4, **common})
        (weights,) = playing.wide.random_weights(1, np.random.default_rng(3))
        together = Objective(wide).stages(np.tile(weights, (pieces, 1)))[-1, -1, -1]
        in_turns = Objective(tracking).stages(playing.played(np.tile(weights, (periods, 1))))[-1, -1, -1]
        distances.append(np.sqrt((in_turns - together) ** 2 @ tracking.mesh.mass))
    slope, _ = np.polyfit(np.log(steps), np.log(distances), 1)
    assert slope == pytest.approx(-order, abs=0.15)

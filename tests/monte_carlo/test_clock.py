"""The clock of the particles on pieces of any lengths."""

import numpy as np
import pytest

from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo.clock import Clock

UNEQUAL = np.array([0.0, 1.0, 1.2, 1.25, 2.0])
EQUAL = np.linspace(0.0, 0.3, 7)  # but for rounding


@pytest.mark.parametrize("edges", [UNEQUAL, EQUAL])
@pytest.mark.parametrize("draws", [1, 2])
def test_steps_fill_every_piece_and_none_is_longer_than_on_equal_pieces(edges, draws):
    clock = Clock.of(edges, Steady(0.7), 8, draws)
    counts = np.bincount(clock.piece)
    assert np.all(counts % 8 == 0)
    assert clock.length.max() <= np.diff(edges).mean() / 8 * (1 + 1e-8)
    np.testing.assert_allclose(np.bincount(clock.piece, clock.length), np.diff(edges), rtol=1e-13)
    np.testing.assert_allclose(clock.begin[1:], (clock.begin + clock.length)[:-1], atol=1e-14)
    assert np.all(clock.begin >= edges[clock.piece] - 1e-15)
    np.testing.assert_allclose(clock.variance, 2 * 0.7 * clock.length, rtol=1e-13)
    assert clock.deviation.shape == (clock.steps, draws)


def test_equal_pieces_have_as_many_steps_as_asked_for():
    assert np.bincount(Clock.of(EQUAL, Steady(1.0), 5).piece).tolist() == [5] * 6


def test_a_piece_of_twice_the_mean_and_a_bit_has_three_times_as_many():
    assert np.bincount(Clock.of(np.array([0.0, 2.1, 2.5, 3.0]), Steady(1.0), 4).piece).tolist() == [12, 4, 4]

"""Means and covariances of modes from sums of waves, against the modes themselves."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde.monte_carlo.modes import CosineModes
from controlsde.monte_carlo.process import Positions
from controlsde.monte_carlo.sums import Layout, count

BOX = ((-1.0, 2.0), (0.0, 1.0), (3.0, 7.0))


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_sums_of_waves_hold_every_mean_and_product_of_modes(walls, dimension):
    box = BOX[:dimension]
    layout = Layout.of_box(box, walls)
    modes: CosineModes = layout.modes
    rng = np.random.default_rng(dimension)
    z = rng.uniform(-1, 1, (3000, dimension)) ** 3
    alive = rng.random(3000) > 0.1
    low, high = np.array(box).T
    values = modes(0.5 * (low + high) + 0.5 * (high - low) * z) * alive[:, None]
    found = count(layout, Positions(z, alive))
    waves = found.mean(found.waves)
    rounding = 2.0**-23 / 3000 * modes.peaks.max()  # of sums to multiples of 2⁻²²
    assert_allclose(modes.means(waves), values.mean(axis=0), atol=2 * rounding)
    assert_allclose(modes.products(waves), values.T @ values / 3000, atol=2**dimension * modes.peaks.max() * rounding)

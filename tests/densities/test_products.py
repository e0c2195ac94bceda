"""Products of factors: what is shared between points is computed once."""

import numpy as np
import pytest

from controlsde.densities import products
from controlsde.densities.gaussian import Gaussians


@pytest.mark.parametrize("shared", [False, True])
def test_on_a_grid_the_factors_of_a_coordinate_are_taken_once_and_the_values_are_the_same(monkeypatch, shared):
    rng = np.random.default_rng(5)
    count = 40
    axes = tuple(
        Gaussians(rng.normal(size=1 if shared and axis else count), np.full(1 if shared and axis else count, 0.3))
        for axis in range(2)
    )
    density = products.Products(rng.dirichlet(np.ones(count)), axes)
    line = np.linspace(-2.0, 2.0, 21)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
    asked = []

    def logs(axis, x):
        asked.append(len(x))
        return axes[axis].spread(x, 1.0, 0.0)

    found = density.log_density_and_score(grid, logs)
    assert asked == [21, 21]
    scattered = rng.uniform(-2.0, 2.0, (50, 2))
    density.log_density_and_score(scattered, logs)
    assert asked[2:] == [50, 50]
    monkeypatch.setattr(products, "CHUNK", 20 * count)  # less than a line of the grid: no array is ever larger
    density.log_density_and_score(grid, logs)
    assert max(asked[4:]) <= 20
    monkeypatch.setattr(products, "MANY", 10**9)
    for one, other in zip(found, density.log_density_and_score(grid, logs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-13)

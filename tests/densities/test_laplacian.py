"""The Laplacian of log p against differences of the score."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde.densities.laplacian import score_and_laplacian
from tests.distances.free_mixtures import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_laplacian_is_the_divergence_of_the_score(kind):
    mixture = kind(4)
    x = 1.5 * np.random.default_rng(0).standard_normal((50, 4))
    score, laplacian = score_and_laplacian(mixture, x)
    assert_allclose(score, mixture.log_density_and_score(x)[1], rtol=1e-10, atol=1e-10)
    step, slopes = 1e-3, np.zeros(50)
    for axis in range(4):
        for k, weight in zip((-2, -1, 1, 2), (1, -8, 8, -1), strict=True):
            moved = x.copy()
            moved[:, axis] += k * step
            slopes += weight / (12 * step) * mixture.log_density_and_score(moved)[1][:, axis]
    assert_allclose(laplacian, slopes, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_right_far_from_all_components(kind):
    mixture = kind(3)
    x = np.full((1, 3), 200.0)
    score, laplacian = score_and_laplacian(mixture, x)
    assert np.all(np.isfinite(score))
    values = [mixture.variance] * 3 if hasattr(mixture, "variance") else None
    if values is not None:
        assert_allclose(laplacian, -sum(1 / v for v in values), rtol=1e-6)  # one kernel alone is seen from there
    assert laplacian[0] < 0

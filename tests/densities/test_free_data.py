"""Data in free space as the rest of the software sees them: mixtures, their rows, and those held out."""

from functools import cache

import numpy as np
import pytest

from controlsde.densities.density_building import build_density
from controlsde.densities.free_data import build_free_data
from controlsde.problem import load_problem, schema

BUMPS = {"weights": [0.25, 0.75], "means": [-1.5, 1.0], "stds": [0.3, 0.5]}
WIDE = {"means": [[0.0, 1.0], [1.0, -1.0]], "stds": [0.4, [0.2, 0.7]]}


@cache
def data_of(name, **keys):
    return build_free_data(load_problem(name, set=keys).reference.data)


def bits(data):
    """Bits a pixel of the rows held out, in units of one grey."""
    logs = data.mixture.log_density(data.held_out) - data.log_scale
    return -float(logs.mean()) / data.dimension / np.log(2.0)


def test_a_product_is_the_product_of_its_factors():
    spec = schema.Product(factors=(BUMPS, WIDE), copies=2)
    whole = build_free_data(spec).mixture
    x = np.random.default_rng(0).standard_normal((50, 6))
    parts = [build_density(schema.Mixture(**factor), ()) for factor in (BUMPS, WIDE)]
    expected = parts[0].pdf(x[:, :1]) * parts[1].pdf(x[:, 1:3]) * parts[0].pdf(x[:, 3:4]) * parts[1].pdf(x[:, 4:])
    assert len(whole.weights) == 16
    np.testing.assert_allclose(whole.pdf(x), expected, rtol=1e-12)
    assert whole.weights.sum() == pytest.approx(1.0, abs=1e-14)


def test_the_shipped_product_is_two_bumps_in_every_coordinate():
    product = data_of("product-bumps").mixture
    line = build_density(load_problem("two-bumps").reference.data, ((-5.0, 5.0),))
    x = np.random.default_rng(1).choice([-1.5, 1.5], (40, 8)) + 0.3 * np.random.default_rng(2).standard_normal((40, 8))
    expected = np.prod([line.pdf(x[:, i : i + 1]) for i in range(8)], axis=0)
    np.testing.assert_allclose(product.pdf(x), expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"factors": (BUMPS,), "copies": 13}, "make a mixture of 8192 components, and at most 4096 are allowed"),
        ({"factors": ({"means": [0], "stds": [1]},) * 2, "copies": 200}, "make 400 coordinates, and at most 256"),
        ({"factors": ({"means": [[0]], "covariances": [[[1]]]},)}, "must have stds: independent coordinates"),
    ],
)
def test_a_product_of_too_much_is_refused(keys, told):
    with pytest.raises(ValueError, match=told):
        schema.Product(**keys)


@pytest.mark.parametrize(
    ("name", "dimension", "count", "width"), [("iris", 4, 150, 0.219796), ("wine", 13, 178, 0.560665)]
)
def test_shipped_samples_are_kernels_of_the_likeliest_width(name, dimension, count, width):
    data = data_of(name)
    assert data.dimension == dimension
    assert data.bandwidth == pytest.approx(width, abs=1e-5)
    np.testing.assert_allclose(data.mixture.mean, 0, atol=1e-12)
    np.testing.assert_allclose(np.diag(data.mixture.covariance), 1 + data.bandwidth**2, rtol=1e-12)
    assert len(data.names) == dimension
    assert len(data.rows) == count
    assert data.measured(data.rows).min() > 0  # lengths, and contents of wine


@pytest.mark.slow
def test_shipped_digits_are_ten_gaussians_that_tell_more_of_unseen_rows_than_one_or_than_kernels():
    ten = data_of("digits")
    assert (ten.dimension, len(ten.mixture.weights), ten.rows.shape, ten.held_out.shape) == (
        64, 10, (1438, 64), (359, 64)
    )  # fmt: skip
    assert ten.names[:2] == ("pixel_0_0", "pixel_0_1")
    greys = np.round(ten.measured(ten.held_out))
    assert (greys.min(), greys.max()) == (0, 16)
    one = data_of("digits", **{"reference.data.components": 1, "reference.data.ridge": 0})
    assert bits(ten) == pytest.approx(2.65, abs=0.05)
    assert bits(one) == pytest.approx(2.95, abs=0.05)
    spec = load_problem("digits").reference.data
    rest = spec.model_dump(exclude={"kind", "components", "ridge"}, exclude_none=True)
    kernel = build_free_data(schema.Samples(bandwidth="auto", **rest))
    assert bits(kernel) == pytest.approx(3.34, abs=0.05)


def test_the_log_of_the_scale_is_what_a_change_of_units_costs():
    data = data_of("wine")
    assert data.log_scale == pytest.approx(np.log(np.prod(data.scale)))
    moved = data.measured(np.zeros((1, 13)))[0]
    np.testing.assert_allclose(moved, data.shift)


def test_a_fit_is_the_same_each_time_it_is_made_and_another_for_another_seed():
    rng = np.random.default_rng(3)
    points = tuple(map(tuple, rng.standard_normal((120, 3)).tolist()))
    first, second, other = (
        build_free_data(schema.Gaussians(points=points, components=4, seed=seed)).mixture for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.means, second.means)
    assert not np.array_equal(first.means, other.means)

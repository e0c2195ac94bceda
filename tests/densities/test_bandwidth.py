"""The bandwidth of the greatest leave-one-out likelihood: against published tables, brute force, and its own limits."""

import tracemalloc

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from controlsde.densities import bandwidth
from controlsde.densities.bandwidth import NoBandwidthError, leave_one_out, share_of_twins
from controlsde.problem import load_problem
from controlsde.problem.loading import list_problems
from controlsde.problem.sample_files import read_points

FOLDER = next(one.path for one in list_problems()).parent / "data"


def table(name, columns="all"):
    return np.array(read_points(FOLDER / name, name, columns).points)


def log_likelihood(points, log_width):
    """Σ_i log 1/(N−1) Σ_{j≠i} N(y_i; y_j, h²I), every pair by itself."""
    count, dimension = points.shape
    squares = np.sum((points[:, None, :] - points[None, :, :]) ** 2, axis=2)
    np.fill_diagonal(squares, np.inf)
    logs = logsumexp(-squares / (2.0 * np.exp(2.0 * log_width)), axis=1) - np.log(count - 1)
    return float(np.sum(logs - dimension * (log_width + 0.5 * np.log(2.0 * np.pi))))


@pytest.mark.parametrize(
    ("name", "columns", "common", "expected"),
    [
        ("iris.csv", "all", False, 0.219796),
        ("wine.csv", "all", False, 0.560665),
        ("digits.csv.gz", ["pixel_*"], True, 0.486845),
    ],
)
def test_the_bandwidth_of_known_data_is_the_known_one(name, columns, common, expected):
    points = table(name, columns)
    scale = np.sqrt(points.var(axis=0).mean()) if common else points.std(axis=0)
    if common:
        assert scale == pytest.approx(4.332794, abs=1e-6)
    assert leave_one_out((points - points.mean(axis=0)) / scale) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("count", "dimension"), [(40, 1), (200, 2), (150, 5)])
def test_no_other_width_has_a_greater_leave_one_out_likelihood(count, dimension):
    rng = np.random.default_rng(count)
    points = rng.standard_normal((count, dimension)) + 3.0 * rng.integers(0, 2, (count, 1))
    found = np.log(leave_one_out(points))
    best = minimize_scalar(
        lambda log_width: -log_likelihood(points, log_width),
        bracket=(found - 0.4, found + 0.1),
        options={"xtol": 1e-10},
    )
    assert found == pytest.approx(best.x, abs=1e-6)
    grid = found + np.linspace(-3.0, 3.0, 61)
    assert log_likelihood(points, found) >= max(log_likelihood(points, width) for width in grid)


def test_the_bandwidth_is_a_fixed_point_of_the_responsibilities():
    points = np.random.default_rng(3).standard_normal((300, 3))
    level = leave_one_out(points) ** 2
    squares = np.sum((points[:, None] - points[None]) ** 2, axis=2)
    shares = np.exp(-squares / (2.0 * level))
    np.fill_diagonal(shares, 0.0)
    shares /= shares.sum(axis=1, keepdims=True)
    assert np.sum(shares * squares) / points.size == pytest.approx(level, rel=1e-7)


def test_the_slope_of_a_round_is_its_derivative():
    points = np.random.default_rng(4).standard_normal((60, 2))
    at, by = -1.0, 1e-5
    (above, _), (below, _) = (bandwidth._round(points, np.exp(at + sign * by)) for sign in (1, -1))
    # of log(right side) − log h², by log h²
    assert bandwidth._round(points, np.exp(at))[1] - 1.0 == pytest.approx((above - below) / (2.0 * by), rel=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e5])
def test_the_bandwidth_scales_with_the_points_and_does_not_move_with_them(factor):
    points = np.random.default_rng(5).standard_normal((80, 2))
    assert leave_one_out(factor * (points + 7.0)) == pytest.approx(factor * leave_one_out(points), rel=1e-6)


def test_points_that_all_have_twins_have_no_bandwidth_and_are_told_why():
    points = np.random.default_rng(6).standard_normal((30, 2))
    twins = np.vstack([points, points])
    assert share_of_twins(twins) == 1.0
    with pytest.raises(NoBandwidthError, match=r"every point has a twin: .* leave out the duplicates"):
        leave_one_out(twins)
    with pytest.raises(NoBandwidthError, match="0% of the points have a twin, the others nearly one"):
        leave_one_out(np.vstack([points, points + 1e-12]))


def test_some_twins_leave_a_bandwidth_that_is_still_the_greatest():
    points = np.random.default_rng(7).standard_normal((60, 1))
    points[:20] = points[20:40]
    found = np.log(leave_one_out(points))
    near = [log_likelihood(points, found + step) for step in (-0.05, 0.05)]
    assert log_likelihood(points, found) > max(near)


@pytest.mark.parametrize("points", [np.zeros((1, 2)), np.ones((5, 2))])
def test_one_point_has_no_bandwidth(points):
    with pytest.raises(NoBandwidthError, match="give a number"):
        leave_one_out(points)


def test_memory_grows_with_the_points_and_not_with_their_pairs():
    points = np.random.default_rng(8).standard_normal((2000, 2))  # 32 MB of pairs
    tracemalloc.start()
    leave_one_out(points)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_a_problem_on_a_line_may_leave_its_bandwidth_to_the_data():
    data = load_problem("iris-petals", set={"reference.data.bandwidth": "auto"}).reference.data
    assert data.bandwidth == (pytest.approx(leave_one_out(np.array(data.points))),)
    assert 0.05 < data.bandwidth[0] < 0.2

"""Moments, densities, killed mass, transport tests and the bias of the steps: each with an error that is its spread."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from controlsde.control.controls import Controls
from controlsde.control.drift import NetworkDrift
from controlsde.control.network import Network
from controlsde.fokker_planck.diffusivity import Steady
from controlsde.monte_carlo import statistics
from controlsde.monte_carlo.experiment import Experiment
from controlsde.monte_carlo.philox import Stream
from controlsde.monte_carlo.process import Positions
from controlsde.monte_carlo.statistics import Slicing, killed_mass, moments, sample_of, sliced_wasserstein_2
from controlsde.monte_carlo.streaming import Effort
from controlsde.monte_carlo.sums import Layout, count
from controlsde.verification.grid import FinalGrid

from .running import UNIT

SEEDS = range(150)
SQUARE = ((0.0, 2.0), (-1.0, 1.0))


def correlated(n, seed):
    """Box coordinates u² − ½ and (u² + v)/2 − ½ with u, v uniform: skewed and correlated, (n, 2)."""
    u, v = np.random.default_rng([seed, 5]).random((2, n))
    return np.stack([u**2 - 0.5, 0.5 * (u**2 + v) - 0.5], axis=1)


def living(z, alive=None):
    return Positions(z, np.ones(len(z), dtype=bool) if alive is None else alive)


def check_standard_normal(z):
    z = np.array(z)
    assert abs(z.mean()) < 4 / math.sqrt(len(z))
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * len(z))


def test_moments_have_the_standard_errors_of_their_spread_over_seeds():
    layout = Layout.of_box(SQUARE, "reflecting")
    # E u² = 1/3, Var u² = 4/45, Var v = 1/12; both axes have half the length 1
    mean = np.array([1 + 1 / 3 - 1 / 2, 0.5 * (1 / 3 + 1 / 2) - 0.5])
    covariance = np.array([[4 / 45, 2 / 45], [2 / 45, (4 / 45 + 1 / 12) / 4]])
    z_mean, z_covariance = [], []
    for seed in SEEDS:
        found = moments(layout, count(layout, living(correlated(3000, seed))))
        z_mean.append((found.mean - mean) / found.mean_standard_error)
        z_covariance.append((found.covariance - covariance) / found.covariance_standard_error)
    for axis in range(2):
        check_standard_normal(np.array(z_mean)[:, axis])
    for pair in ((0, 0), (0, 1), (1, 1)):
        check_standard_normal([z[pair] for z in z_covariance])


def test_moments_are_those_of_the_living_and_there_are_none_of_the_dead():
    layout = Layout.of_box(SQUARE, "absorbing")
    z = correlated(4000, 1)
    alive = np.random.default_rng(2).random(4000) < 0.4
    found = moments(layout, count(layout, living(z, alive)))
    inside = z[alive] + [1.0, 0.0]
    np.testing.assert_allclose(found.mean, inside.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(found.covariance, np.cov(inside.T), atol=1e-9)
    assert moments(layout, count(layout, living(z, np.zeros(4000, dtype=bool)))) is None


def test_the_density_at_points_has_the_standard_error_of_its_spread():
    layout = Layout.of_box(UNIT, "reflecting")
    points = np.array([[0.0], [0.37], [0.9]])
    exact = np.zeros(len(layout.modes.numbers))
    exact[0] = 1.0  # of the uniform density
    z = []
    for seed in SEEDS:
        x = np.random.default_rng(seed).uniform(-1, 1, (2000, 1))
        sample = sample_of(layout, count(layout, living(x)))
        values, spreads = statistics.density_at(layout.modes, sample, points)
        z.append((values - 1.0) / spreads)
    for column in np.array(z).T:
        check_standard_normal(column)


def test_the_killed_mass_is_a_share_with_its_binomial_error():
    layout = Layout.of_box(UNIT, "absorbing")
    alive = np.arange(1000) < 700
    found = killed_mass(count(layout, living(np.zeros((1000, 1)), alive)))
    assert found.value == pytest.approx(0.3)
    assert found.standard_error == pytest.approx(math.sqrt(0.21 / 1000))


@pytest.fixture(scope="module")
def slicing():
    layout = Layout.of_box(SQUARE, "reflecting")
    return Slicing.of_cells(layout, FinalGrid.over(SQUARE, 48).centres)


def test_slices_hold_all_of_a_density_and_its_projected_variance(slicing):
    layout = slicing.layout
    amount = slicing(np.full(48 * 48, 1.0 / 48**2))
    np.testing.assert_allclose(amount.sum(axis=1), 1.0)
    middle = (np.arange(layout.bins) + 0.5) / layout.bins * 2 - 1
    variance = (amount @ middle**2) * layout.reach**2
    np.testing.assert_allclose(variance, 1 / 3, rtol=2e-3)  # of a uniform law on a square of side 2, in any direction


@pytest.mark.slow
def test_the_null_of_sliced_transport_is_calibrated(slicing, monkeypatch):
    monkeypatch.setitem(statistics.REPEATS, 2, 40)
    rng, p = np.random.default_rng(0), []
    for seed in range(40):
        z = np.random.default_rng([seed, 9]).uniform(-1, 1, (2000, 2))
        p.append(sliced_wasserstein_2(slicing, count(slicing.layout, living(z)), np.ones(48 * 48), rng).p)
    assert stats.kstest(p, "uniform").pvalue > 1e-3


def test_sliced_transport_measures_a_shift(slicing):
    z = np.random.default_rng(1).uniform(-1, 1, (10_000, 2))
    z[:, 0] = 0.8 * z[:, 0] + 0.1
    grid = FinalGrid.over(SQUARE, 48)
    density = (grid.points[:, 0] < 1.6 + 1e-9).astype(float)  # z < 0.6: the same law moved by 0.3 to the left
    found = sliced_wasserstein_2(slicing, count(slicing.layout, living(z)), density, np.random.default_rng(2))
    # W₂ of a shift s along an axis is s|u·e|, whose mean square over directions is s²/2
    assert found.value == pytest.approx(0.3 / math.sqrt(2), rel=0.03)
    assert found.z > 10
    assert found.p < 0.02


@pytest.mark.parametrize("scheme", ["euler-maruyama", "heun"])
def test_the_bias_of_the_steps_is_what_finer_steps_take_away(scheme):
    network = Network(1, 2, "relu", False, UNIT)
    controls = Controls([[[-4.0, 4.0]]], [[[1.0], [-1.0]]], [[-0.3, 0.3]], [0.0, 0.5])  # v = 4 (0.3 − x)
    experiment = Experiment(
        NetworkDrift(network, controls),
        Steady(0.15),
        UNIT,
        "reflecting",
        lambda n, rng: 0.8 + 0.1 * rng.random((n, 1)),
        8,
        scheme,
        Stream(4),
        "cpu",
    )
    layout, flat = experiment.layout, np.eye(len(Layout.of_box(UNIT, "reflecting").modes.numbers))[0]
    backend, found = experiment.backend(10**9), {}
    for steps in (8, 128):
        finer = dataclasses.replace(experiment, steps_per_piece=steps)
        sample = sample_of(layout, finer.run(Effort(2**20), layout, backend).sums)
        found[steps] = statistics.mollified_l2(layout.modes, sample, flat)
        if steps == 8:
            found_bias = experiment.step_bias(layout, backend, sample, flat)
            bias = found_bias.error
            assert found_bias.law > 0.9 * abs(bias.value)  # no direction moves further than the law
    change = found[8].value - found[128].value
    spread = math.hypot(found[8].standard_error, found[128].standard_error, bias.standard_error)
    assert abs(change) > 5 * spread
    assert abs(bias.value - change) < 4 * spread + 0.15 * abs(change)  # the next order of the step

"""Gramians: closed forms for any drift, the order between a network and any drift, and what singular values mean."""

import numpy as np
import pytest

from controlsde.controllability import any_drift as any_drift_module
from controlsde.controllability.any_drift import AnyDrift
from controlsde.controllability.gramian import Gramian, randomised
from controlsde.controllability.linearisation import Linearisation
from controlsde.controllability.weight_metric import MetricError, WeightMetric

from .cases import gaussian, linear_drift, uniform
from .test_linearisation import CLOSED, PLANE, about_random


def of_mode(k, horizon, pieces, diffusivity=1.0):
    """k((1 − e^{−kh})/k)²/h Σ_{j<N} e^{−2kjh}, of Hermite's mode k at the stationary density, times as D says."""
    h, rate = horizon / pieces, k * diffusivity
    decays = np.exp(-2 * rate * h * np.arange(pieces)).sum()
    return k * ((1 - np.exp(-rate * h)) / rate) ** 2 / h * decays


def hermite_eigenvalues(pieces, horizon, noise=1.0, modes=(1, 2, 3)):
    """⟨He_k, W He_k⟩/⟨He_k, He_k ρ⟩ of W_full as a map from functions to densities, and how far W He_k is off."""
    tracking = gaussian(pieces=pieces, horizon=horizon, noise=noise, half=8.0, elements=16)
    still = linear_drift(tracking, np.full(pieces, -noise), np.zeros(pieces))
    matrix = AnyDrift.about(Linearisation.about(tracking, still)).matrix()
    x, mass = tracking.mesh.points[:, 0], tracking.mesh.mass
    density = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    found = []
    for k in modes:
        mode = np.polynomial.hermite_e.hermeval(x, np.eye(k + 1)[k])
        moved = matrix @ (np.sqrt(mass) * mode) / np.sqrt(mass)
        value = mass @ (mode * moved) / (mass @ (mode**2 * density))
        found.append((value, np.abs(moved - value * mode * density).max()))
    return np.array(found).T


def test_of_any_drift_at_a_stationary_gaussian_the_modes_are_hermites_with_the_closed_eigenvalues():
    values, errors = hermite_eigenvalues(12, 0.5)
    assert [of_mode(k, 0.5, 12) for k in (1, 2, 3)] == pytest.approx([0.316015, 0.432082, 0.474489], abs=5e-7)
    np.testing.assert_allclose(values, [of_mode(k, 0.5, 12) for k in (1, 2, 3)], rtol=1e-6)
    assert errors.max() < 1e-5
    values, _ = hermite_eigenvalues(6, 0.5, noise=0.25)
    np.testing.assert_allclose(values, [of_mode(k, 0.5, 6, 0.25) for k in (1, 2, 3)], rtol=1e-6)


@pytest.mark.slow
def test_with_time_and_pieces_the_gramian_of_any_drift_tends_to_the_density_over_twice_the_diffusivity():
    """W_full → ρ/2D, by the square of the length of a piece: (1 − e^{−x})²/x(1 − e^{−2x}) = ½(1 − x²/12 + …)."""
    for noise in (1.0, 0.5):
        gaps = []
        for pieces in (24, 48):
            values, errors = hermite_eigenvalues(pieces, 6.0 / noise, noise, modes=(1, 2))
            gaps.append(1 / (2 * noise) - values)
            assert errors.max() < 2e-4
        np.testing.assert_allclose(gaps[0] / gaps[1], 4.0, rtol=0.1)
        assert np.abs(gaps[1]).max() < 0.012 / noise


def test_of_any_drift_on_a_uniform_density_the_modes_are_cosines():
    tracking = uniform(pieces=4, noise=0.1)
    still = Linearisation.about(tracking, np.zeros(tracking.weight_shape))
    spectrum = AnyDrift.about(still).spectrum(np.random.default_rng(0))
    h, horizon = 0.05, 0.2
    rates = 0.1 * (np.pi * np.arange(1, 13)) ** 2
    ends = h * np.arange(1, 5)
    answers = np.exp(-rates[:, None] * (horizon - ends)) * ((1 - np.exp(-rates * h)) / rates)[:, None]
    expected = np.pi * np.arange(1, 13) * np.sqrt(np.sum(answers**2, axis=1) / h)
    np.testing.assert_allclose(spectrum.singular_values[:5], np.sort(expected)[::-1][:5], rtol=1e-6)
    assert spectrum.exact
    assert spectrum.trace == pytest.approx(np.sum(spectrum.singular_values**2))
    assert spectrum.trace_se == 0.0


def twins(small_tracking, **changes):
    """A network of two neurons, which coincide."""
    tracking = small_tracking(**{"network.width": 2, **changes})
    one = small_tracking(**{"network.width": 1, **changes})
    weights = 0.5 * one.network.random_weights(one.grid.pieces, np.random.default_rng(1))
    a, w, b = one.network.split(weights)
    both = tracking.network.join(np.repeat(0.5 * a, 2, axis=2), np.repeat(w, 2, axis=1), np.repeat(b, 2, axis=1))
    return Linearisation.about(one, weights), Linearisation.about(tracking, both)


@pytest.mark.parametrize("case", [*CLOSED, "plane", "twins"])
def test_a_network_does_no_more_than_any_drift(case, small_tracking):
    """X Xᵀ ⪯ W_full, to rounding."""
    if case == "twins":
        linearisation = twins(small_tracking)[1]
    else:
        tracking = small_tracking("iris-plane", **PLANE) if case == "plane" else small_tracking(**CLOSED[case])
        linearisation = about_random(tracking)
    gramian = Gramian.of(linearisation, WeightMetric.of(linearisation))
    whole = AnyDrift.about(linearisation).matrix()
    own = (gramian.left * gramian.singular_values**2) @ gramian.left.T
    least = np.linalg.eigvalsh(whole - own)[0]
    assert least > -1e-14 * np.linalg.norm(whole, 2)
    # one part in a thousand more, and it would
    assert np.linalg.eigvalsh(whole - 1e3 * own)[0] < -1e-6 * np.linalg.norm(whole, 2)


@pytest.mark.parametrize("case", ["noisy", "noise-free", "periodic", "plane", "plane without noise"])
def test_a_network_is_one_of_all_drifts_and_their_map_has_its_transpose(case, small_tracking):
    """Also at D = 0, where the faces of walls follow the nodes on them."""
    if case.startswith("plane"):
        tracking = small_tracking("iris-plane", **PLANE, noise=0.0 if case.endswith("noise") else 1.0)
    else:
        tracking = small_tracking(**CLOSED[case])
    linearisation, rng = about_random(tracking), np.random.default_rng(4)
    drifts, roots = AnyDrift.about(linearisation), np.sqrt(tracking.mesh.mass)
    change = rng.normal(size=(*linearisation.weights.shape, 1))
    own = np.einsum("kvp,kpc->kvc", linearisation.slopes, change)[:, : drifts.inverse_roots.shape[1]]
    moved = drifts.reached(own / drifts.inverse_roots[..., None])
    expected = roots[:, None] * linearisation.tangent(change)
    np.testing.assert_allclose(moved, expected, atol=1e-13 * np.abs(expected).max())
    controls, multipliers = rng.normal(size=(*drifts.inverse_roots.shape, 2)), rng.normal(size=(len(roots), 2))
    forward = multipliers.T @ drifts.reached(controls)
    back = np.einsum("kuc,kud->cd", drifts.pulled(multipliers), controls)
    np.testing.assert_allclose(back, forward, atol=1e-10 * np.abs(forward).max())


def test_a_tangential_network_is_compared_with_tangential_drifts(small_tracking):
    for case in ("noise-free", "noise-free and tangential"):
        drifts = AnyDrift.about(about_random(small_tracking(**CLOSED[case])))
        assert np.all(drifts.inverse_roots[:, [0, -1]] == 0.0) == (case == "noise-free and tangential")
        assert np.all(drifts.inverse_roots[:, 1:-1] > 0.0)


def test_in_the_energy_it_does_not_matter_how_a_network_is_written(small_tracking):
    one, both = twins(small_tracking)
    values = [Gramian.of(each, WeightMetric.of(each)).singular_values for each in (one, both)]
    assert WeightMetric.of(both).counts == WeightMetric.of(one).counts
    np.testing.assert_allclose(values[0], values[1], atol=1e-12 * values[0][0])


@pytest.mark.parametrize("metric", ["energy", "effort"])
def test_coordinates_of_the_metric_have_the_length_that_a_change_costs(metric, small_tracking):
    linearisation = about_random(small_tracking())
    found = WeightMetric.of(linearisation, metric)
    coordinates = np.random.default_rng(0).normal(size=(sum(found.counts), 3))
    changes = found.spread(coordinates)
    costs = np.einsum("kpc,kpq,kqc->c", changes, found.matrices, changes)
    np.testing.assert_allclose(costs, np.sum(coordinates**2, axis=0), rtol=1e-10)
    gradient = np.random.default_rng(1).normal(size=changes.shape)
    np.testing.assert_allclose(np.sum(found.gathered(gradient) * coordinates), np.sum(gradient * changes))


def test_the_energy_of_a_change_is_the_integral_over_the_density(small_tracking):
    """Against quadrature of the drift's own difference."""
    tracking = small_tracking()
    linearisation = about_random(tracking)
    metric = WeightMetric.of(linearisation)
    change, step = np.random.default_rng(2).normal(size=linearisation.weights.shape), 1e-6
    before, after = (tracking.drift_values(linearisation.weights + sign * step * change) for sign in (-1, 1))
    squared = ((after - before) / (2 * step)) ** 2
    density = tracking.mesh.to_grid(linearisation.stages.reshape(-1, linearisation.shape[0]))
    density = density.reshape(*linearisation.stages.shape[:3], -1)
    energy = np.einsum("kij,kijx,x,kx->", tracking.grid.quadrature, density, tracking.mesh.weights, squared[..., 0])
    found = np.einsum("kp,kpq,kq->", change, metric.matrices, change)
    assert found == pytest.approx(energy, rel=1e-3)  # the floor below the undershoots of this coarse mesh


def test_the_least_energy_is_that_of_its_weights_and_of_no_others(small_tracking):
    linearisation = about_random(small_tracking())
    for kind in ("energy", "effort"):
        metric = WeightMetric.of(linearisation, kind)
        gramian = Gramian.of(linearisation, metric)
        weights = np.random.default_rng(3).normal(size=linearisation.weights.shape)
        change = linearisation.tangent(weights[..., None])[:, 0]
        found = gramian.least_energy(change, tolerance=1e-4)
        moved = linearisation.tangent(found.weights[..., None])[:, 0]
        np.testing.assert_allclose(moved, found.reached, atol=1e-10)
        cost = np.einsum("kp,kpq,kq->", found.weights, metric.matrices, found.weights)
        assert found.energy == pytest.approx(cost, rel=1e-8)
        assert found.energy < np.einsum("kp,kpq,kq->", weights, metric.matrices, weights)
        assert found.missed < 1e-6
    rest = change - found.reached
    mass = linearisation.tracking.mesh.mass
    assert abs(mass @ (rest * found.reached)) < 1e-12
    upwards = gramian.least_energy(np.ones(len(change)))  # no change of the weights adds mass
    assert upwards.missed > 0.5
    assert gramian.least_energy(np.zeros(len(change))).energy == 0.0


def test_directions_have_the_norm_one_and_cost_one_over_the_squared_singular_value(small_tracking):
    linearisation = about_random(small_tracking())
    gramian = Gramian.of(linearisation, WeightMetric.of(linearisation))
    mass, count = linearisation.tracking.mesh.mass, gramian.rank(1e-4)
    np.testing.assert_allclose(mass @ gramian.directions[:, :count] ** 2, 1.0)
    assert np.abs(mass @ gramian.directions[:, :count]).max() < 1e-8
    for number in (0, count - 1):
        found = gramian.least_energy(gramian.directions[:, number])
        assert found.energy == pytest.approx(gramian.singular_values[number] ** -2, rel=1e-6)
    assert all(gramian.rank(a) <= gramian.rank(b) for a, b in ((1e-1, 1e-2), (1e-2, 1e-6)))


def test_by_random_probes_the_largest_are_the_same(small_tracking):
    linearisation = about_random(small_tracking("iris-plane", **PLANE))
    metric = WeightMetric.of(linearisation)
    expected = Gramian.of(linearisation, metric)
    found = randomised(linearisation, metric, 12, np.random.default_rng(0))
    assert not found.complete
    np.testing.assert_allclose(found.singular_values[:10], expected.singular_values[:10], rtol=1e-5)
    assert np.all(found.singular_values <= expected.singular_values[:12] * (1 + 1e-12))
    overlap = np.abs(
        np.sum(found.directions[:, :5] * expected.directions[:, :5] * linearisation.tracking.mesh.mass[:, None], axis=0)
    )
    np.testing.assert_allclose(overlap, 1.0, rtol=1e-4)
    whole = found.least_energy(expected.directions[:, 0])
    assert whole.energy == pytest.approx(expected.singular_values[0] ** -2, rel=1e-4)


def test_probes_know_the_trace_within_their_error_and_the_largest_values_from_below(small_tracking, monkeypatch):
    drifts = AnyDrift.about(about_random(small_tracking("iris-plane", **PLANE)))
    exact = drifts.spectrum(np.random.default_rng(0))
    assert exact.exact
    monkeypatch.setattr(any_drift_module, "MOST_EXACT", 10)
    for seed in range(3):
        found = drifts.spectrum(np.random.default_rng(seed), probes=16)
        assert not found.exact
        assert 0.0 < found.trace_se < 0.1 * exact.trace
        assert abs(found.trace - exact.trace) < 4 * found.trace_se
        assert np.all(found.singular_values <= exact.singular_values[:16] * (1 + 1e-12))
        np.testing.assert_allclose(found.singular_values[:3], exact.singular_values[:3], rtol=0.05)


def test_a_metric_of_another_name_is_refused_in_a_line(small_tracking):
    with pytest.raises(MetricError, match=r"metric must be one of energy, effort \(got 'mass'\)"):
        WeightMetric.of(about_random(small_tracking()), "mass")

"""The least energy of any drift: closed forms for Gaussians, known numbers, other methods, and drifts that obey it."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde import EnergyBoundError, energy_bound, evaluate, load_problem
from controlsde.controllability.ends import Ends
from controlsde.controllability.energy_bound import energy_bounds, uncontrolled_distance
from controlsde.tracking.posed import Posed
from controlsde.workflow.bounding import bound
from tests.quick import slow


def problem_of(**parts):
    """A problem of these parts alone."""
    return load_problem("two-bumps", set={"mesh": {}, **parts})


def gaussians(mean, deviation, to_mean, to_deviation, noise, box=(-8, 8), horizon=1.0):
    """From one Gaussian to another, D₀ = 1: what w does between does not matter here."""
    ends = {
        "from": {"kind": "mixture", "means": [mean], "stds": [deviation]},
        "to": {"kind": "mixture", "means": [to_mean], "stds": [to_deviation]},
    }
    reference = {"kind": "displacement", "diffusivity": 1.0, "horizon": horizon, **ends}
    return problem_of(domain={"box": [list(box)]}, reference=reference, noise=noise)


def of_gaussians(mean, deviation, to_mean, to_deviation, diffusivity, horizon=1.0):
    """E = 4D{½ log[e/(s₁² − c²/s₀²)] − ½ + [(m₁−m₀)² + s₀² + s₁² − 2c]/2e}, c = ½(−e + √(e² + 4s₀²s₁²)), e = 2DT."""
    e, first, second = 2 * diffusivity * horizon, deviation**2, to_deviation**2
    c = 0.5 * (-e + math.sqrt(e**2 + 4 * first * second))
    moved = ((to_mean - mean) ** 2 + first + second - 2 * c) / (2 * e)
    return 4 * diffusivity * (0.5 * math.log(e / (second - c**2 / first)) - 0.5 + moved)


@pytest.mark.parametrize(("noise", "expected"), [(1.0, 3.6100377), (0.25, 1.0795016), (0.05, 0.7143285)])
def test_between_gaussians_it_is_the_closed_form(noise, expected):
    assert_allclose(of_gaussians(0.3, 0.9, 1.0, 0.5, noise), expected, rtol=1e-7)
    found = energy_bound(gaussians(0.3, 0.9, 1.0, 0.5, noise))
    assert_allclose([found.value, found.refined], expected, rtol=1e-5)
    assert found.gap < 1e-6


def test_another_horizon_and_another_mean_keep_to_the_closed_form():
    found = energy_bound(gaussians(-1.0, 0.6, 0.5, 0.7, 0.4, horizon=2.5))
    assert_allclose(found.value, of_gaussians(-1.0, 0.6, 0.5, 0.7, 0.4, 2.5), rtol=1e-5)


ORNSTEIN_UHLENBECK = {
    "domain": {"box": [[-6, 6]]},
    "reference": {
        "kind": "reversed-diffusion", "horizon": 1.0, "data": {"kind": "mixture", "means": [1.0], "stds": [0.5]},
    },
}  # fmt: skip
KNOWN = {  # from an independent program, for ε = 0, .01, .05, .1
    ("ou", 0.25): (1.049041, 0.94809, 0.70995, 0.51272),
    ("ou", 1.0): (3.597585, 3.33573, 2.67122, 2.07208),
    ("two-bumps", 0.25): (0.99386, 0.93408, 0.77362, 0.62119),
    ("two-bumps", 1.0): (4.01352, 3.74418, 3.04146, 2.39220),
}
DISTANCES = (0.0, 0.01, 0.05, 0.1)


@pytest.mark.parametrize(("name", "noise"), KNOWN)
def test_known_numbers_come_out(name, noise):
    problem = (
        problem_of(**ORNSTEIN_UHLENBECK, noise=noise) if name == "ou" else load_problem(name, set={"noise": noise})
    )
    found = energy_bounds(Posed.of(problem), DISTANCES)
    assert_allclose([one.value for one in found], KNOWN[name, noise], rtol=1e-5)
    for one in found:
        assert_allclose(one.refined, one.value, rtol=1e-4)
        assert one.gap < 1e-5 * one.value  # no drift needs less, and one needs no more


def test_the_order_of_the_distances_does_not_matter():
    posed = Posed.of(load_problem("two-bumps"))
    found = energy_bounds(posed, (0.1, 0.01, 0.1))
    assert [one.within for one in found] == [0.1, 0.01, 0.1]
    assert found[0].value < found[1].value
    (alone,) = energy_bounds(posed, (0.01,))
    assert_allclose(alone.value, found[1].value, rtol=1e-6)


@pytest.mark.parametrize(("name", "noise"), [("two-bumps", 0.0), ("two-bumps", 1.0), ("circle", 0.3)])
def test_as_near_as_no_drift_comes_nothing_is_needed(name, noise):
    posed = Posed.of(load_problem(name, set={"noise": noise}))
    furthest = uncontrolled_distance(posed)
    nearer, beyond = energy_bounds(posed, (0.95 * furthest, 1.001 * furthest))
    assert beyond.value == beyond.refined == 0.0
    assert 0.0 < nearer.value < 0.02 * energy_bounds(posed, (0.0,))[0].value


def test_any_potential_gives_a_bound_and_the_best_one_the_largest():
    """The certified value is concave in the potential: every disturbance of it lowers the bound."""
    posed = Posed.of(load_problem("two-bumps"))
    best = energy_bound(load_problem("two-bumps"), 0.05)
    ends = Ends.of(posed, best.mesh)
    assert_allclose(ends.with_noise(0.05, best.potential), best.value, rtol=1e-12)
    rng = np.random.default_rng(5)
    for size in (0.01, 0.1, 1.0):
        waves = np.cos(np.outer(best.mesh.points[:, 0], rng.standard_normal(6))) @ rng.standard_normal(6)
        assert ends.with_noise(0.05, best.potential + size * waves) < best.value


@pytest.mark.parametrize("noise", [*map(slow, (0.0, 0.25)), 1.0])
def test_exact_drifts_obey_it(noise):
    """A drift that is no bridge spends more than the least energy, but not less."""
    chosen = {"noise": noise, "drift": "exact", "monte_carlo.particles": 2000, "monte_carlo.steps_per_piece": 16}
    problem = problem_of(**ORNSTEIN_UHLENBECK, **{**chosen, "controls.pieces": 4})
    spent = evaluate(problem).energy.value
    least = energy_bound(problem).value
    assert least < spent < 1.3 * least


def test_without_noise_and_at_no_distance_it_is_the_transport_distance():
    found = energy_bound(gaussians(0.3, 0.9, 1.0, 0.5, 0.0, horizon=2.0))
    assert_allclose([found.value, found.refined], (0.7**2 + 0.4**2) / 2.0, rtol=1e-4)
    slope = np.gradient(found.potential, found.mesh.points[:, 0])  # y − Q₀(F₁(y))
    y = found.mesh.points[:, 0]
    near = np.abs(y - 1.0) < 1.0
    assert_allclose(slope[near], (y - (0.3 + 1.8 * (y - 1.0)))[near], atol=2e-2)


@pytest.mark.slow
def test_without_noise_it_is_the_limit_of_little_noise():
    distances = (0.02, 0.1)
    without = energy_bounds(Posed.of(gaussians(0.3, 0.9, 1.0, 0.5, 0.0)), distances)
    for one in without:
        assert 0.0 <= one.gap < 0.02 * one.value
    little = energy_bounds(Posed.of(gaussians(0.3, 0.9, 1.0, 0.5, 1e-3)), distances)
    assert_allclose([one.value for one in little], [one.value for one in without], rtol=0.02)


@pytest.mark.parametrize("noise", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
def test_on_a_circle_mass_goes_the_shorter_way_round(noise):
    def turned(by):
        def bump(place):
            return {"kind": "formula", "expression": f"exp(8*cos(2*pi*(x - {place})))"}

        reference = {"kind": "moser", "diffusivity": 0.02, "horizon": 1.0, "from": bump(0.5), "to": bump(0.5 + by)}
        domain = {"box": [[0, 1]], "walls": "periodic"}
        return energy_bound(problem_of(domain=domain, reference=reference, noise=noise), 0.02)

    near, same, far = turned(0.2), turned(-0.2), turned(0.8)
    assert_allclose(same.value, near.value, rtol=1e-3)
    assert_allclose(far.value, near.value, rtol=1e-3)
    assert near.value > 0.75 * 0.2**2  # all mass moves by a fifth, but for what ε lets go
    assert noise or near.value < 1.01 * 0.2**2


def test_in_a_plane_two_axes_cost_what_each_costs():
    data = {"kind": "mixture", "means": [[0.5, 0.0]], "stds": [[0.5, 0.6]]}
    plane = {
        "domain": {"box": [[-5, 5], [-5, 5]]},
        "reference": {"kind": "reversed-diffusion", "horizon": 1.0, "data": data},
        "noise": 0.5,
        "mesh": {"elements": [10, 10], "degree": 6},
    }
    found = energy_bound(problem_of(**plane))
    e = math.exp(-1.0)

    def along(mean, deviation):
        return of_gaussians(mean * e, math.sqrt(deviation**2 * e**2 + 1 - e**2), mean, deviation, 0.5)

    assert_allclose([found.value, found.refined], along(0.5, 0.5) + along(0.0, 0.6), rtol=1e-4)


def test_a_schedule_has_its_own_clock():
    """Under D(t) the energy that counts D̄/D(t) is the least energy of a constant D of the same mean."""

    def with_diffusivity(schedule):
        reference = {
            "kind": "reversed-diffusion", "forward": {"kind": "ve", "schedule": schedule}, "horizon": 1.0,
            "data": {"kind": "mixture", "means": [0.4], "stds": [0.6]},
        }  # fmt: skip
        return energy_bound(problem_of(domain={"box": [[-6, 6]]}, reference=reference, noise=0.5), 0.02)

    varying, steady = with_diffusivity("0.5 + s"), with_diffusivity("1 + 0*s")
    assert_allclose(varying.value, steady.value, rtol=1e-6)


@pytest.mark.parametrize("within", [-0.1, math.nan, math.inf])
def test_a_distance_that_is_none_is_refused(within):
    with pytest.raises(EnergyBoundError, match="within must be a distance"):
        energy_bound(load_problem("two-bumps"), within)


def test_absorbing_walls_have_no_bound():
    with pytest.raises(EnergyBoundError, match="absorbing walls"):
        energy_bound(load_problem("two-bumps", set={"domain.walls": "absorbing"}), 0.1)


def test_noise_that_no_mesh_sees_is_refused_with_the_cure():
    with pytest.raises(EnergyBoundError, match="take the bound at noise 0"):
        energy_bound(load_problem("two-bumps", set={"noise": 1e-9}), 0.1)


def test_the_frontier_falls_to_nothing_and_passes_through_what_was_asked_for():
    found = bound(load_problem("two-bumps"), [0.05], [0.25, 1.0], frontiers=True)
    assert [one["noise"] for one in found.to_json()] == [0.25, 1.0]
    for asked, curve in zip(found.bounds, found.frontiers, strict=True):
        assert np.all(np.diff(curve.energy) < 0)
        slopes = np.diff(curve.energy) / np.diff(curve.within)
        assert np.all(np.diff(slopes) > 0)  # convex
        assert curve.energy[-1] == 0.0
        assert np.interp(0.05, curve.within, curve.energy) == pytest.approx(asked.value, rel=0.01)

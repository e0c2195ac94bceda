"""The energy of an answer: closed forms, particles, the clock of the noise, the file, and the price."""

import json
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from controlsde import Result, evaluate, load_problem, solve
from controlsde.controllability.energy_bound import energy_bound

FEW = {"monte_carlo.particles": 20_000, "monte_carlo.steps_per_piece": 32}


def formula_drift(expression, noise=1.0, **more):
    """A drift for ρ(0) = N(0, ½): the data of a displacement are met by no one here."""
    start, end = ({"kind": "mixture", "means": [0], "stds": [deviation]} for deviation in (math.sqrt(0.5), 1.0))
    ends = {"from": start, "to": end}
    return load_problem(
        "two-bumps",
        set={
            "mesh": {},
            "domain.box": [[-7, 7]],
            "reference": {"kind": "displacement", "diffusivity": 0.5, "horizon": 1.5, **ends},
            "noise": noise,
            "controls.pieces": 3,
            "drift": {"kind": "formula", "expressions": [expression]},
            **FEW,
            **more,
        },
    )


def test_a_linear_drift_that_keeps_a_gaussian_spends_its_variance():
    """v = −x with D = ½ keeps N(0, ½): E = T·½."""
    energy = evaluate(formula_drift("-x")).energy
    assert_allclose(energy.value, 0.75, rtol=1e-6)
    assert energy.weighted == energy.value
    assert abs(energy.particles - 0.75) < 4 * energy.particles_se
    assert 0.0 < energy.particles_se < 0.02


def test_a_drift_that_varies_in_time_is_integrated_over_it():
    """v = cos 2t without noise: E = ∫cos² 2t dt, for every particle the same."""
    energy = evaluate(formula_drift("cos(2*t)", noise=0.0)).energy
    expected = 0.75 + math.sin(6.0) / 8.0
    assert_allclose(energy.value, expected, rtol=1e-6)
    assert_allclose(energy.particles, expected, rtol=1e-4)
    assert energy.bound is None
    assert energy.price is None
    assert "without noise" in energy.note


@pytest.fixture(scope="module")
def solved():
    return solve(load_problem("two-bumps", set={"solver.starts": 1, "solver.hops": 0, "noise": 0.5, **FEW}))


def test_mesh_and_particles_agree_on_the_energy_of_a_network(solved):
    energy = solved.energy
    assert abs(energy.particles - energy.value) < 4 * energy.particles_se
    assert energy.particles_se < 0.02 * energy.value


def test_an_answer_has_a_price_above_one(solved):
    energy = solved.energy
    assert energy.within == solved.tracking.l2_final
    assert energy.bound == energy_bound(solved.problem, energy.within).value
    assert energy.price == energy.value / energy.bound > 1.0
    assert {check.name for check in solved.certificate.checks} >= {"energy_bound_refined"}
    assert solved.certificate.energy_bound_refined == energy.refined_change < 1e-3


def test_the_json_says_it_in_short_and_in_full_and_the_file_keeps_it(solved, tmp_path):
    told = solved.to_json()
    assert told["energy"] == solved.energy.value
    assert told["energy_bound"] == solved.energy.bound
    assert told["price"] == solved.energy.price
    assert told["energy_details"]["particles"] == solved.energy.particles
    json.dumps(told, allow_nan=False)
    assert Result.load(solved.save(tmp_path / "result.nc").path).energy == solved.energy


def test_in_the_clock_of_the_noise_a_drift_counts_less_where_there_is_more():
    """v = −x, D(t) = η(½ + T − t): ∫(D̄/D)∫|v|²ρ dt, with ρ a Gaussian whose variance obeys s′ = −2s + 2D."""
    data = {"kind": "mixture", "means": [0.0], "stds": [0.7]}
    reference = {"kind": "reversed-diffusion", "forward": {"kind": "ve", "schedule": "0.5 + s"}, "horizon": 1.0}
    problem = load_problem(
        "two-bumps",
        set={
            "mesh": {},
            "domain.box": [[-9, 9]],
            "reference": {**reference, "data": data},
            "noise": 0.5,
            "controls.pieces": 4,
            "drift": {"kind": "formula", "expressions": ["-x"]},
            **FEW,
        },
    )
    energy = evaluate(problem).energy
    times = np.linspace(0.0, 1.0, 20_001)
    diffusivity = 0.5 * (1.5 - times)
    start = 0.49 + 2.0  # noised for all of the time, 2∫(½ + s) ds
    # s(t) = e^{−2t}(s₀ + ∫ 2D e^{2r} dr), 2D = 1.5 − r, and ∫(1.5 − r)e^{2r} dr = e^{2r}(1 − r/2)
    variance = np.exp(-2 * times) * (start - 1.0) + 1.0 - times / 2.0
    assert_allclose(energy.value, np.trapezoid(variance, times), rtol=1e-5)
    assert_allclose(energy.weighted, np.trapezoid(0.5 / diffusivity * variance, times), rtol=1e-5)
    assert energy.price == energy.weighted / energy.bound


@pytest.mark.slow
def test_where_the_noise_rests_a_drift_that_rests_costs_nothing():
    """Of a schedule that pauses, the exact drift is as fast as D₀: |v|²/D is then 0/0, and the energy a number."""
    data = {"kind": "mixture", "means": [0.0], "stds": [0.6]}
    forward = {"kind": "ve", "schedule": "where(s < 0.5, 0, 1)"}
    problem = load_problem(
        "two-bumps",
        set={
            "mesh": {"elements": [12]},
            "domain.box": [[-7, 7]],
            "reference": {"kind": "reversed-diffusion", "forward": forward, "horizon": 1.0, "data": data},
            "noise": 1.0,
            "controls.pieces": 4,
            "drift": "exact",
            **FEW,
        },
    )
    energy = evaluate(problem).energy
    assert math.isfinite(energy.weighted)
    # all of it is spent where D = 1, of mean ½: D̄/D = ½
    assert_allclose(energy.weighted, 0.5 * energy.value, rtol=1e-2)

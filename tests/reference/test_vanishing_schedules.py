"""Schedules that vanish at an end, at a moment, for a while: from the problem to verified numbers, in closed form."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import controlsde as cs
from controlsde.control.drift import ExactDrift
from controlsde.monte_carlo.clock import Clock
from controlsde.problem import ProblemError, parse_problem
from controlsde.problem.formula import Formula
from controlsde.reference import build_reference
from controlsde.tracking.tracking_problem import build_tracking
from controlsde.workflow.prediction import predict
from controlsde.workflow.solving import discrete_stages

VANISHING = ("s^2", "10*s^20", "sin(pi*s/2)**2", "exp(-1/(s + 1e-3))", "where(s < 0.5, 0, 1)", "(s - 0.5)**2", "s^200")
START, SPREAD = 0.5, 0.25  # mean and variance of the data


def problem(schedule, kind="ve", noise=1.0, more="drift: {kind: exact}"):
    text = f"""
domain: {{box: [[-6, 6]]}}
reference:
  kind: reversed-diffusion
  forward: {{kind: {kind}, schedule: "{schedule}"}}
  horizon: 1
  data: {{kind: mixture, means: [{START}], stds: [{math.sqrt(SPREAD)}]}}
noise: {noise}
controls: {{pieces: 4}}
monte_carlo: {{particles: 20000, steps_per_piece: 24}}
{more}
"""
    return parse_problem(text)


def noised(schedule, kind, s):
    """Mean and variance at forward time s, by quadrature of the rate."""
    rate = Formula(schedule, ("s",)).numpy
    points = [0.5] if s > 0.5 else None
    elapsed = quad(lambda r: float(rate(s=np.array([r]))[0]), 0, s, points=points, epsabs=1e-13, limit=200)[0]
    if kind == "ve":
        return START, SPREAD + 2 * elapsed
    shrink = math.exp(-elapsed)
    return START * shrink, SPREAD * shrink**2 - math.expm1(-2 * elapsed)


@pytest.mark.parametrize(
    ("kind", "schedule", "noise"),
    [
        pytest.param("ve", "s^2", 0.0, marks=pytest.mark.slow),
        pytest.param("ve", "s^2", 1.0, marks=pytest.mark.slow),
        *(pytest.param("vp", "10*s^20", noise, marks=pytest.mark.slow) for noise in (0.0, 0.5)),
        pytest.param("ve", "4*max(s - 0.5, 0)", 1.0, marks=pytest.mark.slow),
        ("vp", "(s - 0.5)**2", 0.5),
    ],
)
def test_the_exact_drift_carries_particles_and_density_to_the_data(kind, schedule, noise):
    result = cs.evaluate(problem(schedule, kind, noise))
    assert result.verified
    assert result.tracking.l2_sup < 1e-6
    x, start = result.density.x.values, result.density.isel(time=0).values
    mean, variance = noised(schedule, kind, 1.0)
    np.testing.assert_allclose(start, norm.pdf(x, mean, math.sqrt(variance)), atol=1e-4 if kind == "ve" else 1e-7)
    evidence = result.certificate.monte_carlo
    assert evidence.l2_final < 4 * evidence.l2_final_se + 1e-3


def test_the_variance_at_the_noise_end_of_a_quadratic_rate_is_known():
    reference = build_reference(problem("s^2").reference, problem("s^2").domain)
    x = np.linspace(-6, 6, 20001)
    p = reference.density(0.0, x[:, None])
    mean = np.trapezoid(x * p, x)
    assert np.trapezoid((x - mean) ** 2 * p, x) == pytest.approx(0.25 + 2 / 3, rel=1e-3)  # walls at 5.7 deviations


@pytest.mark.parametrize("noise", [0.5, 1.0])
@pytest.mark.parametrize("schedule", VANISHING)
def test_the_noise_of_all_steps_adds_up_to_the_variance_of_the_whole(schedule, noise):
    reference = build_reference(problem(schedule).reference, problem(schedule).domain)
    diffusivity = reference.diffusivity.scaled(noise)
    clock = Clock.of(np.array([0.0, 0.1, 0.5, 0.99, 1.0]), diffusivity, 50, draws=2)
    assert np.all(np.isfinite(clock.deviation))
    added = noised(schedule, "ve", 1.0)[1] - SPREAD
    assert clock.variance.sum() == pytest.approx(noise * added, rel=1e-9)


@pytest.mark.parametrize("schedule", VANISHING)
@pytest.mark.parametrize("kind", ["ve", "vp"])
def test_such_a_problem_is_checked_and_predicted(kind, schedule):
    prediction = predict(problem(schedule, kind))
    assert not prediction.refused
    assert math.isfinite(prediction.resolution)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_solver_steps_carry_the_reference_to_their_order(noise):
    posed = problem("4*s^3", "vp", noise)
    reference = build_reference(posed.reference, posed.domain)
    counts, errors = (1, 2, 4), []
    for steps in counts:
        mesh = posed.mesh.model_copy(update={"elements": (16,), "degree": 10, "steps_per_piece": steps, "stages": 2})
        tracking = build_tracking(posed.model_copy(update={"mesh": mesh}), reference)
        drift = ExactDrift(reference, noise, tracking.grid.edges, posed.domain.box)
        stages = discrete_stages(tracking, drift, reference.diffusivity.scaled(noise))
        error = stages[-1, -1, -1] - tracking.targets[-1, -1, -1]
        errors.append(math.sqrt(error**2 @ tracking.mesh.mass))
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert order == pytest.approx(3.0, abs=0.4)  # of Radau IIA with two stages


@pytest.mark.parametrize(
    ("schedule", "solver"),
    [
        pytest.param("10*s^20", "shooting", marks=pytest.mark.slow),
        ("where(s < 0.5, 0, 1)", "shooting"),
        pytest.param("where(s < 0.5, 0, 1)", "collocation", marks=pytest.mark.slow),
    ],
)
def test_networks_are_solved_for_where_steps_are_without_diffusion(schedule, solver):
    result = cs.solve(
        problem(schedule, "ve", more="solver: {starts: 1, hops: 0}\nmesh: {elements: [10], steps_per_piece: 4}"),
        solver=solver,
    )
    assert result.verified
    assert result.tracking.l2_final < 0.05


@pytest.mark.parametrize("schedule", ["0", "0*s", "max(s - 2, 0)", "s - s"])
def test_a_rate_that_is_zero_throughout_is_refused_with_its_place(schedule):
    with pytest.raises(ProblemError, match=r"forward\.schedule is zero from s = 0 to the horizon"):
        problem(schedule)


def test_a_rate_below_zero_by_more_than_rounding_is_refused_with_its_place():
    with pytest.raises(ProblemError, match=r"must be finite and positive .* \(got -0\.001 at s = 0\)"):
        problem("s - 0.001")
    problem("0.3 - 0.1*3*s")  # -5.6e-17 at s = 1

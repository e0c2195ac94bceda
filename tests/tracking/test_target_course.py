"""The targets as a spline in time: as exact as it says, where p moves fast and at both ends."""

import numpy as np
import pytest

from controlsde.problem import load_problem
from controlsde.tracking.posed import Posed
from controlsde.tracking.target_course import TOLERANCE, course_of


def course_and_truth(name, **changes):
    posed = Posed.of(load_problem(name, set=changes))
    mesh = posed.mesh()

    def density(t):
        return mesh.restrict(posed.reference.density(t, mesh.points))

    return course_of(density, posed.reference.horizon, mesh.mass), density, posed.reference.horizon, mesh


@pytest.mark.parametrize("name", ["two-bumps", "moser-bumps", "circle", "foellmer"])
def test_the_spline_is_the_target_to_its_tolerance_anywhere(name):
    course, density, horizon, mesh = course_and_truth(name)
    size = np.sqrt(density(horizon) ** 2 @ mesh.mass)
    for t in [0.0, horizon, *np.random.default_rng(0).uniform(0.0, horizon, 40)]:
        missed = np.sqrt((course.at(t) - density(t)) ** 2 @ mesh.mass)
        assert missed <= 2.0 * TOLERANCE * size


def test_its_derivative_is_the_rate_of_the_forward_equation():
    """An Ornstein–Uhlenbeck process run backward: ∂ₜp = −(∂ₓ(xp) + ∂ₓₓp), here for one Gaussian, in closed form."""
    data = {"kind": "mixture", "weights": [1.0], "means": [0.4], "stds": [0.5]}
    course, _, horizon, mesh = course_and_truth("two-bumps", **{"reference.data": data})
    x = mesh.restrict(mesh.points[:, 0])
    for t in (0.0, 0.4, 1.1, horizon):
        tau = horizon - t
        mean, variance = 0.4 * np.exp(-tau), 0.25 * np.exp(-2 * tau) + 1 - np.exp(-2 * tau)
        p = np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        mean_rate, variance_rate = mean, -2.0 * (1.0 - variance)  # of t: tau runs the other way
        score = (x - mean) / variance
        rate = p * (mean_rate * score + 0.5 * variance_rate * (score**2 - 1.0 / variance))
        assert np.abs(course.at(t, 1) - rate).max() <= 1e-4 * np.abs(rate).max()


def test_data_with_corners_do_not_go_on_for_ever():
    course, *_ = course_and_truth("heat-compact")
    assert len(course.spline.t) < 600

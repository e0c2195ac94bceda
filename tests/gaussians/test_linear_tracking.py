"""The best linear drifts between Gaussians: against differential equations, against quadrature, and a minimum."""

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.stats import norm

from controlsde.gaussians import Law, LinearProcess, law_after
from controlsde.gaussians.linear_tracking import LinearTracking


def tracking(noise, pieces):
    return LinearTracking(
        lambda t: np.asarray(np.exp(t - 1.0)), lambda t: np.asarray(1.0 - 0.6 * t**2), noise, 1.0, pieces
    )


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_moments_are_those_of_the_differential_equations(noise):
    problem = tracking(noise, 4)
    drifts = np.array([[0.5, -1.0], [0.0, 0.3], [-2.0, 1.0], [1e-5, 0.2]])
    _, _, means, variances = (part.numpy() for part in problem._moments(torch.as_tensor(drifts)))
    law = Law.isotropic(problem.mean(np.zeros(1)), float(problem.variance(np.zeros(1))[0]))
    for k, (a, b) in enumerate(drifts):
        process = LinearProcess(lambda _, a=a: np.array([[a]]), lambda _, b=b: np.array([b]), lambda _: noise)
        law = law_after(process, law, [0.25 * k, 0.25 * (k + 1)], "exact")
        assert means[k + 1] == pytest.approx(law.mean[0], abs=1e-10)
        assert variances[k + 1] == pytest.approx(law.covariance[0, 0], abs=1e-10)


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_matched_drifts_meet_both_moments_at_every_edge(noise):
    problem = tracking(noise, 5)
    _, _, means, variances = problem._moments(torch.as_tensor(problem.matching()))
    edges = np.linspace(0.0, 1.0, 6)
    np.testing.assert_allclose(means, problem.mean(edges), atol=1e-12)
    np.testing.assert_allclose(variances, problem.variance(edges), atol=1e-12)
    assert problem.errors(problem.matching()) == pytest.approx((0.0, 0.0), abs=1e-7)


def test_errors_and_objective_against_quadrature():
    problem = tracking(0.7, 2)
    drifts = np.array([[0.5, -1.0], [-1.0, 0.3]])

    def square(t):
        k, start = (0, 0.0) if t <= 0.5 else (1, 0.5)
        law = Law.isotropic(problem.mean(np.zeros(1)), float(problem.variance(np.zeros(1))[0]))
        for piece in range(k + 1):
            a, b = drifts[piece]
            process = LinearProcess(lambda _, a=a: np.array([[a]]), lambda _, b=b: np.array([b]), lambda _: 0.7)
            law = law_after(process, law, [0.0, 0.5 if piece < k else t - start], "exact")
        at = np.array([t])
        ours = norm(law.mean[0], law.covariance[0, 0] ** 0.5)
        theirs = norm(problem.mean(at)[0], problem.variance(at)[0] ** 0.5)
        return integrate.quad(lambda x: (ours.pdf(x) - theirs.pdf(x)) ** 2, -10, 10)[0]

    nodes, weights = np.polynomial.legendre.leggauss(6)
    halves = [0.25 * weights @ [square(start + 0.25 * (1 + x)) for x in nodes] for start in (0.0, 0.5)]
    assert problem.errors(drifts)[0] == pytest.approx(square(1.0) ** 0.5, rel=1e-8)
    assert problem.objective(drifts) == pytest.approx(0.5 * sum(halves) + 0.5 * square(1.0), rel=1e-5)


def test_no_small_change_of_the_optimum_is_better():
    problem = tracking(0.7, 3)
    best = problem.optimum()
    assert problem.objective(best) < problem.objective(problem.matching())
    rng = np.random.default_rng(0)
    for size in (1e-2, 1e-3):
        for _ in range(20):
            assert problem.objective(best + size * rng.standard_normal(best.shape)) > problem.objective(best)

"""Claims without an expected winner: what they compare is what they say, and a planted change moves their numbers."""

from dataclasses import replace

import numpy as np
import pytest

from controlsde import distances
from controlsde.claims import activations, boundary_conditions, forward_noise, run_claim
from controlsde.claims.harness import variants
from controlsde.claims.harness.optimised import Optimised
from controlsde.claims.harness.references import reference_of
from controlsde.claims.harness.variants import compare_variants
from controlsde.densities.mixture import GaussianMixture
from controlsde.problem import parse_problem
from controlsde.reference import build_reference
from controlsde.workflow.solving import evaluate


def fake(text, seeds, *_):
    """The text is the level of every number."""
    values = float(text) + 0.01 * np.arange(len(seeds))
    yes = np.ones(len(seeds), dtype=bool)
    return Optimised(tuple(seeds), values, values, values, values, values, values, yes, None)


def test_a_table_of_variants_shows_means_and_deviations_over_the_seeds(monkeypatch):
    monkeypatch.setattr(variants, "optimise", fake)
    levels = {("a", 0.0): "1", ("b", 0.0): "2", ("a", 1.0): "4", ("b", 1.0): "3"}
    found = compare_variants(("a", "b"), (0.0, 1.0), lambda name, noise: levels[name, noise], range(3))
    assert found.sentence() == (
        "‖ρ(T) − p(T)‖ goes at η = 0 from 1.010 ± 0.010 (a) to 2.010 ± 0.010 (b); at η = 1 from 3.010 ± 0.010 (b) to "
        "4.010 ± 0.010 (a), means and deviations over the seeds."
    )
    panel = found.panel("", "l2")
    assert panel.ticks == ("a", "b")
    assert panel.curves[1].y == pytest.approx([4.01, 3.01])
    assert panel.curves[1].error == pytest.approx([0.01, 0.01])
    rows = {row.parameter: row.measured for row in found.rows()}
    assert rows["b, η = 1: ‖ρ(T) − p(T)‖, best"] == 3.0
    assert rows["b, η = 1: ‖ρ(T) − p(T)‖, mean over the seeds"] == pytest.approx(3.01)


@pytest.mark.slow
def test_fewer_pieces_move_the_errors_of_an_activation_beyond_the_spread():
    small = replace(activations.Parameters(), activations=("tanh",), noise=(0.0,), seeds=2, pieces=4)
    spreads = []
    for parameters in (small, replace(small, pieces=1)):
        rows = {row.parameter: row.measured for row in run_claim(activations.CLAIM, parameters).findings.rows}
        name = "tanh, η = 0: ‖ρ(T) − p(T)‖, {} over the seeds"
        spreads.append((rows[name.format("mean")], rows[name.format("standard deviation")]))
    (several, one), (single, other) = spreads
    assert single - several > 3 * np.hypot(one, other)


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_every_activation_is_that_of_its_problem(name):
    problem = parse_problem(activations.problem_text(activations.Parameters(), name, 0.0))
    assert problem.network.activation == name


def test_all_ways_forward_have_the_same_ends():
    parameters = forward_noise.Parameters()
    references = [reference_of(forward_noise.problem_text(parameters, path, 0.0)) for path in forward_noise.PATHS]
    x = np.linspace(-4, 4, 201)[:, None]
    for t in (0.0, parameters.horizon):
        for other in references[1:]:
            np.testing.assert_allclose(other.density(t, x), references[0].density(t, x), atol=1e-6)
    half = [reference.density(0.5 * parameters.horizon, x) for reference in references]
    assert np.abs(half[0] - half[1]).max() > 0.02
    assert np.abs(half[0] - half[2]).max() > 0.02


def test_the_work_of_displacement_is_w2_squared_over_t_and_the_least():
    parameters = forward_noise.Parameters()
    edges = np.linspace(-5, 5, 4001)
    centres = 0.5 * (edges[1:] + edges[:-1])[:, None]
    bumps = [
        GaussianMixture(
            np.array([0.45, 0.45, 0.1]),
            np.array([[-mean], [mean], [0.0]]),
            np.array([[deviation], [deviation], [1.0]]) ** 2,
        )
        for mean, deviation in (forward_noise.noised(parameters), (parameters.mean, parameters.deviation))
    ]
    least = distances.wasserstein_2(edges, bumps[0].pdf(centres), bumps[1].pdf(centres)) ** 2 / parameters.horizon
    works = {
        path: forward_noise.work(reference_of(forward_noise.problem_text(parameters, path, 0.0)), 0.0)
        for path in forward_noise.PATHS
    }
    assert works["displacement"] == pytest.approx(least, rel=1e-4)
    assert min(works["diffusion"], works["moser"]) > 1.01 * least


@pytest.mark.slow
def test_diffusion_between_absorbing_walls_leaves_the_mass_of_a_sine_series():
    parameters = boundary_conditions.Parameters()
    still = "drift: {kind: formula, expressions: ['0']}\n"
    result = evaluate(parse_problem(boundary_conditions.problem_text(parameters, "absorbing", 1.0) + still))
    problem = result.problem
    reference = build_reference(problem.reference, problem.domain)
    times, masses = boundary_conditions.mass_left(result)

    x = np.linspace(-1, 1, 4001)
    initial = reference.initial_density(x[:, None])

    def mode(k):
        """∫ρ₀ sin(kπ(x + 1)/2) dx ∫ sin(kπ(x + 1)/2) dx, which decays as e^{−(kπ/2)²t}."""
        part = np.trapezoid(initial * np.sin(0.5 * k * np.pi * (x + 1)), x)
        return part * (1 - np.cos(k * np.pi)) * 2 / (k * np.pi)

    expected = sum(mode(k) * np.exp(-((0.5 * k * np.pi) ** 2) * times[-1]) for k in range(1, 40, 2))
    assert masses[-1] == pytest.approx(expected, rel=1e-3)
    assert 0.3 < masses[-1] < 0.9

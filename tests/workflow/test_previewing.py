"""A preview: the solvers' own discretisation for given controls, at once, and never called verified."""

from __future__ import annotations

import numpy as np
import pytest

import controlsde as cs
from controlsde.tracking.posed import Posed
from controlsde.workflow import previewing


def controls_of(problem: cs.Problem, seed: int = 0, scale: float = 0.4) -> cs.Controls:
    posed = Posed.of(problem).with_given_pieces
    weights = posed.network.random_weights(posed.grid.pieces, np.random.default_rng(seed), scale)
    return cs.Controls(*posed.network.split(weights), posed.grid.edges)


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
def test_a_preview_is_what_evaluate_sees_before_it_measures_again(walls: str, noise: float) -> None:
    changes = {"domain.walls": walls, "controls.pieces": 4, "monte_carlo.particles": 1000, "network.tangential": True}
    problem = cs.load_problem("two-bumps", set={**changes, "noise": noise})
    controls = controls_of(problem, scale=0.2)
    shown = cs.preview(problem, controls)
    measured = cs.evaluate(problem, controls)
    for name, value in shown.discrete.l2_json().items():
        assert value == pytest.approx(getattr(measured.discrete, name), rel=2e-2), name


def test_without_a_drift_a_preview_is_the_diffusion_alone() -> None:
    """On [0, 1] with reflecting walls 1 + c cos πx decays as e^{−π²ηD₀t}."""
    problem = cs.load_problem("two-bumps")
    shown = cs.preview(problem.model_copy(update={"noise": 0.0}))
    assert np.allclose(shown.density_values, shown.density_values[0], atol=1e-12)
    text = """
domain: {box: [[0, 1]], walls: reflecting}
reference:
  kind: moser
  horizon: 0.3
  from: {kind: formula, expression: "1 + 0.5*cos(pi*x)"}
  to: {kind: uniform}
  diffusivity: 0.4
noise: 0.5
controls: {pieces: 3}
"""
    from controlsde.problem import parse_problem

    decaying = cs.preview(parse_problem(text))
    x, t = decaying.mesh.axes[0].grid, decaying.times
    expected = 1.0 + 0.5 * np.exp(-(np.pi**2) * 0.2 * t[:, None]) * np.cos(np.pi * x)
    assert np.abs(decaying.density_values - expected).max() < 1e-7


def test_an_exact_drift_keeps_a_preview_on_its_reference() -> None:
    problem = cs.load_problem("two-bumps", set={"drift.kind": "exact", "noise": 0.5})
    shown = cs.preview(problem)
    assert shown.discrete.l2_sup < 5e-3
    assert shown.controls is None
    assert shown.drift is not None
    x = np.linspace(-2.0, 2.0, 5)[:, None]
    assert np.array_equal(shown.exact(1.2, x), shown.drift.values(0, 1.2, x))


def test_weights_and_noise_reuse_the_problem_and_give_what_a_fresh_one_gives() -> None:
    problem = cs.load_problem("two-bumps", set={"controls.pieces": 5})
    others = [problem.model_copy(update={"noise": noise}) for noise in (1.0, 0.3, 0.0, 1.0)]
    previewing._at_unit_noise.cache_clear()
    kept = [cs.preview(each, controls_of(problem, seed)) for seed in (0, 1) for each in others]
    assert previewing._at_unit_noise.cache_info().misses == 2  # with noise and without
    for one in kept:
        for cache in (previewing.kept_reference, previewing._at_unit_noise, previewing._objective):
            cache.cache_clear()
        fresh = cs.preview(one.problem, one.controls)
        assert np.array_equal(fresh.density_values, one.density_values)


def test_changes_of_the_problem_that_matter_are_seen() -> None:
    problem = cs.load_problem("two-bumps", set={"controls.pieces": 4})
    plain = cs.preview(problem)
    for key, value in {
        "reference.horizon": 0.7,
        "mesh.elements": [6],
        "reference.data.means": [[-1.0], [1.0]],
        "domain.walls": "periodic",
    }.items():
        other = cs.preview(cs.load_problem("two-bumps", set={"controls.pieces": 4, key: value}))
        assert (
            other.density_values.shape != plain.density_values.shape
            or not np.array_equal(other.reference_values, plain.reference_values)
            or not np.array_equal(other.density_values, plain.density_values)
        ), key


def test_pieces_of_any_lengths_are_shown() -> None:
    problem = cs.load_problem("two-bumps", set={"controls.pieces": 4, "controls.lengths": "free"})
    posed = Posed.of(problem)
    times = np.array([0.0, 0.9, 1.3, 1.5])
    weights = posed.network.random_weights(3, np.random.default_rng(0), 0.3)
    shown = cs.preview(problem, cs.Controls(*posed.network.split(weights), times))
    assert np.allclose(np.intersect1d(shown.times.round(12), times), times)
    assert shown.curve_times[-1] == pytest.approx(1.5)
    assert np.isfinite(shown.l2).all()


def test_a_preview_is_labelled() -> None:
    shown = cs.preview(cs.load_problem("two-bumps"))
    assert shown.verified is False
    for part in (shown.density, shown.reference, shown.error):
        assert "not verified" in part.attrs["note"]
    assert shown.density.dims == ("time", "x")
    assert float(shown.error[-1]) == pytest.approx(shown.discrete.l2_final)


def test_a_preview_in_the_plane_has_a_time_and_two_axes() -> None:
    problem = cs.load_problem("moser-square", set={"controls.pieces": 2, "mesh.elements": [2, 2]})
    shown = cs.preview(problem, controls_of(problem))
    assert shown.density.dims == ("time", "x", "y")
    assert shown.density.shape == (len(shown.times), *shown.mesh.shape)
    mass = np.einsum("txy,x,y->t", shown.density_values, *(axis.weights for axis in shown.mesh.axes))
    assert np.abs(mass - 1.0).max() < 1e-10


def test_controls_that_do_not_fit_are_refused_in_one_line() -> None:
    problem = cs.load_problem("two-bumps", set={"controls.pieces": 4})
    controls = controls_of(problem)
    with pytest.raises(cs.ControlsError, match="width 1, the problem has width 2"):
        cs.preview(cs.load_problem("two-bumps", set={"network.width": 2}), controls)
    with pytest.raises(cs.ControlsError, match=r"cover \[0, 1.5\], the problem \[0, 2\]"):
        cs.preview(cs.load_problem("two-bumps", set={"reference.horizon": 2.0}), controls)

"""What the page asks: settings on top of a file, and weights carried from one structure to another."""

from __future__ import annotations

import numpy as np
import pytest

import controlsde as cs
from controlsde.explore.answers import problems
from controlsde.explore.question import (
    Opened,
    QuestionError,
    Settings,
    controls_of,
    lengths_of,
    problem_of,
    shipped,
    weights_json,
)
from controlsde.tracking.tracking_problem import build_network
from tests.explore.started import SMALL


@pytest.fixture
def opened(tmp_path):
    return Opened("small", SMALL, "small.yaml", tmp_path)


def controls(problem, seed=0):
    rng = np.random.default_rng(seed)
    at_rest = controls_of(None, problem)
    return cs.Controls(*(rng.standard_normal(part.shape) for part in (at_rest.A, at_rest.W, at_rest.b)), at_rest.times)


def test_settings_are_set_on_top_of_the_file(opened):
    problem = problem_of(
        opened, Settings.of({"noise": 0.5, "pieces": 7, "width": 3, "horizon": 0.1, "lengths": "halving"})
    )
    assert (problem.noise, problem.controls.pieces, problem.network.width) == (0.5, 7, 3)
    assert problem.reference.horizon == 0.1
    assert np.allclose(
        np.diff(controls_of(None, problem).times)[1:] / np.diff(controls_of(None, problem).times)[:-1], 0.5
    )
    assert lengths_of(problem) == "halving"
    assert problem_of(opened, Settings.of({})) == problem_of(opened, Settings())


def test_weights_at_rest_move_nothing_and_one_output_weight_wakes_a_neuron(opened):
    problem = problem_of(opened, Settings(width=2))
    rest = controls_of(None, problem)
    still, none = cs.preview(problem, rest), cs.preview(problem)
    assert np.array_equal(still.density_values, none.density_values)
    a = rest.A.copy()
    a[0, 0, 1] = 0.5
    assert (
        np.abs(
            cs.preview(problem, cs.Controls(a, rest.W, rest.b, rest.times)).density_values - none.density_values
        ).max()
        > 1e-2
    )


def test_more_pieces_that_are_multiples_and_more_neurons_leave_the_drift_as_it_was(opened):
    problem = problem_of(opened, Settings(pieces=3, width=2))
    given = controls(problem)
    wider = problem_of(opened, Settings(pieces=9, width=5))
    carried, split = controls_of(weights_json(given), wider), given.split(3)
    assert np.allclose(carried.times, split.times)
    x = np.linspace(0.0, 1.0, 11)[:, None]
    for piece in range(9):
        one, other = (
            build_network(problem).drift(x, *split.piece(piece)),
            build_network(wider).drift(x, *carried.piece(piece)),
        )
        assert np.allclose(one, other, atol=1e-14)


def test_fewer_neurons_keep_those_that_push_most(opened):
    problem = problem_of(opened, Settings(width=4))
    given = controls(problem)
    a = given.A * np.array([0.1, 10.0, 0.2, 20.0])
    carried = controls_of(
        weights_json(cs.Controls(a, given.W, given.b, given.times)), problem_of(opened, Settings(width=2))
    )
    assert np.array_equal(carried.A, a[:, :, [1, 3]])
    assert np.array_equal(carried.W, given.W[:, [1, 3]])


def test_another_horizon_stretches_the_pieces(opened):
    given = controls(problem_of(opened, Settings(pieces=4)))
    carried = controls_of(weights_json(given), problem_of(opened, Settings(pieces=4, horizon=0.8)))
    assert np.allclose(carried.times, 4.0 * given.times)
    assert np.array_equal(carried.A, given.A)


def test_three_dimensions_are_refused_in_one_line(tmp_path):
    text = """
domain: {box: [[0, 1], [0, 1], [0, 1]]}
reference: {kind: moser, from: {kind: uniform}, to: {kind: uniform}}
"""
    with pytest.raises(QuestionError, match="one and two dimensions"):
        problem_of(Opened("cube", text, "cube.yaml", tmp_path), Settings())


@pytest.mark.parametrize("name", [one["name"] for one in problems()])
def test_every_shipped_problem_of_a_line_or_a_plane_can_be_opened(name):
    problem = problem_of(shipped(name), Settings())
    assert problem.name == name
    assert controls_of(None, problem).times[-1] == pytest.approx(problem.reference.horizon)

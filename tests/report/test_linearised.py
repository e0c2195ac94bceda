"""Pictures of what weights can change: in one dimension and two, in both metrics."""

import numpy as np
import pytest

import controlsde as cs
from controlsde.report.figures import save_controllability
from controlsde.report.linearised import directions, insertion
from controlsde.workflow.linearising import controllability
from tests.quick import slow

SMALL = {
    "heat-compact": {"mesh": {"elements": [4], "degree": 6, "steps_per_piece": 2}, "controls.pieces": 3},
    "iris-plane": {"mesh": {"elements": [2, 2], "degree": 5, "steps_per_piece": 1}, "controls.pieces": 2},
}


def found_of(name, metric="energy", scale=1.0):
    problem = cs.load_problem(name, set=SMALL[name])
    d, m, pieces = problem.dimension, problem.network.width or problem.dimension, problem.controls.pieces
    rng = np.random.default_rng(0)
    a, w, b = rng.normal(size=(pieces, d, m)), rng.normal(size=(pieces, m, d)), rng.normal(size=(pieces, m))
    times = np.linspace(0.0, problem.reference.horizon, pieces + 1)
    return controllability(problem, metric, cs.Controls(scale * a, scale * w, scale * b, times))


@pytest.mark.parametrize(
    ("name", "metric"), [("heat-compact", "energy"), slow(("heat-compact", "effort")), slow(("iris-plane", "energy"))]
)
def test_both_pictures_are_drawn_and_say_that_they_are_of_first_order(name, metric, tmp_path):
    found = found_of(name, metric)
    assert [path.name for path in save_controllability(found, tmp_path)] == ["directions.png", "insertion.png"]
    for figure in (directions(found), insertion(found)):
        words = " ".join(text.get_text() for text in figure.texts)
        assert "to first order about these controls" in words
        assert "unreachable" not in words
    spectrum = directions(found).axes[-1]
    labels = [text.get_text() for text in spectrum.get_legend().get_texts()]
    assert labels == (["these weights", "any drift"] if metric == "energy" else ["these weights"])


def test_weights_that_change_nothing_have_no_directions_to_draw():
    assert directions(found_of("heat-compact", scale=0.0)) is None

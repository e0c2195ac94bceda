"""The picture of the convergence: the answer is one dot with one number, whatever the curve and the starts show."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from controlsde.problem import parse_problem
from controlsde.report import curves
from controlsde.report.canvas import number
from controlsde.workflow.solving import solve

PROBLEM = """
name: small
domain: {box: [[0, 1]]}
reference:
  kind: reversed-diffusion
  forward: heat
  horizon: 0.2
  data: {kind: formula, expression: "1 + 0.5*cos(pi*x)"}
controls: {pieces: 2}
mesh: {elements: [4], degree: 6, steps_per_piece: 2}
solver: {kind: shooting, starts: 2, iterations: 4}
monte_carlo: {particles: 500, steps_per_piece: 8}
"""


@pytest.fixture(scope="module")
def result():
    return solve(parse_problem(PROBLEM))


def with_history(result, objectives, **changes):
    rows = np.stack([np.arange(len(objectives)), objectives, np.full(len(objectives), np.nan)], axis=1)
    changes = {"history": rows, "beginnings": (), "iterations": len(rows) - 1, "objective": objectives[-1], **changes}
    return dataclasses.replace(result, **changes)


def solved_by(result, **solver):
    return result.problem.model_copy(update={"solver": SimpleNamespace(kind="shooting", hops=0, **solver)})


def drawn(result):
    figure = curves.convergence(result)
    return figure, figure.axes


def labelled(axes, label):
    return next((line for line in axes.get_lines() if line.get_label() == label), None)


def test_the_last_of_the_history_the_dots_and_the_title_are_the_objective(result):
    assert result.history[-1, 1] == result.objective
    assert result.history[-1, 0] == result.iterations
    figure, (objective, _, starts) = drawn(result)
    assert f"objective {number(result.objective)} after" in figure.texts[0].get_text()
    dot = labelled(objective, "the answer")
    assert (*dot.get_xdata(), *dot.get_ydata()) == (result.iterations, result.objective)
    assert list(labelled(starts, "the answer").get_ydata()) == [result.objective]


def test_starts_below_the_answer_are_hollow_and_the_dot_is_the_answers(result):
    j = result.objective
    one = dataclasses.replace(result, starts=(2 * j, 0.5 * j, j, 0.8 * j, float("nan")))
    _, (*_, starts) = drawn(one)
    np.testing.assert_allclose(starts.get_lines()[0].get_ydata(), [0.5 * j, 0.8 * j, j, 2 * j])
    np.testing.assert_allclose(labelled(starts, "set aside").get_ydata(), [0.5 * j, 0.8 * j])
    answer = labelled(starts, "the answer")
    assert (list(answer.get_xdata()), list(answer.get_ydata())) == ([3], [j])


def test_without_lower_starts_none_is_set_aside(result):
    _, (*_, starts) = drawn(dataclasses.replace(result, starts=(result.objective, 2 * result.objective)))
    assert labelled(starts, "set aside") is None


def test_every_value_of_a_search_over_weights_lies_within_the_axis(result):
    falling = with_history(result, [0.001, 5.0, 3.0, 2.0, 1.9, 1.8])
    _, (objective, *_) = drawn(falling)
    assert objective.get_ylim()[0] < 0.001


def test_collocation_below_the_axis_is_marked_at_its_edge(result):
    one = with_history(result, [0.001, 0.002, 3.0, 2.0, 1.9, 1.8], solver="collocation")
    _, (objective, *_) = drawn(one)
    assert objective.get_title("left") == "objective of the program"
    low = objective.get_ylim()[0]
    assert 0.002 < low < 1.8
    marks = labelled(objective, "2 below the axis")
    assert list(marks.get_xdata()) == [0, 1]
    assert list(marks.get_ydata()) == [low, low]
    assert list(labelled(objective, "the answer").get_ydata()) == [1.8]


def test_an_answer_far_from_all_program_values_is_within_the_axis(result):
    one = dataclasses.replace(with_history(result, [4.0, 3.0, 2.0, 1.9], solver="collocation"), objective=0.01)
    _, (objective, *_) = drawn(one)
    assert objective.get_ylim()[0] < 0.01


def test_hops_and_finer_meshes_are_marked_where_they_begin_also_where_j_falls(result):
    begun = ("", "hop", "", "finer mesh")
    one = dataclasses.replace(with_history(result, [3.0, 2.0, 2.5, 1.0]), beginnings=begun)
    _, (objective, *_) = drawn(one)
    hop, mesh = labelled(objective, "a hop begins"), labelled(objective, "a finer mesh begins")
    assert (list(hop.get_xdata()), list(hop.get_ydata())) == ([1], [2.0])
    assert (list(mesh.get_xdata()), list(mesh.get_ydata())) == ([3], [1.0])
    assert hop.get_marker() != mesh.get_marker()


def test_a_rise_alone_is_no_hop(result):
    _, (objective, *_) = drawn(dataclasses.replace(with_history(result, [3.0, 2.0, 2.5, 1.0]), beginnings=()))
    assert labelled(objective, "a hop begins") is None


def test_a_limit_at_the_end_has_a_point_a_multiplier_and_no_starts(result):
    limits = result.problem.objective.model_copy(update={"terminal_error": 0.1})
    limited = result.problem.model_copy(update={"objective": limits})
    one = with_history(result, [1.0, 2.0, 1.5], problem=limited, starts=(1.5, float("nan")))
    _, axes = drawn(one)
    (objective,) = axes
    assert objective.get_xlabel() == "iteration, a point for each multiplier"

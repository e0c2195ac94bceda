"""Densities on several boxes: values and shares, and that they diffuse as the sum of their boxes does."""

import numpy as np
import pytest

from controlsde.densities import build_density
from controlsde.problem import parse_problem, schema
from controlsde.reference import build_reference

PLANE = ((-1.0, 1.0), (-1.0, 1.0))
PARTS = (((-0.9, -0.2), (-0.5, 0.5)), ((0.1, 0.8), (0.0, 0.9)))


def test_values_and_samples_in_the_plane():
    density = build_density(schema.Boxes(boxes=PARTS, weights=(0.25, 0.75)), PLANE)
    points = np.array([[-0.5, 0.2], [0.4, 0.4], [0.0, 0.0], [0.8, 0.9], [-0.5, 0.6]])
    np.testing.assert_allclose(density.pdf(points), [0.25 / 0.7, 0.75 / 0.63, 0.0, 0.75 / 0.63, 0.0], rtol=1e-12)
    assert density.box == ((-0.9, 0.8), (-0.5, 0.9))
    x = density.sample(40_000, np.random.default_rng(0))
    left = x[:, 0] < -0.1
    assert left.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 40_000))
    assert np.all(density.pdf(x) > 0)
    np.testing.assert_allclose(x[left].mean(axis=0), [-0.55, 0.0], atol=0.01)


def reference(data, forward, walls, box):
    text = f"""
domain: {{box: {box}, walls: {walls}}}
reference: {{kind: reversed-diffusion, forward: {forward}, horizon: 0.5, data: {data}}}
"""
    problem = parse_problem(text)
    return build_reference(problem.reference, problem.domain)


@pytest.mark.parametrize(
    ("forward", "walls", "box"),
    [
        ("ornstein-uhlenbeck", "reflecting", "[[-6, 6]]"),
        ("ornstein-uhlenbeck", "reflecting", "[[-1.2, 1.5]]"),
        ("heat", "reflecting", "[[-1.2, 1.5]]"),
        ("heat", "periodic", "[[-1.2, 1.5]]"),
    ],
)
def test_it_diffuses_as_the_sum_of_its_boxes(forward, walls, box):
    both = reference("{kind: boxes, boxes: [[-1, -0.4], [0.2, 1]], weights: [0.3, 0.7]}", forward, walls, box)
    one = reference("{kind: uniform, low: -1, high: -0.4}", forward, walls, box)
    two = reference("{kind: uniform, low: 0.2, high: 1}", forward, walls, box)
    x = np.linspace(-1.1, 1.4, 41)[:, None]
    for t in (0.0, 0.3, 0.49):
        expected = 0.3 * one.density(t, x) + 0.7 * two.density(t, x)
        np.testing.assert_allclose(both.density(t, x), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ("[[-1, -2], [0, 1]]", "reference.data.boxes.0.0 must be [low, high] with low < high"),
        ("[[-7, -2], [0, 1]]", "reference.data.boxes.0.0 must lie inside the box [-5, 5] (got [-7, -2])"),
        ("[[[-1, 0], [0, 1]]]", "reference.data.boxes must hold boxes of dimension 1"),
        ("[[[-1, 0]], [[0, 1], [0, 1]]]", "reference.data.boxes.1 must have 1 pair(s)"),
        ("[[-1, 0], [0, 1]], weights: [1]", "reference.data.weights must have one entry for each of the 2 boxes"),
        ("[[-1, 0], [0, 1]], weights: [1, 1]", "reference.data.weights must sum to one (got 2)"),
    ],
)
def test_what_does_not_fit_is_one_line(boxes, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are looked at
        reference(f"{{kind: boxes, boxes: {boxes}}}", "heat", "reflecting", "[[-5, 5]]")
    assert words in str(caught.value)

"""Data on any scale: what spreads is standardised to all digits, what does not is refused, and named cures help."""

import math

import numpy as np
import pytest

from controlsde.densities import build_density
from controlsde.problem import ProblemError, parse_problem

from .texts import changed

MIXTURE = "{kind: mixture, weights: [0.5, 0.5], means: [-1.5, 1.5], stds: [0.3, 0.3]}"


def samples(rest, file="data.csv", columns="[a]"):
    return changed(MIXTURE, f"{{kind: samples, file: {file}, columns: {columns}, {rest}}}")


def table(folder, values):
    (folder / "data.csv").write_text("a\n" + "".join(f"{value!r}\n" for value in values))


def told(text, folder):
    with pytest.raises(ProblemError) as refused:
        parse_problem(text, label="p.yaml", folder=folder)
    (message,) = refused.value.messages
    return message


@pytest.mark.parametrize(
    "values",
    [
        [0.1] * 41,
        [2.5] * 7,
        [0.1 + 0.2, 0.3],
        [1.7e9] * 1000,
        [1e100] * 3,
        [0.0] * 5,
        [1 / 3 + k * 5e-17 for k in range(10)],
        [5.0],
        [-0.1] * 97,
    ],
    ids=lambda values: f"{len(values)} of {values[0]:.3g}",
)
def test_a_column_that_spreads_by_rounding_alone_is_refused(values, tmp_path):
    table(tmp_path, values)
    message = told(samples("bandwidth: 0.3, standardize: true"), tmp_path)
    assert message.startswith("p.yaml:7:84: reference.data.standardize needs points that differ in every column")
    assert "column 'a' is" in message


@pytest.mark.parametrize(
    ("mean", "spread", "digits"),
    [
        (1.7e9, 1e6, 1e-9),
        (1.7e9, 1.0, 1e-7),
        (0.0, 1e-60, 1e-12),
        (8e9, 2e9, 1e-12),
        (1e50, 1e49, 1e-12),
        (-3.0, 1e-6, 1e-9),
    ],
)
def test_what_spreads_is_standardised_whatever_its_unit(mean, spread, digits, tmp_path):
    normal = np.random.default_rng(5).standard_normal(400)
    values = [float(mean + spread * z) for z in normal]
    table(tmp_path, values)
    problem = parse_problem(samples("bandwidth: 0.3, standardize: true"), folder=tmp_path)
    data = problem.reference.data
    points = np.array(data.points)[:, 0]
    exact = normal - normal.mean()
    exact /= math.sqrt(np.mean(exact**2))
    np.testing.assert_allclose(points, exact, atol=digits * 4, rtol=0)
    assert points.mean() == pytest.approx(0.0, abs=1e-14)
    assert points.std() == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(points * data.scale[0] + data.shift[0], values, rtol=1e-14, atol=1e-14 * spread)
    assert parse_problem(problem.to_yaml()) == problem


def test_unix_times_are_accepted_by_check(tmp_path, accepted):
    table(tmp_path, [1.7e9 + 1e6 * k / 20 for k in range(-20, 21)])
    assert "valid" in accepted(samples("bandwidth: 0.4, standardize: true"))


@pytest.mark.parametrize(
    ("values", "bandwidth"),
    [
        ([150.0 + 1.3 * k for k in range(31)], "4"),
        ([150.0 + 1.3 * k for k in range(31)], "0.3"),
        ([1.7e9 + 1e5 * k for k in range(40)], "0.3"),
        ([1e-3 * k for k in range(10)] + [400.0], "0.3"),
    ],
)
def test_raw_data_far_from_the_box_are_told_to_be_standardised_and_then_fit(values, bandwidth, tmp_path):
    table(tmp_path, values)
    text = samples(f"bandwidth: {bandwidth}")
    message = told(text, tmp_path)
    assert "add standardize: true" in message
    if "with bandwidth: " in message:
        named = message.split("with bandwidth: ")[1].split(",")[0]
        text = text.replace(f"bandwidth: {bandwidth}", f"bandwidth: {named}")
    if "domain.box: " in message:
        text = text.replace("[[-5, 5]]", message.split("domain.box: ")[1])
    cured = text.replace("columns: [a]", "columns: [a], standardize: true")
    assert parse_problem(cured, folder=tmp_path).reference.data.shift is not None


def test_data_a_little_beyond_the_box_are_told_a_box_that_holds_them(tmp_path):
    table(tmp_path, [-3.0, 0.0, 4.5])
    message = told(samples("bandwidth: 0.3"), tmp_path)
    box = message.split("widen domain.box to ")[1].split(", or")[0]
    assert parse_problem(samples("bandwidth: 0.3").replace("[[-5, 5]]", box), folder=tmp_path).domain.box[0][1] > 5


def test_the_density_of_standardised_points_is_that_of_their_units(tmp_path):
    table(tmp_path, [1.7e9, 1.7e9 + 2e6])
    problem = parse_problem(samples("bandwidth: 0.3, standardize: true"), folder=tmp_path)
    density = build_density(problem.reference.data, problem.domain.box)
    peak = 0.5 / (0.3 * math.sqrt(2 * math.pi))
    np.testing.assert_allclose(density.pdf(np.array([[-1.0], [1.0]])), peak * (1 + math.exp(-0.5 * (2 / 0.3) ** 2)))


def test_the_least_widths_that_are_named_fit(refused, accepted):
    text = changed("stds: [0.3, 0.3]", "stds: [0.00001, 0.001]")
    (line,) = refused("check", "bad.yaml", text=text, seconds=60)
    assert line.startswith("bad.yaml:7:9: reference.data: the mesh holds")
    least = line.split("the least stds that fit here are ")[1].split(",")[0]
    elements = line.split("with mesh.elements: ")[1].split(";")[0]
    accepted(text.replace("0.00001, 0.001", f"{least}, {least}") + f"mesh: {{elements: {elements}}}\n")


def test_a_narrow_density_is_told_elements_that_resolve_it(refused, accepted):
    text = changed("stds: [0.3, 0.3]", "stds: [0.01, 0.01]")
    (line,) = refused("check", "bad.yaml", text=text, seconds=60)
    elements = line.split("use mesh.elements: ")[1]
    said = accepted(text + f"mesh: {{elements: {elements}}}\n")
    assert "does not resolve" not in said

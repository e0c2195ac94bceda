"""Norms of the tracking error: closed forms, one dimension through distribution functions, and NumPy as PyTorch."""

import numpy as np
import pytest
import torch

from controlsde.distances import sobolev_minus_1
from controlsde.fokker_planck import Mesh
from controlsde.tracking.metric import Metric


def unknowns(mesh, function):
    return mesh.restrict(function(*mesh.points.T))


def test_the_norm_of_a_cosine_is_its_l2_norm_over_its_frequency():
    mesh = Mesh.build(((0.0, 2.0), (-1.0, 0.0)), "reflecting", (3, 2), 8)
    e = unknowns(mesh, lambda x, y: np.cos(np.pi * x) * np.cos(2 * np.pi * y))
    assert np.linalg.norm(Metric.l2(mesh).root(e)) == pytest.approx(np.sqrt(0.5), rel=1e-9)
    expected = np.sqrt(0.5 / (5 * np.pi**2))
    assert np.linalg.norm(Metric.negative_sobolev(mesh).root(e)) == pytest.approx(expected, rel=1e-7)


def test_the_norm_of_a_wave_on_a_torus():
    mesh = Mesh.build(((0.0, 2.0), (-1.0, 0.0)), "periodic", (4, 3), 8)
    e = unknowns(mesh, lambda x, y: np.sin(np.pi * x + 2 * np.pi * y))
    expected = np.sqrt(1.0 / (5 * np.pi**2))
    assert np.linalg.norm(Metric.negative_sobolev(mesh).root(e)) == pytest.approx(expected, rel=1e-6)


def test_in_one_dimension_it_is_the_l2_norm_of_the_distribution_functions():
    mesh = Mesh.build(((-3.0, 3.0),), "reflecting", (12,), 8)
    e = unknowns(mesh, lambda x: np.exp(-((x - 1) ** 2)) - np.exp(-((x + 0.5) ** 2)))
    e -= mesh.mass @ e / 6.0
    fine = np.linspace(-3.0, 3.0, 20001)
    values = mesh.interpolate(mesh.to_grid(e), (fine,))
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (values[1:] + values[:-1]) * np.diff(fine))])
    expected = np.sqrt(np.trapezoid(cumulative**2, fine))
    assert np.linalg.norm(Metric.negative_sobolev(mesh).root(e)) == pytest.approx(expected, rel=1e-6)


def test_it_agrees_with_the_distance_that_the_results_report():
    mesh = Mesh.build(((-1.0, 1.0), (0.0, 1.0)), "reflecting", (4, 3), 8)

    def difference(x, y):
        return np.exp(-4 * (x - 0.2) ** 2 - 3 * y) - np.exp(-4 * x**2 - 2 * y**2)

    e = unknowns(mesh, difference)
    n = 256
    x, y = -1 + 2 * (np.arange(n) + 0.5) / n, (np.arange(n) + 0.5) / n
    grid = difference(*np.meshgrid(x, y, indexing="ij"))
    expected = sobolev_minus_1(mesh.box, "reflecting", grid)
    assert np.linalg.norm(Metric.negative_sobolev(mesh).root(e)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("build", [Metric.l2, Metric.negative_sobolev])
@pytest.mark.parametrize("walls", ["reflecting", "periodic"])
def test_all_forms_are_one_quadratic_form(build, walls):
    mesh = Mesh.build(((0.0, 1.0), (0.0, 2.0)), walls, (2, 3), 3)
    metric = build(mesh)
    e = np.random.default_rng(0).normal(size=(4, 5, len(mesh.mass)))
    whole = metric.matrix().toarray()
    np.testing.assert_allclose(metric.apply(e), e @ whole, atol=1e-12)
    np.testing.assert_allclose(np.sum(metric.root(e) ** 2, axis=-1), np.sum(e * (e @ whole), axis=-1), atol=1e-12)
    np.testing.assert_allclose(metric.root_columns(e.swapaxes(1, 2)), metric.root(e).swapaxes(1, 2), atol=1e-13)
    tensors = metric.converted(torch.from_numpy)
    np.testing.assert_allclose(tensors.apply(torch.from_numpy(e)).numpy(), metric.apply(e), atol=1e-13)
    eigenvalues = np.linalg.eigvalsh(whole)
    assert eigenvalues[0] > -1e-12
    if build is Metric.negative_sobolev:
        np.testing.assert_allclose(whole @ np.ones(len(whole)), 0.0, atol=1e-12)  # the mean costs nothing

"""A density on a mesh against closed forms, and against itself on other meshes."""

import math

import numpy as np
import pytest

from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh

BOX = ((-1.0, 1.0), (0.0, 3.0))


def field(elements, walls="reflecting"):
    mesh = Mesh.build(BOX, walls, elements, 8)
    return DensityField.sampled(mesh, lambda x: np.exp(x[:, 0]) * np.cos(x[:, 1]) ** 2)


def test_mass_norm_and_means_are_the_integrals():
    found = field((6, 8))
    one, two = math.e - 1 / math.e, 0.5 * 3.0 + 0.25 * math.sin(6.0)
    assert found.mass == pytest.approx(one * two, rel=1e-9)
    four = 0.375 * 3.0 + 0.25 * math.sin(6.0) + math.sin(12.0) / 32
    assert found.norm**2 == pytest.approx(0.5 * (math.e**2 - math.e**-2) * four, rel=1e-9)
    assert found.mean_of(lambda x: x[:, 0]) == pytest.approx(2 / math.e * two, rel=1e-9)


def test_the_distance_from_itself_on_a_coarser_mesh_falls_with_its_elements():
    fine = field((6, 8))
    assert fine.distance(fine) == 0.0
    distances = [fine.distance(field(elements)) for elements in ((1, 1), (2, 2), (4, 5))]
    assert distances[0] > 10 * distances[1] > 100 * distances[2] > 0
    assert fine.l2(lambda x: np.exp(x[:, 0]) * np.cos(x[:, 1]) ** 2) == 0.0


def test_values_elsewhere_are_those_of_the_function():
    x, y = np.linspace(-1, 1, 5), np.linspace(0, 3, 7)
    expected = np.exp(x)[:, None] * np.cos(y) ** 2
    np.testing.assert_allclose(field((4, 6)).on((x, y)).reshape(5, 7), expected, atol=1e-7)


def test_unknowns_become_values_at_both_ends_of_a_periodic_axis():
    mesh = Mesh.build(((0.0, 1.0),), "periodic", (3,), 4)
    found = DensityField.of_unknowns(mesh, np.arange(float(len(mesh.mass))))
    assert found.values[0] == found.values[-1] == 0.0
    assert len(found.values) == len(mesh.mass) + 1

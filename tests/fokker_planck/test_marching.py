"""Integration of a constant generator with dense output, and evaluation of grid functions between nodes."""

import numpy as np
import pytest
import scipy.linalg

from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.marching import UnresolvedError, march
from controlsde.fokker_planck.stencils import Stencil

MESH = Mesh.build(((-3.0, 3.0),), "reflecting", (12,), 6)
MATRIX = Operator.build(MESH, 0.5).matrix(-(MESH.points**3))
INITIAL = MESH.unit_mass(np.exp(-2 * (MESH.points[:, 0] - 0.4) ** 2))


def worst(marched, times):
    dense = MATRIX.toarray()
    gaps = [marched.at(t) - scipy.linalg.expm(t * dense) @ INITIAL for t in times]
    return max(float(np.sqrt(gap**2 @ MESH.mass)) for gap in gaps)


@pytest.mark.parametrize("tolerance", [1e-6, 1e-9, 1e-12])
def test_the_solution_at_any_time_is_the_matrix_exponential_to_the_tolerance(tolerance):
    marched = march(MATRIX, INITIAL, 1.7, tolerance, MESH.mass)
    assert worst(marched, np.linspace(0, 1.7, 24)) <= 20 * tolerance * marched.pairs**0.5


def test_steps_grow_with_the_sixth_root_of_the_tolerance():
    counts = [march(MATRIX, INITIAL, 1.7, tolerance, MESH.mass).pairs for tolerance in (1e-6, 1e-9, 1e-12)]
    assert counts[0] < counts[1] < counts[2]
    assert counts[2] / counts[0] == pytest.approx(10.0, rel=0.5)  # 1e6^(1/6); lengths are powers of two


def test_between_the_nodes_the_error_is_no_larger_than_at_them():
    marched = march(MATRIX, INITIAL, 1.7, 1e-11, MESH.mass)
    between = 0.5 * (marched.times[1:] + marched.times[:-1])
    assert worst(marched, between[::5]) <= 3 * worst(marched, marched.times[::5])


def test_mass_is_kept_between_the_nodes_too():
    marched = march(MATRIX, INITIAL, 1.7, 1e-8, MESH.mass)
    for t in np.linspace(0, 1.7, 13):
        assert marched.at(t) @ MESH.mass == pytest.approx(1.0, abs=1e-12)


def test_what_no_step_resolves_is_refused():
    with pytest.raises(UnresolvedError, match="too long"):
        march(MATRIX, INITIAL, 1.7, 1e-30, MESH.mass)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_stencils_are_exact_for_polynomials_of_the_degree(dimension, monkeypatch):
    monkeypatch.setattr("controlsde.fokker_planck.stencils.CHUNK", 2000)  # several chunks
    box = ((-1.0, 1.5), (0.0, 2.0), (-0.5, 0.5))[:dimension]
    mesh = Mesh.build(box, "reflecting", (3, 2, 4)[:dimension], 5)
    powers = (5, 4, 3)[:dimension]
    rng = np.random.default_rng(0)
    low, high = np.array(box).T
    x = np.concatenate([rng.uniform(low, high, (40, dimension)), [low], [high], mesh.points[[7]]])

    def function(y):
        return np.prod([y[:, i] ** p + 0.3 for i, p in enumerate(powers)], axis=0)

    value, gradient = Stencil.build(mesh, x).value_and_gradient(function(mesh.points))
    np.testing.assert_allclose(value, function(x), atol=1e-12)
    for i, p in enumerate(powers):
        slope = function(x) / (x[:, i] ** p + 0.3) * p * x[:, i] ** (p - 1)
        np.testing.assert_allclose(gradient[:, i], slope, atol=1e-11)

"""The step that is solved by iteration in three dimensions, and as a band on a line: the same numbers as by factors."""

import numpy as np
import pytest

from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.diffusion_modes import DiffusionModes
from controlsde.fokker_planck.evolution import _by_factors, _by_iteration, evolve
from controlsde.fokker_planck.radau import radau
from controlsde.foundation import sparse


@pytest.mark.parametrize("walls", ["reflecting", "periodic", "absorbing"])
def test_modes_make_the_diffusion_diagonal(walls):
    mesh = Mesh.build(((-1.0, 2.0), (0.0, 1.0), (-3.0, 0.0)), walls, (1, 2, 1), 4)
    operator = Operator.build(mesh, 1.0)
    modes = DiffusionModes.of(mesh)
    values = np.random.default_rng(0).standard_normal((2, operator.size))
    np.testing.assert_allclose(modes.back(modes.of_values(values)), values, atol=1e-12)
    moved = values @ operator.diffusion.T
    np.testing.assert_allclose(
        modes.back(modes.rates * modes.of_values(values)), moved, atol=1e-9 * np.abs(moved).max()
    )


@pytest.mark.parametrize("diffusivity", [0.0, 0.3, 5.0])
def test_iteration_and_factors_solve_the_same_stage_equations(diffusivity):
    mesh = Mesh.build(((-1.0, 2.0), (0.0, 1.0), (-3.0, 0.0)), "reflecting", (1, 2, 1), 4)
    operator = Operator.build(mesh, diffusivity)
    rng = np.random.default_rng(1)
    inverse = radau(3).inverse
    matrices = [operator.matrix(operator.rectify(rng.standard_normal(operator.drift_points.shape))) for _ in range(3)]
    right, guess = rng.standard_normal((3, operator.size)), rng.standard_normal(operator.size)
    expected = _by_factors(inverse)(matrices, 0.1)(right, guess)
    found = _by_iteration(operator, inverse)(matrices, 0.1)(right, guess)
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("walls", ["reflecting", "absorbing", "periodic"])
@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("diffusivity", [0.0, 0.3])
def test_a_band_and_sparse_factors_solve_the_same_stage_equations(monkeypatch, walls, stages, diffusivity):
    operator = Operator.build(Mesh.build(((-1.0, 2.0),), walls, (7,), 5), diffusivity)
    rng = np.random.default_rng(2)
    inverse = radau(stages).inverse
    points = operator.drift_points
    matrices = [operator.matrix(operator.rectify(9 * rng.standard_normal(points.shape))) for _ in range(stages)]
    right, guess = rng.standard_normal((stages, operator.size)), rng.standard_normal(operator.size)
    found = _by_factors(inverse)(matrices, 0.1)(right, guess)
    for stage in range(stages):  # Σ_j (a⁻¹)_ij Y_j − h A_i Y_i = right_i
        residual = inverse[stage] @ found - 0.1 * (matrices[stage] @ found[stage]) - right[stage]
        assert np.abs(residual).max() < 1e-10 * np.abs(found).max()
    monkeypatch.setattr(sparse, "NARROW", 0)
    expected = _by_factors(inverse)(matrices, 0.1)(right, guess)
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("box", [((-1.0, 2.0),), ((-1.0, 2.0), (0.0, 1.0)), ((-1.0, 2.0), (0.0, 1.0), (0.0, 1.0))])
def test_steps_of_one_length_may_share_their_factors(box):
    operator = Operator.build(Mesh.build(box, "reflecting", (2,) * len(box), 4), 0.4)
    drift = np.sin(3 * operator.drift_points)
    start = operator.mesh.unit_mass(np.exp(-((operator.mesh.points - 0.3) ** 2).sum(axis=1)))
    edges = np.array([0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.7])  # of three lengths, one of them broken off and come back to
    expected = evolve(operator, lambda _: drift, start, edges)
    assert np.abs(expected[-1, -1] - start).max() > 0.05
    found = evolve(operator, lambda _: drift, start, edges, steady=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)

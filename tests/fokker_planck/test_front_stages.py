"""Compiled fronts against factors with pivots: solves, what is measured of them, and what happens where they fail."""

import numpy as np
import pytest
import torch

from controlsde.compiled import library
from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.radau import radau
from controlsde.fokker_planck.sweeps import Sweeps

from .cases import CASES, operator_of

PIECES, STEPS = 3, 2

pytestmark = pytest.mark.skipif(library.library() is None, reason="the compiled loops are not installed")


def setting(case, stages=3, strength=3.0):
    """Sweeps, and drifts of all pieces."""
    operator = operator_of(case)
    rng = np.random.default_rng(3)
    x = operator.drift_points
    drift = strength * np.sin(2 * np.einsum("kd,Kde->Kke", x, rng.normal(size=(PIECES, x.shape[1], x.shape[1]))) + 1.0)
    sweeps = Sweeps(operator, np.array([0.1, 0.2, 0.15]), STEPS, stages)
    return sweeps, torch.from_numpy(operator.rectify(drift))


def solvers(sweeps, drift):
    """By compiled fronts, and by factors with pivots."""
    steps = sweeps.step_lengths
    return sweeps._solver(drift, steps), sweeps._interpreted(drift, steps, sweeps._by_superlu)


def random(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


@pytest.mark.parametrize("stages", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_every_solve_is_that_with_pivots(case, stages):
    sweeps, drift = setting(case, stages)
    fronts, pivoted = solvers(sweeps, drift)
    rng = np.random.default_rng(4)
    size = sweeps.operator.size

    def same(ours, theirs):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-12 * float(theirs.abs().max()))

    initial, cotangent = random(rng, size), random(rng, PIECES, STEPS, stages, size)
    same(fronts.sweep_forward(initial, STEPS), pivoted.sweep_forward(initial, STEPS))
    for ours, theirs in zip(fronts.sweep_back(cotangent), pivoted.sweep_back(cotangent), strict=True):
        same(ours, theirs)
    for columns in (1, 8, 13, 24):
        density, right = random(rng, size, columns), random(rng, PIECES, stages, size, columns)
        same(fronts.advance(1, density), pivoted.advance(1, density))
        same(fronts.solve(right), pivoted.solve(right))
    assert fronts._accurate  # it was not the other one that answered


@pytest.mark.parametrize("case", CASES)
def test_the_transport_of_a_derivative_is_that_of_the_matrices(case):
    sweeps, _ = setting(case)
    operator = sweeps.operator
    rng = np.random.default_rng(5)
    slope = rng.normal(size=(operator.sampling.shape[1], 10))
    density, multiplier = rng.normal(size=(2, operator.size, 3))
    moved, pulled = sweeps.transport(*(torch.from_numpy(each) for each in (slope, density, multiplier)))
    shape = operator.drift_points.shape
    for weight, column in ((0, 0), (9, 2)):
        matrix = operator.matrix(slope[:, weight].reshape(shape), 0.0)
        np.testing.assert_allclose(moved[:, column, weight], matrix @ density[:, column], atol=1e-10)
        np.testing.assert_allclose(pulled[:, column, weight], matrix.T @ multiplier[:, column], atol=1e-10)


@pytest.mark.parametrize("stages", [1, 3])
def test_a_pivot_that_vanishes_is_seen_and_factors_with_pivots_take_over(stages):
    """A drift so strong that the first pivot is zero to rounding: no error, and the right numbers."""
    sweeps, _ = setting("2-D noise-free", stages)
    operator = sweeps.operator
    first = sweeps._condensation[1].order[0]
    towards = operator.rectify(-operator.drift_points)
    of_one = float(sweeps.step_lengths[0]) * operator.matrix(towards)[first, first]
    shift = radau(stages).eigenvalues[0].real
    drift = torch.from_numpy(np.stack([shift / of_one * towards] * PIECES))
    fronts, pivoted = solvers(sweeps, drift)
    initial = random(np.random.default_rng(6), operator.size)
    np.testing.assert_array_equal(fronts.sweep_forward(initial, STEPS), pivoted.sweep_forward(initial, STEPS))
    assert not fronts._accurate
    columns = random(np.random.default_rng(7), operator.size, 3)
    np.testing.assert_array_equal(fronts.advance(0, columns), pivoted.advance(0, columns))


@pytest.mark.parametrize("what", ["forward", "back", "columns"])
def test_factors_that_are_wrong_in_one_number_are_seen(what):
    sweeps, drift = setting("2-D reflecting")
    fronts, _ = solvers(sweeps, drift)
    fronts._held[PIECES * len(sweeps._condensation[0].layout.keys) + 7] += 1e-6  # of the first factors
    rng = np.random.default_rng(8)
    if what == "forward":
        fronts.sweep_forward(random(rng, sweeps.operator.size), STEPS)
    elif what == "back":
        fronts.sweep_back(random(rng, PIECES, STEPS, 3, sweeps.operator.size))
    else:
        fronts.advance(0, random(rng, sweeps.operator.size, 5))
    assert not fronts._accurate


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("stages", [1, 3])
@pytest.mark.parametrize(("dimension", "elements"), [(1, 8), (2, 3), (2, 11)])
def test_where_one_interior_has_no_inverse_the_answer_is_that_of_the_whole_matrix(
    dimension, elements, stages, compiled
):
    """A well-conditioned step of which λ − hA vanishes on one interior: pivots within a front are not enough."""
    mesh = Mesh.build(((-1.0, 1.0),) * dimension, "reflecting", (elements,) * dimension, 2)
    operator = Operator.build(mesh, 0.1)
    step, scheme, towards = 0.5, radau(stages), -operator.drift_points
    sweeps = Sweeps(operator, [step], 1, stages, compiled=compiled)
    first = sweeps._condensation[1].order[0]
    still, moved = (operator.matrix(drift)[first, first] for drift in (np.zeros_like(towards), towards))
    drift = (scheme.eigenvalues[0].real / step - still) / (moved - still) * towards
    whole = np.eye(stages * operator.size) - step * np.kron(scheme.a, operator.matrix(drift).toarray())
    exact = np.linalg.solve(whole, np.ones(len(whole)))
    found = sweeps.forward(torch.from_numpy(drift[None]), torch.ones(operator.size)).stages.numpy().ravel()
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-11 * np.abs(exact).max())


def test_columns_that_cancel_are_no_error_and_hide_none():
    sweeps, drift = setting("2-D reflecting")
    fronts, _ = solvers(sweeps, drift)
    one = random(np.random.default_rng(9), sweeps.operator.size, 1)
    columns = torch.cat([one, -one], dim=1)
    fronts.advance(0, columns)
    assert fronts._accurate
    fronts._held[PIECES * len(sweeps._condensation[0].layout.keys) + 7] += 1e-3
    fronts.advance(0, columns)
    assert not fronts._accurate


def test_arrays_of_another_shape_are_refused_before_they_are_read():
    sweeps, drift = setting("2-D reflecting")
    fronts, _ = solvers(sweeps, drift)
    size = sweeps.operator.size
    empty = torch.zeros
    for call in (
        lambda: fronts.advance(0, empty(size - 1, 8)),
        lambda: fronts.solve(empty(PIECES, 2, size, 8)),
        lambda: fronts.solve(empty(PIECES - 1, 3, size, 8)),
        lambda: fronts.sweep_forward(empty(size + 1), STEPS),
        lambda: fronts.sweep_back(empty(PIECES, STEPS, 3, size - 1)),
        lambda: sweeps.transport(empty(3, 10), empty(size, 2), empty(size, 2)),
    ):
        with pytest.raises(ValueError, match="was expected"):
            call()
    with pytest.raises(IndexError, match="there are 3 pieces"):
        fronts.advance(PIECES, empty(size, 8))

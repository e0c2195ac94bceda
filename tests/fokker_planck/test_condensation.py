"""Static condensation and nested dissection: exact solves, fronts that do not touch, and how the cost grows."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from controlsde.fokker_planck import Mesh, Operator
from controlsde.fokker_planck.assembly import Assembly, Entries
from controlsde.fokker_planck.condensation import CondensedFactors, Plan
from controlsde.fokker_planck.dissection import dissect
from controlsde.fokker_planck.radau import radau, simplify

from .cases import CASES, operator_of


def drift_at(operator, rng):
    x = operator.drift_points
    waves = [np.sin(2 * x @ rng.normal(size=x.shape[1]) + rng.normal()) for _ in range(x.shape[1])]
    return operator.rectify(3.0 * np.stack(waves, axis=1))


@pytest.mark.parametrize("case", CASES)
def test_solves_equal_those_with_the_whole_matrix(case):
    operator = operator_of(case)
    rng = np.random.default_rng(3)
    drift, step = drift_at(operator, rng), 0.1
    entries = Entries.of(operator)
    plan = Plan(dissect(operator.mesh, entries.pattern), entries.rows, entries.columns)
    assembly = Assembly(operator, entries, torch.device("cpu"))
    lengths, diffusivities = (torch.tensor([x], dtype=torch.float64) for x in (step, operator.diffusivity))
    shifted = assembly.shifted(3, torch.from_numpy(drift[None]), lengths, diffusivities)
    right = rng.normal(size=(operator.size, 3))
    for value, matrix in zip(radau(3).eigenvalues, shifted, strict=True):
        whole = simplify(value) * np.eye(operator.size) - step * operator.matrix(drift).toarray()
        factors = CondensedFactors(plan, matrix[0].numpy())
        np.testing.assert_allclose(factors.solve(right, "N"), np.linalg.solve(whole, right), atol=1e-11)
        np.testing.assert_allclose(factors.solve(right, "T"), np.linalg.solve(whole.T, right), atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_every_unknown_is_eliminated_once_and_groups_do_not_touch(case):
    operator = operator_of(case)
    pattern = Entries.of(operator).pattern
    dissection = dissect(operator.mesh, pattern)
    assert sorted(dissection.order) == list(range(operator.size))
    coupled = pattern[dissection.order][:, dissection.order].toarray() != 0
    coupled |= coupled.T
    for front in (*dissection.leaves, *dissection.fronts):
        for own, boundary in zip(front.own, front.boundary, strict=True):
            near = coupled[own].any(axis=0)
            near[own] = False
            later = np.flatnonzero(near & (np.arange(operator.size) >= front.start))
            np.testing.assert_array_equal(later, np.sort(boundary))  # nothing beside it, nothing forgotten
            assert (boundary >= front.stop).all()
            coupled[np.ix_(boundary, boundary)] = True  # what elimination fills in


def test_the_arrays_grow_far_slower_than_a_dense_matrix():
    """Numbers held for E × E elements of degree p: E²p⁴ + E(Ep)², up to a factor; a dense matrix has E⁴p⁴."""
    held = []
    for elements in (4, 8):
        mesh = Mesh.build(((0.0, 1.0),) * 2, "reflecting", (elements,) * 2, 6)
        dissection = dissect(mesh, Entries.of(Operator.build(mesh, 0.1)).pattern)
        fronts = (*dissection.leaves, *dissection.fronts)
        held.append(sum(front.groups * front.size * (front.size + 2 * front.boundary.shape[1]) for front in fronts))
    assert np.log2(held[1] / held[0]) < 3.0
    assert held[1] < 0.1 * len(dissection.order) ** 2


def test_the_pattern_holds_every_entry_for_any_drift():
    for case in CASES:
        operator = operator_of(case)
        entries = Entries.of(operator)
        matrix = sp.coo_array(operator.matrix(drift_at(operator, np.random.default_rng(5))))
        keys = matrix.row.astype(np.int64) * operator.size + matrix.col
        assert np.isin(keys[matrix.data != 0], entries.keys).all()

"""Matrices of one pattern, and narrow bands by LAPACK, against dense algebra."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from controlsde.foundation import sparse
from controlsde.foundation.sparse import band_solver, rows_of, with_entries


def band(size, below, above, seed=0):
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(np.tri(size, k=above) - np.tri(size, k=-below - 1))
    return rows, columns, rng.standard_normal(len(rows))


@pytest.mark.parametrize(
    ("size", "below", "above"), [(1, 0, 0), (7, 0, 0), (30, 3, 3), (30, 5, 1), (30, 0, 4), (9, 8, 8)]
)
def test_a_band_is_solved_as_the_dense_matrix(size, below, above):
    rows, columns, entries = band(size, below, above)  # its diagonal is small: rows must be exchanged
    matrix = sp.coo_array((entries, (rows, columns)), shape=(size, size)).toarray()
    right = np.arange(1.0, size + 1)
    expected = np.linalg.solve(matrix, right)
    found = band_solver(rows, columns, entries, size)(right)
    assert_allclose(found, expected, atol=1e-11 * np.linalg.cond(matrix) * np.abs(expected).max())


def test_entries_of_one_place_are_added():
    rows, columns, entries = band(20, 2, 2)
    twice = [np.concatenate([each, each]) for each in (rows, columns)]
    right = np.ones(20)
    half = band_solver(*twice, np.concatenate([entries, entries]), 20)(right)
    assert_allclose(2 * half, band_solver(rows, columns, entries, 20)(right), rtol=1e-9)


def test_a_wide_band_and_a_vanished_pivot_are_left_to_others():
    rows, columns, entries = band(100, sparse.NARROW, 0)
    assert band_solver(rows, columns, entries, 100) is not None
    rows, columns, entries = band(100, sparse.NARROW + 1, 0)
    assert band_solver(rows, columns, entries, 100) is None
    assert band_solver(np.array([0, 1]), np.array([0, 1]), np.array([1.0, 0.0]), 2) is None


def test_other_entries_leave_the_first_ones_alone():
    matrix = sp.random_array((12, 12), density=0.3, format="csr", rng=np.random.default_rng(3))
    before = matrix.toarray()
    doubled = with_entries(matrix, 2.0 * matrix.data)
    assert_allclose(doubled.toarray(), 2 * before)
    assert_allclose(matrix.toarray(), before)
    assert_allclose(rows_of(matrix), matrix.tocoo().row)

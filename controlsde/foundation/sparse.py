"""Sparse matrices that come again and again with one pattern: other entries in it, and narrow bands factored by LAPACK.

SciPy checks a pattern whenever a matrix is made, and its sparse factors find an ordering for each; where a matrix is
small, both take longer than the arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import lapack

Array = NDArray[np.float64]
Indices = NDArray[np.integer]

NARROW = 64  # diagonals on one side of the main one


def with_entries(matrix: sp.csr_array, entries: Array) -> sp.csr_array:
    """A matrix of the same pattern, which both share, with other entries (nnz,)."""
    other: sp.csr_array = copy.copy(matrix)
    other.data = entries
    return other


def rows_of(matrix: sp.csr_array) -> Indices:
    """The row of every entry (nnz,)."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def band_solver(rows: Indices, columns: Indices, entries: Array, size: int) -> Callable[[Array], Array] | None:
    """b (n,) → A⁻¹b by LAPACK's LU with row exchanges, for A of order n = `size`; entries of one place are added.

    None where the band is wide, or where a pivot is zero.
    """
    below = rows - columns
    width = int(max(below.max(), -below.min(), 0))
    if width > NARROW:
        return None
    # entry (i, j) is in row 2·width + i − j of LAPACK's layout: above it is room for what the exchanges fill in
    height = 3 * width + 1
    place = columns * height + (2 * width + below)
    band = np.bincount(place, entries, minlength=height * size).reshape((height, size), order="F")
    factors, pivots, failed = lapack.dgbtrf(band, width, width, overwrite_ab=True)
    if failed:
        return None
    return lambda right: np.asarray(lapack.dgbtrs(factors, width, width, right, pivots)[0])

"""λI − h_k A(v_k) for the drifts of all pieces at once: arrays with entries linear in the drift and the diffusivity.

Comes in: an operator, and how a matrix is stored: dense, in a band, or only the entries that can differ from zero.
Goes out: tensors (K, …), one for each eigenvalue λ of the Radau scheme, on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from controlsde.fokker_planck.operator import Operator, entries_linear_in_drift
from controlsde.fokker_planck.radau import radau, simplify
from controlsde.fokker_planck.stage_solvers import refuse_non_finite

Indices = NDArray[np.int64]

BAND_SHARE = 0.5  # of a dense matrix: a band that needs more than this share of its storage is no gain


@dataclass(frozen=True)
class MatrixLayout:
    """How an n × n matrix is stored: all of it by rows, or only the diagonals |i − j| ≤ band, as LAPACK wants them.

    LAPACK's band storage is a column-major array (3·band + 1, n) with entry (i, j) in row 2·band + i − j of column j,
    the first `band` rows left free for the factors; here it is its transpose, (n, 3·band + 1).
    """

    size: int
    band: int | None = None

    @staticmethod
    def banded(operator: Operator) -> MatrixLayout | None:
        """The band that holds A(v) for every v; None where it is no gain over a dense matrix."""
        pattern = _pattern(operator).tocoo()
        band = int(np.abs(pattern.row - pattern.col).max(initial=0))
        return MatrixLayout(operator.size, band) if 3 * band + 1 <= BAND_SHARE * operator.size else None

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the array that holds one matrix."""
        return self.size, self.size if self.band is None else 3 * self.band + 1

    def position(self, i: Indices, j: Indices) -> Indices:
        """Where entries (i, j) stand in the flattened array."""
        if self.band is None:
            return i * self.size + j
        return j * (3 * self.band + 1) + 2 * self.band + i - j


@dataclass(frozen=True, eq=False)
class Entries:
    """Only the entries (rows, columns) that can differ from zero, for any v, are stored: (nnz,)."""

    size: int
    keys: Indices  # i · size + j, increasing

    @staticmethod
    def of(operator: Operator) -> Entries:
        """The entries of λI − hA(v) that can differ from zero; the whole diagonal is among them."""
        pattern = _pattern(operator) + sp.eye_array(operator.size)
        entries = pattern.tocoo()
        return Entries(operator.size, np.sort(entries.row.astype(np.int64) * operator.size + entries.col))

    @property
    def shape(self) -> tuple[int]:
        """The shape of the array that holds one matrix."""
        return (len(self.keys),)

    @property
    def rows(self) -> Indices:
        """Row of each entry."""
        return self.keys // self.size

    @property
    def columns(self) -> Indices:
        """Column of each entry."""
        return self.keys % self.size

    @property
    def pattern(self) -> sp.csr_array:
        """Ones where an entry is stored, (size, size)."""
        ones = np.ones(len(self.keys))
        return sp.coo_array((ones, (self.rows, self.columns)), shape=(self.size, self.size)).tocsr()

    def position(self, i: Indices, j: Indices) -> Indices:
        """Where entries (i, j) stand."""
        return np.searchsorted(self.keys, i * self.size + j)


Stored = TypeVar("Stored", MatrixLayout, Entries)


class Assembly(Generic[Stored]):
    """λI − h_k A(v_k) of every piece in one layout, on one device."""

    def __init__(self, operator: Operator, layout: Stored, device: torch.device) -> None:
        self.layout: Stored = layout
        entries = math.prod(layout.shape)
        rows, columns, inputs, values = entries_linear_in_drift(operator)
        linear = sp.coo_array(
            (values, (layout.position(rows, columns), inputs)), shape=(entries, operator.sampling.shape[1])
        )
        self.linear = linear.tocsr()  # the entries of A(v) without diffusion, as sums over the values of v
        self._linear = _on_device(self.linear, device)
        laplacian = operator.diffusion.tocoo()
        diffusion = np.zeros(entries)
        diffusion[layout.position(laplacian.row.astype(np.int64), laplacian.col.astype(np.int64))] = laplacian.data
        diagonal = np.zeros(entries)
        every = np.arange(layout.size)
        diagonal[layout.position(every, every)] = 1.0
        self.diffusion = diffusion  # its entries
        self._diffusion = torch.from_numpy(diffusion.reshape(layout.shape)).to(device)
        self._identity = torch.from_numpy(diagonal.reshape(layout.shape)).to(device)

    def shifted(self, stages: int, drift: Tensor, steps: Tensor, diffusivity: Tensor) -> list[Tensor]:
        """λ_l I − h_k A_k for drift (K, k, d), steps h and diffusivities D (K,): (K, *layout.shape) each, real as λ_l.

        Raises NonFiniteError for a drift that is not finite.
        """
        refuse_non_finite(drift)
        transported = torch.sparse.mm(self._linear, drift.flatten(1).T.contiguous())  # (entries, K)
        each = (-1, *(1 for _ in self.layout.shape))
        generators = torch.addcmul(
            transported.T.reshape(-1, *self.layout.shape), diffusivity.reshape(each), self._diffusion
        )
        scaled = generators.mul_(-steps.reshape(each))
        return [torch.add(scaled, self._identity * simplify(value)) for value in radau(stages).eigenvalues]


def _on_device(matrix: sp.csr_array, device: torch.device) -> Tensor:
    entries = matrix.tocoo()
    places = torch.from_numpy(np.stack([entries.row.astype(np.int64), entries.col.astype(np.int64)]))
    made = torch.sparse_coo_tensor(places, torch.from_numpy(entries.data), entries.shape, check_invariants=False)
    return made.coalesce().to(device)


def _pattern(operator: Operator) -> sp.csr_array:
    """Not zero where A(v) can differ from zero for some v."""
    return sp.csr_array(abs(operator.combine) @ abs(operator.gather) + abs(operator.diffusion))

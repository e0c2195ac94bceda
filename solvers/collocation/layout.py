"""Where the variables of a collocation program lie, and how what each step knows of them is put together.

Comes in: a tracking problem, and how many variables a piece has beside its densities. Goes out: the layout; sparse
matrices of CasADi from the entries of all steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import casadi as ca
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.tracking.tracking_problem import TrackingProblem

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Sizes of the program, and where the variables that each step sees lie in x; build it with `of`.

    own: variables of a piece before its densities. stage_values: of a step, s·n. columns: (K·S, own + s·n + n), index
    in x of a piece's own, the stages of the step, and the density before it; −1 for the fixed initial density.
    """

    pieces: int
    steps: int
    own: int
    stage_values: int
    columns: Indices

    @classmethod
    def of(cls, tracking: TrackingProblem, own: int) -> Self:
        """The layout [own variables, Y_k1, …, Y_kS] of every piece."""
        pieces, steps, unknowns = tracking.grid.pieces, tracking.grid.steps_per_piece, tracking.operator.size
        stage_values = tracking.grid.stages * unknowns
        number = np.arange(pieces * steps)
        first = (number // steps) * (own + steps * stage_values)
        stages = np.add.outer(first + own + (number % steps) * stage_values, np.arange(stage_values))
        before = np.concatenate([np.full((1, unknowns), -1), stages[:-1, -unknowns:]])
        seen = [np.add.outer(first, np.arange(own)), stages, before]
        return cls(pieces, steps, own, stage_values, np.concatenate(seen, axis=1))

    @property
    def block(self) -> int:
        """Variables of a piece."""
        return self.own + self.steps * self.stage_values

    @property
    def variables(self) -> int:
        """Length of x."""
        return self.pieces * self.block

    @property
    def count(self) -> int:
        """Number of steps K·S."""
        return self.pieces * self.steps

    def seen(self, x: Any, initial: Array) -> tuple[Any, Any, Any]:
        """What each step sees, a column a step: a piece's own variables, the stages, and the density before it."""
        table = ca.reshape(x, self.block, self.pieces)
        own = ca.reshape(ca.repmat(table[: self.own, :], self.steps, 1), self.own, self.count)
        densities = ca.reshape(table[self.own :, :], self.stage_values, self.count)
        return own, densities, ca.horzcat(ca.DM(initial), densities[-len(initial) :, :-1])


def nonzeros(matrix: Any) -> Any:
    """The structural nonzeros as a dense column."""
    return ca.vertcat(*matrix.nonzeros())


def scattered(rows: Indices, columns: Indices, values: Any, shape: tuple[int, int]) -> Any:
    """The sparse MX of entries (rows, columns), those of one place summed; entries in column −1 are left out."""
    kept = np.flatnonzero(columns >= 0)
    places, position = np.unique(columns[kept] * shape[0] + rows[kept], return_inverse=True)
    summing = sp.csc_array((np.ones(len(kept)), (position, kept)), shape=(len(places), len(rows)))
    sparsity = ca.Sparsity.triplet(*shape, (places % shape[0]).tolist(), (places // shape[0]).tolist())
    return ca.MX(sparsity, sparse_to_casadi(summing) @ values)


def sparse_to_casadi(matrix: Any) -> Any:
    """A SciPy sparse matrix as a sparse casadi.DM."""
    columns = matrix.tocsc()
    columns.sort_indices()
    sparsity = ca.Sparsity(columns.shape[0], columns.shape[1], columns.indptr.tolist(), columns.indices.tolist())
    return ca.DM(sparsity, columns.data)

"""The state equation with a drift or a diffusivity that varies within a step: the same Radau scheme, one solve a step.

Comes in: an operator, a drift as a function of time, the initial density. Goes out: the stages of every step. For
drifts that are constant on pieces, `propagation` is faster and differentiable; this one serves given drifts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg
from numpy.typing import NDArray

from controlsde.fokker_planck.operator import Operator
from controlsde.fokker_planck.radau import radau

Array = NDArray[np.float64]


def evolve(
    operator: Operator,
    drift: Callable[[float], Array],
    initial: Array,
    step_edges: Sequence[float] | Array,
    stages: int = 3,
    source: Callable[[float], Array] | None = None,
    diffusivity: Callable[[float], float] | None = None,
) -> Array:
    """Stage densities (steps, s, n) from t = step_edges[0] to step_edges[-1].

    drift(t) → (k, d) at the operator's drift points, sampled at the stage times; source(t) → (n,), optional, and
    diffusivity(t) where it is not the operator's own at all times.

        Σ_j (a⁻¹)_ij (Y_j − ρ) − h A(v(t_i)) Y_i = h source(t_i)
    """
    scheme = radau(stages)
    edges = np.asarray(step_edges, dtype=float)
    size = operator.size
    identity = sp.eye_array(size)
    coupling = sp.kron(sp.csr_array(scheme.inverse), identity, format="csc")
    row_sums = scheme.inverse.sum(axis=1)
    result = np.empty((len(edges) - 1, stages, size))

    def matrix(t: float) -> sp.csr_array:
        return operator.matrix(operator.rectify(drift(t)), None if diffusivity is None else diffusivity(t))

    density = np.asarray(initial, dtype=float)
    for number, (start, length) in enumerate(zip(edges[:-1], np.diff(edges), strict=True)):
        times = start + scheme.c * length
        blocks = sp.block_diag([matrix(float(t)) for t in times], format="csc")
        right = np.outer(row_sums, density)
        if source is not None:
            right = right + length * np.stack([source(float(t)) for t in times])
        solved = sparse_linalg.splu(sp.csc_array(coupling - length * blocks)).solve(right.ravel())
        result[number] = solved.reshape(stages, size)
        density = result[number, -1]
    return result

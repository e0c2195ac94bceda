"""What a solve costs, in units that do not depend on the machine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import scipy.sparse as sp
import scipy.sparse.linalg as sparse_linalg


@dataclass(frozen=True)
class Costs:
    """What one solve costs, over what Python with its libraries needs.

    memory: bytes at the peak. fits: calibrations, see below, that go into fits of the exact drift. refused: why it may
    not run at all, with the cure.
    """

    memory: float
    fits: float = 0.0
    refused: tuple[str, ...] = ()


def calibration_seconds() -> float:
    """Seconds of processor time of a small sparse factorisation, the least of three: how fast this machine is, now.

    Those of this thread alone: the threads of a linear algebra library wait for more work for a while, and busily.
    """
    line = sp.diags_array([-1.0, 2.1, -1.0], offsets=[-1, 0, 1], shape=(60, 60))
    matrix = sp.csc_array(sp.kron(line, sp.eye_array(60)) + sp.kron(sp.eye_array(60), line))
    taken = []
    for _ in range(3):
        began = time.thread_time()
        sparse_linalg.splu(matrix)
        taken.append(time.thread_time() - began)
    return min(taken)

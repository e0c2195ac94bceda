"""Several processes at one simulation, as `torchrun` starts them: each takes its share of the cells, and sums add up.

The sums are integers, so that the result is the same to the bit for any number of processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Crew:
    """rank of size processes."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def share(self, first: int, end: int) -> range:
        """The numbers from first to end that this process works on: neighbours, about as many for everyone."""
        cut = [first + (end - first) * rank // self.size for rank in (self.rank, self.rank + 1)]
        return range(*cut)

    def added(self, vector: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sum of this vector over all processes, in every process."""
        if self.size == 1:
            return vector
        import torch
        from torch import distributed

        total = torch.from_numpy(vector.copy())
        distributed.all_reduce(total)
        return np.asarray(total.numpy())

    def agreed(self, mine: bool) -> bool:
        """Whether any process says yes."""
        return bool(self.added(np.array([int(mine)]))[0])


@contextmanager
def crew() -> Iterator[Crew]:
    """The processes that `torchrun` started together, or this one alone.

    They talk over gloo, and share the CUDA devices of a machine among them.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Crew()
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    distributed.init_process_group("gloo")
    try:
        yield Crew(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()

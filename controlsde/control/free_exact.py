"""The exact drift v*_η of a reference in free space as evaluation needs it, with its divergence in closed form.

∇·v*_η = (1 + η)D₀ Δ log p − ∇·f,        f affine in x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from controlsde.densities.laplacian import score_and_laplacian
from controlsde.enclosures import Interval
from controlsde.reference.free_space import FreeReference

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FreeExactDrift:
    """v*_η of a reference at one noise level, on pieces between edges (K+1,). A `Drift`."""

    reference: FreeReference
    noise: float
    edges: Array
    constant: bool = False

    def values(self, piece: int, t: float, x: Array) -> Array:  # noqa: ARG002 - it does not know of pieces
        """v at points (n, d): shape (n, d)."""
        return self.reference.exact_drift(t, x, self.noise)

    def divergence(self, piece: int, t: float, x: Array) -> Array:  # noqa: ARG002
        """∇·v at points (n, d): shape (n,)."""
        laplacian = score_and_laplacian(self.reference.mixture(t), x)[1]
        spread = (1.0 + self.noise) * self.reference.diffusivity.at(t)
        return np.asarray(spread * laplacian - divergence_of_force(self.reference, t))

    def torch_values(self, piece: int, t: float, x: Tensor) -> Tensor:
        """v at points (n, d), by way of NumPy."""
        import torch

        return torch.from_numpy(self.values(piece, t, x.detach().cpu().numpy().astype(float))).to(x)

    def enclosure(self, piece: int, boxes: Interval) -> None:  # noqa: ARG002
        """Nothing is known between points."""
        return


def divergence_of_force(reference: FreeReference, t: float) -> float:
    """∇·f of the forward process at the moment that it has p(t, ·): f is affine, its slope exact by one difference."""
    d = reference.dimension
    values = reference.forward_drift(t, np.vstack([np.zeros(d), np.eye(d)]))
    return float(np.trace(values[1:] - values[0]))

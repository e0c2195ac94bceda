"""What the verification is given and what it returns, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlsde.distances import BoxTransport
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.verification.between_nodes import Unseen
from controlsde.verification.certificate import Certificate
from controlsde.verification.promises import Promises

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrackingErrors:
    """Distances between the controlled density ρ and the reference p; None where not available.

    l2_sup, l2_rms, l2_initial, l2_final: ‖ρ − p‖_{L²} over time, its root mean square in time, and at both ends;
    tv, kl (KL(ρ‖p)), w1, w2, h-1 (Ḣ⁻¹): at t = T.
    """

    l2_sup: float
    l2_rms: float
    l2_final: float
    l2_initial: float
    tv_final: float | None = None
    kl_final: float | None = None
    w1_final: float | None = None
    w2_final: float | None = None
    h_1_final: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """As in the JSON of a result."""
        return {
            "l2_sup": self.l2_sup,
            "l2_rms": self.l2_rms,
            "l2_final": self.l2_final,
            "l2_initial": self.l2_initial,
            "tv_final": self.tv_final,
            "kl_final": self.kl_final,
            "w1_final": self.w1_final,
            "w2_final": self.w2_final,
            "h-1_final": self.h_1_final,
        }

    def l2_json(self) -> dict[str, float]:
        """The L² numbers alone."""
        return {name: getattr(self, name) for name in ("l2_sup", "l2_rms", "l2_final", "l2_initial")}


@dataclass(frozen=True, eq=False)
class Fields:
    """Densities over time on the refined mesh, and the error curves.

    density, reference: (time, *nodes) at `times`, in grid values of the mesh. curve_times, l2: the verified error
    curve; discrete_times, discrete_l2: as the solver's own mesh saw it.
    """

    mesh: Mesh
    times: Array
    density: Array
    reference: Array
    curve_times: Array
    l2: Array
    discrete_times: Array
    discrete_l2: Array

    @property
    def axes(self) -> tuple[Array, ...]:
        """Grid points, one array for each dimension."""
        return tuple(axis.grid for axis in self.mesh.axes)

    @property
    def degree(self) -> int:
        """Of the elements between the grid points."""
        return self.mesh.axes[0].degree

    @property
    def final(self) -> DensityField:
        """ρ(T)."""
        return DensityField(self.mesh, self.density[-1].ravel())

    @property
    def target(self) -> DensityField:
        """p(T)."""
        return DensityField(self.mesh, self.reference[-1].ravel())


@dataclass(frozen=True, eq=False)
class DiscreteRun:
    """What the solver's own discretisation saw: densities at the ends of the pieces, K of them, and its error curve."""

    mesh: Mesh
    ends: tuple[DensityField, ...]
    curve_times: Array
    curve: Array


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything that the verification found.

    transport: how W₂ came about where it is not exact, else None. unseen: where the drift does what the refined mesh
    does not see, and how much that may change; None for a drift without enclosures. forward_unseen: the same of a
    forward process that is given by formulas. time_error: by how much of ‖p(T)‖ shorter time steps moved the refined
    density.
    """

    tracking: TrackingErrors
    certificate: Certificate
    fields: Fields
    promises: Promises
    transport: BoxTransport | None = None
    unseen: Unseen | None = None
    forward_unseen: Unseen | None = None
    time_error: float = 0.0

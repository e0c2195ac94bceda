"""What the verification is given and what it returns, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from controlsde.distances import BoxTransport
from controlsde.fokker_planck.density_field import DensityField
from controlsde.fokker_planck.mesh import Mesh
from controlsde.foundation.stored_json import VALUE, Form, FormError, check, number, values
from controlsde.verification.between_nodes import Unseen
from controlsde.verification.certificate import Certificate
from controlsde.verification.energy import Energy
from controlsde.verification.promises import Promises

Array = NDArray[np.float64]

L2 = ("l2_sup", "l2_rms", "l2_final", "l2_initial")
OWN = ("tv", "kl", "w1", "w2", "h-1")  # distances at T that every result has


@dataclass(frozen=True)
class TrackingErrors:
    """Distances between the controlled density ρ and the reference p; None where not available.

    l2_sup, l2_rms, l2_initial, l2_final: ‖ρ − p‖_{L²} over time, its root mean square in time, and at both ends;
    tv, kl (KL(ρ‖p)), w1, w2, h-1 (Ḣ⁻¹): at t = T; others: what else the registry names, by its name there.
    """

    FORM: ClassVar[dict[str, Form]] = values(*L2, *(f"{name}_final" for name in OWN))

    l2_sup: float
    l2_rms: float
    l2_final: float
    l2_initial: float
    tv_final: float | None = None
    kl_final: float | None = None
    w1_final: float | None = None
    w2_final: float | None = None
    h_1_final: float | None = None
    others: Mapping[str, float | None] = field(default_factory=dict)

    @staticmethod
    def of(
        l2_sup: float, l2_rms: float, l2_final: float, l2_initial: float, final: Mapping[str, float | None]
    ) -> TrackingErrors:
        """The errors from the distances at T by their names in the registry."""
        own = {f"{name.replace('-', '_')}_final": value for name, value in final.items() if name in OWN}
        others = {name: value for name, value in final.items() if name not in OWN}
        return TrackingErrors(l2_sup, l2_rms, l2_final, l2_initial, **own, others=others)

    @staticmethod
    def from_json(stored: Mapping[str, float | None]) -> TrackingErrors:
        """What `to_json`, or `l2_json`, wrote; what was not finite is not a number. FormError for other names."""
        check(dict(stored), dict.fromkeys(stored, VALUE), "summary.tracking")
        if unknown := [name for name in stored if name not in L2 and not name.endswith("_final")]:
            raise FormError(f"holds a summary.tracking.{unknown[0]} that is no distance")
        l2 = {name: number(stored.get(name)) for name in L2}
        final = {name.removesuffix("_final"): value for name, value in stored.items() if name not in L2}
        return TrackingErrors.of(**l2, final=final)

    @property
    def final(self) -> dict[str, float | None]:
        """All distances at T but L², by their names."""
        return {**{name: getattr(self, f"{name.replace('-', '_')}_final") for name in OWN}, **self.others}

    def to_json(self) -> dict[str, float | None]:
        """The numbers as the JSON of a result holds them."""
        return {**self.l2_json(), **{f"{name}_final": value for name, value in self.final.items()}}

    def l2_json(self) -> dict[str, float]:
        """The L² numbers alone."""
        return {name: getattr(self, name) for name in L2}


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
        """The degree of the elements between the grid points."""
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
    energy: Energy
    transport: BoxTransport | None = None
    unseen: Unseen | None = None
    forward_unseen: Unseen | None = None
    time_error: float = 0.0

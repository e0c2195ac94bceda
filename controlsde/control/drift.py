"""A drift on [0, T] × box in the forms that evaluation needs, whoever made it: a network, formulas, the reference.

Comes in: controls, formulas or a reference. Goes out: values and divergence at points, for NumPy and for PyTorch,
by control piece, so that a drift which jumps between pieces is never asked for a value at a jump.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from controlsde.control.controls import Controls, ControlsError
from controlsde.control.network import Network
from controlsde.enclosures import Enclosure, Interval, enclose
from controlsde.problem import Formula, Problem
from controlsde.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float64]

TABLE = 8192  # points of a tabulated exact drift
TABLES = 8200  # times for which it is kept: both ends of 64 steps in each of 64 pieces, and of steps half as long
MOMENTS = 2**40  # of [0, T]: times that differ by less are one
STEP = 1e-4  # of the differences of an exact drift, as a share of the box
NODES = (-2, -1, 1, 2)  # their points, in steps


class Drift(Protocol):
    """v(t, x) on the pieces [edges_k, edges_{k+1})."""

    @property
    def edges(self) -> Array:
        """Times at which pieces begin and end, (K+1,)."""
        ...

    @property
    def constant(self) -> bool:
        """Whether v does not depend on t within a piece."""
        ...

    def values(self, piece: int, t: float, x: Array) -> Array:
        """v at points (n, d): shape (n, d)."""
        ...

    def divergence(self, piece: int, t: float, x: Array) -> Array:
        """∇·v at points (n, d): shape (n,)."""
        ...

    def torch_values(self, piece: int, t: float, x: Tensor) -> Tensor:
        """v at points (n, d), a tensor of the same kind."""
        ...

    def enclosure(self, piece: int, boxes: Interval) -> tuple[Enclosure, ...] | None:
        """What each component of v can be on boxes (d + 1, n) of space and, last, time; None where nothing is known.

        Values (n,) and slopes (d + 1, n).
        """
        ...


@dataclass(frozen=True, eq=False)
class NetworkDrift:
    """The network with piecewise-constant weights."""

    network: Network
    controls: Controls
    constant: bool = True

    @property
    def edges(self) -> Array:
        """Times of the pieces, (K+1,)."""
        return self.controls.times

    def values(self, piece: int, t: float, x: Array) -> Array:  # noqa: ARG002 - constant in time
        """v at points (n, d): shape (n, d)."""
        return np.asarray(self.network.drift(x, *self.controls.piece(piece)))

    def divergence(self, piece: int, t: float, x: Array) -> Array:  # noqa: ARG002
        """∇·v at points (n, d): shape (n,)."""
        return self.network.divergence(x, *self.controls.piece(piece))

    def torch_values(self, piece: int, t: float, x: Tensor) -> Tensor:  # noqa: ARG002
        """v at points (n, d), a tensor of the same kind."""
        a, w, b = (x.new_tensor(part) for part in self.controls.piece(piece))
        value: Tensor = self.network.drift(x, a, w, b)
        return value

    def enclosure(self, piece: int, boxes: Interval) -> tuple[Enclosure, ...]:
        """What each component of v can be on boxes (d + 1, n): values (n,) and slopes (d + 1, n)."""
        found = self.network.enclosure(boxes[:-1], *self.controls.piece(piece))
        still = np.zeros((1, boxes.low.shape[1]))  # nothing changes in time
        return tuple(
            Enclosure(
                part.values,
                Interval(np.concatenate([part.slopes.low, still]), np.concatenate([part.slopes.high, still])),
            )
            for part in found
        )


@dataclass(frozen=True, eq=False)
class FormulaDrift:
    """One formula of x, y, z and t for each dimension."""

    formulas: tuple[Formula, ...]
    edges: Array

    @property
    def constant(self) -> bool:
        """Whether no formula names t."""
        return not any(formula.uses("t") for formula in self.formulas)

    def values(self, piece: int, t: float, x: Array) -> Array:  # noqa: ARG002
        """v at points (n, d): shape (n, d)."""
        names = _coordinates(x, t)
        return np.stack([np.broadcast_to(f.numpy(**names), len(x)) for f in self.formulas], axis=1)

    def divergence(self, piece: int, t: float, x: Array) -> Array:
        """∇·v at points (n, d) by automatic differentiation: shape (n,)."""
        import torch

        points = torch.from_numpy(np.ascontiguousarray(x)).requires_grad_()
        values = self.torch_values(piece, t, points)
        total = torch.zeros(len(x), dtype=torch.float64)
        for component in range(x.shape[1]):
            summed = values[:, component].sum()
            if summed.requires_grad:
                (gradient,) = torch.autograd.grad(summed, points, retain_graph=True)
                total = total + gradient[:, component]
        return np.asarray(total.detach().numpy())

    def torch_values(self, piece: int, t: float, x: Tensor) -> Tensor:  # noqa: ARG002
        """v at points (n, d), a tensor of the same kind."""
        import torch

        names = _coordinates(x, x.new_tensor(t))
        return torch.stack([torch.as_tensor(f.torch(**names)).expand(len(x)) for f in self.formulas], dim=1)

    def enclosure(self, piece: int, boxes: Interval) -> tuple[Enclosure, ...]:  # noqa: ARG002
        """What each component of v can be on boxes (d + 1, n): values (n,) and slopes (d + 1, n)."""
        return tuple(enclose(formula, boxes) for formula in self.formulas)


@dataclass(frozen=True, eq=False)
class ExactDrift:
    """v*_η = w + ηD₀ ∇log p of a reference, at one noise level."""

    reference: Reference
    noise: float
    edges: Array
    box: tuple[tuple[float, float], ...]
    constant: bool = False
    _tables: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def values(self, piece: int, t: float, x: Array) -> Array:  # noqa: ARG002
        """v at points (n, d): shape (n, d)."""
        return self.reference.exact_drift(t, x, self.noise)

    def divergence(self, piece: int, t: float, x: Array) -> Array:
        """∇·v at points (n, d) by differences on four points of each axis: shape (n,).

        Of fourth order inside. No point leaves the box, beyond which a reference means nothing: at a wall the four
        are moved inward, which leaves the third order.
        """
        total = np.zeros(len(x))
        for component, (low, high) in enumerate(self.box):
            step = STEP * (high - low)
            centre = x.copy()
            centre[:, component] = np.clip(x[:, component], low + 2 * step, high - 2 * step)
            offset = (x - centre)[:, component] / step
            for node, slope in zip(NODES, _slopes(offset), strict=True):
                around = centre.copy()
                around[:, component] = np.clip(around[:, component] + node * step, low, high)
                total += slope * self.values(piece, t, around)[:, component] / step
        return total

    def torch_values(self, piece: int, t: float, x: Tensor) -> Tensor:
        """v at points (n, d), by way of NumPy; on a line between walls interpolated between `TABLE` points."""
        import torch

        if x.shape[1] > 1 or not self.box:
            return torch.from_numpy(self.values(piece, t, x.detach().cpu().numpy().astype(float))).to(x)
        (low, high) = self.box[0]
        table = self._table(t).to(x)
        place = ((x[:, 0] - low) * ((TABLE - 1) / (high - low))).clamp(0, TABLE - 1)
        left = place.floor().clamp(max=TABLE - 2).long()
        return torch.lerp(table[left], table[left + 1], place - left)[:, None]

    def enclosure(self, piece: int, boxes: Interval) -> None:  # noqa: ARG002
        """Nothing is known between points: a reference is smooth where it is, and is checked by its own means."""
        return

    def _table(self, t: float) -> Tensor:
        """v at `TABLE` equally spaced points; the tables of the last times are kept, for particles come in chunks."""
        import torch

        key = round(t / float(self.edges[-1]) * MOMENTS)  # the end of a step is the beginning of the next
        found = self._tables.get(key)
        if found is None:
            points = np.linspace(*self.box[0], TABLE)[:, None]
            found = torch.from_numpy(self.values(0, t, points)[:, 0]).float()
            if len(self._tables) >= TABLES:
                self._tables.clear()
            self._tables[key] = found
        return found


def _slopes(offset: Array) -> Array:
    """Weights of the values at `NODES` in the slope of their cubic at offsets (n,), both in steps: (4, n)."""
    powers = np.stack([np.zeros_like(offset), np.ones_like(offset), 2 * offset, 3 * offset**2])
    return np.asarray(np.linalg.solve(np.vander(NODES, increasing=True).astype(float).T, powers))


def _coordinates(x: Any, t: Any) -> dict[str, Any]:
    """The variables of a formula by name: x, y, z and t."""
    return {**{"xyz"[component]: x[:, component] for component in range(x.shape[1])}, "t": t}


def given_drift(problem: Problem, reference: Reference, edges: Array) -> Drift | None:
    """The drift that a problem's own `drift:` key gives, or None."""
    if problem.drift is None:
        return None
    if problem.drift.kind == "exact":
        return ExactDrift(reference, problem.noise, edges, problem.domain.box)
    return FormulaDrift(problem.drift.compiled(), edges)


def network_drift(network: Network, controls: Controls, horizon: float) -> NetworkDrift:
    """The drift of controls that must fit the network and the horizon. Raises ControlsError where they do not."""
    if controls.dimension != network.dimension:
        raise ControlsError(
            f"the controls are for dimension {controls.dimension}, the problem has dimension {network.dimension}: "
            "give controls that were made for this problem"
        )
    if controls.width != network.width:
        raise ControlsError(
            f"the controls are for width {controls.width}, the problem has width {network.width}; "
            f"set network.width={controls.width}"
        )
    if abs(controls.times[0]) > 1e-9 or abs(controls.times[-1] - horizon) > 1e-9 * horizon:
        raise ControlsError(
            f"the controls cover [{controls.times[0]:g}, {controls.times[-1]:g}], the problem [0, {horizon:g}]; "
            f"set reference.horizon={controls.times[-1]:g}, or give controls that were made for this problem"
        )
    return NetworkDrift(network, controls)

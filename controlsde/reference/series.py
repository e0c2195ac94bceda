"""Forward marginals between walls as sums of decaying modes: exact in time, spectrally accurate in space.

    q(s, x) = Σ c_{j1…jd} e^{-(rate_j1 + … + rate_jd) s} ψ_j1(x_1) … ψ_jd(x_d)

The coefficients are either a full tensor, or, for sums of products, one matrix (components, modes) an axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from controlsde.densities import Density, GridSampler
from controlsde.densities.density import Array, Box
from controlsde.densities.formula_density import FormulaDensity
from controlsde.reference.bases import Basis
from controlsde.reference.places import AxisModes, Between, Places, at_points
from controlsde.reference.quotients import floored_score, ratio

NEGLIGIBLE = 1e-18  # modes that have decayed below this are left out
CHUNK = 4_000_000  # numbers in one table of modes
REMEMBERED = 1_000_000  # numbers in a table that is kept
KEPT = 6  # tables
ROUGH = 1e-6  # disagreement of two quadratures of a formula's mass
RESOLVED = 1e-10  # what "resolved" means: the share of the last modes

REPEATED = 8  # points of a grid share their coordinates: when each is there so often, modes are taken once
SCATTERED = 8192  # points in several dimensions, from which on sums of products are interpolated on each axis


class Coefficients(Protocol):
    """The numbers c, in whichever form."""

    def combine(self, modes: list[AxisModes], at: list[Places]) -> tuple[Array, Array]:
        """Σ c Π_i modes_i and its gradient: (n,) and (n, d); each axis may bring only its first modes.

        at: by axis, which of the places with modes each of the n points has.
        """
        ...

    def tail(self, axis: int) -> float:
        """The largest coefficient among the last tenth of an axis's modes, over the largest of all."""
        ...


@dataclass(frozen=True)
class TensorCoefficients:
    """c as a tensor (K_1, …, K_d)."""

    tensor: Array

    def combine(self, modes: list[AxisModes], at: list[Places]) -> tuple[Array, Array]:
        """Σ c Π_i modes_i at n points and its gradient: (n,) and (n, d)."""
        modes = [at_points(where, value, slope) for (value, slope), where in zip(modes, at, strict=True)]
        n = modes[0][0].shape[1]
        step = n if len(modes) < 3 else max(1, 4_000_000 // max(1, self.tensor[0].size))
        parts = [
            self._combine([(value[:, i : i + step], slope[:, i : i + step]) for value, slope in modes])
            for i in range(0, max(n, 1), max(step, 1))
        ]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _combine(self, modes: list[AxisModes]) -> tuple[Array, Array]:
        tensor = self.tensor[tuple(slice(value.shape[0]) for value, _ in modes)]
        value = _contract(tensor, [value for value, _ in modes])
        slopes = [
            _contract(tensor, [modes[k][1] if k == axis else modes[k][0] for k in range(len(modes))])
            for axis in range(len(modes))
        ]
        return value, np.stack(slopes, axis=1)

    def tail(self, axis: int) -> float:
        """The largest coefficient among the last tenth of an axis's modes, over the largest of all."""
        size = np.moveaxis(np.abs(self.tensor), axis, 0)
        return float(np.max(size[-max(1, len(size) // 10) :]) / np.max(size))


def _contract(tensor: Array, tables: list[Array]) -> Array:
    """Σ_{j1…jd} tensor_{j1…jd} tables_1[j1, n] … tables_d[jd, n], shape (n,)."""
    result = np.tensordot(tensor, tables[-1], axes=(tensor.ndim - 1, 0))
    for table in reversed(tables[:-1]):
        result = np.einsum("...jn,jn->...n", result, table)
    return np.asarray(result)


@dataclass(frozen=True)
class FactoredCoefficients:
    """c = Σ_k w_k Π_i c_ki: weights (components,), one matrix (components, K_i) an axis."""

    weights: Array
    matrices: tuple[Array, ...]

    def combine(self, modes: list[AxisModes], at: list[Places]) -> tuple[Array, Array]:
        """Σ_k w_k Π_i Σ_j c_kij modes_ij at n points and its gradient: (n,) and (n, d)."""
        pairs = [
            at_points(where, matrix[:, : value.shape[0]] @ value, matrix[:, : value.shape[0]] @ slope)
            for matrix, (value, slope), where in zip(self.matrices, modes, at, strict=True)
        ]
        total = self.weights @ math.prod(value for value, _ in pairs)
        slopes = [
            self.weights @ math.prod((slope if k == axis else value) for k, (value, slope) in enumerate(pairs))
            for axis in range(len(pairs))
        ]
        return total, np.stack(slopes, axis=1)

    def tail(self, axis: int) -> float:
        """The largest Σ_k w_k |c_ki| among the last tenth of an axis's modes, over the largest of all."""
        size = self.weights @ np.abs(self.matrices[axis])
        return float(np.max(size[-max(1, len(size) // 10) :]) / np.max(size))


@dataclass(frozen=True)
class _Tables:
    """Modes at the last few sets of points: references are asked for the same nodes at many times."""

    kept: dict[tuple[int, bytes], AxisModes] = field(default_factory=dict)

    def get(self, axis: int, x: Array, basis: Basis) -> AxisModes:
        """All modes and derivatives at x (n,), each (K, n)."""
        key = (axis, x.tobytes())
        if key not in self.kept:
            while len(self.kept) >= KEPT:
                self.kept.pop(next(iter(self.kept)))
            modes = self.kept[key] = basis.values(x, basis.rates.size)
            return modes
        return self.kept[key]


@dataclass(frozen=True)
class Series:
    """q(s, x), s ≥ origin, from bases, one an axis, and the coefficients of q(origin). At s = 0 the data.

    `resolved_from` is the time from which on the left-out modes are below 1e-10 of the largest.

    Scores are ∇q / max(q, 1e-10/volume): finite where q has no digits left, and small there. At s = 0 they are exact.
    """

    data: Density
    bases: tuple[Basis, ...]
    coefficients: Coefficients
    box: Box
    label: str
    origin: float = 0.0
    resolved_from: float = field(init=False)
    _tables: _Tables = field(init=False, repr=False, compare=False, default_factory=_Tables)
    _samplers: dict[float, GridSampler] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        times = [
            math.log(max(1.0, self.coefficients.tail(i) / RESOLVED)) / float(basis.rates[-1])
            for i, basis in enumerate(self.bases)
        ]
        object.__setattr__(self, "resolved_from", self.origin + max(times))

    @property
    def description(self) -> str:
        """How q is computed."""
        since = f" for s ≥ {self.resolved_from:.1e}" if self.resolved_from > self.origin else ""
        counts = " x ".join(str(basis.rates.size) for basis in self.bases)
        blur = self.data.normalisation_error if isinstance(self.data, FormulaDensity) else 0.0
        jumps = f"; the data are rough, and known to {blur:.0e} of their mass" if blur > ROUGH else ""
        return f"{self.label}, {counts} modes, resolved to {RESOLVED:.0e}{since}{jumps}"

    def density(self, s: float, x: Array) -> Array:
        """q(s, x) at points (n, d), shape (n,)."""
        return self.data.pdf(x) if s == 0.0 else self._evaluate(s, x)[0]

    def score(self, s: float, x: Array) -> Array:
        """∇q / max(q, floor) at points (n, d), shape (n, d)."""
        if s == 0.0:
            return ratio(self.data.grad(x), self.data.pdf(x)[:, None])
        return floored_score(*self._evaluate(s, x), self.box)

    def _evaluate(self, s: float, x: Array) -> tuple[Array, Array]:
        decays = [np.exp(-basis.rates * (s - self.origin)) for basis in self.bases]
        active = [max(1, int(np.searchsorted(-decay, -NEGLIGIBLE))) for decay in decays]
        step = max(1, CHUNK // sum(active))
        parts = []
        for i in range(0, max(len(x), 1), step):
            places = [self._places(axis, coordinates) for axis, coordinates in enumerate(x[i : i + step].T)]
            modes = [
                self._modes(axis, places[axis][0], decay[:count])
                for axis, (decay, count) in enumerate(zip(decays, active, strict=True))
            ]
            parts.append(self.coefficients.combine(modes, [at for _, at in places]))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _places(self, axis: int, coordinates: Array) -> tuple[Array, Places]:
        """Where on an axis modes are needed for points with these coordinates (n,), and the way from there to them."""
        if len(self.bases) == 1:
            return coordinates, slice(None)
        places, at = np.unique(coordinates, return_inverse=True)
        if REPEATED * places.size < coordinates.size:
            return places, at
        if coordinates.size < SCATTERED or not isinstance(self.coefficients, FactoredCoefficients):
            return coordinates, slice(None)
        return Between.on(*self.box[axis], coordinates)

    def _modes(self, axis: int, x: Array, decay: Array) -> AxisModes:
        """The first modes at x (n,), times their decay; all modes at a small set of points are remembered."""
        basis = self.bases[axis]
        if basis.rates.size * x.size > REMEMBERED:
            value, slope = basis.values(x, decay.size)
        else:
            value, slope = self._tables.get(axis, x, basis)
        return decay[:, None] * value[: decay.size], decay[:, None] * slope[: decay.size]

    def squared_norm(self, s: float) -> None:  # noqa: ARG002 - a sum of few modes holds nothing narrow
        """None: a sum of few modes holds nothing narrow."""
        return

    def sample(self, s: float, n: int, rng: np.random.Generator) -> Array:
        """Draw n independent points of q(s, ·), shape (n, d), from a fine grid (see `densities.sampling`)."""
        if s == 0.0:
            return self.data.sample(n, rng)
        if s not in self._samplers:
            self._samplers[s] = GridSampler.of(lambda x: self.density(s, x), self.box)
        return self._samplers[s].sample(n, rng)

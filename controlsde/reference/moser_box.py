"""Moser's reference on a box: p = (1 - g)p₀ + g p₁ with g = t/T, and the gradient flux that carries it.

    ∂ₜp = (p₁ - p₀)/T = -∇·(w p),   w = ∇φ/(T p)   ⇒   Δφ = p₀ - p₁,   n·∇φ = 0 on reflecting walls.

Fast diagonalisation: with modes ψ_k on the box, products of one mode an axis, for which -Δψ_k = rate_k ψ_k,

    φ = Σ_{k≠0} (c_k(p₁) - c_k(p₀)) / rate_k ψ_k,      c_k(p) = ∫ p ψ_k.

Between walls the modes are those of a Legendre–Galerkin method (Shen, SIAM J. Sci. Comput. 15, 1994), on a periodic
box the Fourier modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from controlsde.densities import Density
from controlsde.densities.density import Array, Box, as_points
from controlsde.densities.formula_density import graded_rule
from controlsde.fokker_planck.diffusivity import Diffusivity
from controlsde.foundation.surroundings import methods_in_own_arithmetic
from controlsde.reference.bases import Basis, FourierBasis, PolynomialCosineBasis
from controlsde.reference.moser import MAX_FIELD, MoserMixture
from controlsde.reference.projection import tensor_coefficients
from controlsde.reference.quotients import ratio
from controlsde.reference.reference import ReferenceError  # noqa: A004
from controlsde.reference.series import TensorCoefficients
from controlsde.reference.transport import Transported

SUBINTERVALS = {2: 48, 3: 10}  # an axis, of sixteen nodes each: enough for products of two modes
MODES = {2: (48, 96, 192), 3: (24, 48, 64)}  # per axis: the first number that resolves the flux, or the last
RESOLVED = 1e-6  # share of the last modes in the flux with which a number of modes is enough
ROUNDING = 1e-9  # of the flux
CHUNK = 4_000_000  # numbers in one product of modes
WATCHED = {2: 97, 3: 25}  # points an axis at which the field has to be bounded


@methods_in_own_arithmetic
@dataclass(frozen=True)
class BoxMoserReference(Transported):
    """Moser's reference on a box; `start` and `end` live on `box`, in two or three dimensions, and have mass one there.

    Raises ReferenceError when the mixed density all but vanishes where mass has to pass.
    """

    start: Density
    end: Density
    box: Box
    horizon: float
    diffusivity: Diffusivity
    periodic: bool

    def __post_init__(self) -> None:
        count = WATCHED[len(self.box)]
        axes = [low + (high - low) * (np.arange(count) + 0.5) / count for low, high in self.box]
        x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(self.box))
        flux = np.linalg.norm(self.flux(x), axis=1)
        flux[flux < ROUNDING * flux.max(initial=0.0)] = 0.0
        length = max(high - low for low, high in self.box)
        for g in (0.0, 0.5, 1.0):
            if np.any(flux > MAX_FIELD * length * self._mixed.density(g * self.horizon, x)):
                raise ReferenceError(
                    "the moser field is unbounded, because (1 - g)·from + g·to vanishes where mass must pass: "
                    "add a little of a broad density to `from` and to `to`",
                    ("reference", "from"),
                )

    @cached_property
    def _mixed(self) -> MoserMixture:
        return MoserMixture(self.start, self.end, self.horizon)

    @cached_property
    def _solved(self) -> tuple[tuple[Basis, ...], TensorCoefficients, float]:
        """Bases, the coefficients of φ, and the share of the last modes in its gradient."""
        rules = [graded_rule(*side, SUBINTERVALS[len(self.box)]) for side in self.box]
        for count in MODES[len(self.box)]:
            bases = tuple(_basis(side, count, self.periodic) for side in self.box)
            last, first = (tensor_coefficients(density.pdf, bases, rules) for density in (self.end, self.start))
            difference = last - first
            rates = np.zeros(difference.shape)
            for axis, basis in enumerate(bases):
                rates = rates + basis.rates.reshape([-1 if k == axis else 1 for k in range(len(bases))])
            rates.flat[0] = np.inf  # both masses are one
            slopes = TensorCoefficients(difference / np.sqrt(rates))
            share = max(slopes.tail(axis) for axis in range(len(bases))) if np.any(slopes.tensor) else 0.0
            if share <= RESOLVED:
                break
        return bases, TensorCoefficients(difference / rates), share

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return len(self.box)

    @property
    def description(self) -> str:
        """How p is computed."""
        bases, _, share = self._solved
        counts = " x ".join(str(basis.rates.size) for basis in bases)
        return (
            f"closed form: mixed densities; their flux by a Poisson equation in {counts} modes, resolved to {share:.0e}"
        )

    def flux(self, x: Array) -> Array:
        """T w p = ∇φ at points (n, d), shape (n, d)."""
        points = as_points(x, self.dimension)
        bases, coefficients, _ = self._solved
        step = max(1, CHUNK // coefficients.tensor[0].size)
        parts = [
            coefficients.combine(
                [basis.values(points[i : i + step, axis], basis.rates.size) for axis, basis in enumerate(bases)],
                [slice(None)] * self.dimension,
            )[1]
            for i in range(0, max(len(points), 1), step)
        ]
        return np.concatenate(parts)

    def density(self, t: float, x: Array) -> Array:
        """p(t, x) at points (n, d), shape (n,)."""
        return self._mixed.density(t, x)

    def score(self, t: float, x: Array) -> Array:
        """∇p / p at points (n, d), shape (n, d); 0 where p = 0."""
        return self._mixed.score(t, x)

    def field(self, t: float, x: Array) -> Array:
        """w = ∇φ/(T p) at points (n, d), shape (n, d); 0 where p = 0."""
        return ratio(self.flux(x) / self.horizon, self.density(t, x)[:, None])


def _basis(side: tuple[float, float], count: int, periodic: bool) -> Basis:
    return FourierBasis(*side, count, 1.0) if periodic else PolynomialCosineBasis(*side, count - 1)

"""Data in free space: the mixture that they are taken for, the rows that it was made of, and those held out.

Comes in: a density of the problem file. Goes out: `FreeData`, in the units in which the problem is solved; a point
times `scale` plus `shift` is in the units in which it was measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controlsde.densities.density import Array
from controlsde.densities.density_building import build_density
from controlsde.densities.free_mixture import FreeMixture, KernelMixture, free_mixture
from controlsde.densities.mixture_fitting import fit_gaussians
from controlsde.problem import schema
from controlsde.problem.preparing import FITTING, stream
from controlsde.registry import DENSITIES


@dataclass(frozen=True, eq=False)
class FreeData:
    """A density on R^d in closed form, and where it comes from.

    rows: the points that it was made of (N, d), None for a density by itself. held_out: points (n, d) that had no part
    in it. names: of the coordinates. shift, scale: (d,). bandwidth: of kernels. description: a few words.
    """

    mixture: FreeMixture
    rows: Array | None
    held_out: Array | None
    names: tuple[str, ...]
    shift: Array
    scale: Array
    bandwidth: float | None
    description: str

    @property
    def dimension(self) -> int:
        """The number of coordinates d."""
        return self.mixture.dimension

    def measured(self, points: Array) -> Array:
        """Points (n, d) in the units in which the data were measured."""
        return np.asarray(points * self.scale + self.shift)

    @property
    def log_scale(self) -> float:
        """log |det ∂measured/∂point|: what a log-density loses in the units of the data."""
        return float(np.log(self.scale).sum())


def build_free_data(spec: schema.DensitySpec) -> FreeData:
    """The data that `spec` describes. Raises ValueError, with the cure, where it has no closed form in free space."""
    data: FreeData = DENSITIES[spec.kind].build_free(spec)
    return data


def mixture(spec: schema.Mixture) -> FreeData:
    """Gaussians as they are given."""
    density = free_mixture(build_density(spec, ()))  # type: ignore[arg-type]
    d = density.dimension
    count = len(density.weights)
    words = f"{count} Gaussian{'s' * (count > 1)}"
    return FreeData(density, None, None, coordinates(d), np.zeros(d), np.ones(d), None, words)


def product(spec: schema.Product) -> FreeData:
    """Independent mixtures, as the mixture of all products of their components."""
    density = free_mixture(build_density(spec, ()))  # type: ignore[arg-type]
    d = density.dimension
    words = f"a product of {len(spec.factors) * spec.copies} mixtures, {len(density.weights)} Gaussians"
    return FreeData(density, None, None, coordinates(d), np.zeros(d), np.ones(d), None, words)


def samples(spec: schema.Samples) -> FreeData:
    """A kernel about each point."""
    table = spec.prepared
    count, width = len(table.rows), float(spec.bandwidth[0])
    kernels = KernelMixture(np.full(count, 1.0 / count), table.rows, width**2)
    names = tuple(spec.columns or coordinates(spec.dimension))
    words = f"{count} kernels of width {width:.4g}"
    return FreeData(kernels, table.rows, table.held_out, names, table.shift, table.scale, width, words)


def gaussians(spec: schema.Gaussians) -> FreeData:
    """Gaussians fitted to the points; from the seed of the table, always the same."""
    table = spec.prepared
    ridge = spec.ridge * float(np.mean(np.var(table.rows, axis=0)))
    try:
        fit = fit_gaussians(table.rows, spec.components, ridge, stream(spec.seed, FITTING))
    except ValueError as error:
        raise ValueError(f"reference.data.components: {error}") from None
    names = tuple(spec.columns or coordinates(spec.dimension))
    count = spec.components
    words = f"{count} Gaussian{'s' * (count > 1)} fitted to {len(table.rows)} points"
    return FreeData(fit.mixture, table.rows, table.held_out, names, table.shift, table.scale, None, words)


def coordinates(dimension: int) -> tuple[str, ...]:
    """x, y, z; or x1, x2, … where there are more."""
    return ("x", "y", "z")[:dimension] if dimension <= 3 else tuple(f"x{i + 1}" for i in range(dimension))
